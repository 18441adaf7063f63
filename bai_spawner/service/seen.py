"""What the hub published of the sessions that live, and of what is on offer, for lists of them.

Synchronous: it reads the records. What is not published, or by a hub of another version, is
not known: a list tells so much less, and is there.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from bai_spawner import bulletin
from bai_spawner.apps import App, AppsError, parse
from bai_spawner.catalog import Catalog
from bai_spawner.service.board import Board, NotPublished
from bai_spawner.service.links import Site
from bai_spawner.service.model import Scene, Seen


def scene(board: Board, site: Site) -> Scene:
    """What sessions are told with at this moment."""
    return Scene(site, datetime.now(UTC), offered(board), seen(board))


def offered(board: Board) -> Catalog | None:
    """The catalogue; ``None`` while it is not known."""
    try:
        return board.catalogue()
    except NotPublished:
        return None


def seen(board: Board) -> Seen:
    """What each session uses, how much time it has, and its apps."""
    measured = board.records.published(board.hub, bulletin.STATISTICS)
    said = board.records.published(board.hub, bulletin.SESSIONS)
    told: dict[str, Any] = json.loads(said.body) if said else {}
    return Seen(
        at=measured.at if measured else None,
        used=json.loads(measured.body) if measured else {},
        time={one: found["time"] for one, found in told.items()},
        apps={one: _apps(json.dumps(found["apps"])) for one, found in told.items()},
    )


@lru_cache(maxsize=256)
def _apps(declared: str) -> tuple[App, ...]:
    """The apps of an image, as many sessions have them; none where they cannot be read."""
    try:
        return parse(declared)
    except AppsError:
        return ()
