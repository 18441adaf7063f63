"""Doors of the app proxy, for tests: an app, its session and the hub's word, in one process.

test ─► Door ─► Session (the session's end of the tunnel) ─► App or RawApp
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from aiohttp import WSMsgType, web

from bai_spawner import tunnel
from bai_spawner.app_proxy.door import Door
from bai_spawner.app_proxy.guests import Guests
from bai_spawner.app_proxy.site import Site
from bai_spawner.app_proxy.tunnels import Target
from bai_spawner.app_proxy.visitors import HubAway, Place, Visitor, Visitors

KEY = tunnel.key_of(bytes(32), "session")
SITE = Site(
    apps="http://localhost",
    hub="http://127.0.0.1:8000/",
    service="http://127.0.0.1:8000/services/sessions/",
)
PATIENCE = 20.0
"""Seconds after which something that should happen has not."""
QUIET = 0.1
"""Seconds without a byte after which a connection that stays open is taken to say no more."""
ADA = Visitor("ada", frozenset({"access:servers!server=ada/one"}))
STRANGER = Visitor("eve", frozenset({"access:servers!user=eve"}))
BIG = 50 * 1024**2


@dataclass
class FakeHub:
    """Whom each token is of, as the hub says it; ``away``: it says nothing."""

    users: dict[str, Visitor] = field(default_factory=lambda: {"token-of-ada": ADA})
    away: bool = False
    asked: list[str] = field(default_factory=list)

    async def ask(self, token: str) -> Visitor | None:
        self.asked.append(token)
        await asyncio.sleep(0)
        if self.away:
            raise HubAway("the hub does not answer now; try again")
        return self.users.get(token)


# ---- apps


@dataclass(frozen=True)
class Seen:
    """A request as an app was sent it."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    def all(self, name: str) -> list[str]:
        return [value for found, value in self.headers if found.lower() == name.lower()]

    @property
    def names(self) -> set[str]:
        return {name.lower() for name, _ in self.headers}


