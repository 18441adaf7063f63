"""The templates' addresses on a real HTTP server; only the hub's answer to "who is it?" is given.

Cookies, XSRF tokens and scopes are judged by JupyterHub's own code.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from jupyterhub.services.auth import HubOAuth
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, create_signed_value

from bai_spawner.records import FIELDS_BYTES, MOST_TEMPLATES, Records
from bai_spawner.service.__main__ import LIMITS
from bai_spawner.service.app import make_app
from bai_spawner.service.board import Board
from tests.api_contract import hold

PREFIX = "/services/sessions/"
API = f"{PREFIX}api/templates"
CLIENT = "service-sessions"
ACCESS = "access:services!service=sessions"
FIELDS = {"environment": ["python"], "version:python": ["3.13"], "preset": ["small"]}
SENT = {"fields": FIELDS}
MARKUP = "<script>alert(1)</script>"

WHO: dict[str, dict[str, Any]] = {
    "ada": {"scopes": [ACCESS]},
    "eve": {"scopes": [ACCESS]},
    "admin": {"scopes": [ACCESS], "admin": True},
    "server": {"scopes": ["access:servers!server=ada/one"], "name": "ada"},
    "service": {"scopes": [ACCESS], "name": "ada", "kind": "service"},
}
"""What the hub says of a token, beside the rest."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's environment, and the hub's answers."""
    for name, value in {
        "JUPYTERHUB_API_TOKEN": "the-services-own",
        "JUPYTERHUB_API_URL": "http://127.0.0.1:1/hub/api",
        "JUPYTERHUB_BASE_URL": "/",
        "JUPYTERHUB_CLIENT_ID": CLIENT,
        "JUPYTERHUB_OAUTH_ACCESS_SCOPES": json.dumps(["access:services", ACCESS]),
        "JUPYTERHUB_SERVICE_NAME": "sessions",
        "JUPYTERHUB_SERVICE_PREFIX": PREFIX,
    }.items():
        monkeypatch.setenv(name, value)

    async def asked(self: HubOAuth, token: str) -> dict[str, Any] | None:
        del self
        known = {"name": token, "kind": "user", "admin": False, "groups": []}
        return known | WHO[token] if token in WHO else None

    def user_for_token(self: HubOAuth, token: str, *_: Any, sync: bool = True, **__: Any) -> Any:
        assert not sync
        return asked(self, token)

    monkeypatch.setattr(HubOAuth, "user_for_token", user_for_token)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "records.sqlite"


@pytest_asyncio.fixture
async def service(hub: None, file: Path) -> AsyncIterator[tuple[Application, str]]:
    """The service, and where it listens."""
    del hub
    HubOAuth.clear_instance()
    app = make_app(PREFIX, "/", Board(f"sqlite:///{file}", "hub"))
    server = HTTPServer(app, **LIMITS)
    socket, port = bind_unused_port()
    server.add_socket(socket)
    yield app, f"http://127.0.0.1:{port}"
    server.stop()
    await server.close_all_connections()
    _close(HubOAuth.instance())
    HubOAuth.clear_instance()
    board = app.settings["board"]
    if "records" in vars(board):
        board.records.close()


def _close(auth: HubOAuth) -> None:
    """End the thread with a loop of its own in which it asks the hub."""
    auth._pool.shutdown()
    auth._thread_loop.close()


class Page:
    """A page of the hub that a visitor has open."""

    def __init__(self, service: tuple[Application, str], token: str) -> None:
        app, url = service
        cookies = {}
        if token:
            signed = create_signed_value(app.settings["cookie_secret"], CLIENT, token)
            cookies = {CLIENT: signed.decode(), "jupyterhub-session-id": f"session-{token}"}
        hooks = {"response": [hold]}
        self.http = httpx.AsyncClient(base_url=url, cookies=cookies, event_hooks=hooks)
        self.headers = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}

    async def visit(self) -> str:
        answer = await self.http.get(f"{PREFIX}api/visit")
        assert answer.is_success, answer.text
        self.headers["X-XSRFToken"] = answer.json()["xsrf_token"]
        return str(self.headers["X-XSRFToken"])

    async def send(
        self, method: str, path: str = "", body: Any = None, **headers: str
    ) -> httpx.Response:
        """``body`` is sent as it is when it is bytes, else as JSON."""
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        given = self.headers | {name.replace("_", "-"): text for name, text in headers.items()}
        return await self.http.request(method, f"{API}{path}", content=content, headers=given)

    async def put(self, name: str = "mine", **changed: Any) -> httpx.Response:
        return await self.send("PUT", f"/{name}", SENT | changed)

    async def kept(self) -> dict[str, Any]:
        answer = await self.send("GET")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def names(self) -> list[str]:
        return [one["name"] for one in (await self.kept())["templates"]]


