"""The launch form and its scripts in a browser, with a fake of the sessions service.

No hub and no engine: the page is what `render_form` draws, the scripts are the shipped ones,
and the service answers from a dictionary here, as the contract of its templates says.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, Route

from bai_spawner.form.render import FolderChoice, render_form
from bai_spawner.policy import NodeFree, Usage
from bai_spawner.units import GIB
from tests.examples import small_catalog

ORIGIN = "http://hub.test"
STATIC = Path(__file__).parents[2] / "bai_spawner/form/static"
SCRIPTS = "/services/sessions/static/digest/"
API = "/services/sessions/api/"

Fields = dict[str, list[str]]

PAGE = """<!doctype html>
<html lang="en"><title>Launch a session</title>
<form id="spawn_form">{form}</form>
<script type="module">
  import * as fields from "{scripts}fields.js";
  import {{ startFrom }} from "{scripts}templates.js";
  const answer = async (method, path, body) => {{
    const got = await fetch("/services/sessions/" + path, {{ method, body: JSON.stringify(body) }});
    const told = got.status === 204 ? null : await got.json();
    if (!got.ok) throw Object.assign(new Error(told.message), {{ status: got.status }});
    return told;
  }};
  const service = {{
    get: (path) => answer("GET", path),
    put: (path, body) => answer("PUT", path, body),
    patch: (path, body) => answer("PATCH", path, body),
    remove: (path) => answer("DELETE", path),
  }};
  window.fields = fields;
  window.events = [];
  const form = document.getElementById("spawn_form");
  form.addEventListener("input", ({{ target }}) => window.events.push(target.name));
  await startFrom(form, {{ service: Promise.resolve(service) }});
  document.documentElement.dataset.ready = "";
</script>"""


@dataclass
class FakeService:
    """What one user keeps; ``away`` makes every call fail."""

    last: dict[str, Any] | None = None
    templates: dict[str, Fields] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    away: bool = False
    calls: list[str] = field(default_factory=list)

    def open(self, browser: Browser, fragment: str = "") -> Page:
        """The form of this user, once its scripts are ready."""
        page = browser.new_page()
        page.set_default_timeout(10_000)
        page.route(f"{ORIGIN}/**", self._answer)
        page.goto(f"{ORIGIN}/hub/spawn/ada/s1{fragment}")
        page.wait_for_selector("[data-ready]", state="attached")
        return page

    def keep_for(self, context: BrowserContext) -> None:
        """Be the one that keeps templates for the pages of a real hub."""
        context.route("**/services/sessions/api/templates**", self._answer)

    def _answer(self, route: Route) -> None:
        path = urlsplit(route.request.url).path
        if path.startswith(SCRIPTS):
            script = (STATIC / path.removeprefix(SCRIPTS)).read_text(encoding="utf-8")
            route.fulfill(body=script, content_type="text/javascript")
        elif path.startswith(API):
            status, told = self._api(route, unquote(path.removeprefix(API)))
            route.fulfill(status=status, body=json.dumps(told), content_type="application/json")
        elif path.startswith("/hub/spawn/"):
            self.calls.append(f"{route.request.method} {path}")
            page = PAGE.format(form=drawn_form(self.names), scripts=SCRIPTS)
            route.fulfill(body=page, content_type="text/html")
        else:
            route.fulfill(status=404)

    def _api(self, route: Route, path: str) -> tuple[int, Any]:
        method = route.request.method
        self.calls.append(f"{method} {path}")
        body = json.loads(route.request.post_data or "{}")
        name = path.removeprefix("templates/")
        if self.away:
            return 503, {"message": "away"}
        if path == "templates":
            return 200, {"last": self.last, "templates": self._listed()}
        if method == "PUT":
            if name in self.templates and not body["replace"]:
                return 409, {"message": "taken"}
            self.templates[name] = body["fields"]
            return 201, {}
        if name not in self.templates:
            return 404, {"message": "none"}
        if method == "PATCH":
            if body["name"] in self.templates:
                return 409, {"message": "taken"}
            self.templates[body["name"]] = self.templates.pop(name)
            return 200, {}
        del self.templates[name]
        return 204, None

    def _listed(self) -> list[dict[str, Any]]:
        found = sorted(self.templates.items())
        return [{"name": n, "fields": f, "at": "", "title": f"title of {n}"} for n, f in found]


def drawn_form(names: Iterable[str]) -> str:
    """The launch form of a small catalogue, with an own and a read-only folder.

    ``names`` are those of the user's live sessions.
    """
    catalog = small_catalog()
    free = (NodeFree("local", 8, 16 * GIB, ()),)
    return render_form(
        catalog=catalog,
        policy=catalog.policies[0],
        usage=Usage(names=frozenset(names)),
        availability={"default": free, "gpu": free},
        folders=[
            FolderChoice("data", "rw", automatic=False),
            FolderChoice("ml/corpus", "ro", automatic=False),
        ],
        missing_images=frozenset({"torch:2.9"}),
    )
