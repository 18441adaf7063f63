"""What sessions use now, and the most that they used."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest

from bai_spawner.gpus import Gpus
from bai_spawner.labels import SessionLabels
from bai_spawner.meter import Meter
from bai_spawner.statistics import Cgroups, Sample
from tests.examples import small_catalog
from tests.fake_engine import FakeEngine

MIB = 2**20
FIRST = Sample(
    at=0.0, cpu_seconds=1.0, memory=MIB, processes=2, io_read=0, io_written=0, oom_kills=0
)
RUNNING = {"c1": SessionLabels(*["x"] * 10, 1, MIB, MIB)}
ALLOCATION = RUNNING["c1"].allocation


class Told(Cgroups):
    """Control groups that say what a test wants."""

    def __init__(self) -> None:
        self.sample = FIRST

    def collect(self, containers: Collection[str]) -> dict[str, Sample]:
        return dict.fromkeys(containers, self.sample)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def meter(told: Told) -> Any:
    engine = FakeEngine()
    yield Meter(engine, "hub", Gpus(small_catalog(), logging.getLogger()), told)
    engine.close()


async def test_what_is_used_now_is_the_difference_of_two_rounds(meter: Meter, told: Told) -> None:
    assert (await meter.look(RUNNING)).uses[ALLOCATION].cpu == 0
    told.sample = replace(FIRST, at=2.0, cpu_seconds=4.0, io_written=4 * MIB)
    use = (await meter.look(RUNNING)).uses[ALLOCATION]
    assert (use.cpu, use.io_written, use.memory) == (1.5, 2 * MIB, MIB)


async def test_the_peak_is_the_highest_of_all_rounds_and_is_told_once(
    meter: Meter, told: Told
) -> None:
    for at, memory in enumerate((MIB, 9 * MIB, 3 * MIB)):
        told.sample = replace(FIRST, at=float(at), memory=memory)
        await meter.look(RUNNING)
    assert meter.changed_peaks()[ALLOCATION].memory == 9 * MIB
    await meter.look(RUNNING)
    assert meter.changed_peaks() == {}


async def test_a_process_that_is_killed_for_memory_is_news_once(meter: Meter, told: Told) -> None:
    await meter.look(RUNNING)
    told.sample = replace(FIRST, at=1.0, oom_kills=1)
    assert (await meter.look(RUNNING)).killed == {ALLOCATION}
    assert (await meter.look(RUNNING)).killed == frozenset()
