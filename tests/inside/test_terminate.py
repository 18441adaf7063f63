"""Ending a session from inside, by a hub that listens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from bai_spawner.server_extension.session.rescue import Rescue
from bai_spawner.server_extension.session.rescue import State as Copying
from tests.inside.conftest import Serve, Served

PATH = "bai/api/terminate"
KEY = "the-sessions-own-token"
MAY = ["access:servers!server=alice/one", "delete:servers!server=alice/one"]


class Hub:
    """A hub's API: it knows one token, says what that may, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.user = (200, json.dumps({"name": "alice", "scopes": MAY}))
        self.stops = (204, "")
        self.heard, self.stopping = asyncio.Event(), asyncio.Event()
        self.stopping.set()
        self.sockets = bind_sockets(0, "127.0.0.1")
        self._server = HTTPServer(Application([(r".*", _Answer, {"hub": self})]))
        self._server.add_sockets(self.sockets)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.sockets[0].getsockname()[1]}/hub/api"

    async def close(self) -> None:
        self._server.stop()
        await self._server.close_all_connections()


class _Answer(RequestHandler):
    def initialize(self, hub: Hub) -> None:
        self._hub = hub

    async def get(self) -> None:
        self._answer(*self._hub.user)

    async def delete(self) -> None:
        await self._hub.stopping.wait()
        self._answer(*self._hub.stops)
        self._hub.heard.set()

    def _answer(self, status: int, content: str) -> None:
        assert self.request.method
        self._hub.asked.append((self.request.method, self.request.path))
        if self.request.headers.get("Authorization") != f"token {KEY}":
            status, content = 403, ""
        self.set_status(status)
        self.finish(content if status != 204 else None)


@pytest.fixture
async def hub(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hub]:
    made = Hub()
    monkeypatch.setenv("JUPYTERHUB_API_URL", made.url)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", KEY)
    monkeypatch.setenv("JUPYTERHUB_USER", "alice")
    monkeypatch.setenv("JUPYTERHUB_SERVER_NAME", "one")
    yield made
    await made.close()


async def heard(hub: Hub) -> list[tuple[str, str]]:
    """What the hub was asked, once it was asked to stop something."""
    async with asyncio.timeout(10):
        await hub.heard.wait()
    return hub.asked


async def failure(served: Served) -> str:
    async with asyncio.timeout(10):
        while True:
            found: dict[str, str] = (await served.allowed.get(PATH)).json()
            if found["state"] == "failed":
                return found["message"]


async def test_the_hub_ends_the_session(serve: Serve, hub: Hub) -> None:
    served = await serve("session")
    assert (await served.allowed.get(PATH)).json() == {"state": "idle", "message": ""}
    answer = await served.allowed.post(PATH, json={})
    assert (answer.status_code, answer.json()) == (202, {"state": "asked", "message": ""})
    assert await heard(hub) == [
        ("GET", "/hub/api/user"),
        ("DELETE", "/hub/api/users/alice/servers/one"),
    ]
    assert (await served.allowed.get(PATH)).json()["state"] == "asked"


async def test_who_asks_is_answered_before_the_hub_is(serve: Serve, hub: Hub) -> None:
    """Else the session is gone before its user hears that it ends."""
    served = await serve("session")
    stopping = asyncio.Event()
    real = _Answer.delete

    async def slow(self: _Answer) -> None:
        await stopping.wait()
        await real(self)

    _Answer.delete = slow  # type: ignore[method-assign]
    try:
        assert (await served.allowed.post(PATH, json={})).status_code == 202
        stopping.set()
        await heard(hub)
    finally:
        _Answer.delete = real  # type: ignore[method-assign]


async def test_asking_twice_is_asking_once(serve: Serve, hub: Hub) -> None:
    served = await serve("session")
    hub.stopping.clear()
    for _ in range(2):
        assert (await served.allowed.post(PATH)).status_code == 202
    hub.stopping.set()
    await heard(hub)
    assert [method for method, _ in hub.asked].count("DELETE") == 1


async def test_when_the_session_goes_on_it_can_be_asked_again(serve: Serve, hub: Hub) -> None:
    """The hub said that it would stop it, and could not."""
    served = await serve("session")
    for times in (1, 2):
        hub.heard.clear()
        assert (await served.allowed.post(PATH, json={})).status_code == 202
        asked = await heard(hub)
        assert [method for method, _ in asked].count("DELETE") == times


