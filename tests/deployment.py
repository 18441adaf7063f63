"""A deployment of its own for tests: a real hub on a real engine, apart from any other.

It has its own state folder, identity, network and ports, so that a developer's running
hub is left alone; `Deployment.clean` removes its containers and its network.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import docker
import httpx

REPO = Path(__file__).parent.parent
USER_PASSWORD = "a-password-for-users"
ADMIN_PASSWORD = "a-much-longer-password-for-administrators"

HUB = (
    sys.executable,
    "-c",
    "import sys; sys.modules['rfc3987_syntax'] = None; from jupyterhub.app import main; main()",
)
"""JupyterHub as its command starts it, but for the grammars that jsonschema compiles if it can:
nothing here is checked by them, and they are more than half of what a start of a hub takes."""


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nothing listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def eventually(question: Callable[[], Any], *, seconds: float = 10, every: float = 0.1) -> Any:
    """The first true answer; the last answer when none is true in time."""
    deadline = time.monotonic() + seconds
    while True:
        answer = question()
        if answer or time.monotonic() > deadline:
            return answer
        time.sleep(every)


@dataclass
class Deployment:
    """One hub with everything of its own.

    ``config`` replaces the shipped configuration; ``engine`` is where its sessions run, by
    default what ``DOCKER_HOST`` says.
    """

    state: Path
    catalog: Path = REPO / "catalog.yaml"
    config: Path = REPO / "jupyterhub_config.py"
    env: dict[str, str] = field(default_factory=dict)
    engine: str = ""
    hub_id: str = field(default_factory=lambda: secrets.token_hex(16))
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.state.mkdir(parents=True, exist_ok=True)
        (self.state / "hub_id").write_text(self.hub_id)
        (self.state / "passwords.json").write_text(
            json.dumps({"user": USER_PASSWORD, "admin": ADMIN_PASSWORD})
        )
        if self.engine:
            self.env = {**self.env, "DOCKER_HOST": self.engine}
        self.docker = docker.from_env(environment={**os.environ, **self.env})
        self.network = f"bai-{self.hub_id[:12]}"
        network = self.docker.networks.create(
            self.network,
            driver="bridge",
            options={"com.docker.network.bridge.enable_icc": "false"},
            labels={"bai.hub": self.hub_id},
        )
        network.reload()
        self.gateway = network.attrs["IPAM"]["Config"][0]["Gateway"]
        self.port, self.proxy_api, self.hub_port, self.service_port = free_ports(4)
        first = 20_000 + 20 * secrets.randbelow(500)
        self.app_ports = range(first, first + 20)
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = self.state / "hub.log"

    def start(self, *, seconds: float = 60) -> None:
        """Start the hub and wait until it answers."""
        env = {
            **os.environ,
            "BAI_STATE": str(self.state),
            "BAI_PORT": str(self.port),
            "BAI_PROXY_API_PORT": str(self.proxy_api),
            "BAI_HUB_PORT": str(self.hub_port),
            "BAI_SERVICE_PORT": str(self.service_port),
            "BAI_APPS_PORTS": f"{self.app_ports.start}-{self.app_ports.stop - 1}",
            "BAI_HUB_IP": self.gateway,
            "BAI_NETWORK": self.network,
            "BAI_CATALOG": str(self.catalog),
            "PYTHONPATH": str(REPO),
            **self.env,
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*HUB, "-f", str(self.config)],
                cwd=self.state,
                env=env,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if not eventually(self.answers, seconds=seconds, every=0.2):
            raise RuntimeError(f"the hub did not start:\n{self.log.read_text()[-4000:]}")

    def answers(self) -> bool:
        """Whether the hub answers through the proxy; raises when it has ended."""
        if self.process is None or self.process.poll() is not None:
            raise RuntimeError(f"the hub ended:\n{self.log.read_text()[-4000:]}")
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/hub/api/").is_success
        return False

    def stop(self, sig: signal.Signals = signal.SIGTERM) -> None:
        """End the hub; with SIGKILL its proxy is ended too, as a machine's end would."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            if sig is signal.SIGKILL:
                os.killpg(self.process.pid, sig)
                self.end_proxy()
            self.process.send_signal(sig)
        self.process.wait(90)  # JupyterHub gives each of its services up to 20
        self.process = None

    def end_proxy(self) -> None:
        """End the proxy, which has a process group of its own and outlives a killed hub."""
        pid = self.state / "proxy.pid"
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int(pid.read_text()), signal.SIGKILL)
            pid.unlink()

    def clean(self) -> None:
        """Remove what is left: hub, containers, network."""
        self.stop()
        for container in self.containers():
            with contextlib.suppress(docker.errors.NotFound):
                container.remove(force=True, v=True)
        self.docker.networks.get(self.network).remove()
        self.docker.close()

    def containers(self) -> list[Any]:
        """Every container that carries this deployment's label."""
        return list(
            self.docker.containers.list(
                all=True, filters={"label": f"bai.hub={self.hub_id}"}, ignore_removed=True
            )
        )

    def container(self, user: str, server: str) -> Any:
        """The container of one session."""
        found = [
            c
            for c in self.containers()
            if (c.labels["bai.user"], c.labels["bai.server"]) == (user, server)
        ]
        assert len(found) == 1, f"{len(found)} containers of {user}/{server}"
        return found[0]

    def folder(self, user: str, name: str) -> Path:
        """A user's folder on disk."""
        return self.state / "folders" / "users" / user / name

    def login(self, user: str) -> Visitor:
        """A logged-in visitor."""
        return Visitor(self, user)

    @contextlib.contextmanager
    def clean_log(self) -> Iterator[None]:
        """No traceback enters the hub's log meanwhile."""
        before = self.log.stat().st_size
        yield
        with self.log.open("rb") as log:
            log.seek(before)
            written = log.read().decode("utf-8", "replace")
        assert "Traceback" not in written, written


