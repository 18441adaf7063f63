"""The scripts and styles of the hub's pages and the service's, and one digest over them all.

The service serves them at ``static/<digest>/<name>``: browsers may keep what is below it for
ever, and a page of an earlier version finds nothing there, rather than half of each. The log's
viewer is the one that a session has for its own log, in a folder of its own.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent
FOLDERS = {
    PACKAGE / "form" / "static": "",
    PACKAGE / "service" / "static": "",
    PACKAGE / "server_extension" / "log" / "static": "viewer/",
}
"""Where they lie, and what stands before their names. Those at the top share no name."""
KINDS = {".js": "text/javascript", ".css": "text/css"}


@cache
def assets() -> dict[str, bytes]:
    """All of them by name, such as ``service.js`` or ``viewer/log.css``, as they are now."""
    return {
        prefix + path.name: path.read_bytes()
        for folder, prefix in FOLDERS.items()
        for path in sorted(folder.iterdir())
        if path.suffix in KINDS
    }


@cache
def digest() -> str:
    """Changes whenever one of them does."""
    found = hashlib.sha256()
    for name, content in sorted(assets().items()):
        found.update(f"{name}\0{len(content)}\0".encode() + content)
    return found.hexdigest()[:16]
