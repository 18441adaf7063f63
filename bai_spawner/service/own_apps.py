"""``api/own/apps``: a session opens its own apps on ports of the host, with its own token.

    GET    api/own/apps           how they may be opened, and which are
    POST   api/own/apps/NAME      {"public", "port", "expires", "allowed", "password"}
                                  201: it is open; keys may be left out
    DELETE api/own/openings/ID    204: it is closed, and what went through it is cut

What a session does is done in its user's name, by whoever works in it: who may use a session
may start a program there that lets in whom it likes, and the policy holds for all of them.
"""

from __future__ import annotations

from tornado.web import HTTPError

from bai_spawner.records import SessionRecord
from bai_spawner.service import asked
from bai_spawner.service.opener import By, Opener
from bai_spawner.service.own import LONGEST_BODY, Own, Turns

WHENCE = "its session"
"""From where it was opened, before the address: no browser was seen."""


class OwnOpener(Own):
    """What all of them have."""

    @property
    def opener(self) -> Opener:
        """What opens and closes."""
        found: Opener = self.settings["opener"]
        return found

    @property
    def by(self) -> By:
        """Who opens or closes: the session's user."""
        user, _ = self._key
        return By(user, f"{WHENCE}, {self.request.remote_ip}")

    async def own(self) -> SessionRecord:
        """The session that asks."""
        return await self.of_session(lambda _, record: record)


class Apps(OwnOpener):
    """How its apps may be opened."""

    async def get(self) -> None:
        """Answer with it."""
        self.finish(await self.opener.offered(await self.own(), own=True))


class OpenApp(OwnOpener):
    """One of its apps."""

    async def post(self, app: str) -> None:
        """Open it."""
        self.opener.needed()  # where there is none, nothing else matters
        if len(self.request.body) > LONGEST_BODY:
            raise HTTPError(413, "%s", f"body: at most {LONGEST_BODY} bytes")
        wanted = asked.read(self.request.body)
        made = await self.opener.open(await self.own(), app, wanted, self.by)
        self.set_status(201)
        self.finish(made)


class OneOpening(OwnOpener):
    """What is open of it."""

    async def delete(self, opening: str) -> None:
        """Close it."""
        self.opener.needed()
        record = await self.own()
        found = await self.opener.of(opening)
        if found is None or found.session != record.facts.id:
            raise HTTPError(404, "there is no such opening")
        await self.opener.close(found, self.by, "closed in its session")
        self.set_status(204)
        self.finish()


def routes(prefix: str) -> list[tuple[str, type[Own], dict[str, Turns]]]:
    """The addresses, below the service's own; what Lab asks takes no turn of the reports'."""
    turns = {"turns": Turns()}
    return [
        (f"{prefix}api/own/apps", Apps, turns),
        (f"{prefix}api/own/apps/([^/]+)", OpenApp, turns),
        (f"{prefix}api/own/openings/([^/]+)", OneOpening, turns),
    ]
