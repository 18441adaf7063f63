"""One look at the records for everyone who looks at the list; see `feed`."""

from __future__ import annotations

from collections.abc import Collection

from bai_spawner.records import SessionRecord
from bai_spawner.service.board import Board
from bai_spawner.service.feed import State, Viewer, version
from bai_spawner.service.seen import seen


class Look:
    """Looks when it is called, and reads again only what changed since.

    Synchronous: it reads the records. One call at a time.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._last: tuple[str, State] = "", State()
        """What was there last, and the records' version then."""

    def __call__(self, viewers: Collection[Viewer]) -> State:
        """What these may be told of."""
        records, hub = self._board.records, self._board.hub
        revision = records.version(hub)  # first: what changes meanwhile is read the next time
        before, last = self._last
        is_new = revision != before
        live = records.running(hub) if is_new else last.live
        versions = {
            viewer: version(records, hub, viewer, _own(live, viewer))
            if is_new or viewer not in last.versions
            else last.versions[viewer]
            for viewer in viewers
        }
        # an app that opens or closes is no change of the sessions, whose number stays as it is
        is_told = any(viewer.sees_public for viewer in viewers)
        public = records.openings.public(hub) if is_told else {}
        found = State(live, seen(self._board), versions, public)
        self._last = revision, found
        return found


def _own(live: Collection[SessionRecord], viewer: Viewer) -> list[SessionRecord]:
    return [record for record in live if record.facts.user == viewer.user]
