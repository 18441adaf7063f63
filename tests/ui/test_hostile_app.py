"""A hostile app in a real browser, against the hub and the other apps of whoever visits it.

Its page runs whatever it likes, at its own port: opened privately by its victim, or publicly by
somebody else. What the hub answers, what it knows afterwards and what the browser holds is looked
at, and not what the page was told alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, Request, Response, expect
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.deployment import REPO, Deployment, Visitor, eventually
from tests.images import ensure_apps_image
from tests.session import Session

OPTIONS = {"environment": "tells", "resources": {"cpu": 1, "memory": "600MiB", "shm": "64MiB"}}
SERVICE = "/services/sessions"
SECRET = "what-the-victim-keeps"
LONG = 16
"""Characters from which on a cookie's value is one that nobody has by chance."""


# ---- who is there


@dataclass
class Opened:
    """An app that is open; ``inside`` is where it is in its session."""

    id: str
    url: str
    port: int
    app: str
    inside: httpx.Client

    @property
    def origin(self) -> str:
        return self.url.rstrip("/")

    def says(self, body: str = "", *headers: str) -> str:
        """An address at which it answers with this."""
        query = [("body", body), *(("header", line) for line in headers)]
        return f"{self.url}say?{urlencode(query)}"

    def heard(self) -> list[dict[str, Any]]:
        """What it was sent since this was asked last."""
        found: list[dict[str, Any]] = self.inside.get(f"/{self.app}/heard").json()
        return found


@dataclass
class User:
    """A user with a session, in which both apps run."""

    visitor: Visitor
    session: Session
    http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        made = self.visitor.api("POST", f"/users/{self.name}/tokens", json={"note": "a test's"})
        headers = {"Authorization": f"token {made.json()['token']}"}
        url = self.visitor.deployment.url
        self.http = httpx.Client(base_url=url, headers=headers, timeout=60)

    @property
    def name(self) -> str:
        return self.visitor.user

    @property
    def id(self) -> str:
        """The session's identity."""
        (row,) = self.ask("/api/sessions?tab=running")["sessions"]
        return str(row["id"])

    def ask(self, path: str) -> Any:
        """What the service tells this user."""
        return self.http.get(f"{SERVICE}{path}").raise_for_status().json()

    def run(self, app: str) -> None:
        """Start an app in the session."""
        url = f"/bai/api/apps/{app}"
        assert self.session.http.post(url, json={}).status_code == 202
        assert eventually(
            lambda: self.session.http.get(url).json()["state"] == "running", seconds=60
        )

    def open(self, app: str, **asked: Any) -> Opened:
        """Open one; a session is known where it is a moment after its start."""
        path = f"sessions/{self.id}/apps/{app}"

        def answer() -> httpx.Response | None:
            got = self.change("POST", path, asked)
            return None if "not known yet" in got.text else got

        got = eventually(answer, seconds=15)
        assert got.status_code == 201, got.text
        told = got.json()
        return Opened(told["id"], told["url"], told["port"], app, self.session.http)

    def close(self, opened: Opened) -> None:
        """Close it."""
        self.change("DELETE", f"openings/{opened.id}").raise_for_status()

    def change(self, method: str, path: str, sent: Any = None) -> httpx.Response:
        """Ask the service for a change, as a page's script does."""
        http, url = self.visitor.http, f"{SERVICE}/api"
        page = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "no-cors"}
        token = http.get(f"{url}/visit", headers=page).json()["xsrf_token"]
        headers = {"X-XSRFToken": token, "Sec-Fetch-Mode": "cors"}
        return http.request(method, f"{url}/{path}", headers=headers, json=sent)

    def state(self) -> dict[str, Any]:
        """What the hub, the service and the session know of this user, as far as it lasts."""
        hub = self.http.get(f"/hub/api/users/{self.name}?include_stopped_servers=1").json()
        tokens = self.http.get(f"/hub/api/users/{self.name}/tokens").json()["api_tokens"]
        inside = self.session.http
        openings = self.ask("/api/openings")
        return {
            "servers": {name for name, made in hub["servers"].items() if not made["stopped"]},
            # those of logins come and go with them
            "tokens": {it["id"] for it in tokens if it["oauth_client"] == "JupyterHub"},
            "sessions": {it["id"]: it["status"] for it in self.ask("/api/sessions")["sessions"]},
            "open": {it["id"] for it in openings["open"]},
            "closed": {it["id"] for it in openings["closed"]},
            "templates": [it["name"] for it in self.ask("/api/templates")["templates"]],
            # their sizes are counted at any moment
            "folders": [it["name"] for it in self.ask("/api/folders")["folders"]],
            "kernels": [(it["id"], it["connections"]) for it in inside.get("/api/kernels").json()],
            "terminals": [it["name"] for it in inside.get("/api/terminals").json()],
            "files": {it["name"] for it in inside.get("/api/contents/").json()["content"]},
        }


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A hub of its own: the shipped catalogue has no such apps."""
    catalog, config = REPO / "tests/hub/catalog.yaml", REPO / "tests/hub/config.py"
    made = Deployment(tmp_path_factory.mktemp("hub"), catalog=catalog, config=config)
    try:
        ensure_apps_image(made.docker)
        made.start()
        yield made
    finally:
        made.clean()


def with_session(deployment: Deployment, name: str) -> Iterator[User]:
    with deployment.login(name) as visitor:
        assert visitor.start("one", OPTIONS, name=f"work{name}").status_code == 201
        made = User(visitor, Session(deployment, visitor, "one"))
        made.run("tells")
        made.run("beside")
        yield made
        visitor.stop_all()
        made.session.http.close()
        made.http.close()


@pytest.fixture(scope="module")
def victim(deployment: Deployment) -> Iterator[User]:
    """Who visits; in the session are a file, a kernel and a terminal."""
    for user in with_session(deployment, "vera"):
        inside = user.session.http
        text = {"type": "file", "format": "text", "content": SECRET}
        inside.put("/api/contents/secret.txt", json=text).raise_for_status()
        inside.post("/api/kernels", json={}).raise_for_status()
        inside.post("/api/terminals").raise_for_status()
        yield user


@pytest.fixture(scope="module")
def attacker(deployment: Deployment) -> Iterator[User]:
    """Another user."""
    yield from with_session(deployment, "mallory")


@pytest.fixture(params=["private", "public"])
def hostile(request: pytest.FixtureRequest, victim: User, attacker: User) -> Iterator[Opened]:
    """The app that attacks: the victim's own, or one that another user opened to everybody."""
    public = request.param == "public"
    owner = attacker if public else victim
    opened = owner.open("tells", public=public)
    yield opened
    owner.close(opened)


