"""What is asked of a session about itself, and of what it holds."""

import asyncio
import os
from datetime import datetime
from http import HTTPStatus

from jupyter_server.auth.decorator import authorized
from tornado import web

from bai_spawner.server_extension.api import SessionHandler, Wrong
from bai_spawner.server_extension.mounts import Folder
from bai_spawner.server_extension.session.facts import facts
from bai_spawner.server_extension.session.losses import Losses, Work
from bai_spawner.server_extension.session.rescue import Rescue, Running
from bai_spawner.server_extension.session.rescue import State as Copying
from bai_spawner.server_extension.session.terminate import Ending, Unable


class FactsHandler(SessionHandler):
    """``GET``: names, what was granted, folders, since when."""

    def initialize(self, work: Work, started: datetime) -> None:
        """Take the work directory, and when the server began."""
        self._work, self._started = work, started

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Tell."""
        self.options_of()
        folders = self._work.folders()
        self.finish(facts(os.environ, folders, self._work.home, self._started))


class CountingHandler(SessionHandler):
    """Counts what would be lost."""

    async def counted(self, work: Work, counting: asyncio.Lock) -> Losses:
        """All of it, one count at a time.

        Raises:
            HTTPError: 500, the work directory cannot be read.
        """
        try:
            async with counting:
                return await asyncio.to_thread(work.losses)
        except OSError as error:
            self.refuse(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                f"the work directory cannot be read: {error.strerror}",
            )


class LossesHandler(CountingHandler):
    """``GET``: what is deleted when the session ends."""

    def initialize(self, work: Work, counting: asyncio.Lock) -> None:
        """Take the work directory, and what sees that it is counted once at a time."""
        self._work, self._counting = work, counting

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Count, in a few seconds at most, and tell."""
        self.options_of()
        self.finish((await self.counted(self._work, self._counting)).told())


class RescueHandler(CountingHandler):
    """``POST`` copies entries into a folder, ``GET`` tells how far it is, ``DELETE`` stops it."""

    def initialize(self, work: Work, rescue: Rescue, counting: asyncio.Lock) -> None:
        """Take the work directory, the one who copies, and what sees that one count runs."""
        self._work, self._rescue, self._counting = work, rescue, counting

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Tell."""
        self.options_of()
        self.finish(self._rescue.told())

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Begin: ``{"folder": NAME, "names": [NAME, …]}``; 409 while another runs.

        Without ``names`` it is all that would be lost, however much that is.
        """
        self.options_of()
        asked = self.body(folder=str, names=list)
        folder = self._folder(asked.get("folder"))
        names = self._names(asked["names"]) if "names" in asked else await self._all()
        try:
            target = self._rescue.begin(folder, names)
        except Running:
            self.refuse(
                HTTPStatus.CONFLICT,
                f"a copy to {self._rescue.target} is being made; wait for its end, or stop it",
            )
        self.set_status(HTTPStatus.ACCEPTED)
        self.finish({"target": target})

    @web.authenticated
    @authorized
    async def delete(self) -> None:
        """Stop it. What was copied stays; with nothing to stop nothing happens."""
        self.options_of()
        self._rescue.stop()
        self.set_status(HTTPStatus.NO_CONTENT)
        self.finish()

    def _folder(self, name: str | None) -> Folder:
        for folder in self._work.folders():
            if folder.name == name and folder.writable:
                return folder
        writable = [folder.name for folder in self._work.folders() if folder.writable]
        accepted = f"accepted: {', '.join(writable)}" if writable else "no folder can be written to"
        raise Wrong("folder", name, accepted)

    async def _all(self) -> list[str]:
        """Whatever would be lost, also what could not be counted to its end."""
        found = await self.counted(self._work, self._counting)
        if not found.entries:
            raise Wrong("names", [], "nothing would be lost")
        return [entry.name for entry in found.entries]

    def _names(self, names: list[object]) -> list[str]:
        """Each is in the work directory now: none is a path, or leads anywhere else."""
        known = set(self._work.names())
        if not names:
            raise Wrong("names", names, "name what is to be copied, one name at least")
        chosen: dict[str, None] = {}
        for name in names:
            if not isinstance(name, str) or name not in known:
                raise Wrong("names", name, "accepted: what would be lost with the session, by name")
            if name in chosen:
                raise Wrong("names", name, "name it once")
            chosen[name] = None
        return list(chosen)


class TerminateHandler(SessionHandler):
    """``POST`` has the hub end this session; ``GET`` tells whether that was asked, or failed.

    ``GET ?check=1`` asks the hub whether it would, and ends nothing: who has files copied first
    hears of a refusal before that.
    """

    def initialize(self, ending: Ending, rescue: Rescue) -> None:
        """Take who asks the hub, and the copy that may still run."""
        self._ending, self._rescue = ending, rescue

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Tell; with ``check=1`` 502 or 503 when the hub would not end it."""
        check = self.options_of("check").get("check", "0")
        if check not in {"0", "1"}:
            raise Wrong("check", check, "accepted: 0 or 1")
        if check == "1":
            await self._check()
        self.finish(self._told())

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Ask: ``{}``, or ``{"anyway": true}`` to end even a copy that is being made."""
        self.options_of()
        anyway = self.body(anyway=bool).get("anyway", False)
        if self._rescue.state is Copying.RUNNING and not anyway:
            self.refuse(
                HTTPStatus.CONFLICT,
                f"Files are being copied to {self._rescue.target}. Wait for the end of it, "
                "or stop it.",
            )
        await self._check()
        self._ending.ask()
        self.set_status(HTTPStatus.ACCEPTED)
        self.finish(self._told())

    async def _check(self) -> None:
        try:
            await self._ending.check()
        except Unable as unable:
            self.refuse(unable.status, str(unable))

    def _told(self) -> dict[str, str]:
        return {"state": self._ending.state, "message": self._ending.message}
