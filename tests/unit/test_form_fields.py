"""A submitted form means the same as a body over REST."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bai_spawner.errors import Problems
from bai_spawner.options import FormRequest, from_form, parse


def form(**fields: str) -> FormRequest:
    """A form as the hub hands it over: a list of texts for each field."""
    return from_form({name.replace("__", ":"): [text] for name, text in fields.items()})


def test_a_filled_form_is_the_body_that_rest_would_have_sent() -> None:
    request = form(
        session_name=" work ",
        environment="python",
        version__python="3.13",
        version__torch="2.9",
        resource_group="default",
        preset="",
        cpu="2",
        memory="4",
        shm="0.5",
        fgpu="1.5",
        sessions="1",
        mount__data="rw",
        mount__corpus="",
        env="A=1\r\n\r\nB= x=y ",
        _xsrf="token",
    )
    assert request.body == {
        "environment": "python",
        "version": "3.13",
        "resource_group": "default",
        "resources": {"cpu": 2, "memory": "4GiB", "shm": "0.5GiB", "fgpu": "1.5"},
        "mounts": [{"folder": "data", "mode": "rw"}],
        "env": {"A": "1", "B": " x=y "},
    }
    assert request.session_name == "work"
    assert request.problems == ()


def test_an_empty_form_asks_for_the_defaults() -> None:
    assert from_form({}).body == {}
    assert form(cpu="", memory=" ", preset="", env="\n", sessions="").body == {}


def test_a_preset_leaves_the_number_boxes_aside() -> None:
    assert form(preset="small", cpu="99", memory="99").body == {"preset": "small"}


@pytest.mark.parametrize(
    ("box", "text"),
    [
        *(("cpu", text) for text in ("0", "-1", "1.5", "\N{ARABIC-INDIC DIGIT THREE}")),
        *(("memory", text) for text in ("-1", "1e3", "NaN", "1 TB")),
        *(("shm", text) for text in ("1,5", "half")),
        *(("fgpu", text) for text in ("half", "9" * 99)),
    ],
)
def test_a_box_with_anything_but_its_number_is_refused_at_its_resource(box: str, text: str) -> None:
    problems = Problems()
    parse(form(**{box: text}).body, problems)
    assert [problem.path for problem in problems] == [f"resources.{box}"]


def test_a_field_that_the_form_does_not_have_is_an_unknown_key() -> None:
    problems = Problems()
    parse(form(privileged="1", image="evil").body, problems)
    assert [problem.path for problem in problems] == ["privileged", "image"]


@pytest.mark.parametrize(("count", "sessions"), [("", 1), ("1", 1), (" 7 ", 7), ("100", 100)])
def test_the_form_asks_for_as_many_sessions_as_its_box_says(count: str, sessions: int) -> None:
    request = form(sessions=count)
    assert (request.sessions, request.problems) == (sessions, ())


@pytest.mark.parametrize("count", ["0", "101", "-1", "many", "1.0", "9" * 99, "²"])
def test_a_number_of_sessions_that_is_none_is_refused(count: str) -> None:
    (problem,) = form(sessions=count).problems
    assert str(problem).startswith("sessions: must be a whole number from 1 to 100, not '")


def test_a_line_without_an_equals_sign_is_told_by_its_number_and_not_repeated() -> None:
    (problem,) = form(env="A=1\nhunter2").problems
    assert str(problem) == "env: line 2 has no '='; write NAME=value"


def test_a_variable_set_twice_is_told_by_its_name_and_not_by_its_value() -> None:
    (problem,) = form(env="A=1\nA=hunter2").problems
    assert str(problem) == "env: line 2 sets 'A' a second time"


def test_a_new_folder_is_asked_to_be_made() -> None:
    mounts = form(new_folder="thesis").body["mounts"]
    assert mounts == [{"folder": "thesis", "mode": "rw", "create": True}]


def test_several_new_folders_are_made_in_the_order_they_were_given() -> None:
    sent = {"new_folder": ["thesis", " ", " plots "], "mount:data": ["ro"]}
    assert [mount["folder"] for mount in from_form(sent).body["mounts"]] == [
        "data",
        "thesis",
        "plots",
    ]


def test_what_was_typed_is_kept_to_fill_the_form_again() -> None:
    request = form(session_name="no good!", cpu="many", env="half a li")
    assert request.fields == {"session_name": ["no good!"], "cpu": ["many"], "env": ["half a li"]}


fields = st.dictionaries(
    st.sampled_from(
        ["environment", "version:x", "cpu", "memory", "preset", "env", "mount:../x", "sessions"]
    )
    | st.sampled_from(["resources", "mounts", "user_options", "profile", "new_folder", "alone"])
    | st.text(max_size=10),
    st.lists(st.text(max_size=10) | st.binary(max_size=5), max_size=3),
    max_size=6,
)


@given(fields)
def test_any_form_is_read_without_an_exception(sent: dict[str, Any]) -> None:
    problems = Problems()
    parse(from_form(sent).body, problems)
    assert all("\n" not in str(problem) for problem in problems)
