"""``api/own``: what a session tells and asks by itself, with its own token.

    POST api/own/activity  {"last": "…", "busy": true, "because": "…"}   {"time": {…} | null}
    POST api/own/extend    {"what": "idle" | "lifetime"}                 {"time": {…} | null}

What it asks of its apps is in `bai_spawner.service.own_apps`.

The token says which session it is, by the one server that it opens; whatever else is sent
says nothing of that, and a token that its owner's session could not have is none (S17, S27).
Cookies are not looked at: a token in a header is what no page of another site can send.

``last`` is when the session was last used, in ISO 8601 with its zone. A session's clock is
the host's, but what it says is its user's word: it never was used before it began, nor later
than now. ``time`` is as `bai_spawner.limits` says it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from jupyterhub.services.auth import HubOAuth
from tornado.web import HTTPError

from bai_spawner.errors import shown
from bai_spawner.limits import Time, Why
from bai_spawner.records import SessionRecord
from bai_spawner.service import body
from bai_spawner.service.aside import aside
from bai_spawner.service.away import or_away
from bai_spawner.service.board import Board
from bai_spawner.service.handlers import SERVER_ERROR, UNAVAILABLE, Answer
from bai_spawner.service.prolong import NotAllowed, prolong, time_of

SCOPE = "access:servers!server="
"""Of a session's token, in front of its user and server."""
LONGEST_BODY = 4096
LONGEST_REASON = 200
"""Characters."""
MOST, SECONDS = 60, 60.0
"""What one session may ask in so many seconds; it tells of its use every half a
minute, and more often near its end."""
FORGET = 1000
"""Sessions of which it is remembered when they asked, before those are forgotten that do not."""
Found = TypeVar("Found")


class Turns:
    """Who asked how often of late."""

    def __init__(self) -> None:
        self._asked: dict[str, deque[float]] = {}

    def take(self, who: str) -> bool:
        """Whether it is not too often; if so, it counts."""
        now = time.monotonic()
        if len(self._asked) > FORGET:
            late = {one: at for one, at in self._asked.items() if now - at[-1] < SECONDS}
            self._asked = late
        asked = self._asked.setdefault(who, deque(maxlen=MOST))
        if len(asked) == MOST and now - asked[0] < SECONDS:
            return False
        asked.append(now)
        return True


class Own(Answer):
    """What all addresses have: a session that is known by its token, and JSON."""

    def initialize(self, turns: Turns) -> None:
        """Take who asked how often, at any address that counts in the same."""
        self._turns = turns

    def check_xsrf_cookie(self) -> None:
        """There is no cookie to be misused."""

    async def prepare(self) -> None:
        """Find out which session asks.

        Raises:
            HTTPError: 403, this is no session's token; 429, it asks too often; 503, the hub
                does not answer.
        """
        self._key = await self._whose()
        if not self._turns.take("/".join(self._key)):
            raise HTTPError(429, "%s", f"at most {MOST} requests in {SECONDS:.0f} seconds")

    async def _whose(self) -> tuple[str, str]:
        """The user and the server that a token is of."""
        auth = HubOAuth.instance()
        sent = auth.auth_header_pat.fullmatch(self.request.headers.get("Authorization", ""))
        try:
            owner = await auth.user_for_token(sent[1], sync=False) if sent else None
        except HTTPError as error:
            if error.status_code < SERVER_ERROR:
                raise
            raise HTTPError(UNAVAILABLE, "the hub does not answer now; try again") from None
        scopes = owner.get("scopes", ()) if owner and owner.get("kind") == "user" else ()
        servers = [scope.removeprefix(SCOPE) for scope in scopes if scope.startswith(SCOPE)]
        user, slash, server = servers[0].rpartition("/") if len(servers) == 1 else ("", "", "")
        if not owner or not slash or user != owner["name"]:
            raise HTTPError(403, "only a session may ask, with its own token")
        return user, server

    def sent(self, *known: str) -> dict[str, Any]:
        """The object that was sent: these keys, all of them and no other."""
        if len(self.request.body) > LONGEST_BODY:
            raise HTTPError(413, "%s", f"body: at most {LONGEST_BODY} bytes")
        found = body.read(self.request.body, *known)
        for key in known:
            if key not in found:
                raise HTTPError(400, "%s", f"{key}: is missing")
        return found

    async def of_session(self, work: Callable[[Board, SessionRecord], Found]) -> Found:
        """What comes of it for the session that asks, off the loop.

        Raises:
            HTTPError: 404, it is over; 503, the records cannot be read now.
        """
        board: Board = self.settings["board"]

        def found() -> Found:
            record = board.records.live_of(board.hub, *self._key)
            if record is None:
                raise HTTPError(404, "there is no such session")
            return work(board, record)

        with or_away():
            return await aside(found)


class Timed(Own):
    """What is answered with how much time the session has."""

    async def answer(self, work: Callable[[Board, SessionRecord], Time | None]) -> None:
        """Do it, and tell."""
        try:
            found = await self.of_session(work)
        except NotAllowed as error:
            raise HTTPError(409, "%s", error) from error
        self.finish({"time": found.to_json() if found else None})


class Activity(Timed):
    """When the session was last used, and whether it works now."""

    async def post(self) -> None:
        """Note it."""
        sent = self.sent("last", "busy", "because")
        last, because = _moment(sent["last"]), _line(sent["because"])
        busy = sent["busy"]
        if not isinstance(busy, bool):
            raise HTTPError(400, "%s", f"busy: must be true or false, not {shown(busy)}")

        def note(board: Board, record: SessionRecord) -> Time | None:
            now = datetime.now(UTC)
            used = max(record.created, min(last, now))
            board.records.report(record.facts.id, at=now, last=used, busy=busy, because=because)
            return time_of(board, record, now)

        await self.answer(note)


class Extend(Timed):
    """More time, which a person asked for in the session."""

    async def post(self) -> None:
        """Give it, where the policy allows."""
        what = self.sent("what")["what"]
        if what not in tuple(Why):
            accepted = " or ".join(Why)
            raise HTTPError(400, "%s", f"what: must be {accepted}, not {shown(what)}")
        await self.answer(lambda board, it: prolong(board, it, Why(what), datetime.now(UTC)))


def routes(prefix: str) -> list[tuple[str, type[Own], dict[str, Turns]]]:
    """The addresses, below the service's own."""
    turns = {"turns": Turns()}
    return [
        (f"{prefix}api/own/activity", Activity, turns),
        (f"{prefix}api/own/extend", Extend, turns),
    ]


def _moment(sent: object) -> datetime:
    """A time with its zone, in UTC."""
    accepted = "last: must be a time in ISO 8601 with its zone, such as 2026-11-26T02:46:41+00:00"
    found = body.moment(sent)
    if found is None:
        raise HTTPError(400, "%s", f"{accepted}; not {shown(sent)}")
    return found


def _line(sent: object) -> str:
    """One bounded line of what people read."""
    if isinstance(sent, str) and len(sent) <= LONGEST_REASON and sent.isprintable():
        return sent
    told = f"because: must be one line of up to {LONGEST_REASON} printable characters"
    raise HTTPError(400, "%s", f"{told}, not {shown(sent)}")
