"""The session's log as one stream of bytes, whose places stay the same when its files turn.

The log is two files: when the newer one is full it becomes the older one, and the one before
that is gone (see `output`). A place is the number of bytes before it since this object looked
first. The files are kept open, so that one is known again under its other name. When they
turned twice unseen, nobody knows how much came between: places go on higher than any before,
so whoever comes back with an older one is found to have missed something.

What lies at the log's place is a file, or there is no log: no link is followed, and nothing
makes a reader wait.
"""

import errno
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MOST = 2 << 20
"""Bytes in an answer."""
_ATTEMPTS = 10


class NoLog(Exception):
    """There is nothing to read; the words say why."""


@dataclass(frozen=True, slots=True)
class _Part:
    """An open file, and the place of its first byte."""

    file: int
    start: int

    @property
    def end(self) -> int:
        return self.start + os.fstat(self.file).st_size


class SessionLog:
    """What is kept of the session's output.

    Args:
        path: the newer file; the older one is ``PATH.1``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._older = path.with_name(f"{path.name}.1")
        self._parts: list[_Part] = []

    def look(self) -> None:
        """See whether the files turned.

        Raises:
            NoLog: there is none, or it cannot be read.
        """
        if self._parts and _is_at(self._parts[-1].file, self._path):
            return
        if self._parts and not os.path.lexists(self._path):
            # it turns at this moment, or was deleted and will be made anew
            return
        files = self._open_all()
        last = self._parts[-1] if self._parts else None
        once = last and len(files) > 1 and _is_one(files[0], last.file)
        start = 0 if last is None else last.start if once else last.end + 1
        before, self._parts = self._parts, []
        for file in files:
            self._parts.append(_Part(file, start))
            start = self._parts[-1].end
        _close(part.file for part in before)

    def _open_all(self) -> list[int]:
        """The files of one moment, the older one first where there is one."""
        why = "its files turn too fast"
        for _ in range(_ATTEMPTS):
            files: list[int] = []
            try:
                files.append(_open(self._path))
                files.insert(0, _open(self._older))
            except FileNotFoundError:
                why = why if files else f"{self._path.name} does not exist"
            except OSError as error:
                _close(files)
                raise NoLog(error.strerror) from error
            # what was the newer one is not the older one by now
            if files and _is_at(files[-1], self._path):
                return files
            _close(files)
        raise NoLog(why)

    @property
    def end(self) -> int:
        """The place after the last byte."""
        return self._parts[-1].end

    def last(self, lines: int) -> int:
        """The place where the last so many lines begin, or as many as are kept and fit."""
        start, data = self.text(self._parts[0].start)
        at = len(data) - data.endswith(b"\n")
        for _ in range(lines):
            at = data.rfind(b"\n", 0, at)
            if at < 0:
                break
        return start + at + 1

    def text(self, place: int) -> tuple[int, bytes]:
        """All from a place on; of more than fits, the last whole lines. And where it begins."""
        found = bytearray()
        while data := self.read(place, MOST)[1]:
            place += len(data)
            found += data
        kept = bytes(found[-MOST:])
        if len(kept) < len(found):
            kept = kept.partition(b"\n")[2] or kept
        return place - len(kept), kept

    def read(self, place: int, most: int) -> tuple[int, bytes]:
        """Some bytes from a place on, or from the next one that is kept; and which it is."""
        place = min(max(place, self._parts[0].start), self.end)
        part = next(part for part in reversed(self._parts) if part.start <= place)
        return place, os.pread(part.file, most, place - part.start)


def _open(path: Path) -> int:
    """A regular file, open for reading.

    Raises:
        OSError: it is something else, or cannot be read.
    """
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    raise OSError(errno.EINVAL, f"{path.name} is no file")


def _is_at(file: int, path: Path) -> bool:
    """Whether a path names this open file."""
    try:
        return os.path.samestat(os.fstat(file), path.lstat())
    except OSError:
        return False


def _is_one(file: int, other: int) -> bool:
    return os.path.samestat(os.fstat(file), os.fstat(other))


def _close(files: Iterable[int]) -> None:
    for file in files:
        os.close(file)
