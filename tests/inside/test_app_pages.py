"""The page that starts an app, and icons: what is sent, and what it may do."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.inside.conftest import BASE, Serve, Served

ICON = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
MakeSession = Callable[..., Awaitable[Served]]
HTML = {"Accept": "text/html,*/*;q=0.8"}


@pytest.fixture
def session(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeSession:
    """A session with an app that does not run; ``more`` is said of it beside."""
    file = tmp_path / "apps.json"
    monkeypatch.setattr("bai_spawner.apps.APPS_FILE", file)

    async def make(**more: Any) -> Served:
        board = {"name": "board", "title": "Board", "command": ["board", "{port}"], **more}
        file.write_text(json.dumps([board]))
        served: Served = await serve("apps")
        return served

    return make


PAGES = ["bai/apps/board", "bai/apps/board/icon.svg", "bai/apps/static/starting.js"]


@pytest.mark.parametrize("url", PAGES)
async def test_only_who_may_use_the_session_gets_a_page(
    session: MakeSession, tmp_path: Path, url: str
) -> None:
    icon = tmp_path / "icon.svg"
    icon.write_text(ICON)
    served = await session(icon=str(icon))
    stranger = await served.stranger.get(url)
    assert stranger.status_code == 302
    assert stranger.headers["location"].startswith(f"{BASE}login?next=")
    assert (await served.allowed.get(url)).status_code == 200
    served.forbidden()
    assert (await served.allowed.get(url)).status_code == 403
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert (await served.allowed.request(method, url)).status_code in {403, 405}


@pytest.mark.parametrize(
    "url",
    [
        "bai/apps/other",
        "bai/apps/other/icon.svg",
        "bai/apps/lab/other.svg",
        "bai/apps/static/other.js",
        "bai/apps/static/..%2Fpages.py",
        "bai/apps/static/starting.html",
        "bai/apps/..%2F..%2Fetc",
        "bai/apps/board/icon.svg/",
    ],
)
async def test_what_is_not_there_is_not_found(session: MakeSession, url: str) -> None:
    served = await session()
    assert (await served.allowed.get(url, follow_redirects=True)).status_code == 404


async def test_the_page_runs_nothing_but_our_script_and_holds_names_as_text(
    session: MakeSession,
) -> None:
    served = await session(title='<b>"Board" & \'$base</b>')
    answer = await served.allowed.get("bai/apps/board?directory=<script>alert(1)</script>")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == (
        "default-src 'self'; base-uri 'none'; form-action 'self'; object-src 'none'; "
        "frame-ancestors 'self'"
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "&lt;b&gt;&quot;Board&quot; &amp; &#x27;$base&lt;/b&gt;" in answer.text
    assert "<b>" not in answer.text
    assert "alert(1)" not in answer.text
    assert answer.text.count("<script") == 1
    assert "style=" not in answer.text
    assert f'data-base="{BASE}"' in answer.text
    for name, kind in (("starting.js", "text/javascript"), ("starting.css", "text/css")):
        assert f"static/{name}" in answer.text
        part = await served.allowed.get(f"bai/apps/static/{name}")
        assert part.headers["content-type"] == f"{kind}; charset=utf-8"
        assert part.headers["x-content-type-options"] == "nosniff"


async def test_looking_at_the_page_starts_nothing(session: MakeSession) -> None:
    served = await session(command=["x", "{port}", "{directory}"], asks="directory")
    await served.allowed.get("bai/apps/board?directory=.")
    assert (await served.allowed.get("bai/api/apps/board")).json()["state"] == "stopped"


@pytest.mark.parametrize(("name", "path"), [("lab", "lab"), ("terminal", "terminal/")])
async def test_a_page_of_the_server_itself_is_gone_to(
    session: MakeSession, name: str, path: str
) -> None:
    served = await session()
    answer = await served.allowed.get(f"bai/apps/{name}")
    assert (answer.status_code, answer.headers["location"]) == (302, f"{BASE}{path}")


async def test_who_opens_an_app_that_does_not_run_is_sent_to_the_page(
    session: MakeSession,
) -> None:
    served = await session()
    for url in ("board/", "board/some/where?x=1"):
        answer = await served.allowed.get(url, headers=HTML)
        assert (answer.status_code, answer.headers["location"]) == (302, f"{BASE}bai/apps/board")
        assert (await served.allowed.get(url)).status_code == 503
        assert (await served.allowed.post(url, headers=HTML)).status_code == 503
    answer = await served.allowed.get("board", headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (302, f"{BASE}board/")
    refused = await served.stranger.get("board/", headers=HTML)
    assert refused.status_code == 403


async def test_an_icon_is_a_picture_and_as_a_document_may_do_nothing(
    session: MakeSession, tmp_path: Path
) -> None:
    icon = tmp_path / "icon.svg"
    icon.write_text(ICON)
    served = await session(icon=str(icon))
    answer = await served.allowed.get("bai/apps/board/icon.svg")
    assert answer.text == ICON
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == (
        "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'self'"
    )


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "huge", "none"])
async def test_what_is_no_picture_is_not_found(
    session: MakeSession, tmp_path: Path, kind: str
) -> None:
    icon = tmp_path / "icon.svg"
    if kind == "folder":
        icon.mkdir()
    elif kind == "pipe":
        os.mkfifo(icon)
    elif kind == "huge":
        icon.write_bytes(b" " * (128 * 1024 + 1))
    served = await session(icon="" if kind == "none" else str(icon))
    assert (await served.allowed.get("bai/apps/board/icon.svg")).status_code == 404
