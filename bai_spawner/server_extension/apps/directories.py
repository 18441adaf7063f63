"""Directories that an app may be started on: those of the work directory, and no others.

What is asked for may be any text. A symbolic link counts as what it points to: one that
leaves the work directory is refused like any other directory outside.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from bai_spawner.server_extension.api import Wrong

LONGEST = 4096
"""Characters of a path: PATH_MAX, linux/limits.h."""
MOST_LISTED, MOST_SEEN = 100, 10_000
"""Suggestions in one answer; entries looked at for them, so that a huge directory costs little."""

_ACCEPTED = "name a directory below {work}, such as logs"


@dataclass(frozen=True, slots=True)
class Listed:
    """Directories whose paths begin with a text, relative to the work directory, sorted."""

    directories: tuple[str, ...] = ()
    complete: bool = True


def chosen(work: Path, text: str) -> Path:
    """The absolute path of the directory that a text names, relative to the work directory.

    Raises:
        Wrong: field "directory": there is none, it is outside, or it cannot be read.
    """
    accepted = _ACCEPTED.format(work=work)
    if not text.strip() or len(text) > LONGEST:
        raise Wrong("directory", text, accepted)
    found = _inside(work, text)
    if found is None or not found.is_dir():
        raise Wrong("directory", text, accepted)
    if not os.access(found, os.R_OK | os.X_OK):
        raise Wrong("directory", text, "name a directory that you may read")
    return found


def told(work: Path, directory: Path) -> str:
    """A chosen directory as people write it: relative to the work directory."""
    return directory.relative_to(work.resolve()).as_posix()


def listed(work: Path, below: str) -> Listed:
    """Directories that ``below`` may become when it is typed on, ``logs/ru``: ``logs/run1``.

    Hidden ones are listed when their dot is typed. Where there is nothing to list, nothing is.
    """
    above, _, beginning = below.rpartition("/")
    parent = _inside(work, above or ".") if len(below) <= LONGEST else None
    if parent is None or below.startswith("/"):
        return Listed()
    names: list[str] = []
    seen = 0
    try:
        with os.scandir(parent) as entries:
            for entry in entries:
                seen += 1
                if seen > MOST_SEEN:
                    break
                shown = beginning.startswith(".") or not entry.name.startswith(".")
                if shown and entry.name.startswith(beginning) and _is_inside(work, entry):
                    names.append(entry.name)
    except OSError:
        return Listed()
    paths = [f"{above}/{name}" if above else name for name in sorted(names)[:MOST_LISTED]]
    complete = seen <= MOST_SEEN and len(names) <= MOST_LISTED
    return Listed(tuple(path for path in paths if _can_be_told(path)), complete)


def _is_inside(work: Path, entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a directory that may be chosen."""
    if not entry.is_symlink():
        return entry.is_dir()
    return entry.is_dir() and _inside(work, entry.path) is not None


def _inside(work: Path, text: str) -> Path | None:
    """What a path leads to, links followed; ``None`` when that is outside, or no path."""
    try:
        found = Path(work, text).resolve()
    except (OSError, RuntimeError, ValueError):
        # a loop of links, a NUL, half a surrogate pair
        return None
    return found if found.is_relative_to(work.resolve()) else None


def _can_be_told(path: str) -> bool:
    """Whether a name is text: Linux takes any bytes."""
    return path.isprintable()
