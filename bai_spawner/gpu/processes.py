"""Which container a process of the host belongs to.

NVML and the MPS daemons name processes by the host's numbers; the kernel says in
``/proc/<pid>/cgroup`` whose they are, on control groups v1 and v2 alike.
"""

from __future__ import annotations

import re
from pathlib import Path

_CONTAINER = re.compile(r"(?:^|[/-])([0-9a-f]{64})(?:\.scope)?(?=/|$)", re.ASCII | re.MULTILINE)
"""``…/<id>`` of the driver cgroupfs, ``…/docker-<id>.scope`` of systemd."""


def container_of(pid: int, proc: Path = Path("/proc")) -> str:
    """The full id of its container; empty when it is in none, or gone."""
    try:
        groups = (proc / str(pid) / "cgroup").read_text(errors="surrogateescape")
    except OSError:
        return ""
    found = _CONTAINER.findall(groups)
    # an engine may run in a container itself: the innermost is meant
    return str(found[-1]) if found else ""