@pytest.fixture
def beside(victim: User) -> Iterator[Opened]:
    """Another app of the victim's, at another port."""
    opened = victim.open("beside")
    yield opened
    victim.close(opened)


@pytest.fixture
def page(deployment: Deployment, victim: User, login: Callable[..., Page]) -> Page:
    """The victim's browser, which the hub, the service and the session let in by cookies."""
    made = login(victim.name)
    made.wait_for_load_state("networkidle")  # the page's own visit is over
    made.goto(f"{deployment.url}{SERVICE}/")
    made.goto(f"{deployment.url}/user/{victim.name}/one/files/secret.txt")
    assert SECRET in made.content()
    return made


def logged_in(page: Page, victim: User) -> None:
    """The hub still knows this browser as the victim's."""
    page.goto(f"{victim.visitor.deployment.url}/hub/home")
    assert page.evaluate("window.jhdata.user") == victim.name


def held(context: BrowserContext, url: str) -> dict[str, str]:
    """The cookies that a browser sends to a host, at whatever path."""
    host = urlsplit(url).hostname
    return {
        f"{it['name']} {it['path']}": it["value"]
        for it in context.cookies()
        if it["domain"].lstrip(".") == host
    }


class Asked:
    """What a browser asks an origin, and what it is answered."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self._origin = f"{origin}/"
        self.paths: set[str] = set()
        self.answers: list[tuple[str, str, int]] = []
        self.pages: list[str] = []
        context.on("request", self._asked)
        context.on("response", self._answered)

    def _asked(self, request: Request) -> None:
        if request.url.startswith(self._origin):
            self.paths.add(urlsplit(request.url).path)

    def _answered(self, answer: Response) -> None:
        if answer.url.startswith(self._origin):
            path = urlsplit(answer.url).path
            self.answers.append((answer.request.method, path, answer.status))
            if answer.request.is_navigation_request():
                self.pages.append(path)

    @property
    def granted(self) -> list[tuple[str, str, int]]:
        """What was asked to change something, and was not refused."""
        return [it for it in self.answers if it[0] not in {"GET", "HEAD"} and it[2] < 400]

    @property
    def statuses(self) -> set[int]:
        """Of all answers."""
        return {status for _, _, status in self.answers}


# ---- reading

READ = """async ([hub, paths, stream]) => {
  const got = [];
  const loaded = (tag, key, url) => new Promise((done) => {
    const element = document.createElement(tag);
    element.onload = () => done(element);
    element.onerror = () => done(null);
    element[key] = url;
    document.body.append(element);
  });
  const before = new Set(Object.getOwnPropertyNames(window));
  const words = new Set();
  addEventListener("error", (event) => event.message && words.add(event.message));
  for (const path of paths) {
    for (const mode of ["cors", "no-cors"]) {
      try {
        const answer = await fetch(hub + path, { mode, credentials: "include" });
        const text = await answer.text();
        if (answer.type !== "opaque" || answer.status || text) got.push([mode, path, text]);
      } catch { /* refused */ }
    }
    if (await loaded("img", "src", hub + path)) got.push(["img", path, ""]);
    await loaded("script", "src", hub + path);
    const frame = await loaded("iframe", "src", hub + path);
    if (frame?.contentDocument) got.push(["iframe", path, frame.contentDocument.body.innerText]);
  }
  const opened = await new Promise((done) => {
    const source = new EventSource(hub + stream, { withCredentials: true });
    for (const name of ["open", "message", "state", "error"]) {
      source.addEventListener(name, () => done(name !== "error"));
    }
  });
  if (opened) got.push(["EventSource", stream, ""]);
  const made = Object.getOwnPropertyNames(window).filter((it) => !before.has(it) && isNaN(it));
  return { got, made, words: [...words] };
}"""
PEEK = """() => {
  const shown = window.shown;
  const got = [];
  for (const what of ["document", "jhdata", "localStorage", "name", "fetch", "origin"]) {
    try { got.push([what, String(shown[what])]); } catch { /* another origin's */ }
  }
  try { got.push(["href", shown.location.href]); } catch { /* another origin's */ }
  shown.postMessage({ type: "give", token: true }, "*");
  return got;
}"""


def read_paths(victim: User) -> list[str]:
    """Where something of the victim's is to be read."""
    user, session = victim.name, f"/user/{victim.name}/one"
    return [
        "/hub/home",
        "/hub/token",
        "/hub/api/user",
        f"/hub/api/users/{user}",
        f"/hub/api/users/{user}/tokens",
        f"{SERVICE}/",
        f"{SERVICE}/api/visit",
        f"{SERVICE}/api/sessions",
        f"{SERVICE}/api/openings",
        f"{SERVICE}/api/folders",
        f"{session}/api/contents/secret.txt",
        f"{session}/files/secret.txt",
        f"{session}/bai/api/ssh/key",
    ]


