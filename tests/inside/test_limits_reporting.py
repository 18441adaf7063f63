"""A session tells the service of its use, and keeps what it hears of its time."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bai_spawner.server_extension import hub_service
from bai_spawner.server_extension.activity import terminals
from bai_spawner.server_extension.activity.terminals import Terminals
from bai_spawner.server_extension.activity.watch import JOB, KERNEL
from bai_spawner.server_extension.limits import reporting
from bai_spawner.server_extension.limits.reporting import Pace
from tests.inside.conftest import Serve, Served
from tests.inside.service import ACTIVITY, KEY, NOT_DUE, SOON, WARNED, Service, timed
from tests.inside.waiting import eventually

PATH = "bai/api/limits"
NEVER = 1000.0
LATEST = "2999-01-01T00:00:00+00:00"
ONCE = Pace(first=0, every=NEVER, near=NEVER, least=0, urgent=0)
OFTEN = Pace(first=0, every=0.01, near=0.01, least=0, urgent=0, longest=0.02)
AWAY = "The hub's service does not answer; try again in a while."
UNREADABLE = "The answer of the hub's service cannot be read."
REFUSES = "The hub's service refuses (503 Service Unavailable)"
NOBODY = "This session does not know where the hub's service is; nobody can be asked."


@pytest.fixture(autouse=True)
def pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Pace], None]:
    """Sets how often it reports; once, until it is set. Terminals of this machine are not looked
    at: they are none of a session's."""
    monkeypatch.setattr(terminals, "PTS", tmp_path / "pts")
    monkeypatch.setattr(reporting, "PACE", ONCE)
    return lambda wanted: monkeypatch.setattr(reporting, "PACE", wanted)


