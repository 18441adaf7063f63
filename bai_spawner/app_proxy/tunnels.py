"""The way into a session: connections of aiohttp's through the tunnel that its server offers.

A tunnel is an HTTP connection to the session's own port, asked for with the session's key, that
becomes the app's own from then on. See `bai_spawner.tunnel` for both ends' agreement.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from aiohttp import BaseConnector, ClientConnectionError, ClientTimeout
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest

from bai_spawner import tunnel

LONGEST_HEAD = 16 * 1024
"""Bytes of an answer's head and of the words after it."""
OPEN_SECONDS = 15.0
"""In which a session answers; an app that starts is not waited for."""
IDLE_SECONDS = 30.0
"""How long a tunnel is kept for the next request."""
SWITCHING = 101


class NotReached(ClientConnectionError):
    """There is no way to the app now.

    Args:
        message: why, in words for whoever is at the other end.
        status: of the session's answer; 0 when there was none.
        state: the app's, where the session told it.
    """

    def __init__(self, message: str, status: int = 0, state: str = "") -> None:
        super().__init__(message)
        self.status, self.state = status, state


@dataclass(frozen=True, slots=True)
class Target:
    """An app in a session: ``url`` of its server, ``http://172.20.0.3:8888/user/ada/one/``."""

    url: str
    app: str
    key: str


class TunnelConnector(BaseConnector):
    """Connects to one app; `BaseConnector` says how connections are kept and used again.

    Args:
        target: where to.
        limit: most connections at a time.
    """

    def __init__(self, target: Target, *, limit: int) -> None:
        super().__init__(limit=limit, keepalive_timeout=IDLE_SECONDS)
        self._target = target

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Any],
        timeout: ClientTimeout,  # noqa: ASYNC109 - as aiohttp hands it over
    ) -> ResponseHandler:
        """Connect, and ask for the tunnel; what is sent from then on the app reads."""
        del req, traces, timeout
        parts = urlsplit(self._target.url)
        opening = _Opening(self._loop)
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                transport, _ = await self._loop.create_connection(
                    lambda: opening, parts.hostname or "", parts.port or 80
                )
                try:
                    transport.write(_request(self._target, parts.path, parts.netloc))
                    await opening.answered
                except BaseException:
                    transport.abort()
                    raise
        except TimeoutError:
            raise NotReached("the session does not answer") from None
        except OSError as error:
            raise NotReached(f"the session does not answer ({error.strerror})") from error
        proto = ResponseHandler(self._loop)
        transport.set_protocol(proto)
        proto.connection_made(transport)
        transport.resume_reading()
        return proto


class _Opening(asyncio.Protocol):
    """Reads the session's answer; then, paused, hands the connection over."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.answered: asyncio.Future[None] = loop.create_future()
        self._got = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, end, rest = bytes(self._got).partition(b"\r\n\r\n")
        status = _status(head) if end else 0
        if status == SWITCHING and not rest:
            # the app says nothing before it is asked, so nothing of its is here
            if self._transport:
                self._transport.pause_reading()
            self._succeed()
        elif status == SWITCHING or len(self._got) > LONGEST_HEAD:
            self._fail(NotReached("the session gave an answer that cannot be understood"))

    def eof_received(self) -> None:
        self._judge()

    def connection_lost(self, _: Exception | None) -> None:
        self._judge()

    def _judge(self) -> None:
        """It said no, and closed: its words are all here."""
        head, _, rest = bytes(self._got).partition(b"\r\n\r\n")
        self._fail(_refused(_status(head), rest))

    def _succeed(self) -> None:
        if not self.answered.done():
            self.answered.set_result(None)

    def _fail(self, error: NotReached) -> None:
        if not self.answered.done():
            self.answered.set_exception(error)


def _request(target: Target, path: str, host: str) -> bytes:
    """What asks for a tunnel. A session that says no closes the connection after it."""
    lines = (
        f"GET {path}{tunnel.path(target.app)} HTTP/1.1",
        f"Host: {host}",
        "Connection: Upgrade, close",
        f"Upgrade: {tunnel.PROTOCOL}",
        f"{tunnel.HEADER}: {target.key}",
        "Accept: application/json",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _status(head: bytes) -> int:
    """Of an answer's first line; 0 when it has none."""
    parts = head.split(b"\r\n", 1)[0].split(b" ")
    valid = len(parts) > 1 and parts[0].startswith(b"HTTP/1.") and parts[1].isdigit()
    return int(parts[1]) if valid else 0


def _refused(status: int, body: bytes) -> NotReached:
    """What the session said, where it said anything that can be read."""
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    message = said.get("message") if isinstance(said, dict) else None
    state = said.get("state") if isinstance(said, dict) else None
    words = message if isinstance(message, str) else f"the session answers with status {status}"
    if not status:
        words = "the session does not answer"
    return NotReached(words, status, state if isinstance(state, str) else "")
