"""What every session uses: one round reads all of them, and remembers the most of each.

The kernel's files are read where the engine is this machine's; else the engine is
asked for each session. What a session wrote outside its folders only the engine can
tell, and slowly: it is asked for that rarely, for all sessions at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bai_spawner.engine import Engine
from bai_spawner.errors import EngineError
from bai_spawner.gpu.device import DeviceUse
from bai_spawner.gpus import Gpus
from bai_spawner.labels import SessionLabels
from bai_spawner.records import Measure
from bai_spawner.statistics import Cgroups, Sample, from_engine, rates

AT_ONCE = 8
"""Sessions that the engine is asked about at once, where its files are not to be seen."""


@dataclass(frozen=True, slots=True)
class Use:
    """What one session uses now.

    ``cpu`` is in cores, ``memory`` and ``disk`` in bytes, ``io_read`` and ``io_written``
    in bytes a second; ``oom_kills`` counts its processes that were killed for memory.
    ``gpu_memory`` is in bytes, by GPU that it has a share of.
    """

    cpu: float
    memory: int
    disk: int
    io_read: int
    io_written: int
    processes: int
    oom_kills: int
    gpu_memory: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As other processes read it."""
        return {**asdict(self), "cpu": round(self.cpu, 3)}


@dataclass(frozen=True, slots=True)
class Round:
    """One round: by allocation, what is used, and whose processes were killed for memory since.

    ``devices`` is what each GPU does.
    """

    uses: Mapping[str, Use]
    killed: frozenset[str] = frozenset()
    devices: Mapping[str, DeviceUse] = field(default_factory=dict)


class Meter:
    """Measures the sessions of one deployment.

    Args:
        engine: where they run.
        hub: the deployment's identity.
        gpus: what is used of them.
        cgroups: where the kernel's files are.
    """

    def __init__(
        self, engine: Engine, hub: str, gpus: Gpus, cgroups: Cgroups | None = None
    ) -> None:
        self._engine, self._hub, self._gpus = engine, hub, gpus
        self._cgroups = cgroups or Cgroups()
        self._samples: dict[str, Sample] = {}
        self._disk: dict[str, int] = {}
        self._peaks: dict[str, Measure] = {}
        self._changed: set[str] = set()

    async def look(self, running: Mapping[str, SessionLabels]) -> Round:
        """Measure the sessions whose containers are given by id."""
        running = dict(running)  # some end while they are measured
        samples = await asyncio.to_thread(self._cgroups.collect, list(running))
        if running and not samples:
            samples = await self._ask(running)
        on_gpus = await self._gpus.uses(running)
        uses: dict[str, Use] = {}
        killed: set[str] = set()
        for container, sample in samples.items():
            allocation = running[container].allocation
            earlier = self._samples.get(container)
            held = on_gpus.memory.get(container, {})
            uses[allocation] = use = self._use(container, earlier, sample, held)
            self._raise_peak(allocation, use, sample)
            if earlier and sample.oom_kills > earlier.oom_kills:
                killed.add(allocation)
        self._samples = samples
        return Round(uses, frozenset(killed), on_gpus.devices)

    async def weigh(self) -> None:
        """Ask the engine what each session wrote outside its folders; it takes seconds."""
        found = await self._engine.list(self._hub, size=True)
        self._disk = {container.id: container.disk for container in found}

    def changed_peaks(self) -> dict[str, Measure]:
        """By allocation, the peaks that rose since this was asked last.

        A session whose CPU time stands still has ended: it is forgotten.
        """
        self._peaks = {allocation: self._peaks[allocation] for allocation in self._changed}
        self._changed = set()
        return dict(self._peaks)

    async def _ask(self, running: Mapping[str, SessionLabels]) -> dict[str, Sample]:
        """Ask the engine for each; those that it cannot tell of are left out."""
        turn = asyncio.Semaphore(AT_ONCE)

        async def one(container: str) -> Sample | None:
            async with turn:
                try:
                    found = await self._engine.stats(container)
                except EngineError:
                    return None
                return from_engine(found, time.monotonic()) if found else None

        asked = await asyncio.gather(*(one(container) for container in running))
        return {c: sample for c, sample in zip(running, asked, strict=True) if sample}

    def _use(
        self, container: str, earlier: Sample | None, sample: Sample, gpu_memory: Mapping[str, int]
    ) -> Use:
        since = rates(earlier or sample, sample)
        return Use(
            cpu=since.cores,
            memory=sample.memory,
            disk=self._disk.get(container, 0),
            io_read=since.io_read,
            io_written=since.io_written,
            processes=sample.processes,
            oom_kills=sample.oom_kills,
            gpu_memory=gpu_memory,
        )

    def _raise_peak(self, allocation: str, use: Use, sample: Sample) -> None:
        before = self._peaks.get(allocation, Measure())
        peak = Measure(
            cpu=max(before.cpu, use.cpu),
            memory=max(before.memory, use.memory),
            disk=max(before.disk, use.disk),
            cpu_seconds=max(before.cpu_seconds, sample.cpu_seconds),
            io_read=max(before.io_read, sample.io_read),
            io_written=max(before.io_written, sample.io_written),
            oom_kills=max(before.oom_kills, sample.oom_kills),
        )
        if peak != before:
            self._peaks[allocation] = peak
            self._changed.add(allocation)
