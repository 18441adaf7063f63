"""Apps that are opened on ports of the host, as a page's script and its browser have them."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml
from certipy import Certipy
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests.deployment import REPO, Deployment, Visitor, eventually
from tests.images import BASE, derive

SERVICE = "/services/sessions/"
OPTIONS = {"environment": "tells", "resources": {"cpu": 1, "memory": "600MiB", "shm": "64MiB"}}
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none", "Sec-Fetch-Dest": "document"}

FEW = 3
"""Ports of a hub that has few."""
FICKLE = "fickle"
"""A user of such a hub who has a policy of their own."""
IMAGE = "bai-test/crowd:1"
APPS = ("tells", "board", "code", "notes")
"""What each session of such a hub has; all are the same program."""
SAYS = """
import asyncio, sys
from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler
class Says(RequestHandler):
    def get(self):
        self.write("hello")
class Drips(RequestHandler):
    async def get(self):
        while True:
            self.write(b"x" * 1024)
            await self.flush()
            await asyncio.sleep(0.1)
class Echo(WebSocketHandler):
    def on_message(self, message):
        self.write_message(message)
Application([("/ws", Echo), ("/drips", Drips), ("/.*", Says)]).listen(int(sys.argv[1]), "127.0.0.1")
IOLoop.current().start()
"""
"""An app that greets, sends without end at ``/drips``, and echoes messages at ``/ws``."""
CONFIG = """
from pathlib import Path
c = get_config()
c.BaiRuntime.apps_certificate = {cert!r}
c.BaiRuntime.apps_key = {key!r}
__file__ = {config!r}
exec(compile(Path(__file__).read_text(), __file__, "exec"))
"""


@dataclass
class Opener:
    """One visitor's way to open apps, as a page's script has it."""

    visitor: Visitor
    token: str

    def ask(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """What the service answers."""
        headers = {"X-XSRFToken": self.token, "Sec-Fetch-Site": "same-origin"}
        headers["Sec-Fetch-Mode"] = "cors"
        url = f"{SERVICE}api/{path}"
        return self.visitor.http.request(method, url, headers=headers, **kwargs)

    def session(self, server: str = "one") -> str:
        """The identity of a session."""
        rows = self.ask("GET", "sessions").json()["sessions"]
        (found,) = [row["id"] for row in rows if row["server"] == server and row["ended"] is None]
        return str(found)

    def try_to_open(self, app: str = "tells", **asked: Any) -> httpx.Response:
        """Ask for the app; a session is known where it is a moment after its start."""

        def answer() -> httpx.Response | None:
            got = self.ask("POST", f"sessions/{self.session()}/apps/{app}", json=asked)
            return None if "not known yet" in got.text else got

        got = eventually(answer, seconds=15)
        assert isinstance(got, httpx.Response)
        return got

    def open(self, app: str = "tells", **asked: Any) -> dict[str, Any]:
        """Open the app."""
        got = self.try_to_open(app, **asked)
        assert got.status_code == 201, got.text
        found: dict[str, Any] = got.json()
        return found

    def close(self, opened: dict[str, Any]) -> None:
        """Close it."""
        assert self.ask("DELETE", f"openings/{opened['id']}").status_code == 204

    def openings(self, which: str = "open") -> list[dict[str, Any]]:
        """What is ``open``, or was and is ``closed``."""
        found: list[dict[str, Any]] = self.ask("GET", "openings").json()[which]
        return found

    def why(self, opened: dict[str, Any]) -> str:
        """Why it was closed; empty while it is open."""
        found = {it["id"]: str(it["why"]) for it in self.openings("closed")}
        return found.get(opened["id"], "")

    def page(self, url: str) -> httpx.Response:
        """What a browser with this visitor's login shows of an address."""
        return self.visitor.http.get(url, headers=NAVIGATION)

    def shown(self, opened: dict[str, Any], path: str = "") -> httpx.Response:
        """The app's page, as soon as it has started."""
        found: list[httpx.Response] = []

        def runs() -> bool:
            found.append(self.page(f"{opened['url']}{path}"))
            return found[-1].status_code != 503

        assert eventually(runs, seconds=30, every=0.5), found[-1].text
        return found[-1]

    def socket(self, opened: dict[str, Any]) -> ClientConnection:
        """A WebSocket to the app, as a page of it opens one that this visitor is shown."""
        url = str(opened["url"])
        held = cookies(self.visitor, urlsplit(url).hostname or "")
        cookie = "; ".join(f"{name}={value}" for name, value in held.items())
        return connect(
            f"{url.replace('http', 'ws', 1)}ws",
            additional_headers={"Cookie": cookie},
            origin=Origin(url.rstrip("/")),
        )


