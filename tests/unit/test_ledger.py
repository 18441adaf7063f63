"""Who holds what: never more than there is, given back once, found again after a restart."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from bai_spawner.errors import Reason, Refused
from bai_spawner.gpu.placement import DeviceFree
from bai_spawner.labels import SessionLabels, Share
from bai_spawner.ledger import Allocation, Capacity, Ledger, Slot
from bai_spawner.policy import Grant, NodeFree, Usage
from bai_spawner.units import GIB, MIB
from tests.examples import a_grant

NODES = ("n0", "n1", "n2")
USERS = ("ada", "grace", "alan")
PER_GPU = 6


def labels_of(allocation: Allocation) -> SessionLabels:
    """What the container of an allocation says of itself."""
    return SessionLabels(
        hub="hub",
        allocation=allocation.id,
        user=allocation.user,
        server=allocation.server,
        session=allocation.session,
        environment="python",
        version="3.13",
        group=allocation.group,
        node=allocation.node,
        policy="everyone",
        cpu=allocation.cpu,
        memory=allocation.memory,
        shm=0,
        shares=allocation.shares,
        gpu=allocation.gpu,
    )


@dataclass
class Books:
    """What is held, added up anew each time it is asked for."""

    held: dict[str, Allocation] = field(default_factory=dict)

    def on_node(self, node: str, key: str) -> int:
        return sum(getattr(a, key) for a in self.held.values() if a.node == node)

    def on_device(self, device: str) -> int:
        return sum(s.quanta for a in self.held.values() for s in a.shares if s.device == device)

    def usage(self, user: str) -> Usage:
        mine = [a for a in self.held.values() if a.user == user]
        return Usage(
            sessions=len(mine),
            cpu=sum(a.cpu for a in mine),
            memory=sum(a.memory for a in mine),
            quanta=sum(a.quanta for a in mine),
            names=frozenset(a.session for a in mine),
        )


class LedgerMachine(RuleBasedStateMachine):
    """Reserve, confirm, release and restore in any order, beside books that are added up anew."""

    allocations: Bundle[Allocation] = Bundle("allocations")

    @initialize(
        cpus=st.lists(st.integers(1, 8), min_size=3, max_size=3),
        memories=st.lists(st.integers(1, 16), min_size=3, max_size=3),
        devices=st.lists(st.lists(st.integers(1, 6), max_size=3), min_size=3, max_size=3),
    )
    def start(self, cpus: list[int], memories: list[int], devices: list[list[int]]) -> None:
        self.capacity = {
            node: Capacity(cpu, memory, {f"{node}-g{i}": Slot(q) for i, q in enumerate(quanta)})
            for node, cpu, memory, quanta in zip(NODES, cpus, memories, devices, strict=True)
        }
        self.ledger = Ledger(self.capacity, PER_GPU)
        self.books = Books()
        self.confirmed: set[str] = set()
        self.count = 0

    def _fits(self, node: str, grant: Grant) -> bool:
        capacity, amounts = self.capacity[node], grant.amounts
        return (
            self.books.on_node(node, "cpu") + amounts.cpu <= capacity.cpu
            and self.books.on_node(node, "memory") + amounts.memory <= capacity.memory
            and (
                not amounts.quanta
                or any(
                    self.books.on_device(device) + amounts.quanta <= slot.total
                    for device, slot in capacity.devices.items()
                )
            )
        )

    def _next(self) -> str:
        self.count += 1
        return f"s{self.count}"

    @rule(
        target=allocations,
        user=st.sampled_from(USERS),
        nodes=st.lists(st.sampled_from(NODES), min_size=1, unique=True).map(tuple),
        cpu=st.integers(1, 4),
        memory=st.integers(1, 8),
        quanta=st.integers(0, 5),
    )
    def reserve(self, user: str, nodes: tuple[str, ...], **amounts: int) -> Any:
        name = self._next()
        grant = a_grant(user=user, session=name, nodes=nodes, per_gpu=PER_GPU, **amounts)
        if not any(self._fits(node, grant) for node in nodes):
            with pytest.raises(Refused) as refused:
                self.ledger.reserve(grant, name)
            assert refused.value.reason is Reason.CAPACITY
            return multiple()
        taken = self.ledger.reserve(grant, name)
        assert taken.node in nodes
        assert self._fits(taken.node, grant)
        self._is_exact(taken, grant)
        self.books.held[taken.id] = taken
        return taken

    def _is_exact(self, taken: Allocation, grant: Grant) -> None:
        """A share is all that was granted, of one device of the node that had it free."""
        assert (taken.cpu, taken.memory) == (grant.amounts.cpu, grant.amounts.memory)
        assert len(taken.shares) == bool(grant.amounts.quanta)
        for share in taken.shares:
            total = self.capacity[taken.node].devices[share.device].total
            assert share.quanta == grant.amounts.quanta
            assert self.books.on_device(share.device) + share.quanta <= total

    @rule(allocation=allocations)
    def reserve_again_for_the_same_server(self, allocation: Allocation) -> None:
        if allocation.id in self.books.held:
            grant = a_grant(user=allocation.user, nodes=NODES, cpu=1, memory=1)
            with pytest.raises(Refused, match="still holds it"):
                self.ledger.reserve(grant, allocation.server)

    @rule(allocation=allocations)
    def confirm(self, allocation: Allocation) -> None:
        self.ledger.confirm(allocation.id)
        if allocation.id in self.books.held:
            self.confirmed.add(allocation.id)

    @rule(allocation=consumes(allocations))
    def release_twice(self, allocation: Allocation) -> None:
        assert self.ledger.release(allocation.id) is (allocation.id in self.books.held)
        self.books.held.pop(allocation.id, None)
        self.confirmed.discard(allocation.id)
        assert self.ledger.release(allocation.id) is False
        assert not self.ledger.is_confirmed(allocation.id)

    @rule(
        target=allocations,
        user=st.sampled_from(USERS),
        node=st.sampled_from(NODES),
        cpu=st.integers(1, 12),
        quanta=st.integers(0, 9),
    )
    def restore_a_container_room_or_not(
        self, user: str, node: str, cpu: int, quanta: int
    ) -> Allocation:
        name = self._next()
        devices = list(self.capacity[node].devices) or ["gone"]
        shares = (Share(devices[0], quanta, PER_GPU),) if quanta else ()
        found = Allocation(name, user, name, name, "default", node, cpu, 3, shares)
        for _ in range(2):  # a container that is listed twice holds once
            assert self.ledger.restore(labels_of(found)) == found
        self.books.held[name] = found
        self.confirmed.add(name)
        return found

    @rule()
    def restart_the_hub(self) -> None:
        """A new ledger, filled from the labels of the containers that exist."""
        self.books.held = {key: self.books.held[key] for key in self.confirmed}
        self.ledger = Ledger(self.capacity, PER_GPU)
        for allocation in self.books.held.values():
            self.ledger.restore(labels_of(allocation))

    @invariant()
    def the_books_agree(self) -> None:
        if not hasattr(self, "ledger"):
            return
        self.ledger.audit()
        assert {a.id: a for a in self.ledger} == self.books.held
        assert len(self.ledger) == len(self.books.held)
        for allocation in self.books.held.values():
            assert self.ledger.of_server(allocation.user, allocation.server) == allocation
            assert self.ledger.is_confirmed(allocation.id) is (allocation.id in self.confirmed)
        for user in USERS:
            assert self.ledger.usage(user) == self.books.usage(user)

    @invariant()
    def what_is_free_is_what_is_not_held_and_never_below_zero(self) -> None:
        if not hasattr(self, "ledger"):
            return
        for free in self.ledger.free(NODES):
            capacity = self.capacity[free.node]
            assert free.cpu == max(0, capacity.cpu - self.books.on_node(free.node, "cpu"))
            assert free.memory == max(0, capacity.memory - self.books.on_node(free.node, "memory"))
            assert {d.device: (d.free, d.total) for d in free.devices} == {
                device: (max(0, slot.total - self.books.on_device(device)), slot.total)
                for device, slot in capacity.devices.items()
            }


LedgerMachine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, derandomize=True, database=None
)
TestLedger = LedgerMachine.TestCase


@pytest.fixture
def ledger() -> Ledger:
    return Ledger({"local": Capacity(8, 16 * GIB, {"GPU-a": Slot(4), "GPU-b": Slot(4)})}, 4)


@pytest.mark.parametrize(("quanta", "admitted"), [(1, 5), (2, 2), (3, 1), (5, 1), (6, 0)], ids=str)
async def test_of_200_concurrent_requests_for_one_device_exactly_what_fits_is_admitted(
    quanta: int, admitted: int
) -> None:
    ledger = Ledger({"local": Capacity(1_000, 1_000 * GIB, {"GPU-a": Slot(5)})}, 5)
    most = 0

    async def launch(number: int) -> bool:
        nonlocal most
        await asyncio.sleep(0)
        try:
            ledger.reserve(a_grant(session=f"s{number}", quanta=quanta, per_gpu=5), f"s{number}")
        except Refused:
            return False
        held = sum(allocation.quanta for allocation in ledger)
        most = max(most, held)
        await asyncio.sleep(0)
        return True

    outcomes = await asyncio.gather(*(launch(number) for number in range(200)))
    assert sum(outcomes) == admitted == len(ledger)
    assert most == admitted * quanta <= 5
    ledger.audit()


async def test_with_200_starts_and_ends_at_once_a_device_is_never_held_twice() -> None:
    devices = {"GPU-a": Slot(3), "GPU-b": Slot(3)}
    ledger = Ledger({"local": Capacity(1_000, 1_000 * GIB, devices)}, 4)
    held: defaultdict[str, int] = defaultdict(int)

    async def live(number: int) -> None:
        while True:
            await asyncio.sleep(0)
            try:
                taken = ledger.reserve(a_grant(session=f"s{number}", quanta=2), f"s{number}")
                break
            except Refused:
                continue
        (share,) = taken.shares
        held[share.device] += share.quanta
        assert held[share.device] <= 3
        await asyncio.sleep(0)
        held[share.device] -= share.quanta
        assert ledger.release(taken.id)

    await asyncio.gather(*(live(number) for number in range(200)))
    assert len(ledger) == 0
    ledger.audit()


def test_a_share_is_never_put_together_from_two_devices(ledger: Ledger) -> None:
    ledger.reserve(a_grant(session="one", quanta=3), "s1")
    ledger.reserve(a_grant(session="two", quanta=3), "s2")
    with pytest.raises(Refused, match=r"resources\.fgpu: 1 asked > 0\.5 free for one session"):
        ledger.reserve(a_grant(session="three", quanta=2), "s3")


def test_a_small_share_goes_where_it_leaves_the_large_gap_whole(ledger: Ledger) -> None:
    first = ledger.reserve(a_grant(session="one", quanta=2), "s1")
    second = ledger.reserve(a_grant(session="two", quanta=1), "s2")
    whole = ledger.reserve(a_grant(session="three", quanta=4), "s3")
    assert first.shares == (Share("GPU-a", 2, 4),)
    assert second.shares == (Share("GPU-a", 1, 4),)
    assert whole.shares == (Share("GPU-b", 4, 4),)


def test_what_is_free_is_told_by_device(ledger: Ledger) -> None:
    ledger.reserve(a_grant(cpu=2, memory=GIB, quanta=3), "s1")
    devices = (DeviceFree("GPU-a", 1, 4), DeviceFree("GPU-b", 4, 4))
    assert ledger.free(["local"]) == (NodeFree("local", 6, 15 * GIB, devices, 4),)
    assert ledger.free(["local"])[0].quanta == 4


def test_a_refused_reservation_takes_nothing(ledger: Ledger) -> None:
    before = ledger.free(["local"])
    with pytest.raises(Refused):
        ledger.reserve(a_grant(cpu=9), "s1")
    assert ledger.free(["local"]) == before
    assert ledger.usage("ada") == Usage()
    ledger.reserve(a_grant(cpu=8), "s1")


# R5: several sessions at once


def _wanted(sessions: int, **each: int) -> list[tuple[Grant, str]]:
    return [(a_grant(session=f"s{n}", **each), f"server{n}") for n in range(sessions)]


def test_several_sessions_hold_what_each_was_granted(ledger: Ledger) -> None:
    taken = ledger.reserve_all(_wanted(3, cpu=2, memory=GIB, quanta=2))
    assert [(a.session, a.server) for a in taken] == [(f"s{n}", f"server{n}") for n in range(3)]
    assert ledger.usage("ada") == Usage(3, 6, 3 * GIB, 6, frozenset({"s0", "s1", "s2"}))
    ledger.audit()


def test_without_room_for_all_of_them_none_is_held_and_it_is_told_for_how_many(
    ledger: Ledger,
) -> None:
    before = ledger.free(["local"])
    with pytest.raises(Refused) as refused:
        ledger.reserve_all(_wanted(5, cpu=1, memory=GIB, quanta=2))
    (problem,) = refused.value.problems
    assert (problem.path, problem.reason) == ("sessions", Reason.CAPACITY)
    assert problem.message.startswith("there is room for 4 of the 5 asked now (")
    assert (ledger.free(["local"]), len(ledger), ledger.usage("ada")) == (before, 0, Usage())
    ledger.audit()


def test_without_room_for_the_first_of_them_the_reason_is_the_resource(ledger: Ledger) -> None:
    with pytest.raises(Refused) as refused:
        ledger.reserve_all(_wanted(2, cpu=9))
    assert [problem.path for problem in refused.value.problems] == ["resources.cpu"]


# The words of a refusal for want of room

AGAIN = "ask for less, or try again when a session has ended"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (
            {"cpu": 7},
            f"resources.cpu: 7 asked > 6 free on one node of resource group 'default' now; {AGAIN}",
        ),
        (
            {"memory": 15 * GIB},
            (
                "resources.memory: 15 GiB asked > 14 GiB free on one node of resource group"
                f" 'default' now; {AGAIN}"
            ),
        ),
        (
            {"quanta": 5},
            (
                "resources.fgpu: 2.5 asked > 2 that resource group 'default' can give one"
                " session; ask for less"
            ),
        ),
        (
            {"cpu": 7, "preset": "fast"},
            f"preset: CPU: 7 asked > 6 free on one node of resource group 'default' now; {AGAIN}",
        ),
    ],
)
def test_want_of_room_is_told_with_the_numbers(
    ledger: Ledger, asked: dict[str, Any], told: str
) -> None:
    ledger.reserve(a_grant(cpu=2, memory=2 * GIB), "s0")
    with pytest.raises(Refused) as refused:
        ledger.reserve(a_grant(session="other", **asked), "s1")
    assert str(refused.value) == told
    assert refused.value.reason is Reason.CAPACITY


def test_everything_that_is_short_is_told_at_once(ledger: Ledger) -> None:
    with pytest.raises(Refused) as refused:
        ledger.reserve(a_grant(cpu=9, memory=17 * GIB, quanta=5), "s1")
    paths = [problem.path for problem in refused.value.problems]
    assert paths == ["resources.cpu", "resources.memory", "resources.fgpu"]


def test_a_group_without_gpus_says_so() -> None:
    ledger = Ledger({"local": Capacity(8, 16 * GIB)})
    with pytest.raises(Refused) as refused:
        ledger.reserve(a_grant(quanta=1), "s1")
    told = "resources.fgpu: 0.5 asked, but resource group 'default' has no GPU"
    assert str(refused.value) == told


def test_room_that_is_spread_over_two_nodes_is_told_as_such() -> None:
    ledger = Ledger({"a": Capacity(8, GIB), "b": Capacity(1, 8 * GIB)})
    with pytest.raises(Refused, match="no single node of resource group 'default' has all of it"):
        ledger.reserve(a_grant(nodes=("a", "b"), cpu=4, memory=4 * GIB), "s1")


def test_a_server_that_still_holds_its_session_is_told_by_the_sessions_name(ledger: Ledger) -> None:
    ledger.reserve(a_grant(session="mywork"), "s1")
    with pytest.raises(Refused) as refused:
        ledger.reserve(a_grant(session="again"), "s1")
    assert str(refused.value) == "server: 'mywork' still holds it; wait until it has ended"


def test_the_same_server_name_of_two_users_are_two_servers(ledger: Ledger) -> None:
    ledger.reserve(a_grant(user="ada"), "s1")
    ledger.reserve(a_grant(user="grace"), "s1")
    assert len(ledger) == 2


# After a restart


def test_a_restored_session_over_capacity_goes_on_and_leaves_no_room() -> None:
    ledger = Ledger({"local": Capacity(1, GIB, {"GPU-a": Slot(1)})}, 4)
    running = Allocation(
        "id", "ada", "s1", "work", "default", "local", 4, 4 * GIB, (Share("GPU-a", 3, 4),)
    )
    ledger.restore(labels_of(running))
    assert list(ledger) == [running]
    assert ledger.is_confirmed("id")
    (free,) = ledger.free(["local"])
    assert (free.cpu, free.memory, free.quanta) == (0, 0, 0)
    with pytest.raises(Refused, match="1 asked > 0 free"):
        ledger.reserve(a_grant(user="grace", memory=MIB), "s2")
    ledger.release("id")
    ledger.reserve(a_grant(user="grace", memory=MIB), "s2")


def test_a_session_on_a_node_that_is_no_longer_there_still_counts_for_its_user() -> None:
    ledger = Ledger({"local": Capacity(8, 16 * GIB)})
    ledger.restore(labels_of(Allocation("id", "ada", "s1", "work", "default", "gone", 4, GIB)))
    assert ledger.usage("ada").cpu == 4
    (free,) = ledger.free(["local", "gone"])
    assert free.cpu == 4, "the only node that there is was called otherwise then"
    ledger.audit()
    assert ledger.release("id")
    assert ledger.free(["local"])[0].cpu == 8


def test_what_was_never_held_is_neither_confirmed_nor_released(ledger: Ledger) -> None:
    ledger.confirm("nothing")
    assert not ledger.is_confirmed("nothing")
    assert not ledger.release("nothing")
    assert ledger.of_server("ada", "s1") is None


def test_an_audit_finds_a_total_that_is_off(ledger: Ledger) -> None:
    ledger.reserve(a_grant(), "s1")
    ledger._by_node["local"].cpu += 1
    with pytest.raises(AssertionError, match="local"):
        ledger.audit()
