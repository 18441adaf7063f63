"""A folder as it is offered, and as it is mounted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bai_spawner.options import Mode

HOME = "/home/work"
"""Where folders appear in a session (R30)."""


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
    def group(self) -> str:
        """The JupyterHub group that it belongs to; empty for a user's own."""
        return self.name.rpartition("/")[0]

    @property
    def target(self) -> str:
        """Where it appears in a session."""
        return f"{HOME}/{self.name.rpartition('/')[2]}"


@dataclass(frozen=True, slots=True)
class FolderMount:
    """A folder as it will be mounted; ``identity`` is (device, inode) once it is prepared.

    ``make`` says whether it is made where it is missing: one that was there when the session
    was admitted is not, lest an empty one stands in its place.
    """

    folder: str
    source: Path
    target: str
    read_only: bool
    identity: tuple[int, int] | None = None
    make: bool = True

    @property
    def label(self) -> str:
        """What labels and records say of it."""
        return f"{self.folder}:{'ro' if self.read_only else 'rw'}"
