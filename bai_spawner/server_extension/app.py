"""The extension: it finds its parts, and sees that a broken one costs no session.

Each part is a module of this package with a function ``part(serverapp)``. It is imported when
the server is about to answer, and not before.
"""

import asyncio
import logging
import re
from functools import partial
from importlib import import_module

from jupyter_server.extension.application import ExtensionApp
from jupyter_server.log import log_request

from bai_spawner.server_extension.part import Part

PARTS = (
    "ssh",
    "log",
    "greeting",
    "usage",
    "terminal",
    "apps",
    "apps.ports",
    "activity",
    "limits",
    "openings",
    "session",
)
"""Modules of this package, in the order in which they are asked."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0
"""Seconds before a part that ended in an error begins again, the first and a later time."""
_TOKEN = re.compile(r"""([?&](?:token|_xsrf)=)[^&\s'")]+""")


class SessionApp(ExtensionApp):
    """A session of Backend.AI's kind, inside Jupyter."""

    name = "bai"

    def initialize_handlers(self) -> None:
        """Add what the parts answer, and have them work once the loop runs."""
        assert self.serverapp is not None  # noqa: S101 - upstream links it before
        for handler in self.serverapp.log.handlers:
            handler.addFilter(without_tokens)
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
        pause = FIRST_PAUSE
        while True:
            try:
                await part.run()
                break
            except Exception:
                told = "The part %r of this session ended; it begins again in %g s"
                self.log.exception(told, name, pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def stop_extension(self) -> None:
        """End what the parts do, and wait until they have."""
        for task in self._working:
            task.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)


def without_tokens(record: logging.LogRecord) -> bool:
    """Keep tokens that stand in an address out of the session's log, whoever writes them."""
    told = record.getMessage()
    clean = _TOKEN.sub(r"\1[secret]", told)
    if clean != told:
        record.msg, record.args = clean, ()
    return True
