"""How much can be asked for now, and what the tightest limit is, in words (R9, R10).

Pure, and a forecast: between drawing a form and sending it others may launch. What is
granted is decided when it is sent. Amounts are cores, bytes and, under ``fgpu``, decimals.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from textwrap import shorten

from bai_spawner import policy as rules
from bai_spawner import units
from bai_spawner.catalog import Catalog, Environment, Policy, Preset
from bai_spawner.policy import Availability, NodeFree, Usage

Amount = int | Decimal

TOTALS = ("cpu", "memory", "fgpu")
"""What a policy limits in total; shared memory is limited as the part of memory that it is."""
_LONGEST_NOTE = 200
"""Why no GPU is handed out is written for administrators, and may be long."""


@dataclass(frozen=True, slots=True)
class Bound:
    """From ``low`` to ``high``, both included; ``limit`` says what sets ``high``."""

    low: Amount
    high: Amount
    limit: str

    @property
    def possible(self) -> bool:
        """Whether any amount lies within."""
        return self.low <= self.high


@dataclass(frozen=True)  # without slots: what every bound asks for is found once and kept
class Room:
    """What one user can still get: the inputs of every bound."""

    catalog: Catalog
    policy: Policy
    usage: Usage
    availability: Availability

    def used(self, key: str) -> Amount:
        """What the user holds of a resource."""
        if key == "fgpu":
            return units.from_quanta(self.usage.quanta, self.catalog.gpu.quantum)
        return int(getattr(self.usage, key))

    def left(self, key: str) -> Amount | None:
        """What the policy's total leaves the user; ``None``: it sets no limit."""
        most: Amount | None = getattr(self.policy.limits, key)
        return None if most is None else max(most - self.used(key), 0)

    def nodes(self, *groups: str) -> tuple[NodeFree, ...]:
        """What the nodes of these groups have free; a node in two groups stands there twice."""
        return tuple(node for group in groups for node in self.availability.get(group, ()))

    def free(self, key: str, *groups: str) -> Amount:
        """The most that one session can be given of one node: a sum would promise too much."""
        if key == "fgpu":
            most = max((self._quanta.get(group, 0) for group in groups), default=0)
            return units.from_quanta(most, self.catalog.gpu.quantum)
        return max((int(getattr(node, key)) for node in self.nodes(*groups)), default=0)

    @cached_property
    def _quanta(self) -> dict[str, int]:
        """By group, the most quanta of one request: each environment's bounds ask for it."""
        return {
            group: max((node.quanta for node in nodes), default=0)
            for group, nodes in self.availability.items()
        }

    def has_gpu(self, *groups: str) -> bool:
        """Whether these groups have a GPU at all: free, taken or not handed out."""
        return any(node.devices for node in self.nodes(*groups))

    def no_gpu(self, *groups: str) -> str:
        """Why no GPU of these groups is ever given now, in words; empty where one is."""
        notes = [device.terms.note for node in self.nodes(*groups) for device in node.devices]
        if not notes:
            return "there is no GPU here"
        if not all(notes):
            return ""
        told = shorten("; ".join(dict.fromkeys(notes)), _LONGEST_NOTE, placeholder=" …")
        return f"no GPU is handed out: {told}"

    def holds(self, preset: Preset, node: NodeFree) -> bool:
        """Whether one node has everything of a preset free at once, its GPU exactly."""
        enough = preset.cpu <= node.cpu and preset.memory <= node.memory
        return enough and node.places(self.quanta(preset.fgpu))

    def quanta(self, fgpu: Decimal) -> int:
        """An amount of the catalogue, which is a multiple of the quantum, in quanta."""
        return units.to_quanta(fgpu, self.catalog.gpu.quantum)


def bounds(room: Room, environment: str, group: str) -> dict[str, Bound]:
    """The bounds of each resource, for one environment in one resource group.

    The upper bound is the smallest of: the environment's maximum, what the policy allows one
    session, what it leaves of the total, and the most that one session can be given of a node.
    """
    chosen = room.catalog.environments[environment]
    found = {key: _bound(room, key, chosen, group) for key in ("cpu", "memory", "fgpu")}
    ram = (found["memory"].high, "the most RAM, of which it is part")
    found["shm"] = _smallest(chosen.minimum.shm, [*_declared(room, "shm", chosen), ram])
    return {key: found[key] for key in rules.LABELS}


