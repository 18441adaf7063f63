"""Processes known by a file with their number, which may long be another's."""

import os
import signal
import time
from pathlib import Path

from progress import phase

_GRACE_SECONDS = 20


def running(pid_file: Path, program: str) -> int | None:
    """The process in the file, if it is alive and its command line names `program`."""
    try:
        pid = int(pid_file.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if program.encode() in command else None


def end(pid_file: Path, program: str) -> None:
    """Ask the process to stop, wait, insist; the file is gone afterwards."""
    pid = running(pid_file, program)
    if pid is not None:
        with phase(f"stop {program}"):
            _end(pid, pid_file, program)
    pid_file.unlink(missing_ok=True)


def _end(pid: int, pid_file: Path, program: str) -> None:
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_SECONDS
    while running(pid_file, program) == pid:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            break
        time.sleep(0.1)
