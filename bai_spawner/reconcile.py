"""What containers, ledger and servers say when they are compared: pure functions.

- A *stranger* is a session that no server of the hub leads to: its hub was killed between
  letting go of the server and removing the container, the hub's database was lost, or a
  create finished after everybody had given up on it. It is got rid of after a grace
  period, in which whoever put the database back finds it running.
- A session that is *gone* holds a share, and its container is not there.
- There may be no *room*: several hubs on one engine know of each other only by their
  containers, and two that create at once must not both start.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from enum import Enum, auto

from bai_spawner.engine import ContainerState
from bai_spawner.labels import Key, SessionLabels
from bai_spawner.ledger import Allocation, Ledger
from bai_spawner.reasons import Death, End, of_death


def death(state: ContainerState, *, from_outside: bool = False) -> End:
    """Why a container ended that the hub did not end."""
    session = state.session()
    return of_death(
        Death(
            exit_code=state.exit_code,
            oom_killed=state.oom_killed,
            memory=session.memory if session else 0,
            shm=session.shm if session else 0,
            from_outside=from_outside,
        )
    )


def strangers(
    containers: Iterable[ContainerState], ledger: Ledger, owned: Collection[Key]
) -> set[Key]:
    """Users and servers that have a container or hold a share, and no owner.

    An allocation that is not confirmed yet belongs to a start that is under way.
    """
    running = {session.key for c in containers if (session := c.session())}
    holding = {a.key for a in ledger if ledger.is_confirmed(a.id)}
    return (running | holding) - set(owned)


def gone(
    containers: Iterable[ContainerState], expected: Iterable[Allocation]
) -> Iterable[Allocation]:
    """Those whose container is not there.

    ``expected`` are confirmed allocations from before the containers were listed: what was
    made since is in neither.
    """
    there = {session.allocation for c in containers if (session := c.session())}
    return [allocation for allocation in expected if allocation.id not in there]


class Watch:
    """Remembers since when each stranger is one.

    Args:
        grace: seconds that a stranger is left alone.
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._since: dict[Key, float] = {}

    def overdue(self, found: Collection[Key], now: float) -> set[Key]:
        """Those whose grace is over. Whoever is no stranger any more is forgotten."""
        self._since = {key: self._since.get(key, now) for key in found}
        return {key for key, since in self._since.items() if now - since >= self._grace}


class Room(Enum):
    """Whether a container that was just made may start."""

    ENOUGH = auto()
    PERHAPS = auto()
    """Only with a later one of another hub, which should give way, there is too little."""
    NONE = auto()


def room(allocation: str, containers: Sequence[ContainerState], ledger: Ledger) -> Room:
    """Whether there is room for a container beside all the others on the engine.

    The earlier of two goes first. A later one that runs already did not see this one when
    it looked, and this one gives way.

    Args:
        allocation: of the container.
        containers: of every hub, the newest first.
        ledger: knows what this hub's nodes have, which are all this one engine.
    """
    held = [(c, s) for c in containers if c.holds and (s := c.session())]
    mine = next((i for i, (_, s) in enumerate(held) if s.allocation == allocation), None)
    if mine is None:  # somebody removed it: whoever starts it finds out
        return Room.ENOUGH
    session = held[mine][1]
    if _fit([s for _, s in held], session, ledger):
        return Room.ENOUGH
    before = [s for c, s in held[:mine] if c.running] + [s for _, s in held[mine:]]
    return Room.PERHAPS if _fit(before, session, ledger) else Room.NONE


def _fit(sessions: Sequence[SessionLabels], mine: SessionLabels, ledger: Ledger) -> bool:
    """Whether all of them fit on the node of one, and on its devices.

    Other devices are no concern of its: one may be lost, and held by sessions that go on.
    """
    node = ledger.capacity[mine.node]
    shares: Counter[str] = Counter()
    for session in sessions:
        for share in session.shares:
            shares[share.device] += share.of(ledger.per_gpu).quanta
    return (
        sum(s.cpu for s in sessions) <= node.cpu
        and sum(s.memory for s in sessions) <= node.memory
        and all(
            share.device in node.devices
            and shares[share.device] <= node.devices[share.device].total
            for share in mine.shares
        )
    )
