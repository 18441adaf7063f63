"""One object in the hub's process: the catalogue, the books, and what may be launched.

`BaiRuntime.admit` judges a request and reserves what it asks for, without waiting in
between; the `Lifecycle` makes and ends containers; the `Keeper` keeps containers, ledger,
records and the hub's servers in step. The runtime is there from the hub's start on, users
or none.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry
from traitlets import Bytes, Dict, Float, Instance, Int, Unicode, default
from traitlets.config import LoggingConfigurable

from bai_spawner import bulletin, policy, tunnel
from bai_spawner.catalog import Catalog, Policy, load_catalog
from bai_spawner.engine import Engine
from bai_spawner.entries import granted, labelled
from bai_spawner.errors import EngineError, Problem, Problems, Reason, Refused
from bai_spawner.folders import Folder, FolderMount, FolderStore
from bai_spawner.gpu.device import DeviceUse
from bai_spawner.gpus import Gpus
from bai_spawner.history import History
from bai_spawner.keeper import Hub, Keeper, Pace
from bai_spawner.labels import Key, SessionLabels
from bai_spawner.ledger import Allocation, Capacity, Ledger
from bai_spawner.lifecycle import Lifecycle
from bai_spawner.meter import Round
from bai_spawner.metrics import Books, Starts
from bai_spawner.names import new_server_name
from bai_spawner.options import FormRequest, SessionOptions, parse
from bai_spawner.policy import Availability, Grant, Subject, Usage
from bai_spawner.ports import Listening, Ports, parse_range
from bai_spawner.reasons import End, Ending
from bai_spawner.records import Facts, RecordsError
from bai_spawner.timekeeper import Timekeeper
from bai_spawner.whole import whole

HERE = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", "::", "*", "", None})  # noqa: S104
"""By these no session reaches this host."""
CLEAR_SECONDS = 30.0
"""How long a start waits for the rest of the same server's last session; then it is refused."""


@dataclass(frozen=True, slots=True)
class Launch:
    """An admitted request: what was granted, what it holds, what will be mounted.

    ``make_folders`` says whether the folders that everybody has are this user's to have.
    ``others`` were admitted together with it, all or none, and wait to be started (R5).
    """

    options: SessionOptions
    grant: Grant
    allocation: Allocation
    mounts: tuple[FolderMount, ...]
    make_folders: bool
    others: tuple[Launch, ...] = ()

    @property
    def key(self) -> Key:
        """Whose it is: what its container is named after."""
        return self.allocation.user, self.allocation.server

    @property
    def profile(self) -> str:
        """What was chosen, in a line, and what enforces a share of a GPU."""
        cap = self.allocation.gpu
        return f"{self.grant.profile} ({cap.isolation})" if cap else self.grant.profile


