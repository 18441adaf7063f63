"""Plain tables for a terminal or a file: text to the left, numbers to the right."""

from __future__ import annotations

from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned lines; the first column is text, every other one holds numbers with their units."""
    lines = [list(head), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(_line(line, widths) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.rjust(width) if index else cell.ljust(width)
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join([first, *others]).rstrip()


def duration(seconds: float) -> str:
    """Three significant digits, in the unit that suits them."""
    for unit, factor in (("s", 1), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{_three(seconds * factor)} {unit}"
    return f"{_three(seconds * 1e6)} µs"


def ratio(value: float, base: float) -> str:
    """How many times as much; a dash where there is nothing to compare with."""
    return f"×{_three(value / base)}" if base else "-"


def _three(value: float) -> str:
    digits = max(0, 2 - len(str(int(value))) + 1)
    return f"{value:.{digits}f}"
