"""Opening and closing apps by the app proxy, whoever asks, and how that is told.

The proxy opens and closes, and has the last word. A session is opened in its own user's name
alone; who else may look or close is for those to say who ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, TypeVar

from tornado.web import HTTPError

from bai_spawner.app_proxy import guests
from bai_spawner.app_proxy.client import Client, ProxyAway, Told
from bai_spawner.app_proxy.site import Site
from bai_spawner.catalog import AppRules
from bai_spawner.records import Opening, SessionRecord
from bai_spawner.service.aside import aside
from bai_spawner.service.asked import Wanted
from bai_spawner.service.away import or_away
from bai_spawner.service.board import Board
from bai_spawner.service.handlers import UNAVAILABLE

MOST_CLOSED = 100
"""Of the list of what was open."""
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class By:
    """Who asks, and from where; both are kept."""

    name: str
    whence: str = ""


class Opener:
    """What opens and closes.

    Args:
        board: the records, and what the hub published.
        proxy: the app proxy; ``None``: there is none here, and nothing can be opened.
        site: where apps are.
    """

    def __init__(self, board: Board, proxy: Client | None, site: Site) -> None:
        self._board, self._proxy, self._site = board, proxy, site

    @property
    def is_there(self) -> bool:
        """Whether apps can be opened here."""
        return self._proxy is not None

    def needed(self) -> Client:
        """The app proxy, without which nothing can be opened or closed.

        Raises:
            HTTPError: 404, there is none here.
        """
        if self._proxy is None:
            raise HTTPError(404, "apps cannot be opened here: the administrator set no apps_url")
        return self._proxy

    async def offered(self, record: SessionRecord, *, own: bool) -> dict[str, Any]:
        """How a session's apps may be opened, and which are; ``own``: by who asks."""
        rules = AppRules(preferred_port=False)
        openings: tuple[Opening, ...] = ()
        if self.is_there:
            catalog = await _look(self._board.catalogue)
            found = self._board.records.openings.open
            rules = catalog.app_rules(record.facts.policy)
            openings = await _look(found, self._board.hub, record.facts.user)
        return {
            "offered": self.is_there and own,
            "public": rules.public,
            "preferred_port": rules.preferred_port,
            "open": [self.told(it) for it in openings if it.session == record.facts.id],
        }

    async def open(self, record: SessionRecord, app: str, wanted: Wanted, by: By) -> dict[str, Any]:
        """Open an app of a session.

        Raises:
            HTTPError: 404, no proxy; 409, it is refused; 503, it cannot be opened now.
        """
        proxy, password = self.needed(), wanted.password
        asked = {
            "session": record.facts.id,
            "app": app,
            "by": by.name,
            "whence": by.whence,
            "public": wanted.public,
            "wanted": wanted.port,
            "expires": _time(wanted.expires),
            "allowed": list(wanted.allowed),
            "password": await asyncio.to_thread(guests.kept, password) if password else "",
        }
        told = await _ask(proxy, "POST", "/openings", asked)
        if told.status == HTTPStatus.CONFLICT:
            raise HTTPError(409, "%s", f"{told.model['field']}: {told.message}")
        made = await self.of(told.model["id"])
        if made is None:
            raise HTTPError(409, "session: it is over")
        return self.told(made)

    async def of(self, opening: str) -> Opening | None:
        """One by its identity, open or closed."""
        return await _look(self._board.records.openings.of, self._board.hub, opening)

    async def close(self, opening: Opening, by: By, why: str) -> None:
        """Close it.

        Raises:
            HTTPError: 404, no proxy; 503, it cannot be closed now.
        """
        asked = {"by": by.name, "why": why}
        await _ask(self.needed(), "DELETE", f"/openings/{opening.id}", asked)

    async def ticket(self, asked: Mapping[str, str]) -> Told:
        """Have a visitor let in to a private app, or hear why not.

        Raises:
            HTTPError: 404, no proxy; 503, it does not answer.
        """
        return await _ask(self.needed(), "POST", "/tickets", asked)

    async def all(self, user: str | None) -> dict[str, Any]:
        """What is open, and what was, the newest first; of one user or, ``None``, of everyone."""
        openings, hub = self._board.records.openings, self._board.hub
        found = await _look(openings.open, hub, user)
        ended = await _look(lambda: openings.ended(hub, user, limit=MOST_CLOSED))
        return {"open": [self.told(it) for it in found], "closed": [self.told(it) for it in ended]}

    def told(self, opening: Opening) -> dict[str, Any]:
        """An opening as it is told; of a password only that there is one."""
        return {
            "id": opening.id,
            "session": opening.session,
            "name": opening.name,
            "user": opening.user,
            "app": opening.app,
            "url": f"{self._site.origin(opening.port)}/",
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


async def _look(question: Callable[..., Found], *args: Any) -> Found:
    """Have the records asked off the loop.

    Raises:
        HTTPError: 503, they cannot be read now.
    """
    with or_away():
        return await aside(question, *args)


async def _ask(proxy: Client, method: str, path: str, sent: Mapping[str, Any]) -> Told:
    """Ask the proxy.

    Raises:
        HTTPError: 503, it does not answer, or cannot now.
    """
    try:
        told = await proxy.ask(method, path, dict(sent))
    except ProxyAway as error:
        raise HTTPError(UNAVAILABLE, "%s", error) from error
    if told.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise HTTPError(UNAVAILABLE, "%s", told.message or "apps cannot be opened now; try again")
    return told


def _time(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
