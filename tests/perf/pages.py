"""What pages of sessions ask of the records, as these grow: nobody waits for any of it for long."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import partial

from bai_spawner.reasons import Tab
from bai_spawner.records import Query, Records, Sort
from tests.perf.filled import fill
from tests.perf.growth import Case, grown

SIZES = (100, 1_000, 10_000, 100_000)
USER = "user0"
MINE = Query(tab=Tab.FINISHED, user=USER)
ALL = Query(tab=Tab.FINISHED)


def pages() -> str:
    """The measurements, as a table; a user has the same hundred sessions at every size."""
    folder = tempfile.mkdtemp(prefix="bai-bench-")
    try:
        return _measured(folder)
    finally:
        shutil.rmtree(folder)


def _measured(folder: str) -> str:
    filled = {size: fill(f"sqlite:///{folder}/{size}.sqlite", size).records for size in SIZES}

    def case(title: str, ask: Callable[[Records, int], object]) -> Case:
        return Case(title, lambda size: partial(ask, filled[size], size))

    def page(title: str, query: Query) -> Case:
        return case(title, lambda records, _: records.page("hub", query))

    table = grown(
        "sessions",
        SIZES,
        [
            page("first page of a user", MINE),
            page("first page of everyone", ALL),
            case("last page of everyone", _last),
            page("first page, by name", Query(tab=Tab.FINISHED, sort=Sort.NAME)),
            page("first page, by time elapsed", Query(tab=Tab.FINISHED, sort=Sort.ELAPSED)),
            page("a user's search", Query(tab=Tab.FINISHED, user=USER, text="MENT9")),
            case("search, one matches", _one),
            page("search, all match", Query(tab=Tab.FINISHED, text="MENT")),
            page("search, none matches", Query(tab=Tab.FINISHED, text="100%")),
            case("counts of a user", lambda records, _: records.counts("hub", USER)),
            case("counts of everyone", lambda records, _: records.counts("hub", None)),
            case("what to filter by", lambda records, _: records.choices("hub", None)),
            case("every live session", lambda records, _: records.running("hub")),
            case("version", lambda records, _: records.version("hub")),
            case("every session of a user", lambda records, _: _every(records, MINE)),
            case("every session", lambda records, _: _every(records, ALL)),
        ],
    )
    for records in filled.values():
        records.close()
    return f"\nPages of sessions, from SQLite\n\n{table}"


def _last(records: Records, size: int) -> object:
    return records.page("hub", ALL, offset=int(size * 0.88) // 50 * 50)


def _one(records: Records, size: int) -> object:
    return records.page("hub", Query(tab=Tab.FINISHED, text=f"EXPERIMENT{size - 1}"))


def _every(records: Records, query: Query) -> int:
    """As they are read for CSV."""
    return sum(1 for _ in records.each("hub", query))