@pytest_asyncio.fixture
async def ada(service: tuple[Application, str]) -> AsyncIterator[Page]:
    page = Page(service, "ada")
    await page.visit()
    yield page
    await page.http.aclose()


@pytest_asyncio.fixture
async def eve(service: tuple[Application, str]) -> AsyncIterator[Page]:
    page = Page(service, "eve")
    await page.visit()
    yield page
    await page.http.aclose()


def message(answer: httpx.Response) -> str:
    assert answer.headers["content-type"].startswith("application/json")
    return str(answer.json()["message"])


# ---- who is let in -----------------------------------------------------------------

REQUESTS = [
    ("GET", "", None, 200),
    ("PUT", "/new", SENT, 201),
    ("PUT", "/mine", {**SENT, "replace": True}, 200),
    ("PATCH", "/mine", {"name": "new"}, 200),
    ("DELETE", "/mine", None, 204),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), REQUESTS)
async def test_a_visitor_reaches_their_own(
    ada: Page, method: str, path: str, body: Any, status: int
) -> None:
    await ada.put()
    answer = await ada.send(method, path, body)
    assert answer.status_code == status, answer.text
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "headers",
    [
        {"X_XSRFToken": ""},
        {"X_XSRFToken": "wrong"},
        {"X_XSRFToken": "", "Sec_Fetch_Site": "cross-site"},
        {"Cookie": ""},
    ],
    ids=["no token", "a wrong token", "another site", "no cookie"],
)
@pytest.mark.parametrize(("method", "path", "body", "status"), REQUESTS)
async def test_without_the_login_or_the_token_of_the_visit_nothing_is_told_or_done(
    ada: Page, method: str, path: str, body: Any, status: int, headers: dict[str, str]
) -> None:
    """S14."""
    del status
    await ada.put()
    before = await ada.kept()
    answer = await ada.send(method, path, body, **headers)
    assert answer.status_code == 403
    assert "small" not in answer.text
    assert await ada.kept() == before


@pytest.mark.parametrize(("method", "path", "body", "status"), REQUESTS[1:])
async def test_what_changes_something_is_refused_in_the_mode_no_cors(
    ada: Page, method: str, path: str, body: Any, status: int
) -> None:
    """S14."""
    del status
    await ada.put()
    before = await ada.kept()
    answer = await ada.send(method, path, body, Sec_Fetch_Mode="no-cors")
    assert answer.status_code == 403
    assert await ada.kept() == before


@pytest.mark.parametrize(("method", "path", "body", "status"), REQUESTS)
@pytest.mark.parametrize("token", ["server", "service", "nobody"])
async def test_the_token_of_a_session_or_of_another_service_opens_nothing(
    service: tuple[Application, str],
    ada: Page,
    token: str,
    method: str,
    path: str,
    body: Any,
    status: int,
) -> None:
    del status
    await ada.put()
    stranger = Page(service, "")
    answer = await stranger.send(method, path, body, Authorization=f"token {token}")
    assert answer.status_code == 403
    await stranger.http.aclose()
    assert await ada.names() == ["mine"]


async def test_nobody_reaches_what_another_keeps_administrators_neither(
    service: tuple[Application, str], ada: Page, eve: Page
) -> None:
    """S17."""
    await ada.put("mine")
    admin = Page(service, "admin")
    await admin.visit()
    for page in (eve, admin):
        assert await page.kept() == {"last": None, "templates": []}
        for method, body in (("DELETE", None), ("PATCH", {"name": "x"})):
            theirs = await page.send(method, "/mine", body)
            nobodys = await page.send(method, "/nothing", body)
            assert theirs.status_code == nobodys.status_code == 404
            assert theirs.text == nobodys.text
        assert (await page.put("mine", fields={"cpu": ["9"]})).status_code == 201
    await admin.http.aclose()
    assert (await ada.kept())["templates"][0]["fields"] == FIELDS


# ---- what is kept ------------------------------------------------------------------


async def test_a_template_is_kept_until_it_is_deleted(ada: Page) -> None:
    fields = {**FIELDS, "env": ["A=1\r\nB=<b>"], "new_folder": ["a", "b"], "mount:x/y": ["ro"]}
    made = await ada.put("GPU%20work", fields=fields)
    assert made.status_code == 201
    (template,) = (await ada.kept())["templates"]
    assert template == made.json()
    assert template["name"] == "GPU work"
    assert template["fields"] == fields
    assert template["title"] == "python 3.13 · small"
    assert template["at"].endswith("Z")
    again = await ada.put("GPU%20work")
    assert again.status_code == 409
    assert message(again) == "name: 'GPU work' is the name of another template"
    assert (await ada.put("GPU%20work", replace=True)).status_code == 200
    assert (await ada.kept())["templates"][0]["fields"] == FIELDS
    assert (await ada.send("DELETE", "/GPU%20work")).status_code == 204
    assert (await ada.send("DELETE", "/GPU%20work")).status_code == 404
    assert await ada.names() == []