def test_it_reads_nothing_of_the_hubs_the_services_and_the_sessions(
    deployment: Deployment, victim: User, hostile: Opened, page: Page
) -> None:
    paths = read_paths(victim)
    for path in paths:
        client = victim.session.http if path.startswith("/user/") else victim.http
        url = f"{deployment.url}{path}"
        assert client.get(url, follow_redirects=True).is_success, f"{path} has something to read"
    page.goto(hostile.url)
    answers = Asked(page.context, deployment.url)
    found = page.evaluate(READ, [deployment.url, paths, f"{SERVICE}/api/events"])
    assert found["got"] == []
    assert found["made"] == [], "no script of the hub's leaves anything"
    assert set(found["words"]) <= {"Script error."}
    assert answers.paths >= {*paths, f"{SERVICE}/api/events"}, "all of it was tried"
    logged_in(page, victim)


def test_a_window_of_the_hubs_is_closed_to_it(
    deployment: Deployment, victim: User, hostile: Opened, page: Page
) -> None:
    page.goto(hostile.url)
    for path in ("/hub/home", f"{SERVICE}/", f"/user/{victim.name}/one/files/secret.txt"):
        url = f"{deployment.url}{path}"
        with page.expect_popup() as popup:
            page.evaluate("(url) => { window.shown = window.open(url); }", url)
        shown = popup.value
        shown.wait_for_load_state()
        assert shown.url == url, "the victim is logged in, and sees it"
        assert page.evaluate(PEEK) == []
        shown.close()


