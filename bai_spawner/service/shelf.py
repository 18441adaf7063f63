"""The data folders of the hub's users, as the service tells of them and changes them.

Synchronous: it touches the disk and reads the records. What is deleted is removed later, and
what a service that was killed left half done is settled before anything is changed.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bai_spawner.catalog import Policy
from bai_spawner.errors import shown
from bai_spawner.folders import (
    Folder,
    FolderChanges,
    FolderStore,
    Measured,
    Mounting,
    Trash,
    Tree,
    measure,
)
from bai_spawner.names import FOLDER_NAME_RULE
from bai_spawner.policy import Subject, select
from bai_spawner.records import Facts
from bai_spawner.service.amounts import folders
from bai_spawner.service.board import Board
from bai_spawner.service.disk import Disk
from bai_spawner.service.feed import Viewer
from bai_spawner.service.model import instant
from bai_spawner.service.sizes import Sizes

log = logging.getLogger("bai_spawner.service")


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose folders are looked at, and by whom: a superadmin sees others', and their sessions."""

    subject: Subject
    viewer: Viewer

    @property
    def is_own(self) -> bool:
        """Whether somebody looks at their own; nobody changes another's."""
        return self.subject.user == self.viewer.user


class Shelf:
    """The folders below one root.

    Args:
        board: what the hub published, and the records.
        root: the directory that holds all folders, as the hub has it.
    """

    def __init__(self, board: Board, root: Path) -> None:
        self.disk = Disk()
        self._board, self._root = board, root.absolute()
        self._trash = Trash(Tree(self._root))
        self._sizes = Sizes(self._measure)
        self._making = threading.Lock()
        """Held from counting a user's folders to making another: there are no more than allowed."""
        self._settling = threading.Lock()
        self._is_settled = False

    def begin(self) -> None:
        """Begin to remove what is still in the trash; nobody waits for it."""
        self.disk.later(self._clean)

    def listing(self, whose: Whose) -> dict[str, Any]:
        """All folders of one user; see `bai_spawner.service.data` for the shape."""
        store, policy = self._store(whose.subject)
        own = whose.subject.user
        offered = store.offered(whose.subject, policy)
        self._sizes.want(whose.viewer.user, [folder.path for folder in offered if folder.exists])
        return {
            "folders": list(self._told(offered, whose)),
            "own": store.count(own) if "user" in policy.folders else 0,
            "most": store.declared.user.most,
            "rule": f"A name has {FOLDER_NAME_RULE}.",
            "writable": whose.is_own and "user" in policy.folders,
        }

    def create(self, whose: Whose, name: str) -> dict[str, Any]:
        """Make a folder; what is told of it."""
        store, policy = self._changing(whose.subject)
        with self._making:
            FolderChanges(store, whose.subject, policy).create(name)
        self._sizes.forget(store.home(whose.subject.user) / name)
        return self._one(store, policy, whose, name)

    def rename(self, whose: Whose, name: str, new: str) -> dict[str, Any]:
        """Give a folder another name; what is told of it."""
        store, policy = self._changing(whose.subject)
        FolderChanges(store, whose.subject, policy).rename(name, new, self._mounting(whose))
        home = store.home(whose.subject.user)
        self._sizes.moved(home / name, home / new)
        return self._one(store, policy, whose, new)

    def delete(self, whose: Whose, name: str) -> None:
        """Delete a folder; its files are removed later."""
        store, policy = self._changing(whose.subject)
        changes = FolderChanges(store, whose.subject, policy)
        condemned = changes.delete(name, self._mounting(whose))
        self.disk.later(partial(self._remove, condemned))
        self._sizes.forget(store.home(whose.subject.user) / name)

    # ---- what is told -----------------------------------------------------------

    def _one(self, store: FolderStore, policy: Policy, whose: Whose, name: str) -> dict[str, Any]:
        found = [f for f in store.offered(whose.subject, policy) if f.name == name]
        return next(self._told(found, whose), {})

    def _told(self, offered: Collection[Folder], whose: Whose) -> Iterator[dict[str, Any]]:
        mounting = self._sessions(whose)
        for folder in offered:
            size = self._sizes.of(folder.path) if folder.exists else None
            measured = size.measured if size else None
            yield {
                "name": folder.name,
                "owner": folder.group or whose.subject.user,
                "kind": "group" if folder.group else "user",
                "permission": folder.permission,
                "automatic": folder.automatic,
                "exists": folder.exists,
                "size": measured.size if measured else None,
                "files": measured.files if measured else None,
                "more": bool(measured and measured.more),
                "measured": instant(size.at) if size else None,
                "sessions": [
                    {"id": facts.id, "name": facts.name, "user": facts.user}
                    for facts in mounting.get(folder.name, ())
                ],
                "may": ["rename", "delete"] if whose.is_own and _is_theirs(folder) else [],
            }

    def _sessions(self, whose: Whose) -> Mapping[str, Sequence[Facts]]:
        """The live sessions that mount each folder, of those that may be told of (S17)."""
        viewer, found = whose.viewer, defaultdict(list)
        for record in self._board.records.running(self._board.hub):
            user = record.facts.user
            if user != viewer.user and not viewer.sees_all:
                continue
            for name, _ in folders(record.facts):
                # what has no group in its name is the own one of whose session it is
                if "/" in name or user == whose.subject.user:
                    found[name].append(record.facts)
        return found

    def _measure(self, folder: Path) -> Measured:
        return measure(folder, self._root)

    # ---- what is changed --------------------------------------------------------

    def _store(self, subject: Subject) -> tuple[FolderStore, Policy]:
        catalog = self._board.catalogue()
        return FolderStore(self._root, catalog), select(catalog, subject)

    def _changing(self, subject: Subject) -> tuple[FolderStore, Policy]:
        self._settle()
        return self._store(subject)

    def _mounting(self, whose: Whose) -> Mounting:
        def mounting(name: str) -> list[str]:
            live = self._board.records.running(self._board.hub)
            mine = (record.facts for record in live if record.facts.user == whose.subject.user)
            return [facts.name for facts in mine if name in dict(folders(facts))]

        return mounting

    def _clean(self) -> None:
        self._settle()
        for condemned in self._trash.condemned():
            self._remove(condemned)

    def _settle(self) -> None:
        """Put back what was only taken when a service was killed: once, before all changes."""
        with self._settling:
            if self._is_settled:
                return
            try:
                self._trash.settle()
            except OSError as error:
                told = "Not all that was to be deleted can be put back (%s): look at %s"
                log.error(told, _said(error), self._root / "trash")  # noqa: TRY400
            self._is_settled = True

    def _remove(self, condemned: str) -> None:
        try:
            self._trash.remove(condemned)
        except OSError as error:
            told = "Not all of a deleted folder can be removed (%s): look at %s"
            log.error(told, _said(error), self._root / "trash")  # noqa: TRY400


def _is_theirs(folder: Folder) -> bool:
    """Whether its owner may change it, if no session mounts it."""
    return not folder.group and folder.exists and not folder.automatic


def _said(error: OSError) -> str:
    """What went wrong, and with what: a session may have chosen the name."""
    what = f" {shown(error.filename)}" if isinstance(error.filename, str) else ""
    return f"{error.strerror}{what}"
