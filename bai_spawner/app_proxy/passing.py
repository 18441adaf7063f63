"""Hands requests and WebSockets on to one app, and its answers back.

The bytes are moved by aiohttp, which reads what is sent strictly and writes it anew: what two
readers could understand differently does not get through. What comes before, who may pass, is
`door`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Any

from aiohttp import (
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    ClientWebSocketResponse,
    ClientWSTimeout,
    DummyCookieJar,
    WSMsgType,
    WSServerHandshakeError,
    hdrs,
    web,
)
from yarl import URL

from bai_spawner.app_proxy import headers
from bai_spawner.app_proxy.tunnels import NotReached, Target, TunnelConnector

MOST_TUNNELS = 512
"""To one app; a WebSocket has one for itself."""
CONNECT_SECONDS = 20.0
"""How long a request waits for a tunnel, while there are as many as there may be."""
CHUNK = 256 * 1024
SMALL = 64 * 1024
"""Bytes of an answer that is sent in one piece."""
STALL_SECONDS = 120.0
"""How long a visitor may leave an answer unread, or a body unsent."""
LONGEST_MESSAGE = 64 * 1024**2
"""Bytes of a WebSocket message, which is in memory as a whole."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SKIPPED = (hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.USER_AGENT, hdrs.CONTENT_TYPE)
"""What aiohttp would add by itself."""
BROKE_OFF = "the app broke off before it answered"
CLOSE_SECONDS = 5.0
"""In which the other side of a WebSocket says that it closes, too."""
TOO_BIG, GOING_AWAY = 1009, 1001

Count = Callable[[int, int], None]
"""Is told of bytes to the app, and of bytes to a visitor."""


class Broken(Exception):
    """An answer broke off, and a part of it was sent: its visitor must not take it for whole.

    Args:
        answer: which.
    """

    def __init__(self, answer: web.StreamResponse) -> None:
        super().__init__()
        self.answer = answer


class Passage:
    """The way to one app.

    Args:
        target: the app.
        mark: tells what browsers keep of it from what they keep of others.
        scheme: how visitors reach it: ``http`` or ``https``.
        count: is told what passes.
    """

    def __init__(self, target: Target, *, mark: str, scheme: str, count: Count) -> None:
        self.target, self._mark, self._scheme, self._count = target, mark, scheme, count
        self._client = ClientSession(
            connector=TunnelConnector(target, limit=MOST_TUNNELS),
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=SKIPPED,
            timeout=ClientTimeout(total=None, connect=CONNECT_SECONDS),
            max_line_size=32 * 1024,
            max_field_size=64 * 1024,
            read_bufsize=CHUNK,
        )

    async def close(self) -> None:
        """Close what leads to the app."""
        await self._client.close()

    async def request(
        self, request: web.BaseRequest, more: headers.ReadHeaders
    ) -> web.StreamResponse:
        """Hand a request on; the answer's visitor is told ``more`` headers than it has.

        Raises:
            NotReached: there is no way to the app now, or it broke off before it answered.
            Broken: it broke off later, or its visitor stopped reading.
        """
        expected = request.headers.get(hdrs.EXPECT, "").lower()
        if expected not in {"", "100-continue"}:
            return _refusal(HTTPStatus.EXPECTATION_FAILED)
        body = _Body(request, self._count, asked=bool(expected)) if request.body_exists else None
        try:
            found = await self._client.request(
                request.method,
                self._url(request),
                headers=self._headers(request),
                data=body.pieces() if body else None,
                allow_redirects=False,
            )
        except NotReached:
            raise
        except (ClientError, OSError) as error:
            if body and body.refused:
                return _refusal(body.refused)
            raise NotReached(BROKE_OFF) from error
        async with found:
            told = headers.to_visitor(found.headers, mark=self._mark)
            told.extend(more)
            return await self._answer(request, found, told)

    async def websocket(self, request: web.BaseRequest) -> web.StreamResponse:
        """Connect a WebSocket with the app's, until either of them closes.

        Raises:
            NotReached: there is no way to the app now.
        """
        offered = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "")
        protocols = tuple(name.strip() for name in offered.split(",") if name.strip())
        begins = web.WebSocketResponse(protocols=protocols).can_prepare(request)
        if not begins.ok or request.body_exists:
            return _refusal(HTTPStatus.BAD_REQUEST)
        try:
            theirs = await self._client.ws_connect(
                self._url(request),
                headers=self._headers(request),
                protocols=protocols,
                max_msg_size=LONGEST_MESSAGE,
                timeout=ClientWSTimeout(ws_close=CLOSE_SECONDS),
                autoping=False,
                autoclose=False,
            )
        except NotReached:
            raise
        except WSServerHandshakeError as error:
            refused = error.status >= HTTPStatus.BAD_REQUEST
            return web.Response(status=error.status if refused else HTTPStatus.BAD_GATEWAY)
        except (ClientError, OSError) as error:
            raise NotReached(BROKE_OFF) from error
        async with theirs:
            chosen = (theirs.protocol,) if theirs.protocol else ()
            ours = web.WebSocketResponse(
                protocols=chosen,
                timeout=CLOSE_SECONDS,
                max_msg_size=LONGEST_MESSAGE,
                compress=False,
                autoping=False,
                autoclose=False,
            )
            await ours.prepare(request)
            await self._connect(ours, theirs)
            return ours

    def _url(self, request: web.BaseRequest) -> URL:
        """What was asked for, to the letter; the host is the tunnel's end, of any name."""
        # all of it as the path: a query that is empty is lost when it is taken apart
        return URL.build(scheme="http", host="app", path=request.raw_path, encoded=True)

    def _headers(self, request: web.BaseRequest) -> headers.Headers:
        return headers.to_app(
            request.headers, mark=self._mark, host=request.host, scheme=self._scheme
        )

    async def _answer(
        self, request: web.BaseRequest, found: ClientResponse, told: headers.Headers
    ) -> web.StreamResponse:
        """Hand an answer back, with these headers."""
        length = found.content_length
        empty = request.method == hdrs.METH_HEAD or found.status in {204, 304}
        if empty or (length is not None and length <= SMALL):
            try:
                body = b"" if empty else await found.read()
            except (ClientError, OSError) as error:
                raise NotReached(BROKE_OFF) from error
            self._count(0, len(body))
            return _Whole(found, told, body, empty=empty)
        answer = _AsSaid(status=found.status, reason=found.reason, headers=told)
        if length is None:
            answer.headers.popall(hdrs.CONTENT_LENGTH, None)
            if request.version >= (1, 1):
                answer.enable_chunked_encoding()
        try:
            await answer.prepare(request)
            async for chunk in found.content.iter_any():
                self._count(0, len(chunk))
                async with asyncio.timeout(STALL_SECONDS):
                    await answer.write(chunk)
            async with asyncio.timeout(STALL_SECONDS):
                await answer.write_eof()
        except (ClientError, OSError) as error:  # TimeoutError is such
            raise Broken(answer) from error
        return answer

    async def _connect(self, ours: web.WebSocketResponse, theirs: ClientWebSocketResponse) -> None:
        """Hand messages on in both directions until one side ends."""
        ways = (
            asyncio.create_task(self._hand_on(ours, theirs, to_app=True)),
            asyncio.create_task(self._hand_on(theirs, ours, to_app=False)),
        )
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait(ways, timeout=CLOSE_SECONDS)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            over = (ours.close(code=GOING_AWAY), theirs.close(code=GOING_AWAY))
            await asyncio.gather(*over, return_exceptions=True)

    async def _hand_on(self, source: Any, target: Any, *, to_app: bool) -> None:
        """Hand messages on until the source ends, and how it ended with them."""
        while True:
            message = await source.receive()
            kind, data = message.type, message.data
            if kind is WSMsgType.TEXT:
                size = len(data)
                await target.send_str(data)
            elif kind is WSMsgType.BINARY:
                size = len(data)
                await target.send_bytes(data)
            elif kind is WSMsgType.PING:
                size = 0
                await target.ping(data)
            elif kind is WSMsgType.PONG:
                size = 0
                await target.pong(data)
            elif kind is WSMsgType.CLOSE:
                code, words = data or 1000, (message.extra or "").encode()
                await target.close(code=code, message=words)
                await source.close(code=code, message=words)
                return
            elif kind is WSMsgType.CLOSING:  # by the other way, which says it to the source
                return
            else:  # closed without a word, or what cannot be read
                code = TOO_BIG if source.close_code == TOO_BIG else GOING_AWAY
                await target.close(code=code)
                return
            self._count(*((size, 0) if to_app else (0, size)))


