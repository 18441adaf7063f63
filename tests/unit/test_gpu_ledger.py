"""The books of GPUs: exact, never exceeded, whatever comes and goes meanwhile."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bai_spawner.enforcement import Enforcement, Faults, Level
from bai_spawner.errors import Refused
from bai_spawner.gpu.placement import DeviceFree, Terms, cut
from bai_spawner.labels import GpuCap, SessionLabels, Share, decode, encode
from bai_spawner.ledger import Allocation, Capacity, Ledger, Slot
from bai_spawner.units import GIB
from tests.examples import a_grant

DEVICES = ("GPU-a", "GPU-b", "GPU-c", "MIG-d")
HELD = Enforcement(Level.SESSION, Level.NONE, Faults.CONTEXTS)


def terms(per_gpu: int, device: str = "GPU-a", note: str = "") -> Terms:
    mig = device.startswith("MIG")
    return Terms(
        title="H100",
        kind="mig" if mig else "H100",
        isolation="mig" if mig else "memcap",
        enforcement=HELD,
        usable=80 * 1024 - 1024,
        whole=per_gpu,
        size=per_gpu if mig else None,
        together=1 if mig else 64,
        note=note,
    )


def slots(per_gpu: int, devices: tuple[str, ...] = DEVICES, drained: str = "") -> dict[str, Slot]:
    return {
        device: Slot(per_gpu, terms(per_gpu, device, "drained" if device == drained else ""))
        for device in devices
    }


def books(per_gpu: int = 5, **devices: Slot) -> Ledger:
    return Ledger({"local": Capacity(10**6, 10**9 * GIB, devices or slots(per_gpu))}, per_gpu)


def labels_of(held: Allocation) -> SessionLabels:
    return SessionLabels(
        "hub", held.id, held.user, held.server, held.session, "e", "v", held.group, held.node,
        "p", held.cpu, held.memory, 0, held.shares, (), held.gpu,
    )  # fmt: skip


class GpuMachine(RuleBasedStateMachine):
    """Requests, releases, failed starts, devices lost and found, drained, units changed.

    What the containers say is kept beside as fractions of a GPU, which no unit changes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.per_gpu = 4
        self.devices = DEVICES
        self.drained = ""
        self.containers: dict[str, SessionLabels] = {}
        self.count = 0
        self.ledger = books(4)

    def _offer(self) -> None:
        self.ledger.offer("local", slots(self.per_gpu, self.devices, self.drained))

    def _held(self, device: str) -> Fraction:
        shares = (share for c in self.containers.values() for share in c.shares)
        return sum(
            (Fraction(s.quanta, s.per_gpu) for s in shares if s.device == device), Fraction(0)
        )

    @rule(quanta=st.integers(1, 14), fails=st.booleans())
    def request(self, quanta: int, fails: bool) -> None:
        self.count += 1
        name = f"s{self.count}"
        grant = a_grant(session=name, memory=1, quanta=quanta, per_gpu=self.per_gpu)
        can = self.ledger.free(["local"])[0].places(quanta)
        try:
            taken = self.ledger.reserve(grant, name)
        except Refused:
            assert not can, "there was room"
            return
        assert can
        self._is_exact(taken, quanta)
        if fails:
            assert self.ledger.release(taken.id)
            assert not self.ledger.release(taken.id)
            return
        self.ledger.confirm(taken.id)
        self.containers[taken.id] = decode(encode(labels_of(taken)))

    def _is_exact(self, taken: Allocation, quanta: int) -> None:
        count, part = cut(quanta, self.per_gpu)
        assert [(s.quanta, s.per_gpu) for s in taken.shares] == [(part, self.per_gpu)] * count
        assert len({share.device for share in taken.shares}) == count
        for share in taken.shares:
            assert share.device in self.devices
            assert share.device != self.drained
            held = self._held(share.device) + Fraction(part, self.per_gpu)
            assert held <= 1, f"{share.device} has {held} of itself handed out"
        assert taken.gpu
        assert taken.gpu.memory == (80 * 1024 - 1024) * part // self.per_gpu
        assert taken.gpu.sm == 100 * part // self.per_gpu

    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        if self.containers:
            ended = data.draw(st.sampled_from(sorted(self.containers)))
            assert self.ledger.release(ended)
            del self.containers[ended]

    @rule(devices=st.sets(st.sampled_from(DEVICES)))
    def lose_and_find_devices(self, devices: set[str]) -> None:
        self.devices = tuple(sorted(devices))
        self._offer()

    @rule(device=st.sampled_from(["", *DEVICES]))
    def drain(self, device: str) -> None:
        self.drained = device
        self._offer()

    @rule(per_gpu=st.sampled_from([1, 2, 3, 4, 5, 7, 10]))
    def restart_with_other_units(self, per_gpu: int) -> None:
        self.per_gpu = per_gpu
        self.ledger = books(per_gpu)
        self._offer()
        for session in self.containers.values():
            self.ledger.restore(session)

    @invariant()
    def the_books_are_the_containers(self) -> None:
        self.ledger.audit()
        assert {held.id for held in self.ledger} == set(self.containers)

    @invariant()
    def nothing_is_free_that_is_held(self) -> None:
        for device in self.ledger.free(["local"])[0].devices:
            free = Fraction(device.free, self.per_gpu)
            assert 0 <= free <= max(Fraction(0), 1 - self._held(device.device))

    @invariant()
    def those_are_lost_whose_device_is_missing(self) -> None:
        assert set(self.ledger.lost()) == {
            key
            for key, session in self.containers.items()
            if any(share.device not in self.devices for share in session.shares)
        }


