"""The table of imports: one way through the house, and no arrow points back."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "bai_spawner"
SHARED = {"apps", "statistics", "tunnel"}
"""What the hub and a session's container both have, of the standard library alone."""
BASE = {"errors", "units", "names", "enforcement", "labels"}
CATALOG = BASE | {"catalog"}
POLICY = CATALOG | {"gpu", "options", "policy"}
LEDGER = POLICY | {"holdings", "shortage", "ledger"}
CONTAINER = LEDGER | {"ports", "folders", "container"}
RECORDS = BASE | {"reasons", "records"}
RECONCILE = CONTAINER | {"engine", "gpus", "reasons", "reconcile"}
LIFECYCLE = RECONCILE | RECORDS | {"history", "steps", "lifecycle"}
KEEPER = LIFECYCLE | {"apps", "statistics", "meter", "keeper"}
BULLETIN = POLICY | RECORDS | {"apps", "limits", "bulletin"}
TIMEKEEPER = KEEPER | BULLETIN | {"timekeeper"}
RUNTIME = TIMEKEEPER | {"whole", "entries", "metrics", "form", "tunnel", "runtime"}

TABLE: dict[str, tuple[set[str], set[str]]] = {
    # a module, what it may import of ours, and what of others beside the standard library
    "__init__": (set(), set()),
    **{module: (BASE, set()) for module in BASE},
    **{module: (set(), set()) for module in SHARED},
    "catalog": (BASE, {"pydantic", "yaml"}),
    "options": (CATALOG, set()),
    "gpu": (CATALOG, {"pynvml"}),
    "policy": (CATALOG | {"gpu", "options"}, set()),
    "holdings": (CATALOG | {"gpu"}, set()),
    "shortage": (POLICY, set()),
    "ledger": (LEDGER, set()),
    "folders": (POLICY, set()),
    "ports": (BASE, set()),
    "container": (LEDGER | {"folders", "ports", "tunnel"}, set()),
    "engine": ({"container", "labels", "errors"}, {"docker", "requests", "urllib3"}),
    "reasons": (BASE, set()),
    "records": (RECORDS, {"sqlalchemy", "alembic"}),
    "history": (RECORDS, set()),
    "entries": (LEDGER | RECORDS | {"folders"}, set()),
    "gpus": (CONTAINER | {"engine"}, set()),
    "reconcile": (RECONCILE, set()),
    "assets": (set(), set()),
    "form": (POLICY, {"jinja2", "markupsafe"}),
    "steps": (BASE, set()),
    "lifecycle": (LIFECYCLE, {"tornado"}),
    "meter": (BASE | {"engine", "gpu", "gpus", "records", "statistics"}, set()),
    "keeper": (KEEPER, set()),
    "limits": (CATALOG | RECORDS, set()),
    "bulletin": (BULLETIN, set()),
    "timekeeper": (TIMEKEEPER, set()),
    "whole": (LEDGER | BULLETIN, set()),
    "metrics": (LIFECYCLE, {"prometheus_client"}),
    "runtime": (RUNTIME, {"traitlets", "prometheus_client"}),
    "commands": (CONTAINER | {"engine"}, set()),
    "refusal": (BASE, {"jupyterhub", "markupsafe"}),
    "together": (RUNTIME, {"jupyterhub", "tornado"}),
    "spawner": (
        RUNTIME | {"refusal", "together"},
        {"jupyterhub", "dockerspawner", "docker", "traitlets", "tornado"},
    ),
    "hub": (
        RUNTIME | {"assets", "refusal", "together", "spawner", "service", "hub_apps", "handed"},
        {"jupyterhub", "prometheus_client", "sqlalchemy", "traitlets"},
    ),
    "app_proxy": (
        POLICY | RECORDS | {"apps", "bulletin", "handed", "parent", "tunnel"},
        {"aiohttp", "markupsafe", "multidict", "yarl"},
    ),
    "parent": (set(), set()),
    "handed": (set(), set()),
    "hub_apps": (
        RUNTIME | {"app_proxy", "handed", "ports", "spawner", "tunnel"},
        {"jupyterhub", "sqlalchemy"},
    ),
    "service": (
        POLICY
        | RECORDS
        | {
            "app_proxy",
            "handed",
            "parent",
            "ports",
            "apps",
            "assets",
            "bulletin",
            "folders",
            "form",
            "limits",
        },
        {"jupyterhub.services", "jupyterhub.utils", "tornado", "jinja2", "traitlets", "yaml"},
    ),
    "server_extension": (
        SHARED,
        {"jupyter_server", "jupyter_server_proxy", "jupyterhub.singleuser"}
        | {"pynvml", "tornado", "traitlets"},
    ),
}
"""`form` is handed an Availability, never the ledger; `server_extension` is the other side."""

SOURCES = sorted(PACKAGE.rglob("*.py"))


def layer(source: Path) -> str:
    return source.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(source: Path) -> Iterator[str]:
    """Full names of what a file imports, wherever in the file it does."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source.name} imports relative to itself"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_its_layer_may(source: Path) -> None:
    ours, others = TABLE[layer(source)]
    allowed = ours | {layer(source), "__version__"}
    for name in imported(source):
        top, _, rest = name.partition(".")
        if top == "bai_spawner":
            assert rest.partition(".")[0] in allowed, f"{layer(source)} may not import {name}"
        elif top not in sys.stdlib_module_names:
            known = any(f"{name}.".startswith(f"{other}.") for other in others)
            assert known, f"{layer(source)} may not import {name}"


def test_no_layer_is_above_itself() -> None:
    done: set[str] = set()
    while more := {
        m for m, (ours, _) in TABLE.items() if m not in done and ours - BASE - {m} <= done
    }:
        done |= more
    assert done == set(TABLE)


def test_only_the_inventory_of_gpus_knows_nvml() -> None:
    knowing = {s for s in SOURCES if any(name.startswith("pynvml") for name in imported(s))}
    assert {s.stem for s in knowing if layer(s) != "server_extension"} <= {"inventory"}


def test_neither_side_of_the_container_imports_the_other() -> None:
    for source in SOURCES:
        inside = layer(source) == "server_extension"
        for name in imported(source):
            if name.removeprefix("bai_spawner.").partition(".")[0] in SHARED:
                continue
            crossing = name.startswith("bai_spawner.server_extension") is not inside
            assert not (name.startswith("bai_spawner.") and crossing), f"{source.name}: {name}"
