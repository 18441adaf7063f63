"""``GET api/availability``: what a user can still get, for a form that is open."""

from __future__ import annotations

from typing import Any

from tornado.web import authenticated

from bai_spawner.policy import Subject
from bai_spawner.service.away import or_away
from bai_spawner.service.board import Board
from bai_spawner.service.handlers import Visited
from bai_spawner.service.subjects import another


class Availability(Visited):
    """For the visitor, or for a user whom the visitor may see."""

    @authenticated
    async def get(self) -> None:
        """See `bai_spawner.form.live` for the shape."""
        board: Board = self.settings["board"]
        subject = await self._subject(self.get_query_argument("user", ""))
        with or_away():
            found = await board.live(subject)
        self.finish(found)

    async def _subject(self, asked: str) -> Subject:
        """Who is meant. Who may not be seen answers like one who does not exist (S17)."""
        visitor: dict[str, Any] = self.current_user
        if asked not in ("", visitor["name"]):
            return await another(self, asked)
        return Subject(visitor["name"], frozenset(visitor["groups"]))
