"""One opened app's port: who may pass, and that nobody can make it wait for ever.

A request passes when all of this holds, in this order; each refusal is a page in words.

    it names a path, and this door as its host      else 400, 421: no other name leads here
    its method is one that apps are asked by        else 405
    a public app: whence it comes, its password     else 403, 401; 429 to who guesses
    a private app: a visit that goes on             else, of a page, to the hub to log in; 403
    no other site's page sent it                    else 403: cookies know no ports, and so
                                                    the app beside this one could send it
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import ssl
import struct
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import cast
from urllib.parse import quote

from aiohttp import hdrs, web
from aiohttp.http_exceptions import LineTooLong

from bai_spawner.app_proxy import headers
from bai_spawner.app_proxy.guesses import Guesses
from bai_spawner.app_proxy.guests import Guests
from bai_spawner.app_proxy.pages import page
from bai_spawner.app_proxy.passing import METHODS, Broken, Passage
from bai_spawner.app_proxy.site import Site
from bai_spawner.app_proxy.tunnels import NotReached, Target
from bai_spawner.app_proxy.visitors import (
    HubAway,
    NotAdmitted,
    Place,
    Visit,
    Visitors,
    digest,
)
from bai_spawner.app_proxy.whereabouts import SAFE

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
WORKER = "Service-Worker"
"""What browsers send with the script of one (Service Workers, 4.1), and no page's script can."""
LONGEST_MARK = 16
YEAR = 366 * 24 * 3600
RESERVED = "/.bai/"
ENTER = f"{RESERVED}enter"
"""The one address of an app's that is the door's own."""
MOST_CONNECTIONS = 1000
FIRST_SECONDS, IDLE_SECONDS = 20.0, 75.0
"""In which a connection's first request, and each one after an answer, has arrived with its
headers."""
LOOK_SECONDS = 5.0
NONCE_SECONDS = 600
MOST_NONCES = 20
LONGEST_NEXT = 4096
STARTING = "starting"
LONGEST_LINE, LONGEST_HEADER, MOST_HEADERS = 16 * 1024, 32 * 1024, 100
"""Of a request: bytes of its first line and of a header, and how many headers."""


