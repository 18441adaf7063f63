"""Who holds what, per user, per node and per device, in integers.

`reserve` checks for room and takes it in one synchronous call: between the two
nothing else runs, so capacity is never exceeded. What was reserved is confirmed
when the container that carries the labels exists, and released exactly once, however
often `release` is called. The ledger lives in memory alone: after a restart
`restore` fills it from the containers' labels, which are the truth.

Running totals keep a decision as quick with 10,000 sessions as with ten;
`audit` recounts them.
"""

from __future__ import annotations

import secrets
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bai_spawner.errors import Problem, Reason, Refused
from bai_spawner.labels import Key, SessionLabels, Share
from bai_spawner.policy import LABELS, Amounts, DeviceFree, Grant, NodeFree, Usage, compared


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a node may be asked for: cores and bytes after overcommit, quanta per device."""

    cpu: int
    memory: int
    devices: Mapping[str, int] = field(default_factory=dict)

    @property
    def largest_device(self) -> int:
        """Quanta of the device that has the most."""
        return max(self.devices.values(), default=0)


@dataclass(frozen=True, slots=True)
class Allocation:
    """What one session holds. ``shares`` are its parts of devices."""

    id: str
    user: str
    server: str
    session: str
    group: str
    node: str
    cpu: int
    memory: int
    shares: tuple[Share, ...] = ()

    @property
    def key(self) -> Key:
        """Whose it is."""
        return self.user, self.server

    @property
    def quanta(self) -> int:
        """Quanta of all its devices."""
        return sum(share.quanta for share in self.shares)


@dataclass(slots=True)
class _Total:
    """What several allocations hold together."""

    sessions: int = 0
    cpu: int = 0
    memory: int = 0
    quanta: int = 0

    def add(self, allocation: Allocation, sign: int) -> None:
        self.sessions += sign
        self.cpu += sign * allocation.cpu
        self.memory += sign * allocation.memory
        self.quanta += sign * allocation.quanta


class Ledger:
    """The books of one hub. Every method is synchronous; none may be made to wait."""

    def __init__(self, capacity: Mapping[str, Capacity]) -> None:
        self._capacity = dict(capacity)
        self._held: dict[str, Allocation] = {}
        self._confirmed: set[str] = set()
        self._servers: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        self._by_node: defaultdict[str, _Total] = defaultdict(_Total)
        self._by_user: defaultdict[str, _Total] = defaultdict(_Total)
        self._by_device: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._names: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._others = _Total()
        self._others_by_device: Counter[str] = Counter()

    @property
    def capacity(self) -> Mapping[str, Capacity]:
        """What each node has."""
        return self._capacity

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Allocation]:
        return iter(self._held.values())

    def of_server(self, user: str, server: str) -> Allocation | None:
        """What a server holds."""
        held = self._servers.get((user, server))
        return self._held[held[-1]] if held else None

    def is_confirmed(self, allocation: str) -> bool:
        """Whether a container carries this allocation's labels."""
        return allocation in self._confirmed

    def usage(self, user: str) -> Usage:
        """What a user holds."""
        if user not in self._by_user:
            return Usage()
        total = self._by_user[user]
        names = frozenset(self._names[user])
        return Usage(total.sessions, total.cpu, total.memory, total.quanta, names)

    def free(self, nodes: Iterable[str]) -> tuple[NodeFree, ...]:
        """What each node could still be asked for; never below zero."""
        return tuple(self._free(node) for node in nodes if node in self._capacity)

    def _free(self, node: str) -> NodeFree:
        capacity, held = self._capacity[node], self._by_node[node]
        others, their = self._others, self._others_by_device
        return NodeFree(
            node=node,
            cpu=max(0, capacity.cpu - held.cpu - others.cpu),
            memory=max(0, capacity.memory - held.memory - others.memory),
            devices=tuple(
                DeviceFree(
                    device, max(0, total - self._by_device[node, device] - their[device]), total
                )
                for device, total in capacity.devices.items()
            ),
        )

    def held(self, node: str) -> Amounts:
        """What this hub's sessions hold of a node, room or not."""
        total = self._by_node[node]
        return Amounts(cpu=total.cpu, memory=total.memory, shm=0, quanta=total.quanta)

    def reserve(self, grant: Grant, server: str) -> Allocation:
        """Take what was granted, on one node of the grant's group.

        Raises:
            Refused: when no node has room, in words; nothing is taken then.
        """
        if held := self.of_server(grant.user, server):
            told = f"{held.session!r} still holds it; wait until it has ended"
            raise Refused((Problem("server", told, Reason.CAPACITY),))
        if grant.session in self._names.get(grant.user, ()):
            told = f"{grant.session!r} is the name of a live session of yours"
            raise Refused((Problem("display_name", told),))
        free = self.free(grant.nodes)
        fitting = [node for node in free if _fits(node, grant)]
        if not fitting:
            capacity = [self._capacity[node.node] for node in free]
            raise Refused(tuple(_shortage(free, capacity, grant)))
        # Best fit: the node with the least room left keeps the large gaps whole.
        node = min(fitting, key=lambda n: (n.cpu, n.memory, n.node))
        allocation = Allocation(
            id=secrets.token_hex(8),
            user=grant.user,
            server=server,
            session=grant.session,
            group=grant.group,
            node=node.node,
            cpu=grant.amounts.cpu,
            memory=grant.amounts.memory,
            shares=_shares(node, grant),
        )
        self._enter(allocation)
        return allocation

    def reserve_all(self, wanted: Sequence[tuple[Grant, str]]) -> tuple[Allocation, ...]:
        """Take what several grants need, each for its server: all of it or nothing (R5).

        Raises:
            Refused: when there is no room for all of them, in words; nothing is taken then.
        """
        taken: list[Allocation] = []
        for grant, server in wanted:
            try:
                taken.append(self.reserve(grant, server))
            except Refused as error:
                for allocation in taken:
                    self.release(allocation.id)
                if not taken:
                    raise
                told = f"there is room for {len(taken)} of the {len(wanted)} asked now"
                why = "; ".join(problem.message for problem in error.problems)
                problem = Problem("sessions", f"{told} ({why})", error.reason)
                raise Refused((problem,)) from error
        return tuple(taken)

    def confirm(self, allocation: str) -> None:
        """Note that a container carries the labels: the allocation outlives this process."""
        if allocation in self._held:
            self._confirmed.add(allocation)

    def release(self, allocation: str) -> bool:
        """Give back what was held; whether anything was (a second call gives back nothing)."""
        held = self._held.pop(allocation, None)
        if held is None:
            return False
        self._confirmed.discard(allocation)
        self._servers[held.user, held.server].remove(allocation)
        if not self._servers[held.user, held.server]:
            del self._servers[held.user, held.server]
        self._names[held.user] -= Counter([held.session])
        self._count(held, -1)
        if not self._by_user[held.user].sessions:
            del self._by_user[held.user], self._names[held.user]
        return True

    def restore(self, labels: SessionLabels) -> Allocation:
        """Enter what a container's labels say, room or not: it runs, so it holds."""
        allocation = Allocation(
            id=labels.allocation,
            user=labels.user,
            server=labels.server,
            session=labels.session,
            group=labels.group,
            node=labels.node,
            cpu=labels.cpu,
            memory=labels.memory,
            shares=labels.shares,
        )
        if allocation.id not in self._held:
            self._enter(allocation)
        self._confirmed.add(allocation.id)
        return self._held[allocation.id]

    def note_others(self, sessions: Iterable[SessionLabels]) -> None:
        """Note what other hubs' sessions hold of the same engine, in place of the last note."""
        self._others, self._others_by_device = _Total(), Counter()
        for session in sessions:
            self._others.cpu += session.cpu
            self._others.memory += session.memory
            for share in session.shares:
                self._others_by_device[share.device] += share.quanta

    def audit(self) -> None:
        """Recount the running totals.

        Raises:
            AssertionError: when a total is not the sum of what is held.
        """
        fresh = Ledger(self._capacity)
        for allocation in self._held.values():
            fresh._enter(allocation)
        kept: dict[str, Any]
        for attribute in ("_by_user", "_by_node", "_by_device", "_names", "_servers"):
            kept, counted = getattr(self, attribute), getattr(fresh, attribute)
            for key in kept.keys() | counted.keys():
                if kept[key] != counted[key]:
                    raise AssertionError(f"{key}: {kept[key]} kept, {counted[key]} counted")

    def _enter(self, allocation: Allocation) -> None:
        self._held[allocation.id] = allocation
        self._servers[allocation.user, allocation.server].append(allocation.id)
        self._names[allocation.user][allocation.session] += 1
        self._count(allocation, +1)

    def _count(self, allocation: Allocation, sign: int) -> None:
        node = self._home(allocation.node)
        self._by_user[allocation.user].add(allocation, sign)
        self._by_node[node].add(allocation, sign)
        for share in allocation.shares:
            self._by_device[node, share.device] += sign * share.quanta

    def _home(self, node: str) -> str:
        """Where a session counts: a node that was renamed is still the only one there is."""
        if node in self._capacity or len(self._capacity) != 1:
            return node
        return next(iter(self._capacity))


