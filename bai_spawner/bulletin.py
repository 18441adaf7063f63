"""What the hub lets other processes know, as JSON: they read it from the records' database.

Three kinds, each written as a whole and read with its age: the catalogue as the hub read
it, what is free, and what each session uses. The database is the hub's and its service's
alone: policies and images stand there as in the administrator's file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bai_spawner.catalog import Catalog
from bai_spawner.enforcement import Enforcement
from bai_spawner.gpu.placement import DeviceFree, Terms
from bai_spawner.policy import Availability, NodeFree

CATALOGUE, AVAILABILITY, STATISTICS = "catalogue", "availability", "statistics"


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
