"""What an administrator offers, read from one YAML file (R50, R51).

`load_catalog` gives a frozen `Catalog` in which every reference resolves, or
raises `CatalogError` with one line per bad key, each beginning with its path.
Every key of the file is a field here, with its meaning as the description:
the administrator's page of the documentation is tested against them.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from bai_spawner import units
from bai_spawner.enforcement import Enforcement, Faults, Level, word
from bai_spawner.errors import CatalogError
from bai_spawner.names import FOLDER_NAME

RESERVED_FOLDERS = frozenset(
    {
        ".ssh",
        ".jupyter",
        ".tmux.conf",
        ".bashrc",
        ".bash_logout",
        ".profile",
        "id_container",
    }
)
"""Names in /home/work that belong to the session itself, compared in lower case (R41)."""

_KEY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?", re.ASCII)
_PATTERN = re.compile(r"[A-Za-z0-9*][A-Za-z0-9 ._*/:+-]{0,94}", re.ASCII)
MIG_PROFILE = re.compile(r"([1-7])g\.([0-9]{1,4})gb(?:[+-][a-z.]{1,12})?", re.ASCII)
"""A profile of MIG: its compute slices and its memory in GB, as NVML writes it."""
MOST_QUANTA = 1000
"""Steps of one GPU: books, form and MPS go through them all."""
_NATURAL = re.compile(r"(\d+)", re.ASCII)


def _key(text: str) -> str:
    if not _KEY.fullmatch(text):
        raise ValueError("a key has 1 to 64 letters, digits, '.', '_' or '-', no sign at its ends")
    return text


def _folder(text: str) -> str:
    if not FOLDER_NAME.fullmatch(text) or text in {".", ".."}:
        raise ValueError("a folder's name has 1 to 64 letters, digits, '.', '_' or '-'")
    return text


def _pattern(text: str) -> str:
    if not _PATTERN.fullmatch(text):
        raise ValueError("a device is a uuid, or a product name; '*' stands for anything")
    return text


def _profile(text: str) -> str:
    if not MIG_PROFILE.fullmatch(text):
        raise ValueError("a MIG profile is like '1g.10gb' or '1g.10gb+me'")
    return text


def matches(patterns: Iterable[str], names: Iterable[str]) -> bool:
    """Whether any name is any of the patterns, in which ``*`` stands for anything."""
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def _level(value: object) -> Level:
    return _one_of(Level, value)


def _faults(value: object) -> Faults:
    return _one_of(Faults, value)


def _one_of(kind: type[_Ordered], value: object) -> _Ordered:
    for member in kind:
        if value == word(member):
            return member
    if isinstance(value, kind):
        return value
    raise ValueError(f"must be one of {', '.join(name.lower() for name in kind.__members__)}")


def _decimal(value: object) -> Decimal:
    return units.parse_fgpu(value)


def _factor(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number, such as 1.5")
    return float(value)


def _positive(value: Decimal) -> Decimal:
    if value <= 0:
        raise ValueError("must be more than 0")
    return value


_Ordered = TypeVar("_Ordered", Level, Faults)

Key = Annotated[str, AfterValidator(_key)]
DevicePattern = Annotated[str, AfterValidator(_pattern)]
FolderName = Annotated[str, AfterValidator(_folder)]
Size = Annotated[int, BeforeValidator(units.parse_size)]
Cores = Annotated[int, BeforeValidator(units.parse_cores)]
_Plain = PlainSerializer(units.plain, when_used="json")
"""Without an exponent, which is no fGPU when it is read back."""
Fgpu = Annotated[Decimal, BeforeValidator(_decimal), _Plain]
MigProfile = Annotated[str, AfterValidator(_profile)]
PositiveFgpu = Annotated[Decimal, BeforeValidator(_decimal), AfterValidator(_positive), _Plain]
Factor = Annotated[float, BeforeValidator(_factor)]
Text = Annotated[str, Field(max_length=500)]


class _Strict(BaseModel):
    """Frozen, without coercion, and with no key that nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Overcommit(_Strict):
    """How often one unit of a node may be granted. CPU is a share, not exclusive cores."""

    cpu: Factor = Field(1.0, ge=0.1, le=100, description="granted cores per real core")
    memory: Factor = Field(1.0, ge=0.1, le=10, description="granted bytes per real byte")


