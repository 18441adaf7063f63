"""The API of sessions by every door: who sees, ends and prolongs which, and what is refused."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from pathlib import Path
from typing import Any

import httpx
import pytest
from tornado.web import Application, RequestHandler

pytest.importorskip("jupyterhub")

from bai_spawner import bulletin
from bai_spawner.app_proxy.client import Client
from bai_spawner.apps import App
from bai_spawner.bulletin import Told
from bai_spawner.reasons import End, Ending, Status
from bai_spawner.records import Begun, Opening, Query, Records, RecordsError, SessionRecord
from bai_spawner.service import events, flowing, sessions
from bai_spawner.service.app import make_app
from bai_spawner.service.board import Board
from bai_spawner.service.feed import MOST_VIEWS, Feed, State, Viewer
from bai_spawner.service.looking import Look
from bai_spawner.service.model import Seen
from tests.examples import catalog_data, small_catalog
from tests.recorded import a_facts, a_record
from tests.service import BASE, HUB, NAVIGATION, PREFIX, FakeHub, Page, has_traceback, serving

BOLD = "<b>bold</b>"
ODD = "ada/../gr ace?#%☃"
NOW = datetime.now(UTC)
USE = {
    "cpu": 0.5,
    "memory": 1,
    "disk": 2,
    "io_read": 0,
    "io_written": 0,
    "processes": 3,
    "oom_kills": 0,
    "gpu_memory": {},
}
WITH_PROXY = pytest.mark.parametrize("app_proxy", [Client(Path("no-such-socket"))], ids=[""])
NO_SESSION = {"message": "there is no such session"}


class HubServers(RequestHandler):
    """The hub's answer to who ends a server: what a test says, and what it was asked."""

    hub: FakeHub
    answers: list[int]
    ended: list[tuple[str, str]]

    def delete(self, path: str) -> None:
        self.ended.append(
            (self.request.uri.partition("/users/")[2], self.request.headers["Authorization"])
        )
        self.set_status(self.answers.pop() if self.answers else 202)
        if self.get_status() == 400:
            self.finish({"status": 400, "message": "Cannot stop it while it is being renamed"})


@pytest.fixture
async def hub() -> AsyncIterator[FakeHub]:
    made = FakeHub.instance()
    HubServers.hub, HubServers.answers, HubServers.ended = made, [], []
    async with serving(Application([(r"/hub/api/users/(.+)", HubServers)])) as url:
        made.api_url = f"{url}/hub/api"
        yield made
    made.close()


@pytest.fixture
def records(url_of_records: str) -> Iterator[Records]:
    made = Records(url_of_records)
    made.publish(HUB, bulletin.CATALOGUE, bulletin.catalogue(small_catalog()), at=NOW)
    yield made
    made.close()


@pytest.fixture
def app_proxy() -> Client | None:
    """What opens apps on ports of the host: there is none, unless a test has one."""
    return None


@pytest.fixture
async def app(
    hub: FakeHub, url_of_records: str, app_proxy: Client | None
) -> AsyncIterator[Application]:
    board = Board(url_of_records, HUB)
    made = make_app(PREFIX, BASE, board, app_proxy=app_proxy)
    made.settings["feed"] = Feed(Look(board), every=0.05)
    yield made
    board.records.close()


@pytest.fixture
async def url(app: Application) -> AsyncIterator[str]:
    async with serving(app) as found:
        yield found


@pytest.fixture
async def root(login: Callable[..., Any]) -> Page:
    return await login("root", admin=True)


def enter(
    records: Records,
    session: str,
    status: Status = Status.RUNNING,
    *,
    ago: float = 60,
    **facts: Any,
) -> None:
    """A session that was admitted so many seconds ago."""
    made = a_facts(session, **{"server": f"server-{session}", **facts})
    records.begin(made, at=NOW - timedelta(seconds=ago), status=Status.PENDING)
    if status is not Status.PENDING:
        records.advance(session, status, at=NOW - timedelta(seconds=ago - 1))


def finish(records: Records, session: str, ending: Ending = Ending.USER, log: str = "") -> None:
    records.end(session, End(ending), log, at=NOW)