class App:
    """An app that remembers what it was sent, and answers in all the ways that apps do.

    ``headers`` are added to what it answers at any address that is not listed in `_handle`.
    """

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.headers: list[tuple[str, str]] = []
        self.port = 0
        self.sent = 0
        self.more = asyncio.Event()
        self.closed_with: list[int | None] = []
        self.left = asyncio.Event()
        self._runner: web.ServerRunner | None = None

    async def start(self) -> None:
        # a server, and no application: no router that changes paths
        server = web.Server(
            self._handle,
            access_log=None,
            auto_decompress=False,
            handler_cancellation=True,
            max_line_size=64 * 1024,
            max_field_size=64 * 1024,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        pairs = tuple(
            (name.decode("latin-1"), value.decode("utf-8", "surrogateescape"))
            for name, value in request._message.raw_headers
        )
        what = request.raw_path.partition("?")[0]
        asked = Seen(request.method, request.raw_path, pairs)
        answers: dict[str, Callable[[web.BaseRequest], Any]] = {
            "/ws": self._ws,
            "/ws-refused": self._plain(403),
            "/ws-hangs": self._ws_hangs,
            "/204": self._plain(204),
            "/304": self._plain(304),
            "/chunked": self._chunked,
            "/big": self._big,
            "/big-chunked": self._big,
            "/sse": self._sse,
            "/slow": self._slow,
            "/early": self._early,
        }
        if what in answers:
            self.seen.append(asked)
            found: web.StreamResponse = await answers[what](request)
            return found
        body = await request.content.read()
        self.seen.append(Seen(asked.method, asked.target, asked.headers, body))
        answer = web.Response(body=b"the app's own words:" + body, content_type="text/plain")
        for name, value in self.headers:
            answer.headers.add(name, value)
        return answer

    def _plain(self, status: int) -> Callable[[web.BaseRequest], Any]:
        async def answer(_: web.BaseRequest) -> web.Response:
            return web.Response(status=status, headers={"ETag": '"one"'})

        return answer

    async def _early(self, _: web.BaseRequest) -> web.Response:
        """Answers before it has read what it is sent."""
        return web.Response(status=413, text="too much")

    async def _slow(self, request: web.BaseRequest) -> web.Response:
        try:
            await asyncio.wait_for(self.more.wait(), PATIENCE)
        except asyncio.CancelledError:
            self.left.set()
            raise
        return web.Response(text="at last")

    async def _chunked(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = web.StreamResponse()
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        for number in range(5):
            await answer.write(f"piece {number};".encode())
        return answer

    async def _sse(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        for number in range(3):
            await answer.write(f"data: {number}\n\n".encode())
            await asyncio.wait_for(self.more.wait(), PATIENCE)
            self.more.clear()
        return answer

    async def _big(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = web.StreamResponse()
        if request.raw_path == "/big":
            answer.content_length = BIG
        else:
            answer.enable_chunked_encoding()
        await answer.prepare(request)
        piece = bytes(range(256)) * 256
        for _ in range(BIG // len(piece)):
            await answer.write(piece)
            self.sent += len(piece)
        return answer

    async def _ws(self, request: web.BaseRequest) -> web.StreamResponse:
        """Echoes; ``close CODE WORDS`` closes it, ``die`` cuts it, ``ping`` sends one."""
        answer = web.WebSocketResponse(protocols=("chat.2", "chat.1"), autoping=False)
        await answer.prepare(request)
        async for message in answer:
            if message.type is WSMsgType.TEXT and message.data.startswith("close "):
                _, code, words = message.data.split(" ", 2)
                await answer.close(code=int(code), message=words.encode())
                break
            if message.type is WSMsgType.TEXT and message.data == "die":
                assert request.transport
                request.transport.abort()
            elif message.type is WSMsgType.TEXT and message.data == "ping":
                await answer.ping(b"are you there")
            elif message.type is WSMsgType.TEXT:
                await answer.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await answer.send_bytes(message.data)
            elif message.type is WSMsgType.PING:
                await answer.pong(message.data)
            elif message.type is WSMsgType.PONG:
                await answer.send_str(f"pong {message.data.decode()}")
        self.closed_with.append(answer.close_code)
        self.left.set()
        return answer

    async def _ws_hangs(self, request: web.BaseRequest) -> web.StreamResponse:
        """Reads nothing, and never closes its side."""
        answer = web.WebSocketResponse()
        await answer.prepare(request)
        await asyncio.wait_for(self.more.wait(), PATIENCE)
        return answer


class RawApp:
    """An app that sends bytes as they are, whatever they are, once it was sent a head.

    Args:
        answer: what it sends.
        end: whether it closes afterwards.
    """

    def __init__(self, answer: bytes, *, end: bool = True) -> None:
        self._answer, self._end = answer, end
        self.got: list[bytes] = []
        self.port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while True:
                self.got.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(self._answer)
                await writer.drain()
                if self._end:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()


AnyApp = App | RawApp

# ---- the session's end of tunnels


class Session:
    """A session's server, of which there is the tunnel alone.

    ``says`` is what it answers instead of a tunnel: a status, and what the JSON has beside the
    message. ``hangs``: it answers nothing.
    """

    def __init__(self, app: AnyApp) -> None:
        self.app = app
        self.port = 0
        self.says: tuple[int, dict[str, str]] | None = None
        self.hangs = False
        self.asked: list[bytes] = []
        self.opened = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/user/ada/one/"

    @property
    def tunnels(self) -> int:
        """That are open."""
        return len(self._open) // 2

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await until(lambda: not self._open)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.asked.append(head)
            if self.hangs:
                await reader.read(1)
                return
            status, more = self.says or (101, {})
            if f"{tunnel.HEADER}: {KEY}".encode() not in head:
                status, more = 403, {}
            if not head.startswith(b"GET /user/ada/one/bai/tunnel/board HTTP/1.1\r\n"):
                status, more = 404, {}
            if status == 101:
                await self._join(reader, writer)
            else:
                body = json.dumps({"message": f"it says {status}", **more}).encode()
                writer.write(
                    f"HTTP/1.1 {status} No\r\nContent-Length: {len(body)}\r\n"
                    "Connection: close\r\n\r\n".encode()
                    + body
                )
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, to_app = await asyncio.open_connection("127.0.0.1", self.app.port)
        self._open.add(to_app)
        self.opened += 1
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
            b"Upgrade: bai-tunnel/1\r\n\r\n"
        )
        ways = [
            asyncio.create_task(_pipe(reader, to_app)),
            asyncio.create_task(_pipe(theirs, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._open.discard(to_app)
            to_app.close()


async def _pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await source.read(64 * 1024):
            sink.write(chunk)
            await sink.drain()


# ---- doors


@dataclass
class Opened:
    """A door that is open, and what is behind and beside it."""

    door: Door
    visitors: Visitors
    session: Session
    app: App
    hub: FakeHub

    @property
    def port(self) -> int:
        return self.door.port

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    @property
    def origin(self) -> str:
        return f"http://{self.host}"

    def client(self, **headers: str) -> httpx.AsyncClient:
        """A browser, as far as httpx is one; it keeps no cookies."""
        return httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}",
            headers={"Host": self.host, **headers},
            timeout=PATIENCE,
            trust_env=False,
        )

    async def begin(self, path: str = "/") -> tuple[str, str]:
        """Begin to come in: the nonce's digest, and the cookie that holds the nonce."""
        async with self.client() as browser:
            answer = await browser.get(path)
        assert answer.status_code == 303
        nonce = parse_qs(urlsplit(answer.headers["Location"]).query)["nonce"][0]
        return nonce, answer.headers["Set-Cookie"].partition(";")[0]

    async def cookie(self, token: str = "token-of-ada") -> str:
        """Come in; the cookie."""
        nonce, begun = await self.begin()
        ticket = await self.visitors.ticket(self.door.place, token, nonce)
        async with self.client(Cookie=begun) as browser:
            answer = await browser.get("/.bai/enter", params={"ticket": ticket, "next": "/"})
        assert answer.status_code == 303, answer.text
        return str(answer.headers.get_list("Set-Cookie")[0].partition(";")[0])

    async def raw(self, *sent: bytes) -> bytes:
        """All that is answered to bytes, until the door closes the connection or has no more.

        ``{host}`` in them is the door's. They are sent piece by piece.
        """
        async with self.connected() as (reader, writer):
            for piece in sent:
                writer.write(piece.replace(b"{host}", self.host.encode()))
                await asyncio.sleep(0.01)
            return await drained(reader, quiet=QUIET)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection to the door."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()


async def drained(reader: asyncio.StreamReader, quiet: float = PATIENCE) -> bytes:
    """What comes until the end, or until nothing more came for ``quiet`` seconds."""
    got = bytearray()
    with suppress(ConnectionError, TimeoutError):
        while True:
            async with asyncio.timeout(quiet if got else PATIENCE):
                chunk = await reader.read(64 * 1024)
            if not chunk:
                break
            got += chunk
    return bytes(got)


def statuses(answer: bytes) -> list[int]:
    """Of all answers in what was read."""
    return [int(found) for found in re.findall(rb"(?:^|(?<=[^ ]))HTTP/1\.[01] (\d{3}) ", answer)]


async def until(true: Callable[[], object]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.002)


def bound() -> socket.socket:
    """A socket that listens where nobody else does."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", 0))
    made.listen(128)
    made.setblocking(False)
    return made


def door_at(
    sock: socket.socket,
    session: Session,
    visitors: Visitors,
    *,
    guests: Guests | None = None,
    opening: str = "opening",
    base: str = "/",
    site: Site = SITE,
) -> Door:
    """A door of the session ``one`` of ada's, to her app ``board``."""
    return Door(
        sock,
        Place(opening, "ada", "one"),
        Target(session.url, "board", KEY),
        title="The <board>",
        base=base,
        site=site,
        visitors=visitors,
        guests=guests,
    )


@asynccontextmanager
async def opened(
    guests: Guests | None = None, *, app: AnyApp | None = None, **more: Any
) -> AsyncIterator[Opened]:
    """A door; without ``guests`` it is private."""
    echo = App()
    await echo.start()
    if app:
        await app.start()
    session = Session(app or echo)
    await session.start()
    hub = FakeHub()
    visitors = Visitors(hub.ask)
    door = door_at(bound(), session, visitors, guests=guests, **more)
    await door.open()
    try:
        yield Opened(door, visitors, session, echo, hub)
    finally:
        await door.close()
        await session.stop()
        if app:
            await app.stop()
        await echo.stop()


def public(**more: Any) -> Any:
    """A door that is open to all."""
    return opened(Guests(), **more)
