"""The way to an app: jupyter-server-proxy's, to where the app listens now.

Upstream starts processes too, and starts one that fails over and over; what runs here is
`Runner`'s. Whoever comes while the app does not run is sent to the page that starts it.
"""

from typing import Any

from jupyter_server.utils import url_path_join
from jupyter_server_proxy.handlers import AddSlashHandler, NamedLocalProxyHandler
from tornado.web import HTTPError

from bai_spawner.server_extension.apps.runner import Runner, State
from bai_spawner.server_extension.guarded import Guarded, asked_first
from bai_spawner.server_extension.part import Rule


def rules(runner: Runner) -> tuple[Rule, ...]:
    """What answers at an app's address: nothing, when the server does so itself."""
    if runner.app.path:
        return ()
    options: dict[str, Any] = {
        "runner": runner,
        # it is told its address, so it is sent whole ones
        "absolute_url": runner.app.uses("base_url"),
        # a page that is open and asks for news is no sign of a user
        "update_last_activity": False,
    }
    name = runner.app.name
    return ((rf"{name}(/.*)", AppProxy, options), (name, AddSlashHandler, {}))


@asked_first
class AppProxy(Guarded, NamedLocalProxyHandler):
    """Hands requests and WebSockets on to one app, for those who may use the session."""

    def initialize(self, runner: Runner) -> None:
        """Take what the rule hands over."""
        self._runner = runner
        self.proxy_base = runner.app.name

    @property
    def port(self) -> int:
        """Where the app listens now."""
        return self._runner.port

    @property
    def unix_socket(self) -> str | None:
        """Where it listens now, in place of a port."""
        return self._runner.unix_socket

    async def prepare(self, *args: Any, **kwargs: Any) -> None:
        """Let in who may use the session, while the app runs.

        Raises:
            HTTPError: 403 for others; 503 when the app does not run.
        """
        # a page in a frame and a WebSocket cannot log in; where pages may, upstream sends them
        await super().prepare(*args, _redirect_to_login=False, **kwargs)
        if self._finished:
            return
        await self.let_in()
        if self._is_page():
            if not await self._runner.answers():
                self._to_its_page()
        elif await self._runner.look() is not State.RUNNING:
            raise HTTPError(503, f"{self._runner.app.title} does not run")

    async def proxy(self, port: int, path: str) -> Any:
        """Hand it on; an app may end with the request in its hands.

        Raises:
            HTTPError: 502, it did.
        """
        try:
            return await super().proxy(port, path)
        except OSError as error:
            if not self._is_page() or await self._runner.answers():
                raise HTTPError(502, f"{self._runner.app.title} did not answer") from error
            self._to_its_page()

    def _to_its_page(self) -> None:
        """To the page that starts it, and that says why it ended."""
        self.redirect(url_path_join(self.base_url, "bai/apps", self._runner.app.name))

    def _is_page(self) -> bool:
        """Whether a browser asks for something to show, and no program for an answer."""
        accepted = self.request.headers.get("Accept", "")
        return self.request.method in {"GET", "HEAD"} and "text/html" in accepted