class Node(_Strict):
    """A host. This release has one: the engine that the hub talks to."""

    cpu: Cores | None = Field(None, description="cores to offer; what the engine reports if unset")
    memory: Size | None = Field(
        None, description="memory to offer; what the engine reports if unset"
    )
    overcommit: Overcommit = Field(Overcommit(), description="factors on both")


class ResourceGroup(_Strict):
    """A choice of nodes that users see as one."""

    title: Text = Field(description="its name in the form")
    description: Text = Field("", description="a sentence below the name")
    nodes: tuple[Key, ...] = Field(min_length=1, description="its nodes", strict=False)
    devices: tuple[DevicePattern, ...] | None = Field(
        None,
        description="its GPUs: uuids, or product names such as 'NVIDIA A100*'; all if unset",
        strict=False,
    )

    def owns(self, *names: str) -> bool:
        """Whether a device of these names, its uuid among them, is one of the group's."""
        return self.devices is None or matches(self.devices, names)


class Minimum(_Strict):
    """What a session of an environment needs at least."""

    cpu: Cores = Field(1, description="cores")
    memory: Size = Field(512 * units.MIB, description="memory")
    shm: Size = Field(64 * units.MIB, description="shared memory, which is part of memory")
    fgpu: Fgpu = Field(Decimal(0), description="GPU")


class Maximum(_Strict):
    """What a session of an environment may have at most; unset: no bound of its own."""

    cpu: Cores | None = Field(None, description="cores")
    memory: Size | None = Field(None, description="memory")
    shm: Size | None = Field(None, description="shared memory")
    fgpu: Fgpu | None = Field(None, description="GPU")


class Version(_Strict):
    """One image of an environment."""

    image: str = Field(min_length=1, max_length=255, description="the image's reference")


class Environment(_Strict):
    """What a user chooses first: a kind of software, in one or more versions."""

    title: Text = Field(description="its name in the form")
    description: Text = Field("", description="a sentence below the name")
    category: Text = Field("General", description="the heading it stands under")
    icon: str = Field(
        "fa-solid fa-cube",
        pattern=r"^[a-z0-9 -]+$",
        description="classes of a Font Awesome icon, which JupyterHub ships",
    )
    tags: tuple[Text, ...] = Field((), description="words beside the name", strict=False)
    default_url: str = Field("/lab", pattern=r"^/[^\s]*$", description="the page it opens with")
    versions: dict[Key, Version] = Field(
        min_length=1, description="by version, such as '3.13'; quote the number"
    )
    minimum: Minimum = Field(Minimum(), description="the least it can be given")
    maximum: Maximum = Field(Maximum(), description="the most it can be given")

    def newest_first(self) -> list[str]:
        """The versions, newest first: runs of digits compare as numbers (3.13 > 3.9)."""
        return sorted(self.versions, key=_natural, reverse=True)


class Preset(_Strict):
    """A set of resources under a name."""

    title: Text = Field(description="its name in the form")
    description: Text = Field("", description="a sentence below the name")
    cpu: Cores = Field(description="cores")
    memory: Size = Field(description="memory")
    shm: Size = Field(64 * units.MIB, description="shared memory, which is part of memory")
    fgpu: Fgpu = Field(Decimal(0), description="GPU")
    groups: tuple[Key, ...] | None = Field(
        None, description="the resource groups it is offered in; all if unset", strict=False
    )

    def offered_in(self, group: str) -> bool:
        """Whether it is offered in a resource group."""
        return self.groups is None or group in self.groups


class UserFolders(_Strict):
    """Folders that belong to one user."""

    create: tuple[FolderName, ...] = Field(
        (), description="made for every user at the first launch", strict=False
    )
    automatic: tuple[FolderName, ...] = Field(
        (), description="mounted at every launch; these may begin with '.'", strict=False
    )
    most: int = Field(50, ge=1, le=10_000, description="the most folders that a user may make")


