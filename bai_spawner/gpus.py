"""The GPUs of the engine's host as the hub uses them, without ever waiting on its loop.

Surveyed for the ledger; attached to a container; read back after it started; let go before
it ends; and measured. NVML and control daemons answer on a thread of their own, and a host
whose driver hangs holds up nobody: what does not answer in time is not there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from logging import Logger
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from bai_spawner.catalog import Catalog
from bai_spawner.engine import ContainerState
from bai_spawner.errors import BaiError, StartFailed
from bai_spawner.gpu.device import DeviceUse, Inventory
from bai_spawner.gpu.fleet import Fleet, Offered, Survey
from bai_spawner.gpu.host import cgroup_of
from bai_spawner.gpu.inventory import Nvml, NvmlError
from bai_spawner.gpu.isolation import VOID, Attachment, Started
from bai_spawner.gpu.processes import container_of
from bai_spawner.labels import SessionLabels
from bai_spawner.ledger import Allocation, Slot

T = TypeVar("T")

ANSWER_SECONDS = 30.0
"""How long NVML may take; opening a driver that slept takes it seconds."""
THREADS = 4


@dataclass(frozen=True, slots=True)
class GpuUses:
    """What devices do now, and by container the bytes it holds of each."""

    devices: Mapping[str, DeviceUse] = field(default_factory=dict)
    memory: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


class Gpus:
    """See the module.

    Args:
        catalog: how GPUs are counted, isolated and grouped.
        log: where it is said what changed.
        nvml: of the engine's host.
    """

    def __init__(self, catalog: Catalog, log: Logger, nvml: Nvml | None = None) -> None:
        self._nvml = nvml or Nvml()
        self._fleet = Fleet(catalog, self._nvml)
        self._simulated = bool(catalog.gpu.simulated)
        self._log = log
        # what looks at the host may hang with its driver: ends of sessions must not wait for it
        self._threads, self._lookers = _Threads(), _Threads()
        self._looking: dict[str, Future[Any]] = {}
        self._told: dict[str, str] = {}
        self._problem: str | None = None
        self.survey = Survey()
        """The last one."""

    def close(self) -> None:
        """Let the threads end."""
        self._threads.close()
        self._lookers.close()

    # ---- what there is ----------------------------------------------------------

    async def look(self, cgroup: str) -> dict[str, Slot]:
        """What is offered now, for the ledger.

        Args:
            cgroup: version of the engine's control groups.
        """
        try:
            self.survey = await self._once("look", lambda: self._fleet.survey(cgroup))
        except TimeoutError:
            self.survey = _silent(self.survey)
        self._tell()
        return {
            offer.device.uuid: Slot(offer.total, offer.terms, offer.groups)
            for offer in self.survey.offers
        }

    def _tell(self) -> None:
        """Say in the hub's log what is not as it was when it was said last."""
        inventory, told = self.survey.inventory, self._told
        if inventory.problem != self._problem:
            self._problem = inventory.problem
            if inventory.problem:
                self._log.info("GPUs: %s", inventory.problem)
        now = {offer.device.uuid: _said(offer) for offer in self.survey.offers}
        for uuid in told.keys() - now.keys():
            self._log.warning("GPU %s is not there any more", uuid)
        for uuid, words in now.items():
            if told.get(uuid) != words:
                self._log.info("GPU %s: %s", uuid, words)
        self._told = now

    # ---- a session's ------------------------------------------------------------

    def attachment(self, allocation: Allocation) -> Attachment:
        """What the container of an allocation gets."""
        cap = allocation.gpu
        if not allocation.shares or cap is None:
            return Attachment()
        devices = tuple(share.device for share in allocation.shares)
        strategy = self._fleet.strategies[cap.isolation]
        if not strategy.attached:
            return Attachment()
        return Attachment(devices, ",".join(devices), strategy.inject(devices, cap))

    async def check(self, state: ContainerState) -> None:
        """See that a container that was just started has what its labels say, and no more.

        Raises:
            StartFailed: it has not, in words.
        """
        session = state.session()
        if session is None:
            raise StartFailed("its labels cannot be read, so nobody knows what it should have")
        started = self._started(state, session)
        expected = started.devices if started else ()
        visible = ",".join(expected) or VOID
        if state.devices != expected or state.visible != visible:
            has = ", ".join(state.devices) or state.visible or "none"
            raise StartFailed(f"the engine gave it the GPUs {has} in place of {visible}")
        if started is None:
            return
        strategy = self._fleet.strategies[started.cap.isolation]
        try:
            mismatch = await self._off(lambda: strategy.mismatch(started))
        except TimeoutError:
            mismatch = _SILENT
        if mismatch:
            raise StartFailed(f"its share of the GPU is not enforced: {mismatch}")

    async def let_go(self, state: ContainerState) -> None:
        """Make ready for a session's end; what cannot be done is said, and keeps nobody."""
        session = state.session()
        started = self._started(state, session) if session else None
        if started is None or not state.running:
            return
        strategy = self._fleet.strategies[started.cap.isolation]
        try:
            await self._off(lambda: strategy.release(started))
        except (BaiError, TimeoutError) as error:
            told = str(error) or _SILENT
            self._log.warning("Cannot let go of the GPUs of %s: %s", state.name, told)

    def _started(self, state: ContainerState, session: SessionLabels) -> Started | None:
        """Its devices and its cap; ``None`` for a session that was given no device."""
        cap = session.gpu
        strategy = self._fleet.strategies.get(cap.isolation) if cap else None
        if not session.shares or cap is None or strategy is None or not strategy.attached:
            return None
        devices = tuple(share.device for share in session.shares)
        return Started(state.id, state.pid, devices, cap)

    # ---- what is used -----------------------------------------------------------

    async def uses(self, running: Mapping[str, SessionLabels]) -> GpuUses:
        """What devices and sessions use now; nothing where there is no GPU.

        Args:
            running: sessions by container.
        """
        if self._simulated or not self.survey.offers:
            return GpuUses()
        try:
            return await self._once("uses", lambda: self._uses(running))
        except TimeoutError:
            return GpuUses()

    def _uses(self, running: Mapping[str, SessionLabels]) -> GpuUses:
        devices = self._nvml.uses()
        memory: dict[str, dict[str, int]] = {
            container: {share.device: 0 for share in session.shares}
            for container, session in running.items()
            if session.shares
        }
        groups: dict[str, str] = {}
        for uuid, use in devices.items():
            for process in use.processes:
                container = container_of(process.pid)
                held = memory.get(container, {})
                if uuid in held:
                    held[uuid] += process.memory or 0
                    groups[container] = cgroup_of(process.pid)
        if self.survey.inventory.memory_limits:
            self._exact(memory, groups)
        return GpuUses(devices, memory)

    def _exact(self, memory: Mapping[str, dict[str, int]], groups: Mapping[str, str]) -> None:
        """Ask the driver what each control group holds, where it keeps count."""
        for container, cgroup in groups.items():
            for uuid in memory[container]:
                try:
                    limit = self._nvml.memory_limit(uuid, cgroup)
                except NvmlError:
                    continue
                if limit is not None:
                    memory[container][uuid] = limit.used

    async def _once(self, what: str, work: Callable[[], T]) -> T:
        """The same on other threads, and not while the last one of its kind still hangs.

        Raises:
            TimeoutError: it does not answer.
        """
        last = self._looking.get(what)
        if last is not None and not last.done():
            raise TimeoutError
        self._looking[what] = doing = self._lookers.submit(work)
        return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(doing)), ANSWER_SECONDS)

    async def _off(self, work: Callable[[], T]) -> T:
        """Off the loop, and not for ever."""
        done = asyncio.wrap_future(self._threads.submit(work))
        return await asyncio.wait_for(done, ANSWER_SECONDS)


_SILENT = f"NVIDIA's driver did not answer within {ANSWER_SECONDS:.0f} s"


class _Threads:
    """Threads that Python does not wait for as it ends: a driver may never answer."""

    def __init__(self) -> None:
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        for number in range(THREADS):
            Thread(target=self._run, name=f"gpu-{number}", daemon=True).start()

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Have it done by one that is free."""
        future: Future[T] = Future()

        def do() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
                future.set_exception(error)

        self._work.put(do)
        return future

    def close(self) -> None:
        """Let them end."""
        for _ in range(THREADS):
            self._work.put(None)

    def _run(self) -> None:
        while work := self._work.get():
            work()


def _silent(last: Survey) -> Survey:
    """What was there, of which nothing is handed out until it answers again."""
    offers = tuple(replace(o, terms=replace(o.terms, note=_SILENT)) for o in last.offers)
    return Survey(Inventory(problem=_SILENT), offers)


def _said(offer: Offered) -> str:
    """What is said of a device in the hub's log: one line, whatever it is called."""
    terms = offer.terms
    title = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in terms.title)
    if terms.note:
        return f"{title}, not handed out: {terms.note}"
    return f"{title}, handed out under {terms.isolation} ({terms.enforcement})"
