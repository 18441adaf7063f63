"""The tables of the records.

A change here needs a migration in ``migrations/versions``; a test compares the two.
Logs have a table of their own: a page of sessions must not read them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)


class Instant(TypeDecorator[datetime]):
    """A point in time, in UTC. SQLite keeps no zone: what comes back is given one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC; a time without a zone is a mistake of the caller's."""
        del dialect
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """In UTC, whatever the database's session is set to."""
        del dialect
        if value is None:
            return None
        stored: datetime = value
        return stored.replace(tzinfo=UTC) if stored.tzinfo is None else stored.astimezone(UTC)


metadata = MetaData()

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("hub", String(255), nullable=False),
    Column("user", String(255), nullable=False),
    Column("server", String(255), nullable=False),
    Column("name", String(255), nullable=False),
    Column("environment", String(255), nullable=False),
    Column("version", String(255), nullable=False),
    Column("group", String(255), nullable=False),
    Column("node", String(255), nullable=False),
    Column("policy", String(255), nullable=False),
    Column("cpu", Integer, nullable=False),
    Column("memory", BigInteger, nullable=False),
    Column("shm", BigInteger, nullable=False),
    Column("quanta", Integer, nullable=False),
    Column("per_gpu", Integer, nullable=False),
    Column("folders", JSON, nullable=False),
    Column("gpu", JSON),
    # none in rows from before: PostgreSQL compares no JSON, and so no default of it
    Column("devices", JSON),
    Column("variables", JSON),
    Column("warning", Text, nullable=False, default="", server_default=text("''")),
    Column("status", String(16), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("ended_at", Instant),
    Column("reason", String(32)),
    Column("detail", Text, nullable=False, default=""),
    Column("exit_code", Integer),
    Column("cpu_peak", Float, nullable=False, default=0.0),
    Column("memory_peak", BigInteger, nullable=False, default=0),
    Column("disk_peak", BigInteger, nullable=False, default=0),
    Column("cpu_seconds", Float, nullable=False, default=0.0),
    Column("io_read", BigInteger, nullable=False, default=0),
    Column("io_written", BigInteger, nullable=False, default=0),
    Column("oom_kills", Integer, nullable=False, default=0),
    # the status's: several statuses at once have no order in an index, one tab has
    Column("tab", String(16), nullable=False, server_default=text("''")),
    # with all that orders a page: what is passed over, or counted, is not read
    Index("sessions_by_user", "hub", "user", "created_at", "id"),
    Index("sessions_by_user_tab", "hub", "user", "tab", "created_at", "id"),
    Index("sessions_by_tab", "hub", "tab", "created_at", "id"),
    Index("sessions_by_age", "hub", "created_at", "id"),
    Index("sessions_by_end", "hub", "ended_at"),
)

changes = Table(
    "changes",
    metadata,
    Column("session", ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
    Column("status", String(16), primary_key=True),
    Column("at", Instant, nullable=False),
)

revisions = Table(
    "revisions",
    metadata,
    Column("hub", String(255), primary_key=True),
    Column("number", BigInteger, nullable=False),
)

watches = Table(
    "watches",
    metadata,
    Column("session", ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
    Column("reported", Instant),
    Column("last", Instant),
    Column("busy", Boolean, nullable=False),
    Column("because", Text, nullable=False),
    Column("kept", Instant),
    Column("extensions", Integer, nullable=False),
)

openings = Table(
    "openings",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("session", ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    Column("app", String(32), nullable=False),
    Column("port", Integer, nullable=False),
    Column("public", Boolean, nullable=False),
    Column("expires", Instant),
    Column("allowed", JSON, nullable=False),
    # a hash; empty where none is asked for
    Column("password", Text, nullable=False),
    Column("wanted", Integer),
    Column("told", Text, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("opened_by", String(255), nullable=False),
    Column("opened_from", String(64), nullable=False),
    Column("last_used", Instant),
    Column("bytes_in", BigInteger, nullable=False, default=0),
    Column("bytes_out", BigInteger, nullable=False, default=0),
    Column("closed_at", Instant),
    Column("closed_by", String(255), nullable=False, default=""),
    Column("why", Text, nullable=False, default=""),
    Index("openings_by_session", "session", "app"),
    # those that are open, of which there are few, have no end; the others are in its order
    Index("openings_by_end", "closed_at", "id"),
)

logs = Table(
    "logs",
    metadata,
    Column("session", ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

published = Table(
    "published",
    metadata,
    Column("hub", String(255), primary_key=True),
    Column("kind", String(64), primary_key=True),
    Column("at", Instant, nullable=False),
    Column("body", Text, nullable=False),
)

launches = Table(
    "launches",
    metadata,
    Column("hub", String(255), primary_key=True),
    Column("user", String(255), primary_key=True),
    # empty for the last launch, of which there is one
    Column("name", String(64), primary_key=True),
    Column("title", Text, nullable=False),
    # JSON, which no database reads: one that did would repeat values in what it complains of
    Column("fields", Text, nullable=False),
    Column("at", Instant, nullable=False),
)
