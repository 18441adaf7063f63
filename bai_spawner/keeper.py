"""Keeps containers, ledger, records and the hub's servers in step, as long as the hub runs.

The engine's events say at once what befell a session; a full comparison, now and then
and whenever the engine was away, finds what no event told of. Nothing is concluded while
the engine is away. Each task goes on after any failure: nobody else does this work.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from logging import Logger

from bai_spawner import apps, labels
from bai_spawner.engine import ContainerEvent, ContainerState, Engine, Verb
from bai_spawner.errors import EngineAway, EngineError
from bai_spawner.gpus import Gpus
from bai_spawner.history import History
from bai_spawner.labels import Key, SessionLabels
from bai_spawner.ledger import Ledger
from bai_spawner.lifecycle import Lifecycle
from bai_spawner.meter import Meter, Round
from bai_spawner.reasons import End, Ending
from bai_spawner.reconcile import Watch, gone, strangers

ENGINE_PAUSE = 5.0
"""Seconds between two attempts to reach an engine that is away."""
LOOK_PAUSE = 1.0
"""Seconds between two attempts to see how a container ended, while the engine is away."""
SOON = 0.5
"""Seconds in which several requests for a comparison become one."""


@dataclass(frozen=True, slots=True)
class Servers:
    """What the hub knows: servers that are started, and those that it knows to be stopped.

    A session that belongs to neither is of a lost database.
    """

    started: Collection[Key] = ()
    stopped: Collection[Key] = ()


@dataclass(frozen=True, slots=True)
class Hub:
    """What the keeper asks the hub, and tells it."""

    servers: Callable[[], Servers]
    ended: Callable[[Key], None] = lambda _: None
    """A server's session ended by itself: look at it now rather than at the next poll."""


