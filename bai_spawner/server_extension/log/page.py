"""``GET bai/log``: the log as a page of its own, and the files that it is made of.

The page runs scripts and styles of this package alone. They are public, as Jupyter's are: a
browser fetches modules in a way that JupyterHub takes for a program's, and asks for a token
that a page cannot send along. What they show is not: that is asked for with it.
"""

import os
from pathlib import Path
from urllib.parse import urlsplit

from jupyter_server.auth.decorator import allow_unauthenticated, authorized
from jupyter_server.base.handlers import JupyterHandler
from tornado import web
from tornado.escape import xhtml_escape

STATIC = Path(__file__).parent / "static"
_KINDS = {".css": "text/css", ".js": "text/javascript"}


class _FileHandler(JupyterHandler):
    """Answers with one of our files. Looking at it is no activity."""

    auth_resource = "bai"
    _track_activity = False

    @property
    def content_security_policy(self) -> str:
        """Nothing of anybody else's, and in no frame."""
        return "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class PageHandler(_FileHandler):
    """The page. Who is not logged in is led to where that is done, and back."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer with the page."""
        # the page sends it along with what it asks for; reading it sets the cookie
        _ = self.xsrf_token
        name = os.environ.get("BAI_SESSION_NAME", "") or "this session"
        page = (STATIC / "log.html").read_text(encoding="utf-8")
        self.set_header("Cache-Control", "no-store")
        # what is written last may hold braces of its own
        page = page.replace("{sessions}", xhtml_escape(_sessions_page()))
        self.finish(page.replace("{session}", xhtml_escape(name)))


class StaticHandler(_FileHandler):
    """The page's scripts and styles."""

    @allow_unauthenticated
    async def get(self, name: str) -> None:
        """Answer with the file of this name, which has no folder in it."""
        path = STATIC / name
        if not path.is_file():
            raise web.HTTPError(404)
        self.set_header("Content-Type", f"{_KINDS[path.suffix]}; charset=utf-8")
        self.set_header("Cache-Control", "no-cache")
        self.finish(path.read_bytes())


def _sessions_page() -> str:
    """The hub's page that leads to the logs of ended sessions; empty where there is none."""
    return urlsplit(os.environ.get("BAI_SERVICE_URL", "")).path
