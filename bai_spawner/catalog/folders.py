"""The data folders that an administrator declares, and the names that no folder may have.

What a folder's name may look like is a field's question (`fields`). Which names are taken
is answered here, and asked where the catalogue is one (`catalog`).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bai_spawner.catalog.fields import FolderName, Section

RESERVED_FOLDERS = frozenset(
    {
        ".ssh",
        ".jupyter",
        ".tmux.conf",
        ".bashrc",
        ".bash_logout",
        ".profile",
        "id_container",
    }
)
"""Names in /home/work that belong to the session itself, compared in lower case (R41)."""


class UserFolders(Section):
    """Folders that belong to one user."""

    create: tuple[FolderName, ...] = Field(
        (), description="made for every user at the first launch", strict=False
    )
    automatic: tuple[FolderName, ...] = Field(
        (), description="mounted at every launch; these may begin with '.'", strict=False
    )
    most: int = Field(50, ge=1, le=10_000, description="the most folders that a user may make")


class Writers(Section):
    """Who of a group may write: anyone named here, or in one of the groups."""

    users: tuple[str, ...] = Field((), description="JupyterHub users", strict=False)
    groups: tuple[str, ...] = Field((), description="JupyterHub groups", strict=False)

    def has(self, user: str, groups: frozenset[str]) -> bool:
        """Whether it is this user."""
        return user in self.users or bool(groups.intersection(self.groups))


class GroupFolder(Section):
    """A folder that belongs to a JupyterHub group."""

    permission: Literal["rw", "ro"] = Field("ro", description="what its members may do")
    writers: Writers = Field(
        Writers(), description="which of its members may write, where the others only read"
    )
    automatic: bool = Field(False, description="mounted at every launch")

    def may_write(self, user: str, groups: frozenset[str]) -> bool:
        """Whether a member of the group may write to it."""
        return self.permission == "rw" or self.writers.has(user, groups)


class Folders(Section):
    """The data folders: what outlives a session (R40, R41)."""

    user: UserFolders = Field(UserFolders(), description="each user's own")
    group: dict[str, dict[FolderName, GroupFolder]] = Field(
        default_factory=dict, description="by JupyterHub group, then by folder"
    )
    reserved: tuple[FolderName, ...] = Field(
        (), description="names that the images use in /home/work", strict=False
    )

    def taken(self) -> frozenset[str]:
        """Names that no folder may have, in lower case."""
        return RESERVED_FOLDERS.union(name.lower() for name in self.reserved)
