"""The service behind a real HTTP server, with a hub that says what a test lets it say."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from jupyterhub.services.auth import HubOAuth
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError

from bai_spawner.service.__main__ import LIMITS
from tests.api_contract import assert_described

BASE = "/my%20base/"
PREFIX = f"{BASE}services/sessions/"
HUB = "hub"
"""The deployment that the service is of."""
ACCESS = "access:services!service=sessions"
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}
NO_CORS = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "same-origin"}
CORS = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}


class FakeHub(HubOAuth):
    """A hub whose users are those that a test adds; it can be away.

    ``readable`` says, by token, whose models the hub would show.
    """

    def __init__(self) -> None:
        super().__init__(
            base_url=PREFIX,
            hub_prefix="/my%20base/hub/",
            api_token="the-services-own-token",
            api_url="http://hub/hub/api",
            oauth_client_id="service-sessions",
            oauth_redirect_uri=f"{PREFIX}oauth_callback",
            access_scopes={ACCESS},
        )
        self.models: dict[str, dict[str, Any]] = {}
        self.readable: dict[str, dict[str, dict[str, Any]]] = {}
        self.is_away = False
        self.asked: list[tuple[str, str]] = []

    def add(self, name: str, **changed: Any) -> str:
        """Let there be a user; their token."""
        token = f"token-of-{name.encode().hex()}"
        self.models[token] = {
            "kind": "user",
            "name": name,
            "admin": False,
            "groups": [],
            "scopes": [ACCESS],
            **changed,
        }
        return token

    def close(self) -> None:
        """End the thread in which JupyterHub's own code asks, if it did."""
        if self.trait_has_value("_pool"):
            self._pool.submit(self._thread_loop.close).result()
            self._pool.shutdown()
        type(self).clear_instance()

    async def _api_request(self, method: str, url: str, /, **kwargs: Any) -> Any:
        if self.is_away:
            raise HTTPError(500, "Failed to connect to Hub API at 'http://hub/hub/api'.")
        path = urlsplit(url).path.removeprefix("/hub/api")
        if path == "/oauth2/token":
            return {"access_token": parse_qs(kwargs["data"].decode())["code"][0]}
        token = kwargs["headers"]["Authorization"].removeprefix("token ")
        self.asked.append((path, token))
        if path == "/user":
            return self.models.get(token)
        found = self.readable.get(token, {}).get(path.removeprefix("/users/"))
        if found is None:
            raise HTTPError(404, "No such user")
        return found


class Page:
    """A browser's page of one user: comes in through the faked login, then asks."""

    def __init__(self, url: str, token: str) -> None:
        self.http = httpx.AsyncClient(base_url=url)
        self.token = token
        self.xsrf = ""

    async def log_in(self, headers: dict[str, str] = NO_CORS, path: str = "api/visit") -> Any:
        """Go through the login as a browser would; the last answer."""
        first = await self.http.get(f"{PREFIX}{path}", headers=headers)
        if "/oauth2/authorize?" not in first.headers.get("Location", ""):
            return first
        asked = parse_qs(urlsplit(first.headers["Location"]).query)
        back = {"code": self.token, "state": asked["state"][0]}
        second = await self.http.get(f"{PREFIX}oauth_callback", params=back, headers=headers)
        assert second.status_code == 302, second.text
        return await self.http.get(second.headers["Location"], headers=headers)

    async def visit(self) -> dict[str, Any]:
        """Come in and keep the token."""
        answer = await self.log_in()
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        self.xsrf = found["xsrf_token"]
        return found

    async def ask(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """Ask as a page's script does; the answer must be one that the API's document has."""
        headers = {**CORS, "X-XSRFToken": self.xsrf, **kwargs.pop("headers", {})}
        answer = await self.http.request(method, f"{PREFIX}{path}", headers=headers, **kwargs)
        assert_described(method, path, answer)
        return answer


@asynccontextmanager
async def serving(app: Application) -> AsyncIterator[str]:
    """The application behind a server with the service's own limits; its URL."""
    server = HTTPServer(app, **LIMITS)
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    try:
        yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    finally:
        server.stop()
        await server.close_all_connections()


def has_traceback(text: str) -> bool:
    """Whether an answer says more of the program than it should."""
    return bool(re.search(r"Traceback|File \"|\.py", text))
