"""A small catalogue and a grant, to change one thing of in a test."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from bai_spawner.catalog import Catalog
from bai_spawner.policy import Amounts, Grant
from bai_spawner.units import GIB, MIB

SHIPPED_CATALOG = Path(__file__).parent.parent / "catalog.yaml"


def catalog_data(**changed: Any) -> dict[str, Any]:
    """A catalogue as YAML would give it, with top-level keys ``changed``."""
    return {
        "nodes": {"local": {}},
        "resource_groups": {
            "default": {"title": "Default", "nodes": ["local"]},
            "gpu": {"title": "GPU", "nodes": ["local"]},
        },
        "environments": {
            "python": {
                "title": "Python",
                "versions": {"3.9": {"image": "py:3.9"}, "3.13": {"image": "py:3.13"}},
                "minimum": {"memory": "512MiB"},
                "maximum": {"cpu": 16, "memory": "32GiB"},
            },
            "torch": {
                "title": "PyTorch",
                "versions": {"2.9": {"image": "torch:2.9"}},
                "minimum": {"cpu": 2, "memory": "4GiB", "shm": "1GiB", "fgpu": 1},
            },
        },
        "presets": {
            "small": {"title": "Small", "cpu": 1, "memory": "1GiB"},
            "fast": {
                "title": "Fast",
                "cpu": 2,
                "memory": "8GiB",
                "shm": "1GiB",
                "fgpu": 1.5,
                "groups": ["gpu"],
            },
        },
        "gpu": {"fgpu_per_gpu": 2, "quantum": "0.5"},
        "policies": [
            {"name": "staff", "match": {"users": ["root"], "groups": ["staff"]}},
            {
                "name": "everyone",
                "resource_groups": ["default"],
                "environments": ["python"],
                "presets": ["small"],
                "limits": {"sessions": 2, "cpu": 4, "memory": "6GiB", "fgpu": 3},
                "per_session": {"cpu": 3, "memory": "4GiB", "shm": "3GiB", "fgpu": 2},
            },
        ],
        **changed,
    }


def small_catalog(**changed: Any) -> Catalog:
    """`catalog_data`, checked."""
    return Catalog.model_validate(catalog_data(**changed))


def a_grant(
    *,
    user: str = "ada",
    session: str = "work",
    nodes: tuple[str, ...] = ("local",),
    cpu: int = 1,
    memory: int = GIB,
    quanta: int = 0,
    per_gpu: int = 4,
    group: str = "default",
    preset: str | None = None,
) -> Grant:
    """What `policy.check` would have granted."""
    return Grant(
        user=user,
        session=session,
        environment="python",
        version="3.13",
        image="py:3.13",
        default_url="/lab",
        group=group,
        nodes=nodes,
        policy="everyone",
        preset=preset,
        amounts=Amounts(cpu=cpu, memory=memory, shm=64 * MIB, quanta=quanta),
        quantum=Decimal("0.5"),
        per_gpu=per_gpu,
    )
