"""What those who look at the list are told as it changes: one look at the records for all.

While anyone looks, the records are read every two seconds, whoever many they are; while
nobody does, never. A viewer is told the newest state and only that: who is slow misses what
was in between, and nothing is kept for them. Of others' sessions a user's state has nothing,
nor does it change when they do.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from bai_spawner.reasons import Tab
from bai_spawner.records import Records, RecordsError, SessionRecord
from bai_spawner.service.aside import aside
from bai_spawner.service.model import Seen, instant, used

EVERY = 2.0
"""Seconds between two looks."""
MOST_VIEWS = 10
"""Of one visitor at a time."""
log = logging.getLogger("bai_spawner.service")


class TooMany(Exception):
    """The visitor looks at the list in too many places already."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks, whether they see everyone's sessions, and whether apps can be public here.

    Where they cannot, none is looked for: what stands in the records was left there.
    """

    user: str
    sees_all: bool = False
    sees_public: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """What lives at one moment. ``versions`` are those of each viewer's list.

    ``public`` is how many apps a session has that are open to the public, where it has some.
    """

    live: tuple[SessionRecord, ...] = ()
    seen: Seen = field(default_factory=Seen)
    versions: Mapping[Viewer, str] = field(default_factory=dict)
    public: Mapping[str, int] = field(default_factory=dict)

    def told(self, viewer: Viewer) -> dict[str, Any] | None:
        """What a viewer may know of it; ``None`` when it was read before they came."""
        if viewer not in self.versions:
            return None
        mine = [r for r in self.live if viewer.sees_all or r.facts.user == viewer.user]
        ids = [record.facts.id for record in mine]
        seen = self.seen
        return {
            "version": self.versions[viewer],
            "at": instant(seen.at) if seen.at else None,
            "used": {one: used(seen.used[one]) for one in ids if one in seen.used},
            "status": {record.facts.id: str(record.status) for record in mine},
            "time": {one: seen.time.get(one) for one in ids},
            "public": {one: self.public[one] for one in ids if one in self.public},
        }


Read = Callable[[Collection[Viewer]], State]
"""Reads the records for those who look. Called off the loop."""


def own_version(counts: Mapping[Tab, int], live: Iterable[SessionRecord]) -> str:
    """Changes as `Records.version` does, for a user's own sessions and for no other."""
    known = sorted((r.facts.id, str(r.status), r.warning, r.peaks.oom_kills) for r in live)
    told = json.dumps([sorted(counts.items()), known])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def version(records: Records, hub: str, viewer: Viewer, live: Iterable[SessionRecord]) -> str:
    """The version of a viewer's list, with the sessions of theirs that live."""
    if viewer.sees_all:
        return records.version(hub)
    return own_version(records.counts(hub, viewer.user), live)


class Feed:
    """Tells viewers what is new.

    Args:
        read: looks at the records.
        every: seconds between two looks.
    """

    def __init__(self, read: Read, *, every: float = EVERY) -> None:
        self._read, self._every = read, every
        self._views: set[View] = set()
        self._asked = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._is_well = True
        self.state = State()

    def open(self, viewer: Viewer) -> View:
        """Begin to tell one; the view is to be left.

        Raises:
            TooMany: they look in as many places as one may.
        """
        if Counter(view.viewer.user for view in self._views)[viewer.user] >= MOST_VIEWS:
            raise TooMany
        view = View(self, viewer)
        self._views.add(view)
        self._asked.set()
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        return view

    def leave(self, view: View) -> None:
        """Tell one no more."""
        self._views.discard(view)
        if not self._views and self._looking:
            self._looking.cancel()
            self._looking, self.state = None, State()

    async def _look(self) -> None:
        while True:
            self._asked.clear()
            viewers = frozenset(view.viewer for view in self._views)
            try:
                self.state = await aside(self._read, viewers)
                self._is_well = True
            except Exception as error:
                if self._is_well:  # and said once
                    known = isinstance(error, RecordsError)
                    told = "Cannot look at the sessions: %s"
                    log.error(told, error, exc_info=not known)  # noqa: TRY400 - one says all
                self._is_well = False
            for view in self._views:
                view.wake()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), self._every)


class View:
    """One place where a viewer looks."""

    def __init__(self, feed: Feed, viewer: Viewer) -> None:
        self.viewer = viewer
        self.is_closed = False
        self._feed = feed
        self._news = asyncio.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._feed.leave(self)

    def told(self) -> dict[str, Any] | None:
        """The newest state; ``None`` while none is known."""
        return self._feed.state.told(self.viewer)

    def wake(self) -> None:
        """There may be news."""
        self._news.set()

    def close(self) -> None:
        """Nobody listens any more."""
        self.is_closed = True
        self._news.set()

    async def news(self, seconds: float) -> None:
        """Wait until there may be news, but not for longer."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)
        self._news.clear()
