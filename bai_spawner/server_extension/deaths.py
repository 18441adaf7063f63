"""Why a kernel died, in words: what the session was granted, and the kernel ran out of.

Memory and shared memory are the session's, for all its kernels, terminals and apps
together; who asks for more is killed by Linux without a word. The session itself lives
on, so nobody but its server can say what happened.

Sources: the kernel's Documentation/admin-guide/cgroup-v2.rst (memory.events) and
cgroup-v1/memory.rst (memory.oom_control); mmap(2) for SIGBUS.
"""

import os
import re
import signal
from pathlib import Path

EVENTS = (
    Path("/sys/fs/cgroup/memory.events"),
    Path("/sys/fs/cgroup/memory/memory.oom_control"),
)
"""Where a container sees how many of its processes were killed for memory: cgroup v2, v1."""
SHM = Path("/dev/shm")  # noqa: S108 - not a temporary file but the session's shared memory

_KILLS = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


def oom_kills(events: tuple[Path, ...] = EVENTS) -> int:
    """Processes of this session that were killed for memory; 0 where that cannot be known."""
    for path in events:
        try:
            found = _KILLS.search(path.read_text())
        except OSError:
            continue
        if found:
            return int(found[1])
    return 0


def shm_size(path: Path = SHM) -> int:
    """Bytes of shared memory in all. How much is in use says nothing after a death: it is freed."""
    found = os.statvfs(path)
    return found.f_blocks * found.f_frsize


def memory_limit() -> int:
    """Bytes of memory that the session was granted; 0 when it is not told."""
    granted = os.environ.get("MEM_LIMIT", "")
    return int(granted) if granted.isdecimal() else 0


def size(number: int) -> str:
    """Bytes as people read them."""
    gib = number / 2**30
    return f"{gib:.3g} GiB" if gib >= 1 else f"{number / 2**20:.3g} MiB"


def why(returncode: int | None, *, kills: int, shm: int, memory: int) -> str | None:
    """Why a kernel died, or ``None`` when it was neither of the two.

    Args:
        returncode: what it ended with; a signal is its negative number.
        kills: processes of this session killed for memory since the kernel started.
        shm: bytes of shared memory in all.
        memory: bytes of memory granted.
    """
    if returncode == -signal.SIGKILL and kills:
        granted = f" than the {size(memory)} that this session was granted" if memory else ""
        return (
            f"The kernel was killed: it needed more memory{granted}.\n"
            "Variables are lost, files are not. Use less memory, or launch a session with more."
        )
    if returncode == -signal.SIGBUS:
        return (
            f"The kernel was killed (SIGBUS), as when the session's shared memory of {size(shm)} "
            "(/dev/shm) is full.\nVariables are lost, files are not. Use fewer workers or smaller "
            "batches, or launch a session with more shared memory."
        )
    return None
