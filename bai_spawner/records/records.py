"""Reads and writes the records. Synchronous: call it off the hub's loop.

Every write is one transaction and may be repeated: a session that is entered twice is
there once, a status never goes back, and the first reason for an end stays.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, case, func, select
from sqlalchemy.dialects import postgresql, sqlite

from bai_spawner.enforcement import Enforcement
from bai_spawner.labels import GpuCap, Share
from bai_spawner.reasons import LIVE, End, Ending, Status, Tab
from bai_spawner.records.database import Database
from bai_spawner.records.facts import Change, Facts, Held, Measure, Page, Published, SessionRecord
from bai_spawner.records.launches import Launches
from bai_spawner.records.tables import changes, logs, published, sessions

LOG_BYTES = 256 * 1024
"""The end of a session's log that is kept, before compression."""
PURGE_ROWS = 1000
"""Sessions that one transaction forgets at most: a long one would hold up others."""

_PEAKS = {
    "cpu": sessions.c.cpu_peak,
    "memory": sessions.c.memory_peak,
    "disk": sessions.c.disk_peak,
    "cpu_seconds": sessions.c.cpu_seconds,
    "io_read": sessions.c.io_read,
    "io_written": sessions.c.io_written,
    "oom_kills": sessions.c.oom_kills,
}


class Records:
    """The records of one or several hubs in one database.

    Args:
        url: of the database, for SQLAlchemy.

    Every method raises `RecordsError` when the database cannot do it; nothing is half done.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url)
        dialect = postgresql if self._database.is_postgresql else sqlite
        self._insert = dialect.insert
        self.launches = Launches(self._database)

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
        rows = [_row(facts, status, at) for facts, at in found]
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
            moved = connection.execute(
                sessions.update()
                .where(sessions.c.id == session, sessions.c.status.in_(before))
                .values(changed)
            )
            if moved.rowcount:
                self._note(connection, session, status, at)

    def end(self, session: str, end: End, log: str = "", *, at: datetime) -> None:
        """Note why a session ended; the first reason stays. A log is kept if there is none yet."""
        with self._database.writing() as connection:
            at = self._not_before_the_last(connection, session, at)
            status = end.ending.status
            moved = connection.execute(
                sessions.update()
                .where(sessions.c.id == session, sessions.c.status.in_(LIVE))
                .values(
                    status=status,
                    ended_at=at,
                    reason=end.ending.key,
                    detail=end.detail,
                    exit_code=end.exit_code,
                )
            )
            if moved.rowcount:
                self._note(connection, session, status, at)
            known = select(sessions.c.id).where(sessions.c.id == session)
            if log and connection.scalar(known):
                row = {"session": session, "content": _packed(log)}
                connection.execute(self._insert(logs).on_conflict_do_nothing(), row)

    def warn(self, session: str, warning: str) -> None:
        """Note what is wrong with a session that goes on; empty: nothing any more."""
        with self._database.writing() as connection:
            connection.execute(
                sessions.update().where(sessions.c.id == session).values(warning=warning)
            )

    def measure(self, peaks: Mapping[str, Measure]) -> None:
        """Note what sessions used, by session: of each value the larger one stays."""
        if not peaks:
            return
        with self._database.writing() as connection:
            for session, measure in peaks.items():
                values = {
                    column.name: case((column < value, value), else_=column)
                    for name, column in _PEAKS.items()
                    if (value := getattr(measure, name))
                }
                if values:
                    connection.execute(
                        sessions.update().where(sessions.c.id == session).values(values)
                    )

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

    # ---- read -------------------------------------------------------------------

    def live(self, hub: str, *, before: datetime) -> frozenset[str]:
        """Sessions that were entered before a time and have not ended, as far as is known."""
        question = select(sessions.c.id).where(
            sessions.c.hub == hub,
            sessions.c.status.in_(LIVE),
            sessions.c.created_at < before,
        )
        with self._database.reading() as connection:
            return frozenset(connection.scalars(question))

    def held(self, hub: str, user: str, per_gpu: int) -> Held:
        """What a user's live sessions hold, in quanta of which a whole GPU has ``per_gpu`` now."""
        mine = sessions.c.hub == hub, sessions.c.user == user, sessions.c.status.in_(LIVE)
        amounts = sessions.c.cpu, sessions.c.memory, sessions.c.quanta, sessions.c.per_gpu
        wanted = (sessions.c.name, *amounts, sessions.c.devices)
        with self._database.reading() as connection:
            found = connection.execute(select(*wanted).where(*mine)).all()
        parts = [(row.quanta, row.per_gpu, len(row.devices or ())) for row in found]
        return Held(
            sessions=len(found),
            cpu=sum(row.cpu for row in found),
            memory=sum(row.memory for row in found),
            quanta=sum(_quanta(*part, per_gpu=per_gpu) for part in parts),
            names=frozenset(row.name for row in found),
        )

    def get(self, session: str) -> SessionRecord | None:
        """One session, with every change of its status; ``None`` when there is none."""
        with self._database.reading() as connection:
            row = connection.execute(select(sessions).where(sessions.c.id == session)).first()
            if row is None:
                return None
            found = connection.execute(
                select(changes.c.status, changes.c.at).where(changes.c.session == session)
            )
            noted = sorted((Change(Status(s), at) for s, at in found), key=lambda c: c.status.rank)
        return _record(row, tuple(noted))

    def log(self, session: str) -> str:
        """The end of what a session printed; empty when none was kept."""
        question = select(logs.c.content).where(logs.c.session == session)
        with self._database.reading() as connection:
            packed = connection.scalar(question)
        return zlib.decompress(packed).decode() if packed else ""

    def page(
        self,
        hub: str,
        *,
        user: str | None = None,
        tab: Tab | None = None,
        offset: int = 0,
        limit: int = 50,
    ) -> Page:
        """Sessions, the newest first.

        Args:
            hub: whose.
            user: of one user only.
            tab: of one tab only.
            offset: how many to pass over.
            limit: how many at most.
        """
        wanted = [sessions.c.hub == hub, *_wanted(user, tab)]
        newest = select(sessions).where(*wanted)
        newest = newest.order_by(sessions.c.created_at.desc(), sessions.c.id)
        with self._database.reading() as connection:
            total = connection.scalar(select(func.count()).select_from(sessions).where(*wanted))
            rows = connection.execute(newest.offset(offset).limit(limit)).all()
        return Page(tuple(_record(row) for row in rows), total or 0)

    def published(self, hub: str, kind: str) -> Published | None:
        """What a hub published last under this name."""
        question = select(published.c.body, published.c.at).where(
            published.c.hub == hub, published.c.kind == kind
        )
        with self._database.reading() as connection:
            row = connection.execute(question).first()
        return Published(*row) if row else None


