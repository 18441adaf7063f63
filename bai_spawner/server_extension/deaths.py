"""Why a kernel died, in words: what the session was granted, and the kernel ran out of.

Memory and shared memory are the session's, for all its kernels, terminals and apps
together; who asks for more is killed by Linux without a word. The session itself lives
on, so nobody but its server can say what happened.

Source: mmap(2) for SIGBUS.
"""

import os
import signal
from pathlib import Path

from bai_spawner.statistics import OwnCgroup

SHM = Path("/dev/shm")  # noqa: S108 - not a temporary file but the session's shared memory


def oom_kills() -> int:
    """Processes of this session that were killed for memory; 0 where that cannot be known."""
    return OwnCgroup().oom_kills()


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
    amount, unit = (number / 2**30, "GiB") if number >= 2**30 else (number / 2**20, "MiB")
    # three digits that count, and none of an exponent
    return f"{amount:.0f} {unit}" if amount >= 100 else f"{amount:.3g} {unit}"  # noqa: PLR2004


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
