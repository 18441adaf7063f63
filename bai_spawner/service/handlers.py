"""What the service answers.

A cookie alone is never enough for a script: as in JupyterHub, whoever does not navigate
proves with the XSRF token that it is a page of the hub's.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from pathlib import PurePosixPath
from types import TracebackType
from typing import Any

from jupyterhub.services.auth import (
    HubOAuth,
    HubOAuthCallbackHandler,
    HubOAuthenticated,
    UserNotAllowed,
)
from jupyterhub.utils import url_escape_path, url_path_join
from tornado.web import HTTPError, RequestHandler, authenticated

from bai_spawner.assets import KINDS, assets, digest
from bai_spawner.errors import shown
from bai_spawner.names import new_server_name

YEAR = 365 * 24 * 3600
NOT_OURS = frozenset({"no-cors", "navigate"})
"""What images and forms send: a page's script changes things in another mode."""
FOLLOWS = frozenset({"", "no-cors", "navigate"})
"""Modes of a request that come back from the hub's login; others would go round in circles."""
SERVER_ERROR, UNAVAILABLE = 500, 503
AGAIN, AGAIN_SECONDS = "bai-login-again", 20
"""A cookie: a login was begun once more so long ago."""


class Answer(RequestHandler):
    """What every answer has: no framing by others, no guessing of types, errors as JSON."""

    def set_default_headers(self) -> None:
        """Set what a page of another site must not do with an answer."""
        self.set_header("Content-Security-Policy", "frame-ancestors 'none'; default-src 'none'")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")
        self.clear_header("Server")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with a message, never with a traceback."""
        error = kwargs.get("exc_info", (None, None))[1]
        message = self._reason
        told = status_code < SERVER_ERROR or status_code == UNAVAILABLE
        if isinstance(error, HTTPError) and told and error.log_message:
            message = error.log_message % error.args  # tornado doubled each % that is none
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"message": message}))

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """An answer that says no is no event; anything else is a mistake of ours."""
        if not isinstance(value, HTTPError):
            super().log_exception(typ, value, tb)

    def _request_summary(self) -> str:
        """Bounded, and without the query: it may hold the code of a login."""
        return f"{self.request.method} {shown(self.request.path)}"


class Known(HubOAuthenticated, Answer):  # type: ignore[misc]
    """Knows by the hub who asks; nobody else waits for the hub's answer meanwhile."""

    hub_auth_class = HubOAuth

    async def prepare(self) -> None:
        """Ask the hub now: when JupyterHub's own code asks, the whole process waits.

        Raises:
            HTTPError: 503 when the hub does not answer.
        """
        try:
            await self.hub_auth.get_user(self, sync=False)  # and it is kept for this request
        except HTTPError as error:
            if error.status_code < SERVER_ERROR:
                raise
            raise HTTPError(UNAVAILABLE, "the hub does not answer now; try again") from None

    def check_hub_user(self, model: dict[str, Any]) -> dict[str, Any]:
        """The model of a user who may; another service is no user, whatever it may do."""
        if model.get("kind") != "user":
            raise UserNotAllowed(model)
        allowed: dict[str, Any] = super().check_hub_user(model)
        return allowed


class Visited(Known):
    """What only a visitor of the hub may see.

    A session's own token is no visitor's: it opens that session alone (S27).
    """

    leads_to_login = False
    """Whether who is not logged in is led to the hub; a script's question is refused."""

    def get_login_url(self) -> str:
        """Where to log in; for a question that cannot come back from there, a refusal."""
        mode = self.request.headers.get("Sec-Fetch-Mode", "")
        if not self.leads_to_login or mode not in FOLLOWS:
            raise HTTPError(403, "log in, or reload the page")
        return str(super().get_login_url())

    _xsrf_is_due = False

    def check_xsrf_cookie(self) -> None:
        """Take a change from a page's script alone (S14), or from a program with a token."""
        mode = self.request.headers.get("Sec-Fetch-Mode", "")
        if self.request.method not in {"GET", "HEAD", "OPTIONS"} and mode in NOT_OURS:
            raise HTTPError(403, "changes are made by the hub's pages' scripts alone")
        # tornado asks before anybody knows whether a token in the header is one: see prepare
        self._xsrf_is_due = "Authorization" in self.request.headers
        if not self._xsrf_is_due:
            super().check_xsrf_cookie()

    async def prepare(self) -> None:
        """Find out who visits; with a token that is none it is their cookie, and must prove more.

        Raises:
            HTTPError: 403 for a change with a cookie alone; 503 when the hub does not answer.
        """
        await super().prepare()
        if self._xsrf_is_due:
            super().check_xsrf_cookie()


class NotFound(Answer):
    """Everything else."""

    def prepare(self) -> None:
        """There is nothing here."""
        raise HTTPError(404)


class Callback(Known, HubOAuthCallbackHandler):  # type: ignore[misc]
    """Where the hub leads back to after the login.

    Two pages that log in at one moment, as when somebody goes on before the first has, share a
    cookie, and JupyterHub refuses the one that comes second. Who navigates is led to the
    sessions then, and logs in anew without a question; not again, should that be refused, too.
    """

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Begin once more, or say what is wrong."""
        navigates = self.request.headers.get("Sec-Fetch-Mode") == "navigate"
        if status_code != HTTPStatus.FORBIDDEN or not navigates or self.get_cookie(AGAIN):
            super().write_error(status_code, **kwargs)
            return
        path = self.hub_auth.base_url
        self.set_cookie(AGAIN, "1", path=path, max_age=AGAIN_SECONDS, httponly=True, samesite="Lax")
        self.redirect(path)


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

    leads_to_login = True

    async def prepare(self) -> None:
        """Answer no page of another site."""
        if self.request.headers.get("Sec-Fetch-Site", "none") not in {"same-origin", "none"}:
            raise HTTPError(403, "only the hub's own pages may ask")
        await super().prepare()

    @authenticated
    def get(self) -> None:
        """``{"user", "admin", "xsrf_token"}``."""
        visitor = self.current_user
        token = self.xsrf_token.decode("ascii")
        # JupyterHub sets it when somebody navigates here, which nobody ever does
        secure = self.request.protocol == "https"
        self.set_cookie("_xsrf", token, path=self.hub_auth.base_url, samesite="Lax", secure=secure)
        is_admin = bool(visitor.get("admin"))
        self.finish({"user": visitor["name"], "admin": is_admin, "xsrf_token": token})


class Launch(Visited):
    """A link to a filled form (R15): a browser keeps its fragment; nothing is launched here."""

    leads_to_login = True

    @authenticated
    def get(self) -> None:
        """Lead to the visitor's launch form, for a server name that was never used."""
        spawn = url_path_join(self.settings["hub_base"], "hub/spawn")
        name = url_escape_path(self.current_user["name"])
        self.redirect(url_path_join(spawn, name, new_server_name()))


class Static(Answer):
    """The pages' scripts and styles, without login. Their address changes with their content."""

    def get(self, version: str, name: str) -> None:
        """A file of this version; an earlier version's page must be loaded again."""
        content = assets().get(name)
        if content is None or version != digest():
            raise HTTPError(404)
        kind = KINDS[PurePosixPath(name).suffix]
        self.set_header("Content-Type", f"{kind}; charset=UTF-8")
        self.set_header("Cache-Control", f"public, max-age={YEAR}, immutable")
        self.finish(content)

    def head(self, version: str, name: str) -> None:
        """The same without the content, which tornado leaves out."""
        self.get(version, name)
