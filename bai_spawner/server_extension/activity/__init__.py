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


def part(serverapp: Any) -> Part:
    """The watch, and its word in the place of upstream's.

    ``last_activity`` of the web application is what JupyterHub's extension sends to the hub,
    what ``GET api/status`` and the metrics show, and what a shutdown for want of activity
    judges by. Upstream offers settings to add to it, and none to take away from it.
    """
    watch = Watch(serverapp)
    serverapp.web_app.last_activity = watch.last
    return Part(handlers=(("bai/api/activity", ActivityHandler, {"watch": watch}),), run=watch.run)


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
