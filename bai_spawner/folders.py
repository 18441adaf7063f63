"""Data folders: what outlives a session.

On disk ``ROOT/users/<user>/<folder>`` and ``ROOT/groups/<group>/<folder>``, the folder
owned by the sessions' uid, everything above it by the hub and never mounted: no session
can rename a folder or put a link in its place.

A name in a request is looked up as one part of a path, never joined and compared as
text. No link is followed on the way to a folder, and what was found is compared with
what is there after the mount (`FolderStore.verify`): a folder that became a link in
between ends the session instead of being handed to the user (S7).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bai_spawner.catalog import Catalog, Policy
from bai_spawner.errors import FolderError, Problems, Reason, shown
from bai_spawner.names import FOLDER_NAME, FOLDER_NAME_RULE, folder_slug
from bai_spawner.options import Mode, Mount
from bai_spawner.policy import Subject

HOME = "/home/work"
"""Where folders appear in a session (R30)."""

_LISTED = 10


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that a user may mount: ``data``, or ``group/corpus`` for a group's.

    ``permission`` is the most that is allowed; ``exists`` says whether it is on disk yet.
    """

    name: str
    path: Path
    permission: Mode
    automatic: bool
    exists: bool

    @property
    def target(self) -> str:
        """Where it appears in a session."""
        return f"{HOME}/{self.name.rpartition('/')[2]}"


@dataclass(frozen=True, slots=True)
class FolderMount:
    """A folder as it will be mounted; ``identity`` is (device, inode) once it is prepared."""

    folder: str
    source: Path
    target: str
    read_only: bool
    identity: tuple[int, int] | None = None

    @property
    def label(self) -> str:
        """What labels and records say of it."""
        return f"{self.folder}:{'ro' if self.read_only else 'rw'}"


