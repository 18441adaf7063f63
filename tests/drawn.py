"""The launch page in a browser, without a hub: drawn from any catalogue, judged when it is sent.

It is served as the hub would: the hub's own page around it, its stylesheet, the form's modules
as the service has them. What is sent is parsed and judged by the same code; nothing starts.
"""

from __future__ import annotations

import json
import mimetypes
import threading
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PrefixLoader
from jupyterhub._data import DATA_FILES_PATH
from tornado.httputil import HTTPHeaders, parse_body_arguments

from bai_spawner import options, policy
from bai_spawner.catalog import Catalog
from bai_spawner.enforcement import Enforcement, Faults, Level
from bai_spawner.errors import Problems
from bai_spawner.form import TEMPLATES
from bai_spawner.form.bounds import Room
from bai_spawner.form.live import live
from bai_spawner.form.render import FolderChoice, render_form
from bai_spawner.gpu.placement import DeviceFree, Terms
from bai_spawner.policy import Availability, NodeFree, Usage
from bai_spawner.units import GIB

THEIRS = Path(DATA_FILES_PATH)
STATIC = TEMPLATES.parent / "static"
SERVICE = "/services/sessions/"
FORM = "/hub/spawn/alice/s1"


def form_catalog(**changed: Any) -> Catalog:
    """Two environments, two groups, a GPU and a policy with limits; top-level keys ``changed``."""
    data: dict[str, Any] = {
        "nodes": {"local": {}},
        "resource_groups": {
            "general": {"title": "General", "description": "For all.", "nodes": ["local"]},
            "batch": {"title": "Long jobs", "nodes": ["local"]},
        },
        "environments": {
            "python": {
                "title": "Python",
                "description": "JupyterLab with a plain Python.",
                "category": "Languages",
                "icon": "fa-brands fa-python",
                "tags": ["lab"],
                "versions": {v: {"image": f"python:{v}"} for v in ("3.9", "3.13", "3.12")},
                "minimum": {"cpu": 1, "memory": "1GiB", "shm": "64MiB"},
            },
            "torch": {
                "title": "PyTorch",
                "description": "Deep learning.",
                "category": "Data science",
                "tags": ["gpu"],
                "versions": {"2.8": {"image": "torch:2.8"}},
                "minimum": {"cpu": 2, "memory": "2GiB"},
                "maximum": {"cpu": 3},
            },
        },
        "presets": {
            "small": {"title": "Small", "description": "Notes.", "cpu": 1, "memory": "1GiB"},
            "medium": {"title": "Medium", "cpu": 2, "memory": "2GiB", "shm": "512MiB"},
            "night": {"title": "Night", "cpu": 2, "memory": "2GiB", "groups": ["batch"]},
            "gpu": {"title": "GPU", "cpu": 2, "memory": "4GiB", "fgpu": 2},
        },
        "gpu": {"fgpu_per_gpu": 5, "quantum": "0.5"},
        "policies": [
            {
                "name": "everyone",
                "limits": {"sessions": 5, "cpu": 8, "memory": "12GiB", "fgpu": 4},
                "per_session": {"cpu": 4},
            }
        ],
        **changed,
    }
    return Catalog.model_validate(data)


def a_node(
    cpu: int = 8, memory: int = 16 * GIB, gpus: tuple[int | DeviceFree, ...] = (10,)
) -> NodeFree:
    """What one node has free; ``gpus`` are devices, or the free quanta, of ten, of each."""
    devices = tuple(
        DeviceFree(f"GPU-{n}", gpu, 10) if isinstance(gpu, int) else gpu
        for n, gpu in enumerate(gpus)
    )
    return NodeFree("local", cpu, memory, devices, 10)


def a_gpu(name: str, free: int = 10, total: int = 10, **terms: Any) -> DeviceFree:
    """A device on terms: those of an H100 whose ten quanta `memcap` shares, where not ``terms``."""
    shared: dict[str, Any] = {
        "title": "NVIDIA H100 80GB HBM3",
        "kind": "NVIDIA H100 80GB HBM3, memcap",
        "isolation": "memcap",
        "enforcement": Enforcement(Level.SESSION, Level.NONE, Faults.CONTEXTS),
        "usable": 79 * 1024,
        "whole": 10,
        "together": 64,
    }
    return DeviceFree(name, free, total, Terms(**{**shared, **terms}))


def a_mig(name: str, fgpu: int, *, free: bool = True) -> DeviceFree:
    """A MIG device that counts as so many fGPU, of two quanta each."""
    return a_gpu(
        name,
        2 * fgpu if free else 0,
        2 * fgpu,
        title=f"NVIDIA H100 80GB HBM3 MIG {fgpu}g.{10 * fgpu}gb",
        kind=f"MIG {fgpu}g",
        isolation="mig",
        enforcement=Enforcement(Level.SESSION, Level.SESSION, Faults.ISOLATED),
        verified="615.71.05, 2026-09-30",
        usable=fgpu * 10 * 1024,
        whole=2 * fgpu,
        size=2 * fgpu,
        together=1,
    )


def a_simulated(name: str = "SIMULATED-0", free: int = 10) -> DeviceFree:
    """A device that is not there."""
    title = "SIMULATED NVIDIA A100"
    return a_gpu(name, free, title=title, isolation="simulated", enforcement=Enforcement())


