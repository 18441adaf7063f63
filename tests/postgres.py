"""A PostgreSQL server of its own for tests, in a temporary folder, on a port of 127.0.0.1.

It can be crashed and started again. A keeper, a process that outlives the test run however
that ends, ends the server and removes the folder.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import select
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

import psycopg
import psycopg.sql
from sqlalchemy.engine import URL

from tests.deployment import eventually, free_ports

# Waits for the end of its input, which comes when the test run closes it or is no more.
# The command line tells the server from a stranger that has got the process number of one
# that crashed; whoever crashed has left its System V segment, too.
_KEEPER = """
cat >/dev/null
lives() { grep -qsF "$1" "/proc/$2/cmdline"; }
if [ -e "$1/data/postmaster.pid" ]; then
    set -- "$1" $(sed -n '1p;7p' "$1/data/postmaster.pid")  # folder, process, key, segment
    if lives "$@"; then kill -QUIT "$2"; fi
    while lives "$@"; do sleep 0.1; done
    ipcrm -m "$4"
fi
rm -rf "$1"
"""

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    # a server that crashes loses nothing by it: only a machine that crashes would
    "fsync": "off",
    # in the folder, where nothing can stay behind
    "dynamic_shared_memory_type": "mmap",
}


def _programs() -> Path:
    """Where `scripts/testbed.py` found the programs; without it, PATH or Debian's folder."""
    if named := os.environ.get("BAI_POSTGRES"):
        return Path(named)
    folders = [os.environ.get("PATH", ""), *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    found = shutil.which("postgres", path=os.pathsep.join(folders))
    assert found, "no PostgreSQL: run `make test`, or set BAI_POSTGRES to its programs' folder"
    return Path(found).parent


def _unprivileged() -> pwd.struct_passwd | None:
    """Whom the server runs as when this is root, for whom it refuses to run."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(KeyError):
        return pwd.getpwnam("postgres")
    return pwd.getpwnam("nobody")


class Postgres:
    """One server with everything of its own; in a ``with`` block it runs from the beginning."""

    def __init__(self) -> None:
        self._programs = _programs()
        self._password = secrets.token_hex()
        (self.port,) = free_ports(1)
        self.folder = Path(tempfile.mkdtemp(prefix="bai-postgres-"))
        self.log = self.folder / "log"
        self._server: subprocess.Popen[bytes] | None = None
        self._keeper = subprocess.Popen(
            ["sh", "-c", _KEEPER, "keeper", str(self.folder)],
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._as_user: dict[str, Any] = {}
        if user := _unprivileged():
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        try:
            self._initialise()
        except BaseException:
            self.clean()
            raise

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.clean()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.clean()

    @property
    def url(self) -> str:
        """SQLAlchemy's URL of the database that every server has."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """SQLAlchemy's URL of a database."""
        url = URL.create(
            "postgresql+psycopg", "postgres", self._password, "127.0.0.1", self.port, database
        )
        return url.render_as_string(hide_password=False)

    def create_database(self, name: str) -> str:
        """The URL of a new, empty database."""
        with self._connect() as connection:
            connection.execute(
                psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name))
            )
        return self.url_of(name)

    def start(self, *, seconds: float = 30) -> None:
        """Start the server and wait until it accepts connections."""
        assert self._server is None, "it runs already"
        settings = [f"--{key}={value}" for key, value in _SETTINGS.items()]
        data = self.folder / "data"
        with self.log.open("ab") as log:
            self._server = subprocess.Popen(
                [self._programs / "postgres", "-D", data, "-p", str(self.port), *settings],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._as_user,
            )
        if not eventually(self.accepts, seconds=seconds, every=0.05):
            raise RuntimeError(f"PostgreSQL did not start:\n{self.log.read_text()[-4000:]}")

    def accepts(self) -> bool:
        """Whether the server accepts connections; raises when it has ended."""
        if self._server is None or self._server.poll() is not None:
            raise RuntimeError(f"PostgreSQL ended:\n{self.log.read_text()[-4000:]}")
        with contextlib.suppress(psycopg.OperationalError):
            self._connect().close()
            return True
        return False

    def stop(self) -> None:
        """End the server in order, and its clients' connections with it."""
        if self._server:
            self._server.send_signal(signal.SIGINT)
            self._server.wait(30)
            self._server = None

    def kill(self) -> None:
        """End the server and all of its processes at once, as a crash does."""
        if not self._server:
            return
        pid = self._server.pid
        # once it is stopped, it neither starts another process nor tells one to end
        self._server.send_signal(signal.SIGSTOP)
        os.waitpid(pid, os.WUNTRACED)
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        handles = [os.pidfd_open(int(child)) for child in children]
        for handle in handles:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        self._server.kill()
        self._server.wait()
        self._server = None
        for handle in handles:
            select.select([handle], [], [], 10)
            os.close(handle)

    def clean(self) -> None:
        """End the server and remove its folder."""
        try:
            self.stop()
        finally:
            self._keeper.communicate()

    def _initialise(self) -> None:
        """Make the folder of a server that lets in nobody without the password."""
        password = self.folder / "password"
        password.write_text(self._password)
        password.chmod(0o644)  # for the server's user; nobody else gets into the folder
        made = subprocess.run(
            [
                *(self._programs / "initdb", "-D", self.folder / "data"),
                *("--username=postgres", "--auth=scram-sha-256", f"--pwfile={password}"),
                *("--encoding=UTF8", "--no-locale", "--no-sync", "--no-instructions"),
            ],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            **self._as_user,
        )
        if made.returncode:
            raise RuntimeError(f"initdb failed:\n{made.stdout.decode(errors='replace')}")

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url.replace("+psycopg", ""), autocommit=True, connect_timeout=5)
