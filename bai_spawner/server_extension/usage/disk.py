"""How full the work directory and the mounted folders are.

What a session wrote has to be counted file by file: no quota and no cgroup knows it. So it is
counted by `du`, which waits for everybody else (nice, idle I/O) and is ended when it takes too
long; only while somebody asks, and at most once in so many seconds, or once in ten times as
long as it took. Nobody waits for it: what is told is what was counted last.

Bytes are those on disk, as `du` counts them: of a sparse file what was written, of a file with
several names one, of a link the link itself. A directory with nothing in it is nothing, though
it has a block of its own. Other file systems below are not entered.
"""

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from bai_spawner.server_extension.aside import Aside
from bai_spawner.server_extension.mounts import Folder

PAUSE = 60.0
"""Seconds from one count to the next, at least."""
PATIENCE = 10.0
"""At least so many times as long as it took, too."""
SECONDS = 30.0
"""What one count may take."""
GRACE = 5.0
"""More seconds for a process that was killed to be gone."""
SPACE_SECONDS = 1.0
"""What asking a file system for its free space may take."""
LISTED = 10_000
"""With more entries than these a directory is counted in one piece."""

_COMMAND = (
    *("/usr/bin/nice", "-n", "19", "/usr/bin/ionice", "-t", "-c", "3"),
    # one line for each root as soon as it is counted, ended by a null byte: names have line ends
    *("/usr/bin/du", "-s", "-x", "-0", "--block-size=1", "--files0-from=-"),
)
_BLOCK = 512
"""Bytes of what stat(2) calls a block, whatever the file system's are."""


@dataclass(frozen=True, slots=True)
class Size:
    """What was counted.

    Args:
        used: bytes; ``None``: nothing is known.
        complete: whether that is all. Else it is the least: time ran out, or something could
            not be read or was gone when its turn came.
        at: when, in seconds since the epoch; ``None``: never yet.
    """

    used: int | None = None
    complete: bool = False
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes that a file system has left for this user, and has in all; ``None``: not known."""

    free: int | None = None
    total: int | None = None


def space(path: Path) -> Space:
    """Ask a file system. It blocks for as long as the file system likes.

    Raises:
        OSError: it does not say.
    """
    found = os.statvfs(path)
    return Space(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)


def count(path: Path, without: Collection[str] = (), seconds: float = SECONDS) -> Size:
    """Count a directory, without the entries of these names. It blocks.

    Raises:
        OSError: it cannot be read, or there is no `du`.
    """
    with os.scandir(path) as entries:
        listed = list(islice((entry.name for entry in entries), LISTED + 1))
    whole = len(listed) > LISTED
    roots = [path] if whole else [path / name for name in listed if name not in without]
    if not roots:
        return Size(0, complete=True, at=time.time())
    used = 0 if whole else path.lstat().st_blocks * _BLOCK
    done = subprocess.run(  # noqa: S603 - names are its input, and none of its arguments
        ["/usr/bin/timeout", "-s", "KILL", str(seconds), *_COMMAND],
        input=b"\0".join(map(os.fsencode, roots)),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"LC_ALL": "C"},
        check=False,
    )
    counted = [line.partition(b"\t")[0] for line in done.stdout.split(b"\0") if line]
    if not counted:
        return Size(at=time.time())
    return Size(used + sum(map(int, counted)), done.returncode == 0, time.time())


class Disk:
    """The work directory and the folders in it.

    Args:
        home: the work directory.
        folders: tells what is mounted now.
        pause: seconds between two counts.
        seconds: what counting one of them may take.
    """

    def __init__(
        self,
        home: Path,
        folders: Callable[[], tuple[Folder, ...]],
        *,
        pause: float = PAUSE,
        seconds: float = SECONDS,
    ) -> None:
        self._home, self._folders = home, folders
        self._pause, self._seconds = pause, seconds
        self._sizes: dict[Path, Size] = {}
        self._spaces: dict[Path, Space] = {}
        self._aside: dict[Path, Aside] = {}
        self._task: asyncio.Task[None] | None = None
        self._asked = asyncio.Event()
        self._next = 0.0

    async def told(self) -> dict[str, Any]:
        """What is known; asking is what keeps it counted.

        The first answer waits, for a second at most, until the file systems said what is free.
        """
        folders = self._folders()
        if (self._task is None or self._task.done()) and time.monotonic() >= self._next:
            self._task = asyncio.ensure_future(self._measure(folders))
        with suppress(TimeoutError):
            await asyncio.wait_for(self._asked.wait(), SPACE_SECONDS)
        work = self._sizes.get(self._home, Size())
        return {
            "work": {"used": work.used or 0, "complete": work.complete, "at": work.at},
            "folders": [self._folder(folder) for folder in folders],
        }

    def _folder(self, folder: Folder) -> dict[str, Any]:
        size = self._sizes.get(folder.path, Size())
        there = self._spaces.get(folder.path, Space())
        known = {"used": size.used, "complete": size.complete}
        return {"name": folder.name, **known, "free": there.free, "total": there.total}

    async def close(self) -> None:
        """Count no more."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _measure(self, folders: tuple[Folder, ...]) -> None:
        """One after the other: each is work for the same disks and cores."""
        began = time.monotonic()
        try:
            for folder in folders:
                self._spaces[folder.path] = await self._space(folder.path)
            self._asked.set()
            names = frozenset(folder.name for folder in folders)
            self._sizes[self._home] = await self._size(self._home, names)
            for folder in folders:
                self._sizes[folder.path] = await self._size(folder.path)
        finally:
            took = time.monotonic() - began
            self._next = time.monotonic() + max(self._pause, PATIENCE * took)

    async def _space(self, path: Path) -> Space:
        try:
            return await self._at(path).ask(lambda: space(path), SPACE_SECONDS)
        except OSError:  # a TimeoutError is one
            return Space()

    async def _size(self, path: Path, without: Collection[str] = ()) -> Size:
        try:
            return await self._at(path).ask(
                lambda: count(path, without, self._seconds), self._seconds + GRACE
            )
        except OSError:
            return Size(at=time.time())

    def _at(self, path: Path) -> Aside:
        return self._aside.setdefault(path, Aside())