class Door:
    """An app's port.

    Args:
        sock: bound to it.
        place: whose app it is.
        target: where the app is.
        title: what people call it.
        base: the path that the app is told it is at, ``/user/ada/one/board/``; else ``/``.
        site: the addresses of this deployment.
        visitors: who was let in.
        guests: whom it is open to; ``None``: it is private.
    """

    def __init__(
        self,
        sock: socket.socket,
        place: Place,
        target: Target,
        *,
        title: str,
        base: str,
        site: Site,
        visitors: Visitors,
        guests: Guests | None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.port: int = sock.getsockname()[1]
        self.place, self._title, self._base = place, title, base
        self._site, self._visitors, self._guests = site, visitors, guests
        self._sock, self._tls = sock, tls
        self.last_used: datetime | None = None
        self.bytes_in = self.bytes_out = 0
        # the same app keeps it at every port, and no app gets what another one left at this one
        self.mark = digest(f"{place.user}\n{place.server}\n{target.app}")[:LONGEST_MARK]
        self._passage = Passage(target, mark=self.mark, scheme=site.scheme, count=self._count)
        # when the next request of a connection has to be there; of one that is answered none is
        self._until: dict[_Connection, float] = {}
        self._checking, self._guesses = asyncio.Lock(), Guesses()
        self._server = web.Server(self._handle, handler_cancellation=True)
        self._listening: asyncio.Server | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def target(self) -> Target:
        """Where the app is."""
        return self._passage.target

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._server.connections)

    async def open(self) -> None:
        """Begin to listen.

        Raises:
            OSError: somebody else listens there.
        """
        loop = asyncio.get_running_loop()
        most = FIRST_SECONDS if self._tls else None
        try:
            self._listening = await loop.create_server(
                self._accept, sock=self._sock, ssl=self._tls, ssl_handshake_timeout=most
            )
        except BaseException:
            await self.close()
            raise
        self._sweeping = asyncio.create_task(self._sweep())

    async def close(self) -> None:
        """Listen no more, and break off what is under way, at once."""
        self._closed = True
        if self._sweeping:
            self._sweeping.cancel()
            await asyncio.wait([self._sweeping])
        if self._listening:
            self._listening.close()
        self._sock.close()
        for connection in self._server.connections:
            _abort(connection)
        self._visitors.close(self.place.opening)
        with contextlib.suppress(TimeoutError):
            await self._server.shutdown(1.0)
        await self._passage.close()

    # ---- connections

    def _accept(self) -> asyncio.Protocol:
        # what is about to agree on TLS is no connection of the server's yet
        if len(self._until.keys() | set(self._server.connections)) >= MOST_CONNECTIONS:
            return _Full()
        made = _Connection(self._server, self._until, lambda: self._closed)
        self._until[made] = time.monotonic() + FIRST_SECONDS
        return made

    async def _sweep(self) -> None:
        """Break off connections that send nothing, or a header for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = time.monotonic()
            for connection, until in list(self._until.items()):
                if now > until:
                    del self._until[connection]
                    _abort(connection)

    def _count(self, to_app: int, to_visitor: int) -> None:
        self.bytes_in += to_app
        self.bytes_out += to_visitor
        self.last_used = datetime.now(UTC)

    # ---- requests

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = cast("_Connection", request.protocol)
        self._until.pop(connection, None)
        try:
            return await self._answer(request)
        finally:
            if connection.transport:
                self._until[connection] = time.monotonic() + IDLE_SECONDS

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if refused := self._misdirected(request):
            return refused
        if self._guests is not None:
            refused = await self._not_a_guest(request, self._guests)
            return refused or await self._pass(request, None)
        try:
            if request.path == ENTER:
                return await self._enter(request)
            visit, refused = await self._visit(request)
        except HubAway as error:
            return page(503, "The hub does not answer", str(error), again=5)
        if refused:
            return refused
        return await self._pass(request, visit)

    def _misdirected(self, request: web.BaseRequest) -> web.Response | None:
        """What is not for this door at all."""
        path = request.raw_path
        if not path.startswith("/") or not path.isascii() or "#" in path or "\\" in path:
            return page(400, "This is no address", "A request names a path of the app.")
        if request.headers.getall(hdrs.HOST, []) != [self._site.host(self.port)]:
            told = f"Apps are at {self._site.origin(self.port)}/ and answer to no other name."
            return page(421, "This is not the app's address", told)
        if request.method not in METHODS:
            return page(405, "Apps are not asked this way", f"{request.method} is not passed on.")
        if WORKER in request.headers:
            told = "It would stay in the browser, and answer for the next app at this port."
            return page(403, "Apps have no service workers here", told)
        if request.path.startswith(RESERVED) and request.path != ENTER:
            return page(404, "There is no such page", "This address is not the app's.")
        return None

    async def _not_a_guest(self, request: web.BaseRequest, guests: Guests) -> web.Response | None:
        """Whom a public app is not open to, and what another site's page sends."""
        if not guests.come_from(request.remote or ""):
            told = "Its user opened it to some addresses, and yours is none of them."
            return page(403, f"{self._title} is not open to you", told)
        said, peer = request.headers.get(hdrs.AUTHORIZATION, ""), request.remote or ""
        known = guests.glance(said)
        if known is None:
            async with self._checking:  # what is slow on purpose is not done for many at once
                if seconds := self._guesses.wait(peer):
                    return self._guessed(seconds)
                known = await asyncio.to_thread(guests.says_password, said)
                if not known:
                    self._guesses.was_wrong(peer)
        if not known:
            told = "Its user gave it a password. Any name goes with it."
            ask = {"WWW-Authenticate": 'Basic realm="app", charset="UTF-8"'}
            return page(401, f"{self._title} asks for a password", told, headers=ask)
        # with a password of its own a browser sends it, whoever has it ask
        does = guests.password and request.method not in SAFE_METHODS
        if (does or self._is_websocket(request)) and not self._from_here(request):
            return self._forged()
        return None

    def _guessed(self, seconds: int) -> web.Response:
        told = f"Too many wrong passwords came from your address. Try again in {seconds} s."
        wait = {"Retry-After": str(seconds)}
        return page(429, f"{self._title} asks for a password", told, headers=wait)

    async def _visit(self, request: web.BaseRequest) -> tuple[Visit | None, web.Response | None]:
        """The visit that a request belongs to, or what its visitor is told instead."""
        sent = headers.own_cookies(request.headers.getall(hdrs.COOKIE, ()), self._cookie("app"))
        found = [await self._visitors.visit(self.place.opening, value) for value in sent]
        # what stands for nobody is passed over: any page of this host plants it
        visits = {id(visit): visit for visit in found if visit}
        if len(visits) > 1:
            told = (
                "Your browser sends several proofs of who you are: a page of this host has put "
                f"one beside ours. Delete the cookies of {self._site.apps} and come again."
            )
            return None, page(400, "It is not clear who you are", told)
        visit = next(iter(visits.values()), None)
        if visit is None:
            return None, self._begin(request)
        if not self._from_here(request):
            return None, self._forged()
        return visit, None

    def _begin(self, request: web.BaseRequest) -> web.Response:
        """Lead a page to the hub; refuse what cannot come back from there."""
        mode = request.headers.get("Sec-Fetch-Mode", "navigate")
        is_page = request.method in {"GET", "HEAD"} and mode == "navigate"
        if not is_page or self._is_websocket(request) or len(request.raw_path) > LONGEST_NEXT:
            return page(403, f"{self._title} is private", "Open it in a window, and log in there.")
        nonce = secrets.token_urlsafe(32)
        answer = web.Response(
            status=303,
            headers={
                "Location": self._site.enter(self.place.opening, digest(nonce), request.raw_path),
                "Cache-Control": "no-store",
                "Referrer-Policy": "no-referrer",
            },
        )
        name = f"{self._cookie('begin')}-{digest(nonce)[:8]}"
        answer.headers.add("Set-Cookie", self._set(name, nonce, f"; Max-Age={NONCE_SECONDS}"))
        return answer

    async def _enter(self, request: web.BaseRequest) -> web.Response:
        """Let a browser in that comes from the hub with a ticket."""
        begun = self._cookie("begin")
        nonces = [
            value
            for name, value in headers.cookies(request.headers.getall(hdrs.COOKIE, ()))
            if name.startswith(f"{begun}-")
        ]
        ticket = request.query.get("ticket", "")
        try:
            made = await self._visitors.enter(self.place.opening, ticket, nonces[-MOST_NONCES:])
        except NotAdmitted as error:
            if (await self._visit(request))[0]:  # by another window, which was faster
                return self._lead_on(request)
            again = (f"{self._site.origin(self.port)}/", "Come in anew")
            return page(
                403, f"{self._title} is private", f"You were not let in: {error}.", link=again
            )
        answer = self._lead_on(request)
        answer.headers.add("Set-Cookie", self._set(self._cookie("app"), made))
        answer.headers.extend(self._forgetting(request))
        for nonce in nonces:
            gone = f"{begun}-{digest(nonce)[:8]}"
            answer.headers.add("Set-Cookie", self._set(gone, "", "; Max-Age=0"))
        return answer

    def _forgetting(self, request: web.BaseRequest) -> headers.Headers:
        """What has a browser forget what another app left in it when it had this port."""
        name = self._cookie("at")
        if self.mark in headers.own_cookies(request.headers.getall(hdrs.COOKIE, ()), name):
            return headers.Headers()
        made = self._set(name, self.mark, f"; Max-Age={YEAR}")
        return headers.Headers({"Clear-Site-Data": '"cache", "storage"', "Set-Cookie": made})

    def _lead_on(self, request: web.BaseRequest) -> web.Response:
        """To the page that a visitor wanted before they were led to the hub."""
        asked = request.query.get("next", "/")
        told = {
            "Location": asked if _is_path(asked) else "/",
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
        }
        return web.Response(status=303, headers=told)

    async def _pass(self, request: web.BaseRequest, visit: Visit | None) -> web.StreamResponse:
        """Hand it on, for as long as its visitor may."""
        if self._base != "/" and request.path == "/":
            _, mark, query = request.raw_path.partition("?")
            return web.Response(status=303, headers={"Location": f"{self._base}{mark}{query}"})
        self._count(0, 0)
        connection = request.protocol

        def break_off() -> None:
            _abort(connection)

        if visit:
            visit.under_way.add(break_off)
        try:
            if self._is_websocket(request):
                return await self._passage.websocket(request)
            # a private app's visitors were made to when they came in
            is_new = visit is None and request.headers.get("Sec-Fetch-Mode") == "navigate"
            more = self._forgetting(request) if is_new else headers.Headers()
            return await self._passage.request(request, more)
        except NotReached as error:
            return self._not_reached(error)
        except Broken as error:
            break_off()
            return error.answer
        finally:
            if visit:
                visit.under_way.discard(break_off)

    def _not_reached(self, error: NotReached) -> web.Response:
        """Why the app does not answer; one that starts is asked for again."""
        if error.state == STARTING:
            return page(503, f"{self._title} starts", "This takes a moment.", again=2)
        words = f"{str(error)[:1].upper()}{str(error)[1:]}".rstrip(".") + "."
        link = None
        if self._guests is None and error.status:
            place, app = self.place, self.target.app
            user, server = (quote(name, safe=SAFE) for name in (place.user, place.server))
            at = self._site.starter(user, server, app)
            link = (at, f"Start {self._title}")
        return page(
            503 if error.status else 502, f"{self._title} does not answer", words, link=link
        )

    # ---- what a request says of itself

    def _is_websocket(self, request: web.BaseRequest) -> bool:
        asked = ",".join(request.headers.getall(hdrs.CONNECTION, ())).lower().split(",")
        return (
            request.method == hdrs.METH_GET
            and "upgrade" in map(str.strip, asked)
            and request.headers.get(hdrs.UPGRADE, "").strip().lower() == "websocket"
        )

    def _from_here(self, request: web.BaseRequest) -> bool:
        """Whether the app's own page sent it, or a person who follows a link to it."""
        found = request.headers
        origin, site = found.get(hdrs.ORIGIN), found.get("Sec-Fetch-Site", "none")
        # of what a person follows browsers tell no origin; a page that wants no referrer told
        # has the origin of its forms told as null (Fetch standard, 3.1)
        told = origin not in {None, self._site.origin(self.port)}
        if told and not (origin == "null" and site == "same-origin"):
            return False
        if site in {"none", "same-origin"}:
            return True
        follows = found.get("Sec-Fetch-Mode") == "navigate"
        shown = found.get("Sec-Fetch-Dest") == "document"
        return follows and shown and request.method in {"GET", "HEAD"}

    def _forged(self) -> web.Response:
        told = "Another site's page sent this, and only the app's own pages may."
        return page(403, "This came from another site", told)

    def _cookie(self, what: str) -> str:
        """The name of a cookie of this door's."""
        # with HTTPS browsers keep scripts from making one of this name
        prefix = "__Host-Http-" if self._site.scheme == "https" else ""
        return f"{prefix}{headers.OURS}{what}-{self.port}"

    def _set(self, name: str, value: str, more: str = "") -> str:
        secure = "; Secure" if self._site.scheme == "https" else ""
        return f"{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{more}"


