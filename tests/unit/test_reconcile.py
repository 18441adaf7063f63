"""What follows from comparing containers, ledger and servers."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from bai_spawner import labels
from bai_spawner.engine import ContainerState
from bai_spawner.labels import SessionLabels, Share
from bai_spawner.ledger import Capacity, Ledger, Slot
from bai_spawner.reasons import Ending
from bai_spawner.reconcile import Room, Watch, death, gone, room, strangers
from bai_spawner.units import GIB
from tests.examples import a_grant

PER_GPU = 2
NODE = "local"


def labelled(
    allocation: str = "a1",
    *,
    hub: str = "here",
    user: str = "ada",
    server: str = "one",
    cpu: int = 1,
    memory: int = GIB,
    shares: tuple[Share, ...] = (),
) -> SessionLabels:
    return SessionLabels(
        hub=hub,
        allocation=allocation,
        user=user,
        server=server,
        session="work",
        environment="python",
        version="3.13",
        group="default",
        node=NODE,
        policy="everyone",
        cpu=cpu,
        memory=memory,
        shm=64,
        shares=shares,
    )


def container(session: SessionLabels, status: str = "running") -> ContainerState:
    return ContainerState(
        id=f"id of {session.allocation}",
        name=session.allocation,
        status=status,
        exit_code=0,
        oom_killed=False,
        error="",
        address="",
        labels=labels.encode(session),
    )


FOREIGN = replace(container(labelled()), labels={"bai.hub": "here", "bai.schema": "of tomorrow"})


def capacity(cpu: int = 4, memory: int = 4 * GIB, **devices: int) -> dict[str, Capacity]:
    return {NODE: Capacity(cpu, memory, {name: Slot(total) for name, total in devices.items()})}


def having(cpu: int = 4, memory: int = 4 * GIB, **devices: int) -> Ledger:
    return Ledger(capacity(cpu, memory, **devices), PER_GPU)


def books(*sessions: SessionLabels) -> Ledger:
    ledger = Ledger(capacity())
    for session in sessions:
        ledger.restore(session)
    return ledger


# ---- strangers and those that are gone --------------------------------------------


def test_whoever_has_a_container_or_a_share_and_no_owner_is_a_stranger() -> None:
    owned, alone = labelled("a1"), labelled("a2", server="two")
    held = labelled("a3", server="three")
    found = [container(owned), container(alone, "exited"), FOREIGN]
    assert strangers(found, books(owned, held), {owned.key}) == {alone.key, held.key}
    assert strangers(found, books(), {owned.key, alone.key}) == set()


def test_a_share_whose_container_is_still_being_made_is_no_strangers() -> None:
    ledger = books()
    made = ledger.reserve(a_grant(nodes=(NODE,)), "one")
    assert strangers([], ledger, set()) == set()
    ledger.confirm(made.id)
    assert strangers([], ledger, set()) == {("ada", "one")}


def test_a_share_whose_container_is_not_there_is_gone_whatever_else_has_its_name() -> None:
    there, lost = labelled("a1"), labelled("a2", server="two")
    expected = list(books(there, lost))
    newer = labelled("a9", server="two")
    assert [a.id for a in gone([container(there), container(newer), FOREIGN], expected)] == ["a2"]
    assert list(gone([container(there, "exited"), container(lost)], expected)) == []


def test_a_strangers_grace_begins_anew_when_it_had_an_owner_in_between() -> None:
    watch = Watch(10)
    one, two = ("ada", "one"), ("ada", "two")
    assert watch.overdue({one}, 100) == set()
    assert watch.overdue({one, two}, 109.9) == set()
    assert watch.overdue({one, two}, 110) == {one}
    assert watch.overdue({two}, 115) == set()
    assert watch.overdue({one, two}, 119.9) == {two}, "the first was none at 115"
    assert watch.overdue({one}, 129.9) == {one}


def test_without_grace_a_stranger_is_overdue_at_once() -> None:
    assert Watch(0).overdue({("ada", "one")}, 5) == {("ada", "one")}


@pytest.mark.parametrize(
    ("changed", "outside", "ending"),
    [
        ({"exit_code": 137, "oom_killed": True}, False, Ending.MEMORY),
        ({"exit_code": 137}, False, Ending.EXITED),
        ({"exit_code": 137, "oom_killed": True}, True, Ending.REMOVED),
        ({"exit_code": 135}, False, Ending.SHM),
        ({"exit_code": 0, "oom_killed": True}, False, Ending.EXITED),
    ],
)
def test_a_death_is_told_from_what_the_engine_says_of_it(
    changed: dict[str, int], outside: bool, ending: Ending
) -> None:
    state = replace(container(labelled(), "exited"), **changed)
    assert death(state, from_outside=outside).ending is ending
    assert death(replace(state, labels={}), from_outside=outside).ending is ending


# ---- room among several hubs -----------------------------------------------------


def test_there_is_room_up_to_the_last_of_everything() -> None:
    device = {"gpu0": 2, "gpu1": 1}
    one = labelled("a1", cpu=2, memory=GIB, shares=(Share("gpu0", 1, 2),))
    two = labelled("a2", hub="there", cpu=2, memory=3 * GIB, shares=(Share("gpu0", 1, 2),))
    both = [container(two, "created"), container(one)]
    assert room("a2", both, having(**device)) is Room.ENOUGH
    for short in (
        having(cpu=3, **device),
        having(memory=4 * GIB - 1, **device),
        having(gpu0=1, gpu1=9),
    ):
        assert room("a2", both, short) is Room.NONE, "the later one gives way"
        assert room("a1", both, short) is Room.PERHAPS, "the earlier one waits until it has"


def test_where_a_device_is_not_known_any_more_nobody_starts_on_it() -> None:
    """What its hub cannot see it cannot count: another's session may be on it."""
    mine = labelled("a1", shares=(Share("gone", 1, 2),))
    lost = labelled("a2", server="two", shares=(Share("lost", 2, 2),))
    assert room("a1", [container(mine, "created")], having(gpu0=2)) is Room.NONE
    well = labelled("a3", server="three", shares=(Share("gpu0", 2, 2),))
    there = [container(well, "created"), container(lost)]
    assert room("a3", there, having(gpu0=2)) is Room.ENOUGH, "one that is lost blocks no other"


