"""Shows the sessions that were: pages of them, all of them, how many, and whose there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select

from bai_spawner.reasons import Tab
from bai_spawner.records.asked import Asked
from bai_spawner.records.database import Database, is_text
from bai_spawner.records.facts import Page, SessionRecord
from bai_spawner.records.query import ALL, Choices, Query
from bai_spawner.records.rows import record
from bai_spawner.records.tables import sessions

MOST_ROWS = 2**31 - 1
"""More than any database has here, and no number too large for one."""
PLACES = 10_000
"""Whose order is found out at a time: another order than that of their age takes a while."""
BATCH = 500
"""Sessions that one statement reads, and that are in memory at a time where all are read."""
MOST_CHOICES = 1000
"""Of each kind: a list to choose from that is longer helps nobody."""


class Listing:
    """The sessions in one database, as pages show them; `Records` is one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, hub: str, query: Query = ALL, *, offset: int = 0, limit: int = 50) -> Page:
        """Some of the sessions that are meant, in their order, and how many there are in all.

        Args:
            hub: whose.
            query: which.
            offset: how many to pass over. Behind the last there is none; less than none is
                none passed over.
            limit: how many at most.
        """
        asked = self._asked(hub, query)
        offset, limit = (min(max(0, number), MOST_ROWS) for number in (offset, limit))
        with self._database.reading() as connection:
            places = connection.execute(asked.places().offset(offset).limit(limit)).all()
            if len(places) < limit and (places or not offset):
                total = offset + len(places)  # the end was seen: nothing needs counting
            else:
                total = connection.scalars(asked.count()).one()
            return Page(tuple(map(record, _in_places(connection, places))), total)

    def each(self, hub: str, query: Query = ALL) -> Iterator[SessionRecord]:
        """Every session that is meant, in its order, however many there are.

        They are read some at a time, in transactions that are over before they are handed out.
        What does not change meanwhile is there once; a session may be left out, or be there
        twice, when what it is sorted by changes.
        """
        asked = self._asked(hub, query)
        last: Row[Any] | None = None
        while True:
            with self._database.reading() as connection:
                places = connection.execute(asked.places(last).limit(PLACES)).all()
            for start in range(0, len(places), BATCH):
                with self._database.reading() as connection:
                    some = tuple(_in_places(connection, places[start : start + BATCH]))
                yield from map(record, some)
            if len(places) < PLACES:
                return
            last = places[-1]

    def counts(self, hub: str, user: str | None = None) -> dict[Tab, int]:
        """How many sessions each tab has: a user's, or everyone's."""
        wanted = self._asked(hub, Query(user=user)).conditions
        asked = select(sessions.c.tab, func.count()).where(*wanted).group_by(sessions.c.tab)
        with self._database.reading() as connection:
            found = dict(map(tuple, connection.execute(asked)))
        return {tab: found.get(tab, 0) for tab in Tab}

    def choices(self, hub: str, user: str | None = None) -> Choices:
        """What there is to filter a user's sessions by, or everyone's."""
        wanted = self._asked(hub, Query(user=user)).conditions
        users = select(sessions.c.user).where(*wanted).distinct()
        # in one pass over all of them
        pairs = select(sessions.c.group, sessions.c.environment).where(*wanted).distinct()
        with self._database.reading() as connection:
            mine = connection.scalars(users.order_by(sessions.c.user).limit(MOST_CHOICES)).all()
            both = connection.execute(pairs).all()
        groups, environments = ({pair[place] for pair in both} for place in (0, 1))
        return Choices(_sorted(mine), _sorted(groups), _sorted(environments))

    def running(self, hub: str) -> tuple[SessionRecord, ...]:
        """Every session that has not ended, the newest first."""
        return tuple(self.each(hub, Query(tab=Tab.RUNNING)))

    def live_of(self, hub: str, user: str, server: str) -> SessionRecord | None:
        """The session of a server that has not ended; the newest, should there be several."""
        if not is_text(server):
            return None
        wanted = self._asked(hub, Query(user=user, tab=Tab.RUNNING)).conditions
        asked = select(sessions).where(*wanted, sessions.c.server == server)
        asked = asked.order_by(sessions.c.created_at.desc(), sessions.c.id.desc()).limit(1)
        with self._database.reading() as connection:
            row = connection.execute(asked).first()
        return record(row) if row else None

    def _asked(self, hub: str, query: Query) -> Asked:
        return Asked(hub, query, is_postgresql=self._database.is_postgresql)


def _in_places(connection: Connection, places: Sequence[Row[Any]]) -> Iterator[Row[Any]]:
    """The sessions themselves, in this order; one that has gone by now is left out."""
    for start in range(0, len(places), BATCH):
        ids = [place.id for place in places[start : start + BATCH]]
        rows = connection.execute(select(sessions).where(sessions.c.id.in_(ids)))
        found = {row.id: row for row in rows}
        yield from (found[one] for one in ids if one in found)


def _sorted(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(values, key=lambda one: (one.casefold(), one)))[:MOST_CHOICES]
