"""Ports of the host: each live session has one of its own, and none leaks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bai_spawner import ports
from bai_spawner.errors import CatalogError
from bai_spawner.ports import Ports, parse_range


@pytest.mark.parametrize(
    ("text", "first", "last"), [("31001-32000", 31001, 32000), ("1024-65535", 1024, 65535)]
)
def test_a_range_has_both_its_ends(text: str, first: int, last: int) -> None:
    found = parse_range(text)
    assert (found[0], found[-1]) == (first, last)


def test_an_empty_text_publishes_none() -> None:
    assert Ports(parse_range("")).of("a", {"a"}) is None


@pytest.mark.parametrize(
    "text",
    ["22", "80-90", "1023-2000", "2000-1999", "2000-65536", "2000 - 2001", "-", "a-b", "٣-٤"],
)
def test_what_is_no_range_is_refused_with_what_is_accepted(text: str) -> None:
    with pytest.raises(CatalogError, match=r"BaiRuntime.ssh_ports: .* such as '31001-32000'"):
        parse_range(text)


@given(st.lists(st.tuples(st.sampled_from(["ask", "end", "taken"]), st.integers(0, 9))))
def test_live_sessions_have_different_ports_and_ended_ones_none(
    steps: list[tuple[str, int]],
) -> None:
    pool = range(2000, 2004)
    tried = Ports(pool)
    live: dict[str, int] = {}
    avoided: set[int] = set()
    for step, number in steps:
        name = f"a{number}"
        if step == "end":
            live.pop(name, None)
        elif step == "taken" and name in live:
            avoided.add(live.pop(name))
            tried.taken(name)
        elif step == "ask":
            got = tried.of(name, {*live, name})
            free = set(pool) - set(live.values()) - avoided
            if name in live:
                assert got == live[name]
            elif got is None:
                assert not free
            else:
                assert got in free
                live[name] = got


def test_what_a_running_container_has_is_not_drawn_again() -> None:
    tried = Ports(range(2000, 2002))
    tried.restore("old", 2000)
    tried.restore("older", 0)
    live = {"old", "older", "new"}
    assert tried.of("old", live) == 2000
    assert tried.of("new", live) == 2001
    assert tried.of("older", live) is None
    assert tried.of("older", live - {"old"}) == 2000


def test_a_port_of_another_program_is_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(ports.time, "monotonic", lambda: now)
    tried = Ports(range(2000, 2001))
    assert tried.of("a", {"a"}) == 2000
    tried.taken("a")
    assert tried.of("a", {"a"}) is None
    now = ports.AVOID_SECONDS + 1
    assert tried.of("a", {"a"}) == 2000
