"""Whether a request is allowed: options, catalogue and usage in, a grant out.

Pure: nothing here knows JupyterHub, the engine or the clock. What an
environment or a policy forbids is refused with the numbers (R52), every
problem at once; whether there is room now is the ledger's question.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from bai_spawner import names, units
from bai_spawner.catalog import Catalog, Environment, Policy
from bai_spawner.errors import Problems, Reason, shown
from bai_spawner.gpu.placement import DeviceFree, largest, place
from bai_spawner.options import Resources, SessionOptions

LABELS = {"cpu": "CPU", "memory": "RAM", "shm": "Shared memory", "fgpu": "fGPU"}
"""How people call the resources; the keys are those of the REST contract."""


@dataclass(frozen=True, slots=True)
class Subject:
    """For whom: a JupyterHub user and the groups they are in."""

    user: str
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Usage:
    """What a user holds now: cores, bytes, quanta, and the names of the live sessions."""

    sessions: int = 0
    cpu: int = 0
    memory: int = 0
    quanta: int = 0
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NodeFree:
    """What one node could still be asked for: cores, bytes, and quanta per device.

    A whole GPU has ``per_gpu`` quanta.
    """

    node: str
    cpu: int
    memory: int
    devices: tuple[DeviceFree, ...] = ()
    per_gpu: int = 1

    @property
    def quanta(self) -> int:
        """The most that one request can be given: a sum over devices would promise too much."""
        return largest(self.devices, self.per_gpu)

    def places(self, quanta: int) -> bool:
        """Whether exactly so many quanta can be given to one request."""
        return not quanta or bool(place(self.devices, quanta, self.per_gpu))


Availability = dict[str, tuple[NodeFree, ...]]
"""By resource group, what its nodes have free."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """Cores, bytes of memory and shared memory, quanta of GPU."""

    cpu: int
    memory: int
    shm: int
    quanta: int


@dataclass(frozen=True, slots=True)
class Grant:
    """A request that is allowed: everything is named, nothing is left to a default."""

    user: str
    session: str
    environment: str
    version: str
    image: str
    default_url: str
    group: str
    nodes: tuple[str, ...]
    policy: str
    preset: str | None
    amounts: Amounts
    quantum: Decimal
    per_gpu: int
    env: tuple[tuple[str, str], ...] = ()
    port_proxy: bool = False

    @property
    def fgpu(self) -> str:
        """What was granted of GPUs, in fGPU."""
        return units.plain(units.from_quanta(self.amounts.quanta, self.quantum))

    @property
    def profile(self) -> str:
        """What was chosen, in a line: the hub's admin panel shows it."""
        amounts = self.amounts
        parts = [f"{amounts.cpu} CPU", f"{units.format_size(amounts.memory)} RAM"]
        if amounts.quanta:
            parts.append(f"{self.fgpu} fGPU")
        return f"{self.environment} {self.version} · {self.group} · {', '.join(parts)}"


def select(catalog: Catalog, subject: Subject) -> Policy:
    """The first policy that is for this user; the last is for everyone."""
    return next(p for p in catalog.policies if p.applies_to(subject.user, subject.groups))


def environments(catalog: Catalog, policy: Policy) -> dict[str, Environment]:
    """The environments that a policy allows, in the catalogue's order."""
    allowed = policy.environments
    return {k: v for k, v in catalog.environments.items() if allowed is None or k in allowed}


def groups(catalog: Catalog, policy: Policy) -> tuple[str, ...]:
    """The resource groups that a policy allows, in the catalogue's order."""
    allowed = policy.resource_groups
    return tuple(k for k in catalog.resource_groups if allowed is None or k in allowed)


def presets(catalog: Catalog, policy: Policy, group: str | None) -> tuple[str, ...]:
    """The presets that a policy allows in a group (``None``: in any)."""
    allowed = policy.presets
    return tuple(
        key
        for key, preset in catalog.presets.items()
        if (allowed is None or key in allowed) and (group is None or preset.offered_in(group))
    )


