"""Reads and writes the records. Synchronous: call it off the hub's loop.

Every write is one transaction and may be repeated: a session that is entered twice is
there once, a status never goes back, and the first reason for an end stays.
"""

from __future__ import annotations

import time
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, case, func, select

from bai_spawner.reasons import LIVE, End, Status, Tab
from bai_spawner.records.database import Database, is_text
from bai_spawner.records.facts import (
    Change,
    Facts,
    Held,
    Measure,
    Published,
    SessionRecord,
    part,
)
from bai_spawner.records.launches import Launches
from bai_spawner.records.listing import Listing
from bai_spawner.records.openings import Openings
from bai_spawner.records.rows import PEAKS, record, row
from bai_spawner.records.tables import changes, logs, published, revisions, sessions
from bai_spawner.records.watches import Watches

LOG_BYTES = 256 * 1024
"""The end of a session's log that is kept, before compression."""
PURGE_ROWS = 1000
"""Sessions that one transaction forgets at most: a long one would hold up others."""


class Records(Listing, Watches):
    """The records of one or several hubs in one database.

    Args:
        url: of the database, for SQLAlchemy.

    Every method raises `RecordsError` when the database cannot do it; nothing is half done.
    """

    def __init__(self, url: str) -> None:
        super().__init__(Database(url))
        self._insert = self._database.insert
        self.launches = Launches(self._database)
        self.openings = Openings(self._database)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    # ---- write ------------------------------------------------------------------

    def begin(self, *admitted: Facts, at: datetime, status: Status = Status.PENDING) -> None:
        """Enter sessions, all of them or none; one that is there already stays as it is."""
        self.enter([(facts, at) for facts in admitted], status=status)

    def enter(self, found: Iterable[tuple[Facts, datetime]], *, status: Status) -> None:
        """Enter several sessions at once, each with the time at which it came to ``status``.

        Those that are there already stay as they are.
        """
        rows = [row(facts, status, at) for facts, at in found]
        if not rows:
            return
        with self._database.writing() as connection:
            entering = self._insert(sessions).on_conflict_do_nothing()
            new = set(connection.scalars(entering.returning(sessions.c.id), rows))
            noted = {r["id"]: r["created_at"] for r in rows if r["id"] in new}
            if noted:
                connection.execute(
                    self._insert(changes).on_conflict_do_nothing(),
                    [{"session": id_, "status": status, "at": at} for id_, at in noted.items()],
                )
            self._revise(connection, (r["hub"] for r in rows if r["id"] in new))

    def advance(self, session: str, status: Status, *, at: datetime) -> None:
        """Note that a live session came to a status; one that is past it stays where it is."""
        if not status.is_live:
            raise ValueError(f"a session comes to {status} with a reason: use end()")
        with self._database.writing() as connection:
            at = self._not_before_the_last(connection, session, at)
            before = [s for s in LIVE if s.rank < status.rank]
            changed: dict[str, Any] = {"status": status}
            if status is Status.RUNNING:
                changed["started_at"] = at
            moved = connection.scalars(
                sessions.update()
                .where(sessions.c.id == session, sessions.c.status.in_(before))
                .values(changed)
                .returning(sessions.c.hub)
            ).all()
            if moved:
                self._note(connection, session, status, at)
            self._revise(connection, moved)

    def end(self, session: str, end: End, log: str = "", *, at: datetime) -> None:
        """Note why a session ended; the first reason stays. A log is kept if there is none yet."""
        with self._database.writing() as connection:
            at = self._not_before_the_last(connection, session, at)
            status = end.ending.status
            moved = connection.scalars(
                sessions.update()
                .where(sessions.c.id == session, sessions.c.status.in_(LIVE))
                .values(
                    status=status,
                    tab=status.tab,
                    ended_at=at,
                    reason=end.ending.key,
                    detail=end.detail,
                    exit_code=end.exit_code,
                )
                .returning(sessions.c.hub)
            ).all()
            if moved:
                self._note(connection, session, status, at)
            known = select(sessions.c.id).where(sessions.c.id == session)
            if log and connection.scalar(known):
                row = {"session": session, "content": _packed(log)}
                connection.execute(self._insert(logs).on_conflict_do_nothing(), row)
            self._revise(connection, moved)

    def warn(self, session: str, warning: str) -> None:
        """Note what is wrong with a session that goes on; empty: nothing any more."""
        with self._database.writing() as connection:
            warned = connection.scalars(
                sessions.update()
                .where(sessions.c.id == session, sessions.c.warning != warning)
                .values(warning=warning)
                .returning(sessions.c.hub)
            ).all()
            self._revise(connection, warned)

    def measure(self, peaks: Mapping[str, Measure]) -> None:
        """Note what sessions used, by session: of each value the larger one stays."""
        if not peaks:
            return
        kills = {session: peak.oom_kills for session, peak in peaks.items() if peak.oom_kills}
        asked = select(sessions.c.id, sessions.c.hub, sessions.c.oom_kills)
        with self._database.writing() as connection:
            before = connection.execute(asked.where(sessions.c.id.in_(kills))).all()
            for session, measure in peaks.items():
                values = {
                    column.name: case((column < value, value), else_=column)
                    for name, column in PEAKS.items()
                    if (value := getattr(measure, name))
                }
                if values:
                    connection.execute(
                        sessions.update().where(sessions.c.id == session).values(values)
                    )
            more = (row.hub for row in before if row.oom_kills < kills[row.id])
            self._revise(connection, more)

    def publish(self, hub: str, kind: str, body: str, *, at: datetime) -> None:
        """Let other processes know something, in place of what was published before."""
        row = {"hub": hub, "kind": kind, "at": at, "body": body}
        added = self._insert(published).values(row)
        new = added.on_conflict_do_update(
            index_elements=["hub", "kind"], set_={"at": at, "body": body}
        )
        with self._database.writing() as connection:
            connection.execute(new)

    def purge(self, hub: str, *, before: datetime) -> int:
        """Forget the sessions that ended before a time; how many there were."""
        forgotten = 0
        old = (
            select(sessions.c.id)
            .where(sessions.c.hub == hub, sessions.c.ended_at < before)
            .limit(PURGE_ROWS)
        )
        while True:
            with self._database.writing() as connection:
                gone = connection.execute(sessions.delete().where(sessions.c.id.in_(old))).rowcount
                self._revise(connection, [hub] if gone else ())
            forgotten += gone
            if gone < PURGE_ROWS:
                return forgotten

    def _not_before_the_last(self, connection: Connection, session: str, at: datetime) -> datetime:
        """A time that does not go back: an engine tells whole seconds, and clocks are set."""
        question = select(func.max(changes.c.at)).where(changes.c.session == session)
        last: datetime | None = connection.scalar(question)
        return max(at, last) if last else at

    def _note(self, connection: Connection, session: str, status: Status, at: datetime) -> None:
        row = {"session": session, "status": status, "at": at}
        connection.execute(self._insert(changes).on_conflict_do_nothing(), row)

    def _revise(self, connection: Connection, hubs: Iterable[str]) -> None:
        """Number these hubs' sessions anew, as the last thing of a transaction.

        Who sees the number then sees what it stands for, and transactions of one hub wait for
        each other here at last, when they wait for nothing else. The number begins with the
        time: no database that is made anew, or restored, comes to one that was there before.
        """
        now = time.time_ns() // 1_000_000
        number = revisions.c.number
        for hub in sorted(set(hubs)):
            new = self._insert(revisions).values(hub=hub, number=now)
            newer = case((number < now, now), else_=number + 1)
            connection.execute(
                new.on_conflict_do_update(index_elements=["hub"], set_={"number": newer})
            )

    # ---- read -------------------------------------------------------------------

    def live(self, hub: str, *, before: datetime) -> frozenset[str]:
        """Sessions that were entered before a time and have not ended, as far as is known."""
        question = select(sessions.c.id).where(
            sessions.c.hub == hub,
            sessions.c.tab == Tab.RUNNING,
            sessions.c.created_at < before,
        )
        with self._database.reading() as connection:
            return frozenset(connection.scalars(question))

    def held(self, hub: str, user: str, per_gpu: int) -> Held:
        """What a user's live sessions hold, in quanta of which a whole GPU has ``per_gpu`` now."""
        return _held(self._live_amounts(hub, user), per_gpu)

    def held_by_group(self, hub: str, user: str, per_gpu: int) -> dict[str, Held]:
        """The same by resource group; only those in which the user has a session."""
        by_group: defaultdict[str, list[Any]] = defaultdict(list)
        for found in self._live_amounts(hub, user):
            by_group[found.group].append(found)
        return {group: _held(rows, per_gpu) for group, rows in by_group.items()}

    def _live_amounts(self, hub: str, user: str) -> Sequence[Any]:
        mine = sessions.c.hub == hub, sessions.c.user == user, sessions.c.tab == Tab.RUNNING
        amounts = sessions.c.cpu, sessions.c.memory, sessions.c.quanta, sessions.c.per_gpu
        wanted = (sessions.c.name, sessions.c.group, *amounts, sessions.c.devices)
        with self._database.reading() as connection:
            return connection.execute(select(*wanted).where(*mine)).all()

    def get(self, session: str) -> SessionRecord | None:
        """One session, with every change of its status; ``None`` when there is none."""
        if not is_text(session):
            return None
        with self._database.reading() as connection:
            row = connection.execute(select(sessions).where(sessions.c.id == session)).first()
            if row is None:
                return None
            found = connection.execute(
                select(changes.c.status, changes.c.at).where(changes.c.session == session)
            )
            noted = sorted((Change(Status(s), at) for s, at in found), key=lambda c: c.status.rank)
        return record(row, tuple(noted))

    def log(self, session: str) -> str:
        """The end of what a session printed; empty when none was kept."""
        if not is_text(session):
            return ""
        question = select(logs.c.content).where(logs.c.session == session)
        with self._database.reading() as connection:
            packed = connection.scalar(question)
        return zlib.decompress(packed).decode() if packed else ""

    def version(self, hub: str) -> str:
        """Another one whenever a session came, went, or changed its status, warning or kills.

        Ask for it first and for the sessions then: what changes in between shows the next time.
        """
        asked = select(revisions.c.number).where(revisions.c.hub == hub)
        with self._database.reading() as connection:
            return str(connection.scalar(asked) or 0)

    def published(self, hub: str, kind: str) -> Published | None:
        """What a hub published last under this name."""
        question = select(published.c.body, published.c.at).where(
            published.c.hub == hub, published.c.kind == kind
        )
        with self._database.reading() as connection:
            row = connection.execute(question).first()
        return Published(*row) if row else None


def _held(rows: Sequence[Any], per_gpu: int) -> Held:
    return Held(
        sessions=len(rows),
        cpu=sum(row.cpu for row in rows),
        memory=sum(row.memory for row in rows),
        quanta=sum(_quanta(row, per_gpu) for row in rows),
        names=frozenset(row.name for row in rows),
    )


def _quanta(found: Any, per_gpu: int) -> int:
    devices = len(found.devices or ()) or 1
    return devices * part(found.quanta, found.per_gpu, devices, per_gpu=per_gpu)


def _packed(log: str) -> bytes:
    """The end of a log, bounded and compressed; a character that is cut in two is left out."""
    kept = log.encode("utf-8", "replace")[-LOG_BYTES:]
    return zlib.compress(kept.decode("utf-8", "ignore").encode())