async def test_a_template_is_renamed_unless_the_name_is_taken(ada: Page) -> None:
    await ada.put("b")
    await ada.put("c")
    assert (await ada.send("PATCH", "/b", {"name": " a "})).json() == {"name": "a"}
    assert (await ada.send("PATCH", "/a", {"name": "a"})).status_code == 200
    assert (await ada.send("PATCH", "/a", {"name": "c"})).status_code == 409
    assert (await ada.send("PATCH", "/b", {"name": "d"})).status_code == 404
    assert await ada.names() == ["a", "c"]


async def test_the_last_launch_is_told_apart_from_templates(ada: Page, file: Path) -> None:
    await ada.put()
    records = Records(f"sqlite:///{file}")
    (kept,) = records.launches.of("hub", "ada")
    records.launches.remember("hub", "ada", kept)
    records.close()
    found = await ada.kept()
    assert set(found["last"]) == {"fields", "at", "title"}
    assert found["last"]["fields"] == FIELDS
    assert await ada.names() == ["mine"]


@pytest.mark.parametrize(
    ("fields", "title"),
    [
        ({}, "default environment · least resources"),
        ({"environment": ["numpy"]}, "numpy · least resources"),
        (
            {"environment": ["numpy"], "version:numpy": ["2"], "cpu": ["2"], "memory": ["1.5"]},
            "numpy 2 · 2 CPU, 1.5 GiB RAM",
        ),
        ({"fgpu": ["0.5"], "cpu": ["many"], "preset": [""]}, "default environment · 0.5 fGPU"),
        ({"environment": ["a\n\ud800"], "preset": [MARKUP]}, f"a\ufffd\ufffd · {MARKUP}"),
        ({"environment": ["x" * 65], "sessions": ["0"], "alone": []}, None),
    ],
)
async def test_a_title_says_what_would_be_launched_whatever_the_fields_hold(
    ada: Page, fields: dict[str, list[str]], title: str | None
) -> None:
    answer = await ada.put(fields=fields)
    assert answer.status_code == 201
    assert answer.json()["title"] == (title or "default environment · least resources")
    assert answer.json()["fields"] == fields


# ---- names -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a%2Fb", "a/b"),
        ("%20x%20", "x"),
        ("%3Cscript%3Ealert(1)%3C%2Fscript%3E", MARKUP),
        ("100%25%20%7B0%7D%20%27%22%3B--", "100% {0} '\";--"),
        ("e%CC%81", "\u00e9"),
        ("%F0%9F%A7%AA" * 64, "🧪" * 64),
        ("...", "..."),
    ],
)
async def test_a_name_may_be_anything_printable_and_stays_what_it_is(
    ada: Page, path: str, name: str
) -> None:
    made = await ada.put(path)
    assert (made.status_code, made.json()["name"]) == (201, name)
    assert made.headers["content-type"].startswith("application/json")
    assert await ada.names() == [name]
    assert (await ada.send("PATCH", f"/{path}", {"name": "plain"})).status_code == 200
    assert (await ada.send("PATCH", "/plain", {"name": name})).json() == {"name": name}
    assert (await ada.send("DELETE", f"/{path}")).status_code == 204


@pytest.mark.parametrize("name", ["", " ", "x" * 65, "a\nb", "\0", "\u202egnp", ".", "..", "\t"])
async def test_a_name_that_is_none_is_refused_with_what_is_accepted(ada: Page, name: str) -> None:
    await ada.put()
    answer = await ada.send("PATCH", "/mine", {"name": name})
    assert answer.status_code == 400
    assert message(answer).startswith("name: ")
    assert "1 to 64 printable characters" in message(answer)
    assert message(answer).isprintable()
    path = "".join(f"%{byte:02X}" for byte in name.encode())
    if name.strip("."):
        assert (await ada.put(path)).status_code == 400
    assert await ada.names() == ["mine"]


async def test_a_name_that_is_no_text_is_refused(ada: Page) -> None:
    assert (await ada.put("%FF%FE")).status_code == 400
    assert await ada.names() == []