GpuMachine.TestCase.settings = settings(
    max_examples=80, stateful_step_count=40, deadline=None, derandomize=True, database=None
)
TestGpuBooks = GpuMachine.TestCase


async def test_of_200_concurrent_requests_for_a_fifth_of_8_gpus_exactly_40_are_admitted() -> None:
    ledger = books(5, **{f"GPU-{n}": Slot(5, terms(5)) for n in range(8)})
    taken: list[Allocation] = []

    async def launch(number: int) -> None:
        await asyncio.sleep(0)
        try:
            grant = a_grant(session=f"s{number}", memory=1, quanta=1, per_gpu=5)
            taken.append(ledger.reserve(grant, f"s{number}"))
        except Refused:
            return

    await asyncio.gather(*(launch(number) for number in range(200)))
    held = Counter(share.device for allocation in taken for share in allocation.shares)
    assert len(taken) == 40
    assert held == {f"GPU-{n}": 5 for n in range(8)}, "every device is exactly full"
    for allocation in taken:
        assert ledger.release(allocation.id)
    assert len(ledger) == 0
    assert all(device.free == 5 for device in ledger.free(["local"])[0].devices)


def test_a_group_has_its_own_devices_and_a_shared_one_counts_once() -> None:
    mine, both = frozenset({"default"}), frozenset({"default", "other"})
    ledger = books(
        5,
        **{
            "GPU-a": Slot(5, terms(5), frozenset({"other"})),
            "GPU-b": Slot(2, terms(5), mine),
            "GPU-c": Slot(5, terms(5), both),
        },
    )
    elsewhere = books(5, **{"GPU-a": Slot(5, terms(5), frozenset({"other"}))})
    with pytest.raises(Refused, match="'default' has no GPU"):
        elsewhere.reserve(a_grant(quanta=1, per_gpu=5), "s")
    first = ledger.reserve(a_grant(session="one", quanta=4, per_gpu=5), "s1")
    assert first.shares == (Share("GPU-c", 4, 5),)
    free = ledger.free(["local"], "other")[0].devices
    assert [(d.device, d.free) for d in free] == [("GPU-a", 5), ("GPU-c", 1)]


