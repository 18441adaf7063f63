"""Sessions as CSV (RFC 4180): a line each, for a spreadsheet. Pure.

Numbers are in the units that the heading names, times are ISO 8601 in UTC. A cell that a
spreadsheet would take for a formula is text, by an apostrophe before it: what stands there a
user may have written.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from bai_spawner.catalog import Catalog
from bai_spawner.records import SessionRecord
from bai_spawner.service.amounts import fgpu
from bai_spawner.service.model import instant

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", *"\uff1d\uff0b\uff0d\uff20")
"""How what a spreadsheet computes may begin, in wide letters too (OWASP, "CSV Injection")."""

Cell = Callable[[SessionRecord, Catalog | None], Any]


def _fact(name: str) -> Cell:
    return lambda record, _: getattr(record.facts, name)


def _peak(name: str) -> Cell:
    return lambda record, _: getattr(record.peaks, name)


def _time(at: datetime | None) -> str:
    return instant(at) if at else ""


def _elapsed(record: SessionRecord) -> int | str:
    return round(record.elapsed.total_seconds()) if record.elapsed is not None else ""


COLUMNS: dict[str, Cell] = {
    **{name: _fact(name) for name in ("id", "user", "server", "name")},
    **{name: _fact(name) for name in ("environment", "version", "group", "node", "policy")},
    "status": lambda record, _: str(record.status),
    "reason": lambda record, _: record.end.ending.key if record.end else "",
    "why": lambda record, _: record.end.words if record.end else record.warning,
    "created": lambda record, _: _time(record.created),
    "started": lambda record, _: _time(record.started),
    "ended": lambda record, _: _time(record.ended),
    "elapsed_seconds": lambda record, _: _elapsed(record),
    "cpu_cores": _fact("cpu"),
    "memory_bytes": _fact("memory"),
    "shm_bytes": _fact("shm"),
    "fgpu": lambda record, catalog: Decimal(fgpu(record.facts, catalog) or 0),
    "cpu_peak_cores": lambda record, _: round(record.peaks.cpu, 3),
    "memory_peak_bytes": _peak("memory"),
    "disk_peak_bytes": _peak("disk"),
    "cpu_seconds": lambda record, _: round(record.peaks.cpu_seconds, 3),
    "oom_kills": _peak("oom_kills"),
    "folders": lambda record, _: " ".join(record.facts.folders),
}
"""Every column, and what stands in it."""


def heading() -> str:
    """The first line."""
    return _lines([list(COLUMNS)])


def lines(records: Iterable[SessionRecord], catalog: Catalog | None) -> str:
    """A line for each session."""
    return _lines([cell(record, catalog) for cell in COLUMNS.values()] for record in records)


def _lines(rows: Iterable[list[Any]]) -> str:
    written = io.StringIO()
    writer = csv.writer(written, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerows([_inert(cell) for cell in row] for row in rows)
    return written.getvalue()


def _inert(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULAS) else cell