def publish(records: Records, told: dict[str, Told], *, ago: float = 0) -> None:
    at = datetime.now(UTC) - timedelta(seconds=ago)
    uses = dict.fromkeys(told, USE)
    records.publish(HUB, bulletin.STATISTICS, bulletin.statistics(uses), at=at)
    records.publish(HUB, bulletin.SESSIONS, bulletin.sessions(told), at=at)


def open_app(records: Records, session: str, app: str, *, public: bool = True) -> None:
    line = Opening(
        id=f"{session}-{app}",
        session=session,
        app=app,
        port=30001,
        public=public,
        opened_at=NOW,
        opened_by="ada",
        opened_from="192.0.2.7",
    )
    assert records.openings.begin(line) is Begun.ADDED


def close_app(records: Records, session: str, app: str) -> None:
    assert records.openings.end(f"{session}-{app}", at=NOW, by="ada", why="no more")


async def listed(page: Page, query: str = "") -> dict[str, Any]:
    answer = await page.ask("GET", f"api/sessions?{query}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("application/json")
    found: dict[str, Any] = answer.json()
    return found


def ids(found: dict[str, Any]) -> list[str]:
    return [session["id"] for session in found["sessions"]]


# ---- the list


async def test_a_user_sees_their_own_sessions_and_a_superadmin_everyones(
    records: Records, ada: Page, root: Page
) -> None:
    enter(records, "mine", name=BOLD)
    enter(records, "hers", user="grace", ago=30)
    enter(records, "elsewhere", hub="another")
    found = await listed(ada)
    assert ids(found) == ["mine"]
    assert found["sessions"][0]["name"] == BOLD, "as it is: a page makes text of it"
    assert found["counts"] == {"running": 1, "finished": 0, "others": 0}
    assert found["choices"] == {
        "users": [],
        "groups": [{"key": "default", "title": "Default"}],
        "environments": [{"key": "python", "title": "Python"}],
    }
    all_of_them = await listed(root)
    assert ids(all_of_them) == ["hers", "mine"]
    assert all_of_them["choices"]["users"] == ["ada", "grace"]
    one = await listed(root, "user=grace")
    assert (ids(one), one["counts"]["running"], one["total"]) == (["hers"], 1, 1)


async def test_a_user_who_asks_for_anothers_sessions_is_answered_as_for_nobodys(
    records: Records, ada: Page
) -> None:
    """S17."""
    enter(records, "mine")
    enter(records, "hers", user="grace", group="gpu")
    answers = []
    for name in ("grace", "nobody"):
        found = await listed(ada, f"user={name}")
        del found["now"]
        answers.append(found)
    assert answers[0] == answers[1]
    assert (answers[0]["sessions"], answers[0]["total"]) == ([], 0)
    assert answers[0]["counts"] == {"running": 0, "finished": 0, "others": 0}
    assert answers[0]["choices"] == {"users": [], "groups": [], "environments": []}
    assert ids(await listed(ada, "user=ada")) == ["mine"]
    assert ids(await listed(ada, "text=hers")) == []
    assert ids(await listed(ada, "group=gpu")) == []


async def test_tabs_filters_order_and_pages(records: Records, ada: Page) -> None:
    for number in range(60):
        enter(records, f"s{number:02}", name=f"work{number:02}", ago=100 - number)
    finish(records, "s05")
    finish(records, "s06", Ending.MEMORY)
    found = await listed(ada, "tab=running")
    assert (found["total"], found["page"], found["pages"], found["per_page"]) == (58, 1, 2, 50)
    assert len(found["sessions"]) == 50
    assert ids(found)[0] == "s59"
    assert len((await listed(ada, "tab=running&page=2"))["sessions"]) == 8
    assert ids(await listed(ada, "page=1000")) == []
    assert ids(await listed(ada, "tab=finished")) == ["s05"]
    assert ids(await listed(ada, "tab=others")) == ["s06"]
    assert ids(await listed(ada, "status=terminated")) == ["s05"]
    assert ids(await listed(ada, "text=WORK4&sort=name&order=asc"))[:2] == ["s40", "s41"]
    assert ids(await listed(ada, "text=%25")) == []
    assert found["counts"] == {"running": 58, "finished": 1, "others": 1}


async def test_a_list_of_nothing_is_one_empty_page(records: Records, ada: Page) -> None:
    found = await listed(ada)
    assert (found["sessions"], found["total"], found["pages"], found["age"]) == ([], 0, 1, None)


async def test_what_the_hub_published_of_a_session_is_in_its_row(
    records: Records, ada: Page
) -> None:
    enter(records, "mine")
    before = (await listed(ada))["sessions"][0]
    assert (before["used"], before["time"]) == (None, None)
    app = App("tensorboard", "TensorBoard", command=("tensorboard", "{port}"))
    publish(records, {"mine": Told((app,))}, ago=5)
    found = await listed(ada)
    (row,) = found["sessions"]
    assert (row["used"]["cpu"], row["used"]["processes"]) == (0.5, 3)
    assert row["apps"][-1]["url"] == "/my%20base/user/ada/server-mine/bai/apps/tensorboard"
    assert row["links"]["open"] == "/my%20base/user/ada/server-mine/lab"
    assert row["relaunch"]["same"].startswith("/my%20base/services/sessions/launch#environment=")
    assert 5 <= found["age"] < 60


@WITH_PROXY
async def test_how_many_apps_are_public_is_in_the_row_by_one_question_for_all_rows(
    records: Records, ada: Page, root: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    for session, user in (("mine", "ada"), ("closed", "ada"), ("over", "ada"), ("hers", "grace")):
        enter(records, session, user=user)
        open_app(records, session, "board")
    open_app(records, "mine", "code")
    open_app(records, "mine", "own", public=False)
    close_app(records, "closed", "board")
    finish(records, "over")
    kind, asked = type(records.openings), list[str | None]()
    method = kind.public

    def counted(self: Any, hub: str, user: str | None = None) -> dict[str, int]:
        asked.append(user)
        return method(self, hub, user)

    monkeypatch.setattr(kind, "public", counted)

    async def public(page: Page, query: str = "") -> dict[str, int]:
        return {one["id"]: one["public"] for one in (await listed(page, query))["sessions"]}

    assert await public(ada, "tab=running") == {"mine": 2, "closed": 0}
    assert await public(root, "tab=running") == {"mine": 2, "closed": 0, "hers": 1}
    assert await public(ada, "tab=finished") == {"over": 0}
    assert asked == ["ada", None, "ada"]
    assert (await root.ask("GET", "api/sessions/hers")).json()["public"] == 1


async def test_where_no_app_can_be_open_what_the_records_say_of_one_is_not_told(
    records: Records, ada: Page
) -> None:
    enter(records, "mine")
    open_app(records, "mine", "board")
    assert (await listed(ada))["sessions"][0]["public"] == 0
    async with following(ada) as state:
        assert (await state())["public"] == {}


async def test_without_a_catalogue_the_list_is_there(
    hub: FakeHub, login: Callable[..., Any], url_of_records: str
) -> None:
    bare = Records(url_of_records)
    enter(bare, "mine")
    page = await login("ada")
    (row,) = (await listed(page))["sessions"]
    assert row["environment"]["title"] == "python"
    bare.publish(HUB, bulletin.CATALOGUE, '{"of": "another version"}', at=NOW)
    assert ids(await listed(page)) == ["mine"]
    bare.close()


async def test_a_lists_version_is_that_of_what_its_viewer_sees(
    records: Records, ada: Page, root: Page
) -> None:
    enter(records, "mine")
    mine, everyones = (await listed(ada))["version"], (await listed(root))["version"]
    enter(records, "hers", user="grace")
    assert (await listed(ada))["version"] == mine
    assert (await listed(root))["version"] != everyones
    finish(records, "mine")
    assert (await listed(ada))["version"] != mine
    assert (await listed(ada, "tab=others&page=3"))["version"] == (await listed(ada))["version"]


@pytest.mark.parametrize("path", ["api/sessions", "api/sessions.csv"])
@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("page=0", "page"),
        ("page=" + "1" + "0" * 30, "page"),
        ("sort=nonsense", "sort"),
        ("unknown=1", "query"),
        ("tab=running&tab=others", "tab"),
        ("text=" + "x" * 201, "text"),
        ("user=%FF%FE", "user"),
        (f"sort={BOLD}%0D%0AX: y", "sort"),
    ],
)
async def test_a_question_that_is_not_understood_is_refused(
    records: Records, ada: Page, path: str, query: str, names: str
) -> None:
    answer = await ada.ask("GET", f"{path}?{query}")
    assert answer.status_code == 400
    if path == "api/sessions.csv" and names == "page":
        names = "query"
    assert answer.json()["message"].startswith(f"{names}: ")
    assert not has_traceback(answer.text)


