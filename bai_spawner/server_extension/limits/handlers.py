"""How much time the session has, and more of it.

``GET bai/api/limits``
    ``time``: null where no limit applies, or nothing is known yet; else when the session
    ``ends`` and ``why`` (null while nothing ends it as it is), whether its user is ``warned`` of
    that, and both limits in seconds. ``reported``: when the hub last heard of use. ``problem``:
    why that is not newer, or empty. ``now``: the time here, by which the others are to be read.
``POST bai/api/limits/extend {"what": "idle" | "lifetime"}``
    ``time`` as it is then; 409 with the reason where there is no more.
"""

from datetime import UTC, datetime

from jupyter_server.auth.decorator import authorized
from tornado import web

from bai_spawner.server_extension.api import SessionHandler, Wrong
from bai_spawner.server_extension.hub_service import Unable
from bai_spawner.server_extension.limits.reporting import Reporter
from bai_spawner.server_extension.limits.time_left import LIMITS


class AboutTime(SessionHandler):
    """Knows who hears of the time from the service."""

    def initialize(self, reporter: Reporter) -> None:
        """Take it."""
        self._reporter = reporter


class LimitsHandler(AboutTime):
    """Tells how much time there is."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Tell what was heard last; nobody is asked for it."""
        self.options_of()
        it = self._reporter
        self.set_header("Cache-Control", "no-store")
        self.finish(
            {
                "time": it.time and it.time.told(),
                "reported": it.reported and it.reported.isoformat(),
                "problem": it.problem,
                "now": datetime.now(UTC).isoformat(),
            }
        )


class ExtendHandler(AboutTime):
    """Asks for more."""

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Ask, and tell how much there is then."""
        self.options_of()
        what = self.body(what=str).get("what")
        if what not in LIMITS:
            raise Wrong("what", what, f"accepted: {' or '.join(LIMITS)}")
        try:
            time = await self._reporter.extend(what)
        except Unable as unable:
            self.refuse(unable.status, str(unable))
        self.finish({"time": time and time.told()})
