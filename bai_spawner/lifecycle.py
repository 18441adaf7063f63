"""The life of a session's container: made, answering, ended, and got rid of.

Whatever happens on the way, a share comes back exactly once and only after the
container is gone: a start that failed or was cancelled, and an end that the engine
did not carry out, are handed to `Lifecycle.discard`, which outlives the request.
What became of a session is noted in the history, with its reason. Nothing here raises
for what is already so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from logging import Logger
from typing import Literal

from tornado.httpclient import AsyncHTTPClient, HTTPClientError

from bai_spawner import labels
from bai_spawner.container import ContainerSpec
from bai_spawner.engine import ContainerState, Engine
from bai_spawner.errors import (
    BaiError,
    EngineAway,
    EngineError,
    ImageMissing,
    PortTaken,
    Reason,
    StartFailed,
)
from bai_spawner.folders import FolderMount, FolderStore
from bai_spawner.gpus import Gpus
from bai_spawner.history import History
from bai_spawner.labels import Key
from bai_spawner.ledger import Ledger
from bai_spawner.names import container_name
from bai_spawner.reasons import End, Ending, Status, of_failure
from bai_spawner.reconcile import Room, death, room
from bai_spawner.steps import Step

SHOWN_LINES = 50
"""Lines of a failed start's log that are shown."""
LOG_LINES = 2000
"""Lines of an ended session's log that are read for its record, which bounds their bytes."""
LOOK_EVERY = 0.5
"""Seconds between two looks at a container that does not answer yet."""
SHORT_PAUSE, LONG_PAUSE = 0.2, 30.0
"""Seconds before the first and, at most, before a later attempt to remove a container."""
SETTLE_SECONDS = 10.0
"""How long a create whose outcome is not known is looked for after its answer was missed."""
END_SECONDS = 5.0
"""How long the end of a session waits for its container to be gone; the work goes on."""
ANSWER_SECONDS = 5.0
"""The longest that one question whether a session answers may take."""
PORT_TRIES = 5
"""How many ports of the host are tried for a session."""
ROOM_SECONDS = 5.0
"""How long a start waits for another hub's later one to give way."""

ON_REQUEST = End(Ending.USER)

Pull = Literal["never", "missing", "always"]
Report = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class Running:
    """A session that answers."""

    container: str
    address: str


class _Died(StartFailed):
    """The container ended while it started; ``end`` is how."""

    def __init__(self, message: str, end: End) -> None:
        super().__init__(message)
        self.end = end


@dataclass(frozen=True, slots=True)
class Start:
    """How to start a session, and how to know that it answers.

    Args:
        key: whose it is.
        allocation: what it holds.
        mounts: its folders, before they are made.
        make_folders: whether the folders that everybody has are made too.
        make_spec: the container, once the folders are there, from the image's labels.
        image: what it is made from.
        port: where it listens.
        path: what is asked until it answers.
        seconds: how long all of it may take.
        pull: whether the image may be fetched.
        port_taken: told that the host's port in the spec is another program's, before
            another spec is asked for.
    """

    key: Key
    allocation: str
    mounts: tuple[FolderMount, ...]
    make_folders: bool
    make_spec: Callable[[tuple[FolderMount, ...], Mapping[str, str]], ContainerSpec]
    image: str
    port: int
    path: str
    seconds: float
    pull: Pull = "never"
    port_taken: Callable[[], None] = lambda: None