# ---- as a table


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


async def test_every_session_that_is_asked_for_is_in_the_table(
    records: Records, ada: Page, root: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "LINES_AT_ONCE", 7)
    for number in range(60):
        enter(records, f"s{number:02}", name="=cmd()", ago=100 - number)
    enter(records, "hers", user="grace")
    answer = await ada.ask("GET", "api/sessions.csv?sort=created&order=asc")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="sessions.csv"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert [line["id"] for line in table(answer.text)] == [f"s{n:02}" for n in range(60)]
    assert {line["name"] for line in table(answer.text)} == {"'=cmd()"}
    whole = await root.ask("GET", "api/sessions.csv")
    assert len(table(whole.text)) == 61
    hers = await root.ask("GET", "api/sessions.csv?user=grace")
    assert [line["id"] for line in table(hers.text)] == ["hers"]


async def test_a_table_of_anothers_sessions_is_as_empty_as_one_of_nobodys(
    records: Records, ada: Page
) -> None:
    enter(records, "hers", user="grace")
    answers = [await ada.ask("GET", f"api/sessions.csv?user={u}") for u in ("grace", "nobody")]
    assert answers[0].content == answers[1].content
    assert table(answers[0].text) == []


async def test_a_table_that_breaks_off_is_not_taken_for_all_of_it(
    records: Records, ada: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "LINES_AT_ONCE", 2)
    for number in range(5):
        enter(records, f"s{number}")
    whole = Records.each

    def breaks(self: Records, hub: str, query: Query) -> Iterator[SessionRecord]:
        yield from islice(whole(self, hub, query), 3)
        raise RecordsError("cannot read the records: they are gone")

    monkeypatch.setattr(Records, "each", breaks)
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
        await ada.ask("GET", "api/sessions.csv")
    monkeypatch.setattr(sessions, "LINES_AT_ONCE", 10)
    assert (await ada.ask("GET", "api/sessions.csv")).status_code == 503