def test_a_later_one_that_runs_already_stays_and_one_that_ended_counts_for_nothing() -> None:
    early, late = labelled("a1"), labelled("a2", hub="there")
    short = having(cpu=1)
    assert room("a1", [container(late), container(early, "created")], short) is Room.NONE
    ended = container(late, "exited")
    assert room("a1", [ended, container(early, "created")], short) is Room.ENOUGH
    assert room("a1", [FOREIGN, container(early, "created")], short) is Room.ENOUGH


def test_of_one_that_is_not_there_nothing_is_said() -> None:
    full = [container(labelled("a1")), container(labelled("a2"))]
    assert room("a3", full, having(cpu=1)) is Room.ENOUGH


@dataclass
class Racer:
    """One hub's start, as `Lifecycle` goes about it: create, look until it is clear, start.

    The engine notes when a create began, and lists what it made a while later.
    """

    session: SessionLabels
    tries: int
    steps: int = 0
    began: int = 0
    outcome: str = ""
    seen: Room | None = None


@dataclass
class Race:
    """An engine on which several hubs start a session each; what runs was there before."""

    node: dict[str, Capacity]
    racers: list[Racer]
    made: dict[str, ContainerState] = field(default_factory=dict)
    clock: int = 0

    @property
    def there(self) -> list[ContainerState]:
        """What the engine lists: the newest first, by when its create began."""
        began = {racer.session.allocation: racer.began for racer in self.racers}
        return sorted(self.made.values(), key=lambda c: -began[c.name])

    def step(self, racer: Racer) -> None:
        """What one hub does next. Between a look and what follows from it others act."""
        own = racer.session.allocation
        if racer.outcome:
            return
        racer.steps += 1
        self.clock += 1
        if racer.steps == 1:
            racer.began = self.clock
        elif racer.steps == 2:
            self.made[own] = container(racer.session, "created")
        elif racer.seen is None:
            racer.seen = room(own, self.there, Ledger(self.node, PER_GPU))
        elif racer.seen is Room.ENOUGH:
            self.made[own] = replace(self.made[own], status="running")
            racer.outcome = "runs"
        elif racer.seen is Room.NONE or racer.tries == 0:
            del self.made[own]
            racer.outcome = "gave way"
        else:
            racer.tries -= 1
            racer.seen = None

    def running(self) -> list[SessionLabels]:
        return [s for c in self.there if c.running and (s := c.session())]


sizes = st.builds(
    labelled,
    cpu=st.integers(1, 3),
    memory=st.integers(1, 3).map(lambda gib: gib * GIB),
    shares=st.sampled_from([(), (Share("gpu0", 1, 2),), (Share("gpu0", 2, 2),)]),
)


@st.composite
def races(draw: st.DrawFn) -> Race:
    """Each hub saw room for its own when it asked: that is what the ledger is for."""
    node = capacity(cpu=draw(st.integers(3, 6)), memory=draw(st.integers(3, 6)) * GIB, gpu0=2)
    wanted = draw(st.lists(sizes, min_size=2, max_size=4))
    racers = [
        Racer(replace(session, allocation=f"a{number}", hub=f"hub{number}"), tries=25)
        for number, session in enumerate(wanted)
    ]
    return Race(node, racers)


def exceeded(race: Race) -> bool:
    running, node = race.running(), race.node[NODE]
    shares = sum(share.quanta for s in running for share in s.shares)
    return (
        sum(s.cpu for s in running) > node.cpu
        or sum(s.memory for s in running) > node.memory
        or shares > node.devices["gpu0"].total
    )


@settings(max_examples=400)
@given(race=races(), data=st.data())
def test_in_whatever_order_hubs_act_what_runs_fits_and_somebody_starts(
    race: Race, data: st.DataObject
) -> None:
    order = data.draw(st.lists(st.integers(0, len(race.racers) - 1), max_size=40))
    # after the drawn order everybody goes on in turn, as hubs do
    for number in itertools.chain(order, itertools.cycle(range(len(race.racers)))):
        race.step(race.racers[number])
        assert not exceeded(race)
        if all(racer.outcome for racer in race.racers):
            break
    note(str([(r.session.cpu, r.outcome) for r in race.racers]))
    assert "runs" in {racer.outcome for racer in race.racers}, "not all of them gave way"
    assert len(race.there) == len(race.running()), "whoever gave way left nothing"


@settings(max_examples=200)
@given(race=races(), data=st.data())
def test_whoever_fits_beside_all_the_others_starts_whatever_they_do(
    race: Race, data: st.DataObject
) -> None:
    total = Capacity(99, 999 * GIB, {"gpu0": Slot(99)})
    race.node = {NODE: total}
    order = data.draw(st.permutations(list(range(len(race.racers))) * 4))
    for number in order:
        race.step(race.racers[number])
    assert [racer.outcome for racer in race.racers] == ["runs"] * len(race.racers)
