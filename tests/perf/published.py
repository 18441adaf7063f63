"""What a hub publishes while so many sessions run: a little else every time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bai_spawner import bulletin
from bai_spawner.apps import App
from bai_spawner.bulletin import Told
from bai_spawner.limits import Idle, Lifetime, Time, Why
from bai_spawner.meter import Use
from bai_spawner.reasons import Status
from bai_spawner.records import Records
from bai_spawner.units import GIB
from tests.perf.filled import facts

USERS = 20
"""Whose they are."""
APPS = (App("tensorboard", "TensorBoard", port=6006), App("code", "VS Code", port=8080))


def allocation(number: int) -> str:
    """A session's; as long as a real one."""
    return f"{number:032x}"


def enter(records: Records, sessions: int) -> None:
    """Let so many run, of as many users as there are viewers, one after the other."""
    now = datetime.now(UTC)
    found = [
        (replace(facts(allocation(number), number), user=f"user{number % USERS}"), now)
        for number in range(sessions)
    ]
    records.enter(found, status=Status.RUNNING)


def statistics(sessions: int, number: int) -> str:
    """What they use; ``number`` is of the publication, and stands as that of processes."""
    use = Use(0.25 + number % 7, GIB + number, 2 * GIB, 4096, 8192, number, 0, {"GPU-a": GIB})
    uses = {allocation(one): use.to_json() for one in range(sessions)}
    return bulletin.statistics(uses)


def times(sessions: int) -> str:
    """Which apps and how much time they have; every one has both limits."""
    now = datetime.now(UTC)
    hours = timedelta(hours=1)
    time = Time(
        ends=now + hours,
        why=Why.IDLE,
        warned=False,
        idle=Idle(now, hours, known=True),
        lifetime=Lifetime(now + 8 * hours, 8 * hours, hours, 2),
    )
    return bulletin.sessions({allocation(one): Told(APPS, time) for one in range(sessions)})