async def test_a_table_is_a_link_that_may_be_followed(records: Records, ada: Page) -> None:
    answer = await ada.http.get(f"{PREFIX}api/sessions.csv", headers=NAVIGATION)
    assert answer.status_code == 200


# ---- one session


async def test_one_session_is_told_with_its_history(
    records: Records, ada: Page, root: Page
) -> None:
    enter(records, "mine", variables=("TOKEN",), folders=("data:rw",))
    for page in (ada, root):
        found = (await page.ask("GET", "api/sessions/mine")).json()
        assert [change["status"] for change in found["changes"]] == ["pending", "running"]
        assert found["variables"] == ["TOKEN"]
        assert found["folders"] == [{"name": "data", "mode": "rw"}]


ADDRESSES = [
    (method, f"api/sessions/{{}}{rest}")
    for rest in ("", "/extend", "/log")
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
]


@pytest.mark.parametrize(("method", "path"), ADDRESSES)
async def test_anothers_session_answers_like_none_byte_for_byte(
    records: Records, ada: Page, method: str, path: str
) -> None:
    """S17, alive and ended, with a body that would be right and one that is not."""
    enter(records, "alive", user="grace")
    enter(records, "ended", user="grace")
    enter(records, "far", hub="another")
    finish(records, "ended", log="a secret")
    told = []
    for session in ("none", "alive", "ended", "far", "%00", "..%2Fmine", "%F0%9F%92%A9", "x" * 300):
        for body in (b'{"what": "idle"}', b"[]", b""):
            for query in ("", "?a=b"):
                answer = await ada.ask(method, path.format(session) + query, content=body)
                headers = {k: v for k, v in answer.headers.items() if k != "date"}
                told.append((answer.status_code, answer.content, headers))
    assert all(one == told[0] for one in told)
    assert told[0][0] in {404, 405}
    assert HubServers.ended == []


