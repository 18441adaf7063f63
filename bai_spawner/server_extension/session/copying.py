"""Copying entries of the work directory into a folder, whatever anybody does there meanwhile.

Every name is opened within the directory that is open already, and never through a link, so a
directory that is swapped for a link leads nowhere. Links are copied as links. Sockets, pipes,
devices, other file systems and what lies too deep are left out, and told; what is gone when its
turn comes is not. Permissions (without set-id bits) and times are kept, and holes stay holes.

What cannot be copied ends it: what was copied before stays, and the file that was begun is
removed. All of it blocks.
"""

import errno
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bai_spawner.server_extension.deaths import size

DEEPEST = 200
"""Levels of directories: each holds two files open, and takes of Python's stack."""
CHUNK = 2**20
"""Bytes between two looks at whether to stop."""
_BLOCK = 512
"""Bytes of what stat(2) calls a block."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# without O_NONBLOCK, opening a pipe that a file was swapped for would wait for its writer
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_SWAPPED = frozenset({errno.ELOOP, errno.ENOTDIR})


class Failed(Exception):
    """A copy ended early; why, in words for its user."""


class _Gone(Exception):
    """Something is there no longer."""


class Copy:
    """One copy.

    Args:
        home: where the entries are.
        names: what they are called there.
        folder: what they are copied into.
        target: the name of a directory that is made there, and must be new.

    ``copied`` and ``total`` are bytes; ``files`` is how many are copied; ``skipped`` has the
    paths of what was left out.
    """

    def __init__(self, home: Path, names: Sequence[str], folder: Path, target: str) -> None:
        self._home, self._names, self._folder, self._target = home, names, folder, target
        self._stop = threading.Event()
        self._device = -1
        self.copied = self.total = self.files = 0
        self.skipped: list[str] = []

    def stop(self) -> None:
        """Have it end soon, as failed."""
        self._stop.set()

    def run(self) -> None:
        """Copy.

        Raises:
            Failed: it could not be done to the end.
        """
        try:
            with _opened(str(self._home)) as home, _opened(str(self._folder)) as folder:
                self._device = os.fstat(home).st_dev
                self._check_space(home, folder)
                os.mkdir(self._target, dir_fd=folder)
                with _opened(self._target, folder) as target:
                    for name in self._names:
                        self._entry(name, home, target, name)
        except OSError as error:
            raise Failed(
                f"{self._folder.name}/{self._target} could not be made: {error.strerror}."
            ) from error

    def _check_space(self, home: int, folder: int) -> None:
        """A folder that is filled to its last byte fails everybody who writes there."""
        needed = sum(self._measure(name, home, name) for name in self._names)
        there = os.fstatvfs(folder)
        free = there.f_bavail * there.f_frsize
        if needed > free:
            raise Failed(
                f"The folder {self._folder.name} has {size(free)} left, and {size(needed)} are "
                "needed. Nothing was copied: choose less, or another folder."
            )

    def _measure(self, name: str, within: int, path: str, depth: int = 0) -> int:
        """Add an entry to the total; the bytes that its copy will take on disk."""
        self._go_on()
        try:
            found = _status(name, within)
            if stat.S_ISREG(found.st_mode):
                self.total += found.st_size
                return min(found.st_size, found.st_blocks * _BLOCK)
            if not stat.S_ISDIR(found.st_mode) or not self._enters(found, depth):
                return 0
            with _source(name, within, _DIRECTORY) as inside:
                return sum(
                    self._measure(more, inside, f"{path}/{more}", depth + 1)
                    for more in _listed(inside)
                )
        except _Gone:
            return 0
        except OSError as error:
            raise Failed(_words(path, error)) from error

    def _entry(self, name: str, source: int, into: int, path: str, depth: int = 0) -> None:
        """Copy one thing from one open directory to another."""
        self._go_on()
        try:
            found = _status(name, source)
            if stat.S_ISLNK(found.st_mode):
                self._link(name, source, into, found)
            elif stat.S_ISDIR(found.st_mode):
                self._directory(name, source, into, path, depth)
            elif stat.S_ISREG(found.st_mode):
                self._file(name, source, into, path)
            else:
                self.skipped.append(path)
        except _Gone:
            return
        except OSError as error:
            raise Failed(_words(path, error)) from error

    def _link(self, name: str, source: int, into: int, found: os.stat_result) -> None:
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=into)
        os.utime(name, ns=_times(found), dir_fd=into, follow_symlinks=False)
        self.files += 1

    def _directory(self, name: str, source: int, into: int, path: str, depth: int) -> None:
        with _source(name, source, _DIRECTORY) as old:
            found = os.fstat(old)
            if not self._enters(found, depth):
                self.skipped.append(path)
                return
            os.mkdir(name, 0o700, dir_fd=into)
            with _opened(name, into) as new:
                for more in _listed(old):
                    self._entry(more, old, new, f"{path}/{more}", depth + 1)
                _keep(new, found)

    def _file(self, name: str, source: int, into: int, path: str) -> None:
        with _source(name, source, _READ) as old:
            found = os.fstat(old)
            if not stat.S_ISREG(found.st_mode):
                self.skipped.append(path)
                return
            new = os.open(name, _WRITE, 0o600, dir_fd=into)
            try:
                with _closed(new):
                    self._content(old, new, found.st_size)
                    _keep(new, found)
            except BaseException:
                with suppress(OSError):
                    os.unlink(name, dir_fd=into)
                raise
            self.files += 1

    def _content(self, old: int, new: int, length: int) -> None:
        """Copy as many bytes as there were when it was opened: a log may grow for ever."""
        before = self.copied
        os.ftruncate(new, length)
        for begin, end in _data(old, length):
            at = begin
            while at < end:
                self._go_on()
                chunk = os.pread(old, min(CHUNK, end - at), at)
                if not chunk:  # it has become shorter
                    os.ftruncate(new, at)
                    break
                _write(new, chunk, at)
                at += len(chunk)
                self.copied = before + at
        self.copied = before + length

    def _enters(self, directory: os.stat_result, depth: int) -> bool:
        return directory.st_dev == self._device and depth < DEEPEST

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise Failed("The copy was stopped.")


def _data(file: int, length: int) -> Iterator[tuple[int, int]]:
    """The parts of a file that were written, which of a sparse one is not all."""
    at = 0
    while at < length:
        try:
            begin = os.lseek(file, at, os.SEEK_DATA)
            end = os.lseek(file, begin, os.SEEK_HOLE)
        except OSError as error:
            if error.errno != errno.ENXIO:  # with ENXIO there are no more; else it cannot tell
                yield at, length
            return
        yield begin, min(end, length)
        at = end


def _write(file: int, content: bytes, at: int) -> None:
    """Write all of it."""
    view = memoryview(content)
    while view:
        done = os.pwrite(file, view, at)
        view, at = view[done:], at + done


def _keep(file: int, found: os.stat_result) -> None:
    """Give a copy the permissions and times of what it is a copy of."""
    os.fchmod(file, found.st_mode & 0o777)
    os.utime(file, ns=_times(found))


def _times(found: os.stat_result) -> tuple[int, int]:
    return found.st_atime_ns, found.st_mtime_ns


def _status(name: str, within: int) -> os.stat_result:
    """What a name of the source is.

    Raises:
        _Gone: nothing.
    """
    try:
        return os.stat(name, dir_fd=within, follow_symlinks=False)
    except FileNotFoundError:
        raise _Gone from None


def _listed(directory: int) -> list[str]:
    with os.scandir(directory) as inside:
        return sorted(found.name for found in inside)


@contextmanager
def _source(name: str, within: int, flags: int) -> Iterator[int]:
    """Open something of the source.

    Raises:
        _Gone: it is there no longer.
    """
    try:
        file = os.open(name, flags, dir_fd=within)
    except FileNotFoundError:
        raise _Gone from None
    with _closed(file):
        yield file


@contextmanager
def _opened(name: str, within: int | None = None) -> Iterator[int]:
    with _closed(os.open(name, _DIRECTORY, dir_fd=within)) as file:
        yield file


@contextmanager
def _closed(file: int) -> Iterator[int]:
    """A file that is closed afterwards: some file systems say only then that they are full."""
    try:
        yield file
    except BaseException:
        with suppress(OSError):
            os.close(file)
        raise
    os.close(file)


def _words(path: str, error: OSError) -> str:
    if error.errno in _FULL:
        return f"The folder is full: {path} could not be copied ({error.strerror})."
    if error.errno in _SWAPPED:
        return f"{path} could not be copied: something else took its place meanwhile."
    return f"{path} could not be copied: {error.strerror}."
