"""What a node has, what a session holds of it, and sums of that: the ledger's values.

In cores, bytes and quanta. They say nothing of who may have what, or of room.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bai_spawner.gpu.placement import DeviceFree, Terms
from bai_spawner.labels import GpuCap, Key, Share


@dataclass(frozen=True, slots=True)
class Slot:
    """A device that is handed out in parts: its quanta, on what terms, and in which groups.

    ``groups`` are resource groups; ``None``: all of the node's.
    """

    total: int
    terms: Terms = field(default_factory=Terms)
    groups: frozenset[str] | None = None

    def is_in(self, group: str | None) -> bool:
        """Whether a resource group owns it; ``None`` asks for none in particular."""
        return group is None or self.groups is None or group in self.groups


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a node may be asked for: cores and bytes after overcommit, and its devices."""

    cpu: int
    memory: int
    devices: Mapping[str, Slot] = field(default_factory=dict)

    def empty(self, group: str) -> tuple[DeviceFree, ...]:
        """The devices of a group as if nobody held anything."""
        return tuple(
            DeviceFree(device, 0 if slot.terms.note else slot.total, slot.total, slot.terms)
            for device, slot in self.devices.items()
            if slot.is_in(group)
        )


@dataclass(frozen=True, slots=True)
class Allocation:
    """What one session holds. ``shares`` are its parts of devices, ``gpu`` what each comes to."""

    id: str
    user: str
    server: str
    session: str
    group: str
    node: str
    cpu: int
    memory: int
    shares: tuple[Share, ...] = ()
    gpu: GpuCap | None = None

    @property
    def key(self) -> Key:
        """Whose it is."""
        return self.user, self.server

    @property
    def quanta(self) -> int:
        """Quanta of all its devices."""
        return sum(share.quanta for share in self.shares)


@dataclass(slots=True)
class Total:
    """What several allocations hold together."""

    sessions: int = 0
    cpu: int = 0
    memory: int = 0
    quanta: int = 0

    def add(self, allocation: Allocation, sign: int) -> None:
        """Count an allocation in (+1) or out (-1)."""
        self.sessions += sign
        self.cpu += sign * allocation.cpu
        self.memory += sign * allocation.memory
        self.quanta += sign * allocation.quanta
