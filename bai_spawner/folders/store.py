"""Which folders a user may mount, and that what is mounted is what was asked for.

A name in a request is looked up as one part of a path, never joined and compared as
text. No link is followed on the way to a folder, and what was found is compared with
what is there after the mount (`FolderStore.verify`): a folder that became a link in
between ends the session instead of being handed to the user (S7).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from bai_spawner.catalog import Catalog, Policy
from bai_spawner.errors import FolderError, Problems, Reason, shown
from bai_spawner.folders.folder import Folder, FolderMount
from bai_spawner.folders.tree import OWNER, Identity, Tree, directories, identity, opened
from bai_spawner.names import FOLDER_NAME, FOLDER_NAME_RULE, folder_slug
from bai_spawner.options import Mode, Mount
from bai_spawner.policy import Subject

_LISTED = 10


class FolderStore:
    """The folders below one root. All but `automatic` touch the disk: call them off the loop.

    Args:
        root: the directory that holds all folders; it is made when it is missing.
        catalog: what the administrator declares about folders.
        uid: owner of every folder, the uid of sessions.
        gid: its group.
    """

    def __init__(self, root: Path, catalog: Catalog, *, uid: int = OWNER, gid: int = OWNER) -> None:
        self.tree = Tree(root, uid=uid, gid=gid)
        self.declared = catalog.folders

    def check_owner(self) -> None:
        """Raise `FolderError` when this process may not give folders to the sessions' uid."""
        if os.geteuid() not in {0, self.tree.uid}:
            raise FolderError(
                f"folders must belong to uid {self.tree.uid}, and this process runs as uid "
                f"{os.geteuid()}: run the hub as root or as uid {self.tree.uid}"
            )

    def offered(self, subject: Subject, policy: Policy) -> tuple[Folder, ...]:
        """What this user may mount, own folders first, each group's after."""
        found: list[Folder] = []
        if "user" in policy.folders:
            found += self._own(subject.user)
        if "group" in policy.folders:
            for group in sorted(subject.groups & self.declared.group.keys()):
                found += self._of_group(group, subject)
        return tuple(found)

    def automatic(self, subject: Subject, policy: Policy) -> tuple[str, ...]:
        """The names of what is mounted for this user without being asked for; no disk is read."""
        found = list(self.declared.user.automatic) if "user" in policy.folders else []
        if "group" in policy.folders:
            for group in sorted(subject.groups & self.declared.group.keys()):
                folders = self.declared.group[group].items()
                found += [f"{group}/{name}" for name, folder in folders if folder.automatic]
        return tuple(found)

    def count(self, user: str) -> int:
        """How many folders of a user's own are there."""
        return len(directories(self.home(user)))

    def home(self, user: str) -> Path:
        """The directory that holds a user's own folders."""
        return self.tree.root / "users" / folder_slug(user)

    def is_name(self, name: str) -> bool:
        """R41: letters, digits, ``. _ -``; a leading dot and reserved names are not for users."""
        return (
            FOLDER_NAME.fullmatch(name) is not None
            and name.lower() not in self.declared.taken()
            and (not name.startswith(".") or name in self.declared.user.automatic)
        )

    def _own(self, user: str) -> Iterator[Folder]:
        home, declared = self.home(user), self.declared.user
        on_disk = {name for name in directories(home) if self.is_name(name)}
        for name in sorted({*on_disk, *declared.create, *declared.automatic}):
            automatic = name in declared.automatic
            yield Folder(name, home / name, "rw", automatic, name in on_disk)

    def _of_group(self, group: str, subject: Subject) -> Iterator[Folder]:
        home = self.tree.root / "groups" / folder_slug(group)
        on_disk = directories(home)
        for name, declared in self.declared.group[group].items():
            permission: Mode = (
                "rw" if declared.may_write(subject.user, subject.groups) else declared.permission
            )
            yield Folder(
                f"{group}/{name}", home / name, permission, declared.automatic, name in on_disk
            )

    def resolve(
        self, mounts: tuple[Mount, ...], subject: Subject, policy: Policy, problems: Problems
    ) -> tuple[FolderMount, ...]:
        """What will be mounted: what was asked for, and what is mounted automatically.

        Nothing is made yet. What may not be mounted becomes a problem of its entry.
        """
        offered = {folder.name: folder for folder in self.offered(subject, policy)}
        chosen: dict[str, FolderMount] = {}
        for index, mount in enumerate(mounts):
            path = f"mounts[{index}].folder"
            folder = offered.get(mount.folder) or self._new(mount, subject, policy)
            if folder is None:
                problems.add(path, self._unknown(mount, offered), Reason.POLICY)
            elif mount.mode == "rw" and folder.permission == "ro":
                told = f"{shown(folder.name)} may only be mounted read-only ('ro')"
                problems.add(f"mounts[{index}].mode", told, Reason.POLICY)
            elif folder.target in chosen:
                other = chosen[folder.target].folder
                told = f"would appear at {folder.target}, where {shown(other)} is mounted already"
                problems.add(path, told)
            else:
                chosen[folder.target] = _mount(folder, mount.mode)
        made = sum(mount.create and mount.folder not in offered for mount in mounts)
        if made and self.count(subject.user) + made > self.declared.user.most:
            told = f"you may have {self.declared.user.most} folders at most"
            problems.add("mounts", told, Reason.POLICY)
        for folder in offered.values():
            if folder.automatic and folder.target not in chosen:
                chosen[folder.target] = _mount(folder, folder.permission)
        return tuple(chosen.values())

    def _new(self, mount: Mount, subject: Subject, policy: Policy) -> Folder | None:
        """The folder that ``create`` would make, when its name allows."""
        if not mount.create or "user" not in policy.folders or not self.is_name(mount.folder):
            return None
        path = self.home(subject.user) / mount.folder
        return Folder(mount.folder, path, "rw", automatic=False, exists=False)

    def _unknown(self, mount: Mount, offered: dict[str, Folder]) -> str:
        if mount.create:
            return f"{shown(mount.folder)} is no name for a folder: {FOLDER_NAME_RULE}"
        names = list(offered)
        some = ", ".join(names[:_LISTED]) + (" …" if len(names) > _LISTED else "")
        return f"{shown(mount.folder)} is no folder of yours; yours: {some or 'none yet'}"

    def prepare(
        self, user: str, mounts: Iterable[FolderMount], *, defaults: bool
    ) -> tuple[FolderMount, ...]:
        """Make what is missing, with the right owner, and pin what each mount is.

        With ``defaults`` the folders that everybody has are made too.

        Raises:
            FolderError: when a folder is a link or a file, cannot be made, or is not there
                any more.
        """
        pinned = tuple(replace(mount, identity=self._pinned(mount)) for mount in mounts)
        for name in self.declared.user.create if defaults else ():
            self._made(self.home(user) / name)
        return pinned

    def verify(self, mounts: Iterable[FolderMount]) -> None:
        """Raise `FolderError` when a folder is no longer the one that was prepared."""
        for mount in mounts:
            try:
                found = self._identity(mount.source, make=False)
            except OSError:
                found = None
            if found != mount.identity:
                raise FolderError(f"folder {mount.folder!r} was replaced while the session started")

    def _pinned(self, mount: FolderMount) -> Identity:
        if mount.make:
            return self._made(mount.source)
        try:
            return self._identity(mount.source, make=False)
        except FileNotFoundError:
            told = "was deleted or renamed while the session started"
            raise FolderError(f"folder {mount.folder!r} {told}") from None
        except OSError as error:
            raise _unusable(mount.source, error) from error

    def _made(self, path: Path) -> Identity:
        try:
            return self._identity(path, make=True)
        except OSError as error:
            raise _unusable(path, error) from error

    def _identity(self, path: Path, *, make: bool) -> Identity:
        *above, name = path.relative_to(self.tree.root).parts
        with self.tree.holder(*above, make=make) as holder:
            if make:
                with suppress(FileExistsError):
                    self.tree.add(holder, name)
            with opened(name, holder) as folder:
                return identity(folder)


def _mount(folder: Folder, mode: Mode) -> FolderMount:
    is_read_only, is_new = mode == "ro", not folder.exists
    return FolderMount(folder.name, folder.path, folder.target, is_read_only, make=is_new)


def _unusable(path: Path, error: OSError) -> FolderError:
    return FolderError(
        f"folder {path.name!r} cannot be used ({error.strerror}): "
        f"look at {path.parent} on the hub's host"
    )
