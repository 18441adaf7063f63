"""Whether a session keeps to its share: what was expected, what was measured, one verdict each.

A check fails only where the strategy claims what it tries: each names the level from which it
must hold, and below that level its measurement is recorded. A probe without a reading never
counts as a cap that holds, unless the driver gave it no device at all.

Two things are taken for granted: the devices are idle but for these probes, and more memory is
free than the cap. And two are not tried: managed memory, which no limit before a page is used
counts, and memory bandwidth, which only MIG divides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bai_spawner.enforcement import Enforcement
from bai_spawner.gpu.verify.compute import ComputeCap
from bai_spawner.gpu.verify.escapes import ESCAPES, Resource
from bai_spawner.gpu.verify.memory import MemoryCap
from bai_spawner.gpu.verify.plan import Check, Plan, Verdict
from bai_spawner.gpu.verify.readings import ProbeFailed
from bai_spawner.gpu.verify.runner import Runner
from bai_spawner.gpu.verify.session import Session, Whole, measure_whole
from bai_spawner.gpu.verify.sight import Sight
from bai_spawner.units import MIB

__all__ = ["Check", "Expected", "Verdict", "Whole", "measure_whole", "passed", "verify"]


@dataclass(frozen=True, slots=True)
class Expected:
    """What a session was granted.

    Attributes:
        memory_mib: of each of its devices.
        sm_percent: of the compute of each of its devices.
        devices: their UUIDs, as NVML says them.
    """

    memory_mib: int
    sm_percent: int
    devices: tuple[str, ...]


def verify(
    runner: Runner, expected: Expected, enforcement: Enforcement, whole: Whole | None
) -> tuple[Check, ...]:
    """Make every check, always in one order. Some two minutes on a device.

    Args:
        runner: the session that was granted ``expected``.
        expected: see `Expected`.
        enforcement: what the session's strategy claims.
        whole: one of its devices without a cap; without it, compute is not judged.
    """
    session = Session(runner)
    plans = tuple(_plans(session, expected, enforcement, whole))
    try:
        session.devices()
    except ProbeFailed as error:
        # one cause, said once: two dozen lines of it would hide it
        first = Check("GPU", "one that can be used", str(error), Verdict.FAILS)
        return (first, *(plan.left_out("no GPU can be used") for plan in plans))
    return tuple(plan.carry_out() for plan in plans)


def passed(checks: tuple[Check, ...]) -> bool:
    """Whether all that is claimed was tried and held, and there was something."""
    verdicts = {check.verdict for check in checks}
    tried = not any(check.untried for check in checks)
    return tried and Verdict.HOLDS in verdicts and Verdict.FAILS not in verdicts


def _plans(
    session: Session, expected: Expected, enforcement: Enforcement, whole: Whole | None
) -> Iterator[Plan]:
    sight = Sight(session, expected.devices)
    memory = MemoryCap(session, expected.memory_mib * MIB, enforcement.memory)
    compute = ComputeCap(session, expected.sm_percent / 100, enforcement.compute, whole)
    yield from (sight.plain(), sight.namespaces())
    for device in range(len(expected.devices)):
        yield from (*memory.alone(device), *compute.alone(device))
    yield from (memory.two(), compute.two())
    caps: dict[Resource, Sight | MemoryCap | ComputeCap] = {
        Resource.DEVICES: sight,
        Resource.MEMORY: memory,
        Resource.COMPUTE: compute,
    }
    for escape in ESCAPES:
        for aim in escape.aims:
            yield caps[aim].escape(f"{aim}, {escape.name}", escape.variation)
