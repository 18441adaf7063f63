"""Removes directories whatever is in them, and nothing else.

What is removed may be of any depth and number, and of sessions' making: no link is followed, no
other file system is entered, and neither memory nor descriptors grow with it. Directories that
are too deep are moved into another one right below the trash, which is removed next. Its name is
of the same kind: what is left when the process is killed is removed by the next one.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bai_spawner.folders.tree import OPEN, opened

DEPTH = 50
"""Directories inside each other that are open at a time."""
PASSES = 10
"""Times that one directory is gone through, lest somebody who writes to it is followed for ever."""


def token() -> str:
    """A name that nothing else has."""
    return secrets.token_hex(16)


@contextmanager
def entered(name: str, parent: int) -> Iterator[int]:
    """A directory, opened, whose owner may change it, whatever mode a session gave it.

    Raises:
        OSError: there is none of this name; a link is none.
    """
    try:
        directory = os.open(name, OPEN, dir_fd=parent)
    except PermissionError:
        _unlock(name, parent)
        directory = os.open(name, OPEN, dir_fd=parent)
    try:
        if os.fstat(directory).st_mode & 0o700 != 0o700:  # noqa: PLR2004 - rwx, as chmod has it
            with suppress(PermissionError):
                os.fchmod(directory, 0o700)
        yield directory
    finally:
        os.close(directory)


def remove(trash: int, name: str) -> None:
    """Remove a directory of the trash, with all that is in it; what is gone already is no error.

    Raises:
        OSError: something cannot be removed, the first such; all else is.
    """
    removal = _Removal(trash)
    removal.all_of(name)
    if removal.error:
        raise removal.error


class _Removal:
    """Removes what lies in the trash; ``error`` is the first thing that could not be."""

    def __init__(self, trash: int) -> None:
        self._trash = trash
        self._device = os.fstat(trash).st_dev
        self._deep = ""
        """The directory for what is too deep; empty while nothing is."""
        self._lifted = 0
        self.error: OSError | None = None

    def all_of(self, name: str) -> None:
        """Remove a directory, and then what was too deep in it."""
        while name:
            self._deep = ""
            self._directory(self._trash, name, DEPTH)
            name = self._deep

    def _directory(self, parent: int, name: str, depth: int) -> bool:
        """Remove one; whether it is gone."""
        try:
            with entered(name, parent) as directory:
                self._check_device(directory)
                # what is removed while a directory is read may hide something else in it
                for _ in range(PASSES):
                    if not self._pass(directory, depth):
                        break
            os.rmdir(name, dir_fd=parent)
        except FileNotFoundError:
            return True  # another hub's service removes it, too
        except OSError as error:
            self._failed(error)
            return False
        return True

    def _check_device(self, directory: int) -> None:
        if os.fstat(directory).st_dev != self._device:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    def _failed(self, error: OSError) -> None:
        self.error = self.error or error

    def _pass(self, directory: int, depth: int) -> bool:
        """Remove what is there; whether anything was that could be."""
        found = False
        with os.scandir(directory) as entries:
            for entry in entries:
                found = self._entry(directory, entry, depth) or found
        return found

    def _entry(self, directory: int, entry: os.DirEntry[str], depth: int) -> bool:
        if not entry.is_dir(follow_symlinks=False):
            return self._file(directory, entry.name)
        if depth:
            return self._directory(directory, entry.name, depth - 1)
        return self._lift(directory, entry.name)

    def _file(self, directory: int, name: str) -> bool:
        try:
            os.unlink(name, dir_fd=directory)
        except FileNotFoundError:
            return True
        except OSError as error:
            self._failed(error)
            return False
        return True

    def _lift(self, directory: int, name: str) -> bool:
        """Move one that is too deep to be entered to where it is not."""
        try:
            if not self._deep:
                self._deep = token()
                os.mkdir(self._deep, 0o700, dir_fd=self._trash)
            self._lifted += 1
            with (
                opened(self._deep, self._trash) as deep,
                entered(name, directory),  # its owner moves it only when it may be written to
            ):
                os.rename(name, str(self._lifted), src_dir_fd=directory, dst_dir_fd=deep)
        except OSError as error:
            self._failed(error)
            return False
        return True


def _unlock(name: str, parent: int) -> None:
    """Change the mode of a directory that cannot be opened, and of nothing that it became."""
    found = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        Path(f"/proc/self/fd/{found}").chmod(0o700)
    finally:
        os.close(found)