def _bound(room: Room, key: str, environment: Environment, group: str) -> Bound:
    highs = list(_declared(room, key, environment))
    if (left := room.left(key)) is not None:
        total = rules.say(key, getattr(room.policy.limits, key))
        highs.append((left, f"left of the {total} that you may hold"))
    if key == "fgpu" and (reason := room.no_gpu(group)):
        highs.insert(0, (0, reason))
    highs.append((room.free(key, group), f"{place(key)} now"))
    return _smallest(getattr(environment.minimum, key), highs)


def _smallest(low: Amount, highs: list[tuple[Amount, str]]) -> Bound:
    """The bound set by the smallest upper limit, the first of equals."""
    return Bound(low, *min(highs, key=lambda high: high[0]))


def place(key: str) -> str:
    """How much of a resource counts as free: a session may get several GPUs, but one node."""
    return "free for one session" if key == "fgpu" else "free on one node"


def _declared(room: Room, key: str, environment: Environment) -> Iterator[tuple[Amount, str]]:
    """The limits that do not depend on what is in use."""
    if (most := getattr(environment.maximum, key)) is not None:
        yield most, f"the most that {environment.title} takes"
    if (most := getattr(room.policy.per_session, key)) is not None:
        yield most, "allowed for one session"


def misfits(room: Room, preset: Preset, groups: Sequence[str]) -> list[str]:
    """Why a preset cannot be started now in any of these groups, in words; empty if it can (R9)."""
    reasons = [*_over_policy(room, preset), *_outside_environments(room, preset)]
    return reasons or list(_no_room(room, preset, groups))


def _over_policy(room: Room, preset: Preset) -> Iterator[str]:
    for key, label in rules.LABELS.items():
        asked = getattr(preset, key)
        amount = rules.say(key, asked)
        most = getattr(room.policy.per_session, key)
        if most is not None and asked > most:
            yield f"{label}: {amount} > {rules.say(key, most)} allowed for one session"
    for key in TOTALS:
        asked, most = getattr(preset, key), getattr(room.policy.limits, key)
        if asked and most is not None and room.used(key) + asked > most:
            used, allowed = rules.say(key, room.used(key)), rules.say(key, most)
            yield (
                f"{rules.LABELS[key]}: {used} in use + {rules.say(key, asked)} > {allowed} allowed"
            )


def _outside_environments(room: Room, preset: Preset) -> Iterator[str]:
    environments = rules.environments(room.catalog, room.policy).values()
    if environments and not any(suits(preset, environment) for environment in environments):
        yield "no environment runs with it"


def suits(preset: Preset, environment: Environment) -> bool:
    """Whether a preset is within an environment's own bounds."""
    for key in rules.LABELS:
        low, high = getattr(environment.minimum, key), getattr(environment.maximum, key)
        asked = getattr(preset, key)
        if asked < low or (high is not None and asked > high):
            return False
    return True


def _no_room(room: Room, preset: Preset, groups: Sequence[str]) -> Iterator[str]:
    where = [group for group in groups if preset.offered_in(group)]
    nodes = room.nodes(*where)
    if any(room.holds(preset, node) for node in nodes):
        return
    if preset.fgpu and (reason := room.no_gpu(*where)):
        yield reason
        return
    short = [key for key in TOTALS if getattr(preset, key) > room.free(key, *where)]
    for key in short:
        yield f"{rules.LABELS[key]}: {rules.say(key, room.free(key, *where))} {place(key)} now"
    exact = any(node.places(room.quanta(preset.fgpu)) for node in nodes)
    if preset.fgpu and "fgpu" not in short and not exact:
        asked = rules.say("fgpu", preset.fgpu)
        yield f"{rules.LABELS['fgpu']}: no part of exactly {asked} is free now"
    elif not short:
        yield "no single node has all of it free now"
