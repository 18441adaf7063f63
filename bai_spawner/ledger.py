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
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from bai_spawner import units
from bai_spawner.errors import Problem, Reason, Refused
from bai_spawner.labels import SessionLabels, Share
from bai_spawner.policy import DeviceFree, Grant, NodeFree, Usage, say


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a node may be asked for: cores and bytes after overcommit, quanta per device."""

    cpu: int
    memory: int
    devices: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Allocation:
    """What one session holds. ``shares`` are its parts of devices."""

    id: str
    user: str
    server: str
    session: str
    node: str
    cpu: int
    memory: int
    shares: tuple[Share, ...] = ()

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
        self._servers: dict[tuple[str, str], str] = {}
        self._by_node: defaultdict[str, _Total] = defaultdict(_Total)
        self._by_user: defaultdict[str, _Total] = defaultdict(_Total)
        self._by_device: defaultdict[str, int] = defaultdict(int)
        self._names: defaultdict[str, set[str]] = defaultdict(set)

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Allocation]:
        return iter(self._held.values())

    def get(self, allocation: str) -> Allocation | None:
        """The allocation of this id, while it is held."""
        return self._held.get(allocation)

    def of_server(self, user: str, server: str) -> Allocation | None:
        """What a server holds."""
        return self._held.get(self._servers.get((user, server), ""))

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
        return NodeFree(
            node=node,
            cpu=max(0, capacity.cpu - held.cpu),
            memory=max(0, capacity.memory - held.memory),
            devices=tuple(
                DeviceFree(device, max(0, total - self._by_device[device]), total)
                for device, total in capacity.devices.items()
            ),
        )

    def reserve(self, grant: Grant, server: str) -> Allocation:
        """Take what was granted, on one node of the grant's group.

        Raises:
            Refused: when no node has room, in words; nothing is taken then.
        """
        if held := self.of_server(grant.user, server):
            told = f"{held.session!r} still holds it; wait until it has ended"
            raise Refused((Problem("server", told, Reason.CAPACITY),))
        free = self.free(grant.nodes)
        fitting = [node for node in free if _fits(node, grant)]
        if not fitting:
            raise Refused(tuple(_shortage(free, grant)))
        # Best fit: the node with the least room left keeps the large gaps whole.
        node = min(fitting, key=lambda n: (n.cpu, n.memory, n.node))
        allocation = Allocation(
            id=secrets.token_hex(8),
            user=grant.user,
            server=server,
            session=grant.session,
            node=node.node,
            cpu=grant.amounts.cpu,
            memory=grant.amounts.memory,
            shares=_shares(node, grant),
        )
        self._enter(allocation)
        return allocation

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
        if self._servers.get((held.user, held.server)) == allocation:
            del self._servers[held.user, held.server]
        self._names[held.user].discard(held.session)
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
            node=labels.node,
            cpu=labels.cpu,
            memory=labels.memory,
            shares=labels.shares,
        )
        if allocation.id not in self._held:
            self._enter(allocation)
        self._confirmed.add(allocation.id)
        return allocation

    def audit(self) -> None:
        """Recount the running totals.

        Raises:
            AssertionError: when a total is not the sum of what is held.
        """
        fresh = Ledger(self._capacity)
        for allocation in self._held.values():
            fresh._enter(allocation)
        for kept, counted in (
            (self._by_user, fresh._by_user),
            (self._by_node, fresh._by_node),
            (self._by_device, fresh._by_device),
        ):
            for key in kept.keys() | counted.keys():
                if kept[key] != counted[key]:
                    raise AssertionError(f"{key}: {kept[key]} kept, {counted[key]} counted")

    def _enter(self, allocation: Allocation) -> None:
        self._held[allocation.id] = allocation
        self._servers[allocation.user, allocation.server] = allocation.id
        self._names[allocation.user].add(allocation.session)
        self._count(allocation, +1)

    def _count(self, allocation: Allocation, sign: int) -> None:
        self._by_user[allocation.user].add(allocation, sign)
        self._by_node[allocation.node].add(allocation, sign)
        for share in allocation.shares:
            self._by_device[share.device] += sign * share.quanta


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


def _shortage(free: tuple[NodeFree, ...], grant: Grant) -> Iterator[Problem]:
    """Why no node fits, in words, for each resource that is short on every node."""
    amounts = grant.amounts
    where = f"resource group {grant.group!r}"
    quanta = units.from_quanta(amounts.quanta, grant.quantum)
    most_quanta = units.from_quanta(max((n.quanta for n in free), default=0), grant.quantum)
    if amounts.quanta and not any(node.devices for node in free):
        yield _short(grant, "fgpu", f"{say('fgpu', quanta)} asked, but {where} has no GPU")
        return
    short = [
        (key, asked, most)
        for key, asked, most in (
            ("cpu", amounts.cpu, max((n.cpu for n in free), default=0)),
            ("memory", amounts.memory, max((n.memory for n in free), default=0)),
            ("fgpu", quanta, most_quanta),
        )
        if asked > most
    ]
    for key, asked, most in short:
        told = (
            f"{say(key, asked)} asked > {say(key, most)} free on one "
            f"{'device' if key == 'fgpu' else 'node'} of {where} now; "
            "ask for less, or try again when a session has ended"
        )
        yield _short(grant, key, told)
    if not short:
        told = f"no single node of {where} has all of it free now; ask for less, or try later"
        yield _short(grant, "cpu", told)


def _short(grant: Grant, key: str, told: str) -> Problem:
    path = "preset" if grant.preset else f"resources.{key}"
    return Problem(path, told, Reason.CAPACITY)