async def test_no_address_is_answered_to_nobody_or_to_a_sessions_own_token(
    hub: FakeHub, records: Records, url: str
) -> None:
    """By no method, and before anything is looked at."""
    enter(records, "mine")
    own = hub.add("ada", scopes=["access:servers!server=ada/server-mine"])
    paths = [path.format("mine") for _, path in ADDRESSES]
    async with httpx.AsyncClient(base_url=url) as client:
        for headers in ({}, {"Authorization": f"token {own}"}, {"Authorization": "token none"}):
            for path in {*paths, "api/sessions", "api/sessions.csv", "api/events"}:
                for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
                    answer = await client.request(method, PREFIX + path, headers=headers)
                    assert answer.status_code == 403, (method, path, answer.text)
                    assert "mine" not in answer.text


@pytest.mark.parametrize(("method", "path"), ADDRESSES)
async def test_a_change_needs_the_token_of_the_visit(
    records: Records, ada: Page, method: str, path: str
) -> None:
    """S14."""
    enter(records, "mine")
    for headers in (
        {"X-XSRFToken": ""},
        {"X-XSRFToken": "wrong"},
        *([] if method in {"GET", "HEAD", "OPTIONS"} else [{"Sec-Fetch-Mode": "no-cors"}]),
    ):
        answer = await ada.ask(method, path.format("mine"), headers=headers)
        assert answer.status_code == 403
    assert HubServers.ended == []


# ---- ended


async def test_a_session_is_ended_by_the_hub_with_the_visitors_own_token(
    records: Records, ada: Page, root: Page
) -> None:
    enter(records, "mine")
    enter(records, "starting", Status.PREPARING)
    for page, session in ((ada, "mine"), (ada, "starting"), (root, "mine")):
        answer = await page.ask("DELETE", f"api/sessions/{session}")
        assert (answer.status_code, answer.json()) == (202, {})
    assert HubServers.ended == [
        ("ada/servers/server-mine", f"token {ada.token}"),
        ("ada/servers/server-starting", f"token {ada.token}"),
        ("ada/servers/server-mine", f"token {root.token}"),
    ]


async def test_whatever_a_user_is_called_it_is_their_server_that_ends(
    records: Records, login: Callable[..., Any]
) -> None:
    odd = await login(ODD)
    enter(records, "mine", user=ODD)
    enter(records, "default", user=ODD, server="")
    for session in ("mine", "default"):
        assert (await odd.ask("DELETE", f"api/sessions/{session}")).status_code == 202
    name = "ada%2F..%2Fgr%20ace%3F%23%25%E2%98%83"
    assert [path for path, _ in HubServers.ended] == [
        f"{name}/servers/server-mine",
        f"{name}/server",
    ]


async def test_what_ended_is_not_ended_again_and_says_why_it_did(
    records: Records, ada: Page
) -> None:
    enter(records, "mine")
    finish(records, "mine", Ending.IDLE)
    answer = await ada.ask("DELETE", "api/sessions/mine")
    assert answer.status_code == 409
    told = "the session is over: ended because nothing ran in it for too long"
    assert answer.json() == {"message": told}
    assert HubServers.ended == []


@pytest.mark.parametrize(
    ("hubs", "ours", "told"),
    [
        (204, 202, ""),
        (404, 409, "the hub has no server of this session"),
        (403, 403, "this token may not end sessions"),
        (400, 409, "Cannot stop it while it is being renamed"),
        (500, 503, "the hub does not answer now"),
        (503, 503, "the hub does not answer now"),
        (302, 202, ""),
    ],
)
async def test_what_the_hub_says_of_an_end_is_passed_on(
    records: Records, ada: Page, hubs: int, ours: int, told: str
) -> None:
    enter(records, "mine")
    HubServers.answers.append(hubs)
    answer = await ada.ask("DELETE", "api/sessions/mine")
    assert answer.status_code == ours
    assert answer.json().get("message", "").startswith(told)


async def test_a_hub_that_is_away_ends_nothing_and_is_said_to_be(
    hub: FakeHub, records: Records, ada: Page
) -> None:
    enter(records, "mine")
    hub.api_url = "http://127.0.0.1:1/hub/api"
    answer = await ada.ask("DELETE", "api/sessions/mine")
    assert answer.status_code == 503
    assert answer.json() == {"message": "the hub does not answer now; try again"}
    hub.cache.clear()
    hub.is_away = True
    for method, path in (("GET", "api/sessions"), ("GET", "api/events")):
        assert (await ada.ask(method, path)).status_code == 503


