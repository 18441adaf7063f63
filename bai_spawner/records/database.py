"""The database of the records: opened by URL, brought to the newest schema, errors worded.

SQLite is embedded and the default: one file, written ahead, so that whoever reads does
not hold up the hub. PostgreSQL is one URL away. Whatever goes wrong becomes a
`RecordsError` that names the cause and never a password of the URL.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
import sqlalchemy
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, Table, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    SQLAlchemyError,
    StatementError,
)

from bai_spawner.errors import BaiError

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_SECONDS = 15
"""How long SQLite waits for another process that writes."""
CONNECT_SECONDS = 5
"""How long a PostgreSQL server has to answer."""
SILENT_SECONDS = 15
"""How long a PostgreSQL server may leave what was sent unacknowledged."""


class RecordsError(BaiError):
    """The records cannot be read or written now. Nothing of what was to be written is there."""


class NotTaken(RecordsError):
    """The database never takes such values: trying again is of no use."""


class Database:
    """One database of records, with the newest schema.

    Args:
        url: for SQLAlchemy, such as ``sqlite:////var/lib/bai/records.sqlite``.

    Raises:
        RecordsError: it cannot be opened, or is of a newer version of this package.
    """

    def __init__(self, url: str) -> None:
        with _worded("open"):
            self._engine = _engine(_parsed(url))
            try:
                _upgrade(self._engine)
            except BaseException:
                self._engine.dispose()
                raise

    @property
    def is_postgresql(self) -> bool:
        """Whether it is PostgreSQL."""
        return self._engine.dialect.name == "postgresql"

    @property
    def insert(self) -> Callable[[Table], postgresql.Insert | sqlite.Insert]:
        """Makes an insert that may say what becomes of a row that is there already."""
        return postgresql.insert if self.is_postgresql else sqlite.insert

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read with.

        Raises:
            RecordsError: the database cannot be read.
        """
        with _worded("read"), self._engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction: all of it is there afterwards, or, when anything is raised, none of it.

        Raises:
            RecordsError: the database cannot be written.
        """
        engine = self._engine.execution_options(writing=True)
        with _worded("write"), engine.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def is_text(value: str) -> bool:
    """Whether databases take it: a question with one that PostgreSQL does not take would fail."""
    try:
        return b"\0" not in value.encode()
    except UnicodeEncodeError:
        return False


def _parsed(url: str) -> URL:
    """A URL of a database that this can work with; what is wrong is said without a part of it."""
    try:
        parsed = make_url(url)
    except (SQLAlchemyError, ValueError):
        raise RecordsError("cannot open the records: this is no URL of a database") from None
    if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
        raise RecordsError("cannot open the records: they need SQLite or PostgreSQL")
    if "@" in (parsed.host or ""):
        raise RecordsError("cannot open the records: write %40 for each @ in the password")
    return parsed


def _engine(parsed: URL) -> Engine:
    if parsed.get_backend_name() == "sqlite":
        if parsed.database and parsed.database != ":memory:":
            path = Path(parsed.database)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)  # names and logs of users are nobody else's to read
        engine = sqlalchemy.create_engine(parsed, connect_args={"timeout": BUSY_SECONDS})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if parsed.drivername == "postgresql":  # to SQLAlchemy that is psycopg2, which nobody keeps
        parsed = parsed.set(drivername="postgresql+psycopg")
    arguments = {
        "connect_timeout": CONNECT_SECONDS,
        # a server whose machine vanished must not hold a transaction for hours
        "tcp_user_timeout": SILENT_SECONDS * 1000,
    }
    return sqlalchemy.create_engine(parsed, connect_args=arguments, pool_pre_ping=True)


def _prepare_sqlite(connection: Any, _: object) -> None:
    """Write ahead, keep what a crash of the machine must not lose, and hold to foreign keys.

    SQLAlchemy begins transactions itself: Python's driver would begin them too late.
    """
    connection.isolation_level = None
    until = time.monotonic() + BUSY_SECONDS
    while not _writes_ahead(connection):
        if time.monotonic() > until:
            raise RecordsError("cannot open the records: another process holds them")
        time.sleep(0.01)
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _writes_ahead(connection: Any) -> bool:
    """Have it write ahead; whether that could be asked: for this alone SQLite never waits."""
    try:
        connection.execute("PRAGMA journal_mode=WAL").close()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def _begin_sqlite(connection: Connection) -> None:
    """Who will write says so first: SQLite makes nobody wait who began as a reader."""
    writing = connection.get_execution_options().get("writing")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


_UPGRADING = threading.Lock()
"""Alembic keeps what it works on in a module: two threads would change each other's."""


def _upgrade(engine: Engine) -> None:
    """Bring the schema to the newest version; a database without one gets it."""
    config = alembic.config.Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with _UPGRADING, engine.execution_options(writing=True).begin() as connection:
        if engine.dialect.name == "postgresql":  # two hubs may start at once
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('bai_spawner'))")
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "head")


@contextlib.contextmanager
def _worded(verb: str) -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, CommandError, OSError, ImportError) as error:
        kind = NotTaken if _is_lasting(error) else RecordsError
        raise kind(f"cannot {verb} the records: {_cause(error)}") from error


def _is_lasting(error: BaseException) -> bool:
    """Whether it is about the values, and not about the database."""
    if isinstance(error, DBAPIError):
        return isinstance(error, DataError | IntegrityError)
    return isinstance(error, StatementError)


def _cause(error: BaseException) -> str:
    """What the database says, in one bounded line; without the statement and its values."""
    if isinstance(error, CommandError):
        return f"they are of a newer version of bai-spawner ({error})"
    original = getattr(error, "orig", None) or error
    return " ".join(str(original).split())[:300] or type(original).__name__