class Visitor:
    """A browser's session with the hub, without a browser."""

    def __init__(self, deployment: Deployment, user: str) -> None:
        self.deployment = deployment
        self.user = user
        self.http = httpx.Client(base_url=deployment.url, follow_redirects=True, timeout=90)
        page = self.http.get("/hub/login").text
        token = re.search(r'name="_xsrf" value="([^"]+)"', page)
        assert token, page
        password = ADMIN_PASSWORD if user == "admin" else USER_PASSWORD
        answer = self.http.post(
            "/hub/login",
            params={"next": "/hub/home"},
            data={"username": user, "password": password, "_xsrf": token[1]},
        )
        assert answer.is_success, answer.text
        self.xsrf = self._token(answer.text)

    @staticmethod
    def _token(page: str) -> str:
        found = re.search(r'xsrf_token: "([^"]+)"', page)
        assert found, page[:2000]
        return found[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def api(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """Call the hub's REST API as its pages do."""
        headers = {"X-XSRFToken": self.xsrf, "Referer": f"{self.deployment.url}/hub/home"}
        return self.http.request(method, f"/hub/api{path}", headers=headers, **kwargs)

    def start(
        self, server: str = "one", options: Any = None, *, name: str = "", user: str = ""
    ) -> httpx.Response:
        """Ask for a session over REST; the answer comes when it is ready, refused or slow."""
        body: dict[str, Any] = {"user_options": options}
        if name:
            body["display_name"] = name
        return self.api("POST", f"/users/{user or self.user}/servers/{server}", json=body)

    def stop(self, server: str = "one", *, user: str = "") -> httpx.Response:
        """End a session, and wait until it has ended."""
        answer = self.api("DELETE", f"/users/{user or self.user}/servers/{server}")
        assert answer.is_success or answer.status_code == 404, answer.text
        gone = eventually(lambda: server not in self.servers(user=user), seconds=30)
        assert gone, self.servers(user=user)
        return answer

    def stop_all(self) -> None:
        """End every session of this user."""
        for server in self.servers():
            self.stop(server)

    def servers(self, *, user: str = "") -> dict[str, Any]:
        """The named servers that the hub knows of, stopped ones too."""
        path = f"/users/{user or self.user}?include_stopped_servers=1"
        found = self.api("GET", path).json()["servers"]
        return {name: model for name, model in found.items() if name}

    def post_form(self, fields: dict[str, str], server: str = "one") -> httpx.Response:
        """Submit the launch form as a browser without JavaScript does."""
        answer = self.http.post(
            f"/hub/spawn/{self.user}/{server}",
            params={"_xsrf": self.xsrf},
            files={name: (None, value) for name, value in fields.items()},
            follow_redirects=False,
        )
        return self.http.get(answer.headers["location"]) if answer.is_redirect else answer

    def ready(self, server: str = "one", *, seconds: float = 60) -> dict[str, Any]:
        """The server's model once it is ready."""

        def model() -> dict[str, Any]:
            found = self.servers().get(server, {})
            return found if found.get("ready") else {}

        return eventually(model, seconds=seconds)
