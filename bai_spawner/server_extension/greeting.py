"""What a session's terminals say first: what was granted, and what outlives the session.

It is written once, when the server starts, because none of it changes while the session runs.
Shells only read the file (``/etc/profile.d/bai-greeting.sh`` in the image), which takes no
time and no program, whatever their user did to ``PATH`` or to Python.
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from bai_spawner.server_extension.deaths import size
from bai_spawner.server_extension.mounts import Folder, folders
from bai_spawner.server_extension.part import Part

FILE = Path("/run/bai-session/greeting")
WIDTH = 78
"""Columns of a line: most terminals have 80, and wider lines are not read well."""
_MIB = 2**20


def part(serverapp: Any) -> Part:  # noqa: ARG001 - every part is asked alike
    """The file, written when the server starts."""
    return Part(run=write)


async def write() -> None:
    """Write the greeting of this session.

    Raises:
        OSError: it cannot be written.
    """
    await asyncio.to_thread(_write)


def _write() -> None:
    FILE.write_text(greeting(os.environ, folders()), encoding="utf-8")


def greeting(environ: Mapping[str, str], mounted: Sequence[Folder]) -> str:
    """The lines of it, each ended.

    Args:
        environ: the server's, in which the hub says what the session is and has.
        mounted: its folders.
    """
    name = environ.get("BAI_SESSION_NAME", "")
    granted = _list(_granted(environ))
    lines = [
        f"Session {name}".rstrip() + (f": {granted}." if granted else "."),
        _kept([_called(folder) for folder in mounted]),
    ]
    return "".join(f"{fill(line, WIDTH, break_on_hyphens=False)}\n" for line in lines)


def _granted(environ: Mapping[str, str]) -> list[str]:
    """What the hub says that the session has."""
    found = []
    if (cpu := environ.get("CPU_LIMIT", "")).isdecimal():
        found.append(f"{cpu} CPU core{'' if cpu == '1' else 's'}")
    if (memory := environ.get("MEM_LIMIT", "")).isdecimal():
        found.append(f"{size(int(memory))} of memory")
    if fgpu := environ.get("BAI_FGPU", ""):
        device = environ.get("BAI_GPU_MEMORY_MIB", "")
        with_memory = f" with {size(int(device) * _MIB)}" if device.isdecimal() else ""
        found.append(f"{fgpu} fGPU{with_memory}")
    return found


def _called(folder: Folder) -> str:
    """A folder's name; what no terminal should be sent is shown escaped."""
    shown = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in folder.name)
    return shown if folder.writable else f"{shown} (read only)"


def _kept(names: list[str]) -> str:
    if not names:
        return "No folder is mounted: every file is deleted when it ends."
    return f"Kept when it ends: {_list(names)}. Everything else is deleted."


def _list(words: list[str]) -> str:
    """The words as in a sentence."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
