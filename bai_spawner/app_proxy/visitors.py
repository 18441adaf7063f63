"""Who may pass a private app's door: those whom the hub lets into its session (R36).

Cookies know no ports, and the hub's never come here: apps have a host of their own. So a visitor
of a door goes the way of a login:

    door ─► the hub's host, with a nonce's digest ─► login, if need be ─► ticket ─► door ─► cookie

A ticket is good once, for some seconds, at one door, for the browser that holds the nonce: a link
that somebody else made enters nobody. The cookie is good at one door; all that it stands for is
here, in memory, and nothing is in it. A proxy that starts anew leads everybody that way again,
unseen.

Whether somebody still may, the hub says, asked with the visitor's own token: when they come, now
and then while they use it, and at once when the hub says that something changed (`look`). While
the hub is away, who was let in goes on for a while.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field

from bai_spawner.errors import BaiError

TICKET_SECONDS = 30.0
KNOWN_SECONDS = 30.0
"""How long the hub's answer about a visitor holds, where nobody says that it changed."""
AWAY_SECONDS = 600.0
"""How long who was let in goes on while the hub does not answer."""
IDLE_SECONDS = 12 * 3600.0
MOST_TICKETS = 10_000
MOST_VISITS = 100_000
TOKEN_BYTES = 32
ASKED_AT_ONCE = 20
EVERYWHERE = "access:servers"
"""The scope of whom the hub lets into every session."""


class HubAway(BaiError):
    """The hub does not answer."""


class NotAdmitted(BaiError):
    """This visitor may not pass. The message says why."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whom a token is of: their name and the scopes that it has."""

    name: str
    scopes: Collection[str] = field(default=(), repr=False)

    def may_enter(self, user: str, server: str) -> bool:
        """Whether they may use a session: owners, superadmins, and whom it was shared with.

        As JupyterHub's own servers judge it: by the scope ``access:servers``.
        """
        wanted = {
            EVERYWHERE,
            f"access:servers!user={user}",
            f"access:servers!server={user}/{server}",
        }
        return not wanted.isdisjoint(self.scopes)


Ask = Callable[[str], Awaitable[Visitor | None]]
"""Asks the hub whom a token is of; ``None``: of nobody. Raises `HubAway`."""


@dataclass(frozen=True, slots=True)
class Place:
    """A door, and the session behind it."""

    opening: str
    user: str
    server: str


@dataclass(frozen=True, slots=True)
class Ticket:
    """What lets a browser in, once."""

    place: Place
    token: str = field(repr=False)
    nonce: str = field(repr=False)
    until: float = 0.0


@dataclass(slots=True)
class Visit:
    """A browser that was let in, until it has ``ended``.

    ``under_way`` breaks off what it asked for and was not answered yet, WebSockets with it.
    """

    place: Place
    token: str = field(repr=False)
    name: str
    known: float
    used: float
    ended: bool = False
    under_way: set[Callable[[], None]] = field(default_factory=set)


