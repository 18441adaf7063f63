"""The server that the other tests rely on."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, NullPool, create_engine, text
from sqlalchemy.exc import OperationalError

from tests.deployment import REPO, eventually
from tests.postgres import Postgres


@contextmanager
def engine_of(url: str) -> Iterator[Engine]:
    made = create_engine(url, poolclass=NullPool)
    yield made
    made.dispose()


def lives(pid: str) -> bool:
    """Whether there is such a process; one that only waits to be reaped is none."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


def test_a_new_database_is_empty_and_no_other_sees_what_is_put_in_it(postgres: Postgres) -> None:
    tables = text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
    one, other = (postgres.create_database(name) for name in ("alone-one", "alone-other"))
    with engine_of(one) as engine, engine.begin() as connection:
        assert connection.scalar(tables) == 0
        connection.execute(text("CREATE TABLE kept (value text)"))
    with engine_of(other) as engine, engine.begin() as connection:
        assert connection.scalar(tables) == 0


def test_what_was_committed_outlives_a_crash_and_nothing_else_does(postgres: Postgres) -> None:
    with engine_of(postgres.create_database("crash")) as engine:
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE kept (value text)"))
            connection.execute(text("INSERT INTO kept VALUES ('committed ☃')"))
        with engine.connect() as connection:
            connection.execute(text("INSERT INTO kept VALUES ('not committed')"))
            postgres.kill()
            with pytest.raises(OperationalError):
                engine.connect()
            with pytest.raises(OperationalError):
                connection.commit()
        postgres.start()
        with engine.connect() as connection:
            assert connection.scalars(text("SELECT value FROM kept")).all() == ["committed ☃"]


def test_a_stop_in_order_ends_connections_too(postgres: Postgres) -> None:
    with engine_of(postgres.url) as engine:
        with engine.connect() as connection:
            postgres.stop()
            with pytest.raises(OperationalError):
                connection.execute(text("SELECT 1"))
        postgres.start()
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT 1")) == 1


@pytest.mark.parametrize("end", ["raise SystemExit", "os.kill(os.getpid(), 9)", "server.kill()"])
def test_nothing_stays_behind_however_the_tests_end(end: str) -> None:
    program = f"""
import os
from tests.postgres import Postgres
with Postgres() as server:
    print(server.folder, server._server.pid, flush=True)
    {end}
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPO, capture_output=True, text=True, check=False
    )
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    folder, pid = done.stdout.split()
    assert eventually(lambda: not Path(folder).exists())
    assert not lives(pid)
