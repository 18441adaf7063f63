"""``api/folders``: the visitor's data folders, and those of their groups (R40, R41).

    GET    api/folders?user=…    {"folders": […], "own", "most", "rule", "writable"}
    POST   api/folders           {"name": "…"}: 201, the folder that was made
    PATCH  api/folders/NAME      {"name": "…"}: the folder, by its new name
    DELETE api/folders/NAME      204; there is no way back

A folder:

    name, owner, kind      ``data`` of a ``user``, or ``ml-team/corpus`` of a ``group``
    permission             the most that it may be mounted with, ``rw`` or ``ro``
    automatic, exists      whether every launch mounts it, and whether it is there yet
    size, files            bytes and number, as counted last; null while they are not known
    more, measured         whether there is more than could be counted; when it was, or null
    sessions               id, name and user of the live sessions that mount it
    may                    what the visitor may do to it: ``rename``, ``delete``

Of a group's folder a visitor is told their own sessions, and nothing of others' (S17). A
superadmin sees everybody's, and may look at another user's folders; everyone changes none but
their own. What a live session mounts is not changed: 409, with the names of those sessions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from tornado.web import HTTPError

from bai_spawner.errors import shown
from bai_spawner.folders import NotChanged, Why
from bai_spawner.policy import Subject
from bai_spawner.service import body
from bai_spawner.service.asking import Asking
from bai_spawner.service.away import or_away
from bai_spawner.service.disk import DiskAway
from bai_spawner.service.feed import Viewer
from bai_spawner.service.handlers import UNAVAILABLE
from bai_spawner.service.shelf import Shelf, Whose
from bai_spawner.service.subjects import another, no_user

ANSWERS = {
    Why.POLICY: 403,
    Why.NAME: 400,
    Why.UNKNOWN: 404,
    Why.TAKEN: 409,
    Why.FULL: 409,
    Why.AUTOMATIC: 409,
    Why.IN_USE: 409,
}
AT_THE_NAME = frozenset({Why.NAME, Why.TAKEN})
"""What is wrong with the name that was sent, and with nothing else."""
AWAY = "the disk of the folders does not answer now; look again in a while"

Answer = TypeVar("Answer")
log = logging.getLogger("bai_spawner.service")


class Shelved(Asking):
    """What both addresses have."""

    @property
    def shelf(self) -> Shelf:
        """The folders."""
        shelf: Shelf = self.settings["shelf"]
        return shelf

    @property
    def own(self) -> Whose:
        """The visitor, who looks at their own."""
        return self._whose(Subject(self.user, frozenset(self.current_user["groups"])))

    def _whose(self, subject: Subject) -> Whose:
        return Whose(subject, Viewer(self.user, self.sees_all))

    async def whose(self) -> Whose:
        """The visitor, who looks at the folders of whom they ask for."""
        for name in self.request.query_arguments:
            if name != "user":
                told = f"query: {shown(name)} is not a known key; known: user"
                raise HTTPError(400, "%s", told)
        asked = self.get_query_argument("user", "")
        if asked in {"", self.user}:
            return self.own
        if not self.sees_all:
            raise no_user()
        return self._whose(await another(self, asked))

    async def work(self, work: Callable[..., Answer], *args: Any) -> Answer:
        """Have the shelf do something, and word why it was not done."""
        try:
            with or_away():
                return await self.shelf.disk.ask(work, *args)
        except NotChanged as error:
            at = "name: " if error.why in AT_THE_NAME else ""
            raise HTTPError(ANSWERS[error.why], "%s", f"{at}{error}") from error
        except DiskAway as error:
            raise HTTPError(UNAVAILABLE, AWAY) from error
        except OSError as error:
            log.error("Folders: %s", error)  # noqa: TRY400 - it says all, for the administrator
            told = f"the disk of the folders refused it ({error.strerror}); tell the administrator"
            raise HTTPError(UNAVAILABLE, "%s", told) from error

    def name(self) -> str:
        """The name that was sent."""
        found = body.read(self.request.body, "name")
        if "name" not in found:
            raise HTTPError(400, "name: is missing")
        name = found["name"]
        if not isinstance(name, str):
            raise HTTPError(400, "%s", f"name: must be text, not {shown(name)}")
        return name


class Folders(Shelved):
    """All of them."""

    async def get(self) -> None:
        """List them."""
        whose = await self.whose()
        self.finish(await self.work(self.shelf.listing, whose))

    async def post(self) -> None:
        """Make one."""
        self.no_query()
        name = self.name()
        found = await self.work(self.shelf.create, self.own, name)
        self.set_status(201)
        self.finish(found)


class OneFolder(Shelved):
    """One of the visitor's own."""

    async def patch(self, name: str) -> None:
        """Give it another name."""
        self.no_query()
        new = self.name()
        self.finish(await self.work(self.shelf.rename, self.own, name, new))

    async def delete(self, name: str) -> None:
        """Delete it, with all that is in it."""
        self.no_query()
        await self.work(self.shelf.delete, self.own, name)
        self.set_status(204)