@pytest.mark.parametrize(
    ("user", "server", "path"),
    [
        ("alice", "", "/hub/api/users/alice/server"),
        ("a/b@example.org", "one", "/hub/api/users/a%2Fb%40example.org/servers/one"),
        ("alice", "naïve ☃/..", "/hub/api/users/alice/servers/na%C3%AFve%20%E2%98%83%2F.."),
        ("alice", "%2e%2e?x=#y", "/hub/api/users/alice/servers/%252e%252e%3Fx%3D%23y"),
    ],
)
async def test_a_name_may_have_any_character(
    serve: Serve, hub: Hub, monkeypatch: pytest.MonkeyPatch, user: str, server: str, path: str
) -> None:
    monkeypatch.setenv("JUPYTERHUB_USER", user)
    monkeypatch.setenv("JUPYTERHUB_SERVER_NAME", server)
    served = await serve("session")
    await served.allowed.post(PATH, json={})
    assert (await heard(hub))[-1] == ("DELETE", path)


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ((403, ""), "The hub refuses (403 Forbidden)"),
        ((503, ""), "The hub refuses (503 Service Unavailable)"),
        ((302, ""), "The hub refuses (302 Found)"),
        ((200, "<html>"), "does not let this session end itself"),
        ((200, "[]"), "does not let this session end itself"),
        ((200, "{}"), "does not let this session end itself"),
        ((200, '{"scopes": 1}'), "does not let this session end itself"),
        ((200, '{"scopes": ["servers"]}'), "does not let this session end itself"),
    ],
)
async def test_what_the_hub_would_refuse_is_not_begun(
    serve: Serve, hub: Hub, user: tuple[int, str], words: str
) -> None:
    hub.user = user
    served = await serve("session")
    answer = await served.allowed.post(PATH, json={})
    assert answer.status_code == 502
    assert words in answer.json()["message"]
    assert "stop the server on the hub's page" in answer.json()["message"]
    assert hub.asked == [("GET", "/hub/api/user")]
    assert (await served.allowed.get(PATH)).json()["state"] == "idle"
    asked = await served.allowed.get(PATH, params={"check": "1"})
    assert (asked.status_code, asked.json()) == (502, answer.json())


async def test_it_can_be_asked_whether_the_hub_would(serve: Serve, hub: Hub) -> None:
    served = await serve("session")
    for check, asked in (("0", []), ("1", [("GET", "/hub/api/user")])):
        answer = await served.allowed.get(PATH, params={"check": check})
        assert (answer.status_code, answer.json()) == (200, {"state": "idle", "message": ""})
        assert hub.asked == asked


@pytest.mark.parametrize("check", ["", "yes", "2", "１"])
async def test_a_check_is_one_or_none(serve: Serve, hub: Hub, check: str) -> None:
    served = await serve("session")
    answer = await served.allowed.get(PATH, params={"check": check})
    assert (answer.status_code, answer.json()["field"]) == (400, "check")
    assert hub.asked == []


async def test_a_hub_that_refuses_in_the_end_is_told_of_afterwards(serve: Serve, hub: Hub) -> None:
    hub.stops = (400, "")
    served = await serve("session")
    assert (await served.allowed.post(PATH, json={})).status_code == 202
    assert "The hub refuses (400 Bad Request)" in await failure(served)
    hub.stops = (202, "")
    hub.heard.clear()
    assert (await served.allowed.post(PATH, json={})).json()["state"] == "asked"
    await heard(hub)


async def test_a_hub_that_is_away_is_told_and_nothing_ends(serve: Serve, hub: Hub) -> None:
    served = await serve("session")
    await hub.close()
    answer = await served.allowed.post(PATH, json={})
    assert answer.status_code == 503
    assert "The hub does not answer. The session goes on" in answer.json()["message"]
    assert KEY not in answer.text


async def test_a_server_of_no_hub_says_so(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUPYTERHUB_API_URL", raising=False)
    served = await serve("session")
    assert (await served.allowed.get(PATH, params={"check": "1"})).status_code == 503
    answer = await served.allowed.post(PATH, json={})
    assert answer.status_code == 503
    assert "belongs to no hub" in answer.json()["message"]


async def test_while_files_are_copied_it_has_to_be_meant(
    serve: Serve, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy itself is in test_rescue."""
    begun = Rescue.__init__

    def running(self: Rescue, *how: Any) -> None:
        begun(self, *how)
        self.state, self.target = Copying.RUNNING, "data/brave-otter"

    monkeypatch.setattr(Rescue, "__init__", running)
    served = await serve("session")
    for body in ({}, {"anyway": False}):
        answer = await served.allowed.post(PATH, json=body)
        assert answer.status_code == 409
        assert answer.json()["message"] == (
            "Files are being copied to data/brave-otter. Wait for the end of it, or stop it."
        )
    assert hub.asked == []
    assert (await served.allowed.post(PATH, json={"anyway": True})).status_code == 202
    await heard(hub)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", "body"),
        (b'"now"', "body"),
        (b'{"server": "two"}', "body"),
        (b'{"user": "bob"}', "body"),
        (b'{"anyway": "true"}', "anyway"),
        (b'{"anyway": 1}', "anyway"),
        (b'{"anyway": null}', "anyway"),
    ],
)
async def test_a_body_of_another_shape_ends_nothing(
    serve: Serve, hub: Hub, body: bytes, field: str
) -> None:
    served = await serve("session")
    answer = await served.allowed.post(PATH, content=body)
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert hub.asked == []


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_nobody_else_may(serve: Serve, hub: Hub, method: str) -> None:
    served = await serve("session")
    assert (await served.stranger.request(method, PATH)).status_code == 403
    served.forbidden()
    assert (await served.allowed.request(method, PATH)).status_code == 403
    assert hub.asked == []


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_there_are_no_options(serve: Serve, hub: Hub, method: str) -> None:
    served = await serve("session")
    answer = await served.allowed.request(method, PATH, params={"server": "two"})
    assert (answer.status_code, answer.json()["field"]) == (400, "option")
    assert hub.asked == []


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_there_is_no_other_way(serve: Serve, hub: Hub, method: str) -> None:
    served = await serve("session")
    assert (await served.allowed.request(method, PATH)).status_code == 405
