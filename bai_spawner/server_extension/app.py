"""The extension: it finds its parts, and sees that a broken one costs no session.

Each part is a module of this package with a function ``part(serverapp)``. It is imported when
the server is about to answer, and not before.
"""

import asyncio
from functools import partial
from importlib import import_module

from jupyter_server.extension.application import ExtensionApp
from jupyter_server.log import log_request

from bai_spawner.server_extension.part import Part

PARTS = ("ssh", "log", "greeting", "usage", "apps", "apps.ports", "activity", "session")
"""Modules of this package, in the order in which they are asked."""


class SessionApp(ExtensionApp):
    """A session of Backend.AI's kind, inside Jupyter."""

    name = "bai"

    def initialize_handlers(self) -> None:
        """Add what the parts answer, and have them work once the loop runs."""
        assert self.serverapp is not None  # noqa: S101 - upstream links it before
        self.serverapp.io_loop.add_callback(self._log_like_jupyter)
        self._working: set[asyncio.Task[None]] = set()
        for name in PARTS:
            part = self._load(name)
            self.handlers.extend(part.handlers)
            if part.run:
                self.serverapp.io_loop.add_callback(self._keep, name, part)

    def _log_like_jupyter(self) -> None:
        """Log requests as Jupyter Server does, which says nothing of those that succeed.

        JupyterHub has put its own way in place by now. With that, a page of Lab's that is left
        open would push everything else out of the session's log in a day.
        """
        assert self.serverapp is not None  # noqa: S101 - upstream links it before
        metrics = self.serverapp.record_http_request_metrics
        log_function = partial(log_request, record_prometheus_metrics=metrics)
        self.serverapp.web_app.settings["log_function"] = log_function

    def _load(self, name: str) -> Part:
        """A part; an empty one in place of a broken one, whose reason is in the log."""
        try:
            found: Part = import_module(f"{__package__}.{name}").part(self.serverapp)
        except Exception:
            self.log.exception("This session goes on without its part %r", name)
            return Part()
        return found

    def _keep(self, name: str, part: Part) -> None:
        task = asyncio.ensure_future(self._run(name, part))
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def _run(self, name: str, part: Part) -> None:
        assert part.run is not None  # noqa: S101 - only such parts are kept
        try:
            await part.run()
        except Exception:
            self.log.exception("The part %r of this session ended", name)

    async def stop_extension(self) -> None:
        """End what the parts do, and wait until they have."""
        for task in self._working:
            task.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)
