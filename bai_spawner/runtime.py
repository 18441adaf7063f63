"""One object in the hub's process: the catalogue, the books, and every session's life.

A launch goes through `admit` (is it allowed, is there room: checked and reserved
without waiting in between) and `launch` (folders, create, start, answer). Whatever
happens on the way, the share comes back exactly once and only after the container is
gone: a start that failed or was cancelled is handed to `discard`, which outlives it.

A session ends with `end`. None of these raises for what is already so.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from traitlets import Dict, Float, Instance, Int, Unicode, default
from traitlets.config import LoggingConfigurable

from bai_spawner import policy
from bai_spawner.catalog import Catalog, Policy, load_catalog
from bai_spawner.container import ContainerSpec
from bai_spawner.engine import ContainerState, Engine
from bai_spawner.errors import (
    BaiError,
    EngineAway,
    EngineError,
    ImageMissing,
    Problem,
    Problems,
    Reason,
    StartFailed,
)
from bai_spawner.folders import Folder, FolderMount, FolderStore
from bai_spawner.labels import SessionLabels
from bai_spawner.ledger import Allocation, Capacity, Ledger
from bai_spawner.names import container_name
from bai_spawner.options import FormRequest, SessionOptions, parse
from bai_spawner.policy import Availability, Grant, Subject, Usage
from bai_spawner.steps import Step

LOG_LINES = 50
LOOK_EVERY = 0.5
"""Seconds between two looks at a container that does not answer yet."""
CLEAR_SECONDS = 30.0
"""How long a start waits for the rest of the same server's last session; then it is refused."""
END_SECONDS = 5.0
"""How long the end of a session waits for its container to be gone; the work goes on."""
SHORT_PAUSE, LONG_PAUSE = 0.2, 30.0
"""Seconds before the first and, at most, before a later attempt to remove a container."""

