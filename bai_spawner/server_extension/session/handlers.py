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


class LossesHandler(SessionHandler):
    """``GET``: what is deleted when the session ends."""

    def initialize(self, work: Work, counting: asyncio.Lock) -> None:
        """Take the work directory, and what sees that it is counted once at a time."""
        self._work, self._counting = work, counting

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Count, in a few seconds at most, and tell."""
        self.options_of()
        try:
            async with self._counting:
                found: Losses = await asyncio.to_thread(self._work.losses)
        except OSError as error:
            self.refuse(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                f"the work directory cannot be read: {error.strerror}",
            )
        self.finish(found.told())


class RescueHandler(SessionHandler):
    """``POST`` copies entries into a folder, ``GET`` tells how far it is, ``DELETE`` stops it."""

    def initialize(self, work: Work, rescue: Rescue) -> None:
        """Take the work directory and the one who copies."""
        self._work, self._rescue = work, rescue

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Tell."""
        self.options_of()
        self.finish(self._rescue.told())

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Begin: ``{"folder": NAME, "names": [NAME, …]}``; 409 while another runs."""
        self.options_of()
        asked = self.body(folder=str, names=list)
        folder = self._folder(asked.get("folder"))
        names = self._names(asked.get("names"))
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

    def _names(self, names: list[object] | None) -> list[str]:
        """Each is in the work directory now: none is a path, or leads anywhere else."""
        known = set(self._work.names())
        if not names:
            raise Wrong("names", names, "name what is to be copied, one name at least")
        chosen: dict[str, None] = {}
        for name in names:
            if not isinstance(name, str) or name not in known:
                raise Wrong("names", name, "accepted: names of entries that bai/api/losses lists")
            if name in chosen:
                raise Wrong("names", name, "name it once")
            chosen[name] = None
        return list(chosen)


class TerminateHandler(SessionHandler):
    """``POST`` has the hub end this session; ``GET`` tells whether that was asked, or failed."""

    def initialize(self, ending: Ending, rescue: Rescue) -> None:
        """Take who asks the hub, and the copy that may still run."""
        self._ending, self._rescue = ending, rescue

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Tell."""
        self.options_of()
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
                f"files are being copied to {self._rescue.target}; wait for the end of it, "
                'or send {"anyway": true}',
            )
        try:
            await self._ending.check()
        except Unable as unable:
            self.refuse(unable.status, str(unable))
        self._ending.ask()
        self.set_status(HTTPStatus.ACCEPTED)
        self.finish(self._told())

    def _told(self) -> dict[str, str]:
        return {"state": self._ending.state, "message": self._ending.message}
