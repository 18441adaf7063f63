"""Apps that are opened on ports of the host: which, how, and closed again.

    GET    api/sessions/ID/apps        how its apps may be opened, and which are
    POST   api/sessions/ID/apps/NAME   {"public", "port", "expires", "allowed", "password"}
                                       201: it is open; keys may be left out
    GET    api/openings                what is open, and what was; of a superadmin everyone's
    DELETE api/openings/ID             204: it is closed, and what went through it is cut

A session is opened by its own user alone: a superadmin sees and closes what is open.
"""

from __future__ import annotations

from tornado.web import HTTPError

from bai_spawner.service import asked
from bai_spawner.service.asking import Asking
from bai_spawner.service.opener import By, Opener
from bai_spawner.service.sessions import OneSession


class Opens(Asking):
    """What all addresses have."""

    @property
    def opener(self) -> Opener:
        """What opens and closes."""
        found: Opener = self.settings["opener"]
        return found


class SessionApps(OneSession, Opens):
    """How a session's apps may be opened."""

    async def get(self, session_id: str) -> None:
        """Answer with it."""
        record = await self.session(session_id)
        self.no_query()
        found = await self.opener.offered(record, own=record.facts.user == self.user)
        self.set_header("Cache-Control", "no-store")
        self.finish(found)


class OpenApp(OneSession, Opens):
    """One of its apps."""

    async def post(self, session_id: str, app: str) -> None:
        """Open it."""
        record = await self.session(session_id)
        self.no_query()
        self.opener.needed()  # where there is none, nothing else matters
        if record.facts.user != self.user:
            raise HTTPError(403, "a session's apps are opened by its own user alone")
        by = By(self.user, self.request.remote_ip or "")
        made = await self.opener.open(record, app, asked.read(self.request.body), by)
        self.set_status(201)
        self.finish(made)


class Openings(Opens):
    """All that is open, and what was."""

    async def get(self) -> None:
        """Answer with both, the newest first."""
        self.no_query()
        found = await self.opener.all(None if self.sees_all else self.user)
        self.set_header("Cache-Control", "no-store")
        self.finish(found)


class OneOpening(Opens):
    """One of them."""

    async def delete(self, opening: str) -> None:
        """Close it."""
        self.no_query()
        self.opener.needed()
        found = await self.opener.of(opening)
        if found is None or not (self.sees_all or found.user == self.user):
            raise HTTPError(404, "there is no such opening")
        why = "closed by its user" if found.user == self.user else "closed by an administrator"
        await self.opener.close(found, By(self.user), why)
        self.set_status(204)
        self.finish()
