"""Apps that are opened on ports of the host: which, how, and closed again.

    GET    api/sessions/ID/apps        how its apps may be opened, and which are
    POST   api/sessions/ID/apps/NAME   {"public", "port", "expires", "allowed", "password"}
                                       201: it is open; keys may be left out
    GET    api/openings                what is open, and what was; of a superadmin everyone's
    DELETE api/openings/ID             204: it is closed, and what went through it is cut

The app proxy opens and closes, and has the last word; what was sent is checked here. A session
is opened by its own user alone: a superadmin sees and closes what is open.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from tornado.web import HTTPError

from bai_spawner.app_proxy import guests
from bai_spawner.app_proxy.client import Client, ProxyAway, Told
from bai_spawner.app_proxy.site import Site
from bai_spawner.catalog import AppRules
from bai_spawner.errors import shown
from bai_spawner.ports import FIRST, LAST
from bai_spawner.records import Opening
from bai_spawner.service import body
from bai_spawner.service.asking import Asking
from bai_spawner.service.handlers import UNAVAILABLE
from bai_spawner.service.sessions import OneSession

KEYS = ("public", "port", "expires", "allowed", "password")
LONGEST_TIME = 40
FARTHEST = timedelta(days=366)
MOST_CLOSED = 100
"""Of the list of what was open."""


class WithProxy(Asking):
    """What all addresses have: the proxy."""

    @property
    def proxy(self) -> Client:
        """The app proxy.

        Raises:
            HTTPError: 404, there is none here.
        """
        found: Client | None = self.settings["app_proxy"]
        if found is None:
            raise HTTPError(404, "apps cannot be opened here: the administrator set no apps_url")
        return found

    def told(self, opening: Opening) -> dict[str, Any]:
        """An opening as it is told; of a password only that there is one."""
        site: Site = self.settings["app_site"]
        return {
            "id": opening.id,
            "session": opening.session,
            "name": opening.name,
            "user": opening.user,
            "app": opening.app,
            "url": f"{site.origin(opening.port)}/",
            "port": opening.port,
            "told": opening.told,
            "public": opening.public,
            "expires": _time(opening.expires),
            "allowed": list(opening.allowed),
            "password": bool(opening.password),
            "opened": _time(opening.opened_at),
            "opened_by": opening.opened_by,
            "opened_from": opening.opened_from,
            "last_used": _time(opening.last_used),
            "bytes_in": opening.bytes_in,
            "bytes_out": opening.bytes_out,
            "closed": _time(opening.closed_at),
            "closed_by": opening.closed_by,
            "why": opening.why,
        }


class SessionApps(OneSession, WithProxy):
    """How a session's apps may be opened."""

    async def get(self, session_id: str) -> None:
        """Answer with it."""
        record = await self.session(session_id)
        self.no_query()
        rules = AppRules(preferred_port=False)
        openings: tuple[Opening, ...] = ()
        if self.settings["app_proxy"] is not None:
            catalog = await self.look(self.board.catalogue)
            rules = catalog.app_rules(record.facts.policy)
            openings = await self.look(self.board.records.openings.open, self.board.hub)
        self.set_header("Cache-Control", "no-store")
        self.finish(
            {
                "offered": self.settings["app_proxy"] is not None
                and record.facts.user == self.user,
                "public": rules.public,
                "preferred_port": rules.preferred_port,
                "open": [self.told(it) for it in openings if it.session == session_id],
            }
        )


class OpenApp(OneSession, WithProxy):
    """One of its apps."""

    async def post(self, session_id: str, app: str) -> None:
        """Open it."""
        record = await self.session(session_id)
        self.no_query()
        proxy = self.proxy
        if record.facts.user != self.user:
            raise HTTPError(403, "a session's apps are opened by its own user alone")
        sent = body.read(self.request.body or b"{}", *KEYS)
        public = _flag("public", sent.get("public", False))
        for key in ("expires", "allowed", "password"):
            if sent.get(key) and not public:
                raise HTTPError(400, "%s", f"{key}: goes with public apps alone")
        password = _password(sent.get("password"))
        asked = {
            "session": session_id,
            "app": app,
            "by": self.user,
            "whence": self.request.remote_ip or "",
            "public": public,
            "wanted": _port(sent.get("port")),
            "expires": _time(_expires(sent.get("expires"))),
            "allowed": _allowed(sent.get("allowed", [])),
            "password": await asyncio.to_thread(guests.kept, password) if password else "",
        }
        told = await ask(proxy, "POST", "/openings", asked)
        if told.status == HTTPStatus.CONFLICT:
            raise HTTPError(409, "%s", f"{told.model['field']}: {told.message}")
        made = await self.look(self.board.records.openings.of, self.board.hub, told.model["id"])
        if made is None:
            raise HTTPError(409, "session: it is over")
        self.set_status(201)
        self.finish(self.told(made))


