"""What sessions tell and ask of themselves: by their own token alone, and strictly read."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("jupyterhub")

from bai_spawner import bulletin
from bai_spawner.bulletin import Told
from bai_spawner.limits import Why
from bai_spawner.reasons import End, Ending, Status
from bai_spawner.records import Records, Watch
from bai_spawner.service import own
from bai_spawner.service.app import make_app
from bai_spawner.service.board import Board
from tests.api_contract import hold
from tests.examples import small_catalog
from tests.recorded import a_facts
from tests.service import BASE, HUB, PREFIX, FakeHub, Page, has_traceback, serving

ACTIVITY, EXTEND = f"{PREFIX}api/own/activity", f"{PREFIX}api/own/extend"
LIMITED = {"idle": "2h", "lifetime": "1d", "extend": "6h", "extensions": 2}
STARTED = datetime.now(UTC) - timedelta(hours=1)


def usage(**changed: Any) -> dict[str, Any]:
    """What a session says of itself."""
    last = datetime.now(UTC).isoformat()
    return {"last": last, "busy": False, "because": "", **changed}


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    made = Records(f"sqlite:///{tmp_path}/records.sqlite")
    publish(made, LIMITED)
    for session, user, server in (("one", "ada", "s1"), ("two", "ada", "s2"), ("her", "eve", "s1")):
        facts = a_facts(session, user=user, server=server, name=session)
        made.enter([(facts, STARTED)], status=Status.RUNNING)
    yield made
    made.close()


def publish(records: Records, limits: dict[str, Any]) -> None:
    """Have every policy say this of time."""
    catalog = small_catalog(policies=[{"name": "everyone", "time": limits}])
    records.publish(HUB, bulletin.CATALOGUE, bulletin.catalogue(catalog), at=datetime.now(UTC))


@pytest.fixture
async def http(hub: FakeHub, records: Records, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    board = Board(f"sqlite:///{tmp_path}/records.sqlite", HUB)
    async with (
        serving(make_app(PREFIX, BASE, board)) as url,
        httpx.AsyncClient(base_url=url, event_hooks={"response": [hold]}) as client,
    ):
        yield client
    board.records.close()


@pytest.fixture
def token(hub: FakeHub) -> dict[str, str]:
    """Of the session "one"."""
    return of(hub, "ada", "s1")


def of(hub: FakeHub, user: str, server: str, *, owner: str = "", **model: Any) -> dict[str, str]:
    """The token of a session, as a request carries it."""
    scopes = ["users:activity!user=ada", f"access:servers!server={user}/{server}"]
    found = hub.add(f"{user}/{server}", **{"scopes": scopes, **model})
    hub.models[found]["name"] = owner or user
    return {"Authorization": f"token {found}"}


def watch_of(records: Records, session: str = "one") -> Watch | None:
    return records.watches(HUB).get(session)


def near(moment: str, expected: datetime) -> bool:
    return abs(datetime.fromisoformat(moment) - expected) < timedelta(seconds=5)


# ---- use


async def test_a_session_tells_of_its_use_and_hears_how_much_time_it_has(
    http: httpx.AsyncClient, records: Records, token: dict[str, str]
) -> None:
    last = datetime.now(UTC) - timedelta(minutes=30)
    answer = await http.post(ACTIVITY, headers=token, json=usage(last=last.isoformat()))
    assert answer.status_code == 200, answer.text
    time = answer.json()["time"]
    assert near(time["ends"], last + timedelta(hours=2))
    assert (time["why"], time["warned"]) == ("idle", False)
    assert near(time["idle"]["since"], last)
    assert time["lifetime"]["left"] == 2
    watch = watch_of(records)
    assert watch
    assert (watch.last, watch.busy) == (last, False)
    assert watch_of(records, "two") is watch_of(records, "her") is None


async def test_one_that_works_is_noted_with_the_reason(
    http: httpx.AsyncClient, records: Records, token: dict[str, str]
) -> None:
    because = "a kernel is running"
    told = usage(busy=True, because=because)
    time = (await http.post(ACTIVITY, headers=token, json=told)).json()["time"]
    assert (time["why"], time["idle"]["since"]) == ("lifetime", None)
    watch = watch_of(records)
    assert watch
    assert (watch.busy, watch.because) == (True, because)


@pytest.mark.parametrize(
    ("last", "kept"),
    [
        ("9999-12-31T23:59:59+00:00", "now"),
        ("0001-01-02T00:00:00+00:00", "start"),
        ("1970-01-01T00:00:00Z", "start"),
        ((STARTED + timedelta(minutes=9)).astimezone().isoformat(), "9 minutes"),
    ],
    ids=("late", "early", "epoch", "between"),
)
async def test_no_use_is_later_than_now_nor_before_the_session_began(
    http: httpx.AsyncClient, records: Records, token: dict[str, str], last: str, kept: str
) -> None:
    assert (await http.post(ACTIVITY, headers=token, json=usage(last=last))).status_code == 200
    expected = {
        "now": datetime.now(UTC),
        "start": STARTED,
        "9 minutes": STARTED + timedelta(minutes=9),
    }
    watch = watch_of(records)
    assert watch
    assert watch.last
    assert abs(watch.last - expected[kept]) < timedelta(seconds=5)


async def test_a_warning_that_the_hub_says_it_gave_late_puts_off_the_end(
    http: httpx.AsyncClient, records: Records, token: dict[str, str]
) -> None:
    publish(records, {"idle": "30m"})
    now = datetime.now(UTC)
    told = bulletin.sessions({"one": Told((), warned={Why.IDLE: now - timedelta(minutes=4)})})
    for published in (False, True):
        if published:
            records.publish(HUB, bulletin.SESSIONS, told, at=now)
        sent = usage(last=STARTED.isoformat())
        time = (await http.post(ACTIVITY, headers=token, json=sent)).json()["time"]
        assert time["warned"]
        assert near(time["ends"], now + timedelta(minutes=6 if published else 10))


async def test_without_limits_there_is_no_time(
    http: httpx.AsyncClient, records: Records, token: dict[str, str]
) -> None:
    publish(records, {})
    answer = await http.post(ACTIVITY, headers=token, json=usage())
    assert answer.json() == {"time": None}


WRONG: list[tuple[Any, str]] = [
    (b"", "body"),
    (b"{", "body"),
    (b"[" * 2000, "body"),
    ([], "body"),
    (usage(session="two"), "body"),
    (usage(user="eve"), "body"),
    ({"last": usage()["last"], "busy": True}, "because"),
    ({"busy": True, "because": ""}, "last"),
    *(
        (usage(last=value), "last")
        for value in (
            *(None, 0, 1e12, True, [], "", "now", "2026-11-26", "2026-11-26T02:46:41"),
            *("2026-13-01T00:00:00Z", "2026-11-26T25:00:00Z", "0001-01-01T00:00:00+23:59"),
            *("-2026-11-26T00:00:00Z", "2026-11-26T00:00:00+00:00" + " " * 40, "٢٠٢٦-11-26T00:00Z"),
        )
    ),
    *((usage(busy=value), "busy") for value in (None, 0, 1, "true", [])),
    *(
        (usage(because=value), "because")
        for value in (None, 1, "x" * 201, "a\nb", "\x00", "\ud800")
    ),
]


@pytest.mark.parametrize(("sent", "named"), WRONG, ids=range(len(WRONG)))
async def test_what_is_no_report_is_refused_by_its_name_and_changes_nothing(
    http: httpx.AsyncClient, records: Records, token: dict[str, str], sent: Any, named: str
) -> None:
    content = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    answer = await http.post(ACTIVITY, headers=token, content=content)
    assert answer.status_code == 400, answer.text
    assert answer.json()["message"].startswith(f"{named}: ")
    assert len(answer.text) < 500
    assert not has_traceback(answer.text)
    assert watch_of(records) is None


async def test_a_large_report_is_refused(http: httpx.AsyncClient, token: dict[str, str]) -> None:
    answer = await http.post(ACTIVITY, headers=token, json=usage(because="x" * own.LONGEST_BODY))
    assert answer.status_code == 413


# ---- more time


async def test_to_keep_a_session_begins_its_idle_time_anew(
    http: httpx.AsyncClient, records: Records, token: dict[str, str]
) -> None:
    await http.post(ACTIVITY, headers=token, json=usage(last=STARTED.isoformat()))
    answer = await http.post(EXTEND, headers=token, json={"what": "idle"})
    assert answer.status_code == 200, answer.text
    assert near(answer.json()["time"]["ends"], datetime.now(UTC) + timedelta(hours=2))
    assert watch_of(records, "two") is None


async def test_a_lifetime_is_extended_as_often_as_the_policy_says(
    http: httpx.AsyncClient, token: dict[str, str]
) -> None:
    for hours, left in ((30, 1), (36, 0)):
        answer = await http.post(EXTEND, headers=token, json={"what": "lifetime"})
        lifetime = answer.json()["time"]["lifetime"]
        assert near(lifetime["ends"], STARTED + timedelta(hours=hours))
        assert lifetime["left"] == left
    answer = await http.post(EXTEND, headers=token, json={"what": "lifetime"})
    assert answer.status_code == 409
    assert answer.json()["message"] == (
        "its time was extended 2 times, and cannot be extended further"
    )


@pytest.mark.parametrize(
    ("limits", "what", "told"),
    [
        ({}, "idle", "does not end for want of use"),
        ({}, "lifetime", "is not limited"),
        ({"lifetime": "1d"}, "lifetime", "cannot be extended"),
        ({"lifetime": "1d"}, "idle", "does not end for want of use"),
    ],
)
async def test_where_there_is_nothing_to_extend_it_is_said(
    http: httpx.AsyncClient,
    records: Records,
    token: dict[str, str],
    limits: dict[str, str],
    what: str,
    told: str,
) -> None:
    publish(records, limits)
    answer = await http.post(EXTEND, headers=token, json={"what": what})
    assert answer.status_code == 409
    assert told in answer.json()["message"]
    assert watch_of(records) is None


async def test_a_session_that_ends_already_is_not_extended(
    http: httpx.AsyncClient, records: Records, token: dict[str, str]
) -> None:
    records.advance("one", Status.TERMINATING, at=datetime.now(UTC))
    answer = await http.post(EXTEND, headers=token, json={"what": "idle"})
    assert (answer.status_code, answer.json()["message"]) == (409, "it does not run")


@pytest.mark.parametrize("what", [None, "", "IDLE", "both", 1, [], ["idle"], {}])
async def test_only_a_limit_can_be_extended(
    http: httpx.AsyncClient, token: dict[str, str], what: Any
) -> None:
    answer = await http.post(EXTEND, headers=token, json={"what": what})
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("what: must be idle or lifetime, not ")


# ---- whose


async def test_each_token_is_its_own_sessions(
    http: httpx.AsyncClient, records: Records, hub: FakeHub
) -> None:
    """S17, S27."""
    for user, server, session in (("ada", "s2", "two"), ("eve", "s1", "her")):
        headers = of(hub, user, server)
        assert (await http.post(ACTIVITY, headers=headers, json=usage())).is_success
        assert watch_of(records, session)
    assert watch_of(records) is None


async def test_a_session_that_ended_or_never_was_is_none(
    http: httpx.AsyncClient, records: Records, hub: FakeHub
) -> None:
    records.end("two", End(Ending.USER), at=datetime.now(UTC))
    answers = [
        await http.post(path, headers=of(hub, "ada", server), json=body)
        for server in ("s2", "never", "")
        for path, body in ((ACTIVITY, usage()), (EXTEND, {"what": "idle"}))
    ]
    assert {(a.status_code, a.text) for a in answers} == {
        (404, '{"message": "there is no such session"}')
    }


NO_SESSIONS: dict[str, dict[str, Any]] = {
    "a visitor's": {"scopes": ["access:services!service=sessions"]},
    "one that opens all of a user's servers": {"scopes": ["access:servers!user=ada"]},
    "one that opens all servers": {"scopes": ["access:servers"]},
    "one that opens two": {
        "scopes": ["access:servers!server=ada/s1", "access:servers!server=ada/s2"]
    },
    "of somebody with whom the server is shared": {"owner": "eve"},
    "an administrator's": {"owner": "admin", "admin": True},
    "a service's": {"kind": "service"},
    "without a server": {"scopes": ["access:servers!server=ada"]},
    "without scopes": {"scopes": []},
}


@pytest.mark.parametrize("whose", NO_SESSIONS)
@pytest.mark.parametrize("path", [ACTIVITY, EXTEND])
async def test_no_other_token_may_tell_or_ask(
    http: httpx.AsyncClient, records: Records, hub: FakeHub, whose: str, path: str
) -> None:
    headers = of(hub, "ada", "s1", **NO_SESSIONS[whose])
    for method in ("GET", "POST", "PUT", "DELETE", "HEAD"):
        answer = await http.request(method, path, headers=headers)
        assert answer.status_code == 403, method
    assert watch_of(records) is None


@pytest.mark.parametrize(
    "header", ["", "token", "token unknown", "token a b", "Basic YTpi", "token " + "x" * 5000]
)
async def test_whoever_has_no_token_is_refused(http: httpx.AsyncClient, header: str) -> None:
    headers = {"Authorization": header} if header else {}
    answer = await http.post(ACTIVITY, headers=headers, json=usage())
    assert answer.status_code == 403
    assert "x" * 100 not in answer.text


async def test_a_visitors_cookie_opens_nothing_here_nor_does_a_token_in_the_address(
    http: httpx.AsyncClient, records: Records, hub: FakeHub, token: dict[str, str]
) -> None:
    page = Page(str(http.base_url), hub.add("ada"))
    await page.visit()
    assert (await page.ask("POST", "api/own/activity", json=usage())).status_code == 403
    params = {"token": token["Authorization"].removeprefix("token ")}
    for more in ({}, {"Sec-Fetch-Mode": "websocket"}):
        answer = await http.post(ACTIVITY, params=params, headers=more, json=usage())
        assert answer.status_code == 403
    await page.http.aclose()
    assert watch_of(records) is None


async def test_the_token_is_all_it_takes_whatever_else_a_request_carries(
    http: httpx.AsyncClient, token: dict[str, str]
) -> None:
    answer = await http.post(ACTIVITY, headers=token | {"Cookie": "_xsrf=no"}, json=usage())
    assert answer.is_success


# ---- bounds


async def test_a_session_that_asks_too_often_keeps_no_other(
    http: httpx.AsyncClient,
    hub: FakeHub,
    token: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(own, "MOST", 3)
    answers = [await http.post(ACTIVITY, headers=token, json=usage()) for _ in range(5)]
    assert [a.status_code for a in answers] == [200, 200, 200, 429, 429]
    other = await http.post(ACTIVITY, headers=of(hub, "ada", "s2"), json=usage())
    assert other.status_code == 200


def test_turns_come_back_and_are_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("bai_spawner.service.own.time.monotonic", lambda: now[0])
    monkeypatch.setattr(own, "FORGET", 10)
    monkeypatch.setattr(own, "MOST", 2)
    turns = own.Turns()
    assert [turns.take("a") for _ in range(3)] == [True, True, False]
    now[0] = own.SECONDS
    assert turns.take("a")
    now[0] = 10 * own.SECONDS
    for number in range(100):
        now[0] += own.SECONDS
        assert turns.take(str(number))
    assert len(turns._asked) <= 11


async def test_a_hub_that_is_away_is_told_as_such(
    http: httpx.AsyncClient, hub: FakeHub, token: dict[str, str]
) -> None:
    hub.is_away = True
    answer = await http.post(ACTIVITY, headers=token, json=usage())
    assert (answer.status_code, answer.json()["message"]) == (
        503,
        "the hub does not answer now; try again",
    )


async def test_records_that_are_away_are_told_as_such(hub: FakeHub, token: dict[str, str]) -> None:
    async with (
        serving(make_app(PREFIX, BASE, Board("sqlite:////dev/null/none", HUB))) as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        answer = await client.post(ACTIVITY, headers=token, json=usage())
    assert answer.status_code == 503
    assert "dev/null" not in answer.text


async def test_a_hub_that_has_not_published_yet_is_told_as_such_and_the_use_is_kept(
    hub: FakeHub, token: dict[str, str], tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/other.sqlite"
    records = Records(url)
    records.enter([(a_facts("one"), STARTED)], status=Status.RUNNING)
    board = Board(url, HUB)
    async with (
        serving(make_app(PREFIX, BASE, board)) as where,
        httpx.AsyncClient(base_url=where) as client,
    ):
        answer = await client.post(ACTIVITY, headers=token, json=usage())
    assert answer.status_code == 503
    assert watch_of(records)
    board.records.close()
    records.close()
