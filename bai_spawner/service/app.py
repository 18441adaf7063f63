"""The service's addresses."""

from __future__ import annotations

import logging
import secrets

from tornado.web import Application, RequestHandler

from bai_spawner.errors import shown
from bai_spawner.service import handlers
from bai_spawner.service.availability import Availability
from bai_spawner.service.board import Board
from bai_spawner.service.templates import Template, Templates

KEY_BYTES = 32
SERVER_ERROR = 500
log = logging.getLogger("bai_spawner.service")


def make_app(prefix: str, hub_base: str, board: Board) -> Application:
    """The application.

    Args:
        prefix: its path, such as ``/services/sessions/``.
        hub_base: the hub's, such as ``/``.
        board: what the hub published.
    """
    return Application(
        [
            (f"{prefix}oauth_callback", handlers.Callback),
            (f"{prefix}health", handlers.Health),
            (f"{prefix}launch", handlers.Launch),
            (f"{prefix}api/visit", handlers.Visit),
            (f"{prefix}api/availability", Availability),
            (f"{prefix}api/templates", Templates),
            (f"{prefix}api/templates/([^/]+)", Template),
            (rf"{prefix}static/([0-9a-f]+)/([A-Za-z0-9_.-]+)", handlers.Static),
        ],
        default_handler_class=handlers.NotFound,
        # whoever is logged in is asked for it again, unseen, when the service starts anew
        cookie_secret=secrets.token_bytes(KEY_BYTES),
        xsrf_cookies=True,
        hub_base=hub_base,
        board=board,
        log_function=_log,
    )


def _log(handler: RequestHandler) -> None:
    """An error, in a bounded line without the query: it may hold the code of a login."""
    status, request = handler.get_status(), handler.request
    level = logging.ERROR if status >= SERVER_ERROR else logging.DEBUG
    log.log(level, "%d %s %s", status, request.method, shown(request.path))
