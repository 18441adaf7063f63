"""What is entered of a session: all that was granted, and no value of a variable."""

from __future__ import annotations

from dataclasses import astuple, replace

from bai_spawner.entries import granted, labelled
from bai_spawner.holdings import Allocation
from bai_spawner.labels import SessionLabels
from tests.examples import a_grant

ALLOCATION = Allocation("0123", "ada", "s1", "work", "default", "local", 1, 2**30)


def test_of_variables_their_names_are_recorded_and_no_value() -> None:
    grant = replace(a_grant(), env=(("TOKEN", "tell-nobody"), ("EMPTY", ""), ("a_b", "x")))
    found = granted("hub", grant, ALLOCATION, ())
    assert found.variables == ("TOKEN", "EMPTY", "a_b")
    assert "tell-nobody" not in repr(astuple(found))


def test_a_container_does_not_tell_the_names_of_variables() -> None:
    whose = dict.fromkeys(["hub", "allocation", "user", "server", "session"], "a")
    what = dict.fromkeys(["environment", "version", "group", "node", "policy"], "b")
    assert labelled(SessionLabels(**whose, **what, cpu=1, memory=2, shm=3)).variables == ()
