"""What people read: bounded, on one line, and every problem at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bai_spawner.errors import SHOWN_LENGTH, Problem, Problems, Reason, Refused, shown

hostile = st.text() | st.sampled_from(
    [
        "a\nb",
        "a\r\nb",
        "\x1b[31mred",
        "\N{RIGHT-TO-LEFT OVERRIDE}abc",
        "\u2028",
        "\ud800",
        "x" * 5_000,
    ]
)


@given(hostile | st.lists(hostile) | st.dictionaries(hostile, hostile) | st.floats() | st.none())
def test_what_a_user_sent_is_repeated_on_one_bounded_printable_line(value: object) -> None:
    text = shown(value)
    assert 0 < len(text) <= SHOWN_LENGTH
    assert text.isprintable()
    assert text.splitlines() == [text]


@given(st.text(st.characters(categories=["L", "Nd"], max_codepoint=0x2FF), min_size=1, max_size=70))
def test_a_short_value_is_repeated_whole_and_in_quotes(text: str) -> None:
    assert shown(text) == f"'{text}'"


def test_a_long_value_ends_with_an_ellipsis() -> None:
    assert shown("x" * 200).endswith("x…")


def test_markup_is_left_to_the_page_that_shows_it() -> None:
    assert shown("<b>") == "'<b>'"


def test_a_refusal_has_one_line_for_each_problem_beginning_with_its_path() -> None:
    problems = Problems()
    problems.add("resources.cpu", "too much")
    problems.add("env.HOME", "is set by the platform", Reason.INVALID)
    with pytest.raises(Refused) as refused:
        problems.raise_any()
    assert str(refused.value) == "resources.cpu: too much\nenv.HOME: is set by the platform"


def test_without_a_problem_nothing_is_refused() -> None:
    Problems().raise_any()


@pytest.mark.parametrize(
    ("reasons", "counted"),
    [
        ([Reason.CAPACITY], Reason.CAPACITY),
        ([Reason.CAPACITY, Reason.POLICY], Reason.POLICY),
        ([Reason.POLICY, Reason.INVALID, Reason.CAPACITY], Reason.INVALID),
    ],
)
def test_a_refusal_is_counted_as_bad_input_before_policy_before_room(
    reasons: list[Reason], counted: Reason
) -> None:
    refused = Refused(tuple(Problem("here", "wrong", reason) for reason in reasons))
    assert refused.reason is counted


@pytest.mark.parametrize(
    ("known", "asked", "covered"),
    [
        ("mounts", "mounts", True),
        ("mounts[1].mode", "mounts[1]", True),
        ("mounts[1].mode", "mounts", True),
        ("mounts[10]", "mounts[1]", False),
        ("resources_of_mine", "resources", False),
        ("env", "env.HOME", False),
    ],
)
def test_a_key_is_wrong_when_it_or_something_inside_it_is(
    known: str, asked: str, covered: bool
) -> None:
    problems = Problems()
    problems.add(known, "is wrong")
    assert problems.at(asked) is covered
