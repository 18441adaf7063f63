"""What an administrator offers, read from one YAML file (R50, R51).

`load_catalog` gives a frozen `Catalog` in which every reference resolves, or
raises `CatalogError` with one line per bad key, each beginning with its path.
Every key of the file is a field here, with its meaning as the description:
the administrator's page of the documentation is tested against them.
"""

from bai_spawner.catalog.catalog import Catalog
from bai_spawner.catalog.environments import Environment, Preset
from bai_spawner.catalog.fields import MIG_PROFILE, matches
from bai_spawner.catalog.gpu import Gpu, Simulated
from bai_spawner.catalog.nodes import Overcommit
from bai_spawner.catalog.policies import AppRules, Policy, TimeLimits
from bai_spawner.catalog.reading import load_catalog

__all__ = [
    "MIG_PROFILE",
    "AppRules",
    "Catalog",
    "Environment",
    "Gpu",
    "Overcommit",
    "Policy",
    "Preset",
    "Simulated",
    "TimeLimits",
    "load_catalog",
    "matches",
]