class _Connection(web.RequestHandler):
    """A connection, which can be broken off whatever aiohttp thinks of it.

    Args:
        server: whose it is.
        until: forgets it when it is gone.
        closed: says whether its door is: who agreed on TLS meanwhile comes too late.
    """

    __slots__ = ("_closed", "_until", "_way")

    def __init__(
        self,
        server: web.Server,
        until: dict[_Connection, float],
        closed: Callable[[], bool],
    ) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # as upstream's own web.Server has it
            auto_decompress=False,
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=1.0,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_HEADER,
            max_headers=MOST_HEADERS,
        )
        self._until, self._closed = until, closed
        self._way: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._way = cast("asyncio.Transport", transport)
        super().connection_made(transport)
        if self._closed():
            self.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._way = None
        self._until.pop(self, None)
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Say that it cannot be read, and nothing of it: a page of the app's could read that.

        A page of this host may have given its browser more cookies than can be read, so that
        no app of it is reached any more; without them it goes on.
        """
        super().handle_error(request, status, exc, message)
        if isinstance(exc, LineTooLong) and exc.args[1] == LONGEST_HEADER:
            told = (
                "Your browser sent more cookies than can be read, and is asked to delete them. "
                "If this page stays, delete the cookies of this host."
            )
            answer = page(status, "There are too many cookies", told, again=5)
            answer.headers["Clear-Site-Data"] = '"cookies"'
        elif status < HTTPStatus.INTERNAL_SERVER_ERROR:
            answer = page(status, "This cannot be read", "It is no request as apps are sent.")
        else:
            answer = page(status, "This went wrong", "The hub's log says why. Try it again.")
        answer.force_close()
        return answer

    def abort(self) -> None:
        """Break it off, so that nobody takes what was sent for whole."""
        if self._way is None:
            return
        sock = self._way.get_extra_info("socket")
        with contextlib.suppress(OSError):  # it is reset, and not closed in good order
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._way.abort()


class _Full(asyncio.Protocol):
    """Says that there are too many, and closes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)
        transport.write(
            b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        )
        transport.close()


def _abort(connection: web.RequestHandler) -> None:
    cast("_Connection", connection).abort()


def _is_path(text: str) -> bool:
    """Whether it leads to a page of this host, and nowhere else."""
    one_slash = text.startswith("/") and not text.startswith(("//", "/\\"))
    return one_slash and text.isprintable() and text.isascii() and "\\" not in text
