"""The records, as they grow: a launch waits for one, and pages are read from them.

What is done once for all of them, entering and forgetting, is measured once.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path

from sqlalchemy import make_url

from bai_spawner.reasons import Ending, Status, Tab
from bai_spawner.records import Facts, Records
from bai_spawner.records.database import Database
from bai_spawner.records.tables import sessions
from bai_spawner.units import GIB
from tests.perf.growth import Case, grown
from tests.perf.table import duration, ratio, table
from tests.postgres import Postgres

SIZES = (1_000, 10_000, 100_000)
PER_USER = 100
KINDS = 50
"""Of so many sessions one is live and five failed."""
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
ENDED = datetime(2027, 1, 1, tzinfo=UTC)


def records() -> Iterator[str]:
    """The measurements, as tables, one after the other: filling takes a while."""
    folder = Path(tempfile.mkdtemp(prefix="bai-bench-"))
    try:
        yield _measured("SQLite", lambda size: f"sqlite:///{folder}/{size}.sqlite")
    finally:
        shutil.rmtree(folder)
    with _server() as server:
        if server:
            yield _measured("PostgreSQL", lambda size: server.create_database(f"bench-{size}"))
        else:
            yield "\nRecords in PostgreSQL: its programs are not here"


@contextmanager
def _server() -> Iterator[Postgres | None]:
    try:
        server = Postgres()
    except AssertionError:
        yield None
        return
    with server:
        yield server


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


def _measured(title: str, url: Callable[[int], str]) -> str:
    filled = {size: _fill(url(size), size) for size in SIZES}
    cases = [
        Case("enter one", partial(_entering, filled)),
        Case("first page", partial(_paging, filled, 0.0)),
        Case("middle page", partial(_paging, filled, 0.5)),
        Case("last page", partial(_paging, filled, 1.0)),
        Case("first page of a user", partial(_asking, filled, user="user0")),
        Case("first page of RUNNING", partial(_asking, filled, tab=Tab.RUNNING)),
        Case("first page of FINISHED", partial(_asking, filled, tab=Tab.FINISHED)),
        Case("a user's FINISHED", partial(_asking, filled, user="user0", tab=Tab.FINISHED)),
        Case("who lives", partial(_living, filled)),
    ]
    each = grown("sessions", SIZES, cases)
    forgotten = [one.forget() for one in filled.values()]
    for one in filled.values():
        one.records.close()
    return (
        f"\nRecords in {title}\n\n{each}\n\n"
        f"{_once('all at once, once', [one.seconds for one in filled.values()], forgotten)}"
    )


def _once(head: str, entered: list[float], forgotten: list[float]) -> str:
    growth = f"size ×{SIZES[-1] // SIZES[0]:,}"
    rows = []
    for title, times in (("enter all", entered), ("forget all that ended", forgotten)):
        rows.append([title, *map(duration, times), ratio(times[-1], times[0])])
        per = [seconds / size for seconds, size in zip(times, SIZES, strict=True)]
        rows.append(["  a session", *map(duration, per), ratio(per[-1], per[0])])
    return table([head, *(f"{size:,}" for size in SIZES), growth], rows)


def _facts(session: str, number: int) -> Facts:
    return Facts(
        id=session,
        hub="hub",
        user=f"user{number // PER_USER}",
        server=f"server{number % KINDS}",
        name="experiment",
        environment="python",
        version="3.13",
        group="default",
        node="local",
        policy="everyone",
        cpu=2,
        memory=4 * GIB,
        shm=GIB,
        folders=("data", "home"),
    )


def _fill(url: str, size: int) -> Filled:
    """Enter so many sessions and let most of them end."""
    made = Records(url)
    found = [
        (_facts(f"session{number}", number), BEGAN + timedelta(minutes=number))
        for number in range(size)
    ]
    began = time.perf_counter()
    made.enter(found, status=Status.RUNNING)
    seconds = time.perf_counter() - began
    failed = [f"server{number}" for number in range(1, 6)]
    ended = sessions.update().values(ended_at=ENDED)
    database = Database(url)
    with database.writing() as connection:
        connection.execute(
            ended.where(sessions.c.server.in_(failed)).values(
                status=Status.ERROR, reason=Ending.MEMORY.key
            )
        )
        connection.execute(
            ended.where(sessions.c.server.not_in(["server0", *failed])).values(
                status=Status.TERMINATED, reason=Ending.USER.key
            )
        )
    if make_url(url).get_backend_name() == "postgresql":  # as it does by itself after a while
        with database.writing() as connection:
            connection.exec_driver_sql("ANALYZE")
    database.close()
    return Filled(made, size, seconds)


def _entering(filled: Mapping[int, Filled], size: int) -> Callable[[], object]:
    numbers = count()

    def enter() -> None:
        number = next(numbers)
        now = BEGAN + timedelta(days=99, seconds=number)
        filled[size].records.begin(_facts(f"new{number}", number), at=now)

    return enter


def _paging(filled: Mapping[int, Filled], part: float, size: int) -> Callable[[], object]:
    return partial(filled[size].records.page, "hub", offset=int(part * (size - 50)))


def _asking(
    filled: Mapping[int, Filled], size: int, user: str | None = None, tab: Tab | None = None
) -> Callable[[], object]:
    return partial(filled[size].records.page, "hub", user=user, tab=tab)


def _living(filled: Mapping[int, Filled], size: int) -> Callable[[], object]:
    return partial(filled[size].records.live, "hub", before=ENDED)
