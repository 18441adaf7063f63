"""What a session uses, against what it was granted: kept up to date, and put together.

Every five seconds for as long as the server runs some ten small files of the kernel's are
read: that is the history, and what the warning judges by. What costs more is done when
somebody asks (disks), when there is a reason to (processes), or aside (GPUs).
"""

import asyncio
import os
import time
from collections import deque
from pathlib import Path
from typing import Any

from bai_spawner.server_extension.aside import Aside
from bai_spawner.server_extension.deaths import SHM
from bai_spawner.server_extension.mounts import folders
from bai_spawner.server_extension.usage import kernels
from bai_spawner.server_extension.usage.disk import Disk
from bai_spawner.server_extension.usage.gpu import Gpus, GpuUse, share
from bai_spawner.server_extension.usage.history import INTERVAL, History, Point
from bai_spawner.server_extension.usage.killed import Killed
from bai_spawner.server_extension.usage.largest import largest
from bai_spawner.server_extension.usage.limits import allocation
from bai_spawner.server_extension.usage.pressure import BELOW, Pressure, words
from bai_spawner.statistics import OwnCgroup, Sample, rates

SHORTEST = 1.0
"""Seconds that CPU time is looked at for at least: the kernel counts it in ticks."""
GPU_SECONDS = 4.0
"""What NVML may take: less than from one look to the next."""


class Account:
    """The account of one session.

    Args:
        serverapp: its Jupyter server.
        cgroup: its control group.
        home: its work directory.
    """

    def __init__(self, serverapp: Any, cgroup: OwnCgroup, home: Path) -> None:
        self._app, self._cgroup = serverapp, cgroup
        self._limits = allocation(cgroup)
        self._samples: deque[Sample] = deque(maxlen=2)
        self._history = History()
        self._disk = Disk(home, lambda: folders(home))
        self._pressure, self._killed = Pressure(), Killed()
        self._warning: dict[str, Any] | None = None
        granted = share()
        self._gpus = Gpus(granted) if granted else None
        self._uses: tuple[GpuUse, ...] | None = () if granted else None
        self._aside = Aside()

    async def run(self) -> None:
        """Look every five seconds, until cancelled."""
        try:
            while True:
                await self.look()
                await asyncio.sleep(INTERVAL)
        finally:
            await self._disk.close()

    async def look(self) -> None:
        """Take one sample, judge by it, and remember it."""
        at, now = time.time(), self._sample()
        await self._judge(now)
        await self._look_at_gpus()
        if self._samples:
            cores = rates(self._samples[-1], now).cores
            held = sum(use.memory for use in self._uses) if self._uses else None
            self._history.add(Point(round(at, 3), round(cores, 3), now.memory, held))
        self._samples.append(now)

    async def told(self) -> dict[str, Any]:
        """What is used now, in the shape of ``GET bai/api/usage``.

        Memory and processes are read as it is asked. Cores are an average over the last one
        to six seconds. GPUs are as of the last look, disks as they were counted last.
        """
        at, now = time.time(), self._sample()
        await self._judge(now)
        return {
            "at": round(at, 3),
            "interval": INTERVAL,
            "cpu": {"used": round(self._cores(now), 3), "limit": self._limits.cpu},
            "memory": {"used": now.memory, "limit": self._limits.memory},
            "shm": _shm(),
            "processes": {"used": now.processes, "limit": self._limits.processes},
            "disk": await self._disk.told(),
            "gpu": None if self._uses is None else [use.told() for use in self._uses],
            "history": self._history.told(),
            "warning": self._warning,
            "killed": self._killed.told(now.oom_kills),
        }

    def _sample(self) -> Sample:
        """A sample of now; of nothing where the kernel's files are not there."""
        return self._cgroup.sample() or Sample(time.monotonic(), 0.0, 0, 0, 0, 0, 0)

    def _cores(self, now: Sample) -> float:
        """Cores in use since the last sample that is old enough to tell."""
        old = [sample for sample in self._samples if now.at - sample.at >= SHORTEST]
        return rates(old[-1], now).cores if old else 0.0

    async def _judge(self, now: Sample) -> None:
        """Whether memory is short, and who was killed for want of it."""
        held, limit = now.memory, self._limits.memory
        if held >= BELOW * limit:
            held -= self._cgroup.active_cache()
        began = self._pressure.look(held, limit)
        self._warning = await self._warn(now) if self._pressure.short else None
        if began and self._warning:
            self._app.log.warning("%s", self._warning["message"])
        if now.oom_kills and now.oom_kills not in self._killed.known:
            await self._killed.learn(self._app)

    async def _warn(self, now: Sample) -> dict[str, Any]:
        most = largest(await kernels.processes(self._app))
        told = {"pid": most.pid, "name": most.name, "memory": most.memory} if most else None
        return {"message": words(now.memory, self._limits.memory, most), "largest": told}

    async def _look_at_gpus(self) -> None:
        if not self._gpus:
            return
        try:
            self._uses = await self._aside.ask(self._gpus.read, GPU_SECONDS)
        except TimeoutError:
            self._uses = ()
        except Exception:
            self._app.log.exception("This session goes on without looking at its GPUs")
            self._gpus, self._uses = None, ()


def _shm() -> dict[str, int]:
    """Bytes of shared memory in use, and in all."""
    found = os.statvfs(SHM)
    size = found.f_frsize
    return {"used": (found.f_blocks - found.f_bfree) * size, "limit": found.f_blocks * size}
