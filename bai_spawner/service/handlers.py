"""What the service answers."""

from __future__ import annotations

import json
from typing import Any

from jupyterhub.services.auth import HubOAuth, HubOAuthCallbackHandler, HubOAuthenticated
from jupyterhub.utils import url_escape_path, url_path_join
from tornado.web import HTTPError, RequestHandler, StaticFileHandler, authenticated

from bai_spawner.form import static_digest
from bai_spawner.names import new_server_name

YEAR = 365 * 24 * 3600


class Answer(RequestHandler):
    """What every answer has: no framing by others, no guessing of types, errors as JSON."""

    def set_default_headers(self) -> None:
        """Set what a page of another site must not do with an answer."""
        self.set_header("Content-Security-Policy", "frame-ancestors 'none'; default-src 'none'")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")
        self.clear_header("Server")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with a message, never with a traceback."""
        error = kwargs.get("exc_info", (None, None))[1]
        message = self._reason
        if isinstance(error, HTTPError) and status_code < 500 and error.log_message:  # noqa: PLR2004
            message = error.log_message % error.args if error.args else error.log_message
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"message": message}))


class Visited(HubOAuthenticated, Answer):  # type: ignore[misc]
    """What only a visitor of the hub may see; who that is, is asked from the hub."""

    hub_auth_class = HubOAuth


class NotFound(Answer):
    """Everything else."""

    def prepare(self) -> None:
        """There is nothing here."""
        raise HTTPError(404)


class Callback(HubOAuthCallbackHandler, Answer):  # type: ignore[misc]
    """Where the hub leads back to after the login."""


class Health(Answer):
    """Whether the service answers."""

    def get(self) -> None:
        """It does."""
        self.finish({})


class Visit(Visited):
    """The first call of a page of the hub: who visits, and the token for all that follows.

    A page gets here with `fetch` in the mode ``no-cors``: of its own origin it may read the
    answer, the redirects lead through the hub's OAuth, and no token is needed yet.
    """

    @authenticated
    def get(self) -> None:
        """``{"user", "admin", "xsrf_token"}``."""
        if self.request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            raise HTTPError(403, "only the hub's own pages may ask")
        visitor = self.current_user
        self.finish(
            {
                "user": visitor["name"],
                "admin": visitor["admin"],
                "xsrf_token": self.xsrf_token.decode("ascii"),
            }
        )


class Launch(Visited):
    """A link to a filled form (R15): a browser keeps its fragment; nothing is launched here."""

    @authenticated
    def get(self) -> None:
        """Lead to the visitor's launch form, for a server name that was never used."""
        spawn = url_path_join(self.settings["hub_base"], "hub/spawn")
        name = url_escape_path(self.current_user["name"])
        self.redirect(url_path_join(spawn, name, new_server_name()))


class Static(StaticFileHandler):
    """The pages' modules, without login. Their address changes with their content."""

    async def get(self, digest: str, path: str, include_body: bool = True) -> None:  # type: ignore[override]
        """A file of this version; an earlier version's page must be loaded again."""
        if digest != static_digest():
            raise HTTPError(404)
        await super().get(path, include_body)

    def set_extra_headers(self, path: str) -> None:
        """Let browsers keep it for good."""
        del path
        self.set_header("Cache-Control", f"public, max-age={YEAR}, immutable")
        self.set_header("X-Content-Type-Options", "nosniff")
