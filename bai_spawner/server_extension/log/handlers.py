"""``GET bai/api/log``: the last lines of the log as plain text, or followed.

``lines`` is 1 to 10,000, 1,000 unless said; ``follow`` is 0 or 1. No option names a file, and
an answer has at most 2 MiB of text. Followed, it is a stream of events (see `following`).
"""

import asyncio
from http import HTTPStatus

from jupyter_server.auth.decorator import authorized
from tornado import web
from tornado.iostream import StreamClosedError

from bai_spawner.server_extension.api import SessionHandler, Wrong
from bai_spawner.server_extension.log.following import (
    MOST_FOLLOWERS,
    Followers,
    TooMany,
    events,
)
from bai_spawner.server_extension.log.reading import NoLog, SessionLog

MOST_LINES = 10_000
LINES = 1_000


class LogHandler(SessionHandler):
    """The session's log."""

    _gone: asyncio.Event | None = None

    def initialize(self, log: SessionLog, followers: Followers) -> None:
        """Take the log, and who follows it."""
        self._kept, self._followers = log, followers

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer with the last lines, or follow."""
        options = self.options_of("lines", "follow")
        lines = _lines(options.get("lines", str(LINES)))
        follow = _flag(options.get("follow", "0"))
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")
        try:
            self._kept.look()
            if follow:
                await self._follow(lines)
                return
            _, text = self._kept.text(self._kept.last(lines))
        except NoLog as error:
            self.refuse(HTTPStatus.NOT_FOUND, f"this session has no log to read: {error}")
        except TooMany:
            words = f"{MOST_FOLLOWERS} pages follow this log already: close one of them"
            self.refuse(HTTPStatus.TOO_MANY_REQUESTS, words)
        shown = text.decode("utf-8", "replace")
        self.finish(shown, set_content_type="text/plain; charset=utf-8")

    async def _follow(self, lines: int) -> None:
        """Send what comes until the client, or the server, goes away."""
        mark = self.request.headers.get("Last-Event-ID", "")
        with self._followers.one_more() as self._gone:
            self.set_header("Content-Type", "text/event-stream")
            # a proxy that collects what it passes on would show nothing for a long time
            self.set_header("X-Accel-Buffering", "no")
            try:
                # the hub's proxy passes on no answer before its first byte
                self.write(": here\n\n")
                await self.flush()
                async for event in events(
                    self._kept, self._followers, self._gone, lines=lines, mark=mark
                ):
                    self.write(event)
                    await self.flush()
            except (NoLog, StreamClosedError):
                # the client asks again and is told why, or is not there to be told
                pass

    def on_connection_close(self) -> None:
        """End at once what nobody listens to."""
        super().on_connection_close()
        if self._gone:
            self._gone.set()


def _lines(text: str) -> int:
    number = (
        int(text)
        if text.isascii() and text.isdecimal() and len(text) <= len(str(MOST_LINES))
        else 0
    )
    if not 1 <= number <= MOST_LINES:
        raise Wrong("lines", text, f"send a whole number from 1 to {MOST_LINES}")
    return number


def _flag(text: str) -> bool:
    if text not in {"0", "1"}:
        raise Wrong("follow", text, "send 0 or 1")
    return text == "1"