def closed(device: DeviceFree, note: str) -> DeviceFree:
    """A device of which nothing is handed out, and why."""
    return replace(device, free=0, terms=replace(device.terms, note=note))


class _Person:
    """A user, as the hub's pages ask for one."""

    name = escaped_name = json_escaped_name = "alice"
    spawner = None


def page(form: str, query: dict[str, str]) -> str:
    """The launch page as JupyterHub renders it, for an address with this query."""
    loader = ChoiceLoader(
        [
            PrefixLoader({"templates": FileSystemLoader([str(THEIRS / "templates")])}),
            FileSystemLoader([str(TEMPLATES), str(THEIRS / "templates")]),
        ]
    )
    hub = Environment(loader=loader, autoescape=True)
    return hub.get_template("spawn.html").render(
        base_url="/hub/",
        static_url=lambda path, **_: f"/hub/static/{path}",
        parsed_scopes={},
        user=_Person(),
        for_user=_Person(),
        no_spawner_check=True,
        xsrf_token="token",
        url=f"{FORM}?{urlencode({**query, '_xsrf': 'token'})}",
        spawner_options_form=form,
        bai_service=SERVICE,
        bai_static=f"{SERVICE}static/digest/",
    )


@dataclass
class Drawn:
    """A server of one user's launch page; every part may be changed between two looks at it."""

    catalog: Catalog
    availability: Availability
    usage: Usage = field(default_factory=Usage)
    folders: tuple[FolderChoice, ...] = ()
    unlucky: tuple[str, ...] = ()
    """Folders that the server refuses, whatever the page thinks of them."""
    sent: list[dict[str, list[str]]] = field(default_factory=list)
    """The fields of every launch that was sent, in order."""
    queries: list[dict[str, str]] = field(default_factory=list)
    """What stood in the address of each launch."""
    calls: list[str] = field(default_factory=list)
    """The paths below the service that were asked for, in order."""

    def __post_init__(self) -> None:
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Handler", (_Handler,), {"drawn": self})
        )
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}{FORM}"

    def close(self) -> None:
        """End the server."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def policy(self) -> policy.Policy:
        """The policy of the one user."""
        return self.catalog.policies[0]

    def live(self, **changed: Any) -> dict[str, Any]:
        """What the service would answer now, with top-level keys ``changed``."""
        room = Room(self.catalog, self.policy, self.usage, self.availability)
        return {**live(room), **changed}

    def draw(self, request: options.FormRequest | None = None, problems: Any = ()) -> str:
        """The page, as it is now."""
        form = render_form(
            catalog=self.catalog,
            policy=self.policy,
            usage=self.usage,
            availability=self.availability,
            folders=self.folders,
            request=request,
            problems=tuple(problems),
        )
        query = self.queries[-1] if request and self.queries else {}
        return page(form, {name: text for name, text in query.items() if name != "_xsrf"})

    def launch(self, fields: dict[str, list[str]]) -> str:
        """The answer to a form that was sent: the page again, or that it was launched."""
        self.sent.append(fields)
        request = options.from_form(fields)
        problems = Problems(list(request.problems))
        asked = options.parse(request.body, problems)
        policy.check(
            asked,
            request.session_name,
            self.catalog,
            policy.Subject("alice"),
            self.usage,
            problems,
            sessions=request.sessions,
        )
        for index, mount in enumerate(asked.mounts):
            if mount.folder in self.unlucky:
                problems.add(f"mounts[{index}].folder", "is no folder that can be made")
        if problems.found:
            return self.draw(request, problems)
        return "<!DOCTYPE html><title>launched</title><h1>launched</h1>"

    def ask(self, path: str) -> dict[str, Any]:
        """What the service answers; nothing to what it does not know."""
        self.calls.append(path)
        known = {
            "api/visit": {"user": "alice", "admin": False, "xsrf_token": "t"},
            "api/availability": self.live(),
            "api/templates": {"last": None, "templates": []},
        }
        return known.get(path.partition("?")[0], {})


class _Handler(BaseHTTPRequestHandler):
    """One request; ``drawn`` says what to answer."""

    drawn: Drawn

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == FORM:
            self._answer(self.drawn.draw().encode(), "text/html; charset=utf-8")
        elif path.startswith("/hub/static/"):
            self._file(THEIRS / "static" / path.removeprefix("/hub/static/"))
        elif path.startswith(f"{SERVICE}static/"):
            self._file(STATIC / path.rpartition("/")[2])
        elif path.startswith(SERVICE):
            found = self.drawn.ask(self.path.removeprefix(SERVICE))
            status = 200 if found else 404
            self._answer(json.dumps(found).encode(), "application/json", status)
        else:
            self._answer(b"<!DOCTYPE html><title>home</title>", "text/html")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        fields: dict[str, list[bytes]] = {}
        headers = HTTPHeaders(dict(self.headers))
        parse_body_arguments(self.headers["Content-Type"], body, fields, {}, headers)
        self.drawn.queries.append(dict(parse_qsl(self.path.partition("?")[2])))
        texts = {name: [v.decode() for v in values] for name, values in fields.items()}
        self._answer(self.drawn.launch(texts).encode(), "text/html; charset=utf-8")

    def _file(self, path: Path) -> None:
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        if path.is_file():
            self._answer(path.read_bytes(), kind)
        else:
            self._answer(b"", kind, 404)

    def _answer(self, body: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: the browser's side is what is tested."""
