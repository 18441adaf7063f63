"""Data folders: what outlives a session.

On disk ``ROOT/users/<user>/<folder>`` and ``ROOT/groups/<group>/<folder>``, the folder
owned by the sessions' uid, everything above it by the hub and never mounted: no session
can rename a folder or put a link in its place. What is inside is the sessions' own: nothing
there is followed or believed.

`FolderStore` says what a user may mount and makes it ready, `FolderChanges` makes, renames
and deletes folders, `Trash` is where those go that are deleted, and `measure` says how large
one is.
"""

from bai_spawner.folders.changes import FolderChanges, Mounting, NotChanged, Why
from bai_spawner.folders.folder import HOME, Folder, FolderMount
from bai_spawner.folders.measuring import Measured, measure
from bai_spawner.folders.store import FolderStore
from bai_spawner.folders.trash import Trash
from bai_spawner.folders.tree import Tree

__all__ = [
    "HOME",
    "Folder",
    "FolderChanges",
    "FolderMount",
    "FolderStore",
    "Measured",
    "Mounting",
    "NotChanged",
    "Trash",
    "Tree",
    "Why",
    "measure",
]