Report = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class Launch:
    """An admitted request: what was granted, what it holds, what will be mounted."""

    options: SessionOptions
    grant: Grant
    allocation: Allocation
    mounts: tuple[FolderMount, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """What one user may choose from now, for the form."""

    policy: Policy
    usage: Usage
    availability: Availability
    folders: tuple[Folder, ...]
    missing_images: frozenset[str]
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Running:
    """A session that answers."""

    container: str
    address: str


class BaiRuntime(LoggingConfigurable):
    """What the spawners of one hub share."""

    catalog_file = Unicode(
        "catalog.yaml",
        config=True,
        help="""The catalogue: what this deployment offers, and to whom.

        Read once, when the hub starts. A bad key stops the hub with the key's path::

            c.BaiRuntime.catalog_file = "/etc/bai/catalog.yaml"
        """,
    )
    state_dir = Unicode(
        ".",
        config=True,
        help="""Directory of what must outlive a restart of the hub, its identity above all::

            c.BaiRuntime.state_dir = "/var/lib/bai"
        """,
    )
    folders_root = Unicode(
        config=True,
        help="""Directory that holds everybody's data folders. By default ``folders`` in the
        state directory. It must be on the engine's host under the same path::

            c.BaiRuntime.folders_root = "/srv/bai/folders"
        """,
    )
    hub_id = Unicode(
        config=True,
        help="""The identity of this deployment, written on every container of its own.

        Two hubs on one engine must have two. By default it is made at the first start and
        kept in the file ``hub_id`` of the state directory, so that sessions are still known
        when the database is lost::

            c.BaiRuntime.hub_id = "physics-department"
        """,
    )
    engine_threads = Int(
        16,
        min=1,
        config=True,
        help="""Calls to the engine that may run at once::

            c.BaiRuntime.engine_threads = 32
        """,
    )
    engine_timeout = Float(
        60,
        min=1,
        config=True,
        help="""Seconds that one call may take before the engine counts as away::

            c.BaiRuntime.engine_timeout = 30
        """,
    )
    engine_kwargs = Dict(
        config=True,
        help="""Arguments of ``docker.APIClient``, beyond what ``DOCKER_HOST`` and the like say::

            c.BaiRuntime.engine_kwargs = {"base_url": "unix:///run/user/1000/docker.sock"}
        """,
    )
    probe_interval = Float(
        0.03,
        min=0.001,
        config=True,
        help="""Seconds between two questions whether a starting session answers yet::

            c.BaiRuntime.probe_interval = 0.05
        """,
    )

    catalog = Instance(Catalog)
    engine = Instance(Engine)
    folders = Instance(FolderStore)
    ledger = Instance(Ledger)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._endings: dict[tuple[str, str], asyncio.Task[None]] = {}
        self.opening: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self._probe = AsyncHTTPClient(force_instance=True, max_clients=1000)

    @default("folders_root")
    def _default_folders_root(self) -> str:
        return str(Path(self.state_dir) / "folders")

    @default("hub_id")
    def _default_hub_id(self) -> str:
        """Read the identity from the state directory, or make one there."""
        path = Path(self.state_dir) / "hub_id"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(secrets.token_hex(16) + "\n")
        return path.read_text().strip()

    @default("catalog")
    def _default_catalog(self) -> Catalog:
        return load_catalog(Path(self.catalog_file))

    @default("engine")
    def _default_engine(self) -> Engine:
        return Engine(
            threads=self.engine_threads,
            timeout=self.engine_timeout,
            client_kwargs=self.engine_kwargs,
        )

    @default("folders")
    def _default_folders(self) -> FolderStore:
        return FolderStore(Path(self.folders_root), self.catalog)

    def check(self) -> None:
        """Read what the administrator configured, and see that it can be kept.

        Raises:
            CatalogError: naming each bad key.
            FolderError: this process may not make folders for sessions.
        """
        if any("user" in policy.folders for policy in self.catalog.policies):
            self.folders.check_owner()

    async def open(self) -> None:
        """Fill the ledger from the engine, once; later calls cost nothing.

        Raises:
            EngineAway: the engine does not answer; the next call tries again.
        """
        if self.trait_has_value("ledger"):
            return
        async with self._opening:
            if self.trait_has_value("ledger"):
                return
            info = await self.engine.info()
            ledger = Ledger(
                {
                    name: Capacity(
                        cpu=int((node.cpu or info.cpu) * node.overcommit.cpu),
                        memory=int((node.memory or info.memory) * node.overcommit.memory),
                    )
                    for name, node in self.catalog.nodes.items()
                }
            )
            ended: list[SessionLabels] = []
            for state in await self.engine.list(self.hub_id):
                session = state.session()
                if session is None:
                    self.log.warning("Container %s has labels of no known schema", state.name)
                elif state.holds:
                    ledger.restore(session)
                else:
                    ended.append(session)
            self.ledger = ledger
            self.log.info(
                "Engine %s answers; %d sessions hold resources", info.version, len(ledger)
            )
            for session in ended:  # while no hub was there to see it
                self.discard(session.user, session.server)

    async def offer(self, subject: Subject) -> Offer:
        """What a user may choose from now."""
        chosen = policy.select(self.catalog, subject)
        problems: tuple[Problem, ...] = ()
        missing: frozenset[str] = frozenset()
        try:
            await self.open()
            present = await self.engine.images()
            missing = self._images() - present
        except EngineError as error:
            problems = (Problem("engine", f"{error}; a launch will fail now", Reason.ENGINE),)
        opened = self.trait_has_value("ledger")
        return Offer(
            policy=chosen,
            usage=self.ledger.usage(subject.user) if opened else Usage(),
            availability={
                name: self.ledger.free(group.nodes) if opened else ()
                for name, group in self.catalog.resource_groups.items()
            },
            folders=await asyncio.to_thread(self.folders.offered, subject, chosen),
            missing_images=missing,
            problems=problems,
        )

    def _images(self) -> frozenset[str]:
        return frozenset(
            version.image
            for environment in self.catalog.environments.values()
            for version in environment.versions.values()
        )

    async def admit(
        self,
        subject: Subject,
        server: str,
        *,
        body: object,
        session: str,
        form: FormRequest | None = None,
    ) -> Launch:
        """Check a request and reserve what it asks for.

        ``session`` is the name asked for, empty for a drawn one; ``form`` is there when
        the request came through the form, whose own rules hold too.

        Raises:
            Refused: with every problem; nothing is reserved then.
            EngineAway: it cannot be known what is free.
        """
        await self.open()
        await self.clear(subject.user, server, seconds=CLEAR_SECONDS)
        problems = Problems(list(form.problems) if form else [])
        options = parse(body, problems)
        chosen = policy.select(self.catalog, subject)
        mounts = await asyncio.to_thread(
            self.folders.resolve, options.mounts, subject, chosen, problems
        )
        if form and not mounts and not form.alone and not problems.at("mounts"):
            told = (
                "no folder is mounted, so every file is deleted when the session ends: "
                "choose a folder, or tick the box that says so"
            )
            problems.add("mounts", told)
        # From here to the reservation nothing waits: what is checked is what is reserved.
        usage = self.ledger.usage(subject.user)
        grant = policy.check(options, session, self.catalog, subject, usage, problems)
        problems.raise_any()
        assert grant is not None  # noqa: S101 - no grant without a problem
        return Launch(options, grant, self.ledger.reserve(grant, server), mounts)

    async def launch(
        self,
        launch: Launch,
        make_spec: Callable[[tuple[FolderMount, ...]], ContainerSpec],
        *,
        port: int,
        path: str,
        seconds: float,
        pull: bool,
        report: Report,
    ) -> Running:
        """Make the session that was admitted; return when it answers at ``path``.

        Raises:
            StartFailed: it did not become a session in ``seconds``; the container's
                last words are in the error.
            EngineError: the engine refused, or is away.

        Whatever is raised, a cancellation included, what was made is removed and what was
        reserved is given back, in the background where it takes long.
        """
        deadline = time.monotonic() + seconds
        creating: asyncio.Future[str] | None = None
        try:
            report(Step.CHECKING)
            mounts = await self._prepare(launch)
            spec = make_spec(mounts)
            report(Step.CREATING)
            # shielded: a create that was asked for happens, and must be known to be removed
            creating = asyncio.ensure_future(self._create(spec, pull=pull, report=report))
            container = await asyncio.shield(creating)
            self.ledger.confirm(launch.allocation.id)
            report(Step.STARTING)
            await self.engine.start(container)
            await asyncio.to_thread(self.folders.verify, mounts)
            report(Step.ANSWERING)
            address = await self._answer(container, port, path, deadline)
        except BaseException as error:
            log = ""
            try:
                if isinstance(error, BaiError):
                    log = await self._last_words(creating)
            finally:
                self.discard(launch.grant.user, launch.allocation.server, creating)
            if isinstance(error, BaiError):
                raise _failure(error, log) from error
            raise
        return Running(container, address)

    async def _prepare(self, launch: Launch) -> tuple[FolderMount, ...]:
        return await asyncio.to_thread(self.folders.prepare, launch.grant.user, launch.mounts)

    async def _create(self, spec: ContainerSpec, *, pull: bool, report: Report) -> str:
        try:
            return await self.engine.create(spec)
        except ImageMissing:
            if not pull:
                raise
            report(Step.IMAGE)
            await self.engine.pull(spec.image)
            return await self.engine.create(spec)

    async def _answer(self, container: str, port: int, path: str, deadline: float) -> str:
        """Ask until the session answers; its address. Look at the container now and then."""
        state = await self._alive(container)
        look = time.monotonic() + LOOK_EVERY
        while not await self._asked(f"http://{state.address}:{port}{path}"):
            now = time.monotonic()
            if now > deadline:
                raise StartFailed("the session did not answer in time", reason=Reason.TIMEOUT)
            if now > look:
                state = await self._alive(container)
                look = now + LOOK_EVERY
            await asyncio.sleep(self.probe_interval)
        return state.address

    async def _asked(self, url: str) -> bool:
        """Whether anything but an error of the server answers."""
        try:
            await self._probe.fetch(
                url, follow_redirects=False, connect_timeout=1, request_timeout=5
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
        state = await self.engine.inspect(container)
        if state is None:
            raise StartFailed("the container was removed while it started")
        if not state.running:
            raise StartFailed(_death(state))
        return state

    async def _last_words(self, creating: asyncio.Future[str] | None) -> str:
        """The end of a failed container's log; empty when there is none to be had."""
        if creating is None or not creating.done() or creating.exception():
            return ""
        try:
            return await self.engine.logs(creating.result(), LOG_LINES)
        except EngineError:
            return ""

    def discard(
        self, user: str, server: str, creating: asyncio.Future[str] | None = None
    ) -> asyncio.Task[None]:
        """Remove a server's container and give back its share, however long it takes.

        ``creating`` is a create that may still be under way; what it makes is removed too.
        """
        key = (user, server)
        if under_way := self._endings.get(key):
            return under_way
        task = asyncio.create_task(self._discard(user, server, creating))
        self._endings[key] = task
        task.add_done_callback(lambda _: self._endings.pop(key, None))
        return task

    async def _discard(self, user: str, server: str, creating: asyncio.Future[str] | None) -> None:
        if creating:
            await asyncio.wait([creating])
            if not creating.cancelled():
                creating.exception()  # it is known; asyncio need not complain of it
        pause = SHORT_PAUSE
        while True:
            try:
                await self.open()
                if state := await self.find(container_name(self.hub_id, user, server)):
                    await self.engine.remove(state.id)
                break
            except EngineError as error:
                self.log.warning("Cannot remove %s of %s yet: %s", server, user, error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONG_PAUSE)
        if held := self.ledger.of_server(user, server):
            self.ledger.release(held.id)

    async def clear(self, user: str, server: str, *, seconds: float | None = None) -> None:
        """Get rid of whatever a server that does not run still holds.

        ``seconds`` bounds the waiting, not the work.
        """
        opened = self.trait_has_value("ledger")
        task = self._endings.get((user, server))
        if task is None and (not opened or self.ledger.of_server(user, server)):
            task = self.discard(user, server)
        if task:
            await asyncio.wait([task], timeout=seconds)

    async def end(self, user: str, server: str, container: str, *, grace: int) -> None:
        """Stop a session and remove its container; ended or gone already is success.

        When the engine does not do it now, it is done in the background: the share stays
        held until the container is gone.
        """
        try:
            await self.engine.stop(container, grace)
        except EngineError as error:
            self.log.warning("Cannot stop %s of %s, removing it: %s", server, user, error)
        await self.clear(user, server, seconds=END_SECONDS)

    async def find(self, container: str) -> ContainerState | None:
        """A container of this hub by name or id; another's counts as none."""
        state = await self.engine.inspect(container)
        session = state.session() if state else None
        return state if session and session.hub == self.hub_id else None


def _death(state: ContainerState) -> str:
    """Why a container that does not run ended, in words."""
    if state.oom_killed:
        return "the session needed more memory than it was granted and was killed while starting"
    if state.error:
        return f"the engine could not start it: {' '.join(state.error.split())[:300]}"
    return f"the session ended by itself while starting (exit code {state.exit_code})"


def _failure(error: BaiError, log: str) -> EngineError:
    """What is raised to the spawner: with the container's last words where there are any."""
    if isinstance(error, EngineAway | ImageMissing):
        return error
    reason = error.reason if isinstance(error, StartFailed) else Reason.START
    return StartFailed(str(error), log=log, reason=reason)
