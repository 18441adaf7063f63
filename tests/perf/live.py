"""What it costs that people look at the list of sessions while these run.

Six services look at the same records at once, in processes of their own: three audiences, each
by the stream of events and by asking every two seconds. Somebody publishes as often as the hub
does by default. The hub itself is left out: what it says of a visitor holds for half a minute.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from bai_spawner import bulletin
from bai_spawner.reasons import End, Ending
from bai_spawner.records import Records
from bai_spawner.runtime import BaiRuntime
from tests.examples import small_catalog
from tests.perf.filled import ENDED, fill
from tests.perf.growth import Case, grown
from tests.perf.published import USERS, enter, statistics, times
from tests.perf.table import duration, table
from tests.perf.viewer import EVERY, Viewer

SESSIONS = (1, 20, 100)
ENDED_SESSIONS = 10_000
INTERVAL = float(BaiRuntime.statistics_interval.default_value)
"""Seconds between two publications, on average."""
PUBLICATIONS = 3
"""While it is measured."""
SETTLE = 3.0
"""Seconds after which everyone was told a first time."""
HUB = "hub"
REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Audience:
    """Who looks, and by which way."""

    viewers: int
    see_all: bool
    streams: bool

    def __str__(self) -> str:
        kind = "superadmin" if self.see_all else "user"
        return f"{self.viewers} {kind}{'s' if self.viewers > 1 else ''}"


AUDIENCES = tuple(
    Audience(viewers, see_all, streams)
    for viewers, see_all in ((1, True), (USERS, False), (USERS, True))
    for streams in (True, False)
)


@dataclass(frozen=True, slots=True)
class Watched:
    """A service, and its viewers."""

    audience: Audience
    address: str
    viewers: Sequence[Viewer]

    def cost(self) -> dict[str, Any]:
        """What it took so far."""
        found: dict[str, Any] = httpx.get(f"{self.address}/cost").raise_for_status().json()
        return {**found, "bytes": sum(viewer.received for viewer in self.viewers)}


def live() -> Iterator[str]:
    """The measurements, as tables."""
    folder = Path(tempfile.mkdtemp(prefix="bai-bench-"))
    try:
        _fill(folder / "ended.sqlite")
        yield _hub_side(folder)
        rows = asyncio.run(_watched(folder))
        head = ["sessions that run", "viewers", "by", "of a core", "reads/s", "to each"]
        yield (
            f"\nLooking at the list, {ENDED_SESSIONS:,} sessions ended before\n\n"
            f"{table([*head, 'delay, median', 'longest'], rows)}"
        )
    finally:
        shutil.rmtree(folder)


def _fill(path: Path) -> None:
    """Many sessions that ended."""
    filled = fill(f"sqlite:///{path}", ENDED_SESSIONS).records
    filled.publish(HUB, bulletin.CATALOGUE, bulletin.catalogue(small_catalog()), at=ENDED)
    for record in filled.running(HUB):
        filled.end(record.facts.id, End(Ending.USER), at=ENDED)
    filled.close()


def _opened(folder: Path, name: str, sessions: int) -> tuple[str, Records]:
    """Records of their own, in which so many sessions run."""
    path = folder / f"{name}-{sessions}.sqlite"
    shutil.copy(folder / "ended.sqlite", path)
    records = Records(f"sqlite:///{path}")
    enter(records, sessions)
    return f"sqlite:///{path}", records


def _publish(records: Records, kind: str, body: str) -> None:
    records.publish(HUB, kind, body, at=datetime.now(UTC))


def _publish_all(records: Records, sessions: int, number: int) -> None:
    """All that changes while sessions run."""
    _publish(records, bulletin.SESSIONS, times(sessions))
    _publish(records, bulletin.STATISTICS, statistics(sessions, number))


# ---- what the hub does ----------------------------------------------------------


def _hub_side(folder: Path) -> str:
    opened = {sessions: _opened(folder, "hub", sessions)[1] for sessions in SESSIONS}
    numbers = count()

    def written(kind: str, body: Callable[[int], str], sessions: int) -> Callable[[], object]:
        return lambda: _publish(opened[sessions], kind, body(sessions))

    def used(sessions: int) -> str:
        return statistics(sessions, next(numbers))

    cases = [
        Case("what they use, as JSON", lambda sessions: partial(used, sessions)),
        Case("  and written", partial(written, bulletin.STATISTICS, used)),
        Case("their apps and times, as JSON", lambda sessions: partial(times, sessions)),
        Case("  and written", partial(written, bulletin.SESSIONS, times)),
    ]
    found = grown("sessions that run", SESSIONS, cases)
    for records in opened.values():
        records.close()
    return f"\nPublishing once, in SQLite\n\n{found}"


# ---- what the service does ------------------------------------------------------


async def _watched(folder: Path) -> list[list[str]]:
    """A row for each number of sessions and each audience, which stays while there are more."""
    url, records = _opened(folder, "live", 0)
    numbers = count(1)
    rows: list[list[str]] = []
    tasks: list[asyncio.Task[None]] = []
    with ExitStack() as services:
        started = [services.enter_context(_service(url, one)) for one in AUDIENCES]
        watched = [_watching(*one, tasks) for one in zip(AUDIENCES, started, strict=True)]
        for sessions in SESSIONS:
            enter(records, sessions)
            _publish_all(records, sessions, next(numbers))
            await asyncio.sleep(SETTLE)
            before, began = [one.cost() for one in watched], time.monotonic()
            at = await _publishing(records, sessions, numbers)
            after, seconds = [one.cost() for one in watched], time.monotonic() - began
            for one, a, b in zip(watched, before, after, strict=True):
                rates = {key: (b[key] - a[key]) / seconds for key in a}
                rows.append(_row(sessions, one, rates, at))
        for task in tasks:
            if task.done():  # nobody answers this viewer any more
                task.result()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    records.close()
    return rows


@contextmanager
def _service(url: str, audience: Audience) -> Iterator[subprocess.Popen[str]]:
    kind = "superadmin" if audience.see_all else "user"
    command = [sys.executable, "-m", "tests.perf.live_service", url, str(audience.viewers), kind]
    with subprocess.Popen(
        [*command, str(os.getpid())], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _watching(
    audience: Audience, process: subprocess.Popen[str], tasks: list[asyncio.Task[None]]
) -> Watched:
    """Let the audience come; those who ask again do so at different moments."""
    assert process.stdout
    told = json.loads(process.stdout.readline())
    viewers = [Viewer(told["address"], token) for token in told["tokens"]]
    for number, viewer in enumerate(viewers):
        looks = viewer.stream() if audience.streams else viewer.poll(EVERY * number / USERS)
        tasks.append(asyncio.create_task(looks))
    return Watched(audience, told["address"], viewers)


async def _publishing(records: Records, sessions: int, numbers: Iterator[int]) -> dict[int, float]:
    """Publish as often as the hub; by number, when each was, every time elsewhere between looks."""
    at: dict[int, float] = {}
    for turn in range(PUBLICATIONS):
        early = INTERVAL / 2 - EVERY * turn / PUBLICATIONS
        await asyncio.sleep(early)
        number = next(numbers)
        at[number] = time.monotonic()
        await asyncio.to_thread(_publish_all, records, sessions, number)
        await asyncio.sleep(INTERVAL - early)
    return at


def _row(
    sessions: int, watched: Watched, rates: dict[str, float], at: dict[int, float]
) -> list[str]:
    late = [
        viewer.arrived[number] - published
        for viewer in watched.viewers
        for number, published in at.items()
        if number in viewer.arrived
    ]
    return [
        f"{sessions:,}",
        str(watched.audience),
        "events" if watched.audience.streams else "asking",
        f"{rates['cpu']:.2%}",
        f"{rates['reads']:.1f}",
        f"{rates['bytes'] / len(watched.viewers) / 1000:,.2f} kB/s",
        duration(median(late)) if late else "-",
        duration(max(late)) if late else "-",
    ]
