"""Records with so many sessions: a few live, most ended in order, some failed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import create_engine, make_url

from bai_spawner.reasons import Ending, Status
from bai_spawner.records import Facts, Records
from bai_spawner.records.database import Database
from bai_spawner.records.tables import sessions
from bai_spawner.units import GIB

PER_USER = 100
KINDS = 50
"""Of so many sessions one is live and five failed."""
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
ENDED = datetime(2027, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Filled:
    """Records of so many sessions, and how long it took to enter them at once."""

    records: Records
    size: int
    seconds: float

    def forget(self) -> float:
        """How long it takes to forget all that ended."""
        began = time.perf_counter()
        self.records.purge("hub", before=ENDED + timedelta(days=1))
        return time.perf_counter() - began


def facts(session: str, number: int) -> Facts:
    """One of them; a user has `PER_USER`, and each has a name of its own."""
    return Facts(
        id=session,
        hub="hub",
        user=f"user{number // PER_USER}",
        server=f"server{number % KINDS}",
        name=f"experiment{number}",
        environment=("python", "torch", "rstudio")[number % 3],
        version="3.13",
        group=("default", "gpu")[number % 2],
        node="local",
        policy="everyone",
        cpu=2 + number % 7,
        memory=4 * GIB,
        shm=GIB,
        folders=("data", "home"),
    )


def fill(url: str, size: int) -> Filled:
    """Enter so many sessions, one a minute, and let most of them end."""
    made = Records(url)
    found = [
        (facts(f"session{number}", number), BEGAN + timedelta(minutes=number))
        for number in range(size)
    ]
    began = time.perf_counter()
    made.enter(found, status=Status.RUNNING)
    seconds = time.perf_counter() - began
    failed = [f"server{number}" for number in range(1, 6)]
    database = Database(url)
    with database.writing() as connection:
        for ending, which in (
            (Ending.MEMORY, sessions.c.server.in_(failed)),
            (Ending.USER, sessions.c.server.not_in(["server0", *failed])),
        ):
            status = ending.status
            ended = {"ended_at": ENDED, "reason": ending.key, "status": status, "tab": status.tab}
            connection.execute(sessions.update().where(which).values(ended))
    database.close()
    if make_url(url).get_backend_name() == "postgresql":
        _settle(url)
    return Filled(made, size, seconds)


def _settle(url: str) -> None:
    """As a server does by itself after a while."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")
    engine.dispose()
