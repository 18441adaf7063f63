"""Apps over HTTP: which there are, their states; start and stop, and what is needed to choose.

    GET    bai/api/apps                          {"apps": [APP, …]}
    GET    bai/api/apps/NAME                     APP
    POST   bai/api/apps/NAME {"directory"}       202 APP: it starts; once, however many ask
    DELETE bai/api/apps/NAME                     204: it has ended
    GET    bai/api/apps/NAME/output?lines=20     the end of what it wrote, plain text
    GET    bai/api/apps/NAME/directories?below=  {"directories": [path, …], "complete": bool}

APP: {"name", "title", "icon", "category", "url", "asks": null | "directory", "state",
"message", "directory"}. ``url`` and ``icon`` are relative to the session's address, directories
to the work directory. A message's first line says what happened; the end of the app's output
follows it.
"""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

from jupyter_server.auth.decorator import authorized
from tornado import web

from bai_spawner.server_extension.api import SessionHandler, Wrong
from bai_spawner.server_extension.apps import directories
from bai_spawner.server_extension.apps.output import LINES, end_of
from bai_spawner.server_extension.apps.runner import Runner
from bai_spawner.server_extension.aside import Aside
from bai_spawner.server_extension.part import Rule

MOST_LINES = 200
_NUMBER = re.compile(r"[0-9]{1,3}")
FOLDER_SECONDS = 2.0
"""How long a folder may take to answer."""
NAME = "([^/]+)"


def rules(runners: Mapping[str, Runner], work: Path) -> tuple[Rule, ...]:
    """What answers."""
    known = {"runners": runners, "work": work, "aside": Aside()}
    one = f"bai/api/apps/{NAME}"
    return (
        ("bai/api/apps", Apps, known),
        (one, OneApp, known),
        (f"{one}/output", Output, known),
        (f"{one}/directories", Directories, known),
    )


class AppHandler(SessionHandler):
    """Knows the session's apps."""

    def initialize(self, runners: Mapping[str, Runner], work: Path, aside: Aside) -> None:
        """Take what the rule hands over. ``aside`` is for what may hang: a user's folders."""
        self.runners, self.work, self.aside = runners, work, aside

    def runner(self, name: str) -> Runner:
        """An app by its name.

        Raises:
            HTTPError: 404, there is none.
        """
        found = self.runners.get(name)
        return found or self.refuse(HTTPStatus.NOT_FOUND, "This session has no such app")

    async def told(self, runner: Runner) -> dict[str, Any]:
        """An app as it is told."""
        app, state = runner.app, await runner.look()
        own = f"bai/apps/{app.name}"
        return {
            "name": app.name,
            "title": app.title,
            "icon": f"{own}/icon.svg" if app.icon else "",
            "category": app.category,
            "url": app.path.removeprefix("/") or own,
            "asks": app.asks or None,
            "state": state,
            "message": runner.message,
            "directory": directories.told(self.work, runner.directory) if runner.directory else "",
        }


class Apps(AppHandler):
    """All of them."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """In the order of the image's label, after those of every session."""
        self.options_of()
        found = await asyncio.gather(*(self.told(runner) for runner in self.runners.values()))
        self.finish({"apps": found})


class OneApp(AppHandler):
    """One of them."""

    @web.authenticated
    @authorized
    async def get(self, name: str) -> None:
        """Its state."""
        self.options_of()
        self.finish(await self.told(self.runner(name)))

    @web.authenticated
    @authorized
    async def post(self, name: str) -> None:
        """Start it. On another directory than it runs on, it is started again."""
        runner = self.runner(name)
        runner.start(await self._directory(runner))
        self.set_status(HTTPStatus.ACCEPTED)
        self.finish(await self.told(runner))

    @web.authenticated
    @authorized
    async def delete(self, name: str) -> None:
        """Stop it."""
        runner = self.runner(name)
        if not runner.app.command:
            self.refuse(HTTPStatus.CONFLICT, f"{runner.app.title} is not ours to stop")
        await runner.stop()
        self.set_status(HTTPStatus.NO_CONTENT)
        self.finish()

    async def _directory(self, runner: Runner) -> Path | None:
        """The directory that was chosen, where the app asks for one."""
        asked = self.body(directory=str).get("directory")
        if not runner.app.asks:
            if asked is not None:
                raise Wrong("directory", asked, f"{runner.app.title} asks for none")
            return None
        chosen = partial(directories.chosen, self.work, asked or "")
        try:
            return await self.aside.ask(chosen, FOLDER_SECONDS)
        except TimeoutError:
            told = "The folder does not answer. Try again in a while, or choose another one."
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, told)


class Output(AppHandler):
    """What it wrote."""

    @web.authenticated
    @authorized
    async def get(self, name: str) -> None:
        """The last lines."""
        runner = self.runner(name)
        text = self.options_of("lines").get("lines", str(LINES))
        number = int(text) if _NUMBER.fullmatch(text) else 0
        if not 0 < number <= MOST_LINES:
            raise Wrong("lines", text, f"give a whole number from 1 to {MOST_LINES}")
        found = await asyncio.to_thread(end_of, runner.output, number)
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.finish(found, set_content_type="text/plain; charset=utf-8")


class Directories(AppHandler):
    """What may be chosen."""

    @web.authenticated
    @authorized
    async def get(self, name: str) -> None:
        """Directories that begin as what was typed."""
        self.runner(name)
        below = self.options_of("below").get("below", "")
        try:
            listed = partial(directories.listed, self.work, below)
            found = await self.aside.ask(listed, FOLDER_SECONDS)
        except TimeoutError:
            found = directories.Listed(complete=False)
        self.finish(json.dumps(asdict(found)))
