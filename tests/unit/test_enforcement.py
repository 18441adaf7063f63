"""How firmly a share is enforced: what is written is read back, and what is less is told."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bai_spawner.enforcement import Enforcement, Faults, Level

EVERY = [Enforcement(*each) for each in itertools.product(Level, Level, Faults)]
PART = st.sampled_from(
    ["memory", "compute", "faults", ": ", ", ", "none", "session", "process", "shared", "NONE", "0"]
)


@pytest.mark.parametrize("value", EVERY, ids=str)
def test_what_is_written_is_read_back(value: Enforcement) -> None:
    assert Enforcement.parse(str(value)) == value


def test_it_is_written_in_the_words_that_people_read() -> None:
    value = Enforcement(Level.SESSION, Level.NONE, Faults.CONTEXTS)
    assert str(value) == "memory: session, compute: none, faults: contexts"
    assert str(Enforcement()) == "memory: none, compute: none, faults: shared"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "none",
        "memory: none",
        "memory: none, compute: none",
        "compute: none, memory: none, faults: shared",
        "memory: none, compute: none, faults: shared, more: none",
        "memory: none, memory: none, compute: none, faults: shared",
        "memory: NONE, compute: none, faults: shared",
        "Memory: none, compute: none, faults: shared",
        "memory: shared, compute: none, faults: shared",
        "memory: none, compute: none, faults: none",
        "memory: 3, compute: 0, faults: 0",
        "memory:none, compute:none, faults:shared",
        " memory: none, compute: none, faults: shared",
        "memory: none, compute: none, faults: shared\n",
        "memory: \N{LATIN SMALL LETTER LONG S}ession, compute: none, faults: shared",
        "memory: name, compute: none, faults: shared",
        "memory: __class__, compute: none, faults: shared",
        "x" * 10**6,
        "memory: none, " * 10**5,
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError) as refused:
        Enforcement.parse(text)
    assert len(str(refused.value)) < 200


@given(st.text(max_size=80) | st.lists(PART, max_size=12).map("".join))
def test_whatever_is_read_is_exactly_what_would_be_written(text: str) -> None:
    try:
        read = Enforcement.parse(text)
    except ValueError:
        return
    assert str(read) == text


def test_what_is_lacking_is_told_by_name_with_what_there_is_and_what_is_needed() -> None:
    required = Enforcement(Level.SESSION, Level.PROCESS, Faults.ISOLATED)
    assert Enforcement().lacks(required) == (
        "memory: none < session required",
        "compute: none < process required",
        "faults: shared < isolated required",
    )
    held = Enforcement(Level.SESSION, Level.COOPERATIVE, Faults.ISOLATED)
    assert held.lacks(required) == ("compute: cooperative < process required",)


def test_nothing_is_lacking_exactly_where_each_is_at_least_what_is_required() -> None:
    for has, needs in itertools.product(EVERY, EVERY):
        enough = (
            has.memory >= needs.memory
            and has.compute >= needs.compute
            and has.faults >= needs.faults
        )
        assert (not has.lacks(needs)) == enough


def test_levels_are_ordered_by_what_they_keep() -> None:
    assert Level.NONE < Level.COOPERATIVE < Level.PROCESS < Level.SESSION
    assert Faults.SHARED < Faults.PARTIAL < Faults.CONTEXTS < Faults.ISOLATED
