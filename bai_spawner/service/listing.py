"""What a visitor's list is made of: which sessions they may see, and all that is told of them.

Synchronous: it reads the records. A user sees their own sessions, a superadmin everyone's.
Asked for another's, a user is answered as if that one had none and never had (S17).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from bai_spawner.catalog import Catalog
from bai_spawner.reasons import Tab
from bai_spawner.records import Choices, Page, Query, SessionRecord
from bai_spawner.service.board import Board
from bai_spawner.service.feed import Viewer, version
from bai_spawner.service.links import Site
from bai_spawner.service.model import Scene, detail, instant, session, titled
from bai_spawner.service.question import PER_PAGE, Question
from bai_spawner.service.seen import scene

MOST_LIVE = 10_000
"""Sessions of one user that can live at a time."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The sessions that one visitor may see."""

    board: Board
    viewer: Viewer

    def page(self, asked: Question, site: Site) -> dict[str, Any]:
        """A page of them, with what the whole of the list needs."""
        records, hub, viewer = self.board.records, self.board.hub, self.viewer
        # first: what changes while the rest is read changes it again
        now_version = version(records, hub, viewer, self._live())
        query = self._seen(asked.query)
        known = self._scene(site, None if viewer.sees_all else viewer.user)
        found = Page((), 0)
        counts, choices = dict.fromkeys(Tab, 0), Choices((), (), ())
        if query is not None:
            found = records.page(hub, query, offset=asked.offset, limit=PER_PAGE)
            counts = records.counts(hub, query.user)
            choices = records.choices(hub, None if viewer.sees_all else viewer.user)
        return {
            "sessions": [session(record, known) for record in found.sessions],
            "total": found.total,
            "page": asked.page,
            "pages": max(1, -(-found.total // PER_PAGE)),
            "per_page": PER_PAGE,
            "counts": {str(tab): counts.get(tab, 0) for tab in Tab},
            "choices": self._choices(choices, known.catalog),
            "version": now_version,
            "now": instant(known.now),
            "age": known.seen.age(known.now),
        }

    def each(self, query: Query) -> Iterator[SessionRecord]:
        """All that are asked for, one after the other."""
        seen = self._seen(query)
        return iter(()) if seen is None else self.board.records.each(self.board.hub, seen)

    def one(self, session_id: str) -> SessionRecord | None:
        """One of them; ``None`` for another's as for none."""
        if "\0" in session_id:  # which no database takes
            return None
        found = self.board.records.get(session_id)
        if found is None or found.facts.hub != self.board.hub:
            return None
        mine = self.viewer.sees_all or found.facts.user == self.viewer.user
        return found if mine else None

    def detail(self, record: SessionRecord, site: Site) -> dict[str, Any]:
        """All that is known of one of them."""
        return detail(record, self._scene(site, record.facts.user))

    def _scene(self, site: Site, user: str | None) -> Scene:
        """What sessions are told with: a user's, or everyone's."""
        known = scene(self.board, site)
        if not self.viewer.sees_public:
            return known
        return replace(known, public=self.board.records.openings.public(self.board.hub, user))

    def _seen(self, query: Query) -> Query | None:
        """The same question about what the visitor may see; ``None``: there is nothing."""
        if self.viewer.sees_all:
            return query
        if query.user not in {None, self.viewer.user}:
            return None
        return replace(query, user=self.viewer.user)

    def _live(self) -> tuple[SessionRecord, ...]:
        """The visitor's own sessions that live; a superadmin's version does not ask."""
        if self.viewer.sees_all:
            return ()
        mine = Query(tab=Tab.RUNNING, user=self.viewer.user)
        return self.board.records.page(self.board.hub, mine, limit=MOST_LIVE).sessions

    def _choices(self, found: Choices, catalog: Catalog | None) -> dict[str, Any]:
        groups = catalog.resource_groups if catalog else {}
        environments = catalog.environments if catalog else {}
        return {
            "users": list(found.users) if self.viewer.sees_all else [],
            "groups": [titled(key, groups) for key in found.groups],
            "environments": [titled(key, environments) for key in found.environments],
        }
