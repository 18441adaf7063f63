"""The hub's process ends at a named point, as a crash would end it: nothing is half there."""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from bai_spawner.reasons import Ending
from tests.deployment import Deployment, Visitor, eventually
from tests.faults.invariants import Witness
from tests.faults.soak import kill

SOON = 20.0
"""Seconds after a restart in which a half-made session must be gone: nobody's grace is so short."""
ALL = {"resources": {"cpu": 2, "memory": "3GiB"}}
"""As much as one session may have: a second one does not fit while anything is still held."""

_numbers = itertools.count(1)

Faults = Callable[..., contextlib.AbstractContextManager[None]]


@pytest.fixture
def user(deployment: Deployment) -> Iterator[Visitor]:
    with deployment.login(f"user{next(_numbers)}") as visitor:
        yield visitor


@pytest.fixture
def bystander(deployment: Deployment) -> Iterator[Visitor]:
    """Somebody else, who works and is not to notice."""
    with deployment.login(f"bystander{next(_numbers)}") as visitor:
        assert visitor.start("work", {}).status_code == 201
        yield visitor


@pytest.fixture
def killed_at(deployment: Deployment) -> Faults:
    """The hub dies at a point while something is asked of it, and is started again."""

    @contextlib.contextmanager
    def at(point: str, **fault: str) -> Iterator[None]:
        path = deployment.state / "faults" / point
        path.write_text(json.dumps(fault))
        process = deployment.process
        assert process
        try:
            yield
            assert process.wait(30) == -signal.SIGKILL
        finally:
            path.unlink()
        kill(deployment)
        deployment.start()

    return at


def asked(question: Callable[[], httpx.Response]) -> int:
    """The status of an answer; 0 when the connection ended before there was one."""
    with contextlib.suppress(httpx.TransportError):
        return question().status_code
    return 0


def everything_ends(witness: Witness, *visitors: Visitor) -> None:
    for visitor in visitors:
        visitor.stop_all()
    witness.nothing_is_left()


def last_record(witness: Witness, user: Visitor) -> Any:
    mine = [r for r in witness.records() if r.facts.user == user.user]
    return max(mine, key=lambda r: r.created)


@pytest.mark.parametrize(
    ("point", "fault"),
    [
        ("create", {"kill": "before"}),
        ("create", {"kill": "after"}),
        ("start", {"kill": "before"}),
        ("start", {"kill": "after"}),
        ("save", {}),
    ],
    ids=["after reserve", "after create", "before start", "after start", "before it is saved"],
)
def test_a_session_whose_start_the_hub_did_not_outlive_is_gone_soon_and_recorded(
    deployment: Deployment,
    witness: Witness,
    user: Visitor,
    bystander: Visitor,
    killed_at: Faults,
    point: str,
    fault: dict[str, str],
) -> None:
    worked = deployment.container(bystander.user, "work").id
    with killed_at(point, **fault):
        assert asked(lambda: user.start("one", ALL)) not in {201, 202}
    witness.agree({(bystander.user, "work"): 1}, seconds=SOON)
    assert deployment.container(bystander.user, "work").id == worked
    assert not user.servers(), "neither ready nor left behind"
    record = last_record(witness, user)
    assert record.end.ending is Ending.HUB_DOWN
    assert user.start("one", ALL).status_code == 201, "the whole allowance can be had again"
    witness.agree({(user.user, "one"): 1}, seconds=SOON)
    everything_ends(witness, user, bystander)


def test_a_session_that_the_hub_had_saved_is_adopted(
    deployment: Deployment, witness: Witness, user: Visitor, killed_at: Faults
) -> None:
    with killed_at("route"):
        assert asked(lambda: user.start("one", ALL, name="kept")) not in {201, 202}
    witness.agree({(user.user, "one"): 1}, seconds=SOON)
    assert user.servers()["one"]["display_name"] == "kept"
    everything_ends(witness, user)


@pytest.mark.parametrize("point", ["stop", "remove"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_end_that_the_hub_did_not_outlive_leaves_nothing_half_ended(
    witness: Witness,
    user: Visitor,
    bystander: Visitor,
    killed_at: Faults,
    point: str,
    when: str,
) -> None:
    assert user.start("one", ALL).status_code == 201
    with killed_at(point, kill=when):
        asked(lambda: user.api("DELETE", f"/users/{user.user}/servers/one"))
    witness.agree({(user.user, "one"): 1, (bystander.user, "work"): 1}, seconds=SOON)
    everything_ends(witness, user, bystander)


def test_a_session_that_died_while_the_hub_was_down_is_recorded_and_the_others_go_on(
    deployment: Deployment, witness: Witness, user: Visitor, bystander: Visitor
) -> None:
    assert user.start("one", ALL).status_code == 201
    assert user.start("two", {"resources": {"cpu": 1, "memory": "1GiB"}}).status_code == 201
    kill(deployment)
    deployment.container(user.user, "one").kill()
    deployment.start()
    witness.agree({(user.user, "one"): 1, (user.user, "two"): 1}, seconds=SOON)
    assert set(user.servers()) == {"two"}
    ended = [r for r in witness.records() if r.facts.user == user.user and r.end]
    assert [r.end.ending for r in ended if r.end] == [Ending.HUB_DOWN]
    everything_ends(witness, user, bystander)


def test_a_hub_killed_while_it_starts_starts_the_next_time(
    deployment: Deployment, witness: Witness, user: Visitor
) -> None:
    assert user.start("one", ALL).status_code == 201
    container = deployment.container(user.user, "one").id
    fault = deployment.state / "faults" / "list"
    fault.write_text(json.dumps({"kill": "after"}))
    kill(deployment)
    with contextlib.suppress(RuntimeError):  # it may answer first, or not
        deployment.start()
    process = deployment.process
    assert process
    assert eventually(lambda: process.poll() is not None, seconds=30)
    fault.unlink()
    kill(deployment)
    deployment.start()
    witness.agree({(user.user, "one"): 1}, seconds=SOON)
    assert deployment.container(user.user, "one").id == container
    everything_ends(witness, user)
