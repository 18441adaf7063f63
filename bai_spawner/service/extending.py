"""``POST api/sessions/ID/extend {"what": "idle" | "lifetime"}``: more time, from the list.

200 with the time that the session has then, as `bai_spawner.limits` says it; 409 with the
reason where its policy gives no more.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tornado.web import HTTPError

from bai_spawner.errors import shown
from bai_spawner.limits import Why
from bai_spawner.records import SessionRecord
from bai_spawner.service import body
from bai_spawner.service.prolong import NotAllowed, prolong
from bai_spawner.service.sessions import OneSession


class Extend(OneSession):
    """More time for one session."""

    async def post(self, session_id: str) -> None:
        """Give it, where the policy allows."""
        record = await self.session(session_id)
        self.no_query()
        what = body.read(self.request.body, "what").get("what")
        if what not in tuple(Why):
            accepted = " or ".join(Why)
            raise HTTPError(400, "%s", f"what: must be {accepted}, not {shown(what)}")
        try:
            time = await self.look(self._prolong, record, Why(what))
        except NotAllowed as error:
            raise HTTPError(409, "%s", error) from error
        self.finish({"time": time})

    def _prolong(self, record: SessionRecord, what: Why) -> dict[str, Any] | None:
        found = prolong(self.board, record, what, datetime.now(UTC))
        return found.to_json() if found else None
