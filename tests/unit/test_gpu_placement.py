"""Which device a request gets: exactly what was asked for, on the fewest gaps, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bai_spawner.gpu.placement import (
    MOST_DEVICES,
    DeviceFree,
    Terms,
    cut,
    first_fit,
    largest,
    place,
    worst_fit,
)
from bai_spawner.gpu.share import memory_mib, sm_percent, usable_mib
from bai_spawner.units import GIB, MIB

PER_GPU = 5


def gpus(*free: int, together: int = 64, kind: str = "H100") -> list[DeviceFree]:
    terms = Terms(kind=kind, together=together)
    return [DeviceFree(f"GPU-{n}", quanta, PER_GPU, terms) for n, quanta in enumerate(free)]


def names(found: tuple[DeviceFree, ...]) -> list[str]:
    return [device.device for device in found]


# ---- the numbers ------------------------------------------------------------------


def test_a_fifth_of_an_80_gib_gpu_is_what_the_design_says() -> None:
    usable = usable_mib(80 * GIB, GIB)
    assert usable == 80 * 1024 - 1024
    assert memory_mib(usable, 1, 5) == 16179
    assert memory_mib(usable, 5, 5) == usable
    assert [sm_percent(part, 5) for part in range(1, 6)] == [20, 40, 60, 80, 100]
    assert (sm_percent(1, 3), sm_percent(1, 7), sm_percent(1, 200)) == (33, 14, 0)


@given(st.integers(0, 2**40), st.integers(0, 2**32), st.integers(1, 1000), st.data())
def test_shares_together_are_never_more_than_the_device(
    memory: int, reserve: int, whole: int, data: st.DataObject
) -> None:
    usable = usable_mib(memory, reserve)
    assert 0 <= usable * MIB <= memory
    assert usable * MIB + reserve <= memory or usable == 0
    parts = data.draw(st.lists(st.integers(1, whole), max_size=20))
    while sum(parts) > whole:
        parts.pop()
    assert sum(memory_mib(usable, part, whole) for part in parts) <= usable
    assert sum(sm_percent(part, whole) for part in parts) <= 100


# ---- one device, up to one GPU ----------------------------------------------------


def test_a_share_goes_where_the_least_is_left_over() -> None:
    assert names(place(gpus(5, 2, 3), 2, PER_GPU)) == ["GPU-1"]
    assert names(place(gpus(5, 2, 3), 3, PER_GPU)) == ["GPU-2"]
    assert names(place(gpus(5, 2, 3), 4, PER_GPU)) == ["GPU-0"]
    assert names(place(gpus(5, 2, 3), 2, PER_GPU, worst_fit)) == ["GPU-0"]
    assert names(place(gpus(3, 5, 2), 2, PER_GPU, first_fit)) == ["GPU-0"]


def test_what_fits_the_sum_and_no_device_is_not_available() -> None:
    assert place(gpus(2, 2, 2), 3, PER_GPU) == ()
    assert largest(gpus(2, 2, 2, together=1), PER_GPU) == 2


def test_a_device_of_one_size_is_given_in_that_size_alone() -> None:
    sized = [DeviceFree("MIG-a", 2, 2, Terms(size=2)), DeviceFree("MIG-b", 1, 1, Terms(size=1))]
    assert names(place(sized, 1, PER_GPU)) == ["MIG-b"]
    assert names(place(sized, 2, PER_GPU)) == ["MIG-a"]
    assert place(sized, 3, PER_GPU) == ()
    assert [quanta for quanta in range(1, 6) if place(sized, quanta, PER_GPU)] == [1, 2]


# ---- over one GPU -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("quanta", "expected"),
    [(1, (1, 1)), (5, (1, 5)), (6, (2, 3)), (7, (7, 1)), (9, (3, 3)), (10, (2, 5)), (12, (3, 4))],
)
def test_over_one_gpu_there_are_the_fewest_equal_shares(
    quanta: int, expected: tuple[int, int]
) -> None:
    assert cut(quanta, PER_GPU) == expected


def test_what_elsewhere_was_rounded_down_is_delivered_exactly() -> None:
    """Three halves of a GPU: two shares of three quarters, and never 1.4."""
    found = place(gpus(4, 4, kind="four"), 6, 4)
    assert len(found) == 2
    assert cut(6, 4) == (2, 3)


def test_whole_gpus_are_not_put_together_from_parts() -> None:
    assert place(gpus(5, 4, 4, 4), 10, PER_GPU) == ()
    assert names(place(gpus(5, 4, 5, 4), 10, PER_GPU)) == ["GPU-0", "GPU-2"]


def test_shares_of_one_request_are_on_devices_of_one_kind() -> None:
    mixed = [*gpus(5, kind="H100"), DeviceFree("GPU-x", 5, 5, Terms(kind="A100", together=64))]
    assert place(mixed, 10, PER_GPU) == ()
    assert place(gpus(5, 5, together=1), 10, PER_GPU) == ()


def test_a_request_for_more_devices_than_any_host_has_costs_nothing() -> None:
    assert cut(65_536 * 10**9, 7) == (0, 0)
    assert place(gpus(5, 5), 65_536 * 10**9, PER_GPU) == ()
    assert cut(MOST_DEVICES * PER_GPU, PER_GPU) == (MOST_DEVICES, PER_GPU)


free = st.lists(st.integers(0, PER_GPU), max_size=6)


@given(free, st.integers(1, 40))
def test_a_placement_is_exact_and_free_on_each_device(quanta: list[int], asked: int) -> None:
    found = place(gpus(*quanta), asked, PER_GPU)
    if found:
        count, part = cut(asked, PER_GPU)
        assert count * part == asked
        assert len({device.device for device in found}) == count == len(found)
        assert all(device.free >= part for device in found)
        assert count == 1 or part <= PER_GPU


@given(free, st.sampled_from([1, 64]), st.sampled_from([None, 2, PER_GPU]))
def test_the_largest_is_the_largest_that_can_be_placed(
    quanta: list[int], together: int, size: int | None
) -> None:
    terms = Terms(kind="H100", together=together, size=size)
    devices = [DeviceFree(f"GPU-{n}", q, PER_GPU, terms) for n, q in enumerate(quanta)]
    placed = [asked for asked in range(1, 41) if place(devices, asked, PER_GPU)]
    assert largest(devices, PER_GPU) == max(placed, default=0)
