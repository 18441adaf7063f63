"""What sessions say of their use, and how their users prolonged them (R53).

Beside a session's record and not in it: a report is no change that a page must show, and
comes every minute. Only a session that has not ended is watched; what is said of any other
is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import literal, select

from bai_spawner.reasons import Tab
from bai_spawner.records.database import Database
from bai_spawner.records.tables import sessions, watches


@dataclass(frozen=True, slots=True)
class Watch:
    """What a session last said of its use, and how its user prolonged it.

    Attributes:
        session: whose.
        reported: when it said so; ``None`` when it never did.
        last: when it was used last, as it said; ``None`` when it never was.
        busy: whether something ran in it.
        because: what, in words.
        kept: when a person last asked to keep it.
        extensions: how often its lifetime was extended.
    """

    session: str
    reported: datetime | None = None
    last: datetime | None = None
    busy: bool = False
    because: str = ""
    kept: datetime | None = None
    extensions: int = 0


class Watches:
    """The watches of the sessions in one database; `Records` is one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def report(
        self, session: str, *, at: datetime, last: datetime | None, busy: bool, because: str
    ) -> None:
        """Note what a session says of its use, in place of what it said before."""
        said = Watch(session, at, last, busy, because)
        self._change(said, {"reported": at, "last": last, "busy": busy, "because": because})

    def keep(self, session: str, *, at: datetime) -> None:
        """Note that a person wants it to go on, which counts as use."""
        self._change(Watch(session, kept=at), {"kept": at})

    def extend(self, session: str, *, most: int) -> bool:
        """Count one more extension of its lifetime; ``False``: it had ``most`` already.

        However many ask at once, no more than ``most`` of them are told ``True``.
        """
        more = watches.c.extensions + 1
        return most > 0 and self._change(
            Watch(session, extensions=1), {"extensions": more}, watches.c.extensions < most
        )

    def watches(self, hub: str) -> dict[str, Watch]:
        """Of the sessions that have not ended, by session; only those that have one."""
        asked = select(watches).join(sessions)
        asked = asked.where(sessions.c.hub == hub, sessions.c.tab == Tab.RUNNING)
        with self._database.reading() as connection:
            return {row.session: Watch(**row._mapping) for row in connection.execute(asked)}  # noqa: SLF001

    def watch(self, session: str) -> Watch | None:
        """That of one session that has not ended; ``None``: there is none."""
        asked = select(watches).join(sessions)
        asked = asked.where(watches.c.session == session, sessions.c.tab == Tab.RUNNING)
        with self._database.reading() as connection:
            row = connection.execute(asked).first()
        return Watch(**row._mapping) if row else None  # noqa: SLF001

    def _change(self, new: Watch, changed: dict[str, Any], only: Any = None) -> bool:
        """Make a watch, or change the one there is if it is ``only`` so; whether that was done."""
        names = [item.name for item in fields(Watch)][1:]
        values = [literal(getattr(new, name), watches.c[name].type) for name in names]
        alive = sessions.c.id == new.session, sessions.c.tab == Tab.RUNNING
        added = self._database.insert(watches)
        added = added.from_select(["session", *names], select(sessions.c.id, *values).where(*alive))
        asked = added.on_conflict_do_update(index_elements=["session"], set_=changed, where=only)
        with self._database.writing() as connection:
            return bool(connection.scalars(asked.returning(watches.c.session)).all())