FRAMES = """(urls) => Promise.all(urls.flatMap((url) => ["iframe", "object", "embed"].map(
  (tag) => new Promise((done) => {
    const element = document.createElement(tag);
    element.onload = element.onerror = () => done();
    element[tag === "object" ? "data" : "src"] = url;
    document.body.append(element);
  }))))"""


def test_it_frames_no_page_of_the_hubs_nor_of_the_app_beside_it(
    deployment: Deployment, victim: User, hostile: Opened, beside: Opened, page: Page
) -> None:
    session = f"/user/{victim.name}/one"
    paths = {
        "/hub/home",
        "/hub/login",
        f"{SERVICE}/",
        f"{session}/lab",
        f"{session}/files/secret.txt",
    }
    page.goto(beside.url)
    page.goto(hostile.url)
    answers, doors = Asked(page.context, deployment.url), Asked(page.context, beside.origin)
    own = hostile.says("shown")
    urls = [*(f"{deployment.url}{path}" for path in paths), beside.url, own]
    page.evaluate(FRAMES, urls)
    assert answers.paths >= paths, "all of it was tried"
    assert doors.statuses == {403}
    shown = {frame.url for frame in page.frames[1:] if not frame.url.startswith("chrome-error:")}
    assert shown - {""} == {own}, "a frame shows what it may, and the others nothing"


# ---- changing

CHANGE = """async ([hub, changes]) => {
  const got = [];
  let frames = 0;
  const submit = (url, enctype, text) => new Promise((done) => {
    const frame = document.createElement("iframe");
    frame.name = `frame${frames++}`;
    document.body.append(frame);
    frame.onload = () => done();
    window.submitForm(url, enctype, text, frame.name);
  });
  for (const { method, path, body } of changes) {
    const url = hub + path;
    const common = { credentials: "include", body };
    for (const type of ["", "text/plain"]) {
      const sent = new Blob([body], { type });
      try {
        const mode = "no-cors";
        const answer = await fetch(url, { ...common, method: "POST", mode, body: sent });
        if (answer.type !== "opaque") got.push([mode, path]);
      } catch { /* refused */ }
      navigator.sendBeacon(url, sent);
    }
    try {
      const headers = { "Content-Type": "application/json", "X-XSRFToken": "guessed" };
      await fetch(url, { ...common, method, headers, mode: "cors" });
      got.push(["cors", path]);
    } catch { /* refused */ }
    for (const enctype of ["text/plain", "multipart/form-data"]) await submit(url, enctype, body);
  }
  return got;
}"""
SUBMIT = """() => {
  window.submitForm = (url, enctype, text, target) => {
    const form = document.createElement("form");
    Object.assign(form, { method: "post", action: url, enctype, target });
    const fields = text.startsWith("{") ? [text.split("=")] : [...new URLSearchParams(text)];
    for (const [name, value = ""] of fields) {
      const input = document.createElement("input");
      Object.assign(input, { type: "hidden", name, value });
      form.append(input);
    }
    document.body.append(form);
    form.submit();
  };
}"""
"""A form sends JSON as text, with a ``=`` somewhere, or fields."""


@dataclass
class Change:
    """What a page asks for. A JSON text has a ``=`` where it can, for forms put one there."""

    method: str
    path: str
    body: str = '{"note": "="}'


def changes(victim: User, opening: str) -> list[Change]:
    """What would be the victim's loss, or the attacker's gain."""
    user, session = f"/hub/api/users/{victim.name}", f"/user/{victim.name}/one"
    (kernel,) = victim.session.http.get("/api/kernels").json()
    mine = f"{SERVICE}/api/sessions/{victim.id}"
    options = json.dumps({"user_options": OPTIONS})
    fields = urlencode({"environment": "tells", "alone": "1", "preset": "small"})
    return [
        Change("POST", f"{user}/servers/two", options),
        Change("DELETE", f"{user}/servers/one"),
        Change("POST", f"{user}/tokens"),
        Change("POST", f"/hub/spawn/{victim.name}/two", fields),
        Change("POST", "/hub/logout", "a=b"),
        Change("DELETE", mine),
        Change("POST", f"{mine}/apps/beside", '{"public": true, "password": "a=password"}'),
        Change("POST", f"{mine}/extend", '{"what": "lifetime"}'),
        Change("DELETE", f"{SERVICE}/api/openings/{opening}"),
        Change("PUT", f"{SERVICE}/api/templates/planted", '{"fields": {"env": ["A=b"]}}'),
        Change("POST", f"{SERVICE}/api/folders", '{"name": "planted"}'),
        Change("POST", f"{session}/api/kernels"),
        Change("DELETE", f"{session}/api/kernels/{kernel['id']}"),
        Change("POST", f"{session}/api/terminals"),
        Change("PUT", f"{session}/api/contents/planted.txt", '{"type": "file", "content": "="}'),
        Change("POST", f"{session}/bai/api/terminate", "{}"),
        Change("POST", f"{session}/api/shutdown", "{}"),
    ]


