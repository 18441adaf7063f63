"""An app proxy for tests of who asks it: it says what a test has it say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bai_spawner import bulletin
from bai_spawner.app_proxy.client import Client, ProxyAway, Told
from bai_spawner.reasons import Status
from bai_spawner.records import Begun, Opening, Records
from tests.examples import small_catalog
from tests.recorded import a_facts
from tests.service import HUB

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
OPENING = "0" * 31 + "1"
POLICIES = [{"name": "everyone", "apps": {"public": True, "preferred_port": False}}]


class FakeProxy(Client):
    """An app proxy that does what a test says, and remembers what it was asked."""

    def __init__(self, records: Records) -> None:
        super().__init__(Path("no-such-socket"))
        self._records = records
        self.asked: list[tuple[str, str, Any]] = []
        self.answer: Told | None = None
        self.is_away = False

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Told:
        self.asked.append((method, path, body))
        if self.is_away:
            raise ProxyAway
        if self.answer:
            return self.answer
        if path == "/openings" and body:
            begin(self._records, OPENING, body["session"], public=body["public"])
            return Told(201, {"id": OPENING})
        if path == "/tickets":
            return Told(201, {"url": "http://apps:30001/.bai/enter?ticket=t"})
        return Told(200, {"closed": True})


def with_sessions(url: str, *sessions: tuple[str, str, str]) -> Records:
    """Records of sessions that run, each with its identity, user and server; of `POLICIES`."""
    made = Records(url)
    catalog = bulletin.catalogue(small_catalog(policies=POLICIES))
    made.publish(HUB, bulletin.CATALOGUE, catalog, at=NOW)
    for session, user, server in sessions:
        made.begin(a_facts(session, user=user, server=server), at=NOW, status=Status.PENDING)
        made.advance(session, Status.RUNNING, at=NOW)
    return made


def begin(records: Records, opening: str, session: str, **changed: Any) -> None:
    line = Opening(
        id=opening,
        session=session,
        app="board",
        port=30001,
        public=False,
        expires=None,
        allowed=(),
        password="salt$hash",
        wanted=None,
        told="",
        opened_at=NOW,
        opened_by="ada",
        opened_from="192.0.2.7",
    )
    assert records.openings.begin(replace(line, **changed)) is Begun.ADDED
