"""Amounts: what is accepted is exact, everything else is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bai_spawner import units
from bai_spawner.units import GIB, KIB, MAX_BYTES, MIB
from tests.strategies import NOT_A_NUMBER

NO_NUMBERS: list[Any] = [*NOT_A_NUMBER, None, True, False, [], [1], {}, b"1", 1j]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (0, 0),
        (4 * GIB, 4 * GIB),
        ("4294967296", 4 * GIB),
        ("4GiB", 4 * GIB),
        ("4G", 4 * GIB),
        ("512M", 512 * MIB),
        ("512MiB", 512 * MIB),
        ("3K", 3 * KIB),
        ("3KiB", 3 * KIB),
        ("1.5GiB", 1536 * MIB),
        ("0.5G", 512 * MIB),
        ("1.0", 1),
        ("0004GiB", 4 * GIB),
        (MAX_BYTES, MAX_BYTES),
    ],
)
def test_sizes_are_powers_of_1024_in_every_notation(text: object, size: int) -> None:
    assert units.parse_size(text) == size


@pytest.mark.parametrize(
    "value",
    [
        *NO_NUMBERS,
        *(1.0, 1.5, float("nan"), float("inf"), -1, MAX_BYTES + 1, "1.5", "0.1K\n"),
        *("4 GiB", "4gib", "4GB", "4T", "GiB", "4.GiB", ".5GiB", "-4GiB", "+4GiB", "4e1GiB"),
        *("٤GiB", "４GiB", "4GiBGiB", "9999999999GiB", "99999999999999999999"),
    ],
)
def test_anything_else_is_no_size(value: object) -> None:
    with pytest.raises(ValueError, match=r"^must be "):
        units.parse_size(value)


@pytest.mark.parametrize("value", [1, 2, units.MAX_CORES])
def test_cores_are_whole_numbers(value: int) -> None:
    assert units.parse_cores(value) == value


@pytest.mark.parametrize("value", [*NO_NUMBERS, 0, -1, 1.0, 2.5, "2", units.MAX_CORES + 1, 10**30])
def test_anything_else_is_no_number_of_cores(value: object) -> None:
    with pytest.raises(ValueError, match=r"^must be .* cores"):
        units.parse_cores(value)


@pytest.mark.parametrize(
    ("value", "fgpu"),
    [(0, "0"), (2, "2"), (0.1, "0.1"), ("0.1", "0.1"), ("2.50", "2.5"), (1.0, "1"), ("007", "7")],
)
def test_fgpu_is_exact_even_from_a_floating_number(value: object, fgpu: str) -> None:
    assert units.parse_fgpu(value) == Decimal(fgpu)


@pytest.mark.parametrize(
    "value",
    [*NO_NUMBERS, -1, -0.5, 1e30, float("nan"), float("inf"), 65_537, "65536.1", Decimal(1)],
)
def test_anything_else_is_no_fgpu(value: object) -> None:
    with pytest.raises(ValueError, match=r"^must be a number between 0 and 65536"):
        units.parse_fgpu(value)


quanta = st.sampled_from([Decimal(1), Decimal("0.1"), Decimal("0.25"), Decimal("0.05"), Decimal(5)])


@given(st.integers(0, 10**6), quanta)
def test_quanta_and_fgpu_are_the_same_amount(count: int, quantum: Decimal) -> None:
    assert units.to_quanta(units.from_quanta(count, quantum), quantum) == count


@given(st.integers(0, 10**6), st.sampled_from([Decimal("0.1"), Decimal(1), Decimal(5)]))
def test_fgpu_between_two_quanta_is_refused_and_never_rounded(count: int, quantum: Decimal) -> None:
    with pytest.raises(ValueError, match=f"must be a multiple of {quantum}"):
        units.to_quanta(count * quantum + quantum / 3, quantum)


@given(st.integers(0, 2**43))
def test_a_size_shown_to_people_is_never_more_than_it_is(size: int) -> None:
    text = units.format_size(size)
    amount, unit = text.split(" ")
    factor = {"B": 1, "KiB": KIB, "MiB": MIB, "GiB": GIB}[unit]
    assert 0 <= size - Decimal(amount) * factor <= Decimal("0.01") * factor


@given(st.integers(1, 1023), st.sampled_from(["KiB", "MiB", "GiB"]))
def test_a_round_size_is_shown_as_it_was_typed(count: int, unit: str) -> None:
    assert units.format_size(units.parse_size(f"{count}{unit}")) == f"{count} {unit}"


@given(st.integers(0, units.MAX_BYTES))
def test_bytes_go_through_a_number_box_unchanged(size: int) -> None:
    assert units.parse_size(f"{units.gib(size)}GiB") == size


@pytest.mark.parametrize(
    ("number", "text"),
    [("1.50", "1.5"), ("100", "100"), ("1E+2", "100"), ("0.00", "0"), ("2", "2")],
)
def test_a_decimal_is_shown_without_exponent_or_trailing_zeros(number: str, text: str) -> None:
    assert units.plain(Decimal(number)) == text