def test_it_changes_nothing_at_the_hub_the_service_and_the_session(
    deployment: Deployment, victim: User, hostile: Opened, page: Page
) -> None:
    asked = changes(victim, hostile.id)
    before = victim.state()
    page.goto(hostile.url)
    answers = Asked(page.context, deployment.url)
    page.evaluate(SUBMIT)
    told = [{"method": it.method, "path": it.path, "body": it.body} for it in asked]
    assert page.evaluate(CHANGE, [deployment.url, told]) == []
    for change in asked:  # windows send cookies that frames do not
        enctype = "text/plain" if change.body.startswith("{") else "multipart/form-data"
        with page.context.expect_page() as opened:
            page.evaluate(
                "(asked) => window.submitForm(...asked, '_blank')",
                [f"{deployment.url}{change.path}", enctype, change.body],
            )
        opened.value.wait_for_load_state()
        opened.value.close()
    assert answers.granted == []
    assert {path for method, path, _ in answers.answers if method == "POST"} == {
        change.path for change in asked
    }, "all of it was tried"
    assert victim.state() == before
    logged_in(page, victim)


def test_a_link_of_its_page_starts_and_opens_nothing_and_leads_nowhere_else(
    deployment: Deployment, victim: User, hostile: Opened, beside: Opened, page: Page
) -> None:
    before = victim.state()
    page.goto(hostile.url)
    fields = urlencode({"environment": "tells", "preset": "small", "_xsrf": "guessed"})
    for path in (
        f"/hub/spawn/{victim.name}/two?{fields}",
        f"/hub/user/{victim.name}/two/lab",
        f"{SERVICE}/launch?{fields}",
        f"/user/{victim.name}/one/bai/apps/beside?start=1",
    ):
        with page.expect_popup() as popup:
            page.evaluate("(url) => { window.open(url); }", f"{deployment.url}{path}")
        popup.value.wait_for_load_state()
        assert popup.value.url.startswith(f"{deployment.url}/"), "it stays on the hub"
        popup.value.close()
    assert victim.state() == before
    doors = Asked(page.context, beside.origin)
    asked = {"opening": beside.id, "nonce": "0" * 64, "next": "//127.0.0.2/"}
    with page.expect_popup() as popup:
        url = f"{deployment.url}{SERVICE}/enter?{urlencode(asked)}"
        page.evaluate("(url) => { window.open(url); }", url)
    popup.value.wait_for_load_state()
    assert doors.answers == [("GET", "/.bai/enter", 403)], "who was led there gets in nowhere"
    popup.value.close()
    page.goto(beside.url)
    assert page.url == beside.url


SOCKETS = """(asked) => Promise.all(asked.map(([url, protocols]) => new Promise((done) => {
  const socket = new WebSocket(url, protocols);
  socket.onopen = () => done(["open", url]);
  socket.onerror = () => done(["refused", url]);
})))"""


def test_no_websocket_of_its_page_reaches_a_kernel_a_terminal_or_an_app(
    deployment: Deployment, victim: User, hostile: Opened, page: Page
) -> None:
    inside = victim.session.http
    (kernel,), (terminal,) = inside.get("/api/kernels").json(), inside.get("/api/terminals").json()
    base = f"{deployment.url}/user/{victim.name}/one".replace("http", "ws", 1)
    asked: list[tuple[str, list[Subprotocol]]] = [
        (f"{base}/api/kernels/{kernel['id']}/channels", []),
        (f"{base}/terminals/websocket/{terminal['name']}", []),
        (f"{base}/terminal/ws", [Subprotocol("tty")]),
        (f"{base}/api/events/subscribe", []),
        (f"{base}/tells/ws", []),
    ]
    for url, protocols in asked:
        headers = dict(inside.headers)
        with connect(url, additional_headers=headers, subprotocols=protocols or None):
            """It is open for whom it is for."""
    page.goto(hostile.url)
    assert page.evaluate(SOCKETS, asked) == [["refused", url] for url, _ in asked]


