"""More time for a session, asked for from inside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bai_spawner.server_extension.activity import terminals
from bai_spawner.server_extension.limits import reporting
from bai_spawner.server_extension.limits.reporting import Pace
from tests.inside.conftest import Serve, Served
from tests.inside.service import ACTIVITY, EXTEND, KEY, LATER, WARNED, Service, timed
from tests.inside.waiting import eventually

PATH = "bai/api/limits/extend"
EXTENDED = {
    **WARNED,
    "ends": LATER,
    "warned": False,
    "lifetime": {**WARNED["lifetime"], "ends": LATER, "left": 1},
}


@pytest.fixture(autouse=True)
def once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reports once by itself, and of no terminals of this machine."""
    monkeypatch.setattr(terminals, "PTS", tmp_path / "pts")
    monkeypatch.setattr(reporting, "PACE", Pace(first=0, every=1000, near=1000, least=0, urgent=0))


@pytest.fixture
async def its_service(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    made = Service()
    made.answers = {ACTIVITY: timed(WARNED), EXTEND: timed(EXTENDED)}
    monkeypatch.setenv("BAI_SERVICE_URL", made.url)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", KEY)
    yield made
    await made.close()


async def reported(its: Service, count: int) -> bool:
    return len(its.heard(ACTIVITY)) >= count


@pytest.mark.parametrize("what", ["idle", "lifetime"])
async def test_the_service_is_asked_and_the_time_is_new_at_once(
    serve: Serve, its_service: Service, what: str
) -> None:
    served = await serve("limits")
    await eventually(lambda: reported(its_service, 1))
    its_service.answers[ACTIVITY] = timed(EXTENDED)
    answer = await served.allowed.post(PATH, json={"what": what})
    assert (answer.status_code, answer.json()) == (200, {"time": EXTENDED})
    assert its_service.heard(EXTEND) == [{"what": what}]
    assert (await served.allowed.get("bai/api/limits")).json()["time"] == EXTENDED
    await eventually(lambda: reported(its_service, 2))


@pytest.mark.parametrize(
    ("refusal", "status", "words"),
    [
        ((409, '{"message": "its time cannot be extended"}'), 409, "its time cannot be extended"),
        ((409, '{"message": "100 % used"}'), 409, "100 % used"),
        ((404, '{"message": "there is no such session"}'), 404, "there is no such session"),
        ((429, '{"message": "too often"}'), 429, "too often"),
        ((503, '{"message": "try again"}'), 503, "try again"),
        ((403, '{"message": "no"}'), 502, "The hub's service refuses (403 Forbidden): no"),
        ((400, '{"message": "no"}'), 502, "The hub's service refuses (400 Bad Request): no"),
        ((500, "<html>"), 502, "The hub's service refuses (500 Internal Server Error)"),
        ((302, ""), 502, "The hub's service refuses (302 Found)"),
        ((409, "<html>"), 502, "The hub's service refuses (409 Conflict)"),
        ((409, '{"message": 5}'), 502, "The hub's service refuses (409 Conflict)"),
        ((409, '{"message": "a\\u0007b"}'), 502, "The hub's service refuses (409 Conflict)"),
        ((409, "[" * 60_000), 502, "The hub's service refuses (409 Conflict)"),
        ((409, '{"message": "' + "x" * 5000 + '"}'), 409, "x" * 300),
        ((200, "<html>"), 502, "The answer of the hub's service cannot be read."),
    ],
)
async def test_a_refusal_is_told_in_the_services_words_and_changes_nothing(
    serve: Serve, its_service: Service, refusal: tuple[int, str], status: int, words: str
) -> None:
    its_service.answers[EXTEND] = refusal
    served = await serve("limits")
    await eventually(lambda: _knows(served))
    answer = await served.allowed.post(PATH, json={"what": "lifetime"})
    assert (answer.status_code, answer.json()) == (status, {"message": words})
    assert (await served.allowed.get("bai/api/limits")).json()["time"] == WARNED


async def _knows(served: Served) -> Any:
    return (await served.allowed.get("bai/api/limits")).json()["time"]


async def test_a_service_that_is_away_is_told_of(serve: Serve, its_service: Service) -> None:
    served = await serve("limits")
    await its_service.close()
    answer = await served.allowed.post(PATH, json={"what": "idle"})
    assert answer.status_code == 503
    assert "does not answer" in answer.json()["message"]
    assert KEY not in answer.text


async def test_two_who_ask_at_once_are_answered_one_after_the_other(
    serve: Serve, its_service: Service
) -> None:
    served = await serve("limits")
    await eventually(lambda: reported(its_service, 1))
    asked = [served.allowed.post(PATH, json={"what": what}) for what in ("idle", "lifetime")]
    answers = await asyncio.gather(*asked)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert sorted(one["what"] for one in its_service.heard(EXTEND)) == ["idle", "lifetime"]
    assert its_service.most == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "what"),
        (b"{}", "what"),
        (b"{", "body"),
        (b'"idle"', "body"),
        (b'{"what": "both"}', "what"),
        (b'{"what": ["idle"]}', "what"),
        (b'{"what": null}', "what"),
        (b'{"what": "idle", "session": "another"}', "body"),
    ],
)
async def test_a_body_of_another_shape_asks_nobody(
    serve: Serve, its_service: Service, body: bytes, field: str
) -> None:
    served = await serve("limits")
    answer = await served.allowed.post(PATH, content=body)
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert its_service.heard(EXTEND) == []


async def test_nobody_else_may_and_there_are_no_options(serve: Serve, its_service: Service) -> None:
    served = await serve("limits")
    asked = {"json": {"what": "idle"}}
    answer = await served.allowed.post(PATH, params={"user": "bob"}, **asked)
    assert (answer.status_code, answer.json()["field"]) == (400, "option")
    assert (await served.stranger.post(PATH, **asked)).status_code == 403
    served.forbidden()
    assert (await served.allowed.post(PATH, **asked)).status_code == 403
    assert its_service.heard(EXTEND) == []
