"""How a `Query` is put to a database: the conditions, the order, and what comes after what.

Both databases give the same sessions in the same order. Whose sessions are asked for is a
condition like every other, so a question for one user never leads to another's.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    Row,
    Select,
    and_,
    case,
    cast,
    collate,
    extract,
    false,
    func,
    literal,
    or_,
    select,
    tuple_,
)

from bai_spawner.reasons import Status
from bai_spawner.records.database import is_text
from bai_spawner.records.query import Query, Sort
from bai_spawner.records.tables import Instant, sessions

DAY = 24 * 60 * 60 * 1000
"""In milliseconds."""
LONGEST = 255
"""Characters of a text that is searched."""

_TEXTS = (
    *(sessions.c.name, sessions.c.environment, sessions.c.version),
    *(sessions.c.group, sessions.c.user, sessions.c.server),
)
_WORDS = {
    Sort.NAME: sessions.c.name,
    Sort.USER: sessions.c.user,
    Sort.ENVIRONMENT: sessions.c.environment,
    Sort.GROUP: sessions.c.group,
}
_PLAIN = {
    Sort.STARTED: sessions.c.started_at,
    Sort.ENDED: sessions.c.ended_at,
    Sort.CPU: sessions.c.cpu,
    Sort.MEMORY: sessions.c.memory,
}


class Asked:
    """A query as statements that one of the databases understands.

    Args:
        hub: whose sessions.
        query: which of them.
        is_postgresql: which database.

    ``conditions`` hold of every session that is meant, and of no other.
    """

    def __init__(self, hub: str, query: Query, *, is_postgresql: bool) -> None:
        self.conditions = _conditions(hub, query, is_postgresql=is_postgresql)
        self._descending = query.descending
        self._key = _key(query.sort, datetime.now(UTC), is_postgresql=is_postgresql)
        self._is_newest_first = query.descending or self._key is not None

    def count(self) -> Select[Any]:
        """How many there are."""
        return select(func.count()).select_from(sessions).where(*self.conditions)

    def places(self, last: Row[Any] | None = None) -> Select[Any]:
        """Which come after one, in their order; without one: all.

        No more of each than that is read while they are put in order: that takes a third of
        the time, and where the order is that of their age an index has all of it.
        """
        order = sessions.c.created_at, sessions.c.id
        asked = select(*order).where(*self.conditions)
        if self._key is not None:
            key = self._key
            asked = asked.add_columns(key.label("sorted_by"))
            asked = asked.order_by((key.desc() if self._descending else key.asc()).nulls_last())
        asked = asked.order_by(*(c.desc() if self._is_newest_first else c.asc() for c in order))
        return asked if last is None else asked.where(self._is_after(last))

    def _is_after(self, last: Row[Any]) -> ColumnElement[bool]:
        """What holds of those that come after one."""
        there = tuple_(sessions.c.created_at, sessions.c.id)
        here = tuple_(literal(last.created_at, Instant), literal(last.id))
        behind = there < here if self._is_newest_first else there > here
        key = self._key
        if key is None:
            return behind
        value = last.sorted_by
        if value is None:
            return and_(key.is_(None), behind)
        further = key < value if self._descending else key > value
        return or_(further, key.is_(None), and_(key == value, behind))


def _conditions(hub: str, query: Query, *, is_postgresql: bool) -> Sequence[ColumnElement[bool]]:
    """What holds of the sessions that are meant."""
    exact = {
        sessions.c.user: query.user,
        sessions.c.tab: query.tab,
        sessions.c.status: query.status,
        sessions.c.group: query.group,
        sessions.c.environment: query.environment,
    }
    asked = {column: value for column, value in exact.items() if value is not None}
    if not all(map(is_text, [*asked.values(), query.text])):
        return [false()]  # what no database takes is in none
    found = [sessions.c.hub == hub, *(column == value for column, value in asked.items())]
    if query.text:
        found.append(_has(query.text, is_postgresql=is_postgresql))
    return found


def _has(text: str, *, is_postgresql: bool) -> ColumnElement[bool]:
    """Whether it is in one of the texts, in any case of ASCII letters."""
    if len(text) > LONGEST:
        return false()  # SQLite would not even look for one that is very long
    lowered = text.encode().lower().decode()  # of bytes, only ASCII letters have a case
    if not is_postgresql:  # whose LIKE has no regard to it, and takes half the time of a lower()
        return or_(*(column.contains(lowered, autoescape=True) for column in _TEXTS))
    return or_(
        *(_word(column, is_postgresql=True).contains(lowered, autoescape=True) for column in _TEXTS)
    )


def _word(column: ColumnElement[str], *, is_postgresql: bool) -> ColumnElement[str]:
    """ASCII letters in lower case, in the order of their numbers.

    How the language of a database sorts is nobody's choice here.
    """
    return func.lower(collate(column, "C") if is_postgresql else column)


def _key(sort: Sort, now: datetime, *, is_postgresql: bool) -> ColumnElement[Any] | None:
    """What is compared; ``None``: the time of creation and the ID, which order all the rest."""
    if sort is Sort.CREATED:
        return None
    if sort in _WORDS:
        return _word(_WORDS[sort], is_postgresql=is_postgresql)
    if sort is Sort.STATUS:
        return case({status.value: status.rank for status in Status}, value=sessions.c.status)
    if sort is Sort.GPU:
        whole = func.nullif(sessions.c.per_gpu, 0)
        return func.coalesce(cast(sessions.c.quanta, Float) / whole, 0.0)
    if sort is Sort.ELAPSED:
        return _elapsed(now, is_postgresql=is_postgresql)
    return _PLAIN[sort]


def _elapsed(now: datetime, *, is_postgresql: bool) -> ColumnElement[Any]:
    """In milliseconds, which is as exactly as SQLite reckons; what is as long is then alike."""
    ended = func.coalesce(sessions.c.ended_at, literal(now, Instant))
    if is_postgresql:
        began, over = (
            func.round(extract("epoch", at) * 1000) for at in (sessions.c.started_at, ended)
        )
    else:
        began, over = (
            func.round(func.julianday(at) * DAY) for at in (sessions.c.started_at, ended)
        )
    return cast(over - began, BigInteger)