ACROSS = """async ([url]) => {
  const got = [], credentials = "include";
  for (const mode of ["cors", "no-cors"]) {
    for (const method of ["GET", "POST"]) {
      try {
        const answer = await fetch(`${url}stolen-${mode}`, { mode, method, credentials });
        if (answer.type !== "opaque") got.push([mode, method, await answer.text()]);
      } catch { /* refused */ }
    }
  }
  navigator.sendBeacon(`${url}stolen-beacon`, "x");
  await Promise.all(["img", "script", "iframe"].map((tag) => new Promise((done) => {
    const element = document.createElement(tag);
    element.onload = element.onerror = () => done();
    element.src = `${url}stolen-${tag}`;
    document.body.append(element);
  })));
  window.submitForm(`${url}stolen-form`, "text/plain", '{"a": "="}', "_blank");
  return got;
}"""


def test_it_asks_nothing_of_the_app_beside_it_in_its_visitors_name(
    hostile: Opened, beside: Opened, victim: User, page: Page
) -> None:
    page.goto(beside.url)
    page.goto(hostile.url)
    doors = Asked(page.context, beside.origin)
    page.evaluate(SUBMIT)
    with page.context.expect_page() as opened:
        assert page.evaluate(ACROSS, [beside.url]) == []
    opened.value.wait_for_load_state()
    socket = [[f"{beside.url.replace('http', 'ws', 1)}ws?stolen", []]]
    assert page.evaluate(SOCKETS, socket) == [["refused", socket[0][0]]]
    assert {f"/stolen-{it}" for it in ("cors", "img", "script", "iframe", "form")} <= doors.paths
    assert doors.statuses == {403}
    page.goto(beside.url)
    assert json.loads(page.inner_text("body"))["path"] == "/", "it lets in the victim all the while"
    assert [it["path"] for it in beside.heard() if "stolen" in it["path"]] == []


# ---- planting

HUBS = (
    *("jupyterhub-hub-login", "jupyterhub-session-id", "_xsrf", "jupyterhub-services"),
    *("service-sessions", "jupyterhub-user-vera", "bai-login-again"),
)
"""Cookies of the hub's, the service's and the session's."""
PREFIXES = ("__Host-", "__Secure-", "__Http-", "__Host-Http-")
WAYS = (
    *("", "; path=/", "; path=/hub/", "; path=/services/sessions/", "; path=/; secure"),
    *("; path=/; domain=localhost", "; path=/; domain=.localhost", "; path=/; domain=127.0.0.1"),
)
LOGINS = ("jupyterhub-hub-login", "jupyterhub-session-id", "service-sessions")
AT_ONCE = 40
"""Cookies that one answer sets."""
PLANT = "(cookies) => { for (const cookie of cookies) document.cookie = cookie; }"
FETCH = "(urls) => Promise.all(urls.map((url) => fetch(url).then((answer) => answer.status)))"


def planted(*ports: int) -> list[str]:
    """Cookies of every name that means something to somebody, for all that a page can name."""
    doors = [f"bai-{what}" for it in ports for what in (f"app-{it}", f"begin-{it}-0", f"{it}-own")]
    prefixed = [f"{prefix}{name}" for prefix in PREFIXES for name in (HUBS[0], *doors[::3])]
    return [f"{name}=planted{way}" for name in (*HUBS, *doors, *prefixed) for way in WAYS]


def opens(page: Page, opened: Opened, deployment: Deployment) -> dict[str, Any]:
    """An app opens as it should: after one way over the hub at most. What it was told."""
    hub, door = Asked(page.context, deployment.url), Asked(page.context, opened.origin)
    answer = page.goto(opened.url)
    assert answer
    assert (answer.status, page.url) == (200, opened.url)
    assert "/hub/login" not in hub.pages, "nobody is asked who they are"
    assert door.pages in (["/"], ["/", "/.bai/enter", "/"])
    told: dict[str, Any] = json.loads(page.inner_text("body"))
    return told


