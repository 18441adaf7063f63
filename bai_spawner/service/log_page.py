"""``log/ID``: the log of a session that has ended, in the viewer of a session's own log page.

A session that runs shows its log itself, and whoever comes here is led there; one that starts
or ends has none to show yet. What is not there, or not the visitor's, is said in words, and the
same words for both (S17).
"""

from __future__ import annotations

from typing import Any

from tornado.web import HTTPError, authenticated

from bai_spawner.records import LOG_BYTES, SessionRecord
from bai_spawner.service.handlers import UNAVAILABLE
from bai_spawner.service.links import links
from bai_spawner.service.pages import Page
from bai_spawner.service.sessions import OneSession
from bai_spawner.units import format_size

NONE = 404
WORDS: dict[int, dict[str, Any]] = {
    NONE: {
        "title": "There is no such session",
        "text": "The address is wrong, the session is not one of yours, or it was forgotten.",
    },
    UNAVAILABLE: {
        "title": "The log cannot be shown now",
        "text": "The records of sessions cannot be read now. Try again in a moment.",
        "again": True,
    },
}
"""What is told instead of a log, by the status of the answer."""


class LogPage(OneSession, Page):
    """The page."""

    async def prepare(self) -> None:
        """Lead who is not logged in to where that is done, as every page does."""
        await Page.prepare(self)

    @authenticated
    async def get(self, session_id: str) -> None:
        """Answer with the page, lead to the session's own, or say what there is instead."""
        try:
            record = await self.session(session_id)
        except HTTPError as error:
            if error.status_code not in WORDS:
                raise
            self.set_status(error.status_code)
            self.draw("words.html", **WORDS[error.status_code])
            return
        if record.status.is_live:
            self._lead(record)
            return
        facts = record.facts
        self.draw(
            "log.html",
            session=facts.id,
            name=facts.name or facts.server,
            owner="" if facts.user == self.user else facts.user,
            kept=format_size(LOG_BYTES),
        )

    def _lead(self, record: SessionRecord) -> None:
        """To where a session that has not ended shows its log, or how far it is."""
        found = links(record, self.site)
        if address := found["log"] or found["progress"]:
            self.redirect(address)
            return
        title = f"{record.facts.name or record.facts.server} is ending"
        text = "The end of its log is kept, and is here as soon as it has ended."
        self.draw("words.html", title=title, text=text, again=True)
