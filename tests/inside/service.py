"""The hub's service, as a session sees it, in the test's own process."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

KEY = "the-sessions-own-token"
PREFIX = "/services/sessions/"
ACTIVITY, EXTEND = "api/own/activity", "api/own/extend"
SOON, LATER = "2026-11-26T02:46:41+00:00", "2026-11-26T14:46:41+00:00"
NOT_DUE: dict[str, Any] = {
    "ends": None,
    "why": None,
    "warned": None,
    "idle": {"since": None, "timeout": 7200, "known": True},
    "lifetime": None,
}
"""Of a session that works."""
WARNED: dict[str, Any] = {
    "ends": SOON,
    "why": "lifetime",
    "warned": True,
    "idle": None,
    "lifetime": {"ends": SOON, "limit": 86400, "extend": 43200, "left": 2},
}


def timed(time: dict[str, Any] | None) -> tuple[int, str]:
    """An answer that says how much time there is."""
    return 200, json.dumps({"time": time})


class Service:
    """Knows one session by its token, answers what it is told to, remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.asking = self.most = 0
        """Who asks now, and how many did at once at most."""
        self.answers = {ACTIVITY: timed(NOT_DUE), EXTEND: timed(NOT_DUE)}
        self.sockets = bind_sockets(0, "127.0.0.1")
        self._server = HTTPServer(Application([(PREFIX + "(.*)", _Answer, {"service": self})]))
        self._server.add_sockets(self.sockets)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.sockets[0].getsockname()[1]}{PREFIX}"

    def heard(self, path: str) -> list[Any]:
        """What was sent to an address."""
        return [body for asked, body in self.asked if asked == path]

    async def close(self) -> None:
        self._server.stop()
        await self._server.close_all_connections()


class _Answer(RequestHandler):
    def initialize(self, service: Service) -> None:
        self._service = service

    async def get(self, path: str) -> None:
        await self._hear(path, "GET")

    async def delete(self, path: str) -> None:
        await self._hear(path, "DELETE")

    async def post(self, path: str) -> None:
        assert self.request.headers["Content-Type"] == "application/json"
        await self._hear(path, json.loads(self.request.body))

    async def _hear(self, path: str, body: Any) -> None:
        assert self.request.headers["Authorization"] == f"token {KEY}"
        its = self._service
        its.asked.append((path, body))
        its.asking += 1
        its.most = max(its.most, its.asking)
        await asyncio.sleep(0.01)
        its.asking -= 1
        status, content = its.answers[path]
        self.set_status(status)
        if status == 302:
            self.set_header("Location", f"{PREFIX}elsewhere")
        self.finish(content or None)
