"""What this session may use: the line that every number of its use is drawn against."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from bai_spawner.statistics import OwnCgroup


@dataclass(frozen=True, slots=True)
class Allocation:
    """The session's share of its machine.

    Args:
        cpu: cores.
        memory: bytes.
        processes: processes and threads; ``None``: as many as there can be.
    """

    cpu: float
    memory: int
    processes: int | None


def allocation(cgroup: OwnCgroup, environ: Mapping[str, str] = os.environ) -> Allocation:
    """What was granted.

    Cores are what the hub granted, in ``CPU_LIMIT``, else what the kernel enforces. Memory and
    processes are what the kernel enforces; memory else ``MEM_LIMIT``. Where neither says
    anything, no limit holds but the machine's, and that is it.
    """
    enforced = cgroup.limits()
    return Allocation(
        cpu=_number(environ.get("CPU_LIMIT", "")) or enforced.cpu or len(os.sched_getaffinity(0)),
        memory=enforced.memory or int(_number(environ.get("MEM_LIMIT", ""))) or _machine(),
        processes=enforced.processes,
    )


def _number(text: str) -> float:
    """A number of ASCII digits, with or without a point; 0 for anything else."""
    digits = text.replace(".", "", 1)
    return float(text) if digits.isascii() and digits.isdigit() else 0.0


def _machine() -> int:
    """Bytes of memory that the machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