@pytest.mark.parametrize(
    ("devices", "asked", "told"),
    [
        ({}, 1, "0.5 asked, but resource group 'default' has no GPU"),
        (
            {"GPU-a": Slot(0, terms(4, note="MIG is off"))},
            1,
            "0.5 asked, but no GPU of resource group 'default' is handed out: MIG is off",
        ),
        ({"GPU-a": Slot(4, terms(4))}, 6, "3 asked > 2 that resource group 'default' can give"),
        (
            {name: Slot(4, terms(4)) for name in ("GPU-a", "GPU-b", "GPU-c")},
            5,
            "it would be 5 equal shares of 0.5, each on a GPU of one kind",
        ),
        (
            {"a": Slot(1, replace(terms(4), size=1)), "b": Slot(3, replace(terms(4), size=3))},
            2,
            "its GPUs are divided into parts of 0.5 or 1.5 fGPU",
        ),
    ],
)
def test_why_no_gpu_can_be_given_is_told(devices: dict[str, Slot], asked: int, told: str) -> None:
    ledger = Ledger({"local": Capacity(8, 16 * GIB, devices)}, 4)
    with pytest.raises(Refused) as refused:
        ledger.reserve(a_grant(quanta=asked, per_gpu=4), "s")
    (problem,) = refused.value.problems
    assert problem.path == "resources.fgpu"
    assert told in problem.message


def test_a_part_of_another_size_being_free_is_told() -> None:
    devices = {
        "a": Slot(1, replace(terms(4), size=1)),
        "b": Slot(3, replace(terms(4), size=3)),
    }
    ledger = Ledger({"local": Capacity(8, 16 * GIB, devices)}, 4)
    ledger.reserve(a_grant(session="one", quanta=1, per_gpu=4), "s1")
    with pytest.raises(Refused, match="no part of exactly that is free"):
        ledger.reserve(a_grant(session="two", quanta=1, per_gpu=4), "s2")


def test_what_other_hubs_hold_counts_in_our_units() -> None:
    ledger = books(5, **{"GPU-a": Slot(5, terms(5))})
    theirs = replace(labels_of(Allocation("x", "u", "s", "n", "g", "local", 1, 1)), hub="other")
    cap = GpuCap("memcap", 1, 50, HELD)
    ledger.note_others([replace(theirs, shares=(Share("GPU-a", 1, 2),), gpu=cap)])
    assert ledger.free(["local"])[0].devices == (DeviceFree("GPU-a", 2, 5, terms(5)),)


@pytest.mark.parametrize("hub", ["ours", "another's"])
def test_nobody_is_put_beside_a_session_that_another_strategy_does_not_hold_back(hub: str) -> None:
    """The strategy was changed while sessions run, or another hub has another."""
    ledger = books(5, **{"GPU-a": Slot(5, terms(5))})
    unheld = Allocation(
        "x", "u", "s", "n", "default", "local", 1, 1, (Share("GPU-a", 1, 5),),
        GpuCap("timeslice", 1, 20, Enforcement()),
    )  # fmt: skip
    if hub == "ours":
        ledger.restore(labels_of(unheld))
    else:
        ledger.note_others([labels_of(unheld)])
    told = "sessions under timeslice are still on it"
    assert ledger.free(["local"])[0].devices[0].terms.note == told
    with pytest.raises(Refused, match=r"no part|free for one session"):
        ledger.reserve(a_grant(quanta=1, per_gpu=5), "s1")
    ledger.release("x")
    ledger.note_others([])
    assert ledger.reserve(a_grant(quanta=1, per_gpu=5), "s1").shares


def test_why_a_device_cannot_be_used_after_all_is_told() -> None:
    ledger = books(5, **{"GPU-a": Slot(5, terms(5))})
    held = ledger.reserve(a_grant(quanta=1, per_gpu=5), "s1")
    assert ledger.trouble(held.id) == ""
    ledger.offer("local", {"GPU-a": Slot(0, terms(5, note="its MPS daemon is away"))})
    assert ledger.trouble(held.id) == "its GPU GPU-a cannot be used now: its MPS daemon is away"
    ledger.offer("local", {})
    assert ledger.trouble(held.id) == "its GPU GPU-a is not there any more"
    assert ledger.trouble("nobody's") == ""
