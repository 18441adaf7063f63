"""The session's apps on ports of the host: Lab asks this server, and it asks the hub's service.

    GET    bai/api/openings       {"offered", "public", "preferred_port", "open": [OPENING, …]}
    POST   bai/api/openings       {"app", "public", "port", "expires", "allowed", "password"}
                                  201 OPENING: it is open; all but ``app`` may be left out
    DELETE bai/api/openings/ID    204: it is closed, and what went through it is cut

What may be asked for is the service's to say, and OPENING is as its document has it. Only the
session's own user is offered anything: whom they share it with work in it, and open it to
nobody. That is a rule of this server, and no wall: a session's programs have its token.
"""

import asyncio
import json
import os
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from jupyter_server.auth.decorator import authorized
from tornado import web

from bai_spawner.server_extension.api import SessionHandler, Wrong
from bai_spawner.server_extension.hub_service import (
    ITS_WORD,
    Service,
    Unable,
    from_environment,
    nobody,
    unreadable,
)
from bai_spawner.server_extension.part import Part

APPS, OPENINGS = "api/own/apps", "api/own/openings"
FRESH_SECONDS = 5.0
"""How long an answer is told again: there may be many tabs, and the service takes so much."""
OPEN_SECONDS = 25.0
"""What opening and closing may take: the service waits for the app proxy for twenty."""
NOT_OFFERED = {"offered": False, "public": False, "preferred_port": False, "open": []}


class Openings:
    """Asks the service, in this session's name.

    Args:
        service: ``None``: there is none, and nothing is offered.
    """

    def __init__(self, service: Service | None) -> None:
        self._service = service
        self._turn = asyncio.Lock()
        self._told: dict[str, Any] | Unable = {}
        self._until = 0.0

    async def look(self) -> dict[str, Any]:
        """How apps may be opened, and which are; a few seconds old at most.

        Raises:
            Unable: the service is away, or refuses.
        """
        if self._service is None:
            return NOT_OFFERED
        async with self._turn:
            if time.monotonic() >= self._until:
                self._told = await self._look(self._service)
                self._until = time.monotonic() + FRESH_SECONDS
            if isinstance(self._told, Unable):
                raise self._told
            return self._told

    async def _look(self, service: Service) -> dict[str, Any] | Unable:
        """What is told for a while; that nobody answers, too."""
        try:
            return _object(await service.ask("GET", APPS), "open")
        except Unable as unable:
            return unable

    async def open(self, app: str, how: Mapping[str, Any]) -> dict[str, Any]:
        """Open an app.

        Raises:
            Unable: it was not opened.
        """
        passed = ITS_WORD | {HTTPStatus.BAD_REQUEST}
        asked = f"{APPS}/{quote(app, safe='')}"
        return _object(await self._ask("POST", asked, how, passed), "url")

    async def close(self, opening: str) -> None:
        """Close it.

        Raises:
            Unable: it was not closed.
        """
        await self._ask("DELETE", f"{OPENINGS}/{quote(opening, safe='')}", None, ITS_WORD)

    async def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None, its_word: frozenset[int]
    ) -> bytes:
        """Change something: what was told before is old then, whatever comes of it."""
        if self._service is None:
            raise nobody()
        async with self._turn:
            self._until = 0.0
            return await self._service.ask(
                method, path, body, its_word=its_word, seconds=OPEN_SECONDS
            )


class _Asking(SessionHandler):
    """Knows whom to ask, and for whom."""

    def initialize(self, openings: Openings, owner: str) -> None:
        """Take both; without a hub there is no ``owner``."""
        self._openings, self._owner = openings, owner

    @property
    def is_owner(self) -> bool:
        """Whether the session's own user asks."""
        return not self._owner or getattr(self.current_user, "username", "") == self._owner

    def only_owner(self) -> None:
        """Refuse others.

        Raises:
            HTTPError: 403.
        """
        if not self.is_owner:
            told = "A session's apps are opened and closed by its own user alone"
            self.refuse(HTTPStatus.FORBIDDEN, told)


class AllOpenings(_Asking):
    """What is open, and one more."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Tell how, and which."""
        self.options_of()
        self.set_header("Cache-Control", "no-store")
        try:
            self.finish(await self._openings.look() if self.is_owner else NOT_OFFERED)
        except Unable as unable:
            self.refuse(unable.status, str(unable))

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Open one."""
        self.options_of()
        self.only_owner()
        how = self.body(app=str, public=bool, port=int, expires=str, allowed=list, password=str)
        app = how.pop("app", "")
        if not app or not app.isprintable():
            raise Wrong("app", app, "give an app's name")
        try:
            made = await self._openings.open(app, how)
        except Unable as unable:
            self.refuse(unable.status, str(unable))
        self.set_status(HTTPStatus.CREATED)
        self.finish(made)


class OneOpening(_Asking):
    """One of them."""

    @web.authenticated
    @authorized
    async def delete(self, opening: str) -> None:
        """Close it."""
        self.options_of()
        self.only_owner()
        try:
            await self._openings.close(opening)
        except Unable as unable:
            self.refuse(unable.status, str(unable))
        self.set_status(HTTPStatus.NO_CONTENT)
        self.finish()


def part(_: Any) -> Part:
    """How Lab asks, opens and closes."""
    openings = Openings(from_environment(os.environ))
    known = {"openings": openings, "owner": os.environ.get("JUPYTERHUB_USER", "")}
    return Part(
        handlers=(
            ("bai/api/openings", AllOpenings, known),
            ("bai/api/openings/([^/]+)", OneOpening, known),
        )
    )


def _object(content: bytes, key: str) -> dict[str, Any]:
    """An answer that has at least this.

    Raises:
        Unable: it is something else.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise unreadable() from error
    if not isinstance(found, dict) or key not in found:
        raise unreadable()
    return found
