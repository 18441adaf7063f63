"""What a user has and can still get, for the bars above the list of their sessions (R23). Pure.

What they can still get of a group is what their policy leaves of its totals and what the
group's nodes have free together, the smaller of both: sums, as what they have is one, and
neither what one session may have nor what one node could give to it. The keys:

    group, groups     the group that this is of, and those that are open to the user
    sessions          ``used``, and ``limit``; null: the policy sets none
    resources         of each: what the user has in the group (``here``) and in all groups
                      (``everywhere``), and can still get in this group (``left``)
    upper, lower      of each: the bars, ``part`` of ``whole``; both count what is left here
    texts             of each: the same amounts for people; those of GPUs are exact
    age               seconds since what is free was so

CPU is in cores, memory in bytes. GPUs are in fGPU, or, in a group that gives whole ones alone,
in GPUs; they are left out for whoever has none and can see none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from bai_spawner import policy as rules
from bai_spawner.catalog import Catalog, Policy
from bai_spawner.gpu.placement import DeviceFree
from bai_spawner.policy import Availability, NodeFree
from bai_spawner.records import Held
from bai_spawner.service.amounts import plain
from bai_spawner.service.model import titled

LABELS = {"cpu": "CPU", "memory": "RAM", "fgpu": "FGPU"}
UNITS = {"cpu": "cores", "memory": "bytes", "fgpu": "fGPU"}
WHOLE_GPUS = "GPU"
"""What GPUs are called, and counted in, where nobody gets less than one."""
_AMOUNTS = {"cpu": "cpu", "memory": "memory", "fgpu": "quanta"}
"""What `Held` calls them."""


@dataclass(frozen=True, slots=True)
class Bars:
    """One user's: by which rules, what they hold by resource group, and what is free."""

    catalog: Catalog
    policy: Policy
    held: Mapping[str, Held]
    availability: Availability

    @property
    def groups(self) -> tuple[str, ...]:
        """The resource groups that are open to the user."""
        return rules.groups(self.catalog, self.policy)

    def told(self, group: str, *, age: float = 0.0) -> dict[str, Any]:
        """All of it, for one of the user's groups; empty where no group is open to them."""
        return {
            "group": group,
            "groups": [titled(key, self.catalog.resource_groups) for key in self.groups],
            "sessions": {
                "used": sum(held.sessions for held in self.held.values()),
                "limit": self.policy.limits.sessions,
            },
            "resources": list(self._resources(group)) if group else [],
            "age": round(age, 1),
        }

    def _resources(self, group: str) -> Iterator[dict[str, Any]]:
        for key, name in _AMOUNTS.items():
            here = getattr(self.held[group], name) if group in self.held else 0
            everywhere = sum(getattr(held, name) for held in self.held.values())
            if key != "fgpu" or everywhere or self._has_gpu():
                yield self._resource(key, group, here, everywhere)

    def _resource(self, key: str, group: str, here: int, everywhere: int) -> dict[str, Any]:
        amounts = {"here": here, "everywhere": everywhere, "left": self._left(key, group)}
        label, unit = LABELS[key], UNITS[key]
        numbers: dict[str, Any] = dict(amounts)
        texts = {name: rules.say(key, value) for name, value in amounts.items() if key != "fgpu"}
        if key == "fgpu":
            gpu, is_whole = self.catalog.gpu, self._is_whole(group)
            one = Fraction(1 if is_whole else gpu.fgpu_per_gpu) / gpu.quanta_per_gpu
            label, unit = (WHOLE_GPUS, WHOLE_GPUS) if is_whole else (label, unit)
            numbers = {name: float(value * one) for name, value in amounts.items()}
            texts = {name: plain(value * one) for name, value in amounts.items()}
        return {
            "key": key,
            "label": label,
            "unit": unit,
            **numbers,
            "upper": {"part": numbers["here"], "whole": numbers["here"] + numbers["left"]},
            "lower": {
                "part": numbers["everywhere"],
                "whole": numbers["everywhere"] + numbers["left"],
            },
            "texts": texts,
        }

    # ---- what is left

    def _left(self, key: str, group: str) -> int:
        """What the policy and the group's nodes both allow; of GPUs in quanta."""
        free = self._free(key, group)
        most = getattr(self.policy.limits, key)
        if most is not None:
            allowed = int(most // self.catalog.gpu.quantum) if key == "fgpu" else most
            held = sum(getattr(held, _AMOUNTS[key]) for held in self.held.values())
            free = max(0, min(free, allowed - held))
        if key == "fgpu" and self._is_whole(group):
            free -= free % self.catalog.gpu.quanta_per_gpu
        return free

    def _free(self, key: str, group: str) -> int:
        if key == "fgpu":
            return sum(device.free for device in self._devices(group) if not device.terms.note)
        return sum(getattr(node, key) for node in self._nodes(group))

    def _nodes(self, group: str) -> tuple[NodeFree, ...]:
        """The group's, each once."""
        return tuple({node.node: node for node in self.availability.get(group, ())}.values())

    def _devices(self, group: str) -> tuple[DeviceFree, ...]:
        return tuple(device for node in self._nodes(group) for device in node.devices)

    def _has_gpu(self) -> bool:
        """Whether any group that is open to the user has one: free, taken or not handed out."""
        return any(self._devices(group) for group in self.groups)

    def _is_whole(self, group: str) -> bool:
        """Whether nobody gets less than one GPU of the group."""
        gpu = self.catalog.gpu
        ways = {device.terms.isolation for device in self._devices(group)} - {""}
        return gpu.quanta_per_gpu == 1 or (ways or {gpu.isolation}) == {"whole"}
