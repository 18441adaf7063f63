"""The records, as they grow: a launch waits for one, and pages are read from them.

What is done once for all of them, entering and forgetting, is measured once.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path

from bai_spawner.reasons import Tab
from bai_spawner.records import Query
from tests.perf.filled import BEGAN, ENDED, Filled, facts, fill
from tests.perf.growth import Case, grown
from tests.perf.table import duration, ratio, table
from tests.postgres import Postgres

SIZES = (1_000, 10_000, 100_000)


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


def _measured(title: str, url: Callable[[int], str]) -> str:
    filled = {size: fill(url(size), size) for size in SIZES}
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


def _entering(filled: Mapping[int, Filled], size: int) -> Callable[[], object]:
    numbers = count()

    def enter() -> None:
        number = next(numbers)
        now = BEGAN + timedelta(days=99, seconds=number)
        filled[size].records.begin(facts(f"new{number}", number), at=now)

    return enter


def _paging(filled: Mapping[int, Filled], part: float, size: int) -> Callable[[], object]:
    return partial(filled[size].records.page, "hub", offset=int(part * (size - 50)))


def _asking(
    filled: Mapping[int, Filled], size: int, user: str | None = None, tab: Tab | None = None
) -> Callable[[], object]:
    return partial(filled[size].records.page, "hub", Query(user=user, tab=tab))


def _living(filled: Mapping[int, Filled], size: int) -> Callable[[], object]:
    return partial(filled[size].records.live, "hub", before=ENDED)
