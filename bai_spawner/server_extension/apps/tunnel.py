"""Tunnels to the session's apps, for who has the session's key: see `bai_spawner.tunnel`.

    GET bai/tunnel/NAME

Nobody is asked who it is: the key alone counts, no cookie is read or set, and an open tunnel is
no sign of a user. What a tunnel holds is bounded: a side that takes nothing is waited for, and
nothing more is read for it meanwhile.
"""

import asyncio
import hmac
import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from logging import Logger
from typing import Any

from jupyter_server.auth.decorator import allow_unauthenticated
from tornado.iostream import IOStream, StreamClosedError

from bai_spawner import tunnel
from bai_spawner.server_extension.api import SessionHandler
from bai_spawner.server_extension.apps.handlers import NAME
from bai_spawner.server_extension.apps.runner import HOST, Runner, State
from bai_spawner.server_extension.part import Rule

MOST = 1024
"""Tunnels at once, those included that are about to open."""
CHUNK = 64 * 1024
"""Bytes that are read at once; a tunnel holds that many of each direction at most."""
PATIENCE = 5.0
"""Seconds in which an app takes a connection."""
PAUSE = 0.02
_ANSWER = (
    f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {tunnel.PROTOCOL}\r\n\r\n"
).encode()
_SAID = {
    State.STOPPED: "does not run",
    State.STARTING: "is starting",
    State.RUNNING: "does not answer",
    State.FAILED: "has failed",
}


def key(log: Logger) -> str:
    """The session's key; empty when it has none that can be used."""
    try:
        return tunnel.read_key(tunnel.KEY_FILE)
    except ValueError as error:
        log.warning("Apps of this session are reached through Jupyter alone: %s", error)
        return ""


class Tunnels:
    """All tunnels of the session."""

    def __init__(self) -> None:
        self._open: set[asyncio.Task[None]] = set()
        self._opening = 0

    def __len__(self) -> int:
        return len(self._open) + self._opening

    async def connected(self, runner: Runner) -> IOStream | None:
        """A connection to an app; ``None`` when it does not take one."""
        self._opening += 1
        try:
            if stream := await _connect(runner):
                return stream
            # it began just now, or it has ended and nobody has noticed
            return await _connect(runner) if await runner.answers() else None
        finally:
            self._opening -= 1

    def join(self, client: IOStream, app: IOStream) -> None:
        """Answer a client, and let bytes pass until one of the two ends."""
        task = asyncio.create_task(_join(client, app))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def close(self) -> None:
        """End them all."""
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)


def rules(runners: Mapping[str, Runner], key: str, tunnels: Tunnels) -> tuple[Rule, ...]:
    """What answers: nothing, in a session without a key."""
    if not key:
        return ()
    known = {"runners": runners, "key": key, "tunnels": tunnels}
    return ((tunnel.path(NAME), Tunnel, known),)