def opener(visitor: Visitor) -> Opener:
    """The way that a page's script has after its first call."""
    page = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "no-cors"}
    answer = visitor.http.get(f"{SERVICE}api/visit", headers=page)
    return Opener(visitor, answer.json()["xsrf_token"])


def cookies(visitor: Visitor, host: str) -> dict[str, str]:
    """What a browser holds for a host."""
    return {c.name: c.value or "" for c in visitor.http.cookies.jar if c.domain.startswith(host)}


def echoes(app: ClientConnection) -> bool:
    """Whether a WebSocket leads to an app that says what it is told."""
    app.send("hello")
    return app.recv(10) == "hello"


def is_closed(url: str) -> bool:
    """Whether nobody answers there."""
    parts = urlsplit(url)
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", parts.port or 0)) != 0


def held(ports: Iterable[int]) -> list[int]:
    """Those on which somebody listens, or that somebody keeps from others."""
    found = []
    for port in ports:
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            found.append(port)
    return found


def proxy_of(deployment: Deployment) -> int:
    """The process of a hub's app proxy; 0: there is none now."""
    assert deployment.process
    found = subprocess.run(
        ["pgrep", "-P", str(deployment.process.pid), "-f", "app_proxy"],
        capture_output=True,
        text=True,
        check=False,
    )
    return int(found.stdout or 0)


# ---- a hub whose apps have few ports, by TLS


@contextmanager
def few_ports(folder: Path) -> Iterator[Deployment]:
    """A hub as the other tests have it, but for its ports, its apps, and a policy that changes."""
    made = Deployment(
        folder / "hub",
        catalog=folder / "catalog.yaml",
        config=folder / "config.py",
        env={"BAI_APPS_URL": "https://localhost"},
    )
    made.app_ports = range(made.app_ports.start, made.app_ports.start + FEW)
    try:
        files = _certificate(folder)
        made.config.write_text(CONFIG.format(**files, config=f"{REPO}/tests/hub/config.py"))
        made.catalog.write_text(catalogue(public=True))
        _ensure_image(made)
        made.start()
        with pytest.MonkeyPatch.context() as trusting:  # every client of these tests
            trusting.setenv("SSL_CERT_FILE", files["ca"])
            yield made
    finally:
        made.clean()


def catalogue(*, public: bool) -> str:
    """The tests' catalogue with more apps; ``public``: whether one user may open them to all."""
    told = yaml.safe_load((REPO / "tests/hub/catalog.yaml").read_text())
    told["environments"]["tells"]["versions"]["1"]["image"] = IMAGE
    policy = {"name": FICKLE, "match": {"users": [FICKLE]}, "apps": {"public": public}}
    told["policies"].insert(0, policy)
    return str(yaml.safe_dump(told, sort_keys=False))


def _certificate(folder: Path) -> dict[str, str]:
    """Files with a certificate for ``localhost``, its key, and who vouches for it."""
    store = Certipy(store_dir=str(folder / "certificates"))
    authority = store.create_ca("authority")
    made = store.create_signed_pair("apps", "authority", alt_names=["DNS:localhost"])
    return {**made["files"], "ca": authority["files"]["cert"]}


def _ensure_image(deployment: Deployment) -> None:
    """A session image with several apps."""
    command = ["/opt/bai/bin/python", "-c", SAYS, "{port}"]
    apps = [{"name": name, "title": name.title(), "command": command} for name in APPS]
    label = f"LABEL bai-spawner.apps={json.dumps(json.dumps(apps))}"
    starts: list[str] = deployment.docker.images.get(BASE).attrs["Config"]["Cmd"]
    derive(deployment.docker, BASE, IMAGE, starts, label)


def with_session(deployment: Deployment, user: str) -> Iterator[Visitor]:
    """A user with a session that has apps."""
    with deployment.login(user) as made:
        answer = made.start("one", OPTIONS)
        assert answer.status_code == 201, answer.text
        yield made
        made.stop_all()


def with_nothing_open(visitor: Visitor) -> Iterator[Opener]:
    """A visitor's way to open apps; of theirs nothing is open any more when it was gone."""
    made = opener(visitor)
    yield made
    for opened in made.openings():
        made.close(opened)
