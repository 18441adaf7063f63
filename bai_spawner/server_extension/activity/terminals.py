"""When a terminal of the session was last typed into, and whether a job runs in one.

Every terminal is a device below ``/dev/pts``: Jupyter's own, a pane of tmux, a login by SSH.
Linux keeps the time of the last input that a program read from it as the device's atime, to
8 seconds, which is how w(1) knows who is idle. Output, a change of size, and a socket that
stays open leave it alone. A new terminal counts as typed into when it was opened.

A tmux client is the exception: what tmux asks of the terminal that it is shown in, it asks
again on each attach and each change of size, and the answers look like typing. So nothing
counts that is typed where a client is in front; what is typed into a pane reaches the pane.

A job is what is in front in a terminal (the foreground process group), unless a tmux client
is there, or nothing but shells that wait: for a command, or, as a script, for an answer. A
stopped job, or one in the background, is not in front.

Sources: tty_update_time in the kernel's drivers/tty/tty_io.c; proc_pid_stat(5);
Documentation/admin-guide/devices.txt for what a terminal's number means.
"""

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

PTS = Path("/dev/pts")
PROC = Path("/proc")

SHELLS = frozenset(
    {"ash", "bash", "csh", "dash", "fish", "ksh", "mksh", "nu", "pwsh", "sh", "tcsh", "zsh"}
)
CLIENTS = frozenset({"bai-terminal", "screen", "tmux: client"})
"""Programs that show other terminals, by the name that ``/proc/PID/stat`` has. The first is
what the web terminal runs for each tab, around tmux's client."""

_WAITING = frozenset({"S", "T"})
"""States of a shell at its prompt: asleep, or stopped."""
_ENDED = frozenset({"Z", "X"})


@dataclass(frozen=True, slots=True)
class Terminals:
    """What the session's terminals do.

    Args:
        last: when one was typed into or opened, in seconds since the epoch; 0 when there is none.
        busy: whether a job runs in front in one of them.
    """

    last: float
    busy: bool


class Process(NamedTuple):
    """What `stat` says of a process that has a terminal."""

    number: int
    name: str
    state: str
    group: int
    terminal: int
    """The number of its device, as the kernel writes it there."""
    foreground: int
    """The group that is in front there."""


def look(pts: Path | None = None, proc: Path | None = None) -> Terminals:
    """Look at all terminals of this container."""
    pts, proc = pts or PTS, proc or PROC
    inputs = dict(_inputs(pts))
    front: defaultdict[int, list[Process]] = defaultdict(list)
    for process in _processes(proc) if inputs else ():
        if process.terminal in inputs and process.group == process.foreground:
            front[process.terminal].append(process)
    shown = {number for number, group in front.items() if any(p.name in CLIENTS for p in group)}
    typed = (at for number, at in inputs.items() if number not in shown)
    groups = (group for number, group in front.items() if number not in shown)
    return Terminals(
        # nobody types in the future; whoever sets a clock or an atime is not believed
        last=min(max(typed, default=0.0), time.time()),
        busy=any(not _waits(process, proc) for group in groups for process in group),
    )


def _waits(process: Process, proc: Path) -> bool:
    """Whether that is a shell which sleeps; one that computes does not wait for anybody."""
    if process.state not in _WAITING:
        return False
    if process.name in SHELLS:
        return True
    with suppress(OSError):  # a script has its own name, and is run by a shell
        return (proc / str(process.number) / "exe").readlink().name in SHELLS
    return False


def _inputs(pts: Path) -> Iterator[tuple[int, float]]:
    """Each terminal's number, and when it was last read from."""
    with suppress(FileNotFoundError):
        for path in pts.iterdir():
            with suppress(OSError):  # closed since it was listed
                if path.name.isdecimal():
                    found = path.stat()
                    yield _number(found.st_rdev), found.st_atime


def _number(device: int) -> int:
    """A device's number as ``/proc/PID/stat`` has it."""
    major, minor = os.major(device), os.minor(device)
    return (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)


def _processes(proc: Path) -> Iterator[Process]:
    """Every living process that has a terminal."""
    for path in proc.iterdir():
        if not path.name.isdecimal():
            continue
        with suppress(OSError):  # ended since it was listed
            process = parsed((path / "stat").read_bytes())
            if process.terminal and process.state not in _ENDED:
                yield process


def parsed(stat: bytes) -> Process:
    """A line of ``/proc/PID/stat``. A program's name is in brackets, and may have some itself."""
    number, _, more = stat.partition(b"(")
    name, _, rest = more.rpartition(b")")
    fields = rest.split()
    return Process(
        int(number),
        name.decode("utf-8", "replace"),
        fields[0].decode(),
        group=int(fields[2]),
        terminal=int(fields[4]),
        foreground=int(fields[5]),
    )