def test_what_it_plants_changes_no_login_and_no_other_app(
    deployment: Deployment, victim: User, hostile: Opened, beside: Opened, page: Page
) -> None:
    context = page.context
    before = held(context, deployment.url)
    doors = [Asked(context, it.origin) for it in (hostile, beside)]
    cookies = planted(hostile.port, beside.port)
    answers = [
        hostile.says("", *(f"Set-Cookie: {it}{more}" for it in cookies[i : i + AT_ONCE]))
        for i in range(0, len(cookies), AT_ONCE)
        for more in ("", "; HttpOnly")
    ]
    for _ in range(2):  # before the victim visited the app beside it, and afterwards
        page.goto(hostile.url)
        page.evaluate(PLANT, cookies)
        assert set(page.evaluate(FETCH, answers)) == {200}
        assert any(value == "planted" for value in held(context, hostile.url).values())
        opens(page, hostile, deployment)
        told = opens(page, beside, deployment)
        assert "bai-" not in told["headers"].get("Cookie", "")
    after = held(context, deployment.url)
    assert "planted" not in after.values()
    assert {it: value for it, value in after.items() if it.startswith(LOGINS)} == {
        it: value for it, value in before.items() if it.startswith(LOGINS)
    }
    logged_in(page, victim)
    assert max(*doors[0].statuses, *doors[1].statuses) < 500


@pytest.mark.parametrize("cookie", ["bai-app-{}=planted; path=/say", "=bai-app-{}=planted; path=/"])
def test_a_cookie_beside_that_of_another_app_does_not_shut_it(
    deployment: Deployment, hostile: Opened, beside: Opened, page: Page, cookie: str
) -> None:
    opens(page, beside, deployment)
    page.goto(hostile.url)
    page.evaluate(PLANT, [cookie.format(beside.port)])
    answer = page.goto(beside.says("here"))
    assert answer
    assert (answer.status, page.inner_text("body")) == (200, "here")


@pytest.mark.parametrize("size", [8, 4000], ids=["small", "large"])
def test_more_cookies_than_a_browser_keeps_shut_nobody_out(
    deployment: Deployment, victim: User, hostile: Opened, beside: Opened, page: Page, size: int
) -> None:
    opens(page, beside, deployment)
    opens(page, hostile, deployment)
    page.evaluate(PLANT, [f"bomb{i}={'x' * size}; path=/" for i in range(200)])
    logged_in(page, victim)
    for opened in (beside, hostile):
        page.goto(opened.url)
        expect(page.locator("body")).to_contain_text('"path": "/"', timeout=20_000)


# ---- leaving something behind

WORKER = """
addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => event.respondWith(new Response("intercepted")));
"""
LEAVE = """async ([worker, scope]) => {
  localStorage.setItem("left", "behind");
  await (await caches.open("left")).put("/", new Response("intercepted"));
  try {
    await navigator.serviceWorker.register(worker, { scope });
    await navigator.serviceWorker.ready;
    return true;
  } catch { return false; }
}"""
FIND = """async () => ({
  storage: Object.keys(localStorage),
  caches: await caches.keys(),
  workers: (await navigator.serviceWorker.getRegistrations()).length,
  answer: await (await fetch("/say?body=own")).text(),
})"""
CLEAN = {"storage": [], "caches": [], "workers": 0, "answer": "own"}
SCRIPT = ("Content-Type: text/javascript", "Service-Worker-Allowed: /")


def test_a_worker_at_its_port_is_none_at_another(
    deployment: Deployment, hostile: Opened, beside: Opened, page: Page
) -> None:
    page.goto(hostile.url)
    worker = hostile.says(WORKER, *SCRIPT)
    assert not page.evaluate(LEAVE, [worker, beside.url]), "a worker is of its own origin"
    if page.evaluate(LEAVE, [worker, "/"]):
        page.goto(hostile.url)
        assert page.inner_text("body") == "intercepted", "at its own port it is"
    assert page.evaluate("Object.keys(localStorage)") == ["left"]
    opens(page, beside, deployment)
    assert page.evaluate(FIND) == CLEAN


@pytest.mark.parametrize("public", [False, True])
def test_what_an_app_left_in_a_browser_does_nothing_to_the_next_at_its_port(
    victim: User, attacker: User, page: Page, *, public: bool
) -> None:
    before = attacker.open("tells", public=True)
    page.goto(before.url)
    kept = before.says("kept", "Cache-Control: max-age=1000000, immutable")
    assert page.evaluate(FETCH, [kept]) == [200]
    page.evaluate(LEAVE, [before.says(WORKER, *SCRIPT), "/"])
    attacker.close(before)
    after = victim.open("beside", port=before.port, public=public)
    try:
        assert after.port == before.port
        page.goto(after.url)
        assert page.inner_text("body") != "intercepted"
        assert page.evaluate(FIND) == CLEAN
        assert page.evaluate(FETCH, [kept]) == [200]
        assert kept.removeprefix(before.origin) in {it["path"] for it in after.heard()}
    finally:
        victim.close(after)