# ---- prolonged


def limited(**time: Any) -> Any:
    policies = catalog_data()["policies"]
    policies[-1]["time"] = time
    return small_catalog(policies=policies)


async def test_a_session_is_extended_as_often_as_its_policy_says(
    records: Records, ada: Page, root: Page
) -> None:
    catalog = limited(lifetime="1h", extend="30m", extensions=2)
    records.publish(HUB, bulletin.CATALOGUE, bulletin.catalogue(catalog), at=datetime.now(UTC))
    enter(records, "mine")
    left = []
    for page in (ada, root):
        answer = await page.ask("POST", "api/sessions/mine/extend", json={"what": "lifetime"})
        assert answer.status_code == 200, answer.text
        left.append(answer.json()["time"]["lifetime"]["left"])
    assert left == [1, 0]
    answer = await ada.ask("POST", "api/sessions/mine/extend", json={"what": "lifetime"})
    assert answer.status_code == 409
    assert answer.json() == {
        "message": "its time was extended 2 times, and cannot be extended further"
    }


async def test_keeping_a_session_counts_as_use(records: Records, ada: Page) -> None:
    catalog = limited(idle="1h")
    records.publish(HUB, bulletin.CATALOGUE, bulletin.catalogue(catalog), at=datetime.now(UTC))
    enter(records, "mine", ago=3000)
    at = datetime.now(UTC)
    records.report("mine", at=at, last=at - timedelta(seconds=2900), busy=False, because="")
    answer = await ada.ask("POST", "api/sessions/mine/extend", json={"what": "idle"})
    assert answer.status_code == 200
    since = datetime.fromisoformat(answer.json()["time"]["idle"]["since"])
    assert since >= at - timedelta(seconds=1)


@pytest.mark.parametrize("what", ["idle", "lifetime"])
async def test_a_session_without_that_limit_or_at_its_end_has_nothing_to_extend(
    records: Records, ada: Page, what: str
) -> None:
    enter(records, "mine")
    enter(records, "over")
    finish(records, "over")
    for session in ("mine", "over"):
        answer = await ada.ask("POST", f"api/sessions/{session}/extend", json={"what": what})
        assert answer.status_code == 409
        assert not has_traceback(answer.text)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"{}", b"\xff", b"[" * 10_000),
        *(b'{"what": "all"}', b'{"what": 1}', b'{"what": ["idle"]}', b'{"what": null}'),
        b'{"what": "idle", "more": 1}',
    ],
)
async def test_an_extension_that_is_not_understood_is_refused(
    records: Records, ada: Page, body: bytes
) -> None:
    enter(records, "mine")
    answer = await ada.ask("POST", "api/sessions/mine/extend", content=body)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(("body: ", "what: "))


# ---- the log


async def test_the_log_of_what_ended_is_plain_text_as_it_was_kept(
    records: Records, ada: Page
) -> None:
    log = f"\x1b[31mred\x1b[0m {BOLD}\r\nnext ☃\n"
    enter(records, "mine")
    enter(records, "silent")
    finish(records, "mine", log=log)
    finish(records, "silent")
    answer = await ada.ask("GET", "api/sessions/mine/log")
    assert answer.content.decode() == log
    assert answer.headers["Content-Type"] == "text/plain; charset=UTF-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Bai-Log"] == "kept"
    silent = await ada.ask("GET", "api/sessions/silent/log")
    assert (silent.status_code, silent.content) == (200, b"")
    assert silent.headers["X-Bai-Log"] == "none"
    assert silent.headers["Content-Type"] == "text/plain; charset=UTF-8"


async def test_what_runs_shows_its_log_itself(records: Records, ada: Page) -> None:
    enter(records, "mine")
    enter(records, "starting", Status.PREPARING)
    answer = await ada.ask("GET", "api/sessions/mine/log")
    assert answer.status_code == 409
    assert answer.json()["url"] == "/my%20base/user/ada/server-mine/bai/log"
    assert (await ada.ask("GET", "api/sessions/starting/log")).json()["url"] is None


