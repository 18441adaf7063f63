"""Who comes in and how: every address × (known, unknown, forbidden), and what answers carry."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import httpx
import pytest

pytest.importorskip("jupyterhub")

from bai_spawner.assets import assets, digest
from bai_spawner.service.__main__ import LIMITS
from bai_spawner.service.app import make_app
from bai_spawner.service.board import Board
from tests.service import (
    BASE,
    CORS,
    NAVIGATION,
    NO_CORS,
    PREFIX,
    FakeHub,
    Page,
    has_traceback,
    serving,
)

VERSION = digest()
MODULES = sorted(assets())


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    """What the handlers ask; the next test has another."""
    made = FakeHub.instance()
    yield made
    made.close()


@pytest.fixture
async def url(hub: FakeHub) -> AsyncIterator[str]:
    async with serving(make_app(PREFIX, BASE, Board("sqlite:////dev/null/none", "hub"))) as found:
        yield found


@pytest.fixture
async def nobody(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url) as client:
        yield client


@pytest.fixture
async def ada(hub: FakeHub, url: str) -> AsyncIterator[Page]:
    page = Page(url, hub.add("ada"))
    yield page
    await page.http.aclose()


@pytest.mark.parametrize("headers", [NO_CORS, NAVIGATION, {}])
async def test_a_page_comes_in_through_the_hub_and_hears_who_its_visitor_is(
    ada: Page, headers: dict[str, str]
) -> None:
    answer = await ada.log_in(headers)
    assert answer.status_code == 200
    found = answer.json()
    assert (found["user"], found["admin"]) == ("ada", False)
    assert (
        f"_xsrf={found['xsrf_token']}; Path={PREFIX}; SameSite=Lax" in answer.headers["Set-Cookie"]
    )
    again = await ada.http.get(f"{PREFIX}api/visit", headers=headers)
    assert again.json()["xsrf_token"] == found["xsrf_token"]


async def test_a_script_comes_in_with_the_token_and_not_without(ada: Page) -> None:
    await ada.visit()
    assert (await ada.ask("GET", "api/visit")).status_code == 200
    for token in ("", "wrong", ada.xsrf[:-1], "\u00e9"):
        headers = {**CORS, "X-XSRFToken": token.encode()}
        answer = await ada.http.get(f"{PREFIX}api/visit", headers=headers)  # type: ignore[arg-type]
        assert answer.status_code == 403, token


async def test_a_lost_token_is_given_again(ada: Page) -> None:
    await ada.visit()
    ada.http.cookies.delete("_xsrf")
    answer = await ada.http.get(f"{PREFIX}api/visit", headers=NO_CORS)
    assert (answer.status_code, "_xsrf" in answer.cookies) == (200, True)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_another_sites_page_hears_nothing(ada: Page, site: str) -> None:
    await ada.visit()
    headers = {**NO_CORS, "Sec-Fetch-Site": site}
    answer = await ada.http.get(f"{PREFIX}api/visit", headers=headers)
    assert answer.status_code == 403
    assert "ada" not in answer.text


@pytest.mark.parametrize("path", ["api/visit", "launch"])
async def test_nobody_is_led_to_the_hub_and_a_script_is_refused(
    nobody: httpx.AsyncClient, path: str
) -> None:
    answer = await nobody.get(f"{PREFIX}{path}", headers=NAVIGATION)
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/my%20base/hub/api/oauth2/authorize?")
    assert (await nobody.get(f"{PREFIX}{path}", headers=CORS)).status_code == 403


@pytest.mark.parametrize(
    "changed",
    [
        {"scopes": []},
        {"scopes": ["access:servers!server=ada/one", "users:activity!user=ada"]},
        {"scopes": ["access:services!service=another"]},
        {"kind": "service"},
    ],
)
@pytest.mark.parametrize("path", ["api/visit", "launch"])
async def test_who_may_not_use_the_service_is_refused(
    hub: FakeHub, nobody: httpx.AsyncClient, changed: dict[str, object], path: str
) -> None:
    token = hub.add("ada", **changed)
    answer = await nobody.get(f"{PREFIX}{path}", headers={"Authorization": f"token {token}"})
    assert answer.status_code == 403
    assert answer.json()["message"].endswith(" ada is not allowed.")


async def test_a_users_own_token_needs_no_cookie(hub: FakeHub, nobody: httpx.AsyncClient) -> None:
    headers = {"Authorization": f"token {hub.add('ada')}"}
    assert (await nobody.get(f"{PREFIX}api/visit", headers=headers)).json()["user"] == "ada"
    headers = {"Authorization": "token made-up"}
    assert (await nobody.get(f"{PREFIX}api/visit", headers=headers)).status_code == 302


async def test_a_token_in_the_address_is_no_token(hub: FakeHub, nobody: httpx.AsyncClient) -> None:
    answer = await nobody.get(f"{PREFIX}api/visit", params={"token": hub.add("ada")})
    assert answer.status_code == 302


@pytest.mark.parametrize("name", ["ada", "ada/../admin", "a@b~c", "☃ %2f?#"])
async def test_a_link_leads_to_a_fresh_form_on_the_hub(hub: FakeHub, url: str, name: str) -> None:
    page = Page(url, hub.add(name))
    async with page.http:
        answers = [
            await page.log_in(NAVIGATION, f"launch{query}")
            for query in ("", "?next=https://evil.example/", "?opt-environment=python")
        ]
    seen = set()
    for answer in answers:
        assert answer.status_code == 302
        target = answer.headers["Location"]
        assert re.fullmatch(r"/my%20base/hub/spawn/[A-Za-z0-9@~%._-]+/[a-z0-9-]+", target)
        seen.add(target)
    assert len(seen) == 3


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example/services/sessions/api/visit",
        "https://evil.example/services/sessions/api/visit",
        f"//evil.example{PREFIX}api/visit",
        f"https://evil.example{PREFIX}api/visit",
    ],
)
async def test_no_address_leads_away_from_the_hub_after_the_login(url: str, path: str) -> None:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n".encode())
    line = await reader.readline()
    assert line.startswith(b"HTTP/1.1 404"), line
    writer.close()
    await writer.wait_closed()


async def test_a_hub_that_is_away_is_said_to_be(
    hub: FakeHub, nobody: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    hub.is_away = True
    headers = {"Authorization": f"token {hub.add('ada')}"}
    with caplog.at_level(logging.ERROR):
        answer = await nobody.get(f"{PREFIX}api/visit", headers=headers)
    assert answer.status_code == 503
    assert answer.json() == {"message": "the hub does not answer now; try again"}


# ---- static files and the rest ------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
async def test_a_static_file_is_for_anybody_and_for_ever(
    nobody: httpx.AsyncClient, name: str
) -> None:
    answer = await nobody.get(f"{PREFIX}static/{VERSION}/{name}", headers=NAVIGATION)
    assert answer.content == assets()[name]
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in answer.headers
    head = await nobody.head(f"{PREFIX}static/{VERSION}/{name}")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize(
    "path",
    [
        "static/0123456789abcdef/service.js",
        f"static/{VERSION}/",
        f"static/{VERSION}/nothing.js",
        f"static/{VERSION}/..%2frender.py",
        f"static/{VERSION}/%2e%2e/render.py",
        "static/service.js",
        "api/",
        "api/visit/",
        "nothing",
        "<script>alert(1)</script>",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_every_other_address_has_nothing(
    nobody: httpx.AsyncClient, path: str, method: str
) -> None:
    answer = await nobody.request(method, f"{PREFIX}{path}")
    assert answer.status_code in ({404} if method == "GET" else {403, 404, 405}), answer.text
    assert answer.headers["Content-Type"] == "application/json"
    assert set(answer.json()) == {"message"}
    assert not has_traceback(answer.text)


async def test_it_answers_whoever_watches_over_it(nobody: httpx.AsyncClient) -> None:
    assert (await nobody.get(f"{PREFIX}health")).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["api/visit", "launch", "health", ""])
async def test_nothing_here_is_changed_by_an_unsafe_verb(ada: Page, method: str, path: str) -> None:
    await ada.visit()
    for headers in (CORS, NO_CORS, NAVIGATION):
        answer = await ada.http.request(method, f"{PREFIX}{path}", headers=headers)
        assert answer.status_code in {403, 405}


async def test_a_login_that_another_page_crossed_begins_once_more(
    hub: FakeHub, nobody: httpx.AsyncClient
) -> None:
    asked = {"code": hub.add("ada"), "state": "of-another"}
    path = f"{PREFIX}oauth_callback"
    first = await nobody.get(path, params=asked, headers=NAVIGATION)
    assert (first.status_code, first.headers["Location"]) == (302, PREFIX)
    second = await nobody.get(path, params=asked, headers=NAVIGATION)
    assert second.status_code == 403
    assert "Try logging in again" in second.json()["message"]
    nobody.cookies.clear()
    assert (await nobody.get(path, params=asked, headers=NO_CORS)).status_code == 403


@pytest.mark.parametrize("path", ["api/visit", "nothing", "health", "oauth_callback"])
async def test_every_answer_says_how_it_may_be_used(nobody: httpx.AsyncClient, path: str) -> None:
    headers = (await nobody.get(f"{PREFIX}{path}")).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "frame-ancestors 'none'; default-src 'none'"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize(
    "query",
    ["", "?code=x", "?code=x&state=y", "?error=denied&error_description=<b>", "?state=y"],
)
async def test_a_callback_out_of_the_blue_logs_nobody_in(
    nobody: httpx.AsyncClient, query: str
) -> None:
    answer = await nobody.get(f"{PREFIX}oauth_callback{query}", headers=NAVIGATION)
    assert answer.status_code in {400, 403} or answer.headers["Location"] == PREFIX
    assert (
        "Set-Cookie" not in answer.headers or "service-sessions" not in answer.headers["Set-Cookie"]
    )
    assert not has_traceback(answer.text)


async def test_a_body_that_is_too_long_is_not_read(ada: Page) -> None:
    await ada.visit()
    try:
        answer = await ada.ask("POST", "api/visit", content=b"x" * (LIMITS["max_body_size"] + 1))
    except httpx.TransportError:
        return  # the connection is closed in the middle of it
    assert answer.status_code in {400, 413}


async def test_no_code_of_a_login_is_in_the_log(
    nobody: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="bai_spawner.service"):
        await nobody.get(f"{PREFIX}oauth_callback?code=a-secret-code&state=a-secret-state")
        await nobody.get(f"{PREFIX}nothing%0a[E injected]")
    said = [r.getMessage() for r in caplog.records if r.name == "bai_spawner.service"]
    assert len(said) == 2
    assert "oauth_callback" in said[0]
    assert "secret" not in "".join(said)
    assert "\n" not in "".join(said)
