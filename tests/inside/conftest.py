"""A Jupyter server with the session's extension, in this process and on its test's loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from jupyter_server.auth.authorizer import AllowAllAuthorizer
from jupyter_server.serverapp import ServerApp
from tornado.netutil import bind_sockets
from traitlets.config import Config

TOKEN = "the-token-of-this-session"
BASE = "/user/alice/one/"


class NobodyMay(AllowAllAuthorizer):
    """Lets nobody do anything: who is in may still lack the right."""

    def is_authorized(self, *_: Any) -> bool:
        return False


class Unbound(ServerApp):
    """Listens nowhere by itself: it would look for a free port, let go of it, and take it again,
    unless somebody else was faster."""

    def _find_http_port(self) -> None:
        pass

    def _bind_http_server(self) -> None:
        pass


@dataclass
class Served:
    """The server, a client that may do everything, one that is not let in, one without rights."""

    app: ServerApp
    allowed: httpx.AsyncClient
    stranger: httpx.AsyncClient
    forbidden: Callable[[], None]
    """From now on the authorizer refuses everything."""


Serve = Callable[..., Any]


@pytest.fixture
async def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Serve]:
    """Start a server with some parts of the extension: ``served = await serve("log")``.

    ``config`` is more of the server's configuration. ``HOME`` and Jupyter's folders are the
    test's own; the server's root is ``tmp_path / "work"``, which is ``HOME`` too.
    """
    home = tmp_path / "work"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("CONFIG", "DATA", "RUNTIME"):
        monkeypatch.setenv(f"JUPYTER_{name}_DIR", str(tmp_path / name.lower()))
    monkeypatch.setenv("JUPYTER_NO_CONFIG", "1")
    async with AsyncExitStack() as stack:

        async def start(*parts: str, config: dict[str, Any] | None = None) -> Served:
            monkeypatch.setattr("bai_spawner.server_extension.app.PARTS", parts)
            return await stack.enter_async_context(_served(home, config or {}))

        yield start


@asynccontextmanager
async def _served(home: Path, config: dict[str, Any]) -> AsyncIterator[Served]:
    settings: dict[str, Any] = {
        "ServerApp": {
            "allow_unauthenticated_access": False,
            "base_url": BASE,
            "jpserver_extensions": {"bai_spawner.server_extension": True},
            "open_browser": False,
            "root_dir": str(home),
            "allow_root": True,
        },
        "IdentityProvider": {"token": TOKEN},
    }
    for name, more in config.items():
        settings.setdefault(name, {}).update(more)
    Unbound.clear_instance()
    app = Unbound.instance(config=Config(settings), log_level="WARN")
    app.initialize(argv=[], new_httpserver=True, find_extensions=False)
    sockets = bind_sockets(0, "127.0.0.1")
    app.http_server.add_sockets(sockets)
    port = sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}{BASE}"
    with_token = {"Authorization": f"token {TOKEN}"}

    def forbid() -> None:
        app.web_app.settings["authorizer"] = NobodyMay(parent=app)

    async with (
        httpx.AsyncClient(base_url=url, headers=with_token, timeout=20) as allowed,
        httpx.AsyncClient(base_url=url, timeout=20) as stranger,
    ):
        try:
            yield Served(app, allowed, stranger, forbid)
        finally:
            await app._cleanup()
            Unbound.clear_instance()
