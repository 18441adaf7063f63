"""Users' own folders: made, renamed, deleted.

A folder that a live session mounts is neither renamed nor deleted. A session may come in
between any look at the records and the change, so the change is made first and then the
records are looked at: a launch is recorded before its folders are made ready, so either it
is seen here, and the change is taken back, or the launch finds the change. Nothing that is
in a folder is lost on any of these ways.

A name is taken by making a folder of it, which fails where there is one, and a rename puts
nothing out of the way but an empty directory.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum

from bai_spawner.catalog import Policy
from bai_spawner.errors import FolderError, shown
from bai_spawner.folders.folder import Folder
from bai_spawner.folders.store import FolderStore
from bai_spawner.folders.trash import Trash
from bai_spawner.names import FOLDER_NAME_RULE, folder_slug
from bai_spawner.policy import Subject

Mounting = Callable[[str], Collection[str]]
"""The names of the user's live sessions that mount a folder, as it is at this moment."""

_LISTED = 5


class Why(StrEnum):
    """Why a folder was not changed."""

    POLICY = "policy"
    NAME = "name"
    UNKNOWN = "unknown"
    TAKEN = "taken"
    FULL = "full"
    AUTOMATIC = "automatic"
    IN_USE = "in-use"


class NotChanged(FolderError):
    """Nothing was changed, for a reason that the user can act on."""

    def __init__(self, why: Why, message: str) -> None:
        super().__init__(message)
        self.why = why


class FolderChanges:
    """Changes the folders of one user. Synchronous; one change of a user's at a time.

    Args:
        store: where the folders are, and what is declared of them.
        subject: whose they are.
        policy: the user's.

    Every method raises `NotChanged` with the reason, and `OSError` where the disk does not
    do it; then everything is as it was.
    """

    def __init__(self, store: FolderStore, subject: Subject, policy: Policy) -> None:
        self._store = store
        self._subject = subject
        self._policy = policy
        self._tree = store.tree
        self._trash = Trash(store.tree)

    def create(self, name: str) -> None:
        """Make a folder, within the number that a user may have."""
        self._check_new(name)
        most = self._store.declared.user.most
        if self._store.count(self._subject.user) >= most:
            told = f"you have {most} folders, and may not have more: delete one first"
            raise NotChanged(Why.FULL, told)
        with self._home(make=True) as home, _taking(name):
            self._tree.add(home, name)

    def rename(self, name: str, new: str, mounting: Mounting) -> None:
        """Give a folder that no session mounts another name, which no folder has."""
        self._check_own(name)
        self._check_new(new)
        self._check_unused(name, mounting)
        with self._home() as home:
            with _taking(new):
                self._tree.add(home, new)
                try:
                    os.rename(name, new, src_dir_fd=home, dst_dir_fd=home)
                except FileNotFoundError:
                    self._give_up(home, new)
                    raise _unknown(name) from None
                except OSError:
                    self._give_up(home, new)
                    raise
            try:
                # a launch that makes a folder of the new name would find this one
                self._check_unused(name, mounting)
                self._check_unused(new, mounting)
            except BaseException:
                self._tree.restore(home, new, home, name)
                raise

    def delete(self, name: str, mounting: Mounting) -> str:
        """Put a folder that no session mounts out of the way; what the trash calls it.

        It is gone for its user. Its files go with `Trash.remove`, which may take long.
        """
        self._check_own(name)
        self._check_unused(name, mounting)
        try:
            taken = self._trash.take(folder_slug(self._subject.user), name)
        except FileNotFoundError:
            raise _unknown(name) from None
        try:
            self._check_unused(name, mounting)
        except BaseException:
            self._trash.put_back(taken)
            raise
        return self._trash.condemn(taken)

    @contextmanager
    def _home(self, *, make: bool = False) -> Iterator[int]:
        """The directory that holds the user's folders."""
        with self._tree.holder("users", folder_slug(self._subject.user), make=make) as home:
            yield home

    def _give_up(self, home: int, name: str) -> None:
        """Do not take a name after all; what somebody wrote there meanwhile stays."""
        with suppress(OSError):
            os.rmdir(name, dir_fd=home)

    def _check_policy(self) -> None:
        if "user" not in self._policy.folders:
            raise NotChanged(Why.POLICY, "you may not have folders of your own")

    def _check_own(self, name: str) -> None:
        """See that it is a folder of the user's that is theirs to change."""
        self._check_policy()
        folder = self._own().get(name)
        if folder is None or not folder.exists:
            raise _unknown(name)
        if folder.automatic:
            told = f"{shown(name)} is mounted at every launch, so it stays as it is"
            raise NotChanged(Why.AUTOMATIC, told)

    def _check_new(self, name: str) -> None:
        """See that it can be the name of another folder."""
        self._check_policy()
        folder = self._own().get(name)
        if folder is not None and folder.automatic:
            told = f"{shown(name)} is mounted at every launch, which makes it by itself"
            raise NotChanged(Why.TAKEN, told)
        if not self._store.is_name(name):
            told = f"{shown(name)} is no name for a folder: {FOLDER_NAME_RULE}"
            raise NotChanged(Why.NAME, told)
        if folder is not None and folder.exists:
            raise _taken(name)

    def _check_unused(self, name: str, mounting: Mounting) -> None:
        used = sorted(mounting(name))
        if used:
            some = ", ".join(used[:_LISTED]) + (" …" if len(used) > _LISTED else "")
            told = f"{shown(name)} is mounted by {some}: end what mounts it first"
            raise NotChanged(Why.IN_USE, told)

    def _own(self) -> dict[str, Folder]:
        found = self._store.offered(self._subject, self._policy)
        return {folder.name: folder for folder in found if not folder.group}


@contextmanager
def _taking(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # an empty folder may be put out of the way, so a session's files are found by this
        if isinstance(error, FileExistsError) or error.errno == errno.ENOTEMPTY:
            raise _taken(name) from None
        raise


def _taken(name: str) -> NotChanged:
    return NotChanged(Why.TAKEN, f"{shown(name)} is the name of another folder of yours")


def _unknown(name: str) -> NotChanged:
    return NotChanged(Why.UNKNOWN, f"{shown(name)} is no folder of yours")
