"""How a session stands in its table, and how it is read from there."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from bai_spawner.enforcement import Enforcement
from bai_spawner.labels import GpuCap
from bai_spawner.reasons import End, Ending, Status
from bai_spawner.records.facts import Change, Facts, Measure, SessionRecord
from bai_spawner.records.tables import sessions

PEAKS = {
    "cpu": sessions.c.cpu_peak,
    "memory": sessions.c.memory_peak,
    "disk": sessions.c.disk_peak,
    "cpu_seconds": sessions.c.cpu_seconds,
    "io_read": sessions.c.io_read,
    "io_written": sessions.c.io_written,
    "oom_kills": sessions.c.oom_kills,
}
"""Where the values of a `Measure` are."""

_LISTS = ("folders", "devices", "variables")


def row(facts: Facts, status: Status, at: datetime) -> dict[str, Any]:
    """A session that is entered with a status, to which it came at a time."""
    started = at if status is Status.RUNNING else None
    values = asdict(facts) | {name: list(getattr(facts, name)) for name in _LISTS}
    return {
        **values,
        "gpu": _kept(facts.gpu),
        "status": status,
        "tab": status.tab,
        "created_at": at,
        "started_at": started,
    }


def record(found: Row[Any], noted: tuple[Change, ...] = ()) -> SessionRecord:
    """A session as it was read."""
    values = found._mapping  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
    known = {item.name: values[item.name] for item in fields(Facts)}
    known |= {name: tuple(values[name] or ()) for name in _LISTS}
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
        peaks=Measure(**{name: values[column.name] for name, column in PEAKS.items()}),
        changes=noted,
        warning=values["warning"],
    )


def _kept(cap: GpuCap | None) -> dict[str, Any] | None:
    return None if cap is None else asdict(cap) | {"enforcement": str(cap.enforcement)}


def _cap(kept: dict[str, Any] | None) -> GpuCap | None:
    return (
        GpuCap(**kept | {"enforcement": Enforcement.parse(kept["enforcement"])}) if kept else None
    )
