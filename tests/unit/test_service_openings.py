"""The API of opened apps by every door: who asks the proxy for what, and what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from jupyterhub._data import DATA_FILES_PATH
from tornado.web import Application

pytest.importorskip("jupyterhub")

from bai_spawner.app_proxy.client import Told
from bai_spawner.app_proxy.site import Site
from bai_spawner.form import TEMPLATES
from bai_spawner.reasons import End, Ending
from bai_spawner.records import Records
from bai_spawner.service.app import make_app
from bai_spawner.service.board import Board
from bai_spawner.service.opener import Opener
from tests.fake_app_proxy import NOW, OPENING, FakeProxy, begin, with_sessions
from tests.service import BASE, HUB, NAVIGATION, PREFIX, FakeHub, Page, serving

PATHS = (str(TEMPLATES), f"{DATA_FILES_PATH}/templates")
NONCE = "ab" * 32


@pytest.fixture
async def hub() -> AsyncIterator[FakeHub]:
    made = FakeHub.instance()
    yield made
    made.close()


@pytest.fixture
def records(url_of_records: str) -> Iterator[Records]:
    made = with_sessions(url_of_records, ("mine", "ada", "mine"), ("hers", "grace", "hers"))
    yield made
    made.close()


@pytest.fixture
def proxy(records: Records) -> FakeProxy:
    return FakeProxy(records)


@pytest.fixture
async def app(hub: FakeHub, proxy: FakeProxy, url_of_records: str) -> AsyncIterator[Application]:
    board = Board(url_of_records, HUB)
    yield make_app(
        PREFIX, BASE, board, template_paths=PATHS, app_proxy=proxy, apps_url="http://apps"
    )
    board.records.close()


@pytest.fixture
async def url(app: Application) -> AsyncIterator[str]:
    async with serving(app) as found:
        yield found


@pytest.fixture
async def root(login: Callable[..., Any]) -> Page:
    return await login("root", admin=True)


async def test_what_is_asked_for_reaches_the_proxy_with_who_asked_and_whence(
    ada: Page, proxy: FakeProxy
) -> None:
    expires = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    asked = {
        "public": True,
        "port": 30001,
        "expires": expires,
        "allowed": ["192.0.2.7", "2001:db8::/32"],
        "password": "long enough",
    }
    answer = await ada.ask("POST", "api/sessions/mine/apps/board", json=asked)
    assert answer.status_code == 201
    assert answer.json()["url"] == "http://apps:30001/"
    assert answer.json()["password"] is True
    assert "salt" not in answer.text
    ((method, path, sent),) = proxy.asked
    assert (method, path) == ("POST", "/openings")
    assert sent["password"] != "long enough"
    del sent["password"]
    assert sent == {
        "session": "mine",
        "app": "board",
        "by": "ada",
        "whence": "127.0.0.1",
        "public": True,
        "wanted": 30001,
        "expires": expires,
        "allowed": ["192.0.2.7/32", "2001:db8::/32"],
    }


async def test_how_apps_may_be_opened_and_which_are_is_told(ada: Page, records: Records) -> None:
    begin(records, OPENING, "mine")
    found = (await ada.ask("GET", "api/sessions/mine/apps")).json()
    assert (found["offered"], found["public"], found["preferred_port"]) == (True, True, False)
    assert [one["id"] for one in found["open"]] == [OPENING]


async def test_what_the_proxy_refuses_is_told_with_its_field(ada: Page, proxy: FakeProxy) -> None:
    proxy.answer = Told(409, {"field": "port", "message": "all are taken"})
    answer = await ada.ask("POST", "api/sessions/mine/apps/board", json={})
    assert (answer.status_code, answer.json()["message"]) == (409, "port: all are taken")


async def test_a_proxy_that_is_away_is_said_to_be(ada: Page, proxy: FakeProxy) -> None:
    proxy.is_away = True
    answer = await ada.ask("POST", "api/sessions/mine/apps/board", json={})
    assert answer.status_code == 503
    assert "their proxy does not answer" in answer.json()["message"]


async def test_anothers_session_and_opening_are_as_what_there_is_not(
    ada: Page, records: Records, proxy: FakeProxy
) -> None:
    """S17."""
    begin(records, OPENING, "hers", opened_by="grace")
    for method, path in (
        ("GET", "api/sessions/hers/apps"),
        ("POST", "api/sessions/hers/apps/board"),
        ("DELETE", f"api/openings/{OPENING}"),
    ):
        theirs = await ada.ask(method, path)
        nobodys = await ada.ask(method, path.replace("hers", "none").replace("01", "02"))
        assert (theirs.status_code, theirs.text) == (404, nobodys.text)
    assert (await ada.ask("GET", "api/openings")).json() == {"open": [], "closed": []}
    assert proxy.asked == []


async def test_a_superadmin_sees_and_closes_everyones_and_opens_nobodys(
    root: Page, records: Records, proxy: FakeProxy
) -> None:
    begin(records, OPENING, "hers", opened_by="grace")
    (seen,) = (await root.ask("GET", "api/openings")).json()["open"]
    assert (seen["user"], seen["opened_from"]) == ("grace", "192.0.2.7")
    assert (await root.ask("GET", "api/sessions/hers/apps")).json()["offered"] is False
    assert (await root.ask("POST", "api/sessions/hers/apps/board", json={})).status_code == 403
    assert (await root.ask("DELETE", f"api/openings/{OPENING}")).status_code == 204
    why = {"by": "root", "why": "closed by an administrator"}
    assert proxy.asked == [("DELETE", f"/openings/{OPENING}", why)]


async def test_what_was_open_is_told_with_its_end(ada: Page, records: Records) -> None:
    begin(records, OPENING, "mine")
    records.openings.end(OPENING, at=NOW + timedelta(hours=1), by="", why="its session ended")
    records.end("mine", End(Ending.USER), at=NOW + timedelta(hours=1))
    found = (await ada.ask("GET", "api/openings")).json()
    assert found["open"] == []
    (was,) = found["closed"]
    assert (was["closed"], was["why"]) == ("2026-11-26T13:00:00+00:00", "its session ended")


async def test_without_a_proxy_nothing_is_offered(app: Application, ada: Page) -> None:
    app.settings["opener"] = Opener(app.settings["board"], None, Site("http://apps", "", ""))
    assert (await ada.ask("GET", "api/sessions/mine/apps")).json()["offered"] is False
    answer = await ada.ask("POST", "api/sessions/mine/apps/board", json={})
    assert answer.status_code == 404
    assert "the administrator set no apps_url" in answer.json()["message"]


# ---- the way into a private app


async def test_a_visitor_is_led_on_with_a_ticket_that_their_own_token_asked_for(
    ada: Page, proxy: FakeProxy
) -> None:
    path = f"enter?opening={OPENING}&nonce={NONCE}&next=%2Fa%3Fb"
    answer = await ada.http.get(f"{PREFIX}{path}", headers=NAVIGATION)
    assert answer.status_code == 302
    assert answer.headers["Location"] == "http://apps:30001/.bai/enter?ticket=t"
    asked = {"opening": OPENING, "token": ada.token, "nonce": NONCE, "next": "/a?b"}
    assert proxy.asked == [("POST", "/tickets", asked)]


async def test_who_is_not_logged_in_is_led_to_the_login(url: str, proxy: FakeProxy) -> None:
    page = Page(url, "nobody")
    path = f"{PREFIX}enter?opening={OPENING}&nonce={NONCE}"
    answer = await page.http.get(path, headers=NAVIGATION)
    assert answer.status_code == 302
    assert "/oauth2/authorize?" in answer.headers["Location"]
    assert proxy.asked == []
    await page.http.aclose()


@pytest.mark.parametrize(
    ("status", "words"),
    [(403, "This app is private"), (404, "This app is not open"), (503, "cannot be opened now")],
)
async def test_who_is_not_let_in_is_told_why(
    ada: Page, proxy: FakeProxy, status: int, words: str
) -> None:
    proxy.answer = Told(status, {"message": "no"})
    path = f"{PREFIX}enter?opening={OPENING}&nonce={NONCE}"
    answer = await ada.http.get(path, headers=NAVIGATION)
    assert answer.status_code == status
    assert words in answer.text


@pytest.mark.parametrize(
    "query",
    ["", f"opening={OPENING}", f"opening=..%2Fx&nonce={NONCE}", f"opening={OPENING}&nonce=x"],
)
async def test_a_link_that_no_app_made_leads_nowhere(
    ada: Page, proxy: FakeProxy, query: str
) -> None:
    answer = await ada.http.get(f"{PREFIX}enter?{query}", headers=NAVIGATION)
    assert answer.status_code == 400
    assert proxy.asked == []


@pytest.mark.parametrize("path", ["https:%2F%2Fevil", "evil", ""])
async def test_a_way_back_that_is_no_path_is_left_out(
    ada: Page, proxy: FakeProxy, path: str
) -> None:
    address = f"{PREFIX}enter?opening={OPENING}&nonce={NONCE}&next={path}"
    await ada.http.get(address, headers=NAVIGATION)
    assert proxy.asked[0][2]["next"] == "/"


# ---- programs


async def test_a_program_opens_and_closes_with_its_users_token_alone(
    url: str, hub: FakeHub, records: Records, proxy: FakeProxy
) -> None:
    headers = {"Authorization": f"token {hub.add('ada')}"}
    async with httpx.AsyncClient(base_url=f"{url}{PREFIX}", headers=headers) as program:
        answer = await program.post("api/sessions/mine/apps/board", json={"public": True})
        assert answer.status_code == 201, answer.text
        assert (await program.delete(f"api/openings/{OPENING}")).status_code == 204
    assert [method for method, *_ in proxy.asked] == ["POST", "DELETE"]
    del records


async def test_a_token_that_is_none_does_not_stand_for_the_pages_own(
    ada: Page, proxy: FakeProxy
) -> None:
    """Else whoever sends any token with somebody's cookie needed no proof of a page's (S14)."""
    for told in ({"Authorization": "token nobodys"}, {"Authorization": "Basic x"}, {}):
        headers = {**told, "X-XSRFToken": ""}
        for method, path in (
            ("POST", "api/sessions/mine/apps/board"),
            ("DELETE", f"api/openings/{OPENING}"),
        ):
            answer = await ada.http.request(method, f"{PREFIX}{path}", headers=headers)
            assert answer.status_code == 403, (method, told)
    assert proxy.asked == []
