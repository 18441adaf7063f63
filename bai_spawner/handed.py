"""What the hub hands to the programs that it runs beside it: in files that nobody else can read.

A URL of a database may hold a password, and JupyterHub keeps the environment of its services in
its own database: the environment names the file, and no more.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def write(path: Path, settings: dict[str, Any]) -> None:
    """Put settings in a file that nobody else can read at any moment, and that is whole or old."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with os.fdopen(os.open(draft, flags, 0o600), "w", encoding="utf-8") as file:
        json.dump(settings, file)
    draft.replace(path)


def read(path: Path) -> dict[str, Any]:
    """What `write` wrote; a tuple comes back as a list."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def environment(variable: str, path: Path) -> dict[str, str]:
    """Of such a program: what names its file, and where this package is."""
    return {
        variable: str(path),
        **{name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ},
    }


def of_database() -> dict[str, str]:
    """The variables that the driver of PostgreSQL reads."""
    return {name: value for name, value in os.environ.items() if name.startswith("PG")}
