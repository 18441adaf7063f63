"""What visitors' questions to the records have in common, whatever they are about.

Whoever is no visitor is refused before anything is looked at, by every method. The records
are read off the loop; while they cannot be, that is said, and not what is wrong with them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from tornado.web import HTTPError

from bai_spawner.errors import shown
from bai_spawner.service.aside import aside
from bai_spawner.service.away import or_away
from bai_spawner.service.board import Board
from bai_spawner.service.handlers import Visited
from bai_spawner.service.links import Site

Found = TypeVar("Found")


class Asking(Visited):
    """A visitor, the records, JSON."""

    async def prepare(self) -> None:
        """Let in a visitor, whatever the method."""
        await super().prepare()
        if not self.current_user:
            raise HTTPError(403, "log in, or reload the page")

    @property
    def board(self) -> Board:
        """What the hub published, and its records."""
        board: Board = self.settings["board"]
        return board

    @property
    def site(self) -> Site:
        """Where the hub and the service are."""
        return Site(self.settings["hub_base"], self.hub_auth.base_url)

    @property
    def user(self) -> str:
        """The visitor's name."""
        return str(self.current_user["name"])

    @property
    def sees_all(self) -> bool:
        """Whether the visitor is a superadmin, who sees everyone's sessions."""
        return bool(self.current_user.get("admin"))

    async def look(self, question: Callable[..., Found], *args: Any) -> Found:
        """Have a question to the records answered off the loop.

        Raises:
            HTTPError: 503, they cannot be read now, or the hub has published nothing yet.
        """
        with or_away():
            return await aside(question, *args)

    def no_query(self) -> None:
        """Refuse what an address without a query was asked with."""
        for name in self.request.query_arguments:
            raise HTTPError(400, "%s", f"query: {shown(name)} is not a known key; none is")
