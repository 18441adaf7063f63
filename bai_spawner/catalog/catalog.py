"""The catalogue as one, and what must hold between its keys.

A `Catalog` that exists is consistent: every name that it refers to is defined in it, no
maximum is below its minimum, shared memory fits into memory, what presets, minimums and
MIG devices are in fGPU is a whole number of quanta, and exactly one policy, the last,
matches everyone. Otherwise `Inconsistent` is raised, with one line for each wrong key found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from bai_spawner import units
from bai_spawner.catalog.environments import Environment, Minimum, Preset
from bai_spawner.catalog.fields import Key, Section
from bai_spawner.catalog.folders import Folders, Writers
from bai_spawner.catalog.gpu import MOST_QUANTA, Gpu
from bai_spawner.catalog.nodes import Node, ResourceGroup
from bai_spawner.catalog.policies import AppRules, Policy


def _one_node(nodes: dict[str, Node]) -> dict[str, Node]:
    if len(nodes) > 1:
        raise ValueError("this release has one node, the engine that the hub talks to")
    return nodes


class Catalog(Section):
    """Everything on offer, with every reference resolved."""

    nodes: Annotated[dict[Key, Node], AfterValidator(_one_node)] = Field(
        min_length=1, description="the hosts, by name"
    )
    resource_groups: dict[Key, ResourceGroup] = Field(
        min_length=1, description="choices of nodes, by name; the first is the default"
    )
    environments: dict[Key, Environment] = Field(
        min_length=1, description="software, by name; the first is the default"
    )
    presets: dict[Key, Preset] = Field(default_factory=dict, description="sets of resources")
    gpu: Gpu = Field(Gpu(), description="how a GPU is counted")
    folders: Folders = Field(Folders(), description="data folders")
    policies: tuple[Policy, ...] = Field(min_length=1, description="who may do what", strict=False)

    def app_rules(self, policy: str) -> AppRules:
        """How apps of a policy's sessions may be opened; of a policy that is gone: the last's."""
        found = (one for one in self.policies if one.name == policy)
        return next(found, self.policies[-1]).apps

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Check what spans several keys; `load_catalog` words the result."""
        lines = [f"{path}: {message}" for path, message in _inconsistencies(self)]
        if lines:
            raise Inconsistent(lines)
        return self


class Inconsistent(Exception):
    """Lines that already carry their path."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def _inconsistencies(catalog: Catalog) -> Iterator[tuple[str, str]]:
    """(path, message) of every reference that does not resolve and every bound that contradicts."""
    gpu = catalog.gpu
    if (gpu.fgpu_per_gpu / gpu.quantum) % 1:
        yield "gpu.quantum", f"must divide fgpu_per_gpu ({gpu.fgpu_per_gpu}) without a remainder"
        return
    if gpu.quanta_per_gpu > MOST_QUANTA:
        yield "gpu.quantum", f"cuts a GPU into {gpu.quanta_per_gpu} steps; at most {MOST_QUANTA}"
        return
    for profile, fgpu in gpu.mig.items():
        yield from _whole_quanta(f"gpu.mig.{profile}", fgpu, gpu)
        if fgpu > gpu.fgpu_per_gpu:
            yield f"gpu.mig.{profile}", f"is more than the {gpu.fgpu_per_gpu} that a whole GPU is"
    for name, group in catalog.resource_groups.items():
        yield from _unknown(f"resource_groups.{name}.nodes", group.nodes, catalog.nodes)
    for name, preset in catalog.presets.items():
        here = f"presets.{name}"
        yield from _unknown(f"{here}.groups", preset.groups, catalog.resource_groups)
        yield from _shm_fits(here, preset.memory, preset.shm)
        yield from _whole_quanta(f"{here}.fgpu", preset.fgpu, gpu)
    for name, environment in catalog.environments.items():
        here = f"environments.{name}"
        low, high = environment.minimum, environment.maximum
        yield from _shm_fits(f"{here}.minimum", low.memory, low.shm)
        yield from _whole_quanta(f"{here}.minimum.fgpu", low.fgpu, gpu)
        for key in Minimum.model_fields:
            bound = getattr(high, key)
            if bound is not None and bound < getattr(low, key):
                yield f"{here}.maximum.{key}", "is less than the minimum"
    yield from _folders(catalog.folders)
    yield from _policies(catalog)


def _folders(folders: Folders) -> Iterator[tuple[str, str]]:
    taken = folders.taken()
    for key in ("create", "automatic"):
        for index, name in enumerate(getattr(folders.user, key)):
            if name.lower() in taken:
                yield f"folders.user.{key}[{index}]", f"{name!r} belongs to the session itself"
            elif key == "create" and name.startswith("."):
                yield f"folders.user.{key}[{index}]", "only automatic folders may begin with '.'"
    for group, declared in folders.group.items():
        for name, folder in declared.items():
            here = f"folders.group.{group}.{name}"
            if name.lower() in taken or name.startswith("."):
                yield here, "is reserved, or begins with '.'"
            if folder.permission == "rw" and folder.writers != Writers():
                yield f"{here}.writers", "is of no use where every member may write ('rw')"


def _policies(catalog: Catalog) -> Iterator[tuple[str, str]]:
    last = len(catalog.policies) - 1
    names = [policy.name for policy in catalog.policies]
    for index, policy in enumerate(catalog.policies):
        here = f"policies[{index}]"
        yield from _unknown(
            f"{here}.resource_groups", policy.resource_groups, catalog.resource_groups
        )
        yield from _unknown(f"{here}.environments", policy.environments, catalog.environments)
        yield from _unknown(f"{here}.presets", policy.presets, catalog.presets)
        if policy.time.extend is not None and policy.time.lifetime is None:
            yield f"{here}.time.extend", "is of no use without a lifetime, which is not set"
        if policy.name in names[:index]:
            yield f"{here}.name", f"{policy.name!r} is the name of an earlier policy"
        if policy.match is None and index < last:
            yield f"{here}.match", "is missing; only the last policy matches everyone"
        if policy.match is not None and index == last:
            yield f"{here}.match", "must not be there: the last policy matches everyone"


def _unknown(
    path: str, names: tuple[str, ...] | None, known: Iterable[str]
) -> Iterator[tuple[str, str]]:
    known = list(known)
    for index, name in enumerate(names or ()):
        if name not in known:
            accepted = ", ".join(known) or "none is defined"
            yield f"{path}[{index}]", f"{name!r} is not defined; defined: {accepted}"


def _shm_fits(path: str, memory: int, shm: int) -> Iterator[tuple[str, str]]:
    if shm > memory:
        yield (
            f"{path}.shm",
            f"is more than memory ({units.format_size(memory)}), of which it is part",
        )


def _whole_quanta(path: str, fgpu: Decimal, gpu: Gpu) -> Iterator[tuple[str, str]]:
    try:
        units.to_quanta(fgpu, gpu.quantum)
    except ValueError as error:
        yield path, str(error)
