"""The page that starts an app and then goes to it, and the apps' icons.

    GET bai/apps/NAME            the page; for a page of the server itself, the way there
    GET bai/apps/NAME/icon.svg   its icon
    GET bai/apps/static/FILE     what the page is made of

Everything that a page shows of a user's or an app's is put in as text by its script.
An icon is the image's: it is shown as a picture, and as a document it may do nothing.
"""

import asyncio
import html
from collections.abc import Mapping
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web

from bai_spawner.server_extension.apps.handlers import NAME
from bai_spawner.server_extension.apps.runner import Runner
from bai_spawner.server_extension.part import Rule

LARGEST_ICON = 128 * 1024
"""Bytes."""
STATIC = {
    "starting.css": "text/css; charset=utf-8",
    "starting.js": "text/javascript; charset=utf-8",
}


def rules(runners: Mapping[str, Runner]) -> tuple[Rule, ...]:
    """What answers."""
    return (
        (rf"bai/apps/static/({'|'.join(map(str, STATIC))})", Static, {}),
        (f"bai/apps/{NAME}", Page, {"runners": runners}),
        (f"bai/apps/{NAME}/icon.svg", Icon, {"runners": runners}),
    )


class Pages(JupyterHandler):
    """Who is not let in is asked to log in. Nothing from elsewhere is loaded or run."""

    auth_resource = "bai"
    policy = "default-src 'self'; base-uri 'none'; form-action 'self'; object-src 'none'"

    @property
    def content_security_policy(self) -> str:
        """Framed by this server's own pages alone: JupyterLab's tabs."""
        return f"{self.policy}; frame-ancestors 'self'"

    def set_default_headers(self) -> None:
        """Whatever is answered, it is what its type says."""
        super().set_default_headers()
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "same-origin")


class AppPages(Pages):
    """Knows the session's apps."""

    def initialize(self, runners: Mapping[str, Runner]) -> None:
        """Take what the rule hands over."""
        self.runners = runners

    def runner(self, name: str) -> Runner:
        """An app by its name.

        Raises:
            HTTPError: 404, there is none.
        """
        if name not in self.runners:
            raise web.HTTPError(HTTPStatus.NOT_FOUND, "This session has no such app")
        return self.runners[name]


class Page(AppPages):
    """Starts an app, shows that it does, and goes to it."""

    @web.authenticated
    @authorized
    async def get(self, name: str) -> None:
        """The page; its script does the rest."""
        app = self.runner(name).app
        if app.path:
            self.redirect(url_path_join(self.base_url, app.path))
            return
        values = {
            "name": app.name,
            "title": app.title,
            "base": self.base_url,
            "xsrf": self.xsrf_token.decode(),
        }
        page = Template(_text("starting.html"))
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(page.substitute({key: html.escape(value) for key, value in values.items()}))


class Static(Pages):
    """What the page is made of."""

    @web.authenticated
    @authorized
    async def get(self, name: str) -> None:
        """One of the files; it may be kept, when it is asked for again each time."""
        self.set_header("Cache-Control", "no-cache")
        self.set_header("Content-Type", STATIC[name])
        self.finish(_text(name))


class Icon(AppPages):
    """An app's icon."""

    policy = "default-src 'none'; style-src 'unsafe-inline'; sandbox"

    @web.authenticated
    @authorized
    async def get(self, name: str) -> None:
        """The picture, of bounded size.

        Raises:
            HTTPError: 404, there is none that could be shown.
        """
        icon = self.runner(name).app.icon
        content = await asyncio.to_thread(_picture, Path(icon)) if icon else b""
        if not content:
            raise web.HTTPError(HTTPStatus.NOT_FOUND, "This app has no icon")
        self.set_header("Cache-Control", "private, max-age=3600")
        self.set_header("Content-Type", "image/svg+xml")
        self.finish(content)


def _picture(path: Path) -> bytes:
    """A file's content; empty when it is too large, or no file."""
    try:
        # a named pipe would wait for who writes into it
        if not path.is_file() or path.stat().st_size > LARGEST_ICON:
            return b""
        return path.read_bytes()[:LARGEST_ICON]
    except OSError:
        return b""


def _text(name: str) -> str:
    """A file of the package."""
    found: Any = files(__package__) / "static" / name
    text: str = found.read_text(encoding="utf-8")
    return text