def _fits(node: NodeFree, grant: Grant) -> bool:
    amounts = grant.amounts
    return (
        amounts.cpu <= node.cpu and amounts.memory <= node.memory and amounts.quanta <= node.quanta
    )


def _shares(node: NodeFree, grant: Grant) -> tuple[Share, ...]:
    """The smallest free part of one device that suffices; a share is never split."""
    quanta = grant.amounts.quanta
    if not quanta:
        return ()
    device = min((d for d in node.devices if d.free >= quanta), key=lambda d: (d.free, d.device))
    return (Share(device.device, quanta, grant.per_gpu),)


def _shortage(
    free: tuple[NodeFree, ...], capacity: list[Capacity], grant: Grant
) -> Iterator[Problem]:
    """Why no node fits, in words, for each resource that is short on every node."""
    where = f"resource group {grant.group!r}"
    amounts, quantum = grant.amounts, grant.quantum
    short = False
    for key, asked, most, ever in (
        ("cpu", amounts.cpu, [n.cpu for n in free], [c.cpu for c in capacity]),
        ("memory", amounts.memory, [n.memory for n in free], [c.memory for c in capacity]),
        ("fgpu", amounts.quanta, [n.quanta for n in free], [c.largest_device for c in capacity]),
    ):
        best, limit = max(most, default=0), max(ever, default=0)
        if asked <= best:
            continue
        short = True
        scale = quantum if key == "fgpu" else 1
        told, bound = compared(key, asked * scale, (limit if asked > limit else best) * scale)
        one = "device" if key == "fgpu" else "node"
        if key == "fgpu" and not limit:
            words = f"{told} asked, but {where} has no GPU"
        elif asked > limit:
            words = f"{told} asked > {bound} that one {one} of {where} has; ask for less"
        else:
            words = (
                f"{told} asked > {bound} free on one {one} of {where} now; "
                "ask for less, or try again when a session has ended"
            )
        yield _short(grant, key, words)
    if not short:
        told = f"no single node of {where} has all of it free now; ask for less, or try later"
        yield _short(grant, "cpu", told)


def _short(grant: Grant, key: str, told: str) -> Problem:
    if grant.preset:
        return Problem("preset", f"{LABELS[key]}: {told}", Reason.CAPACITY)
    return Problem(f"resources.{key}", told, Reason.CAPACITY)
