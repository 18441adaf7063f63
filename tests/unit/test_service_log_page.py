"""The page of an ended session's log: whom it is for, where it leads, and what it says instead."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("jupyterhub")

from jupyterhub._data import DATA_FILES_PATH

from bai_spawner.form import TEMPLATES
from bai_spawner.reasons import End, Ending, Status
from bai_spawner.records import Records, RecordsError
from bai_spawner.service.app import make_app
from bai_spawner.service.board import Board
from tests.recorded import a_facts
from tests.service import BASE, HUB, NAVIGATION, PREFIX, FakeHub, Page, has_traceback, serving

PATHS = (str(TEMPLATES), f"{DATA_FILES_PATH}/templates")
BOLD = "<b>bold</b>"
Login = Callable[..., Any]


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    made = Records(f"sqlite:///{tmp_path}/records.sqlite")
    yield made
    made.close()


@pytest.fixture
async def board(tmp_path: Path, records: Records) -> AsyncIterator[Board]:
    made = Board(f"sqlite:///{tmp_path}/records.sqlite", HUB)
    yield made
    made.records.close()


@pytest.fixture
async def login(hub: FakeHub, board: Board) -> AsyncIterator[Login]:
    """Brings in a user of the hub."""
    pages: list[Page] = []
    async with serving(make_app(PREFIX, BASE, board, template_paths=PATHS)) as url:

        async def enter(name: str, **model: Any) -> Page:
            page = Page(url, hub.add(name, **model))
            pages.append(page)
            await page.visit()
            return page

        yield enter
        for page in pages:
            await page.http.aclose()


def record(records: Records, status: Status, **facts: Any) -> None:
    """Have a session of ada's come to a status."""
    now = datetime.now(UTC)
    records.begin(a_facts("one", **facts), at=now)
    if status.is_live:
        records.advance("one", status, at=now)
    else:
        records.end("one", End(Ending.USER), "what it said\n", at=now)


async def look(page: Page, session: str = "one", **headers: str) -> httpx.Response:
    return await page.http.get(f"{PREFIX}log/{session}", headers=NAVIGATION | headers)


async def test_an_ended_session_has_a_page_for_its_log(records: Records, login: Login) -> None:
    record(records, Status.TERMINATED, name=BOLD)
    answer = await look(await login("ada"))
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=UTF-8"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "<h1>Log of &lt;b&gt;bold&lt;/b&gt;</h1>" in answer.text
    assert BOLD not in answer.text
    assert "what it said" not in answer.text, "its scripts ask for it"
    assert "viewer/log.css" in answer.text
    assert "of ada" not in answer.text
    assert "of ada" in (await look(await login("root", admin=True))).text


@pytest.mark.parametrize(
    ("status", "place"),
    [
        (Status.PENDING, "hub/spawn-pending/ada/s1"),
        (Status.PREPARING, "hub/spawn-pending/ada/s1"),
        (Status.RUNNING, "user/ada/s1/bai/log"),
    ],
)
async def test_a_session_that_lives_leads_to_what_it_shows_itself(
    records: Records, login: Login, status: Status, place: str
) -> None:
    record(records, status)
    answer = await look(await login("ada"))
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{BASE}{place}")


async def test_a_session_that_is_ending_says_so(records: Records, login: Login) -> None:
    record(records, Status.TERMINATING, name=BOLD)
    answer = await look(await login("ada"))
    assert answer.status_code == 200
    assert "&lt;b&gt;bold&lt;/b&gt; is ending" in answer.text
    assert "as soon as it has ended" in answer.text


@pytest.mark.parametrize("session", ["one", "none", "%00", "..%2f..%2fone"])
@pytest.mark.parametrize("status", [Status.RUNNING, Status.TERMINATED])
async def test_anothers_session_is_none_in_the_same_words(
    records: Records, login: Login, session: str, status: Status
) -> None:
    record(records, status)
    answer = await look(await login("grace"), session)
    nothing = await look(await login("henry"), "nothing")
    assert answer.status_code == nothing.status_code == 404
    assert "There is no such session" in answer.text
    assert (
        answer.text.replace("grace", "henry").partition("</main>")[0].partition("<main")[2]
        == (nothing.text.partition("</main>")[0].partition("<main")[2])
    )


async def test_records_that_are_away_are_no_missing_session(
    board: Board, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: str) -> None:
        raise RecordsError("the database at /secret is away")

    monkeypatch.setattr(board.records, "get", away)
    answer = await look(await login("ada"))
    assert answer.status_code == 503
    assert "The log cannot be shown now" in answer.text
    assert "secret" not in answer.text
    assert not has_traceback(answer.text)


async def test_who_is_not_logged_in_is_led_to_the_login_and_back(
    records: Records, login: Login
) -> None:
    record(records, Status.TERMINATED)
    page = await login("ada")
    page.http.cookies.clear()
    answer = await look(page)
    assert answer.status_code == 302
    assert "/oauth2/authorize?" in answer.headers["Location"]
    again = await page.log_in(NAVIGATION, "log/one")
    assert (again.status_code, "Log of work" in again.text) == (200, True)
    page.http.cookies.clear()
    assert (await look(page, **{"Sec-Fetch-Mode": "cors"})).status_code == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_nothing_is_changed_by_the_page(records: Records, login: Login, method: str) -> None:
    record(records, Status.TERMINATED)
    assert (await (await login("ada")).ask(method, "log/one")).status_code == 405
