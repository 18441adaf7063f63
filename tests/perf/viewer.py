"""One who looks at the list of sessions, for `live`: by the stream of events, or by asking again.

All bytes that come from the service count, headers too.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.service import PREFIX

EVERY = 2.0
"""Seconds between two questions of one who asks: as often as the service looks for a stream."""
LARGEST = 16 * 1024 * 1024
"""Bytes of one answer."""
NUMBER = re.compile(rb'"processes": (\d+)')
"""Where a publication's number stands: each session uses so many processes."""


@dataclass(slots=True)
class Viewer:
    """What came to one viewer: how much, and when each publication first did."""

    address: str
    token: str
    received: int = 0
    arrived: dict[int, float] = field(default_factory=dict)

    async def stream(self) -> None:
        """Follow the events."""
        reader, writer = await self._open()
        writer.write(self._question("api/events"))
        while True:
            # nothing but the end of an event or of a comment has two line feeds
            self._take(await reader.readuntil(b"\n\n"))

    async def poll(self, after: float) -> None:
        """Ask for the first page of what runs, again and again; the first time after a while."""
        await asyncio.sleep(after)
        reader, writer = await self._open()
        while True:
            began = time.monotonic()
            writer.write(self._question("api/sessions?tab=running"))
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"Content-Length: (\d+)", head)
            assert head.startswith(b"HTTP/1.1 200 "), head
            assert length, head
            self._take(head + await reader.readexactly(int(length[1])))
            await asyncio.sleep(max(0.0, EVERY - (time.monotonic() - began)))

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        url = urlsplit(self.address)
        return await asyncio.open_connection(url.hostname, url.port, limit=LARGEST)

    def _question(self, path: str) -> bytes:
        token = f"Authorization: token {self.token}"
        return f"GET {PREFIX}{path} HTTP/1.1\r\nHost: bench\r\n{token}\r\n\r\n".encode()

    def _take(self, part: bytes) -> None:
        assert not part.startswith(b"HTTP/1.1 4"), part
        self.received += len(part)
        if found := NUMBER.search(part):
            self.arrived.setdefault(int(found[1]), time.monotonic())
