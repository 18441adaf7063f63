"""Every address of every part, by every method: nobody gets in without the right to."""

from __future__ import annotations

from pathlib import Path

import pytest
from tornado.web import RequestHandler

from bai_spawner import tunnel
from bai_spawner.server_extension.app import PARTS, SessionApp
from bai_spawner.server_extension.ssh.server import SshServer
from tests.inside.conftest import Serve, Served

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
ADDRESSES = {
    r"bai/api/ssh": "bai/api/ssh",
    r"bai/api/ssh/key": "bai/api/ssh/key",
    r"bai/api/log": "bai/api/log",
    r"bai/log": "bai/log",
    r"bai/api/usage": "bai/api/usage",
    r"bai/api/apps": "bai/api/apps",
    r"bai/api/apps/([^/]+)": "bai/api/apps/lab",
    r"bai/api/apps/([^/]+)/output": "bai/api/apps/lab/output",
    r"bai/api/apps/([^/]+)/directories": "bai/api/apps/lab/directories",
    r"bai/apps/([^/]+)": "bai/apps/lab",
    r"bai/apps/([^/]+)/icon.svg": "bai/apps/lab/icon.svg",
    r"proxy(?:/.*)?": "proxy/8080/",
    r"bai/api/activity": "bai/api/activity",
    r"bai/api/limits": "bai/api/limits",
    r"bai/api/limits/extend": "bai/api/limits/extend",
    r"bai/api/openings": "bai/api/openings",
    r"bai/api/openings/([^/]+)": "bai/api/openings/one",
    r"bai/api/session": "bai/api/session",
    r"bai/api/losses": "bai/api/losses",
    r"bai/api/rescue": "bai/api/rescue",
    r"bai/api/terminate": "bai/api/terminate",
    r"terminal": "terminal",
    r"terminal/(.*)": "terminal/",
}
"""By pattern, an address that it stands for."""
PUBLIC = {
    r"bai/log/static/([a-z]+\.(?:css|js))": "bai/log/static/page.js",
    r"bai/apps/static/(starting.css|starting.js)": "bai/apps/static/starting.js",
}
"""Our own scripts and styles, the same for everybody: a browser loads modules without a token."""
KEYED = {r"bai/tunnel/([^/]+)": "bai/tunnel/lab"}
"""Opened by the session's key: a token is neither needed nor enough, and a right is nothing."""
KEY = tunnel.key_of(b"a secret", "of a session")


@pytest.fixture
async def served(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Served:
    """A server with all parts; its keys are in the test's own folders, and it has no sshd."""
    defaults = {"home": tmp_path / "work", "run": tmp_path / "ssh", "command": ("false",)}
    monkeypatch.setattr(SshServer.__init__, "__kwdefaults__", defaults)
    monkeypatch.setattr("bai_spawner.tunnel.KEY_FILE", tmp_path / "tunnel.key")
    (tmp_path / "tunnel.key").write_text(KEY)
    started: Served = await serve(*PARTS)
    return started


def answered(served: Served) -> dict[str, set[str]]:
    """By pattern, the methods that a part answers."""
    (app,) = served.app.extension_manager.extension_apps["bai_spawner.server_extension"]
    assert isinstance(app, SessionApp)
    none = RequestHandler._unimplemented_method
    return {
        pattern: {m for m in METHODS if getattr(handler, m.lower()) is not none}
        for pattern, handler, *_ in app.handlers
    }


async def test_every_address_is_known_here(served: Served) -> None:
    assert set(answered(served)) == {*ADDRESSES, *PUBLIC, *KEYED}


async def test_without_a_token_nothing_is_answered(served: Served) -> None:
    methods = answered(served)
    for pattern, address in ADDRESSES.items():
        for method in METHODS:
            answer = await served.stranger.request(method, address)
            login = answer.status_code == 302 and "/login?" in answer.headers["Location"]
            refused = answer.status_code == 403
            unknown = answer.status_code == 405 and method not in methods[pattern]
            assert login or refused or unknown, (method, address, answer.status_code)


async def test_with_a_token_and_without_the_right_nothing_is_answered(served: Served) -> None:
    methods = answered(served)
    served.forbidden()
    for pattern, address in ADDRESSES.items():
        for method in methods[pattern] or {"GET", "POST"}:
            answer = await served.allowed.request(method, address)
            slash = answer.headers.get("Location", "").endswith(f"{address}/")
            assert answer.status_code == 403 or slash, (method, address, answer.status_code)


async def test_what_is_opened_by_a_key_is_answered_to_nobody_without_it(served: Served) -> None:
    methods = answered(served)
    for pattern, address in KEYED.items():
        for client in (served.stranger, served.allowed):
            for method in METHODS:
                answer = await client.request(method, address)
                expected = 403 if method in methods[pattern] else 405
                assert answer.status_code == expected, (method, address)
        with_key = {tunnel.HEADER: KEY, "Connection": "Upgrade", "Upgrade": tunnel.PROTOCOL}
        answer = await served.stranger.get(address, headers=with_key)
        assert answer.status_code == 409  # a page of the server itself, which has no tunnel


async def test_a_method_that_an_address_does_not_know_is_refused(served: Served) -> None:
    for pattern, known in answered(served).items():
        if pattern.startswith("terminal"):  # hands on whatever comes
            continue
        address = {**ADDRESSES, **PUBLIC, **KEYED}[pattern]
        for method in METHODS if known else ():
            answer = await served.allowed.request(method, address)
            assert (answer.status_code == 405) == (method not in known), (method, address)
            assert answer.status_code != 500, (method, address, answer.text)