class GroupFolder(_Strict):
    """A folder that belongs to a JupyterHub group."""

    permission: Literal["rw", "ro"] = Field("ro", description="what its members may do")
    automatic: bool = Field(False, description="mounted at every launch")


class Folders(_Strict):
    """The data folders: what outlives a session (R40, R41)."""

    user: UserFolders = Field(UserFolders(), description="each user's own")
    group: dict[str, dict[FolderName, GroupFolder]] = Field(
        default_factory=dict, description="by JupyterHub group, then by folder"
    )
    reserved: tuple[FolderName, ...] = Field(
        (), description="names that the images use in /home/work", strict=False
    )

    def taken(self) -> frozenset[str]:
        """Names that no folder may have, in lower case."""
        return RESERVED_FOLDERS.union(name.lower() for name in self.reserved)


class Required(_Strict):
    """How firmly a share must be enforced; a device on which less is in force is not used."""

    memory: Annotated[Level, BeforeValidator(_level), PlainSerializer(word)] = Field(
        Level.NONE, description="its memory: none, cooperative, process or session"
    )
    compute: Annotated[Level, BeforeValidator(_level), PlainSerializer(word)] = Field(
        Level.NONE, description="its multiprocessors: none, cooperative, process or session"
    )
    faults: Annotated[Faults, BeforeValidator(_faults), PlainSerializer(word)] = Field(
        Faults.SHARED, description="others' faults: shared, partial, contexts or isolated"
    )

    @property
    def enforcement(self) -> Enforcement:
        """The least that must be in force."""
        return Enforcement(self.memory, self.compute, self.faults)


class Simulated(_Strict):
    """Devices that are not there, to try forms and accounting without a GPU."""

    model: Text = Field("GPU", min_length=1, description="their product name")
    memory: Size = Field(80 * units.GIB, description="memory of each")
    count: int = Field(1, ge=1, le=1024, description="how many")


Isolation = Literal["auto", "whole", "mig", "memcap", "mps-v2", "timeslice"]


class Gpu(_Strict):
    """How a GPU is counted, and what keeps sessions to their shares."""

    fgpu_per_gpu: PositiveFgpu = Field(Decimal(1), description="fGPU that one device is")
    quantum: PositiveFgpu = Field(Decimal(1), description="the step in which fGPU is granted")
    isolation: Isolation = Field(
        "auto", description="the strategy: auto, whole, mig, memcap, mps-v2 or timeslice"
    )
    require_enforcement: Required = Field(Required(), description="the least that must be in force")
    reserve: Size = Field(
        units.GIB, description="memory of each GPU that is not divided: the driver needs some"
    )
    mig: dict[MigProfile, PositiveFgpu] = Field(
        default_factory=dict,
        description="fGPU that a MIG device is, by profile such as '1g.10gb'; its part of the"
        " GPU's slices if unset",
    )
    drain: tuple[DevicePattern, ...] = Field(
        (),
        description="GPUs of which nothing more is handed out: uuids or product names",
        strict=False,
    )
    mps_directory: str = Field(
        "/run/bai-mps",
        pattern=r"^(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*){1,8}$",
        max_length=40,  # the path of a socket has 108 bytes, and a uuid 40,
        description="where each GPU's MPS daemon has its folder, on the engine's host",
    )
    simulated: tuple[Simulated, ...] = Field(
        (),
        description="devices that are not there, in place of those that are; marked SIMULATED",
        strict=False,
    )

    @property
    def quanta_per_gpu(self) -> int:
        """Quanta of one device."""
        return units.to_quanta(self.fgpu_per_gpu, self.quantum)


class Match(_Strict):
    """Whom a policy is for: anyone named here, or in one of the groups."""

    users: tuple[str, ...] = Field((), description="JupyterHub users", strict=False)
    groups: tuple[str, ...] = Field((), description="JupyterHub groups", strict=False)