def check(
    options: SessionOptions,
    session: str,
    catalog: Catalog,
    subject: Subject,
    usage: Usage,
    problems: Problems,
    *,
    sessions: int = 1,
) -> tuple[Grant, ...]:
    """The grants for a request, one a session; none when ``problems`` says why.

    Keys that are already known to be wrong are not judged again. ``session`` is
    the name asked for; empty draws a word that no live session of the user has. Of
    several ``sessions``, all alike, all are allowed or none is (R5).
    """
    policy = select(catalog, subject)
    environment = _environment(options, catalog, policy, problems)
    version = _version(options, catalog, environment, problems)
    group = _one_of(
        "resource_group", options.resource_group, groups(catalog, policy), problems, Reason.POLICY
    )
    asked = _asked(options, catalog, policy, group, problems)
    chosen = catalog.environments[environment] if environment else None
    wanted = _wanted(asked, chosen, problems)
    quanta = _quanta(wanted, catalog, problems)
    judge = _Judge("preset" if options.preset else "resources", wanted, policy, problems)
    if chosen:
        judge.environment(chosen)
    judge.shared_memory()
    judge.session()
    judge.total(usage, catalog.gpu.quantum, sessions)
    _sessions(policy, usage, sessions, problems)
    session_names = _names(session, sessions, usage, problems)
    if problems.found or not (environment and chosen and version and group):
        return ()
    grant = Grant(
        user=subject.user,
        session=session_names[0],
        environment=environment,
        version=version,
        image=chosen.versions[version].image,
        default_url=chosen.default_url,
        group=group,
        nodes=catalog.resource_groups[group].nodes,
        policy=policy.name,
        preset=options.preset,
        amounts=Amounts(wanted["cpu"], wanted["memory"], wanted["shm"], quanta),
        quantum=catalog.gpu.quantum,
        per_gpu=catalog.gpu.quanta_per_gpu,
        env=options.env,
        port_proxy=chosen.port_proxy,
    )
    return tuple(replace(grant, session=name) for name in session_names)


def _one_of(
    path: str,
    asked: str | None,
    offered: tuple[str, ...],
    problems: Problems,
    reason: Reason = Reason.INVALID,
) -> str | None:
    """What was asked when it is offered, the first when nothing was; unknown and forbidden alike.

    The message does not tell a forbidden name from one that does not exist.
    """
    if problems.at(path):
        return None
    if asked in offered:
        return asked
    if asked is None and offered:
        return offered[0]
    if offered:
        told = f"{shown(asked)} is not offered to you; offered: {', '.join(offered)}"
    else:
        told = "nothing is offered to you; ask an administrator"
    problems.add(path, told, reason)
    return None


def _environment(
    options: SessionOptions, catalog: Catalog, policy: Policy, problems: Problems
) -> str | None:
    offered = tuple(environments(catalog, policy))
    return _one_of("environment", options.environment, offered, problems, Reason.POLICY)


def _version(
    options: SessionOptions, catalog: Catalog, environment: str | None, problems: Problems
) -> str | None:
    if environment is None:
        return None
    versions = tuple(catalog.environments[environment].newest_first())
    return _one_of("version", options.version, versions, problems)


def _asked(
    options: SessionOptions,
    catalog: Catalog,
    policy: Policy,
    group: str | None,
    problems: Problems,
) -> Resources | None:
    """The resources of the preset, or those asked for; all unset when nothing was asked."""
    if problems.at("preset"):
        return None
    if options.preset is None:
        return options.resources or Resources()
    offered = presets(catalog, policy, group)
    if not _one_of("preset", options.preset, offered, problems, Reason.POLICY):
        return None
    preset = catalog.presets[options.preset]
    return Resources(preset.cpu, preset.memory, preset.shm, preset.fgpu)


Wanted = dict[str, Any]
"""By resource, what was asked, or the environment's minimum; without what is not known."""


def _wanted(asked: Resources | None, environment: Environment | None, problems: Problems) -> Wanted:
    """What is known of each resource: a wrong one does not keep the others from being judged."""
    wanted: Wanted = {}
    for key in LABELS if asked else ():
        value = getattr(asked, key)
        if value is None and environment and not problems.at(f"resources.{key}"):
            value = getattr(environment.minimum, key)
            if key == "shm":  # part of memory: a little memory that was asked for has less
                value = min(value, wanted.get("memory", value))
        if value is not None:
            wanted[key] = value
    return wanted


