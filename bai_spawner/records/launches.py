"""Launches that users keep: the last one of each, and those that they gave a name, templates.

A launch is kept as the form's fields, so that it fills the form again. What a user set as
variables is among them, in clear text; nothing here enters a message or a session's record.

Every write is one transaction. Whose a launch is, is part of every question: a user's
name never leads to another's.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, select

from bai_spawner.records.database import Database
from bai_spawner.records.tables import launches

MOST_TEMPLATES = 50
"""That one user may have."""
FIELDS_BYTES = 64 * 1024
"""Of one launch's fields, as they are kept."""
LAST = ""
"""The name under which the last launch is kept; no template has it."""

Fields = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class KeptLaunch:
    """A form as it was sent: a title to tell it from others, its fields, and when."""

    name: str
    title: str
    fields: Fields
    at: datetime


class Outcome(Enum):
    """What became of a request to keep or rename a template."""

    ADDED = auto()
    REPLACED = auto()
    RENAMED = auto()
    TAKEN = auto()
    """The name is another template's."""
    FULL = auto()
    """The user has as many as one may have."""
    UNKNOWN = auto()
    """There is no template of this name."""


def kept_size(fields: Fields) -> int:
    """The bytes that fields take where they are kept: at most `FIELDS_BYTES` may be."""
    return len(_packed(fields))


class Launches:
    """The launches that are kept in one database; `Records.launches` has it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def remember(self, hub: str, user: str, launch: KeptLaunch) -> None:
        """Keep the last launch of a user, in place of the one before, whatever its name says."""
        with self._changing(hub, user) as connection:
            _put(connection, hub, user, LAST, launch)

    def put(self, hub: str, user: str, launch: KeptLaunch, *, replace: bool) -> Outcome:
        """Keep a template; one of the same name gives way only if it may be replaced."""
        with self._changing(hub, user) as connection:
            names = _names(connection, hub, user)
            if launch.name in names:
                if not replace:
                    return Outcome.TAKEN
            elif len(names) >= MOST_TEMPLATES:
                return Outcome.FULL
            _put(connection, hub, user, launch.name, launch)
        return Outcome.REPLACED if launch.name in names else Outcome.ADDED

    def rename(self, hub: str, user: str, name: str, new: str) -> Outcome:
        """Give a template another name that is not taken; its own is not."""
        with self._changing(hub, user) as connection:
            names = _names(connection, hub, user)
            if name not in names:
                return Outcome.UNKNOWN
            if new != name and new in names:
                return Outcome.TAKEN
            connection.execute(launches.update().where(_is(hub, user, name)).values(name=new))
        return Outcome.RENAMED

    def delete(self, hub: str, user: str, name: str) -> bool:
        """Forget a template; whether there was one."""
        with self._database.writing() as connection:
            return bool(connection.execute(launches.delete().where(_is(hub, user, name))).rowcount)

    def forget(self, hub: str, user: str) -> None:
        """Forget everything of a user who is no more: the next one of this name is another."""
        with self._changing(hub, user) as connection:
            connection.execute(launches.delete().where(_of(hub, user)))

    def move(self, hub: str, user: str, new: str) -> None:
        """Let everything of a user who was renamed follow; the new name had nobody's."""
        with self._changing(hub, user) as connection:
            connection.execute(launches.delete().where(_of(hub, new)))
            connection.execute(launches.update().where(_of(hub, user)).values(user=new))

    def of(self, hub: str, user: str) -> tuple[KeptLaunch, ...]:
        """Everything of one user, by name: the last launch, if there is one, comes first."""
        asked = select(launches).where(_of(hub, user))
        with self._database.reading() as connection:
            found = [_launch(row) for row in connection.execute(asked)]
        return tuple(sorted(found, key=lambda kept: (kept.name.casefold(), kept.name)))

    @contextlib.contextmanager
    def _changing(self, hub: str, user: str) -> Iterator[Connection]:
        """A transaction in which nobody else changes what this user keeps.

        In SQLite there is one writer at a time anyway.
        """
        with self._database.writing() as connection:
            if self._database.is_postgresql:
                both = func.hashtext(hub), func.hashtext(user)
                connection.execute(select(func.pg_advisory_xact_lock(*both)))
            yield connection


def _of(hub: str, user: str) -> ColumnElement[bool]:
    return and_(launches.c.hub == hub, launches.c.user == user)


def _is(hub: str, user: str, name: str) -> ColumnElement[bool]:
    return and_(_of(hub, user), launches.c.name == name)


def _names(connection: Connection, hub: str, user: str) -> frozenset[str]:
    """Of the user's templates."""
    mine = select(launches.c.name).where(_of(hub, user), launches.c.name != LAST)
    return frozenset(connection.scalars(mine))


def _put(connection: Connection, hub: str, user: str, name: str, launch: KeptLaunch) -> None:
    values = {"title": launch.title, "fields": _packed(launch.fields), "at": launch.at}
    changed = launches.update().where(_is(hub, user, name)).values(values)
    if not connection.execute(changed).rowcount:
        whose = {"hub": hub, "user": user, "name": name}
        connection.execute(launches.insert().values(whose | values))


def _packed(fields: Fields) -> str:
    return json.dumps({name: list(values) for name, values in fields.items()})


def _launch(row: Row[Any]) -> KeptLaunch:
    return KeptLaunch(row.name, row.title, json.loads(row.fields), row.at)
