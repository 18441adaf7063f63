"""Opens apps and closes them, and keeps doors and records in step.

The records say what is open. A door is made after its line stands there, and goes with it: when
its user closes it, its time is over, its session ends or its policy no longer allows it. A proxy
that starts finds the lines, and opens the doors again on the same ports.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from bai_spawner import tunnel
from bai_spawner.app_proxy.door import Door
from bai_spawner.app_proxy.guests import Guests, networks
from bai_spawner.app_proxy.pool import Got, NoPort, Pool
from bai_spawner.app_proxy.site import Site
from bai_spawner.app_proxy.tunnels import Target
from bai_spawner.app_proxy.visitors import Place, Visitors
from bai_spawner.app_proxy.whereabouts import Behind, NotThere, Whereabouts
from bai_spawner.errors import BaiError
from bai_spawner.reasons import Status
from bai_spawner.records import Begun, Opening, Records, RecordsError

LOOK_SECONDS = 1.0
USE_SECONDS = 5.0
PATIENCE_SECONDS = 30.0
"""How long a door that stood in the records may take to open again, before it is closed."""
Result = TypeVar("Result")
log = logging.getLogger("bai_spawner.app_proxy")


class Refused(BaiError):
    """It cannot be opened. The message says why; ``field`` is what was asked for that it is of."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Wish:
    """An app that somebody wants opened; see `bai_spawner.records.Opening`."""

    session: str
    app: str
    by: str
    whence: str
    public: bool = False
    wanted: int | None = None
    expires: datetime | None = None
    allowed: tuple[str, ...] = ()
    password: str = ""


@dataclass(frozen=True, slots=True)
class _End:
    """When an app was closed, by whom, and why."""

    at: datetime
    by: str
    why: str