class Limits(_Strict):
    """The most that a user may hold at once; unset: no bound."""

    sessions: int | None = Field(None, ge=1, description="sessions")
    cpu: Cores | None = Field(None, description="cores, of all sessions together")
    memory: Size | None = Field(None, description="memory, of all sessions together")
    fgpu: Fgpu | None = Field(None, description="GPU, of all sessions together")


class SessionLimits(_Strict):
    """The most that one session may have; unset: no bound."""

    cpu: Cores | None = Field(None, description="cores")
    memory: Size | None = Field(None, description="memory")
    shm: Size | None = Field(None, description="shared memory")
    fgpu: Fgpu | None = Field(None, description="GPU")


class Policy(_Strict):
    """What some users may do. The first that matches applies; the last matches everyone."""

    name: Key = Field(description="how messages and labels call it")
    match: Match | None = Field(None, description="whom it is for; the last policy has none")
    resource_groups: tuple[Key, ...] | None = Field(
        None, description="allowed resource groups; all if unset", strict=False
    )
    environments: tuple[Key, ...] | None = Field(
        None, description="allowed environments; all if unset", strict=False
    )
    presets: tuple[Key, ...] | None = Field(
        None, description="allowed presets; all if unset", strict=False
    )
    limits: Limits = Field(Limits(), description="in total")
    per_session: SessionLimits = Field(SessionLimits(), description="for one session")
    folders: tuple[Literal["user", "group"], ...] = Field(
        ("user", "group"), description="whose folders may be mounted", strict=False
    )

    def applies_to(self, user: str, groups: frozenset[str]) -> bool:
        """Whether the policy is for this user."""
        match = self.match
        return match is None or user in match.users or bool(groups.intersection(match.groups))


def _one_node(nodes: dict[str, Node]) -> dict[str, Node]:
    if len(nodes) > 1:
        raise ValueError("this release has one node, the engine that the hub talks to")
    return nodes


class Catalog(_Strict):
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

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Check what spans several keys; `load_catalog` words the result."""
        lines = [f"{path}: {message}" for path, message in _inconsistencies(self)]
        if lines:
            raise _Inconsistent(lines)
        return self


class _Inconsistent(Exception):
    """Lines that already carry their path."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def load_catalog(path: Path) -> Catalog:
    """Read and check a catalogue.

    Raises:
        CatalogError: naming the file and, line by line, the path of each bad key.
    """
    try:
        return Catalog.model_validate(_read(path))
    except _Inconsistent as error:
        lines = error.lines
    except ValidationError as error:
        lines = [_worded(item) for item in error.errors()]
    raise CatalogError("\n".join(f"{path}: {line}" for line in lines))


def _read(path: Path) -> object:
    """What the file says, or `CatalogError`."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise CatalogError(f"{path}: cannot be read: {error.strerror}") from None
    except RecursionError:
        raise CatalogError(f"{path}: is nested too deeply") from None
    # PyYAML lets its constructors' own errors through: an impossible date, {{ a template }}
    except (yaml.YAMLError, ValueError, TypeError, AttributeError) as error:
        raise CatalogError(f"{path}: is not YAML: {error}") from None


_WORDS = {
    "extra_forbidden": "is not a key of the catalogue here; check its spelling and indentation",
    "missing": "is missing",
    "string_type": "must be text; quote a number: '3.13'",
    "tuple_type": "must be a list",
    "dict_type": "must be keys with values",
    "model_type": "must be keys with values",
}


def _worded(error: Any) -> str:
    """One line of pydantic's: the key's path as an administrator would write it."""
    path = ""
    for part in error["loc"]:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part != "[key]":
            path += f".{part}" if path else str(part)
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{path or 'the file'}: {_WORDS.get(error['type'], message)}"


def _natural(text: str) -> list[tuple[int, int, str]]:
    """A sort key in which runs of digits compare as numbers."""
    parts = _NATURAL.split(text)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts if part]


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
        for name in declared:
            if name.lower() in taken or name.startswith("."):
                yield f"folders.group.{group}.{name}", "is reserved, or begins with '.'"


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


class _Loader(yaml.SafeLoader):
    """YAML in which a key written twice is an error: the second would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} stands here twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)
