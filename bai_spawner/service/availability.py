"""``GET api/availability``: what a user can still get, for a form that is open."""

from __future__ import annotations

import json
import logging
from typing import Any

from jupyterhub.utils import url_escape_path, url_path_join
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.web import HTTPError, authenticated

from bai_spawner.policy import Subject
from bai_spawner.records import RecordsError
from bai_spawner.service.board import Board, NotPublished
from bai_spawner.service.handlers import SERVER_ERROR, UNAVAILABLE, Visited

ASK_SECONDS = 10.0
OK = 200
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
            visitor = await self._other(asked)
        return Subject(visitor["name"], frozenset(visitor["groups"]))

    async def _other(self, name: str) -> dict[str, Any]:
        """Another user, as the hub tells the visitor's own token."""
        request = HTTPRequest(
            url_path_join(self.hub_auth.api_url, "users", url_escape_path(name)),
            headers={"Authorization": f"token {self.hub_auth.get_token(self)}"},
            request_timeout=ASK_SECONDS,
        )
        answer = await AsyncHTTPClient().fetch(request, raise_error=False)
        if answer.code >= SERVER_ERROR:  # tornado says 599 when there was no answer
            raise HTTPError(UNAVAILABLE, "the hub does not answer now; try again")
        model = json.loads(answer.body) if answer.code == OK else {}
        if model.get("name") != name or "groups" not in model:
            raise HTTPError(404, "user: there is no such user here")
        return dict(model)