# ---- changes


@asynccontextmanager
async def following(page: Page) -> AsyncIterator[Callable[[], Any]]:
    """A stream of events; what is given reads the next state."""
    headers = {"X-XSRFToken": page.xsrf, "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
    async with page.http.stream("GET", f"{PREFIX}api/events", headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["Content-Type"] == "text/event-stream"
        lines = answer.aiter_lines()

        async def state() -> Any:
            async with asyncio.timeout(10):
                async for line in lines:
                    if line.startswith("data: "):
                        return json.loads(line.removeprefix("data: "))
            return None

        yield state


async def test_what_changes_comes_by_itself(records: Records, ada: Page) -> None:
    enter(records, "mine")
    enter(records, "hers", user="grace")
    async with following(ada) as state:
        found = await state()
        assert found["status"] == {"mine": "running"}
        assert (found["at"], found["age"], found["used"]) == (None, None, {})
        assert found["version"] == (await listed(ada))["version"]
        publish(records, {"mine": Told(()), "hers": Told(())})
        while not (found := await state())["used"]:
            pass
        assert set(found["used"]) == {"mine"}
        assert 0 <= found["age"] < 60
        finish(records, "mine")
        while (found := await state())["status"]:
            pass
        assert found["version"] == (await listed(ada))["version"]


async def test_what_becomes_of_others_sessions_is_no_event(records: Records, ada: Page) -> None:
    """S17."""
    enter(records, "mine")
    async with following(ada) as state:
        await state()
        enter(records, "hers", user="grace")
        finish(records, "hers")
        await asyncio.sleep(0.3)
        records.warn("mine", "ill")
        found = await state()
    assert found["status"] == {"mine": "running"}
    assert found["version"] == (await listed(ada))["version"], "it is of the change of one's own"


@WITH_PROXY
async def test_what_is_opened_to_the_public_and_closed_comes_by_itself(
    records: Records, ada: Page, root: Page
) -> None:
    enter(records, "mine")
    enter(records, "hers", user="grace")
    async with following(ada) as mine, following(root) as everyones:
        first = await mine()
        assert (first["public"], (await everyones())["public"]) == ({}, {})
        open_app(records, "hers", "board")
        assert (await everyones())["public"] == {"hers": 1}
        open_app(records, "mine", "board")
        found = await mine()
        assert found["public"] == {"mine": 1}, "and nothing came of another's"
        assert found["version"] == first["version"], "the list is the same"
        assert (await everyones())["public"] == {"mine": 1, "hers": 1}
        close_app(records, "mine", "board")
        assert (await mine())["public"] == {}
        assert (await everyones())["public"] == {"hers": 1}


async def test_what_has_not_changed_is_not_read_again(
    records: Records, monkeypatch: pytest.MonkeyPatch, url_of_records: str
) -> None:
    """However many look, and however often."""
    enter(records, "mine")
    asked: list[str] = []
    for name in ("running", "counts"):
        method = getattr(Records, name)

        def counted(*args: Any, name: str = name, method: Any = method) -> Any:
            asked.append(name)
            return method(*args)

        monkeypatch.setattr(Records, name, counted)
    board = Board(url_of_records, HUB)
    look, viewers = Look(board), [Viewer("ada"), Viewer("root", sees_all=True)]
    first = look(viewers)
    assert asked == ["running", "counts"]
    assert look(viewers) == first
    assert asked == ["running", "counts"]
    look([*viewers, Viewer("grace")])
    assert asked == ["running", "counts", "counts"], "of who came"
    records.warn("mine", "ill")
    assert look(viewers).live[0].warning == "ill"
    board.records.close()


async def test_a_superadmin_follows_everyones(records: Records, root: Page) -> None:
    enter(records, "hers", user="grace")
    async with following(root) as state:
        found = await state()
    assert found["status"] == {"hers": "running"}


async def test_the_stream_ends_with_the_login(
    hub: FakeHub, records: Records, ada: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "CHECK_EVERY", 0.1)
    async with following(ada) as state:
        assert await state()
        del hub.models[ada.token]
        hub.cache.clear()
        assert await state() is None


@pytest.mark.parametrize("changed", [{"admin": False}, {"scopes": []}, {"name": "another"}])
async def test_the_stream_ends_when_less_is_allowed(
    hub: FakeHub,
    records: Records,
    root: Page,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, Any],
) -> None:
    monkeypatch.setattr(events, "CHECK_EVERY", 0.1)
    async with following(root) as state:
        assert await state()
        hub.models[root.token] = hub.models[root.token] | changed
        hub.cache.clear()
        assert await state() is None


async def test_a_visitor_follows_in_a_bounded_number_of_places(
    app: Application, records: Records, ada: Page, root: Page
) -> None:
    async with asyncio.TaskGroup() as tasks:
        done = asyncio.Event()
        opened = asyncio.Semaphore(0)

        async def follow() -> None:
            async with following(ada) as state:
                await state()
                opened.release()
                await done.wait()

        for _ in range(MOST_VIEWS):
            tasks.create_task(follow())
        for _ in range(MOST_VIEWS):
            await opened.acquire()
        answer = await ada.ask("GET", "api/events")
        assert answer.status_code == 429
        assert answer.json()["message"].startswith(f"{MOST_VIEWS} pages follow")
        async with following(root) as state:
            assert await state(), "others do not notice"
        done.set()
    feed: Feed = app.settings["feed"]
    async with asyncio.timeout(5):
        while feed._views:  # noqa: ASYNC110 - what it waits for tells nobody
            await asyncio.sleep(0.01)
    async with following(ada) as state:
        assert await state()


async def test_silence_is_broken_now_and_then(
    records: Records, ada: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "KEEP_ALIVE", 0.05)
    headers = {"X-XSRFToken": ada.xsrf, "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
    async with (
        asyncio.timeout(10),
        ada.http.stream("GET", f"{PREFIX}api/events", headers=headers) as answer,
    ):
        async for line in answer.aiter_lines():
            if line == ": keep-alive":
                return


async def test_who_stops_reading_is_let_go(
    app: Application, url: str, ada: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than keep here what they do not read."""
    monkeypatch.setattr(flowing, "STALLED_SECONDS", 0.2)
    many = tuple(a_record(facts=a_facts(f"s{number}")) for number in range(20_000))
    numbers = count()

    def read(viewers: Collection[Viewer]) -> State:
        seen = Seen(NOW + timedelta(seconds=next(numbers)))
        return State(many, seen, dict.fromkeys(viewers, "version"))

    app.settings["feed"] = feed = Feed(read, every=0.01)
    address = httpx.URL(url)
    headers = {"X-XSRFToken": ada.xsrf, "Sec-Fetch-Mode": "cors"}
    asked = ada.http.build_request("GET", f"{PREFIX}api/events", headers=headers)
    reader, writer = await asyncio.open_connection(address.host, address.port, limit=1024)
    lines = [f"{name}: {value}\r\n" for name, value in asked.headers.items()]
    writer.write(f"GET {PREFIX}api/events HTTP/1.1\r\n{''.join(lines)}\r\n".encode())
    assert b"200 OK" in await reader.readline()
    async with asyncio.timeout(30):
        while feed._views:  # noqa: ASYNC110 - what it waits for tells nobody
            await asyncio.sleep(0.01)
    writer.close()


# ---- what is away


async def test_records_that_are_away_are_said_to_be_without_saying_where_they_are(
    hub: FakeHub, caplog: pytest.LogCaptureFixture
) -> None:
    away = "postgresql+psycopg://bai:secret@127.0.0.1:1/records"
    async with serving(make_app(PREFIX, BASE, Board(away, HUB))) as url:
        page = Page(url, hub.add("ada"))
        async with page.http:
            await page.visit()
            with caplog.at_level(logging.ERROR):
                for method, path in (
                    ("GET", "api/sessions"),
                    ("GET", "api/sessions.csv"),
                    ("GET", "api/sessions/one"),
                    ("DELETE", "api/sessions/one"),
                    ("POST", "api/sessions/one/extend"),
                    ("GET", "api/sessions/one/log"),
                ):
                    answer = await page.ask(method, path)
                    assert answer.status_code == 503, path
                    told = {"message": "the records cannot be read now; try again"}
                    assert answer.json() == told
    assert "cannot open the records" in caplog.text
    assert "secret" not in caplog.text
