"""The whole as superadmins see it: groups, nodes and devices, with the sessions on each. Pure.

    nodes     of each: CPU and memory (``total``, ``allocated``, ``free``), how many sessions
              are on it, and its devices
    devices   of each: what it has in fGPU (as text: ``total``, ``allocated``, ``free``, and
              ``largest``, the largest share that is free), how it is shared, why nothing of it
              is handed out (``note``), its memory in bytes, and the sessions on it
    groups    of each: what its sessions were granted, and what its nodes have free. A node in
              two groups is free in both
    age       seconds since what is free was so

What is allocated is what this hub's live sessions were granted; what is free is so for
everybody, and other hubs on the same engine may hold the rest. A device that sessions hold
and that is gone is told of as long as they hold it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bai_spawner import bulletin, units
from bai_spawner.catalog import Catalog
from bai_spawner.gpu.placement import DeviceFree, largest
from bai_spawner.policy import Availability, NodeFree
from bai_spawner.records import Facts

GONE = "it is not there any more"
NOBODYS = "no resource group has it"


@dataclass(frozen=True)  # without slots: what every device asks for is found once and kept
class Cluster:
    """What there is, what of it is free, and which sessions live."""

    catalog: Catalog
    capacity: Mapping[str, bulletin.Whole]
    availability: Availability
    live: Sequence[Facts]

    def told(self, *, age: float = 0.0) -> dict[str, Any]:
        """All of it."""
        return {
            "nodes": [self._node(name, node) for name, node in self.capacity.items()],
            "groups": [self._group(key) for key in self._groups()],
            "age": round(age, 1),
        }

    # ---- nodes

    def _node(self, name: str, node: bulletin.Whole) -> dict[str, Any]:
        here = [facts for facts in self.live if self._home(facts) == name]
        free = self._free_nodes.get(name)
        told: dict[str, Any] = {"node": name}
        for key in ("cpu", "memory"):
            total, allocated = getattr(node, key), sum(getattr(facts, key) for facts in here)
            left = getattr(free, key) if free else max(0, total - allocated)
            told[key] = {"total": total, "allocated": allocated, "free": left}
        gone = {uuid for facts in here for uuid in facts.devices} - node.devices.keys()
        known = {**node.devices, **{uuid: _gone(uuid) for uuid in sorted(gone)}}
        on: dict[str, list[Facts]] = {uuid: [] for uuid in known}
        for facts in here:
            for uuid in facts.devices:
                on[uuid].append(facts)
        devices = [self._device(uuid, one, on[uuid]) for uuid, one in known.items()]
        return {**told, "sessions": len(here), "devices": devices}

    def _home(self, facts: Facts) -> str:
        """Where a session counts: a node that was renamed is still the only one there is."""
        if facts.node in self.capacity or len(self.capacity) != 1:
            return facts.node
        return next(iter(self.capacity))

    @cached_property
    def _free_nodes(self) -> dict[str, NodeFree]:
        return {node.node: node for nodes in self.availability.values() for node in nodes}

    def _device(
        self, uuid: str, device: bulletin.DeviceWhole, on_it: Sequence[Facts]
    ) -> dict[str, Any]:
        per_gpu = self.catalog.gpu.quanta_per_gpu
        allocated = sum(facts.part(per_gpu) for facts in on_it)
        found = self._free_devices.get(uuid)
        note = (found.terms.note if found else "") or device.note
        if not found and not device.groups:
            note = note or NOBODYS
        free = found.free if found else max(0, device.total - allocated)
        return {
            "device": uuid,
            "title": device.title,
            "isolation": device.isolation,
            "note": note,
            "total": self._fgpu(device.total),
            "allocated": self._fgpu(allocated),
            "free": self._fgpu(0 if note else free),
            "largest": self._fgpu(largest([found], per_gpu) if found and not note else 0),
            "memory": device.memory,
            "used_memory": device.used_memory,
            "utilization": device.utilization,
            "sessions": [
                {
                    "id": facts.id,
                    "name": facts.name,
                    "user": facts.user,
                    "fgpu": self._fgpu(facts.part(per_gpu)),
                }
                for facts in on_it
            ],
        }

    @cached_property
    def _free_devices(self) -> dict[str, DeviceFree]:
        nodes = (node for nodes in self.availability.values() for node in nodes)
        return {device.device: device for node in nodes for device in node.devices}

    # ---- resource groups

    def _groups(self) -> Iterator[str]:
        """Those of the catalogue, then those that are no more and still have sessions."""
        yield from self.catalog.resource_groups
        yield from sorted(
            {facts.group for facts in self.live} - self.catalog.resource_groups.keys()
        )

    def _group(self, key: str) -> dict[str, Any]:
        offered = self.catalog.resource_groups.get(key)
        mine = [facts for facts in self.live if facts.group == key]
        nodes = {node.node: node for node in self.availability.get(key, ())}.values()
        devices = [device for node in nodes for device in node.devices]
        per_gpu = self.catalog.gpu.quanta_per_gpu
        allocated = sum(facts.holds(per_gpu) for facts in mine)
        homes = dict.fromkeys(offered.nodes if offered else map(self._home, mine))
        return {
            "key": key,
            "title": offered.title if offered else key,
            "nodes": list(homes),
            "sessions": len(mine),
            "cpu": {
                "allocated": sum(facts.cpu for facts in mine),
                "free": sum(node.cpu for node in nodes),
            },
            "memory": {
                "allocated": sum(facts.memory for facts in mine),
                "free": sum(node.memory for node in nodes),
            },
            "fgpu": {
                "allocated": self._fgpu(allocated),
                "free": self._fgpu(sum(d.free for d in devices if not d.terms.note)),
                "largest": self._fgpu(max((node.quanta for node in nodes), default=0)),
            },
        }

    def _fgpu(self, quanta: int) -> str:
        """Quanta as fGPU, in text: JSON's numbers are not exact."""
        return units.plain(units.from_quanta(quanta, self.catalog.gpu.quantum))


def _gone(uuid: str) -> bulletin.DeviceWhole:
    """A device of which nothing is known but that sessions hold it."""
    return bulletin.DeviceWhole(uuid, 0, (), "", GONE, 0)