class _Body:
    """What a visitor sends along.

    Args:
        request: theirs.
        count: is told what passes.
        asked: whether they wait until it is asked for.

    Attributes:
        refused: the status that says why it was not read to its end; else ``None``.
    """

    def __init__(self, request: web.BaseRequest, count: Count, *, asked: bool) -> None:
        self._request, self._count, self._asked = request, count, asked
        self.refused: HTTPStatus | None = None

    async def pieces(self) -> AsyncIterator[bytes]:
        """It, piece by piece; whoever stops sending is not waited for."""
        if self._asked and self._request.version >= (1, 1):
            await self._request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._request.writer.output_size = 0  # nothing of the answer
        while True:
            try:
                async with asyncio.timeout(STALL_SECONDS):
                    chunk = await self._request.content.readany()
            except TimeoutError:
                self.refused = HTTPStatus.REQUEST_TIMEOUT
                raise
            except Exception:  # aiohttp has many for what it cannot read
                self.refused = HTTPStatus.BAD_REQUEST
                raise
            if not chunk:
                return
            self._count(len(chunk), 0)
            yield chunk


class _AsSaid(web.StreamResponse):
    """An answer with the app's own headers, and none that aiohttp thinks of."""

    async def _prepare_headers(self) -> None:
        told = set(map(str.lower, self.headers))
        await super()._prepare_headers()
        for name in (hdrs.CONTENT_TYPE, hdrs.SERVER):
            if name.lower() not in told:
                self.headers.popall(name, None)


class _Whole(_AsSaid, web.Response):
    """An answer in one piece, with the app's own headers and no others."""

    def __init__(
        self, found: ClientResponse, told: headers.Headers, body: bytes, *, empty: bool
    ) -> None:
        kept = told.copy()
        length = kept.pop(hdrs.CONTENT_LENGTH, None)
        super().__init__(status=found.status, reason=found.reason, headers=kept, body=body)
        if empty:
            # of what a GET would have been sent
            self._headers.popall(hdrs.CONTENT_LENGTH, None)
            if length is not None:
                self._headers[hdrs.CONTENT_LENGTH] = length


def _refusal(status: HTTPStatus) -> web.Response:
    """What is said of a request that cannot be handed on; nothing after it is read."""
    answer = web.Response(status=status, text=f"{status.phrase}\n")
    answer.force_close()
    return answer