@pytest.fixture
async def its_service(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    made = Service()
    monkeypatch.setenv("BAI_SERVICE_URL", made.url)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", KEY)
    yield made
    await made.close()


async def told(served: Served) -> dict[str, Any]:
    answer = await served.allowed.get(PATH)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    found: dict[str, Any] = answer.json()
    return found


async def becomes(served: Served, wanted: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """What is told once it is as wanted."""

    async def look() -> dict[str, Any]:
        found = await told(served)
        return found if wanted(found) else {}

    found: dict[str, Any] = await eventually(look)
    return found


async def reports(its: Service, count: int) -> list[Any]:
    """What the service has heard, once that is so much."""

    async def look() -> list[Any]:
        found = its.heard(ACTIVITY)
        return found if len(found) >= count else []

    found: list[Any] = await eventually(look)
    return found


async def test_the_service_hears_of_use_and_what_it_says_is_kept(
    serve: Serve, its_service: Service
) -> None:
    its_service.answers[ACTIVITY] = timed(WARNED)
    served = await serve("activity", "limits")
    before = datetime.now(UTC)
    found = await becomes(served, lambda limits: limits["reported"])
    seen = (await served.allowed.get("bai/api/activity")).json()
    assert its_service.asked == [
        (ACTIVITY, {"last": seen["last"], "busy": False, "because": ""}),
    ]
    now, reported = (datetime.fromisoformat(found[name]) for name in ("now", "reported"))
    assert before - timedelta(seconds=1) < reported <= now <= datetime.now(UTC)
    assert found == {
        "time": WARNED,
        "reported": found["reported"],
        "problem": "",
        "now": found["now"],
    }


async def test_where_no_limit_applies_that_is_told(serve: Serve, its_service: Service) -> None:
    its_service.answers[ACTIVITY] = timed(None)
    served = await serve("limits")
    assert (await becomes(served, lambda limits: limits["reported"]))["time"] is None


async def test_while_it_works_nothing_ends_it(serve: Serve, its_service: Service) -> None:
    served = await serve("limits")
    found = await becomes(served, lambda limits: limits["reported"])
    assert found["time"] == {**NOT_DUE, "warned": False}


async def test_it_reports_again_and_again(
    serve: Serve, its_service: Service, pace: Callable[[Pace], None]
) -> None:
    pace(OFTEN)
    await serve("limits")
    await reports(its_service, 5)


async def test_the_beginning_and_the_end_of_a_job_are_told_at_once(
    serve: Serve, its_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = await serve("activity", "limits")
    await reports(its_service, 1)
    for count, busy in ((2, True), (3, False)):
        monkeypatch.setattr(terminals, "look", lambda busy=busy: Terminals(0.0, busy=busy))
        await served.allowed.get("bai/api/activity")
        latest = (await reports(its_service, count))[-1]
        assert (latest["busy"], latest["because"]) == (busy, JOB if busy else "")
    for _ in range(3):
        await served.allowed.get("bai/api/activity")
    assert len(its_service.heard(ACTIVITY)) == 3


async def test_a_kernel_that_begins_to_work_is_told_without_a_look(
    serve: Serve, its_service: Service
) -> None:
    served = await serve("activity", "limits")
    await reports(its_service, 1)
    made = await served.allowed.post("api/kernels", json={})
    kernel = served.app.kernel_manager.get_kernel(made.json()["id"])
    kernel.execution_state = "idle"
    await served.allowed.get("bai/api/activity")
    for count, state in ((2, "busy"), (3, "idle")):
        kernel.execution_state = state
        assert (await reports(its_service, count))[-1]["because"] == (
            KERNEL if state == "busy" else ""
        )


async def test_cells_of_a_moment_are_not_reported_each(
    serve: Serve,
    its_service: Service,
    pace: Callable[[Pace], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pace(Pace(first=0, every=NEVER, least=NEVER))
    served = await serve("activity", "limits")
    await reports(its_service, 1)
    for busy in (True, False) * 3:
        monkeypatch.setattr(terminals, "look", lambda busy=busy: Terminals(0.0, busy=busy))
        await served.allowed.get("bai/api/activity")
    await asyncio.sleep(0.1)
    assert len(its_service.heard(ACTIVITY)) == 1


async def test_what_is_begun_after_the_warning_is_reported_at_once(
    serve: Serve,
    its_service: Service,
    pace: Callable[[Pace], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pace(Pace(first=0, every=NEVER, near=NEVER, least=NEVER, urgent=0))
    its_service.answers[ACTIVITY] = timed({**WARNED, "ends": LATEST})
    served = await serve("activity", "limits")
    await reports(its_service, 1)
    monkeypatch.setattr(terminals, "look", lambda: Terminals(0.0, busy=True))
    await served.allowed.get("bai/api/activity")
    assert (await reports(its_service, 2))[-1]["busy"] is True


async def test_near_its_end_it_reports_more_often(
    serve: Serve, its_service: Service, pace: Callable[[Pace], None]
) -> None:
    pace(Pace(first=0, every=NEVER, near=0.01, least=0, urgent=0))
    soon = {**WARNED, "warned": False, "ends": datetime.now(UTC).isoformat()}
    its_service.answers[ACTIVITY] = timed(soon)
    served = await serve("limits")
    await reports(its_service, 3)
    its_service.answers[ACTIVITY] = timed({**WARNED, "ends": LATEST})
    await becomes(served, lambda limits: limits["time"]["warned"])
    await reports(its_service, len(its_service.heard(ACTIVITY)) + 3)
    its_service.answers[ACTIVITY] = timed({**WARNED, "warned": False, "ends": LATEST})
    await becomes(served, lambda limits: not limits["time"]["warned"])
    count = len(its_service.heard(ACTIVITY))
    await asyncio.sleep(0.1)
    assert len(its_service.heard(ACTIVITY)) == count


async def test_a_service_that_is_away_is_written_about_once_and_heard_again(
    serve: Serve,
    its_service: Service,
    pace: Callable[[Pace], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    pace(OFTEN)
    its_service.answers[ACTIVITY] = timed(WARNED)
    served = await serve("limits")
    served.app.log.propagate = True
    caplog.set_level(logging.INFO)
    await becomes(served, lambda limits: limits["time"])
    its_service.answers[ACTIVITY] = (503, "")
    found = await becomes(served, lambda limits: limits["problem"])
    assert found["problem"] == REFUSES
    assert found["time"] == WARNED
    last = found["reported"]
    heard = len(its_service.heard(ACTIVITY))
    await reports(its_service, heard + 5)
    assert (await told(served))["reported"] == last
    its_service.answers[ACTIVITY] = timed(NOT_DUE)
    found = await becomes(served, lambda limits: not limits["problem"])
    assert found["reported"] > last
    assert found["time"]["ends"] is None
    lines = [one.getMessage() for one in caplog.records if "The hub is" in one.getMessage()]
    away, again = lines
    assert away == f"The hub is not told what this session does. {REFUSES}"
    assert again == "The hub is told again what this session does."


async def test_who_is_away_is_asked_less_and_less_often(
    serve: Serve, its_service: Service, pace: Callable[[Pace], None]
) -> None:
    pace(Pace(first=0, every=0.01, least=0, urgent=0, longest=NEVER))
    its_service.answers[ACTIVITY] = (503, "")
    served = await serve("activity", "limits")
    await becomes(served, lambda limits: limits["problem"])
    await asyncio.sleep(0.5)
    assert 2 <= len(its_service.heard(ACTIVITY)) <= 7


@pytest.mark.parametrize(
    ("status", "content", "problem"),
    [
        (200, "", UNREADABLE),
        (200, "<!doctype html><title>Log in</title>", UNREADABLE),
        (200, "null", UNREADABLE),
        (200, "[]", UNREADABLE),
        (200, "{}", UNREADABLE),
        (200, '{"time": "soon"}', UNREADABLE),
        (200, "[" * 60_000, UNREADABLE),
        (200, json.dumps({"time": {**WARNED, "ends": "tomorrow"}}), UNREADABLE),
        (302, "", "The hub's service refuses (302 Found)"),
        (404, '{"message": "there is no such session"}', "there is no such session"),
        (404, "<html>not here</html>", "The hub's service refuses (404 Not Found)"),
        (500, "x" * 60_000, "The hub's service refuses (500 Internal Server Error)"),
        (403, '{"message": "no"}', "The hub's service refuses (403 Forbidden): no"),
    ],
)
async def test_an_answer_that_is_none_changes_nothing(
    serve: Serve,
    its_service: Service,
    pace: Callable[[Pace], None],
    status: int,
    content: str,
    problem: str,
) -> None:
    pace(OFTEN)
    its_service.answers[ACTIVITY] = timed(WARNED)
    served = await serve("limits")
    await becomes(served, lambda limits: limits["time"])
    its_service.answers[ACTIVITY] = (status, content)
    found = await becomes(served, lambda limits: limits["problem"])
    assert (found["problem"], found["time"]) == (problem, WARNED)
    assert {path for path, _ in its_service.asked} == {ACTIVITY}


HEAD = b"HTTP/1.1 200 OK\r\n"
TEN_MB = b"x" * 10_000_000


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(None, id="nothing, for ever"),
        pytest.param(b"", id="the end"),
        pytest.param(HEAD + b"Content-Length: 90\r\n\r\n{", id="less than it announces"),
        pytest.param(b"SSH-2.0-OpenSSH_10.0\r\n", id="another protocol"),
        pytest.param(b"\x00\xff" * 5000, id="noise"),
        pytest.param(HEAD + b"Content-Length: 10000000\r\n\r\n" + TEN_MB, id="10 MB"),
        pytest.param(HEAD + b"\r\n" + TEN_MB, id="10 MB of no length"),
        pytest.param(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n989680\r\n" + TEN_MB + b"\r\n0\r\n\r\n",
            id="10 MB in one piece",
        ),
        pytest.param(HEAD + b"X: " + TEN_MB, id="10 MB of a header"),
        pytest.param(HEAD + b"X: y\r\n" * 200_000, id="headers without end"),
        pytest.param(
            HEAD
            + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(gzip.compress(TEN_MB))
            + gzip.compress(TEN_MB),
            id="10 MB, packed",
        ),
    ],
)
async def test_whatever_else_listens_there_is_as_good_as_away(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, said: bytes | None
) -> None:
    monkeypatch.setattr(hub_service, "SECONDS", 0.3 if said is None else 5)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await reader.readuntil(b"\r\n\r\n")
            if said is None:
                await reader.read()
            writer.write(said or b"")
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        monkeypatch.setenv("BAI_SERVICE_URL", f"http://127.0.0.1:{port}/services/sessions/")
        monkeypatch.setenv("JUPYTERHUB_API_TOKEN", KEY)
        served = await serve("limits")
        found = await becomes(served, lambda limits: limits["problem"])
        assert found["problem"] in {AWAY, UNREADABLE}
        assert (found["time"], found["reported"]) == (None, None)


@pytest.mark.parametrize(
    "url", ["nonsense", "ftp://127.0.0.1/", "http://[::1", "http://127.0.0.1:99999/"]
)
async def test_an_address_that_is_none_costs_no_session(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("BAI_SERVICE_URL", url)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", KEY)
    served = await serve("limits")
    assert (await becomes(served, lambda limits: limits["problem"]))["problem"] == AWAY


@pytest.mark.parametrize("missing", ["BAI_SERVICE_URL", "JUPYTERHUB_API_TOKEN"])
async def test_a_session_that_was_told_of_no_service_asks_none(
    serve: Serve, its_service: Service, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.delenv(missing)
    served = await serve("limits")
    found = await told(served)
    assert found == {"time": None, "reported": None, "problem": "", "now": found["now"]}
    answer = await served.allowed.post(f"{PATH}/extend", json={"what": "idle"})
    assert (answer.status_code, answer.json()) == (503, {"message": NOBODY})
    assert its_service.asked == []


async def test_what_cannot_be_seen_is_not_reported_and_is_looked_at_again(
    serve: Serve,
    its_service: Service,
    pace: Callable[[Pace], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pace(OFTEN)

    def look() -> Terminals:
        raise OSError("no /proc")

    monkeypatch.setattr(terminals, "look", look)
    served = await serve("limits")
    found = await becomes(served, lambda limits: limits["problem"])
    assert found["problem"] == "What this session does could not be seen: no /proc"
    assert its_service.asked == []
    monkeypatch.setattr(terminals, "look", lambda: Terminals(0.0, busy=False))
    await reports(its_service, 1)


async def test_there_are_no_options(serve: Serve) -> None:
    served = await serve("limits")
    answer = await served.allowed.get(PATH, params={"since": SOON})
    assert (answer.status_code, answer.json()["field"]) == (400, "option")
