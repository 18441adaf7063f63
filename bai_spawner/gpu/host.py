"""What the engine's host can do for GPUs, beside what NVML says.

The hub looks at its own machine: GPUs need the hub on the engine's host.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

_VERSION = re.compile(r"\b([0-9]{1,4})\.([0-9]{1,4})\.([0-9]{1,4})\b", re.ASCII)
ASK_SECONDS = 10.0
TOOLKIT = ("nvidia-ctk", "nvidia-container-runtime")
"""Programs of nvidia-container-toolkit, any of which tells its version; the library that
nvidia-container-cli belongs to has another."""

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Host:
    """What there is.

    Attributes:
        driver: NVIDIA's, such as ``615.71.05``; empty where there is none.
        memory_limits: whether the driver has limits of memory by control group.
        cgroup: version of the engine's control groups, ``1`` or ``2``; empty when not known.
        toolkit: version of nvidia-container-toolkit; empty where there is none.
    """

    driver: str = ""
    memory_limits: bool = False
    cgroup: str = ""
    toolkit: Version = ()

    @property
    def driver_major(self) -> int:
        """The driver's branch; 0 where there is none."""
        major = self.driver.partition(".")[0]
        return int(major) if major.isdecimal() else 0


def words(version: Version) -> str:
    """A version as it is written."""
    return ".".join(map(str, version))


def toolkit() -> Version:
    """The version of nvidia-container-toolkit on this machine; empty where there is none."""
    for program in TOOLKIT:
        try:
            found = subprocess.run(  # noqa: S603 - a fixed program of the administrator's
                [program, "--version"],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=ASK_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if match := _VERSION.search(found.stdout):
            return tuple(int(part) for part in match.groups())
    return ()


def cgroup_of(pid: int, proc: Path = Path("/proc"), root: Path = Path("/sys/fs/cgroup")) -> str:
    """The full path of a process's control group (v2); empty when it has none that is seen."""
    try:
        lines = (proc / str(pid) / "cgroup").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return ""
    place = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "")
    return str(root / place.lstrip("/")) if place else ""
