"""What a session takes for an answer about its time, to the last part of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from bai_spawner.server_extension.limits.time_left import Idle, Lifetime, Time, read
from tests.inside.service import NOT_DUE, SOON, WARNED

AT = datetime(2026, 11, 26, 2, 46, 41, tzinfo=UTC)
IDLE = {"since": SOON, "timeout": 7200, "known": True}
LIFETIME = WARNED["lifetime"]


def answer(**changed: Any) -> bytes:
    return json.dumps({"time": {**WARNED, **changed}}).encode()


def test_an_answer_is_read_and_told_again_as_it_was() -> None:
    found = read(answer(idle=IDLE))
    assert found == Time(
        ends=AT,
        why="lifetime",
        warned=True,
        idle=Idle(since=AT, timeout=7200, known=True),
        lifetime=Lifetime(ends=AT, limit=86400, extend=43200, left=2),
    )
    assert found.told() == {**WARNED, "idle": IDLE}
    assert read(b'{"time": null}') is None


def test_times_are_told_in_utc() -> None:
    found = read(answer(ends="2026-11-26T03:46:41+01:00"))
    assert found
    assert found.told()["ends"] == SOON


def test_what_may_be_left_out_is() -> None:
    found = read(b'{"time": {}}')
    assert found
    assert found.told() == {**NOT_DUE, "warned": False, "idle": None}


def test_more_than_is_known_is_left_out() -> None:
    found = read(answer(words="<b>", idle={**IDLE, "more": 1}))
    assert found
    assert found.told() == {**WARNED, "idle": IDLE}


@pytest.mark.parametrize(
    "changed",
    [
        {"ends": None},
        {"why": None},
        {"why": "because"},
        {"why": ["idle"]},
        {"ends": 5},
        {"ends": "2026-11-26T02:46:41"},
        {"ends": "0001-01-01T00:00:00+14:00"},
        {"ends": SOON * 1000},
        {"idle": True},
        {"idle": {}},
        {"idle": {**IDLE, "since": "never"}},
        {"idle": {**IDLE, "timeout": "2h"}},
        {"idle": {**IDLE, "timeout": True}},
        {"idle": {**IDLE, "timeout": 2.5}},
        {"idle": {**IDLE, "timeout": -1}},
        {"idle": {**IDLE, "timeout": 10**400}},
        {"idle": {**IDLE, "timeout": float("nan")}},
        {"lifetime": []},
        {"lifetime": {**LIFETIME, "ends": None}},
        {"lifetime": {**LIFETIME, "left": None}},
        {"lifetime": {**LIFETIME, "extend": "12h"}},
    ],
)
def test_anything_else_is_no_answer(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        read(answer(**changed))


@pytest.mark.parametrize("content", [b"", b"\xff", b"1", b'"time"', b"[1]", b"{}", b"[" * 100_000])
def test_nor_is_what_has_another_shape(content: bytes) -> None:
    with pytest.raises(ValueError):
        read(content)