class AppKeeper:
    """All doors of one deployment.

    Args:
        records: what is open, and of which session.
        hub: the deployment's identity.
        pool: the ports.
        site: its addresses.
        visitors: who was let in.
        secret: of the deployment, by which sessions know the proxy.
        session_port: where a session's server listens.
        tls: of apps, where they are served by HTTPS.
    """

    def __init__(
        self,
        records: Records,
        hub: str,
        *,
        pool: Pool,
        site: Site,
        visitors: Visitors,
        secret: bytes,
        session_port: int,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._records, self._hub, self._pool, self._site = records, hub, pool, site
        self._visitors, self._secret, self._tls = visitors, secret, tls
        self._whereabouts = Whereabouts(records, hub, urlsplit(site.hub).path, session_port)
        self._doors: dict[str, Door] = {}
        self._told: dict[str, tuple[int, int]] = {}
        self._missing: dict[str, float] = {}
        # closed, and not yet in the records: until it is, those say that it is open
        self._owed: dict[str, _End] = {}
        self._turn = asyncio.Lock()
        # one thread: each waits for the one before it, and SQLite has one writer anyway
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="app-records")

    # ---- what is asked for

    async def open(self, wish: Wish) -> Opening:
        """Open an app.

        Raises:
            Refused: it may not be, or cannot be, opened.
            RecordsError: the records cannot be written.
        """
        async with self._turn:
            behind = await self._look_behind(wish)
            try:
                got = self._pool.draw(wish.wanted, held=self._ports())
            except NoPort as error:
                raise Refused("port", str(error)) from error
            try:
                return await self._begin(wish, behind, got)
            except BaseException:
                got.sock.close()
                raise

    async def close(self, opening: str, *, by: str, why: str) -> bool:
        """Close an app at once; ``False``: it was closed already.

        Raises:
            RecordsError: the records cannot be written; it is closed all the same, and written
                down later.
        """
        async with self._turn:
            return await self._close(opening, by=by, why=why)

    def place(self, opening: str) -> Place | None:
        """The place behind an open private door."""
        door = self._doors.get(opening)
        return door.place if door else None

    def origin(self, opening: str) -> str:
        """The address of an open door."""
        return self._site.origin(self._doors[opening].port)

    # ---- going on

    async def run(self) -> None:
        """Keep in step until cancelled; then close all doors, which stay in the records."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._every(LOOK_SECONDS, self.look))
                tasks.create_task(self._every(USE_SECONDS, self.note_use))
                tasks.create_task(self._every(LOOK_SECONDS, self._visitors.look_at_connected))
        finally:
            for opening in list(self._doors):
                await self._shut(opening)
            self._thread.shutdown()

    async def _every(self, seconds: float, work: Callable[[], Any]) -> None:
        away = False
        while True:
            try:
                await work()
                away = False
            except RecordsError as error:
                if not away:
                    log.warning("%s; what is open stays open meanwhile", error)
                away = True
            except Exception:
                log.exception("Apps are not kept well")
            await asyncio.sleep(seconds)

    async def look(self) -> None:
        """Close what must not be open any more, and open what should be.

        Raises:
            RecordsError: the records cannot be read or written.
        """
        async with self._turn:  # whoever opens or closes one meanwhile would be undone
            for opening in list(self._owed):
                await self._write_end(opening)
            found = await self._aside(lambda: self._records.openings.open(self._hub))
            for opening in self._doors.keys() - {line.id for line in found}:
                await self._shut(opening)
            public = any(line.public for line in found)
            offers = await self._aside(self._whereabouts.rules) if public else {}
            for line in found:
                rules = offers.get(line.session)
                if why := _over(line, datetime.now(UTC), public=rules is None or rules.public):
                    await self._close(line.id, by="", why=why)
                elif line.id not in self._doors:
                    await self._open_again(line)

    async def note_use(self) -> None:
        """Write down what passed since the last time.

        Raises:
            RecordsError: the records cannot be written.
        """
        uses = {
            opening: (door.last_used, door.bytes_in, door.bytes_out)
            for opening, door in self._doors.items()
            if door.last_used and self._told.get(opening) != (door.bytes_in, door.bytes_out)
        }
        if uses:
            await self._aside(lambda: self._records.openings.use(uses))
            self._told.update({key: (in_, out) for key, (_, in_, out) in uses.items()})

    async def _open_again(self, line: Opening) -> None:
        """Open a door that stands in the records: after a restart, or when it was taken from us."""
        loop = asyncio.get_running_loop()
        since = self._missing.setdefault(line.id, loop.time())
        try:
            behind = await self._aside(lambda: self._whereabouts.behind(line.session, line.app))
            got = self._pool.take(line.port)
        except (NotThere, NoPort) as error:
            if loop.time() - since > PATIENCE_SECONDS:
                await self._close(line.id, by="", why=str(error))
            return
        await self._make(line, behind, got)

    async def _look_behind(self, wish: Wish) -> Behind:
        """The app, if it may be opened this way."""
        try:
            behind = await self._aside(lambda: self._whereabouts.behind(wish.session, wish.app))
        except NotThere as error:
            raise Refused(error.field, str(error)) from error
        if behind.status is not Status.RUNNING:
            raise Refused("session", "it does not run")
        if wish.public and not behind.rules.public:
            raise Refused("public", "your policy offers no apps that are open to the public")
        if wish.wanted is not None and not behind.rules.preferred_port:
            raise Refused("port", "your policy offers no preferred ports")
        return behind

    async def _begin(self, wish: Wish, behind: Behind, got: Got) -> Opening:
        line = Opening(
            id=secrets.token_hex(16),
            session=wish.session,
            app=wish.app,
            port=got.port,
            public=wish.public,
            expires=wish.expires,
            allowed=wish.allowed,
            password=wish.password,
            wanted=wish.wanted,
            told=got.told,
            opened_at=datetime.now(UTC),
            opened_by=wish.by,
            opened_from=wish.whence,
            user=behind.user,
            server=behind.server,
        )
        begun = await self._aside(lambda: self._records.openings.begin(line))
        if begun is Begun.ENDED:
            raise Refused("session", "it is over")
        if begun is Begun.TAKEN:
            raise Refused("app", "it is open already: close it first, to open it another way")
        await self._make(line, behind, got)
        return line

    async def _make(self, line: Opening, behind: Behind, got: Got) -> None:
        guests = Guests(networks(line.allowed), line.password) if line.public else None
        door = Door(
            got.sock,
            Place(line.id, behind.user, behind.server),
            Target(behind.url, line.app, tunnel.key_of(self._secret, line.session)),
            title=behind.title,
            base=behind.base,
            site=self._site,
            visitors=self._visitors,
            guests=guests,
            tls=self._tls,
        )
        door.bytes_in, door.bytes_out = line.bytes_in, line.bytes_out
        await door.open()
        self._doors[line.id] = door
        self._missing.pop(line.id, None)

    async def _shut(self, opening: str) -> None:
        self._missing.pop(opening, None)
        self._told.pop(opening, None)
        if door := self._doors.pop(opening, None):
            await door.close()
            if door.last_used:
                last = {opening: (door.last_used, door.bytes_in, door.bytes_out)}
                with suppress(RecordsError):  # its last seconds are not worth an open door
                    await self._aside(lambda: self._records.openings.use(last))

    async def _close(self, opening: str, *, by: str, why: str) -> bool:
        self._owed.setdefault(opening, _End(datetime.now(UTC), by, why))
        await self._shut(opening)
        return await self._write_end(opening)

    async def _write_end(self, opening: str) -> bool:
        end = self._owed[opening]
        write = self._records.openings.end
        written = await self._aside(lambda: write(opening, at=end.at, by=end.by, why=end.why))
        del self._owed[opening]
        return written

    def _ports(self) -> frozenset[int]:
        return frozenset(door.port for door in self._doors.values())

    async def _aside(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _over(line: Opening, now: datetime, *, public: bool) -> str:
    """Why an app must not be open any more; empty when it may."""
    if not line.alive:
        return "its session ended"
    if line.expires and line.expires <= now:
        return "its time was over"
    if line.public and not public:
        return "the policy offers no public apps any more"
    return ""