class Visitors:
    """All doors' visitors.

    Args:
        ask: asks the hub.
        clock: seconds, of a clock that nobody sets.
    """

    def __init__(self, ask: Ask, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask, self._clock = ask, clock
        self._tickets: dict[str, Ticket] = {}
        self._visits: dict[str, Visit] = {}

    # ---- coming in

    async def ticket(self, place: Place, token: str, nonce: str) -> str:
        """A ticket for whom a token is of; ``nonce`` is its digest, which the browser began with.

        Raises:
            NotAdmitted: they may not use the session.
            HubAway: nobody can say.
        """
        visitor = await self._ask(token)
        if visitor is None or not visitor.may_enter(place.user, place.server):
            raise NotAdmitted("this session is not yours, and was not shared with you")
        now = self._clock()
        self._tickets = {key: it for key, it in self._tickets.items() if it.until > now}
        if len(self._tickets) >= MOST_TICKETS:
            raise NotAdmitted("too many are coming in at this moment; try again")
        made = secrets.token_urlsafe(TOKEN_BYTES)
        self._tickets[digest(made)] = Ticket(place, token, nonce, now + TICKET_SECONDS)
        return made

    async def enter(self, opening: str, ticket: str, nonces: Collection[str]) -> str:
        """Use a ticket up; the value of the cookie that lets this browser in from now on.

        ``nonces`` are those that the browser has: it may have begun in several windows.

        Raises:
            NotAdmitted: it is none, or another door's or browser's, or was used before.
            HubAway: nobody can say whether its visitor still may.
        """
        found = self._tickets.pop(digest(ticket), None)
        if (
            found is None
            or found.place.opening != opening
            or found.until <= self._clock()
            or not any(_same(found.nonce, digest(nonce)) for nonce in nonces)
        ):
            raise NotAdmitted("this way in was used, has expired, or is not this browser's")
        visitor = await self._ask(found.token)
        if visitor is None or not visitor.may_enter(found.place.user, found.place.server):
            raise NotAdmitted("this session is not yours, and was not shared with you")
        self._forget_old()
        now = self._clock()
        made = secrets.token_urlsafe(TOKEN_BYTES)
        self._visits[digest(made)] = Visit(found.place, found.token, visitor.name, now, now)
        return made

    async def visit(self, opening: str, cookie: str) -> Visit | None:
        """The visit that a cookie stands for, if it may go on; ``None``: it must come in anew.

        Raises:
            HubAway: nobody could say for long whether it may.
        """
        visit = self._visits.get(digest(cookie))
        if visit is None or visit.place.opening != opening:
            return None
        now = self._clock()
        if not visit.under_way and now - visit.used > IDLE_SECONDS:
            self._end([visit])
            return None
        if now - visit.known > KNOWN_SECONDS:
            await self._confirm([visit])
            if now - visit.known > AWAY_SECONDS:
                raise HubAway("the hub does not answer now; try again")
        visit.used = now
        return None if visit.ended else visit

    # ---- going on

    async def look(self) -> None:
        """Ask the hub about everybody now; who may not pass any more is ended."""
        await self._confirm(list(self._visits.values()))

    async def look_at_connected(self) -> None:
        """Ask about those whose WebSockets ask nothing any more, where it is time to."""
        due = self._clock() - KNOWN_SECONDS
        visits = self._visits.values()
        await self._confirm([it for it in visits if it.under_way and it.known < due])

    def close(self, opening: str) -> None:
        """End all visits and tickets of a door."""
        self._end([visit for visit in self._visits.values() if visit.place.opening == opening])
        kept = {key: it for key, it in self._tickets.items() if it.place.opening != opening}
        self._tickets = kept

    def __len__(self) -> int:
        return len(self._visits)

    async def _confirm(self, visits: list[Visit]) -> None:
        """Ask the hub once for each token; end whom it does not let in.

        For whom it did not answer for too long is broken off what is under way; their visit is
        not over.
        """
        tokens = {visit.token for visit in visits}
        turns = asyncio.Semaphore(ASKED_AT_ONCE)

        async def ask(token: str) -> tuple[str, Visitor | None] | None:
            async with turns:
                try:
                    return token, await self._ask(token)
                except HubAway:
                    return None

        answers = dict(filter(None, await asyncio.gather(*map(ask, tokens))))
        now = self._clock()
        over = []
        for visit in visits:
            if visit.token in answers:
                visit.known = now
                visitor = answers[visit.token]
                if not visitor or not visitor.may_enter(visit.place.user, visit.place.server):
                    over.append(visit)
            elif now - visit.known > AWAY_SECONDS:
                _break_off(visit)
        self._end(over)

    def _forget_old(self) -> None:
        """End those that nobody uses, and the oldest where there are too many."""
        oldest = self._clock() - IDLE_SECONDS
        unused = [it for it in self._visits.values() if it.used < oldest and not it.under_way]
        self._end(unused)
        if len(self._visits) >= MOST_VISITS:
            self._end([min(self._visits.values(), key=lambda visit: visit.used)])

    def _end(self, visits: list[Visit]) -> None:
        over = set(map(id, visits))
        for visit in visits:
            visit.ended = True
            _break_off(visit)
        self._visits = {key: it for key, it in self._visits.items() if id(it) not in over}


def _break_off(visit: Visit) -> None:
    for break_off in list(visit.under_way):
        break_off()


def digest(text: str) -> str:
    """What is kept of a secret, and told of a nonce."""
    # of what browsers send, whatever bytes that was
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(
        one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass")
    )
