"""What is asked of the sessions that were: which of them, and in which order.

Values alone. `bai_spawner.records.listing` asks the database, the same of either one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bai_spawner.reasons import Status, Tab


class Sort(StrEnum):
    """What sessions are ordered by.

    Words are compared without regard to the case of ASCII letters, statuses as one comes
    after the other; CPU, memory and GPU are what was granted.
    """

    CREATED = "created"
    NAME = "name"
    USER = "user"
    ENVIRONMENT = "environment"
    GROUP = "group"
    STATUS = "status"
    STARTED = "started"
    ENDED = "ended"
    ELAPSED = "elapsed"
    """How long it ran, or, of one that has not ended, has been running."""
    CPU = "cpu"
    MEMORY = "memory"
    GPU = "gpu"


@dataclass(frozen=True, slots=True)
class Query:
    """Which sessions are meant: those that meet all of it; the newest first, unless asked.

    ``text`` is part of the name, environment, version, group, user or server, whatever the
    case of its letters; no character of it has a meaning. All else is exact. Sessions that
    are equal in ``sort`` come the newest first, those without a value last in either order.
    """

    tab: Tab | None = None
    user: str | None = None
    text: str = ""
    status: Status | None = None
    group: str | None = None
    environment: str | None = None
    sort: Sort = Sort.CREATED
    descending: bool = True


ALL = Query()
"""Every session, the newest first."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What there is to filter by, in the order of the alphabet; at most so many of each."""

    users: tuple[str, ...]
    groups: tuple[str, ...]
    environments: tuple[str, ...]
