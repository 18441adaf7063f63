"""The folders that are mounted into this session, as the kernel lists them.

A folder is a mount directly below the home, such as ``/home/work/data``: there the hub puts
every one. What is mounted elsewhere, or within a folder, is none.

One file of the kernel's is read. No folder is touched, so one whose server hangs holds up
nobody who asks.

Source: proc_pid_mountinfo(5).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HOME = Path("/home/work")
MOUNTINFO = Path("/proc/self/mountinfo")

_ESCAPED = re.compile(rb"\\([0-7]{3})")
"""Blanks, line ends and backslashes, as three octal digits."""
_FIELDS = 10
"""At least: six, none or more optional ones, a hyphen, three of the file system."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A mounted folder.

    Args:
        name: what it is called below the home.
        path: where it is.
        writable: whether anything can be written there; permissions of files aside.
    """

    name: str
    path: Path
    writable: bool


def folders(home: Path = HOME, mountinfo: Path = MOUNTINFO) -> tuple[Folder, ...]:
    """The folders below ``home``, by name; none where the kernel's list cannot be read."""
    try:
        content = mountinfo.read_bytes()
    except OSError:
        return ()
    # of two at one place the later lies on top
    found = {folder.name: folder for folder in _mounts(content) if folder.path.parent == home}
    return tuple(found[name] for name in sorted(found))


def _mounts(content: bytes) -> Iterator[Folder]:
    """Every mount in the list, be it a folder or not."""
    for line in content.split(b"\n"):
        words = line.split(b" ")
        if len(words) < _FIELDS or b"-" not in words[6:]:
            continue
        system = words[words.index(b"-", 6) + 1 :]
        options = {*words[5].split(b","), *system[-1].split(b",")}
        point = _ESCAPED.sub(lambda match: bytes((int(match[1], 8) & 0xFF,)), words[4])
        path = Path(point.decode("utf-8", "surrogateescape"))
        yield Folder(path.name, path, b"ro" not in options)
