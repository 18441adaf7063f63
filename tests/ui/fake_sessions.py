"""The Sessions page in a browser, without a hub: a service that has what a test gives it.

The page is drawn by the service's own templates, its scripts and styles are the shipped ones,
and a session is told as `bai_spawner.service.model` tells it. What the service asks its hub and
its records is answered from a dictionary here.
"""

from __future__ import annotations

import json
import mimetypes
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from jupyterhub._data import DATA_FILES_PATH

from bai_spawner.apps import App
from bai_spawner.assets import assets
from bai_spawner.catalog import Catalog
from bai_spawner.form import TEMPLATES
from bai_spawner.reasons import End, Status, Tab
from bai_spawner.records import Change, Measure, SessionRecord
from bai_spawner.service import table
from bai_spawner.service.links import Site
from bai_spawner.service.model import Scene, Seen, detail, instant, session, titled, used
from bai_spawner.service.pages import environment
from tests.drawn import form_catalog
from tests.recorded import a_facts

THEIRS = Path(DATA_FILES_PATH)
SERVICE = "/services/sessions/"
STATIC = f"{SERVICE}static/0123456789abcdef/"
PER_PAGE = 50
QUIET = 15.0
ORDERS: dict[str, Callable[[SessionRecord], Any]] = {
    "created": lambda r: r.created,
    "ended": lambda r: r.ended or datetime.max.replace(tzinfo=UTC),
    "elapsed": lambda r: r.elapsed or timedelta(),
    "name": lambda r: r.facts.name.lower(),
    "user": lambda r: r.facts.user,
    "environment": lambda r: r.facts.environment,
    "group": lambda r: r.facts.group,
    "status": lambda r: r.status.rank,
    "cpu": lambda r: r.facts.cpu,
    "memory": lambda r: r.facts.memory,
    "gpu": lambda r: r.facts.quanta,
}
USE = {"cpu": 0.4, "memory": 2**28, "disk": 5 * 2**20, "processes": 7, "oom_kills": 0}


def ago(minutes: float) -> datetime:
    """So many minutes before now."""
    return datetime.now(UTC) - timedelta(minutes=minutes)


