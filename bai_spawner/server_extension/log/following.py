"""Following the log: what is new, as server-sent events, to a bounded number of clients.

One event is a piece of the log: ``id`` is the place after it, ``data`` its text as a JSON
string. Pieces joined are the log: one mostly ends with a line, and never within a character.
An event called ``gap`` says, in words, that something is missing before the next piece. A
comment every so often shows that the connection lives.

A client that comes back with the ``Last-Event-ID`` of this server goes on where it was.

Source: the HTML standard, server-sent events.
"""

import asyncio
import codecs
import json
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from bai_spawner.server_extension.log.reading import SessionLog

MOST_FOLLOWERS = 20
PIECE = 1 << 16
"""Bytes of the log in an event."""
LOOK_SECONDS = 0.5
ALIVE_SECONDS = 15.0
_DIGITS = 19

FORGOTTEN = "Lines are missing here: more was written meanwhile than the log holds."
ANEW = "The session's server was started again; the log may repeat from here."


class TooMany(Exception):
    """The log has as many followers as it may."""


class Followers:
    """Who follows now. What they wait for ends when they leave, and when the server ends."""

    def __init__(self) -> None:
        self._gone: set[asyncio.Event] = set()
        self.name = secrets.token_hex(4)
        """Tells this server's places from those of one before."""

    @contextmanager
    def one_more(self) -> Iterator[asyncio.Event]:
        """Count one, for as long as it follows. The event says that it is to end.

        Raises:
            TooMany: it would be more than `MOST_FOLLOWERS`.
        """
        if len(self._gone) >= MOST_FOLLOWERS:
            raise TooMany
        gone = asyncio.Event()
        self._gone.add(gone)
        try:
            yield gone
        finally:
            self._gone.discard(gone)

    async def until_the_end(self) -> None:
        """Wait until cancelled, and send everybody away."""
        try:
            await asyncio.Event().wait()
        finally:
            for gone in self._gone:
                gone.set()

    def mark(self, place: int) -> str:
        """A place as clients hand it back."""
        return f"{self.name}-{place}"

    def place(self, mark: str) -> int | None:
        """The place that a client hands back; ``None`` when it is not of this server."""
        name, _, place = mark.partition("-")
        known = (
            name == self.name and place.isascii() and place.isdecimal() and len(place) <= _DIGITS
        )
        return int(place) if known else None


async def events(
    log: SessionLog, followers: Followers, gone: asyncio.Event, *, lines: int, mark: str = ""
) -> AsyncIterator[str]:
    """What to send until the client is gone: from its mark on, or the last lines and what follows.

    Raises:
        NoLog: the log cannot be read any more.
    """
    place = followers.place(mark)
    if mark and place is None:
        yield _event("gap", ANEW)
    place = log.last(lines) if place is None else place
    spoken = time.monotonic()
    while not gone.is_set():
        log.look()
        found, data = log.read(place, PIECE)
        if found > place:
            yield _event("gap", FORGOTTEN)
        text, used = _whole(data)
        place = found + used
        if text:
            yield _event("", text, followers.mark(place))
            spoken = time.monotonic()
        if time.monotonic() - spoken > ALIVE_SECONDS:
            yield ": still here\n\n"
            spoken = time.monotonic()
        if not text or found + len(data) >= log.end:
            # what there is of a line may be one by the next look
            await _either(gone)


def _event(kind: str, text: str, mark: str = "") -> str:
    fields = (("event", kind), ("id", mark), ("data", json.dumps(text, ensure_ascii=False)))
    return "".join(f"{name}: {value}\n" for name, value in fields if value) + "\n"


def _whole(data: bytes) -> tuple[str, int]:
    """The whole lines, or else the whole characters; and how many bytes they are."""
    data = data[: data.rfind(b"\n") + 1] or data
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(data)
    unfinished, _ = decoder.getstate()
    return text, len(data) - len(unfinished)


async def _either(gone: asyncio.Event) -> None:
    """Wait for the next look, or until the client is gone."""
    try:
        await asyncio.wait_for(gone.wait(), LOOK_SECONDS)
    except TimeoutError:
        return
