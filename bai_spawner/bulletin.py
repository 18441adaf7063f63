"""What the hub lets other processes know, as JSON: they read it from the records' database.

Three kinds, each written as a whole and read with its age: the catalogue as users may see
it, what is free, and what each session uses. No policy's users, no image, no path.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from bai_spawner.catalog import Catalog
from bai_spawner.meter import Round
from bai_spawner.policy import Availability

CATALOGUE, AVAILABILITY, STATISTICS = "catalogue", "availability", "statistics"


def catalogue(catalog: Catalog) -> str:
    """What there is: names, descriptions and versions of environments; groups; the GPU's unit."""
    return json.dumps(
        {
            "environments": {
                key: {
                    "name": environment.title,
                    "description": environment.description,
                    "icon": environment.icon,
                    "tags": list(environment.tags),
                    "versions": list(environment.newest_first()),
                }
                for key, environment in catalog.environments.items()
            },
            "resource_groups": {k: {"name": g.title} for k, g in catalog.resource_groups.items()},
            "gpu": {
                "quantum": str(catalog.gpu.quantum),
                "quanta_per_gpu": catalog.gpu.quanta_per_gpu,
            },
        }
    )


def availability(free: Availability) -> str:
    """What each group's nodes could still be asked for."""
    return json.dumps({group: [asdict(node) for node in nodes] for group, nodes in free.items()})


def statistics(found: Round) -> str:
    """What each session uses, by allocation."""
    return json.dumps({allocation: use.to_json() for allocation, use in found.uses.items()})