# ---- seeing

SEE = """async () => {
  await fetch("/fetched", { method: "POST", body: "x" });
  const socket = new WebSocket(`ws://${location.host}/ws`);
  await new Promise((done) => { socket.onopen = done; });
  const urls = [location.href, document.URL, document.baseURI];
  urls.push(...performance.getEntries().map((entry) => entry.name));
  urls.push(...navigation.entries().map((entry) => entry.url));
  return {
    urls,
    cookie: document.cookie,
    kept: (await cookieStore.getAll()).map((it) => it.name),
    referrer: document.referrer,
    opener: String(window.opener),
    name: window.name,
    storage: Object.keys(localStorage).concat(Object.keys(sessionStorage)),
  };
}"""
NOTHING = {
    "cookie": "",
    "kept": [],
    "referrer": "",
    "opener": "null",
    "name": "",
    "storage": [],
}


def sees_nothing(page: Page, opened: Opened, secrets: set[str]) -> None:
    """Neither the page nor the app sees a credential of its visitor's."""
    seen = page.evaluate(SEE)
    urls = json.dumps(seen.pop("urls"))
    assert seen == NOTHING
    heard = json.dumps(opened.heard())
    for secret in secrets:
        assert secret not in urls + heard
    for word in ("ticket=", "nonce=", "token=", SERVICE):
        assert word not in urls
        assert word not in heard
    for word in ("bai-app", "bai-begin", "jupyterhub", "_xsrf", "service-sessions"):
        assert word not in heard
    assert '"/ws"' in heard


def secrets_of(context: BrowserContext) -> set[str]:
    """All that a browser keeps for whoever knows it."""
    values = (it["value"].strip('"') for it in context.cookies())
    return {value for value in values if len(value) >= LONG}


def test_it_sees_no_credential_of_its_visitor(hostile: Opened, page: Page) -> None:
    urls: list[str] = []
    page.context.on("request", lambda request: urls.append(request.url))
    hostile.heard()
    page.goto(hostile.url)
    told = {
        value
        for url in urls
        for part in urlsplit(url).query.split("&")
        if len(value := part.partition("=")[2]) >= LONG
    }
    secrets = secrets_of(page.context)
    assert len(secrets) >= 4, "logins of the hub, of the service and of the session"
    sees_nothing(page, hostile, secrets | told)
    page.reload()
    sees_nothing(page, hostile, secrets | told)


def test_an_answer_to_what_is_too_long_repeats_no_cookie(
    deployment: Deployment, victim: User, hostile: Opened, beside: Opened, page: Page
) -> None:
    opens(page, beside, deployment)
    opens(page, hostile, deployment)
    secrets = secrets_of(page.context)
    page.evaluate(PLANT, [f"long{i}={'x' * 4000}; path=/" for i in range(10)])
    told = page.evaluate("fetch('/').then((answer) => answer.text())")
    assert told
    assert [secret for secret in secrets if secret in told] == []


def test_an_app_opened_from_the_sessions_page_has_no_hold_on_that_page(
    deployment: Deployment, victim: User, page: Page
) -> None:
    page.goto(f"{deployment.url}{SERVICE}/")
    apps = f"Apps of work{victim.name}"
    page.get_by_role("button", name=apps, exact=True).click()
    dialog = page.get_by_role("dialog", name=apps)
    port = deployment.app_ports.stop - 1
    dialog.get_by_label("Try preferred port").check()
    dialog.get_by_label("Preferred port", exact=True).fill(str(port))
    victim.session.http.get("/tells/heard")
    link = dialog.locator(".bai-openings a")
    for press in (dialog.get_by_role("link", name="Tells").first, link):
        with page.expect_popup() as popup:
            press.click()
        expect(link).to_have_count(1)
        url = str(link.get_attribute("href"))
        popup.value.wait_for_url(url)
        opened = Opened("", url, port, "tells", victim.session.http)
        sees_nothing(popup.value, opened, secrets_of(page.context))
        popup.value.close()
    dialog.get_by_role("button", name="Close Tells").click()
    expect(link).to_have_count(0)
