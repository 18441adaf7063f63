"""The Docker engine: the one that answers, or one that is started here."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import docker
from docker.errors import DockerException
from docker.utils import kwargs_from_env

from debian import install
from deployment import ENGINE_LOG, ENGINE_PID, STATE, environment, private_folder
from progress import SetupError, phase

_START_SECONDS = 60
# Builds and pulls answer late; nothing else takes this long.
_CALL_SECONDS = 600


def connect() -> docker.APIClient | None:
    """A client of the engine that answers at DOCKER_HOST or the default socket."""
    try:
        client = docker.APIClient(**kwargs_from_env(), version="auto", timeout=_CALL_SECONDS)
        client.ping()
    except DockerException:
        return None
    return client


def ensure_engine() -> docker.APIClient:
    """A client of an engine that answers, started if need be and if that is ours to do.

    Raises:
        SetupError: none answers and none can be started.
    """
    if client := connect():
        return client
    if os.environ.get("DOCKER_HOST"):
        raise SetupError(f"no Docker engine answers at DOCKER_HOST={os.environ['DOCKER_HOST']}")
    # dockerd stops at once without iptables, which a bare system lacks
    missing = [p for p, c in (("docker.io", "dockerd"), ("iptables", "iptables")) if not _which(c)]
    if os.geteuid() != 0 or (missing and not install(*missing)):
        raise SetupError(
            "no Docker engine answers: install and start Docker, be in the group `docker`, "
            "or set DOCKER_HOST"
        )
    return _started()


def _which(command: str) -> str | None:
    return shutil.which(command, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _started() -> docker.APIClient:
    """A client of the engine that is started now."""
    with phase("Docker engine"):
        _start()
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if client := connect():
                return client
            time.sleep(0.2)
    raise SetupError(f"the Docker engine did not answer in {_START_SECONDS} s: see {ENGINE_LOG}")


def _start() -> None:
    """By the service manager where one runs; else in the background, outliving this program."""
    if Path("/run/systemd/system").is_dir():
        subprocess.run(["systemctl", "start", "docker"], check=False)
        return
    private_folder(STATE)
    command = [_which("dockerd") or "dockerd", "--pidfile", str(ENGINE_PID)]
    env = environment()
    env["PATH"] += ":/usr/sbin:/sbin"
    with ENGINE_LOG.open("ab") as log:
        subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
