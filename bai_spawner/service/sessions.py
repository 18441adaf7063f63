"""``api/sessions``: the visitor's sessions, as JSON and as a table, and each of them.

    GET    api/sessions?tab=…&page=…    a page of the list; see `question` and `listing`
    GET    api/sessions.csv?tab=…       all that is asked for, a line each; see `table`
    GET    api/sessions/ID              one session; see `model`
    DELETE api/sessions/ID              202: it is being ended, or its start cancelled

Another user's session answers as one that there never was, by every method (S17).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from tornado.web import HTTPError

from bai_spawner.catalog import Catalog
from bai_spawner.records import Query, SessionRecord
from bai_spawner.service import question, table
from bai_spawner.service.asking import Asking
from bai_spawner.service.feed import Viewer
from bai_spawner.service.flowing import Flowing, Gone
from bai_spawner.service.listing import Listing
from bai_spawner.service.seen import offered
from bai_spawner.service.stopping import stop

LINES_AT_ONCE = 500
"""Of a table: so many sessions are in memory at a time."""


class Seeing(Asking):
    """What a visitor may see."""

    @property
    def viewer(self) -> Viewer:
        """The visitor, as one who looks at sessions."""
        return Viewer(self.user, self.sees_all, self.settings["opener"].is_there)

    @property
    def listing(self) -> Listing:
        """The visitor's sessions."""
        return Listing(self.board, self.viewer)


class Sessions(Seeing):
    """The list."""

    async def get(self) -> None:
        """Answer with a page of it."""
        asked = question.read(self.request.query_arguments)
        self.finish(await self.look(self.listing.page, asked, self.site))


class Table(Seeing, Flowing):
    """The list as a file for a spreadsheet."""

    async def get(self) -> None:
        """Send it line by line: nobody knows how long it is."""
        asked = question.read(self.request.query_arguments, paged=False)
        catalog, records = await self.look(self._begin, asked.query)
        lines = await self.look(_lines, records, catalog)
        self.set_header("Content-Type", "text/csv; charset=UTF-8; header=present")
        self.set_header("Content-Disposition", 'attachment; filename="sessions.csv"')
        try:
            await self.send(table.heading())
            while lines:
                await self.send(lines)
                lines = await self.look(_lines, records, catalog)
        except Gone:
            return
        except HTTPError:  # the records are away by now
            self.break_off()

    def _begin(self, query: Query) -> tuple[Catalog | None, Iterator[SessionRecord]]:
        return offered(self.board), self.listing.each(query)


def _lines(records: Iterator[SessionRecord], catalog: Catalog | None) -> str:
    """The next lines; empty when there are no more."""
    return table.lines(islice(records, LINES_AT_ONCE), catalog)


class OneSession(Seeing):
    """What all addresses of one session have."""

    async def session(self, session_id: str) -> SessionRecord:
        """The session, with its history.

        Raises:
            HTTPError: 404, there is none that the visitor may see.
        """
        found = await self.look(self.listing.one, session_id)
        if found is None:
            raise HTTPError(404, "there is no such session")
        return found


class Session(OneSession):
    """One session."""

    async def get(self, session_id: str) -> None:
        """Answer with all that is known of it."""
        record = await self.session(session_id)
        self.no_query()
        self.finish(await self.look(self.listing.detail, record, self.site))

    async def delete(self, session_id: str) -> None:
        """Have it ended."""
        record = await self.session(session_id)
        self.no_query()
        await stop(self, record)
        self.set_status(202)
        self.finish({})
