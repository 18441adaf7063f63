"""A session's record, to change one thing of in a test."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from bai_spawner.reasons import Status
from bai_spawner.records import Facts, Measure, SessionRecord
from bai_spawner.units import GIB, MIB

NOON = datetime(2026, 2, 28, 12, 0, 0, 123456, tzinfo=UTC)


def minutes(number: float) -> datetime:
    """A time, so many minutes after noon."""
    return NOON + timedelta(minutes=number)


def a_facts(session: str = "one", **changed: Any) -> Facts:
    """What is known of a session from its beginning."""
    values: dict[str, Any] = {
        "id": session,
        "hub": "hub",
        "user": "ada",
        "server": "s1",
        "name": "work",
        "environment": "python",
        "version": "3.13",
        "group": "default",
        "node": "local",
        "policy": "everyone",
        "cpu": 2,
        "memory": 4 * GIB,
        "shm": 64 * MIB,
    }
    return Facts(**values | changed)


def a_record(
    status: Status = Status.RUNNING, *, facts: Facts | None = None, **changed: Any
) -> SessionRecord:
    """A session that was admitted at noon and ran a minute later."""
    began = status not in {Status.PENDING, Status.PREPARING}
    values: dict[str, Any] = {
        "created": NOON,
        "started": minutes(1) if began else None,
        "ended": None,
        "end": None,
        "peaks": Measure(),
    }
    return SessionRecord(facts=facts or a_facts(), status=status, **values | changed)
