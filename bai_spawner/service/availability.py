"""``GET api/availability``: what a user can still get, for a form that is open."""

from __future__ import annotations

import logging
from typing import Any

from tornado.web import HTTPError, authenticated

from bai_spawner.policy import Subject
from bai_spawner.records import RecordsError
from bai_spawner.service.board import Board, NotPublished
from bai_spawner.service.handlers import UNAVAILABLE, Visited
from bai_spawner.service.subjects import another

log = logging.getLogger("bai_spawner.service")


class Availability(Visited):
    """For the visitor, or for a user whom the visitor may see."""

    @authenticated
    async def get(self) -> None:
        """See `bai_spawner.form.live` for the shape."""
        board: Board = self.settings["board"]
        subject = await self._subject(self.get_query_argument("user", ""))
        try:
            found = await board.live(subject)
        except NotPublished as error:
            raise HTTPError(UNAVAILABLE, "%s", error) from error
        except RecordsError as error:
            log.error("%s", error)  # noqa: TRY400 - it says all, for the administrator
            raise HTTPError(UNAVAILABLE, "the records cannot be read now; try again") from error
        self.finish(found)

    async def _subject(self, asked: str) -> Subject:
        """Who is meant. Who may not be seen answers like one who does not exist (S17)."""
        visitor: dict[str, Any] = self.current_user
        if asked not in ("", visitor["name"]):
            return await another(self, asked)
        return Subject(visitor["name"], frozenset(visitor["groups"]))
