"""The service's pages: they extend the hub's own templates, and stand in its navigation.

A page is drawn for its visitor with what the hub's navigation needs and nothing else; what it
shows its scripts ask for. It runs the hub's and our scripts alone: those that stand in the page
are known by what they are when it is drawn, and no other may run.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PrefixLoader
from jupyterhub.utils import url_path_join
from tornado.web import authenticated

from bai_spawner.assets import PACKAGE, digest
from bai_spawner.names import new_server_name
from bai_spawner.service.handlers import Visited

TEMPLATES = PACKAGE / "service" / "templates"
_INLINE = re.compile(rb"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL | re.IGNORECASE)


def environment(template_paths: Sequence[str]) -> Environment:
    """What draws the pages.

    Args:
        template_paths: where the hub looks for its templates; its own, the last, are also
            found below ``templates/``, as the hub's pages know them.
    """
    paths = [str(TEMPLATES), *template_paths]
    own = PrefixLoader({"templates": FileSystemLoader(paths[-1:])})
    return Environment(loader=ChoiceLoader([own, FileSystemLoader(paths)]), autoescape=True)


class Page(Visited):
    """What all pages have."""

    leads_to_login = True

    def draw(self, template: str, **values: Any) -> None:
        """Answer with a page."""
        env: Environment = self.settings["pages"]
        page = env.get_template(template).render(**self._hub_values(), **values).encode()
        inline = " ".join(f"'sha256-{_sha256(code)}'" for code in _INLINE.findall(page))
        policy = (
            "default-src 'none'; connect-src 'self'; font-src 'self'; img-src 'self' data:; "
            f"script-src 'self' {inline}; style-src 'self' 'unsafe-inline'; "
            "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )
        self.set_header("Content-Security-Policy", policy)
        self.set_header("Content-Type", "text/html; charset=UTF-8")
        self.finish(page)

    def _hub_values(self) -> dict[str, Any]:
        """What the hub's templates ask for, as the hub gives it to its own pages."""
        visitor: dict[str, Any] = self.current_user
        name, hub_base = visitor["name"], self.settings["hub_base"]
        hub = url_path_join(hub_base, "hub/")
        service = self.hub_auth.base_url
        return {
            "base_url": hub,
            "prefix": hub_base,
            "user": {"name": name, "json_escaped_name": json.dumps(name)[1:-1]},
            "logout_url": url_path_join(hub, "logout"),
            "static_url": lambda path, **_: url_path_join(hub, "static", path),
            "parsed_scopes": {"admin-ui": {}} if visitor.get("admin") else {},
            "services": [],
            "no_spawner_check": True,
            "xsrf_token": "",
            "admin": bool(visitor.get("admin")),
            "new_server_name": new_server_name(),
            "bai_service": service,
            "bai_apps": self.settings["opener"].is_there,
            "bai_static": f"{service}static/{digest()}/",
        }


class Sessions(Page):
    """``/``: the sessions."""

    @authenticated
    def get(self) -> None:
        """Answer with the page."""
        self.draw("sessions_page.html")


class Data(Page):
    """``data``: the data folders."""

    @authenticated
    def get(self) -> None:
        """Answer with the page."""
        self.draw("data.html")


class Apps(Page):
    """``apps``: what is open on ports of the host."""

    @authenticated
    def get(self) -> None:
        """Answer with the page."""
        self.draw("apps.html")


def _sha256(code: bytes) -> str:
    return base64.b64encode(hashlib.sha256(code).digest()).decode()
