"""Activity: the session says truthfully when it was last used.

``GET bai/api/activity`` answers it, and the server's reports to the hub say the same: upstream's
count every request of an open tab, and would keep a session alive that nobody uses.
"""

from typing import Any

from jupyter_server.auth.decorator import authorized
from tornado import web

from bai_spawner.server_extension.activity.watch import Watch
from bai_spawner.server_extension.api import SessionHandler
from bai_spawner.server_extension.part import Part

WATCH = "bai_watch"
"""Where the web application's settings have the watch."""


def part(serverapp: Any) -> Part:
    """The watch, and its word in the place of upstream's.

    ``last_activity`` of the web application is what JupyterHub's extension sends to the hub,
    what ``GET api/status`` and the metrics show, and what a shutdown for want of activity
    judges by. Upstream offers settings to add to it, and none to take away from it.
    """
    watch = watch_of(serverapp)
    serverapp.web_app.last_activity = watch.last
    return Part(handlers=(("bai/api/activity", ActivityHandler, {"watch": watch}),), run=watch.run)


def watch_of(serverapp: Any) -> Watch:
    """The one watch of a server, whichever part asks first."""
    settings = serverapp.web_app.settings
    if WATCH not in settings:
        settings[WATCH] = Watch(serverapp)
    watch: Watch = settings[WATCH]
    return watch


class ActivityHandler(SessionHandler):
    """When the session was last used."""

    def initialize(self, watch: Watch) -> None:
        """Take what watches it."""
        self._watch = watch

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Look now, and tell. Times are ISO 8601 in UTC."""
        self.options_of()
        seen = await self._watch.look()
        self.finish(
            {
                "last": seen.last.isoformat(),
                "busy": seen.busy,
                "because": seen.because,
                "kernels": seen.kernels and seen.kernels.isoformat(),
                "terminals": seen.terminals and seen.terminals.isoformat(),
            }
        )