@dataclass(frozen=True, slots=True)
class Runs:
    """A session that runs: what its image's label says of its apps, and where it is."""

    apps: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often, in seconds; records are kept for so many days."""

    reconcile: float = 30
    stranger_grace: float = 600
    statistics: float = 10
    peaks: float = 60
    disk: float = 300
    purge: float = 3600
    records_days: int = 365


class Keeper:
    """See the module.

    Args:
        engine: where sessions run.
        lifecycle: ends them.
        history: where it is noted.
        gpus: what sessions use of them.
        ledger: gives the books, once the engine could be asked what runs.
        hub_id: the deployment's identity.
        log: where it says what it did.
        pace: how often.
    """

    def __init__(
        self,
        engine: Engine,
        lifecycle: Lifecycle,
        history: History,
        gpus: Gpus,
        ledger: Callable[[], Awaitable[Ledger]],
        hub_id: str,
        log: Logger,
        pace: Pace,
    ) -> None:
        self._engine = engine
        self._lifecycle = lifecycle
        self._history = history
        self._ledger = ledger
        self._hub_id = hub_id
        self._log = log
        self._pace = pace
        self._hub = Hub(Servers)
        self._meter = Meter(engine, hub_id, gpus)
        self._watch = Watch(pace.stranger_grace)
        self._woken = asyncio.Event()
        self._signalled: set[str] = set()
        self._burying: dict[str, asyncio.Task[None]] = {}
        self._away = False
        self._apps: dict[str, str] = {}
        self.running: dict[str, SessionLabels] = {}

    def sessions(self) -> dict[str, Runs]:
        """Those that run, by allocation."""
        return {
            s.allocation: Runs(self._apps.get(id_, ""), self._lifecycle.addresses.get(id_, ""))
            for id_, s in self.running.items()
        }

    async def run(self, hub: Hub, measured: Callable[[Round], None] = lambda _: None) -> None:
        """Work until cancelled. ``measured`` is told of every round of statistics."""
        self._hub = hub

        async def measure() -> None:
            measured(await self._measure())

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._often(self.compare, self._pace.reconcile, self._woken))
            tasks.create_task(self._often(self._listen, ENGINE_PAUSE))
            tasks.create_task(self._often(measure, self._pace.statistics))
            tasks.create_task(self._often(self._meter.weigh, self._pace.disk))
            tasks.create_task(self._often(self._write_peaks, self._pace.peaks))
            tasks.create_task(self._often(self._purge, self._pace.purge))

    async def _often(
        self,
        work: Callable[[], Awaitable[None]],
        pause: float,
        woken: asyncio.Event | None = None,
    ) -> None:
        """Do it again and again, whatever becomes of it; ``woken`` ends a pause."""
        woken = woken or asyncio.Event()
        while True:
            wait = pause
            try:
                await work()
            except EngineAway as error:
                if not self._away:
                    self._log.warning("%s; sessions are left alone until it is back", error)
                self._away = True
                self._lifecycle.engine_went(self.running)
                wait = min(pause, ENGINE_PAUSE)
            except EngineError as error:
                self._log.warning("%s", error)
            except Exception:  # noqa: BLE001 - the next time may do better
                self._log.exception("The hub's books are not kept well")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), wait)
                await asyncio.sleep(SOON)
            woken.clear()

    # ---- events -----------------------------------------------------------------

    async def _listen(self) -> None:
        """Act on events until the engine goes."""
        listener = await self._engine.listen(self._hub_id)
        self._woken.set()  # what happened before was not heard
        try:
            async for event in listener:
                self._hear(event)
        finally:
            listener.close()

    def _hear(self, event: ContainerEvent) -> None:
        if event.verb is Verb.START:
            self.running[event.container] = event.session
            self._apps[event.container] = event.labels.get(apps.LABEL, "")
        elif event.verb is Verb.KILL:
            self._signalled.add(event.container)
        elif event.verb in (Verb.DIE, Verb.DESTROY):
            self.running.pop(event.container, None)
            self._lifecycle.addresses.pop(event.container, None)
            outside = event.container in self._signalled
            self._signalled.discard(event.container)
            if not self._lifecycle.is_busy(event.session.key):
                self._bury(event.container, event.session, outside=outside)

    def _bury(self, container: str, session: SessionLabels, *, outside: bool = False) -> None:
        """See how a container ended, and get rid of it."""
        if container in self._burying:
            return
        task = asyncio.create_task(self._find_why(container, session, outside))
        self._burying[container] = task
        task.add_done_callback(lambda _: self._burying.pop(container, None))

    async def _find_why(self, container: str, session: SessionLabels, outside: bool) -> None:
        while True:
            try:
                why = await self._why(container, outside)
                break
            except EngineAway:
                self._lifecycle.engine_went([container])
            except EngineError as error:
                self._log.warning("Cannot look at %s: %s", session.key, error)
            await asyncio.sleep(LOOK_PAUSE)
        if why:
            await self._ended(session.key, session.allocation, why)

    async def _why(self, container: str, outside: bool) -> End | None:
        """How a container ended; ``None`` when it did not."""
        state = await self._engine.inspect(container)
        if state is None:
            return End(Ending.REMOVED)
        if state.running:
            return None
        return await self._lifecycle.how_it_ended(state, from_outside=outside)

    async def _ended(self, key: Key, allocation: str, why: End) -> None:
        """Get rid of what is left of a session, unless that is being done."""
        held = (await self._ledger()).of_server(*key)
        if held is None or held.id != allocation or self._lifecycle.is_busy(key):
            return
        self._log.warning("The session of %s %s", key, why.words)
        self._lifecycle.discard(key, why=why)
        self._hub.ended(key)

    # ---- the full comparison ----------------------------------------------------

    async def compare(self) -> None:
        """Make them agree.

        Raises:
            EngineAway: nothing is known, and nothing was done.
        """
        ledger = await self._ledger()
        self._history.retry()
        expected = [a for a in ledger if ledger.is_confirmed(a.id)]
        everyone = await self._engine.everyone()
        containers = [c for c in everyone if c.labels[labels.HUB] == self._hub_id]
        others = [c for c in everyone if c.labels[labels.HUB] != self._hub_id]
        # asked after the engine: a session that starts meanwhile has its owner first
        servers = self._hub.servers()
        self.running = {c.id: s for c in containers if c.running and (s := c.session())}
        self._apps = {c.id: c.labels.get(apps.LABEL, "") for c in containers}
        self._lifecycle.addresses.update({c.id: c.address for c in containers if c.running})
        self._lifecycle.engine_is_back(c.id for c in containers if not c.running)
        ledger.note_others(s for c in others if c.holds and (s := c.session()))
        for container in containers:
            self._settle(container)
        for allocation in gone(containers, expected):
            await self._ended(allocation.key, allocation.id, End(Ending.REMOVED))
        self._end_strangers(containers, ledger, servers)
        if self._away:
            self._log.info("The Docker engine answers again")
        self._away = False

    def _settle(self, container: ContainerState) -> None:
        """Get rid of a container that ended, which no event told of."""
        session = container.session()
        if session and not container.holds and not self._lifecycle.is_busy(session.key):
            self._bury(container.id, session)

    def _end_strangers(
        self, containers: Collection[ContainerState], ledger: Ledger, servers: Servers
    ) -> None:
        """End who has no server: at once when the hub let go of it, else after the grace."""
        unowned = {
            key
            for key in strangers(containers, ledger, servers.started)
            if not self._lifecycle.is_busy(key)
        }
        for key in unowned & set(servers.stopped):
            self._log.warning("The hub had let go of the session of %s: ending it", key)
            self._lifecycle.discard(key, why=End(Ending.HUB_DOWN))
        lost = unowned - set(servers.stopped)
        for key in self._watch.overdue(lost, time.monotonic()):
            self._log.warning("No server leads to the session of %s: ending it", key)
            self._lifecycle.discard(key, why=End(Ending.STRANGER))

    # ---- statistics -------------------------------------------------------------

    async def _measure(self) -> Round:
        found = await self._meter.look(self.running)
        for allocation in found.killed:
            self._log.warning("A process of session %s was killed for memory", allocation)
        if found.killed:
            await self._write_peaks()
        return found

    async def _write_peaks(self) -> None:
        if peaks := self._meter.changed_peaks():
            self._history.measure(peaks)

    async def _purge(self) -> None:
        self._history.purge(self._pace.records_days)
