"""What the hub lets other processes know, as JSON: they read it from the records' database.

Each kind is written as a whole and read with its age: the catalogue as the hub read it, what
there is, what of it is free, what each session uses, and which apps and how much time it has.
The database is the hub's and its service's alone: policies and images stand there as in the
administrator's file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from bai_spawner.apps import App, to_json
from bai_spawner.catalog import Catalog
from bai_spawner.enforcement import Enforcement
from bai_spawner.gpu.placement import DeviceFree, Terms
from bai_spawner.limits import Time, Why
from bai_spawner.policy import Availability, NodeFree

CATALOGUE, AVAILABILITY, STATISTICS = "catalogue", "availability", "statistics"
CAPACITY, SESSIONS = "capacity", "sessions"


@dataclass(frozen=True, slots=True)
class DeviceWhole:
    """A device, whoever uses it: ``total`` in quanta, ``memory`` and ``used_memory`` in bytes.

    ``note`` is why nothing of it is handed out; empty when it is. ``used_memory`` and
    ``utilization`` (per cent) are ``None`` where nobody tells them.
    """

    title: str
    total: int
    groups: tuple[str, ...]
    isolation: str
    note: str
    memory: int
    used_memory: int | None = None
    utilization: int | None = None


@dataclass(frozen=True, slots=True)
class Whole:
    """A node, whoever uses it: cores and bytes that may be granted of it, and its devices."""

    cpu: int
    memory: int
    devices: Mapping[str, DeviceWhole] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of a session that runs.

    ``apps`` are those of its image, beside those of every session; ``warned`` is since when
    warnings stand; ``address`` is where the hub's host reaches it, without a port.
    """

    apps: tuple[App, ...]
    time: Time | None = None
    warned: Mapping[Why, datetime] = field(default_factory=dict)
    address: str = ""


def catalogue(catalog: Catalog) -> str:
    """All that is offered, and to whom."""
    return catalog.model_dump_json()


def read_catalogue(body: str) -> Catalog:
    """What `catalogue` wrote.

    Raises:
        ValueError: another version of this package wrote it.
    """
    return Catalog.model_validate_json(body)


def availability(free: Availability) -> str:
    """What each group's nodes could still be asked for."""
    told = {group: [asdict(node) for node in nodes] for group, nodes in free.items()}
    for device in (d for nodes in told.values() for node in nodes for d in node["devices"]):
        device["terms"]["enforcement"] = str(Enforcement(**device["terms"]["enforcement"]))
    return json.dumps(told)


def read_availability(body: str) -> Availability:
    """What `availability` wrote."""
    return {group: tuple(map(_node, nodes)) for group, nodes in json.loads(body).items()}


def _node(found: dict[str, Any]) -> NodeFree:
    devices = tuple(map(_device, found.pop("devices")))
    return NodeFree(**found, devices=devices)


def _device(found: dict[str, Any]) -> DeviceFree:
    terms = found.pop("terms")
    enforcement = Enforcement.parse(terms.pop("enforcement"))
    return DeviceFree(**found, terms=Terms(**terms, enforcement=enforcement))


def statistics(uses: Mapping[str, dict[str, Any]]) -> str:
    """What each session uses, by allocation."""
    return json.dumps(uses)


def sessions(told: Mapping[str, Told]) -> str:
    """``{allocation: {"apps": […], "time": {…}, "warned": {"idle": "…"}, "address": "…"}}``.

    Apps are as their image's label has them, time is as `bai_spawner.limits` says it.
    """
    return json.dumps(
        {
            allocation: {
                "apps": json.loads(to_json(one.apps)),
                "time": one.time.to_json() if one.time else None,
                "warned": {why: since.isoformat() for why, since in one.warned.items()},
                "address": one.address,
            }
            for allocation, one in told.items()
        }
    )


def read_warned(body: str, allocation: str) -> dict[Why, datetime]:
    """Since when warnings of a session stand, of what `sessions` wrote."""
    found = json.loads(body).get(allocation, {}).get("warned", {})
    return {Why(why): datetime.fromisoformat(since) for why, since in found.items()}


def capacity(nodes: Mapping[str, Whole]) -> str:
    """``{node: {"cpu", "memory", "devices": {uuid: {…}}}}``, with the names of the values."""
    return json.dumps({node: asdict(whole) for node, whole in nodes.items()})


def read_capacity(body: str) -> dict[str, Whole]:
    """What `capacity` wrote."""
    return {node: _whole(found) for node, found in json.loads(body).items()}


def _whole(found: dict[str, Any]) -> Whole:
    devices = {uuid: DeviceWhole(**told) for uuid, told in found.pop("devices").items()}
    grouped = {u: replace(one, groups=tuple(one.groups)) for u, one in devices.items()}
    return Whole(**found, devices=grouped)
