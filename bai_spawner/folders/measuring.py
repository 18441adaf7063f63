"""How much is in a folder: the room that it takes on its disk, and how many files.

A folder's content is of sessions' making: it may be endless, deep and full of links, and change
meanwhile. What is counted is bounded in time and number, and that something was left out is
told. No link is followed, no other file system is entered; a file with several names in the
folder takes room once.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bai_spawner.folders.tree import opened

SECONDS = 10.0
ENTRIES = 200_000
DEPTH = 100
"""Directories inside each other; each has a descriptor of its own while it is counted."""
_BLOCK = 512
"""Bytes; st_blocks is in this unit, whatever the file system's own is."""


@dataclass(frozen=True, slots=True)
class Measured:
    """``size`` in bytes, ``files`` are all that are no directories; with ``more`` at least so."""

    size: int
    files: int
    more: bool = False


def measure(
    folder: Path, root: Path, *, seconds: float = SECONDS, entries: int = ENTRIES
) -> Measured:
    """Count what is in a folder below a root, from which it is reached without a link.

    Raises:
        OSError: it is not there, or cannot be read.
    """
    with ExitStack() as stack:
        directory = stack.enter_context(opened(root))
        for part in folder.relative_to(root).parts:
            directory = stack.enter_context(opened(part, directory))
        return _Count(os.fstat(directory), time.monotonic() + seconds, entries).of(directory)


class _Count:
    """Counts one folder.

    Args:
        folder: its own status.
        deadline: when to end, by the clock that never goes back.
        entries: after how many.
    """

    def __init__(self, folder: os.stat_result, deadline: float, entries: int) -> None:
        self._device, self._blocks = folder.st_dev, folder.st_blocks
        self._deadline, self._left = deadline, entries
        self._files = 0
        self._is_short = False
        """Whether something was left out."""
        self._linked: set[int] = set()
        """Inodes of files that have several names."""

    def of(self, folder: int) -> Measured:
        """Count what is in it."""
        self._directory(folder, DEPTH)
        return Measured(self._blocks * _BLOCK, self._files, self._is_short)

    def _directory(self, directory: int, depth: int) -> None:
        """Count what is in one, and once it was read what is in those inside it."""
        below = []
        with os.scandir(directory) as entries:
            for entry in entries:
                self._left -= 1
                if self._is_over():
                    return
                if self._is_to_enter(entry):
                    below.append(entry.name)
        for name in below:
            if self._is_over():
                return
            self._inside(directory, name, depth - 1)

    def _inside(self, directory: int, name: str, depth: int) -> None:
        if not depth:
            self._is_short = True
            return
        try:
            with opened(name, directory) as inner:
                self._directory(inner, depth)
        except FileNotFoundError:
            pass
        except OSError:
            self._is_short = True

    def _is_to_enter(self, entry: os.DirEntry[str]) -> bool:
        """Count an entry; whether it is a directory with more in it."""
        try:
            found = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return False
        except OSError:
            self._is_short = True
            return False
        if stat.S_ISDIR(found.st_mode):
            if found.st_dev != self._device:
                return False
            self._blocks += found.st_blocks
            return True
        self._files += 1
        if found.st_nlink == 1 or found.st_ino not in self._linked:
            self._blocks += found.st_blocks
        if found.st_nlink > 1:
            self._linked.add(found.st_ino)
        return False

    def _is_over(self) -> bool:
        """Whether time or number have run out."""
        if self._left >= 0 and time.monotonic() <= self._deadline:
            return False
        self._is_short = True
        return True
