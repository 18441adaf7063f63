"""Who holds what, per user, per node and per device, in integers.

`reserve` checks for room and takes it in one synchronous call: between the two
nothing else runs, so capacity is never exceeded. What was reserved is confirmed
when the container that carries the labels exists, and released exactly once, however
often `release` is called. The ledger lives in memory alone: after a restart
`restore` fills it from the containers' labels, which are the truth.

Devices come and go while sessions run (`offer`). What is held of one that is missing stays
counted until the container is gone. Where the units of a GPU were changed, what is held
counts in the new ones, rounded up.

Running totals keep a decision as quick with 10,000 sessions as with ten;
`audit` recounts them.
"""

from __future__ import annotations

import secrets
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bai_spawner.errors import Problem, Reason, Refused
from bai_spawner.gpu.placement import DeviceFree, place
from bai_spawner.gpu.share import sm_percent
from bai_spawner.holdings import Allocation, Capacity, Slot, Total
from bai_spawner.labels import GpuCap, SessionLabels, Share, isolation
from bai_spawner.policy import Amounts, Grant, NodeFree, Usage
from bai_spawner.shortage import shortage

__all__ = ["Allocation", "Capacity", "Ledger", "Slot"]


class Ledger:
    """The books of one hub. Every method is synchronous; none may be made to wait.

    Args:
        capacity: what each node may be asked for.
        per_gpu: quanta of a whole GPU.
    """

    def __init__(self, capacity: Mapping[str, Capacity], per_gpu: int = 1) -> None:
        self._capacity = dict(capacity)
        self._per_gpu = per_gpu
        self._held: dict[str, Allocation] = {}
        self._confirmed: set[str] = set()
        self._servers: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        self._by_node: defaultdict[str, Total] = defaultdict(Total)
        self._by_user: defaultdict[str, Total] = defaultdict(Total)
        self._by_device: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        """By node and device, the quanta held under each strategy."""
        self._names: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._others = Total()
        self._others_by_device: defaultdict[str, Counter[str]] = defaultdict(Counter)

    @property
    def capacity(self) -> Mapping[str, Capacity]:
        """What each node has."""
        return self._capacity

    @property
    def per_gpu(self) -> int:
        """Quanta of a whole GPU."""
        return self._per_gpu

    def offer(self, node: str, devices: Mapping[str, Slot]) -> None:
        """Take note of what devices a node has now. What is held of others stays held."""
        self._capacity[node] = replace(self._capacity[node], devices=dict(devices))

    def trouble(self, allocation: str) -> str:
        """Why a device that an allocation holds cannot be used now; empty when all can."""
        held = self._held.get(allocation)
        if held is None:
            return ""
        there = self._capacity[self._home(held.node)].devices
        for share in held.shares:
            if share.device not in there:
                return f"its GPU {share.device} is not there any more"
            if not there[share.device].total:
                return (
                    f"its GPU {share.device} cannot be used now: {there[share.device].terms.note}"
                )
        return ""

    def lost(self) -> dict[str, str]:
        """By allocation, a device that it holds and that is not there any more."""
        found: dict[str, str] = {}
        for allocation in self._held.values():
            there = self._capacity.get(self._home(allocation.node), Capacity(0, 0)).devices
            gone = [share.device for share in allocation.shares if share.device not in there]
            if gone:
                found[allocation.id] = gone[0]
        return found

    def __contains__(self, allocation: object) -> bool:
        return allocation in self._held

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

    def free(self, nodes: Iterable[str], group: str | None = None) -> tuple[NodeFree, ...]:
        """What each node could still be asked for; never below zero.

        With a resource group, of its devices alone.
        """
        return tuple(self._free(node, group) for node in nodes if node in self._capacity)

    def _free(self, node: str, group: str | None, *, devices: bool = True) -> NodeFree:
        """With no ``devices``, of cores and memory alone, whatever a node has besides."""
        capacity, held = self._capacity[node], self._by_node[node]
        return NodeFree(
            node=node,
            cpu=max(0, capacity.cpu - held.cpu - self._others.cpu),
            memory=max(0, capacity.memory - held.memory - self._others.memory),
            devices=tuple(
                self._device(node, device, slot)
                for device, slot in capacity.devices.items()
                if slot.is_in(group)
            )
            if devices
            else (),
            per_gpu=self._per_gpu,
        )

    def _empty(self, node: str, group: str) -> NodeFree:
        """What a node could be asked for if nobody held anything."""
        there = self._capacity[node]
        return NodeFree(node, there.cpu, there.memory, there.empty(group), self._per_gpu)

    def _device(self, node: str, device: str, slot: Slot) -> DeviceFree:
        """What is left of a device; nothing while sessions of another strategy are on it.

        Nobody limits those to what this one's sessions are promised.
        """
        if slot.terms.note:
            return DeviceFree(device, 0, slot.total, slot.terms)
        mine, theirs = self._by_device.get((node, device)), self._others_by_device.get(device)
        if not mine and not theirs:
            return DeviceFree(device, slot.total, slot.total, slot.terms)
        held = (mine or Counter()) + (theirs or Counter())
        if others := sorted(held.keys() - {slot.terms.isolation}):
            told = f"sessions under {', '.join(others)} are still on it"
            return DeviceFree(device, 0, slot.total, replace(slot.terms, note=told))
        return DeviceFree(device, max(0, slot.total - held.total()), slot.total, slot.terms)

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
        wanted = bool(grant.amounts.quanta)  # most sessions want no GPU, and a host may have many
        nodes = (node for node in grant.nodes if node in self._capacity)
        free = tuple(self._free(node, grant.group, devices=wanted) for node in nodes)
        fitting = [(node, way) for node in free if (way := _way(node, grant)) is not None]
        if not fitting:
            empty = [self._empty(node.node, grant.group) for node in free]
            raise Refused(tuple(shortage(free, empty, grant)))
        # Best fit: the node with the least room left keeps the large gaps whole.
        node, devices = min(fitting, key=lambda way: (way[0].cpu, way[0].memory, way[0].node))
        shares, cap = _shares(devices, grant)
        allocation = Allocation(
            id=secrets.token_hex(8),
            user=grant.user,
            server=server,
            session=grant.session,
            group=grant.group,
            node=node.node,
            cpu=grant.amounts.cpu,
            memory=grant.amounts.memory,
            shares=shares,
            gpu=cap,
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
            shares=tuple(share.of(self._per_gpu) for share in labels.shares),
            gpu=labels.gpu,
        )
        if allocation.id not in self._held:
            self._enter(allocation)
        self._confirmed.add(allocation.id)
        return self._held[allocation.id]

    def note_others(self, sessions: Iterable[SessionLabels]) -> None:
        """Note what other hubs' sessions hold of the same engine, in place of the last note."""
        self._others, self._others_by_device = Total(), defaultdict(Counter)
        for session in sessions:
            self._others.cpu += session.cpu
            self._others.memory += session.memory
            for share in session.shares:
                held = self._others_by_device[share.device]
                held[isolation(session.gpu)] += share.of(self._per_gpu).quanta

    def audit(self) -> None:
        """Recount the running totals.

        Raises:
            AssertionError: when a total is not the sum of what is held.
        """
        fresh = Ledger(self._capacity, self._per_gpu)
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
            self._by_device[node, share.device][isolation(allocation.gpu)] += sign * share.quanta

    def _home(self, node: str) -> str:
        """Where a session counts: a node that was renamed is still the only one there is."""
        if node in self._capacity or len(self._capacity) != 1:
            return node
        return next(iter(self._capacity))


def _way(node: NodeFree, grant: Grant) -> tuple[DeviceFree, ...] | None:
    """The devices that a grant gets on a node; ``None`` where it does not fit."""
    amounts = grant.amounts
    if amounts.cpu > node.cpu or amounts.memory > node.memory:
        return None
    if not amounts.quanta:
        return ()
    return place(node.devices, amounts.quanta, grant.per_gpu) or None


def _shares(
    devices: tuple[DeviceFree, ...], grant: Grant
) -> tuple[tuple[Share, ...], GpuCap | None]:
    """The parts of devices that a grant gets, and what each of them comes to."""
    if not devices:
        return (), None
    part = grant.amounts.quanta // len(devices)
    terms = devices[0].terms
    cap = GpuCap(
        isolation=terms.isolation,
        memory=terms.memory(part),
        sm=sm_percent(part, grant.per_gpu),
        enforcement=terms.enforcement,
        verified=terms.verified,
    )
    return tuple(Share(device.device, part, grant.per_gpu) for device in devices), cap
