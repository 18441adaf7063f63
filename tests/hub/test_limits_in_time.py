"""Limits in time on a real hub: who is idle or over is warned, and then ended; nobody else is."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from bai_spawner import bulletin
from bai_spawner.reasons import Ending
from bai_spawner.records import Records, SessionRecord
from tests.deployment import Deployment, Visitor, eventually
from tests.hub.test_service import visit

ACTIVITY, EXTEND = "api/own/activity", "api/own/extend"


@dataclass
class Timed:
    """A session of a user whose policy limits time, and what is told of it."""

    visitor: Visitor
    deployment: Deployment
    records: Records
    env: dict[str, str] = field(default_factory=dict)
    id: str = ""

    def begin(self) -> None:
        answer = self.visitor.start("one")
        assert answer.status_code == 201, answer.text
        container = self.deployment.container(self.visitor.user, "one")
        found = (one.partition("=") for one in container.attrs["Config"]["Env"])
        self.env = {name: value for name, _, value in found}
        self.id = container.labels["bai.allocation"]

    def ask(self, path: str, body: dict[str, Any], token: str = "") -> httpx.Response:
        """As the session itself does: at the address and with the token that it was given."""
        token = token or self.env["JUPYTERHUB_API_TOKEN"]
        headers = {"Authorization": f"token {token}"}
        return httpx.post(f"{self.env['BAI_SERVICE_URL']}{path}", headers=headers, json=body)

    def report(self, *, last: datetime | None = None, busy: bool = False) -> dict[str, Any]:
        last = last or datetime.now(UTC)
        answer = self.ask(ACTIVITY, {"last": last.isoformat(), "busy": busy, "because": ""})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()["time"]
        return found

    @property
    def record(self) -> SessionRecord:
        found = self.records.get(self.id)
        assert found
        return found

    def told(self) -> dict[str, Any]:
        """How much time the hub says that it has; nothing once it does not run."""
        found = self.records.published(self.deployment.hub_id, bulletin.SESSIONS)
        one = json.loads(found.body).get(self.id) if found else None
        return (one or {}).get("time") or {}

    def warned_for(self) -> float:
        """Wait until it has ended; the seconds for which the warning stood before."""
        began = 0.0
        until = time.monotonic() + 30
        while self.record.end is None and time.monotonic() < until:
            if not began and self.told().get("warned"):
                began = time.monotonic()
            time.sleep(0.05)
        return time.monotonic() - began if began else 0.0

    def is_gone(self) -> bool:
        """Whether hub, engine and books agree that nothing is left."""
        return "one" not in self.visitor.servers() and not [
            c for c in self.deployment.containers() if c.labels["bai.user"] == self.visitor.user
        ]


@pytest.fixture
def timed(deployment: Deployment) -> Iterator[Callable[[str], Timed]]:
    records = Records(f"sqlite:///{deployment.state}/records.sqlite")
    began: list[Timed] = []

    def begin(user: str) -> Timed:
        made = Timed(deployment.login(user), deployment, records)
        began.append(made)
        made.begin()
        return made

    with deployment.clean_log():
        yield begin
        for one in began:
            one.visitor.stop_all()
            one.visitor.http.close()
    records.close()


def test_an_idle_session_is_ended_after_a_warning_and_one_that_works_or_is_kept_is_not(
    timed: Callable[[str], Timed],
) -> None:
    """R53. It is idle after 4 s, and warned of 2 s before."""
    one = timed("idler")
    until = time.monotonic() + 7
    while time.monotonic() < until:
        found = one.report(last=one.record.created, busy=True)
        assert (found["ends"], found["idle"]["known"]) == (None, True)
        time.sleep(0.5)
    assert one.record.end is None, "a busy session goes on, however silent"

    one.report()
    assert eventually(lambda: one.told().get("warned"))
    kept = one.ask(EXTEND, {"what": "idle"})
    assert kept.status_code == 200
    assert kept.json()["time"]["warned"] is False
    assert eventually(lambda: one.told().get("warned") is False), "the warning is taken back"
    assert one.ask(EXTEND, {"what": "lifetime"}).status_code == 409

    assert one.warned_for() > 1.5
    assert eventually(one.is_gone)
    end = one.record.end
    assert end
    assert (end.ending, end.detail) == (Ending.IDLE, "4 s allowed")
    late = one.ask(EXTEND, {"what": "idle"})
    assert late.status_code in {403, 404}, "its token ended with it; a service remembers it a while"


def test_a_lifetime_is_extended_as_policy_says_by_the_session_alone_and_then_ends_it(
    timed: Callable[[str], Timed],
) -> None:
    """R53, S17, S27. It ends after 8 s, once extended by 3 s, whatever it does."""
    one = timed("mortal")
    assert one.report(busy=True)["why"] == "lifetime"

    xsrf = visit(one.visitor)
    for path, body in ((ACTIVITY, {}), (EXTEND, {"what": "lifetime"})):
        page = {"X-XSRFToken": xsrf, "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
        address = f"/services/sessions/{path}"
        assert one.visitor.http.post(address, headers=page, json=body).status_code == 403
        assert one.ask(path, body, token="none").status_code == 403
    told = eventually(one.told)
    assert told["lifetime"]["left"] == 1, "a visitor's cookie extends nothing"

    answer = one.ask(EXTEND, {"what": "lifetime"})
    assert answer.json()["time"]["lifetime"]["left"] == 0
    assert one.ask(EXTEND, {"what": "lifetime"}).status_code == 409
    assert one.ask(EXTEND, {"what": "idle"}).status_code == 409

    assert one.warned_for() > 2
    assert eventually(one.is_gone)
    record = one.record
    assert record.end
    assert (record.end.ending, record.end.detail) == (Ending.LIFETIME, "8 s allowed")
    assert record.ended
    assert record.started
    assert (record.ended - record.started).total_seconds() > 11
