"""The service's addresses."""

from __future__ import annotations

import secrets

from tornado.web import Application

from bai_spawner.form import STATIC
from bai_spawner.service import handlers
from bai_spawner.service.availability import Availability
from bai_spawner.service.board import Board

KEY_BYTES = 32


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
            (rf"{prefix}static/([0-9a-f]+)/(.+)", handlers.Static, {"path": str(STATIC)}),
        ],
        default_handler_class=handlers.NotFound,
        # whoever is logged in is asked for it again, unseen, when the service starts anew
        cookie_secret=secrets.token_bytes(KEY_BYTES),
        xsrf_cookies=True,
        hub_base=hub_base,
        board=board,
    )
