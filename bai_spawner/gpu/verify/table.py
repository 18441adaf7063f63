"""Checks as a table, for a terminal and for a page of the documentation."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from bai_spawner.gpu.verify.plan import Check

COLUMNS = ("check", "expected", "measured", "verdict")


@dataclass(frozen=True, slots=True)
class Heading:
    """What was verified: without it a table of verdicts says nothing.

    ``driver`` is its version, ``device`` the model's name, ``strategy`` its name.
    """

    driver: str
    device: str
    strategy: str
    date: dt.date

    def __str__(self) -> str:
        return f"{self.strategy} on {self.device}, driver {self.driver}, {self.date.isoformat()}"


def plain(heading: Heading, checks: Sequence[Check]) -> str:
    """Aligned columns under a heading; no newline at the end."""
    lines = [COLUMNS, *map(_cells, checks)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, tuple("-" * width for width in widths))
    return "\n".join([str(heading), "", *(_aligned(line, widths) for line in lines)])


def markdown(heading: Heading, checks: Sequence[Check]) -> str:
    """The same as a Markdown table; no newline at the end."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *map(_cells, checks)]
    return "\n".join([f"**{heading}**", "", *map(_row, lines)])


def _cells(check: Check) -> tuple[str, ...]:
    cells = (check.name, check.expected, check.measured, check.verdict.value)
    return tuple(" ".join(cell.split()) for cell in cells)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()


def _row(cells: Sequence[str]) -> str:
    escaped = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"