class Lifecycle:
    """Makes and ends the containers of one deployment.

    Args:
        engine: where they run.
        folders: what they mount.
        hub: the deployment's identity.
        ledger: gives the books, once the engine could be asked what runs.
        history: where it is noted how sessions fare.
        gpus: reads back what a session got of them, and lets it go.
        log: where what cannot be done yet is said.
        probe_interval: seconds between two questions whether a session answers.
    """

    def __init__(
        self,
        engine: Engine,
        folders: FolderStore,
        hub: str,
        ledger: Callable[[], Awaitable[Ledger]],
        history: History,
        gpus: Gpus,
        log: Logger,
        *,
        probe_interval: float = 0.03,
    ) -> None:
        self._engine = engine
        self._folders = folders
        self._hub = hub
        self._ledger = ledger
        self._history = history
        self._gpus = gpus
        self._log = log
        self._probe_interval = probe_interval
        self._probe = AsyncHTTPClient(force_instance=True, max_clients=1000)
        self._endings: dict[Key, asyncio.Task[None]] = {}
        self._starting: set[Key] = set()
        self._why: dict[Key, End] = {}
        self._bereft: set[str] = set()
        self.addresses: dict[str, str] = {}
        """Where containers answer, by their ids; of one that is gone it says nothing."""

    def close(self) -> None:
        """Close the connections of the probe."""
        self._probe.close()

    def is_ending(self, key: Key) -> bool:
        """Whether something of this server is still being got rid of."""
        return key in self._endings

    def is_busy(self, key: Key) -> bool:
        """Whether this server is being started or ended: its container is in good hands."""
        return key in self._endings or key in self._starting or key in self._why

    def status(self, key: Key) -> Status:
        """What the session of a server that holds something is doing."""
        if key in self._endings or key in self._why:
            return Status.TERMINATING
        return Status.PREPARING if key in self._starting else Status.RUNNING

    # ---- start ------------------------------------------------------------------

    async def start(self, start: Start, report: Report) -> Running:
        """Make a session; return when it answers.

        Raises:
            StartFailed: it did not become a session in time; with the container's last words.
            EngineError: the engine refused, or is away.

        Whatever is raised, a cancellation included, what was made is removed and what was
        reserved is given back, in the background where it takes long.
        """
        deadline = time.monotonic() + start.seconds
        creating: list[asyncio.Future[str]] = []
        self._starting.add(start.key)
        self._history.note(start.allocation, Status.PREPARING)
        try:
            running = await self._start(start, report, deadline, creating)
        except BaseException as error:
            log = ""
            try:
                if isinstance(error, BaiError):
                    log = await self._last_words(creating)
            finally:
                self._history.end(start.allocation, _end_of(error), log)
                self.discard(start.key, creating)
            if isinstance(error, BaiError):
                raise _failure(error, log) from error
            raise
        else:
            self._history.note(start.allocation, Status.RUNNING)
            return running
        finally:
            self._starting.discard(start.key)

    async def _start(
        self,
        start: Start,
        report: Report,
        deadline: float,
        creating: list[asyncio.Future[str]],
    ) -> Running:
        report(Step.CHECKING)
        mounts = await asyncio.to_thread(
            self._folders.prepare, start.key[0], start.mounts, defaults=start.make_folders
        )
        if start.pull == "always":
            report(Step.IMAGE)
            await self._engine.pull(start.image)
        report(Step.CREATING)
        try:
            container = await self._create(start, mounts, creating)
        except ImageMissing:
            if start.pull != "missing":
                raise
            report(Step.IMAGE)
            await self._engine.pull(start.image)
            container = await self._create(start, mounts, creating)
        ledger = await self._ledger()
        ledger.confirm(start.allocation)
        await self._make_room(ledger, start.allocation)
        report(Step.STARTING)
        for _ in range(PORT_TRIES - 1):
            try:
                await self._engine.start(container)
                break
            except PortTaken as error:
                self._log.warning("Another port is tried: %s", error)
                start.port_taken()
                container = await self._create(start, mounts, creating)
        else:
            await self._engine.start(container)
        await asyncio.to_thread(self._folders.verify, mounts)
        state = await self._alive(container)
        await self._gpus.check(state)
        report(Step.ANSWERING)
        address = await self._answer(state, start, deadline)
        self.addresses[container] = address
        return Running(container, address)

    async def _create(
        self,
        start: Start,
        mounts: tuple[FolderMount, ...],
        creating: list[asyncio.Future[str]],
    ) -> str:
        """Create the container, in place of one that this start made before.

        A create that was asked for happens, and must be known of: a cancellation does not
        stop it, and whoever cleans up finds it in ``creating``.
        """
        spec = start.make_spec(mounts, await self._engine.image_labels(start.image))
        creating.append(asyncio.ensure_future(self._engine.create(spec)))
        return await asyncio.shield(creating[-1])

    async def _make_room(self, ledger: Ledger, allocation: str) -> None:
        """See that all hubs on this engine together do not exceed what it has.

        Each of them looks after its own create, so that of two that looked too late to see
        each other's reservation at least one sees the other's container; the later one gives
        way before it starts.

        Raises:
            StartFailed: there is none.
        """
        deadline = time.monotonic() + ROOM_SECONDS
        while True:
            found = room(allocation, await self._engine.everyone(), ledger)
            if found is Room.ENOUGH:
                return
            if found is Room.NONE or time.monotonic() > deadline:
                took = "another hub on this engine took what was free; try again later"
                raise StartFailed(ledger.trouble(allocation) or took, reason=Reason.CAPACITY)
            await asyncio.sleep(SHORT_PAUSE)

    async def _answer(self, state: ContainerState, start: Start, deadline: float) -> str:
        """Ask until the session answers; its address. Look at the container now and then."""
        look = time.monotonic() + LOOK_EVERY
        url = f"http://{state.address}:{start.port}{start.path}"
        while not await self._answers(url, deadline - time.monotonic()):
            now = time.monotonic()
            if now > deadline:
                raise StartFailed("the session did not answer in time", reason=Reason.TIMEOUT)
            if now > look:
                state = await self._alive(state.id)
                look = now + LOOK_EVERY
            await asyncio.sleep(self._probe_interval)
        return state.address

    async def _answers(self, url: str, seconds: float) -> bool:
        """Whether anything but an error of the server answers."""
        timeout = max(self._probe_interval, min(ANSWER_SECONDS, seconds))
        try:
            await self._probe.fetch(
                url,
                follow_redirects=False,
                connect_timeout=min(1, timeout),
                request_timeout=timeout,
            )
        except HTTPClientError as error:
            return 300 <= error.code < 500  # noqa: PLR2004 - a redirect or a refusal is an answer
        except OSError:
            return False
        return True

    async def _alive(self, container: str) -> ContainerState:
        """The container's state.

        Raises:
            StartFailed: it does not run.
        """
        state = await self._engine.inspect(container)
        if state is None:
            raise StartFailed("the container was removed while it started")
        if not state.running:
            end = death(state)
            raise _Died(_dying(state, end), end)
        return state

    async def _last_words(self, creating: list[asyncio.Future[str]]) -> str:
        """The end of a failed container's log; empty when there is none to be had."""
        made = [c.result() for c in creating if c.done() and not c.exception()]
        return await self._log_of(made[-1]) if made else ""

    async def _log_of(self, container: str) -> str:
        """The end of a container's log. One that cannot be read keeps nothing from its end."""
        try:
            return await self._engine.logs(container, LOG_LINES)
        except EngineError:
            return ""

    # ---- end --------------------------------------------------------------------

    async def end(self, key: Key, *, grace: int | None, why: End = ON_REQUEST) -> None:
        """Stop a session and remove its container; ended or gone already is success.

        When the engine does not do it now, it is done in the background: the share stays
        held until the container is gone. ``grace`` is in seconds; ``None``: as many as the
        container was made with. Of several reasons the first stays.
        """
        try:
            state = await self.find(container_name(self._hub, *key))
            if state and state.running:
                self._why.setdefault(key, why)
                if session := state.session():
                    self._history.note(session.allocation, Status.TERMINATING)
                await self._gpus.let_go(state)
                await self._engine.stop(state.id, grace)
        except EngineError as error:
            self._why.setdefault(key, why)
            self._log.warning("Cannot stop %s, removing it: %s", key, error)
        finally:
            self.discard(key)
        await self.wait(key, seconds=END_SECONDS)

    def discard(
        self,
        key: Key,
        creating: list[asyncio.Future[str]] | None = None,
        *,
        why: End | None = None,
    ) -> None:
        """Remove a server's container and give back its share, however long it takes.

        ``creating`` are creates that may still be under way; what they make is removed too.
        ``why`` is how the session ended; otherwise its container says it. The first stays.
        """
        if why:
            self._why.setdefault(key, why)
        if key in self._endings:
            return
        task = asyncio.create_task(self._discard(key, creating or []))
        self._endings[key] = task
        task.add_done_callback(lambda _: self._forget(key))

    def _forget(self, key: Key) -> None:
        self._endings.pop(key, None)
        self._why.pop(key, None)

    async def wait(self, key: Key, *, seconds: float | None = None) -> None:
        """Wait until nothing of a server is left; ``seconds`` bounds the waiting, not the work."""
        if task := self._endings.get(key):
            await asyncio.wait([task], timeout=seconds)

    async def _discard(self, key: Key, creating: list[asyncio.Future[str]]) -> None:
        settled = time.monotonic()
        if creating:
            await asyncio.wait(creating)
            if any(isinstance(c.exception(), EngineAway) for c in creating if not c.cancelled()):
                settled += SETTLE_SECONDS
        pause = SHORT_PAUSE
        while not await self._removed(key) or time.monotonic() < settled:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONG_PAUSE)
        ledger = await self._ledger()
        while held := ledger.of_server(*key):
            # a container that nobody saw end was removed behind our back
            unseen = Ending.REMOVED if ledger.is_confirmed(held.id) else Ending.CANCELLED
            ledger.release(held.id)
            self._history.end(held.id, self._why.get(key) or End(unseen))

    async def _removed(self, key: Key) -> bool:
        """Remove the container of a server; whether it is known to be gone."""
        try:
            await self._ledger()
            if state := await self.find(container_name(self._hub, *key)):
                log = await self._log_of(state.id)
                end = await self._end_of(key, state)
                await self._gpus.let_go(state)
                await self._engine.remove(state.id)
                if session := state.session():
                    self._history.end(session.allocation, end, log)
        except EngineError as error:
            self._log.warning("Cannot remove the container of %s yet: %s", key, error)
            return False
        except Exception:  # noqa: BLE001 - a share must not stay held because of a mistake of ours
            self._log.exception("Cannot remove the container of %s yet", key)
            return False
        return True

    async def _end_of(self, key: Key, state: ContainerState) -> End:
        """Why a session ended whose container is in this state."""
        why = self._why.get(key)
        if state.running or state.status == "created":
            return why or End(Ending.HUB_DOWN)  # nobody of this hub's time ended or lost it
        if why is None:
            return await self.how_it_ended(state)
        seen = death(state)
        detail = why.detail or (seen.detail if why.ending is Ending.HUB_DOWN else "")
        return replace(why, detail=detail, exit_code=seen.exit_code)

    # ---- what nobody here ended -------------------------------------------------

    def engine_went(self, containers: Iterable[str]) -> None:
        """These ran when the engine went away: it has them on its conscience."""
        self._bereft.update(containers)

    def engine_is_back(self, ended: Iterable[str]) -> None:
        """Of all containers these have ended."""
        self._bereft.intersection_update(ended)

    async def how_it_ended(self, state: ContainerState, *, from_outside: bool = False) -> End:
        """Why a container ended that the hub did not end.

        Raises:
            EngineAway: the engine is going down and takes its containers along, which looks
                as if each were stopped by an operator or had ended by itself.
        """
        try:
            await self._engine.greet()
        except EngineAway:
            self._bereft.add(state.id)
            raise
        if state.id in self._bereft:
            return End(Ending.ENGINE, "it was stopped", state.exit_code)
        return death(state, from_outside=from_outside)

    async def find(self, container: str) -> ContainerState | None:
        """A container of this deployment by name or id; another's counts as none."""
        state = await self._engine.inspect(container)
        return state if state and state.labels.get(labels.HUB) == self._hub else None


def _dying(state: ContainerState, end: End) -> str:
    """Why a container ended while it started, in words."""
    if state.error:
        return f"the engine could not start it: {' '.join(state.error.split())[:300]}"
    return f"the session {end.words.replace(' by itself', ' by itself while starting')}"


def _end_of(error: BaseException) -> End:
    """How a session is recorded whose start ended with this."""
    if isinstance(error, asyncio.CancelledError):
        return End(Ending.CANCELLED)
    if isinstance(error, _Died):
        if error.end.ending is Ending.EXITED:
            return End(Ending.START, error.end.detail, error.end.exit_code)
        return error.end
    if isinstance(error, EngineAway | ImageMissing):
        return of_failure(error.reason, str(error))
    if isinstance(error, BaiError):
        return of_failure(Reason.START, str(error))
    return End(Ending.START, "an error of the hub's own, which its log has")


def _failure(error: BaiError, log: str) -> EngineError:
    """What is raised to the spawner: with the container's last words where there are any."""
    if isinstance(error, EngineAway | ImageMissing):
        return error
    reason = error.reason if isinstance(error, StartFailed) else Reason.START
    shown = "\n".join(log.splitlines()[-SHOWN_LINES:])
    return StartFailed(str(error), log=shown, reason=reason)