async def test_one_more_template_than_there_may_be_is_refused(ada: Page) -> None:
    for number in range(MOST_TEMPLATES):
        assert (await ada.put(f"{number}")).status_code == 201
    answer = await ada.put("more")
    assert answer.status_code == 400
    assert message(answer) == "templates: 50 are kept, and no more are; delete one first"
    assert (await ada.put("7", replace=True)).status_code == 200


# ---- bodies ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "body: is not JSON"),
        (b"{", "body: is not JSON"),
        (b"\xff\xfe{}", "body: is not JSON"),
        (b"[" * 100_000, "body: is not JSON"),
        (b"cpu=2&_xsrf=x", "body: is not JSON"),
        ([], "body: must be an object, not a list"),
        ("text", "body: must be an object, not text"),
        ({}, "fields: must be an object of the form's fields"),
        ({"fields": None}, "fields: must be an object of the form's fields"),
        ({"fields": [["cpu", "2"]]}, "fields: must be an object of the form's fields"),
        ({"fields": {"cpu": "2"}}, "fields: 'cpu' must be a list of texts"),
        ({"fields": {"cpu": [2]}}, "fields: 'cpu' must be a list of texts"),
        ({"fields": {"cpu": [["2"]]}}, "fields: 'cpu' must be a list of texts"),
        ({"fields": {"cpu": [None]}}, "fields: 'cpu' must be a list of texts"),
        ({"fields": {"image": ["evil"]}}, "fields: 'image' is not a field of the form"),
        ({"fields": {"_xsrf": ["x"]}}, "fields: '_xsrf' is not a field of the form"),
        ({"fields": {MARKUP: ["x"]}}, f"fields: '{MARKUP}' is not a field of the form"),
        ({**SENT, "replace": "yes"}, "replace: must be true or false, not 'yes'"),
        ({**SENT, "replace": None}, "replace: must be true or false, not null"),
        ({**SENT, "user": "eve"}, "body: 'user' is not a known key; known: fields, replace"),
    ],
)
async def test_a_body_that_is_none_is_refused_with_what_is_accepted(
    ada: Page, body: Any, said: str
) -> None:
    answer = await ada.send("PUT", "/mine", body)
    assert answer.status_code == 400
    assert message(answer).startswith(said)
    assert await ada.names() == []


@pytest.mark.parametrize("body", [b"", [], {}, {"name": 1}, {"name": None}, {"name": ["a"]}])
async def test_a_new_name_must_be_a_text(ada: Page, body: Any) -> None:
    await ada.put()
    assert (await ada.send("PATCH", "/mine", body)).status_code == 400
    assert await ada.names() == ["mine"]


async def test_no_message_repeats_the_value_of_a_field(
    ada: Page, caplog: pytest.LogCaptureFixture
) -> None:
    """S18."""
    env = ["PASSWORD=tell-nobody"]
    for fields in ({"env": env, "cpu": 2}, {"env": env[0]}, {"env": [*env, "x" * FIELDS_BYTES]}):
        answer = await ada.put(fields=fields)
        assert answer.status_code in {400, 413}
        assert "tell-nobody" not in answer.text
    assert "tell-nobody" not in caplog.text


async def test_fields_that_are_too_large_are_refused_with_the_most(ada: Page) -> None:
    room = FIELDS_BYTES - len('{"env": [""]}')
    answer = await ada.put(fields={"env": ["x" * (room + 1)]})
    assert answer.status_code == 413
    assert "at most 64 KiB is kept" in message(answer)
    assert (await ada.put(fields={"env": ["x" * room]})).status_code == 201


async def test_a_huge_body_is_not_read(ada: Page) -> None:
    huge = b"x" * (int(LIMITS["max_body_size"]) * 40)
    with pytest.raises(httpx.TransportError):  # it is closed while it is being sent
        await ada.send("PUT", "/mine", huge)
    assert await ada.names() == []


# ---- a database that is away -------------------------------------------------------


async def test_while_the_records_are_away_it_says_so_and_then_works(ada: Page, file: Path) -> None:
    await asyncio.to_thread(file.mkdir)
    for method, path, body, _ in REQUESTS:
        answer = await ada.send(method, path, body)
        assert answer.status_code == 503
        assert message(answer) == "Templates cannot be read or kept now; try again later"
    await asyncio.to_thread(file.rmdir)
    assert (await ada.put()).status_code == 201


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_all_templates_at_once_cannot_be_changed(ada: Page, method: str) -> None:
    assert (await ada.send(method, "", SENT)).status_code == 405


@pytest.mark.parametrize("path", ["/", "/a/b"])
async def test_there_is_nothing_beside(ada: Page, path: str) -> None:
    assert (await ada.send("GET", path)).status_code == 404
