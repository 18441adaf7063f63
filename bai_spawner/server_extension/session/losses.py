"""What is deleted when the session ends: whatever lies in the work directory outside folders.

Not counted are the session's own keys and what the image brought along. Of an entry that the
image brought, the files count which were written since the session began: their ctime says so,
which, unlike the mtime, nobody can set, and which the engine's layers keep.

Sizes are what the file browser shows (``st_size``), a link's own and not its target's. Links
are never followed, and other file systems are not entered.
"""

import os
import stat
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bai_spawner.server_extension.mounts import Folder

OWN = frozenset({".ssh", "id_container"})
"""What the session puts into the work directory itself, new each time."""
LISTED = 200
"""So many entries are told one by one."""
SECONDS = 3.0
"""What counting may take."""
_CTIME_CLOCK = 5
"""CLOCK_REALTIME_COARSE of clock_gettime(2): what a ctime is read off, behind the other clock."""

Folders = Callable[[Path], tuple[Folder, ...]]


@dataclass(slots=True)
class Entry:
    """Something in the work directory.

    Args:
        name: what it is called.
        kind: ``file`` (a link is one) or ``directory``.
        size: bytes.
        files: how many files; an empty directory has none.
        complete: whether that is all of it.
    """

    name: str
    kind: str
    size: int = 0
    files: int = 0
    complete: bool = True

    @property
    def hidden(self) -> bool:
        """Caches and settings, mostly."""
        return self.name.startswith(".")


@dataclass(frozen=True, slots=True)
class Losses:
    """What would be lost, first what is seen in a file browser, the largest first."""

    entries: list[Entry] = field(default_factory=list)

    def told(self, listed: int = LISTED) -> dict[str, Any]:
        """As JSON: so many entries one by one, and what the others come to."""
        others = self.entries[listed:]
        return {
            "total": sum(entry.size for entry in self.entries),
            "files": sum(entry.files for entry in self.entries),
            "complete": all(entry.complete for entry in self.entries),
            "entries": [
                {
                    "name": entry.name,
                    "kind": entry.kind,
                    "size": entry.size,
                    "files": entry.files,
                    "hidden": entry.hidden,
                    "complete": entry.complete,
                }
                for entry in self.entries[:listed]
            ],
            "others": {
                "entries": len(others),
                "size": sum(entry.size for entry in others),
                "files": sum(entry.files for entry in others),
            },
        }


class Work:
    """The work directory. It is made when the session begins, and remembers what is there then.

    Args:
        home: where it is.
        folders: tells what is mounted in it.
        apart: paths that do not count, such as Jupyter's runtime.
    """

    def __init__(self, home: Path, folders: Folders, apart: Iterable[Path] = ()) -> None:
        self.home, self._folders = home, folders
        self._apart = frozenset(map(str, apart))
        self._since = time.clock_gettime_ns(_CTIME_CLOCK)
        self._brought = frozenset(path.name for path in home.iterdir())

    def folders(self) -> tuple[Folder, ...]:
        """What is mounted now."""
        return self._folders(self.home)

    def names(self) -> list[str]:
        """The entries that end with the session, also those that the image brought.

        Raises:
            OSError: the work directory cannot be read.
        """
        kept = OWN | {folder.name for folder in self.folders()}
        return [path.name for path in self.home.iterdir() if path.name not in kept]

    def losses(self, seconds: float = SECONDS) -> Losses:
        """Count for so long at most. It blocks.

        Raises:
            OSError: the work directory cannot be read.
        """
        device = self.home.stat().st_dev
        count = _Count(self._apart, device, time.monotonic() + seconds)
        found = [self._entry(name, count) for name in self.names()]
        entries = [entry for entry in found if entry]
        entries.sort(key=lambda entry: (entry.hidden, -entry.size, entry.name))
        return Losses(entries)

    def _entry(self, name: str, count: "_Count") -> Entry | None:
        """One of them; ``None`` when nothing of it would be lost."""
        path = self.home / name
        brought = name in self._brought
        try:
            found = path.lstat()
        except OSError:
            return None
        entry = Entry(name, "directory" if stat.S_ISDIR(found.st_mode) else "file")
        since = self._since if brought else 0
        if entry.kind == "file":
            count.file(entry, found, since)
        else:
            count.directory(entry, str(path), since)
        kept = entry.files or (entry.kind == "directory" and not brought)
        return entry if kept or not entry.complete else None


@dataclass(frozen=True, slots=True)
class _Count:
    """Counts entries, for as long as there is time.

    Args:
        apart: paths that do not count.
        device: the file system that is counted.
        until: when to stop, by the monotonic clock.
    """

    apart: frozenset[str]
    device: int
    until: float

    def file(self, entry: Entry, found: os.stat_result, since: int) -> None:
        """Add a file to an entry. Sockets, pipes and devices hold nothing."""
        if found.st_ctime_ns >= since and stat.S_IFMT(found.st_mode) in {
            stat.S_IFREG,
            stat.S_IFLNK,
        }:
            entry.size += found.st_size
            entry.files += 1

    def directory(self, entry: Entry, path: str, since: int) -> None:
        """Add all that is in a directory to an entry."""
        waiting = [path]
        while waiting:
            if time.monotonic() > self.until:
                entry.complete = False
                return
            try:
                self._one(entry, waiting, since)
            except OSError:  # unreadable, or gone since
                entry.complete = False

    def _one(self, entry: Entry, waiting: list[str], since: int) -> None:
        """Add the files of the directory that waited last; its directories wait."""
        path = waiting.pop()
        if path in self.apart or os.lstat(path).st_dev != self.device:
            return
        with os.scandir(path) as inside:
            for number, found in enumerate(inside):
                if found.is_dir(follow_symlinks=False):
                    waiting.append(found.path)
                else:
                    self.file(entry, found.stat(follow_symlinks=False), since)
                if number % 1000 == 0 and time.monotonic() > self.until:
                    entry.complete = False
                    return