def _quanta(wanted: Wanted, catalog: Catalog, problems: Problems) -> int:
    """The fGPU in quanta, exactly (R12)."""
    fgpu = wanted.get("fgpu", Decimal(0))
    try:
        return units.to_quanta(fgpu, catalog.gpu.quantum)
    except ValueError as error:
        problems.add("resources.fgpu", f"{error}, not {units.plain(fgpu)}")
        return 0


@dataclass(frozen=True, slots=True)
class _Judge:
    """Compares what is wanted with bounds, and words what is over them.

    ``path`` is the key that the user would change: ``resources``, or ``preset``.
    """

    path: str
    wanted: Wanted
    policy: Policy
    problems: Problems

    def environment(self, environment: Environment) -> None:
        """The environment's bounds."""
        for key, asked in self.wanted.items():
            low, high = getattr(environment.minimum, key), getattr(environment.maximum, key)
            if asked < low and not (key == "shm" and asked == self.wanted.get("memory")):
                told, least = compared(key, asked, low)
                self._add(key, f"{told} asked < {least} needed by the environment")
            if high is not None and asked > high:
                told, most = compared(key, asked, high)
                self._add(key, f"{told} asked > {most} of the environment")

    def shared_memory(self) -> None:
        """Shared memory within memory (R11)."""
        shm, memory = self.wanted.get("shm"), self.wanted.get("memory")
        if shm is not None and memory is not None and shm > memory:
            told, most = compared("shm", shm, memory)
            self._add("shm", f"{told} asked > {most} RAM, of which it is part")

    def session(self) -> None:
        """What the policy allows one session."""
        for key, asked in self.wanted.items():
            most = getattr(self.policy.per_session, key)
            if most is not None and asked > most:
                told, bound = compared(key, asked, most)
                self._add(key, f"{told} asked > {bound} allowed for one session", Reason.POLICY)

    def total(self, usage: Usage, quantum: Decimal, sessions: int) -> None:
        """What the policy allows in total, what is in use counted in (R52)."""
        times = f"{sessions} × " if sessions > 1 else ""
        used: dict[str, int | Decimal] = {
            "cpu": usage.cpu,
            "memory": usage.memory,
            "fgpu": units.from_quanta(usage.quanta, quantum),
        }
        for key, held in used.items():
            most, asked = getattr(self.policy.limits, key), self.wanted.get(key, 0)
            if most is not None and asked and held + sessions * asked > most:
                wanted = f"{times}{say(key, asked)} asked"
                told = f"{say(key, held)} in use + {wanted} > {say(key, most)}"
                self._add(key, f"{told} allowed", Reason.POLICY)

    def _add(self, key: str, told: str, reason: Reason = Reason.INVALID) -> None:
        if self.path == "preset":
            self.problems.add("preset", f"{LABELS[key]}: {told}", reason)
        else:
            self.problems.add(f"resources.{key}", told, reason)


def say(key: str, value: int | Decimal) -> str:
    """An amount of a resource for people; ``fgpu`` as a decimal, the others as integers."""
    if key == "cpu":
        return str(value)
    if key == "fgpu":
        return units.plain(Decimal(value))
    return units.format_size(int(value))


def compared(key: str, one: int | Decimal, other: int | Decimal) -> tuple[str, str]:
    """Two amounts that differ, for people; to the byte when rounding would hide it."""
    told = say(key, one), say(key, other)
    return told if told[0] != told[1] else (f"{one} B", f"{other} B")


def _sessions(policy: Policy, usage: Usage, sessions: int, problems: Problems) -> None:
    most = policy.limits.sessions
    if most is not None and usage.sessions + sessions > most:
        mend = "end one first" if usage.sessions >= most else "ask for fewer, or end one first"
        told = f"{usage.sessions} in use + {sessions} asked > {most} allowed; {mend}"
        problems.add("sessions", told, Reason.POLICY)


def _names(session: str, sessions: int, usage: Usage, problems: Problems) -> tuple[str, ...]:
    """The names of the sessions; none when one of them is wrong."""
    found = names.numbered(session or names.draw_word(usage.names, sessions), sessions)
    for name in found:
        if not names.is_session_name(name):
            where = " with its number behind" if sessions > 1 else ""
            told = f"must be {names.SESSION_NAME_RULE}{where}, not {shown(name)}"
            problems.add("display_name", told)
            return ()
    taken = [shown(name) for name in found if name in usage.names]
    if taken:
        problems.add("display_name", f"{taken[0]} is the name of a live session of yours")
    return found
