"""PostgreSQL's server programs, for the tests that start a server of their own."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from debian import can_install, install
from progress import SetupError

PROGRAMS = ("initdb", "postgres", "pg_ctl")

# Debian keeps them off PATH, in a folder for each version
_DEBIAN = Path("/usr/lib/postgresql")
# what Debian's package reads before it makes a server of its own
_SETTINGS = Path("/etc/postgresql-common/createcluster.d")


def ensure_postgres() -> Path:
    """The folder with the programs, from BAI_POSTGRES, PATH or where Debian has them.

    Raises:
        SetupError: they are not there and cannot be installed.
    """
    if folder := _found():
        return folder
    if not os.environ.get("BAI_POSTGRES") and can_install():
        with _no_server_made():
            install("postgresql")
        if folder := _found():
            return folder
    raise SetupError(
        f"PostgreSQL's {', '.join(PROGRAMS)} are not in {_where()}: install the server "
        "(on Debian: apt-get install postgresql), or set BAI_POSTGRES to their folder"
    )


def _found() -> Path | None:
    """The first folder that has them all."""
    return next((f for f in _folders() if all(shutil.which(f / p) for p in PROGRAMS)), None)


def _folders() -> list[Path]:
    """Where they may be, best first: newer versions before older ones."""
    if named := os.environ.get("BAI_POSTGRES"):
        return [Path(named)]
    path = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    return path + sorted(
        _DEBIAN.glob("*/bin"), key=lambda folder: float(folder.parent.name), reverse=True
    )


def _where() -> str:
    return os.environ.get("BAI_POSTGRES") or f"PATH or {_DEBIAN}/*/bin"


@contextmanager
def _no_server_made() -> Iterator[None]:
    """The package neither makes nor starts a server meanwhile: nobody asked for one."""
    made = [folder for folder in (_SETTINGS.parent, _SETTINGS) if not folder.exists()]
    _SETTINGS.mkdir(parents=True, exist_ok=True)
    setting = _SETTINGS / "bai-spawner.conf"
    setting.write_text("create_main_cluster = false\n")
    try:
        yield
    finally:
        setting.unlink()
        for folder in reversed(made):
            if not any(folder.iterdir()):
                folder.rmdir()
