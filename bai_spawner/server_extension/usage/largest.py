"""Which process holds the most memory, in words that its user knows it by.

Read from ``/proc``: some 20 µs a process, so only when there is a reason to ask. A process's
memory is its resident set (RSS), which counts pages that it shares with others, too.

A process may call itself anything: its name is cut, and only what can be printed is kept.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bai_spawner.server_extension.usage.printable import printable

PROC = Path("/proc")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_ANCESTORS = 32
"""Parents that are looked at, of a process that may have a kernel above it."""
_INTERPRETER = re.compile(r"(python|perl|ruby|node|julia|bash|sh|Rscript|java)[0-9.]*")
"""Programs that say nothing by their own name, and much by their first argument."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process, its name in words, and its bytes of memory."""

    pid: int
    name: str
    memory: int


def largest(kernels: Mapping[int, str], proc: Path = PROC) -> Process | None:
    """The process with the most memory; ``None`` where none can be read.

    Args:
        kernels: in words what each kernel is, by its process's number.
        proc: where processes are told of.
    """
    found = max(((_resident(proc, pid), pid) for pid in _pids(proc)), default=None)
    if found is None:
        return None
    memory, pid = found
    return Process(pid, name(pid, kernels, proc), memory)


def name(pid: int, kernels: Mapping[int, str], proc: Path = PROC) -> str:
    """What a process is: a kernel, what one started, this server, or else its command."""
    if pid in kernels:
        return kernels[pid]
    if pid == os.getpid():
        return "this session's Jupyter server"
    own = _command(proc, pid)
    above = next((kernels[parent] for parent in _ancestors(proc, pid) if parent in kernels), "")
    return f"{own}, which {above} started" if above else own


def _pids(proc: Path) -> list[int]:
    with os.scandir(proc) as entries:
        return [int(entry.name) for entry in entries if entry.name.isdecimal()]


def _read(proc: Path, pid: int, file: str) -> bytes:
    """A process's file; empty when it is gone or another user's."""
    try:
        return (proc / str(pid) / file).read_bytes()
    except OSError:
        return b""


def _resident(proc: Path, pid: int) -> int:
    words = _read(proc, pid, "statm").split()
    return int(words[1]) * _PAGE if len(words) > 1 else 0


def _ancestors(proc: Path, pid: int) -> list[int]:
    """The parents of a process, the nearest first."""
    found: list[int] = []
    while pid > 1 and len(found) < _ANCESTORS:
        # the name before the last parenthesis may hold anything
        words = _read(proc, pid, "stat").rpartition(b")")[2].split()
        pid = int(words[1]) if len(words) > 1 else 0
        found.append(pid)
    return found


def _command(proc: Path, pid: int) -> str:
    """What was started, without its folder: ``tar``, ``python3 train.py``."""
    words = _read(proc, pid, "cmdline").split(b"\0")
    program, argument = (os.fsdecode(word.rpartition(b"/")[2]) for word in (*words, b"")[:2])
    if not program:
        return printable(os.fsdecode(_read(proc, pid, "comm").strip())) or "a process"
    if _INTERPRETER.fullmatch(program) and argument and not argument.startswith("-"):
        program = f"{program} {argument}"
    return printable(program)
