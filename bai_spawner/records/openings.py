"""Apps of sessions that were opened on a port of the host: by whom, for whom, and until when.

Every write is one transaction. Of one app of one session, one opening is open at a time,
whoever asks at once, and none begins once its session has ended. An end is noted once. An
opening goes with the record of its session, open or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Any

from sqlalchemy import Row, Select, bindparam, false, func, select

from bai_spawner.reasons import Tab
from bai_spawner.records.database import Database, is_text
from bai_spawner.records.listing import MOST_ROWS
from bai_spawner.records.tables import openings, sessions

Use = tuple[datetime | None, int, int]
"""When an opening was used last, and the bytes in and out since it was opened."""


@dataclass(frozen=True, slots=True)
class Opening:
    """An app of a session, opened on a port of the host.

    Attributes:
        id: its own, random.
        session: whose app it is.
        app: the app's name.
        port: of the host.
        public: whether it is for everybody, and not for its user alone.
        allowed: the networks that may reach it, as text; empty: every one.
        password: the hash of the one that is asked for; empty: none is. It is in no ``repr``.
        wanted: the port that was asked for; ``None``: any.
        told: what the user was told of the port.
        opened_at: when it was opened.
        opened_by: who opened it.
        opened_from: the address that they did it from.
        expires: when it is closed by itself; ``None``: with its session.
        last_used: when it was used last; ``None``: it never was.
        bytes_in: what came in through it.
        bytes_out: what went out through it.
        closed_at: when it was closed; ``None``: it is open.
        closed_by: who closed it; empty while it is open.
        why: why it was closed; empty while it is open.
        user: whose session it is, as that is recorded, like all that follows.
        server: the server of the session.
        name: the name of the session.
        alive: whether the session has not ended.
    """

    id: str
    session: str
    app: str
    port: int
    public: bool
    opened_at: datetime
    opened_by: str
    opened_from: str
    expires: datetime | None = None
    allowed: tuple[str, ...] = ()
    password: str = field(default="", repr=False)
    wanted: int | None = None
    told: str = ""
    last_used: datetime | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    closed_at: datetime | None = None
    closed_by: str = ""
    why: str = ""
    user: str = ""
    server: str = ""
    name: str = ""
    alive: bool = True


class Begun(Enum):
    """What became of a request to enter an opening."""

    ADDED = auto()
    TAKEN = auto()
    """Another one of this app is open."""
    ENDED = auto()
    """The session has ended, or there never was one."""


_GIVEN = (
    *("id", "session", "app", "port", "public", "expires", "password", "wanted", "told"),
    *("opened_at", "opened_by", "opened_from"),
)
"""What is taken as it is from an opening that begins."""


class Openings:
    """The openings in one database; `Records.openings` has it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, opening: Opening) -> Begun:
        """Enter an opening that nobody used or closed yet, whatever it says of that.

        Its session's facts are not taken from it either. One that is open already under this
        ID stays as it is, so that this may be repeated.
        """
        values = {name: getattr(opening, name) for name in _GIVEN}
        values["allowed"] = list(opening.allowed)
        # nobody else ends the session meanwhile, or opens an app of it: they wait for its row;
        # in SQLite there is one writer at a time anyway
        session = select(sessions.c.tab).where(sessions.c.id == opening.session)
        session = session.with_for_update(key_share=True)
        same = openings.c.session == opening.session, openings.c.app == opening.app
        there = select(openings.c.id).where(*same, openings.c.closed_at.is_(None))
        with self._database.writing() as connection:
            if connection.scalar(session) != Tab.RUNNING:
                return Begun.ENDED
            if found := connection.scalar(there):
                return Begun.ADDED if found == opening.id else Begun.TAKEN
            connection.execute(openings.insert().values(values))
        return Begun.ADDED

    def end(self, opening: str, *, at: datetime, by: str, why: str) -> bool:
        """Note who closed it, and why; ``False``: it was closed already, or there is none.

        However many ask at once, one of them is told ``True``.
        """
        if not is_text(opening):
            return False
        mine = openings.c.id == opening, openings.c.closed_at.is_(None)
        closed = openings.update().where(*mine).values(closed_at=at, closed_by=by, why=why)
        with self._database.writing() as connection:
            return bool(connection.execute(closed).rowcount)

    def use(self, uses: Mapping[str, Use]) -> None:
        """Note how much each was used, in place of what was noted before.

        The last of it may come after the end. One that is not there is left out.
        """
        if not uses:
            return
        names = "last_used", "bytes_in", "bytes_out"
        # in one order: two who wrote in their own would each wait for the other
        rows = [
            {"opening": one, **dict(zip(names, uses[one], strict=True))} for one in sorted(uses)
        ]
        changed = openings.update().where(openings.c.id == bindparam("opening"))
        with self._database.writing() as connection:
            connection.execute(changed, rows)

    def open(self, hub: str, user: str | None = None) -> tuple[Opening, ...]:
        """Those that nobody closed, a user's or everyone's, the newest first.

        Among them are those whose session has ended, which are not ``alive``: somebody has
        to close them.
        """
        asked = _asked(hub, user).where(openings.c.closed_at.is_(None))
        return self._read(asked.order_by(openings.c.opened_at.desc(), openings.c.id.desc()))

    def ended(self, hub: str, user: str | None = None, *, limit: int = 100) -> tuple[Opening, ...]:
        """Those that were closed, a user's or everyone's, the one closed last first.

        No more than ``limit`` of them; of less than none, none.
        """
        asked = _asked(hub, user).where(openings.c.closed_at.is_not(None))
        asked = asked.order_by(openings.c.closed_at.desc(), openings.c.id.desc())
        return self._read(asked.limit(min(max(0, limit), MOST_ROWS)))

    def public(self, hub: str, user: str | None = None) -> dict[str, int]:
        """How many apps are open to the public of each session of a user's, or of everyone's.

        A session that has none, or has ended, is not among them.
        """
        wanted = (
            sessions.c.tab == Tab.RUNNING,
            openings.c.closed_at.is_(None),
            openings.c.public.is_(True),
        )
        asked = _of(select(openings.c.session, func.count()), hub, user).where(*wanted)
        with self._database.reading() as connection:
            return dict(map(tuple, connection.execute(asked.group_by(openings.c.session))))

    def of(self, hub: str, opening: str) -> Opening | None:
        """One of them, open or not; ``None``: this hub has none."""
        if not is_text(opening):
            return None
        found = self._read(_asked(hub, None).where(openings.c.id == opening))
        return found[0] if found else None

    def _read(self, asked: Select[Any]) -> tuple[Opening, ...]:
        with self._database.reading() as connection:
            return tuple(map(_opening, connection.execute(asked)))


def _asked(hub: str, user: str | None) -> Select[Any]:
    """Those of a hub, and of one of its users if one is given, each with its session's facts."""
    facts = sessions.c.user, sessions.c.server, sessions.c.name, sessions.c.tab
    return _of(select(openings, *facts), hub, user)


def _of(asked: Select[Any], hub: str, user: str | None) -> Select[Any]:
    """The same of a hub's openings, and of one of its users' if one is given."""
    asked = asked.join(sessions).where(sessions.c.hub == hub)
    if user is None:
        return asked
    return asked.where(sessions.c.user == user if is_text(user) else false())


def _opening(row: Row[Any]) -> Opening:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
    alive = values.pop("tab") == Tab.RUNNING
    allowed = tuple(values.pop("allowed"))
    return Opening(**values, allowed=allowed, alive=alive)
