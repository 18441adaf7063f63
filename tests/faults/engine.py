"""An engine of a test's own, to be stopped and killed while everybody else's goes on.

It has its own data, sockets and processes. What it cannot have is an own default bridge:
without the name of one it takes ``docker0`` for itself, and with ``none`` it even deletes
it under the engine that made it. So the bridge is one that the other engine makes.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import docker

from tests.deployment import eventually
from tests.images import LIGHT, ensure_light_image

START_SECONDS = 60
STOP_SECONDS = 30
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
DOCKERD = shutil.which("dockerd", path=PATH)


def lacking() -> str:
    """Why no engine of its own can be had here; empty when it can."""
    if os.geteuid() != 0:
        return "only root may start an engine"
    return "" if DOCKERD else "no dockerd is installed here"


class PrivateEngine:
    """One engine; a context in which it may be stopped, killed and started again.

    ``programs`` is a folder that comes first on its PATH.
    """

    def __init__(self, programs: Path | None = None) -> None:
        self._path = f"{programs}:{PATH}" if programs else PATH
        # short: the path of a socket has 108 bytes at most
        self.root = Path(tempfile.mkdtemp(prefix="bai-engine-"))
        self._socket, self._hidden = self.root / "engine.sock", self.root / "hidden.sock"
        self.host = f"unix://{self._socket}"
        self.log = self.root / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, self.root, ignore_errors=True)
            stack.callback(self._unmount)
            main = stack.enter_context(contextlib.closing(docker.from_env()))
            self._bridge = f"bai-{secrets.token_hex(4)}"
            name = {"com.docker.network.bridge.name": self._bridge}
            network = main.networks.create(self._bridge, driver="bridge", options=name)
            stack.callback(network.remove)
            stack.callback(self._end)
            self.start()
            self._load(main)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def client(self) -> docker.DockerClient:
        """A client of this engine."""
        return docker.DockerClient(base_url=self.host, version="auto")

    def start(self) -> None:
        """Start it where it does not run, and wait until it answers."""
        self.show()
        if self._process is not None:
            return
        command = [DOCKERD or "dockerd", "--data-root", f"{self.root}/data"]
        command += ["--exec-root", f"{self.root}/exec", "--pidfile", f"{self.root}/pid"]
        command += ["--host", self.host, "--bridge", self._bridge, "--iptables=false"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, "PATH": self._path},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if not eventually(self._answers, seconds=START_SECONDS):
            raise RuntimeError(f"the engine did not start:\n{self.log.read_text()[-4000:]}")

    def stop(self) -> None:
        """End it as a service manager does: it takes its containers along."""
        self._finish(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once: its containers run on, with nobody to ask about them."""
        helper = (self.root / "exec/containerd/containerd.pid").read_text()
        self._finish(signal.SIGKILL)
        # it dies with its engine, and one that comes too soon takes it for alive
        eventually(lambda: not Path(f"/proc/{helper}").exists(), seconds=STOP_SECONDS)

    def hide(self) -> None:
        """Be away while the containers run on, as an engine behind a network may be."""
        self._socket.rename(self._hidden)

    def show(self) -> None:
        """Be back."""
        if self._hidden.exists():
            self._hidden.rename(self._socket)

    def processes(self) -> list[int]:
        """Its processes and its containers', those that outlive it included."""
        containers = [path.name.encode() for path in (self.root / "data/containers").glob("*")]
        return [
            int(path.name)
            for path in Path("/proc").glob("[0-9]*")
            if str(self.root).encode() in _read(path / "cmdline")
            or any(name in _read(path / "cgroup") for name in containers)
        ]

    def _finish(self, sig: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(sig)
            self._process.wait(STOP_SECONDS)
            self._process = None

    def _answers(self) -> bool:
        if self._process and self._process.poll() is not None:
            raise RuntimeError(f"the engine ended:\n{self.log.read_text()[-4000:]}")
        away = contextlib.suppress(docker.errors.DockerException, OSError)
        with away, contextlib.closing(self.client()) as client:
            return bool(client.ping())
        return False

    def _load(self, main: docker.DockerClient) -> None:
        """Give it the light image."""
        ensure_light_image(main)
        with contextlib.closing(self.client()) as client:
            client.images.load(main.images.get(LIGHT).save(named=LIGHT))

    def _end(self) -> None:
        """Leave no container, no network and no process behind, whatever a test did."""
        with contextlib.suppress(Exception):
            self.start()
            with contextlib.closing(self.client()) as client:
                for container in client.containers.list(all=True, ignore_removed=True):
                    container.remove(force=True, v=True)
                client.networks.prune()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.stop()
        deadline = time.monotonic() + STOP_SECONDS
        while (left := self.processes()) and time.monotonic() < deadline:
            for process in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.1)

    def _unmount(self) -> None:
        """What a killed engine left mounted, the innermost first."""
        for mounted in sorted(self._mounts(), reverse=True):
            subprocess.run(["umount", "-l", mounted], check=False)

    def _mounts(self) -> Iterator[str]:
        for line in Path("/proc/self/mounts").read_text().splitlines():
            if (where := line.split()[1]).startswith(str(self.root)):
                yield where


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it ended
        return b""
