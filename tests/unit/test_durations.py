"""Spans of time: a number has its unit, and people read two of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bai_spawner import units
from bai_spawner.units import DAY, HOUR, MAX_SECONDS, MINUTE
from tests.strategies import NOT_A_NUMBER


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1),
        ("90s", 90),
        ("30m", 30 * MINUTE),
        ("2h", 2 * HOUR),
        ("3d", 3 * DAY),
        ("007d", 7 * DAY),
        ("3650d", MAX_SECONDS),
    ],
)
def test_a_duration_is_a_whole_number_and_its_unit(text: str, seconds: int) -> None:
    assert units.parse_duration(text) == seconds


NO_DURATIONS: list[Any] = [*NOT_A_NUMBER, None, True, 0, 60, 1.5, [], {}, b"2h"]
MORE = ["0s", "0d", "3651d", "999999999d", "2", "h", "2 h", "2H", "-2h", "+2h", "1.5h", "2h\n"]
MORE += ["1h30m", "٢h", "9" * 10 + "s", "2w", "PT2H"]


@pytest.mark.parametrize("value", [*NO_DURATIONS, *MORE])
def test_nothing_else_is_a_duration(value: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        units.parse_duration(value)


@given(st.integers(1, MAX_SECONDS))
def test_a_duration_is_written_as_it_is_read(seconds: int) -> None:
    assert units.parse_duration(units.plain_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (0.9, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (5400, "1 h 30 min"),
        (3605, "1 h"),
        (7199, "1 h 59 min"),
        (3 * DAY, "3 d"),
        (3 * DAY + HOUR, "3 d 1 h"),
    ],
)
def test_people_read_the_two_largest_units(seconds: float, text: str) -> None:
    assert units.format_duration(seconds) == text
