"""Where folders go that their users deleted, ``ROOT/trash``, until all of their files are gone.

A folder comes here in one step, so it is whole at its place or whole here. It is *taken* until
the records were looked at once more, and *condemned* then: only what is condemned is removed.
What a killed process left is known by its name: what was taken is put back, as if nobody had
asked; what was condemned is removed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from bai_spawner.folders.removing import entered, remove, token
from bai_spawner.folders.tree import Tree
from bai_spawner.names import FOLDER_NAME

_CONDEMNED = re.compile(r"[0-9a-f]{32}")
_TAKEN = re.compile(rf"[0-9a-f]{{32}},(?P<slug>[^,/]+),(?P<name>{FOLDER_NAME.pattern})")


class Trash:
    """The trash of one root. Synchronous.

    Args:
        tree: the directories below the root.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def take(self, slug: str, name: str) -> str:
        """Put a user's folder out of the way; what it is called here.

        Raises:
            FileNotFoundError: there is none of this name.
            OSError: it cannot be moved, such as one that is a file system of its own.
        """
        taken = f"{token()},{slug},{name}"
        with self._opened() as trash, self._tree.holder("users", slug) as home:
            try:
                os.rename(name, taken, src_dir_fd=home, dst_dir_fd=trash)
            except PermissionError:  # its owner locked it, and that is whom this process runs as
                with entered(name, home):
                    os.rename(name, taken, src_dir_fd=home, dst_dir_fd=trash)
        return taken

    def put_back(self, taken: str) -> None:
        """Put it back where it was."""
        found = _TAKEN.fullmatch(taken)
        if found is None:
            raise ValueError("nothing of this name was taken")
        with self._opened() as trash, self._tree.holder("users", found["slug"], make=True) as home:
            self._tree.restore(trash, taken, home, found["name"])

    def condemn(self, taken: str) -> str:
        """Say that it may be removed; what it is called from here on."""
        condemned = token()
        with self._opened() as trash:
            os.rename(taken, condemned, src_dir_fd=trash, dst_dir_fd=trash)
        return condemned

    def settle(self) -> None:
        """Put back what a process that was killed had only taken. Nothing is taken meanwhile.

        Raises:
            OSError: something cannot be put back, the first such; all else is.
        """
        first: OSError | None = None
        for taken in filter(_TAKEN.fullmatch, self._names()):
            try:
                self.put_back(taken)
            except FileNotFoundError:
                continue  # another hub's service puts it back, too
            except OSError as error:
                first = first or error
        if first:
            raise first

    def condemned(self) -> tuple[str, ...]:
        """What is still to be removed."""
        return tuple(filter(_CONDEMNED.fullmatch, self._names()))

    def remove(self, condemned: str) -> None:
        """Remove it with all that is in it.

        Raises:
            OSError: something cannot be removed, the first such; everything else is.
        """
        with self._opened() as trash:
            remove(trash, condemned)

    def _names(self) -> list[str]:
        try:
            with self._opened(make=False) as trash:
                return os.listdir(trash)  # noqa: PTH208 - pathlib knows no descriptor
        except FileNotFoundError:
            return []

    @contextmanager
    def _opened(self, *, make: bool = True) -> Iterator[int]:
        with self._tree.holder("trash", make=make) as trash:
            os.fchmod(trash, 0o700)
            yield trash
