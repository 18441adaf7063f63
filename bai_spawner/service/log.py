"""``GET api/sessions/ID/log``: the end of what a session printed that has ended, as it was kept.

Plain text, at most 256 KiB; ``X-Bai-Log`` says whether any was kept: an empty log is not one
that is missing. A session that runs shows its log itself: 409, with the address of that page.
"""

from __future__ import annotations

from bai_spawner.records import SessionRecord
from bai_spawner.service.links import links
from bai_spawner.service.sessions import OneSession

LIVE = "the session has not ended: it shows its log itself"


class Log(OneSession):
    """The log that was kept."""

    async def get(self, session_id: str) -> None:
        """Answer with it."""
        record = await self.session(session_id)
        self.no_query()
        if record.status.is_live:
            self.set_status(409)
            self.finish({"message": LIVE, "url": links(record, self.site)["log"]})
            return
        text = await self.look(self._read, record)
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.set_header("X-Bai-Log", "kept" if text else "none")
        self.finish(text)

    def _read(self, record: SessionRecord) -> str:
        return self.board.records.log(record.facts.id)