class FolderStore:
    """The folders below one root. All but `automatic` touch the disk: call them off the loop.

    Args:
        root: the directory that holds all folders; it is made when it is missing.
        catalog: what the administrator declares about folders.
        uid: owner of every folder, the uid of sessions.
        gid: its group.
    """

    def __init__(self, root: Path, catalog: Catalog, *, uid: int = 1000, gid: int = 1000) -> None:
        self._root = root.absolute()
        self._declared = catalog.folders
        self._uid, self._gid = uid, gid

    def check_owner(self) -> None:
        """Raise `FolderError` when this process may not give folders to the sessions' uid."""
        if os.geteuid() not in {0, self._uid}:
            raise FolderError(
                f"folders must belong to uid {self._uid}, and this process runs as uid "
                f"{os.geteuid()}: run the hub as root or as uid {self._uid}"
            )

    def offered(self, subject: Subject, policy: Policy) -> tuple[Folder, ...]:
        """What this user may mount, own folders first, each group's after."""
        found: list[Folder] = []
        if "user" in policy.folders:
            found += self._own(subject.user)
        if "group" in policy.folders:
            for group in sorted(subject.groups & self._declared.group.keys()):
                for name, declared in self._declared.group[group].items():
                    path = self._root / "groups" / folder_slug(group) / name
                    found.append(
                        Folder(
                            f"{group}/{name}", path, declared.permission, declared.automatic, True
                        )
                    )
        return tuple(found)

    def automatic(self, subject: Subject, policy: Policy) -> tuple[str, ...]:
        """The names of what is mounted for this user without being asked for; no disk is read."""
        found = list(self._declared.user.automatic) if "user" in policy.folders else []
        if "group" in policy.folders:
            for group in sorted(subject.groups & self._declared.group.keys()):
                folders = self._declared.group[group].items()
                found += [f"{group}/{name}" for name, folder in folders if folder.automatic]
        return tuple(found)

    def _own(self, user: str) -> Iterator[Folder]:
        home = self._root / "users" / folder_slug(user)
        declared = self._declared.user
        on_disk = {name for name in _directories(home) if self._is_name(name)}
        for name in sorted({*on_disk, *declared.create, *declared.automatic}):
            automatic = name in declared.automatic
            yield Folder(name, home / name, "rw", automatic, name in on_disk)

    def _is_name(self, name: str) -> bool:
        """R41: letters, digits, ``. _ -``; a leading dot and reserved names are not for users."""
        return (
            FOLDER_NAME.fullmatch(name) is not None
            and name.lower() not in self._declared.taken()
            and (not name.startswith(".") or name in self._declared.user.automatic)
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
        if made and self._count(subject.user) + made > self._declared.user.most:
            told = f"you may have {self._declared.user.most} folders at most"
            problems.add("mounts", told, Reason.POLICY)
        for folder in offered.values():
            if folder.automatic and folder.target not in chosen:
                chosen[folder.target] = _mount(folder, folder.permission)
        return tuple(chosen.values())

    def _count(self, user: str) -> int:
        return len(_directories(self._root / "users" / folder_slug(user)))

    def _new(self, mount: Mount, subject: Subject, policy: Policy) -> Folder | None:
        """The folder that ``create`` would make, when its name allows."""
        if not mount.create or "user" not in policy.folders or not self._is_name(mount.folder):
            return None
        home = self._root / "users" / folder_slug(subject.user)
        return Folder(mount.folder, home / mount.folder, "rw", automatic=False, exists=False)

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
            FolderError: when a folder is a link or a file, or cannot be made.
        """
        for name in self._declared.user.create if defaults else ():
            self._make(self._root / "users" / folder_slug(user) / name)
        return tuple(replace(mount, identity=self._make(mount.source)) for mount in mounts)

    def verify(self, mounts: Iterable[FolderMount]) -> None:
        """Raise `FolderError` when a folder is no longer the one that was prepared."""
        for mount in mounts:
            try:
                found = self._walk(mount.source, make=False)
            except OSError:
                found = None
            if found != mount.identity:
                raise FolderError(f"folder {mount.folder!r} was replaced while the session started")

    def _make(self, path: Path) -> tuple[int, int]:
        try:
            return self._walk(path, make=True)
        except OSError as error:
            raise FolderError(
                f"folder {path.name!r} cannot be used ({error.strerror}): "
                f"look at {path.parent} on the hub's host"
            ) from error

    def _walk(self, path: Path, *, make: bool) -> tuple[int, int]:
        """Open a folder part by part from the root, following no link; (device, inode)."""
        if make:
            self._root.mkdir(parents=True, exist_ok=True, mode=0o711)
        parts = path.relative_to(self._root).parts
        with _opened(self._root, None) as root:
            return self._descend(root, parts, make=make)

    def _descend(self, parent: int, parts: tuple[str, ...], *, make: bool) -> tuple[int, int]:
        name, rest = parts[0], parts[1:]
        made = False
        if make:
            try:
                os.mkdir(name, 0o711 if rest else 0o770, dir_fd=parent)
                made = True
            except FileExistsError:
                pass
        with _opened(name, parent) as directory:
            if rest:
                return self._descend(directory, rest, make=make)
            if made and os.geteuid() == 0:
                os.fchown(directory, self._uid, self._gid)
            if made:  # whatever the umask was
                os.fchmod(directory, 0o770)
            found = os.fstat(directory)
            return found.st_dev, found.st_ino


def _mount(folder: Folder, mode: Mode) -> FolderMount:
    return FolderMount(folder.name, folder.path, folder.target, read_only=mode == "ro")


def _directories(path: Path) -> list[str]:
    """Names of the real directories inside ``path``; none when it is no directory itself."""
    try:
        with os.scandir(path) as entries:
            return [e.name for e in entries if stat.S_ISDIR(e.stat(follow_symlinks=False).st_mode)]
    except (FileNotFoundError, NotADirectoryError):
        return []


@contextmanager
def _opened(name: str | Path, parent: int | None) -> Iterator[int]:
    descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