class Openings(WithProxy):
    """All that is open, and what was."""

    async def get(self) -> None:
        """Answer with both, the newest first."""
        self.no_query()
        user = None if self.sees_all else self.user
        records, hub = self.board.records, self.board.hub
        found = await self.look(records.openings.open, hub, user)
        ended = await self.look(lambda: records.openings.ended(hub, user, limit=MOST_CLOSED))
        self.set_header("Cache-Control", "no-store")
        self.finish(
            {"open": [self.told(it) for it in found], "closed": [self.told(it) for it in ended]}
        )


class OneOpening(WithProxy):
    """One of them."""

    async def delete(self, opening: str) -> None:
        """Close it."""
        self.no_query()
        proxy = self.proxy
        found = await self.look(self.board.records.openings.of, self.board.hub, opening)
        if found is None or not (self.sees_all or found.user == self.user):
            raise HTTPError(404, "there is no such opening")
        why = "closed by its user" if found.user == self.user else "closed by an administrator"
        await ask(proxy, "DELETE", f"/openings/{opening}", {"by": self.user, "why": why})
        self.set_status(204)
        self.finish()


async def ask(proxy: Client, method: str, path: str, sent: dict[str, Any]) -> Told:
    """Ask the proxy.

    Raises:
        HTTPError: 503, it does not answer, or cannot now.
    """
    try:
        told = await proxy.ask(method, path, sent)
    except ProxyAway as error:
        raise HTTPError(UNAVAILABLE, "%s", error) from error
    if told.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise HTTPError(UNAVAILABLE, "%s", told.message or "apps cannot be opened now; try again")
    return told


def _flag(key: str, sent: object) -> bool:
    if isinstance(sent, bool):
        return sent
    raise HTTPError(400, "%s", f"{key}: must be true or false, not {shown(sent)}")


def _port(sent: object) -> int | None:
    if sent is None or (type(sent) is int and FIRST <= sent <= LAST):
        return sent
    accepted = f"must be a whole number from {FIRST} to {LAST}, or null for any"
    raise HTTPError(400, "%s", f"port: {accepted}, not {shown(sent)}")


def _expires(sent: object) -> datetime | None:
    """When it is closed by itself, in UTC."""
    if sent is None:
        return None
    accepted = "expires: must be a time in ISO 8601 with its zone, within a year from now"
    if isinstance(sent, str) and len(sent) <= LONGEST_TIME:
        try:
            found = datetime.fromisoformat(sent)
            now = datetime.now(UTC)
            if found.tzinfo is not None and now < found < now + FARTHEST:
                return found.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise HTTPError(400, "%s", f"{accepted}; not {shown(sent)}")


def _allowed(sent: object) -> list[str]:
    """Networks, as `bai_spawner.app_proxy.guests` reads them."""
    if not isinstance(sent, list) or not all(isinstance(one, str) for one in sent):
        raise HTTPError(400, "allowed: must be a list of addresses and networks, as texts")
    try:
        return [str(network) for network in guests.networks(sent)]
    except ValueError as error:
        raise HTTPError(400, "%s", f"allowed: {error}") from None


def _password(sent: object) -> str:
    if sent is None or sent == "":
        return ""
    shortest, longest = guests.SHORTEST_PASSWORD, guests.LONGEST_PASSWORD
    if isinstance(sent, str) and shortest <= len(sent) <= longest and sent.isprintable():
        return sent
    told = f"password: must be {shortest} to {longest} printable characters, or nothing for none"
    raise HTTPError(400, "%s", told)


def _time(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
