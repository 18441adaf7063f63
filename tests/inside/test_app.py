"""The extension as Jupyter Server loads it: a broken part costs no session."""

from __future__ import annotations

import asyncio
import logging
import sys
import types
from typing import Any

import pytest
from jupyter_server.auth.decorator import authorized
from tornado import web

from bai_spawner.server_extension.api import SessionHandler
from bai_spawner.server_extension.app import without_tokens
from bai_spawner.server_extension.part import Part
from tests.inside.conftest import Serve

SERVER = "bai_spawner.server_extension"


class Echo(SessionHandler):
    @web.authenticated
    @authorized
    async def get(self) -> None:
        self.finish(self.options_of("lines"))

    @web.authenticated
    @authorized
    async def post(self) -> None:
        self.finish(self.body(name=str, count=int))

    @web.authenticated
    @authorized
    async def delete(self) -> None:
        raise RuntimeError("a secret of the inside")


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A part that answers and works, in place of a session's."""
    ran: list[str] = []

    async def run() -> None:
        ran.append("began")
        try:
            await asyncio.sleep(60)
        finally:
            ran.append("ended")

    module: Any = types.ModuleType("echo")
    module.part = lambda _: Part(handlers=((r"bai/api/echo", Echo, {}),), run=run)
    monkeypatch.setitem(sys.modules, "bai_spawner.server_extension.echo", module)
    return ran


async def test_a_part_answers_whom_the_server_lets_in(serve: Serve, echo: list[str]) -> None:
    served = await serve("echo")
    answer = await served.allowed.get("bai/api/echo", params={"lines": "3"})
    assert answer.json() == {"lines": "3"}
    from_lab = await served.allowed.get("bai/api/echo?lines=3&1732585000000")
    assert from_lab.json() == {"lines": "3"}
    for method in ("GET", "POST", "DELETE"):
        assert (await served.stranger.request(method, "bai/api/echo")).status_code == 403
    served.forbidden()
    for method in ("GET", "POST", "DELETE"):
        assert (await served.allowed.request(method, "bai/api/echo")).status_code == 403


@pytest.mark.parametrize(
    ("params", "field"),
    [({"other": "1"}, "option"), ({"lines": ["1", "2"]}, "lines")],
)
async def test_an_option_that_is_not_known_is_refused_by_name(
    serve: Serve, echo: list[str], params: dict[str, Any], field: str
) -> None:
    served = await serve("echo")
    answer = await served.allowed.get("bai/api/echo", params=params)
    assert (answer.status_code, answer.json()["field"]) == (400, field)


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (b"{", "body"),
        (b"[]", "body"),
        (b"[" * 100_000, "body"),
        (b'{"other": 1}', "body"),
        (b'{"count": true}', "count"),
        (b'{"name": null}', "name"),
    ],
)
async def test_a_body_of_another_shape_is_refused_by_name(
    serve: Serve, echo: list[str], content: bytes, field: str
) -> None:
    served = await serve("echo")
    answer = await served.allowed.post("bai/api/echo", content=content)
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert len(answer.content) < 400


async def test_what_went_wrong_inside_is_not_told_outside(serve: Serve, echo: list[str]) -> None:
    served = await serve("echo")
    answer = await served.allowed.delete("bai/api/echo")
    assert answer.status_code == 500
    assert answer.json() == {"message": "Internal Server Error"}


async def test_the_server_goes_on_without_a_broken_part(serve: Serve, echo: list[str]) -> None:
    served = await serve("there_is_no_such_part", "echo")
    assert (await served.allowed.get("bai/api/echo")).status_code == 200


async def test_what_succeeds_leaves_the_log_to_what_matters(
    serve: Serve, echo: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    def loud(handler: Any) -> None:
        sys.stderr.write(f"200 GET {handler.request.uri}\n")

    served = await serve("echo", config={"ServerApp": {"tornado_settings": {"log_function": loud}}})
    served.app.log_level = logging.INFO
    await served.allowed.get("bai/api/echo", params={"lines": "succeeds"})
    await served.allowed.get("bai/api/echo", params={"other": "refused"})
    told = capsys.readouterr().err
    assert "lines=succeeds" not in told
    assert "400 GET /user/alice/one/bai/api/echo?other=refused" in told


async def test_a_part_that_ends_in_an_error_begins_again(
    serve: Serve, echo: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bai_spawner.server_extension.app.FIRST_PAUSE", 0.01)
    begun = asyncio.Event()

    async def run() -> None:
        if not echo:
            echo.append("failed")
            raise OSError("on demand")
        begun.set()

    monkeypatch.setattr(sys.modules[f"{SERVER}.echo"], "part", lambda _: Part(run=run))
    await serve("echo")
    await asyncio.wait_for(begun.wait(), 5)


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("GET /x?token=abc HTTP", "GET /x?token=[secret] HTTP"),
        ("ws://h/ws?a=1&token=abc&b=2", "ws://h/ws?a=1&token=[secret]&b=2"),
        ("uri='/x?_xsrf=a|b', x", "uri='/x?_xsrf=[secret]', x"),
        ("my token=abc 100%", "my token=abc 100%"),
    ],
)
def test_a_token_in_an_address_is_kept_out_of_the_log(told: str, kept: str) -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "%s", (told,), None)
    assert without_tokens(record)
    assert record.getMessage() == kept


async def test_what_a_part_does_ends_with_the_server(serve: Serve, echo: list[str]) -> None:
    served = await serve("echo")
    await served.allowed.get("bai/api/echo")
    assert echo == ["began"]
    await served.app._cleanup()
    assert echo == ["began", "ended"]
