"""The directories below one root, reached part by part and by descriptors.

A name is one part of a path: it is never joined and compared as text, and a link is never
followed, wherever it stands. Folders are the sessions' (mode 0770), what holds them is the
hub's (mode 0711, or less by its umask).
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

_READABLE = 55
"""Characters of a folder's name that leave room for an end."""

OWNER = 1000
"""The user and the group that sessions run as, to whom folders belong."""
OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
"""How a directory is opened, and nothing else is."""

Identity = tuple[int, int]
"""Device and inode: which directory it is, whatever its name."""


@contextmanager
def opened(name: str | Path, parent: int | None = None) -> Iterator[int]:
    """A directory, as a descriptor.

    Raises:
        OSError: there is none of this name; a link is none.
    """
    descriptor = os.open(name, OPEN, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def identity(directory: int) -> Identity:
    """Which one it is."""
    found = os.fstat(directory)
    return found.st_dev, found.st_ino


def directories(path: Path) -> list[str]:
    """Names of the real directories inside ``path``; none when it is no directory itself."""
    try:
        with os.scandir(path) as entries:
            # one that goes meanwhile is none, and hides no other
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []


class Tree:
    """What lies below a root.

    Args:
        root: the directory that holds everything; it is made when it is missing.
        uid: owner of every folder, the uid of sessions.
        gid: its group.
    """

    def __init__(self, root: Path, *, uid: int = OWNER, gid: int = OWNER) -> None:
        self.root = root.absolute()
        self.uid, self.gid = uid, gid

    @contextmanager
    def holder(self, *parts: str, make: bool = False) -> Iterator[int]:
        """A directory that holds folders; with ``make`` it is made where it is missing.

        Raises:
            OSError: it is not there, cannot be made, or is a link.
        """
        if make:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o711)
        with ExitStack() as stack:
            directory = stack.enter_context(opened(self.root))
            for part in parts:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(part, 0o711, dir_fd=directory)
                directory = stack.enter_context(opened(part, directory))
            yield directory

    def add(self, holder: int, name: str) -> None:
        """Make a folder.

        Raises:
            FileExistsError: there is something of this name.
        """
        os.mkdir(name, 0o770, dir_fd=holder)
        with opened(name, holder) as folder:
            if os.geteuid() == 0:
                os.fchown(folder, self.uid, self.gid)
            os.fchmod(folder, 0o770)  # whatever the umask is

    def restore(self, holder: int, name: str, home: int, was: str) -> None:
        """Give a folder its place and name back, whatever stands there by now.

        An empty folder that was made there gives way. Where somebody has written to it already,
        the name gets an end that nothing else has: neither of the two is lost.
        """
        try:
            os.rename(name, was, src_dir_fd=holder, dst_dir_fd=home)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            other = f"{was[:_READABLE]}-{secrets.token_hex(4)}"
            os.rename(name, other, src_dir_fd=holder, dst_dir_fd=home)