def _wanted(user: str | None, tab: Tab | None) -> Collection[ColumnElement[bool]]:
    found = []
    if user is not None:
        found.append(sessions.c.user == user)
    if tab is not None:
        found.append(sessions.c.status.in_([s for s in Status if s.tab is tab]))
    return found


def _quanta(held: int, of: int, devices: int, *, per_gpu: int) -> int:
    """What a session holds in the units of now: device by device, as the ledger counts it."""
    parts = devices or 1
    return parts * Share("", held // parts, of).of(per_gpu).quanta if held else 0


def _row(facts: Facts, status: Status, at: datetime) -> dict[str, Any]:
    started = at if status is Status.RUNNING else None
    row = {**asdict(facts), "folders": list(facts.folders), "status": status}
    row |= {"devices": list(facts.devices), "gpu": _kept(facts.gpu)}
    return {**row, "created_at": at, "started_at": started}


def _record(row: Row[Any], noted: tuple[Change, ...] = ()) -> SessionRecord:
    values = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
    known = {item.name: values[item.name] for item in fields(Facts)}
    known |= {name: tuple(values[name] or ()) for name in ("folders", "devices")}
    known["gpu"] = _cap(values["gpu"])
    end = None
    if values["reason"]:
        end = End(Ending.of(values["reason"]), values["detail"], values["exit_code"])
    return SessionRecord(
        facts=Facts(**known),
        status=Status(values["status"]),
        created=values["created_at"],
        started=values["started_at"],
        ended=values["ended_at"],
        end=end,
        peaks=Measure(**{name: values[column.name] for name, column in _PEAKS.items()}),
        changes=noted,
        warning=values["warning"],
    )


def _kept(cap: GpuCap | None) -> dict[str, Any] | None:
    return None if cap is None else asdict(cap) | {"enforcement": str(cap.enforcement)}


def _cap(kept: dict[str, Any] | None) -> GpuCap | None:
    return (
        GpuCap(**kept | {"enforcement": Enforcement.parse(kept["enforcement"])}) if kept else None
    )


def _packed(log: str) -> bytes:
    """The end of a log, bounded and compressed; a character that is cut in two is left out."""
    kept = log.encode("utf-8", "replace")[-LOG_BYTES:]
    return zlib.compress(kept.decode("utf-8", "ignore").encode())