@dataclass(frozen=True, slots=True)
class Offer:
    """What one user may choose from now, for the form."""

    policy: Policy
    usage: Usage
    availability: Availability
    folders: tuple[Folder, ...]
    missing_images: frozenset[str]
    problems: tuple[Problem, ...] = ()


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

    stranger_grace = Float(
        600,
        min=0,
        config=True,
        help="""Seconds that a session runs on which no server of the hub leads to.

        Such a session is left by a hub that was killed at the wrong moment, or by a lost
        database; put the database back in this time and it is found again::

            c.BaiRuntime.stranger_grace = 86400
        """,
    )
    reconcile_interval = Float(
        30,
        min=0.1,
        config=True,
        help="""Seconds between two comparisons of containers, ledger and the hub's servers::

            c.BaiRuntime.reconcile_interval = 60
        """,
    )
    statistics_interval = Float(
        10,
        min=0.1,
        config=True,
        help="""Seconds between two looks at what every session uses::

            c.BaiRuntime.statistics_interval = 30
        """,
    )
    records_url = Unicode(
        config=True,
        help="""The database of records: which sessions there were, and how they ended.

        By default the file ``records.sqlite`` in the state directory. PostgreSQL needs the
        extra ``bai-spawner[postgres]``::

            c.BaiRuntime.records_url = "postgresql+psycopg://bai@db/bai"
        """,
    )
    service_url = Unicode(
        config=True,
        help="""Where the service listens that the hub runs beside it: for the hub's proxy, and
        for sessions, which tell it when they were last used. By default port 8082 of
        ``JupyterHub.hub_ip``, where sessions reach the hub; of this host alone where that is
        none or every address::

            c.BaiRuntime.service_url = "http://172.30.0.1:9082"
        """,
    )
    service_connect_url = Unicode(
        config=True,
        help="""Where sessions reach the service. By default ``service_url``, unless that is an
        address of this host alone. Where they do not reach it, nobody knows whether they are
        used, and none ends for want of use::

            c.BaiRuntime.service_connect_url = "http://hub.example.org:9082"
        """,
    )
    limits_interval = Float(
        5,
        min=0.1,
        config=True,
        help="""Seconds between two looks at how much time each session has left::

            c.BaiRuntime.limits_interval = 30
        """,
    )
    ssh_ports = Unicode(
        "31001-32000",
        config=True,
        help="""The ports of the host by which sessions are reached with SSH, both ends included.
        Each live session has one of them; with none left, a session starts without SSH from
        outside. An empty text publishes none::

            c.BaiRuntime.ssh_ports = "22000-22499"
        """,
    )
    ssh_address = Unicode(
        "0.0.0.0",  # noqa: S104 - SSH from outside is what it is for, and keys alone open it
        config=True,
        help="""The address of the host on which those ports listen. The engine publishes them
        past a firewall such as ufw; to reach them from this host alone::

            c.BaiRuntime.ssh_address = "127.0.0.1"
        """,
    )
    ssh_host = Unicode(
        config=True,
        help="""The name or address by which users reach those ports, as Lab shows it. By default
        the one in the address of the page::

            c.BaiRuntime.ssh_host = "gpu1.example.org"
        """,
    )
    apps_url = Unicode(
        config=True,
        help="""Where apps of sessions can be opened, as browsers name it, without a port. It must
        be another host than the hub's: cookies know no ports, and apps are anybody's programs.
        A name of its own that leads to the hub's machine is best, of another domain than the
        hub's. By default empty: apps are reached within their sessions alone::

            c.BaiRuntime.apps_url = "https://apps.example.net"
        """,
    )
    apps_ports = Unicode(
        "30000-31000",
        config=True,
        help="""The ports of apps that were opened, both ends included. Each has one::

            c.BaiRuntime.apps_ports = "40000-40099"
        """,
    )
    apps_address = Unicode(
        "127.0.0.1",
        config=True,
        help="""The address of the hub's host on which those ports listen. To reach them from
        everywhere::

            c.BaiRuntime.apps_address = "0.0.0.0"
        """,
    )
    apps_certificate = Unicode(
        config=True,
        help="""A file with the certificates of the host of ``apps_url``, when that is HTTPS::

            c.BaiRuntime.apps_certificate = "/etc/ssl/apps.pem"
        """,
    )
    apps_key = Unicode(
        config=True,
        help="""A file with the key of that certificate, when it is not in the same one::

            c.BaiRuntime.apps_key = "/etc/ssl/private/apps.key"
        """,
    )
    hub_url = Unicode(
        config=True,
        help="""The hub's address as browsers have it, with its base. By default
        ``JupyterHub.public_url``, or else ``JupyterHub.bind_url`` where that names a host::

            c.BaiRuntime.hub_url = "https://hub.example.org/"
        """,
    )
    gpu_interval = Float(
        15,
        min=0.1,
        config=True,
        help="""Seconds between two looks at which GPUs there are, and what can enforce shares::

            c.BaiRuntime.gpu_interval = 60
        """,
    )
    records_days = Int(
        365,
        min=1,
        config=True,
        help="""Days that the record of an ended session is kept::

            c.BaiRuntime.records_days = 30
        """,
    )

    catalog = Instance(Catalog)
    engine = Instance(Engine)
    folders = Instance(FolderStore)
    gpus = Instance(Gpus)
    ports = Instance(Ports)
    history = Instance(History)
    lifecycle = Instance(Lifecycle)
    starts = Instance(Starts)
    ledger = Instance(Ledger)
    tunnel_secret = Bytes()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._opening = asyncio.Lock()
        self._waiting: dict[Key, Launch] = {}
        """Admitted together with another one, and not begun yet."""
        self._cgroup = ""
        self._lost: dict[str, str] | None = None
        self._devices: Mapping[str, DeviceUse] = {}
        self.keeping: asyncio.Task[None] | None = None
        """Where the hub keeps the task that works as long as it runs."""
        self.telling: asyncio.Task[None] | None = None
        """And the one that tells the app proxy of changes."""

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

    @default("tunnel_secret")
    def _default_tunnel_secret(self) -> bytes:
        return tunnel.read_or_make_secret(Path(self.state_dir) / "tunnel_secret")

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

    @default("gpus")
    def _default_gpus(self) -> Gpus:
        return Gpus(self.catalog, self.log)

    @default("ports")
    def _default_ports(self) -> Ports:
        return Ports(parse_range(self.ssh_ports))

    @default("folders")
    def _default_folders(self) -> FolderStore:
        return FolderStore(Path(self.folders_root), self.catalog)

    @default("records_url")
    def _default_records_url(self) -> str:
        return f"sqlite:///{(Path(self.state_dir) / 'records.sqlite').absolute()}"

    @default("service_url")
    def _default_service_url(self) -> str:
        found = self.config.JupyterHub.get("hub_ip", None)
        host = "127.0.0.1" if found in HERE else found
        return f"http://[{host}]:8082" if ":" in host else f"http://{host}:8082"

    @default("service_connect_url")
    def _default_service_connect_url(self) -> str:
        return "" if urlsplit(self.service_url).hostname in HERE else self.service_url

    @default("history")
    def _default_history(self) -> History:
        return History(self.records_url, self.hub_id, self.log)

    @default("lifecycle")
    def _default_lifecycle(self) -> Lifecycle:
        return Lifecycle(
            self.engine,
            self.folders,
            self.hub_id,
            self.open,
            self.history,
            self.gpus,
            self.log,
            probe_interval=self.probe_interval,
        )

    @default("starts")
    def _default_starts(self) -> Starts:
        return Starts(CollectorRegistry())

    def show_metrics(self, registry: CollectorRegistry) -> None:
        """Show what is counted, and what the books say, on the hub's ``/metrics``."""
        self.starts = Starts(registry)
        groups = self.catalog.resource_groups
        books = Books(self._books, self.lifecycle, self.history, groups, lambda: self._devices)
        registry.register(books)

    def _books(self) -> Ledger | None:
        return self.ledger if self.trait_has_value("ledger") else None

    def check(self) -> None:
        """Read what the administrator configured, and see that it can be kept.

        Raises:
            CatalogError: naming each bad key.
            FolderError: this process may not make folders for sessions.
        """
        _ = self.ports
        if any("user" in policy.folders for policy in self.catalog.policies):
            self.folders.check_owner()

    async def open(self) -> Ledger:
        """The ledger, filled from the engine once; later calls cost nothing.

        Raises:
            EngineAway: the engine does not answer; the next call tries again.
        """
        async with self._opening:
            if not self.trait_has_value("ledger"):
                await self._open()
        return self.ledger

    async def _open(self) -> None:
        asked = datetime.now(UTC)
        info = await self.engine.info()
        devices = await self.gpus.look(info.cgroup)
        ledger = Ledger(
            {
                name: Capacity(
                    cpu=int((node.cpu or info.cpu) * node.overcommit.cpu),
                    memory=int((node.memory or info.memory) * node.overcommit.memory),
                    devices=devices,
                )
                for name, node in self.catalog.nodes.items()
            },
            self.catalog.gpu.quanta_per_gpu,
        )
        self._cgroup = info.cgroup
        ended: list[SessionLabels] = []
        found: list[tuple[Facts, datetime]] = []
        unstarted: set[str] = set()
        for state in await self.engine.list(self.hub_id):
            session = state.session()
            if session is None:
                self.log.warning("Container %s has labels of no known schema", state.name)
                continue
            found.append((labelled(session), state.created))
            if state.status == "created":
                unstarted.add(session.allocation)
            if state.holds:
                ledger.restore(session)
                self.ports.restore(session.allocation, session.ssh_port)
            else:
                ended.append(session)
        self.history.found(found, asked=asked, unstarted=unstarted)
        self.ledger = ledger
        self._mark_lost()
        self.log.info("Engine %s answers; %d sessions hold resources", info.version, len(ledger))
        for session in ended:  # while no hub was there to see it
            self.lifecycle.discard(session.key, why=End(Ending.HUB_DOWN))

    async def offer(self, subject: Subject, *, pull: bool = False) -> Offer:
        """What a user may choose from now; with ``pull`` no image counts as missing."""
        chosen = policy.select(self.catalog, subject)
        usage = Usage()
        availability: Availability = dict.fromkeys(self.catalog.resource_groups, ())
        problems: tuple[Problem, ...] = ()
        missing: frozenset[str] = frozenset()
        try:
            ledger = await self.open()
            usage = ledger.usage(subject.user)
            availability = self._availability(ledger)
            missing = frozenset() if pull else await self._missing_images()
        except EngineError as error:
            problems = (Problem("engine", f"{error}; a launch will fail now", Reason.ENGINE),)
        return Offer(
            policy=chosen,
            usage=usage,
            availability=availability,
            folders=await asyncio.to_thread(self.folders.offered, subject, chosen),
            missing_images=missing,
            problems=problems,
        )

    def _availability(self, ledger: Ledger) -> Availability:
        groups = self.catalog.resource_groups
        return {name: ledger.free(group.nodes, name) for name, group in groups.items()}

    async def _missing_images(self) -> frozenset[str]:
        images = sorted(
            {
                version.image
                for environment in self.catalog.environments.values()
                for version in environment.versions.values()
            }
        )
        there = await asyncio.gather(*(self.engine.has_image(image) for image in images))
        return frozenset(image for image, found in zip(images, there, strict=True) if not found)

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
        the request came through the form, whose own rules hold too. Of several sessions
        (R5) this server's comes back; each of its ``others`` has a server name of its own,
        and waits for `take` or `give_up`.

        Raises:
            Refused: with every problem, one of the records included; nothing is reserved then.
            EngineAway: it cannot be known what is free.
        """
        ledger = await self.open()
        await self._leave_nothing((subject.user, server), ledger)
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
        usage = ledger.usage(subject.user)
        sessions = form.sessions if form else 1
        grants = policy.check(
            options, session, self.catalog, subject, usage, problems, sessions=sessions
        )
        problems.raise_any()
        servers = [server, *(new_server_name() for _ in grants[1:])]
        allocations = ledger.reserve_all(list(zip(grants, servers, strict=True)))
        make_folders = "user" in chosen.folders
        first, *others = (
            Launch(options, grant, allocation, mounts, make_folders)
            for grant, allocation in zip(grants, allocations, strict=True)
        )
        await self._record([first, *others], ledger)
        self._waiting.update({other.key: other for other in others})
        return replace(first, others=tuple(others))

    async def _record(self, launches: Sequence[Launch], ledger: Ledger) -> None:
        """Enter admitted sessions in the records; without that they give back their shares."""
        try:
            await self.history.begin(
                *(granted(self.hub_id, it.grant, it.allocation, it.mounts) for it in launches)
            )
        except BaseException as error:
            for launch in launches:
                ledger.release(launch.allocation.id)
            if not isinstance(error, RecordsError):
                raise
            told = f"{error}; nothing was started, tell an administrator"
            raise Refused((Problem("records", told, Reason.RECORDS),)) from error

    def ssh(self, allocation: str) -> Listening | None:
        """Where the host listens for a session's SSH; ``None`` when there is no port for it."""
        port = self.ports.of(allocation, self.ledger)
        if port is None:
            if self.ssh_ports:
                self.log.warning("No port of %s is left: no SSH from outside", self.ssh_ports)
            return None
        return Listening(self.ssh_address, port, self.ssh_host)

    def tunnel_key(self, allocation: str) -> str:
        """What opens tunnels to a session's apps.

        Empty where apps are not opened, and when the secret can be neither read nor made:
        sessions go on without tunnels.
        """
        if not self.apps_url:
            return ""
        try:
            return tunnel.key_of(self.tunnel_secret, allocation)
        except (OSError, ValueError) as error:
            self.log.warning("No tunnels to the apps of session %s: %s", allocation, error)
            return ""

    def take(self, key: Key) -> Launch | None:
        """What was admitted for this server together with another; only the first asker has it."""
        return self._waiting.pop(key, None)

    def give_up(self, key: Key, why: End) -> bool:
        """End one that nobody took; whether it still waited."""
        if waited := self.take(key) is not None:
            self.lifecycle.discard(key, why=why)
        return waited

    async def _leave_nothing(self, key: Key, ledger: Ledger) -> None:
        """Get rid of what a server that does not run still holds, before it starts again."""
        if ledger.of_server(*key):
            self.lifecycle.discard(key)
        await self.lifecycle.wait(key, seconds=CLEAR_SECONDS)
        if self.lifecycle.is_ending(key):
            told = "its last session is still being removed; try again in a while"
            raise Refused((Problem("server", told, Reason.CAPACITY),))

    def holds_nothing(self, key: Key) -> bool:
        """Whether it is known that nothing of a server is left."""
        if not self.trait_has_value("ledger"):
            return False
        return not self.ledger.of_server(*key) and not self.lifecycle.is_ending(key)

    async def clear(self, key: Key, *, seconds: float | None = None) -> None:
        """Get rid of whatever a server that does not run still holds.

        ``seconds`` bounds the waiting, not the work.
        """
        if not self.trait_has_value("ledger") or self.ledger.of_server(*key):
            self.lifecycle.discard(key)
        await self.lifecycle.wait(key, seconds=seconds)

    async def keep_in_step(self, hub: Hub) -> None:
        """Do what must be done as long as the hub runs, users or none."""
        self.history.publish(bulletin.CATALOGUE, bulletin.catalogue(self.catalog))
        pace = Pace(
            reconcile=self.reconcile_interval,
            stranger_grace=self.stranger_grace,
            statistics=self.statistics_interval,
            records_days=self.records_days,
        )
        keeper = Keeper(
            self.engine,
            self.lifecycle,
            self.history,
            self.gpus,
            self.open,
            self.hub_id,
            self.log,
            pace,
        )
        timekeeper = Timekeeper(
            self.catalog,
            self.history,
            self.lifecycle,
            self.open,
            self.hub_id,
            self.log,
            self.limits_interval,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keeper.run(hub, self._publish))
            tasks.create_task(timekeeper.run(hub, keeper.sessions))
            tasks.create_task(self._follow_gpus())

    async def _follow_gpus(self) -> None:
        """Look at the GPUs again and again: some are lost, some come back."""
        while True:
            await asyncio.sleep(self.gpu_interval)
            try:
                await self.look_at_gpus()
            except Exception:
                self.log.exception("Cannot look at the GPUs")

    async def look_at_gpus(self) -> None:
        """Have the ledger know what devices there are now, and mark whose are lost."""
        if not self.trait_has_value("ledger"):
            return
        devices = await self.gpus.look(self._cgroup)
        for node in self.catalog.nodes:
            self.ledger.offer(node, devices)
        self._mark_lost()

    def _mark_lost(self) -> None:
        """Say of sessions that their GPU is gone, once; and when it is back."""
        lost = self.ledger.lost()
        for allocation in lost.keys() - (self._lost or {}).keys():
            told = f"its GPU {lost[allocation]} is not there any more"
            self.log.warning("The session of allocation %s goes on, but %s", allocation, told)
            self.history.warn(allocation, told)
        live = {held.id for held in self.ledger if held.shares}
        # after a restart of the hub nobody knows who was marked before it
        before = live if self._lost is None else self._lost.keys() & live
        for allocation in before - lost.keys():
            self.history.warn(allocation, "")
        self._lost = lost

    def _publish(self, measured: Round) -> None:
        self._devices = measured.devices
        uses = {allocation: use.to_json() for allocation, use in measured.uses.items()}
        self.history.publish(bulletin.STATISTICS, bulletin.statistics(uses))
        if self.trait_has_value("ledger"):
            free = self._availability(self.ledger)
            self.history.publish(bulletin.AVAILABILITY, bulletin.availability(free))
            nodes = whole(self.ledger, self.gpus.survey, measured.devices)
            self.history.publish(bulletin.CAPACITY, bulletin.capacity(nodes))
