"""The service's addresses."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence

from tornado.web import Application, RequestHandler

from bai_spawner.app_proxy.client import Client
from bai_spawner.app_proxy.site import Site
from bai_spawner.errors import shown
from bai_spawner.service import handlers, openings, own, own_apps, pages
from bai_spawner.service.availability import Availability
from bai_spawner.service.board import Board
from bai_spawner.service.data import Folders, OneFolder
from bai_spawner.service.entering import Enter
from bai_spawner.service.events import Events
from bai_spawner.service.extending import Extend
from bai_spawner.service.feed import Feed
from bai_spawner.service.figures import Statistics, Whole
from bai_spawner.service.log import Log
from bai_spawner.service.log_page import LogPage
from bai_spawner.service.looking import Look
from bai_spawner.service.openapi import OpenApi
from bai_spawner.service.opener import Opener
from bai_spawner.service.sessions import Session, Sessions, Table
from bai_spawner.service.shelf import Shelf
from bai_spawner.service.templates import Template, Templates

KEY_BYTES = 32
SERVER_ERROR = 500
log = logging.getLogger("bai_spawner.service")


def make_app(
    prefix: str,
    hub_base: str,
    board: Board,
    *,
    template_paths: Sequence[str] = (),
    shelf: Shelf | None = None,
    app_proxy: Client | None = None,
    apps_url: str = "",
) -> Application:
    """The application.

    Args:
        prefix: its path, such as ``/services/sessions/``.
        hub_base: the hub's, such as ``/``.
        board: what the hub published.
        template_paths: where the hub's templates are.
        shelf: the data folders; without it nothing may be asked of them.
        app_proxy: opens apps on ports of the host; without it none are.
        apps_url: where those are, without a port.
    """
    return Application(
        [
            (prefix, pages.Sessions),
            (f"{prefix}data", pages.Data),
            (f"{prefix}apps", pages.Apps),
            (f"{prefix}log/([^/]+)", LogPage),
            (f"{prefix}oauth_callback", handlers.Callback),
            (f"{prefix}health", handlers.Health),
            (f"{prefix}launch", handlers.Launch),
            (f"{prefix}enter", Enter),
            (rf"{prefix}api/openapi\.json", OpenApi, {"prefix": prefix}),
            (f"{prefix}api/visit", handlers.Visit),
            (f"{prefix}api/availability", Availability),
            (f"{prefix}api/templates", Templates),
            (f"{prefix}api/templates/([^/]+)", Template),
            *own.routes(prefix),
            *own_apps.routes(prefix),
            (f"{prefix}api/sessions", Sessions),
            (rf"{prefix}api/sessions\.csv", Table),
            (f"{prefix}api/sessions/([^/]+)", Session),
            (f"{prefix}api/sessions/([^/]+)/extend", Extend),
            (f"{prefix}api/sessions/([^/]+)/log", Log),
            (f"{prefix}api/sessions/([^/]+)/apps", openings.SessionApps),
            (f"{prefix}api/sessions/([^/]+)/apps/([^/]+)", openings.OpenApp),
            (f"{prefix}api/openings", openings.Openings),
            (f"{prefix}api/openings/([^/]+)", openings.OneOpening),
            (f"{prefix}api/events", Events),
            (f"{prefix}api/statistics", Statistics),
            (f"{prefix}api/whole", Whole),
            (f"{prefix}api/folders", Folders),
            (f"{prefix}api/folders/([^/]+)", OneFolder),
            (rf"{prefix}static/([0-9a-f]+)/((?:viewer/)?[A-Za-z0-9_.-]+)", handlers.Static),
        ],
        default_handler_class=handlers.NotFound,
        # whoever is logged in is asked for it again, unseen, when the service starts anew
        cookie_secret=secrets.token_bytes(KEY_BYTES),
        xsrf_cookies=True,
        hub_base=hub_base,
        board=board,
        shelf=shelf,
        opener=Opener(board, app_proxy, Site(apps_url, "", "")),
        feed=Feed(Look(board)),
        pages=pages.environment(template_paths),
        log_function=_log,
    )


def _log(handler: RequestHandler) -> None:
    """An error, in a bounded line without the query: it may hold the code of a login."""
    status, request = handler.get_status(), handler.request
    level = logging.ERROR if status >= SERVER_ERROR else logging.DEBUG
    log.log(level, "%d %s %s", status, request.method, shown(request.path))