class Tunnel(SessionHandler):
    """Opens a tunnel to an app."""

    def initialize(self, runners: Mapping[str, Runner], key: str, tunnels: Tunnels) -> None:
        """Take what the rule hands over."""
        self._runners, self._key, self._tunnels = runners, key, tunnels

    async def prepare(self) -> None:  # type: ignore[override] # upstream says both
        """Ask nobody who it is.

        Upstream would ask the hub about whatever cookie or token came with it, and answer with
        cookies of its own.
        """
        self.current_user = self._jupyter_current_user = None

    @allow_unauthenticated
    async def get(self, name: str) -> None:
        """Lead to an app, or say why not."""
        self.set_header("Connection", "close")
        if not self._knows_the_key():
            await self._say(HTTPStatus.FORBIDDEN, "This needs the key of the session")
            return
        if not self._asks_for_a_tunnel():
            self.set_header("Connection", "Upgrade, close")
            self.set_header("Upgrade", tunnel.PROTOCOL)
            told = f"Upgrade: send {tunnel.PROTOCOL}, by HTTP/1.1"
            await self._say(HTTPStatus.UPGRADE_REQUIRED, told)
            return
        runner = self._runners.get(name)
        if not runner:
            await self._say(HTTPStatus.NOT_FOUND, "This session has no such app")
        elif runner.app.path:
            told = f"{runner.app.title} is a page of the session's own server"
            await self._say(HTTPStatus.CONFLICT, told)
        elif len(self._tunnels) >= MOST:
            told = f"This session has {MOST} open tunnels, and may have no more"
            await self._say(HTTPStatus.SERVICE_UNAVAILABLE, told)
        elif stream := await self._tunnels.connected(runner):
            self._tunnels.join(self.detach(), stream)
        else:
            await self._explain(runner)

    async def _explain(self, runner: Runner) -> None:
        """Say why an app takes no connection; one that may be started just so is started."""
        if runner.state is State.STOPPED and not runner.app.asks:
            runner.start()
        # the end of the app's output follows the first line: the owner's alone
        words = runner.message.partition("\n")[0]
        told = words or f"{runner.app.title} {_SAID[runner.state]}"
        await self._say(HTTPStatus.SERVICE_UNAVAILABLE, told, state=runner.state)

    def _knows_the_key(self) -> bool:
        told = self.request.headers.get(tunnel.HEADER, "")
        return hmac.compare_digest(told.encode(), self._key.encode())

    def _asks_for_a_tunnel(self) -> bool:
        headers = self.request.headers
        asked = {part.strip().lower() for part in headers.get("Connection", "").split(",")}
        return (
            self.request.version == "HTTP/1.1"
            and "upgrade" in asked
            and headers.get("Upgrade", "").lower() == tunnel.PROTOCOL
        )

    async def _say(self, status: HTTPStatus, message: str, **more: str) -> None:
        """Answer that there is no tunnel, and be done with the connection."""
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        connection: Any = self.request.connection
        with suppress(StreamClosedError):
            await self.finish(json.dumps({"message": message, **more}))
        # tornado would keep it, for a request that names anything beside "close"
        connection.close()


async def _connect(runner: Runner) -> IOStream | None:
    """A connection to an app, where one that has a process is known to run."""
    if runner.app.command and runner.state is not State.RUNNING:
        return None
    try:
        made = socket.socket(socket.AF_UNIX if runner.unix_socket else socket.AF_INET)
    except OSError:
        return None
    try:
        made.setblocking(False)
        async with asyncio.timeout(PATIENCE):
            await _reach(made, runner.unix_socket or (HOST, runner.port))
    except OSError:
        made.close()
        return None
    except BaseException:
        made.close()
        raise
    return IOStream(made)


async def _reach(made: socket.socket, at: str | tuple[str, int]) -> None:
    """Connect a socket."""
    if not isinstance(at, str):
        await asyncio.get_running_loop().sock_connect(made, at)
        return
    while True:
        try:
            made.connect(at)
        except BlockingIOError:  # too many wait to be taken: unlike TCP's it has to be asked again
            await asyncio.sleep(PAUSE)
        else:
            return


async def _join(client: IOStream, app: IOStream) -> None:
    """Let bytes pass both ways until one of the two ends, and close the other."""
    ways: list[asyncio.Task[None]] = []
    try:
        for stream in (client, app):
            stream.set_nodelay(True)
        await client.write(_ANSWER)
        ways = [asyncio.create_task(_pass(client, app)), asyncio.create_task(_pass(app, client))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    except StreamClosedError:
        pass  # who asked has gone
    finally:
        client.close()
        app.close()
        await asyncio.gather(*ways, return_exceptions=True)


async def _pass(source: IOStream, sink: IOStream) -> None:
    """Hand on what comes until either is closed."""
    try:
        while True:
            await sink.write(await source.read_bytes(CHUNK, partial=True))
            # where both are fast nothing above waits, and nobody else would have a turn
            await asyncio.sleep(0)
    except StreamClosedError:
        pass