@dataclass
class FakeSessions:
    """What one visitor sees; every part may be changed between two looks at it.

    ``time``, ``apps``, ``public`` and ``logs`` are of sessions by their id. ``refusals`` are what
    the service answers who ends one: a status and words. While it is ``away`` no request is
    answered.
    """

    catalog: Catalog = field(default_factory=form_catalog)
    user: str = "ada"
    is_admin: bool = False
    visitor: str = ""
    """Who is logged in, where that is not who the page was drawn for."""
    records: dict[str, SessionRecord] = field(default_factory=dict)
    use: dict[str, dict[str, Any]] = field(default_factory=dict)
    time: dict[str, dict[str, Any]] = field(default_factory=dict)
    apps: dict[str, tuple[App, ...]] = field(default_factory=dict)
    public: dict[str, int] = field(default_factory=dict)
    """How many apps are open to the public."""
    logs: dict[str, str] = field(default_factory=dict)
    offers: dict[str, bool] = field(
        default_factory=lambda: {"offered": True, "public": False, "preferred_port": False}
    )
    """How apps may be opened on ports of the host."""
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    measured: float = 3.0
    """Seconds since the hub measured."""
    streams: bool = True
    """Whether the stream of events gets through to the browser."""
    calls: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.away = False
        self.departures = 0
        self.revision = 1
        self.news = threading.Condition()
        self._pages = environment([str(TEMPLATES), str(THEIRS / "templates")])
        handler = type("Handler", (_Handler,), {"fake": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}{SERVICE}"

    def close(self) -> None:
        """End the server."""
        self.leave()
        self._server.shutdown()
        self._server.server_close()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Change something, and let those who follow know."""
        with self.news:
            yield
            self.revision += 1
            self.news.notify_all()

    def leave(self) -> None:
        """Answer nothing any more, and break off what goes on."""
        with self.news:
            self.away = True
            self.departures += 1
            self.news.notify_all()

    def come_back(self) -> None:
        """Answer again."""
        self.away = False

    def add(
        self, name: str, status: Status = Status.RUNNING, *, minutes: float = 60, **changed: Any
    ) -> str:
        """Let there be a session that began so many minutes ago; its id."""
        known = {key: changed.pop(key) for key in ("end", "warning", "peaks") if key in changed}
        user = changed.pop("user", self.user)
        number = len(self.records) + 1
        facts = {"name": name, "user": user, "server": f"s{number}", "group": "general", **changed}
        one = f"id-{number}"
        self.records[one] = self._record(a_facts(one, **facts), status, minutes, known)
        if status is Status.RUNNING:
            self.use[one] = dict(USE)
        return one

    def _record(
        self, facts: Any, status: Status, minutes: float, known: dict[str, Any]
    ) -> SessionRecord:
        began, started = ago(minutes), ago(minutes - 0.5)
        ran = status not in {Status.PENDING, Status.PREPARING, Status.CANCELLED}
        ended = None if status.is_live else ago(minutes / 2)
        passed = [(Status.PENDING, began), *([(Status.RUNNING, started)] if ran else [])]
        if ended:
            passed.append((status, ended))
        return SessionRecord(
            facts=facts,
            status=status,
            created=began,
            started=started if ran else None,
            ended=ended,
            end=known.pop("end", None),
            peaks=known.pop("peaks", Measure()),
            changes=tuple(Change(*one) for one in passed),
            **known,
        )

    def become(self, one: str, status: Status, end: End | None = None) -> None:
        """Let a session come to another status, and its visitor know."""
        with self.changing():
            record = self.records[one]
            now = datetime.now(UTC)
            self.records[one] = replace(
                record,
                status=status,
                started=record.started or (now if status is Status.RUNNING else None),
                ended=now if end else None,
                end=end,
            )

    def measure(self, one: str, **changed: Any) -> None:
        """Let what a session uses be measured anew."""
        with self.changing():
            self.revision -= 1  # the list is the same
            self.use[one] = {**USE, **self.use.get(one, {}), **changed}

    def publish(self, one: str, apps: int) -> None:
        """Let so many apps of a session be open to the public."""
        with self.changing():
            self.revision -= 1  # the list is the same
            self.public[one] = apps

    @property
    def scene(self) -> Scene:
        """What sessions are told with."""
        now = datetime.now(UTC)
        use = {one: {"gpu_memory": {}, **found} for one, found in self.use.items()}
        at = now - timedelta(seconds=self.measured)
        return Scene(Site(), now, self.catalog, Seen(at, use, self.time, self.apps), self.public)

    def draw(self, template: str = "sessions_page.html", **told: str) -> str:
        """A page; the Sessions page unless said."""
        values = {
            "base_url": "/hub/",
            "prefix": "/",
            "user": {"name": self.user, "json_escaped_name": self.user},
            "logout_url": "/hub/logout",
            "static_url": lambda path, **_: f"/hub/static/{path}",
            "parsed_scopes": {"admin-ui": {}} if self.is_admin else {},
            "services": [],
            "no_spawner_check": True,
            "xsrf_token": "",
            "admin": self.is_admin,
            "new_server_name": "s0123456789abcdef",
            "bai_service": SERVICE,
            "bai_static": STATIC,
            **told,
        }
        return self._pages.get_template(template).render(**values)

    def draw_log(self, one: str) -> str:
        """The page of an ended session's log."""
        facts = self.records[one].facts
        owner = "" if facts.user == self.user else facts.user
        return self.draw("log.html", session=one, name=facts.name, owner=owner, kept="256 KiB")

    def seen(self) -> list[SessionRecord]:
        """The sessions that the visitor may see."""
        found = list(self.records.values())
        return found if self.is_admin else [r for r in found if r.facts.user == self.user]

    def asked(self, query: dict[str, str]) -> list[SessionRecord]:
        """Those that are asked for."""

        def fits(record: SessionRecord) -> bool:
            facts = record.facts
            text = f"{facts.name} {facts.environment} {facts.version} {facts.group} {facts.user}"
            wanted = {
                "tab": str(record.status.tab),
                "status": str(record.status),
                "group": facts.group,
                "environment": facts.environment,
                "user": facts.user,
            }
            exact = all(query.get(key) in {None, value} for key, value in wanted.items())
            return exact and query.get("text", "").lower() in text.lower()

        order = ORDERS[query.get("sort", "created")]
        found = sorted(self.seen(), key=lambda r: r.created, reverse=True)
        return sorted(filter(fits, found), key=order, reverse=query.get("order", "desc") == "desc")

    def page(self, query: dict[str, str]) -> dict[str, Any]:
        """A page of the list."""
        found, seen, scene = self.asked(query), self.seen(), self.scene
        page = int(query.get("page", "1"))
        counts = Counter(record.status.tab for record in seen)
        groups = {record.facts.group for record in seen}
        environments = {record.facts.environment for record in seen}
        users = {record.facts.user for record in seen}
        first = (page - 1) * PER_PAGE
        return {
            "sessions": [session(r, scene) for r in found[first : first + PER_PAGE]],
            "total": len(found),
            "page": page,
            "pages": max(1, -(-len(found) // PER_PAGE)),
            "per_page": PER_PAGE,
            "counts": {str(tab): counts[tab] for tab in Tab},
            "choices": {
                "users": sorted(users) if self.is_admin else [],
                "groups": [titled(key, self.catalog.resource_groups) for key in sorted(groups)],
                "environments": [
                    titled(key, self.catalog.environments) for key in sorted(environments)
                ],
            },
            "version": str(self.revision),
            "now": instant(scene.now),
            "age": self.measured,
        }

    def state(self) -> dict[str, Any]:
        """What a viewer is told."""
        live = [record for record in self.seen() if record.status.is_live]
        scene = self.scene
        return {
            "version": str(self.revision),
            "at": instant(scene.now),
            "age": self.measured,
            "used": {r.facts.id: used(scene.seen.used.get(r.facts.id)) for r in live},
            "status": {r.facts.id: str(r.status) for r in live},
            "time": {r.facts.id: self.time.get(r.facts.id) for r in live},
            "public": {r.facts.id: n for r in live if (n := self.public.get(r.facts.id))},
        }


class _Handler(BaseHTTPRequestHandler):
    """One request; ``fake`` says what to answer."""

    fake: FakeSessions
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_DELETE(self) -> None:
        self._serve("DELETE")

    def _serve(self, method: str) -> None:
        path = urlsplit(self.path).path
        if self.fake.away and path.startswith(SERVICE):
            self.close_connection = True
        elif path.startswith(f"{SERVICE}api/"):
            self._api(method, unquote(path.removeprefix(f"{SERVICE}api/")))
        elif path == SERVICE:
            self._answer(self.fake.draw().encode(), "text/html; charset=utf-8")
        elif path.startswith(f"{SERVICE}log/"):
            page = self.fake.draw_log(path.removeprefix(f"{SERVICE}log/"))
            self._answer(page.encode(), "text/html; charset=utf-8")
        elif path.startswith(STATIC):
            self._file(assets().get(path.removeprefix(STATIC)), path)
        elif path.startswith("/hub/static/"):
            found = THEIRS / "static" / path.removeprefix("/hub/static/")
            self._file(found.read_bytes() if found.is_file() else None, path)
        else:
            self._answer(b"<!DOCTYPE html><title>elsewhere</title>", "text/html")

    def _api(self, method: str, path: str) -> None:
        fake, query = self.fake, dict(parse_qsl(urlsplit(self.path).query))
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        if path == "visit":
            name = fake.visitor or fake.user
            self._json({"user": name, "admin": fake.is_admin, "xsrf_token": "t"})
            return
        fake.calls.append(f"{method} {path}")
        if self.headers.get("X-XSRFToken") != "t" or (fake.visitor and fake.visitor != fake.user):
            self._json({"message": "log in, or reload the page"}, 403)
        elif path == "events":
            self._events()
        elif path == "sessions":
            self._list(query)
        elif path == "sessions.csv":
            lines = table.heading() + table.lines(fake.asked(query), fake.catalog)
            self._answer(lines.encode(), "text/csv; charset=utf-8")
        elif path.startswith("sessions/"):
            self._one(method, path.removeprefix("sessions/"), body)
        else:
            self._json({"message": "there is nothing here"}, 404)

    def _list(self, query: dict[str, str]) -> None:
        if not query.get("text", "").isprintable():
            self._json({"message": "text: must be printable text, not '\\t'"}, 400)
        else:
            self._json(self.fake.page(query))

    def _one(self, method: str, path: str, body: Any) -> None:
        fake = self.fake
        one, _, part = path.partition("/")
        record = fake.records.get(one)
        if record is None or record not in fake.seen():
            self._json({"message": "there is no such session"}, 404)
        elif method == "DELETE":
            status, words = fake.refusals.get(one, (202, ""))
            if status == 202:
                fake.become(one, Status.TERMINATING)
            self._json({"message": words} if words else {}, status)
        elif part == "extend":
            fake.bodies.append(body)
            status, words = fake.refusals.get(one, (200, ""))
            self._json({"message": words} if words else {"time": fake.time[one]}, status)
        elif part == "apps":
            self._json({**fake.offers, "open": []})
        elif part == "log":
            kept = {"X-Bai-Log": "kept" if one in fake.logs else "none"}
            self._answer(fake.logs.get(one, "").encode(), "text/plain; charset=utf-8", 200, kept)
        else:
            self._json(detail(record, fake.scene))

    def _events(self) -> None:
        fake = self.fake
        if not fake.streams:
            self._json({"message": "bad gateway"}, 502)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        said, begun = None, fake.departures
        try:
            self.wfile.write(b": here\n\n")
            while fake.departures == begun and fake.streams:
                with fake.news:
                    told = fake.state()
                    if {**told, "at": None} != said:
                        said = {**told, "at": None}
                        self.wfile.write(f"event: state\ndata: {json.dumps(told)}\n\n".encode())
                    fake.news.wait(QUIET)
        except OSError:
            return

    def _file(self, content: bytes | None, path: str) -> None:
        kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
        self._answer(content or b"", kind, 404 if content is None else 200)

    def _json(self, told: Any, status: int = 200) -> None:
        self._answer(json.dumps(told).encode(), "application/json", status)

    def _answer(
        self, body: bytes, kind: str, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        found = {"Content-Type": kind, "Cache-Control": "no-store", **(headers or {})}
        for name, value in {**found, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: the browser's side is what is tested."""
