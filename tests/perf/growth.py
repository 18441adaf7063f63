"""How long something takes as what it works on grows: measured by size, printed as one line.

No time is asserted: machines differ. What should catch the eye is the growth.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

from tests.perf.table import duration, ratio, table

SECONDS = 3.0
"""How long one case is measured."""
LEAST, MOST = 9, 5_000
"""Times that it is done, however long or short it takes."""


@dataclass(frozen=True, slots=True)
class Case:
    """Something to measure; ``prepare`` makes, for a size, what is then timed."""

    title: str
    prepare: Callable[[int], Callable[[], object]]


def grown(head: str, sizes: Sequence[int], cases: Sequence[Case]) -> str:
    """A table: a line a case, a column a size, and the last size's time over the first's."""
    rows = []
    for case in cases:
        times = _medians([case.prepare(size) for size in sizes])
        rows.append([case.title, *map(duration, times), ratio(times[-1], times[0])])
    growth = f"size ×{sizes[-1] // sizes[0]:,}"
    return table([head, *(f"{size:,}" for size in sizes), growth], rows)


def _medians(works: Sequence[Callable[[], object]]) -> list[float]:
    """Seconds of each one's median run. They take turns: noise then falls on every size alike."""
    times: list[list[float]] = [[] for _ in works]
    end = time.perf_counter() + SECONDS
    with _no_collector():
        while len(times[0]) < LEAST or (len(times[0]) < MOST and time.perf_counter() < end):
            for work, found in zip(works, times, strict=True):
                began = time.perf_counter()
                work()
                found.append(time.perf_counter() - began)
    return [median(found) for found in times]


@contextmanager
def _no_collector() -> Iterator[None]:
    """It would strike at random, and as hard as there is much to look at."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
