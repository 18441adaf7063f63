"""A session opens and closes its own apps, with its own token, as its policy allows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

pytest.importorskip("jupyterhub")

from bai_spawner.app_proxy.client import Told
from bai_spawner.reasons import End, Ending
from bai_spawner.records import Records
from bai_spawner.service import own
from bai_spawner.service.app import make_app
from bai_spawner.service.board import Board
from tests.api_contract import hold
from tests.fake_app_proxy import NOW, OPENING, FakeProxy, begin, with_sessions
from tests.service import BASE, HUB, PREFIX, FakeHub, serving

APPS = f"{PREFIX}api/own/apps"
OPENINGS = f"{PREFIX}api/own/openings"


@pytest.fixture
def records(url_of_records: str) -> Iterator[Records]:
    made = with_sessions(
        url_of_records, ("one", "ada", "s1"), ("two", "ada", "s2"), ("her", "eve", "s1")
    )
    yield made
    made.close()


@pytest.fixture
def proxy(records: Records) -> FakeProxy:
    return FakeProxy(records)


@pytest.fixture
async def http(
    hub: FakeHub, proxy: FakeProxy, url_of_records: str
) -> AsyncIterator[httpx.AsyncClient]:
    board = Board(url_of_records, HUB)
    app = make_app(PREFIX, BASE, board, app_proxy=proxy, apps_url="http://apps")
    async with (
        serving(app) as url,
        httpx.AsyncClient(base_url=url, event_hooks={"response": [hold]}) as client,
    ):
        yield client
    board.records.close()


@pytest.fixture
def token(hub: FakeHub) -> dict[str, str]:
    """Of the session "one"."""
    scopes = ["users:activity!user=ada", "access:servers!server=ada/s1"]
    found = hub.add("ada/s1", scopes=scopes)
    hub.models[found]["name"] = "ada"
    return {"Authorization": f"token {found}"}


async def test_a_session_is_told_how_its_apps_may_be_opened_and_which_are(
    http: httpx.AsyncClient, records: Records, token: dict[str, str]
) -> None:
    begin(records, OPENING, "one")
    begin(records, "0" * 31 + "2", "two", port=30002)
    found = (await http.get(APPS, headers=token)).json()
    rules = (found["offered"], found["public"], found["preferred_port"])
    assert rules == (True, True, False)
    assert [(it["id"], it["url"]) for it in found["open"]] == [(OPENING, "http://apps:30001/")]


async def test_it_opens_in_its_users_name_and_never_anothers_session(
    http: httpx.AsyncClient, proxy: FakeProxy, token: dict[str, str]
) -> None:
    answer = await http.post(f"{APPS}/board", headers=token, json={"public": True})
    assert answer.status_code == 201, answer.text
    assert answer.json()["public"] is True
    ((method, path, sent),) = proxy.asked
    assert (method, path) == ("POST", "/openings")
    assert (sent["session"], sent["app"], sent["by"]) == ("one", "board", "ada")
    assert sent["whence"] == "its session, 127.0.0.1"


async def test_it_closes_what_is_its_own_alone(
    http: httpx.AsyncClient, records: Records, proxy: FakeProxy, token: dict[str, str]
) -> None:
    begin(records, OPENING, "one")
    other = "0" * 31 + "2"
    begin(records, other, "two", port=30002)
    answer = await http.delete(f"{OPENINGS}/{OPENING}", headers=token)
    assert answer.status_code == 204, answer.text
    told = {"by": "ada", "why": "closed in its session"}
    assert proxy.asked == [("DELETE", f"/openings/{OPENING}", told)]
    for unknown in (other, "nothing"):
        answer = await http.delete(f"{OPENINGS}/{unknown}", headers=token)
        assert answer.status_code == 404
    assert len(proxy.asked) == 1


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"port": 80}, "port: must be a whole number from 1024 to 65535"),
        ({"public": "yes"}, "public: must be true or false"),
        ({"password": "long enough"}, "password: goes with public apps alone"),
        ({"session": "two"}, "body: 'session' is not a known key"),
    ],
)
async def test_what_cannot_be_asked_for_is_named_and_nothing_opens(
    http: httpx.AsyncClient, proxy: FakeProxy, token: dict[str, str], sent: Any, told: str
) -> None:
    answer = await http.post(f"{APPS}/board", headers=token, json=sent)
    assert answer.status_code == 400
    assert told in answer.json()["message"]
    assert proxy.asked == []


async def test_more_than_anybody_means_is_not_read(
    http: httpx.AsyncClient, token: dict[str, str]
) -> None:
    sent = {"allowed": ["x" * own.LONGEST_BODY]}
    assert (await http.post(f"{APPS}/board", headers=token, json=sent)).status_code == 413


async def test_a_refusal_is_told_in_the_proxys_words(
    http: httpx.AsyncClient, proxy: FakeProxy, token: dict[str, str]
) -> None:
    words = {"field": "public", "message": "the policy 'everyone' does not allow it"}
    proxy.answer = Told(409, words)
    answer = await http.post(f"{APPS}/board", headers=token, json={"public": True})
    assert answer.status_code == 409
    assert answer.json()["message"] == "public: the policy 'everyone' does not allow it"
    proxy.answer, proxy.is_away = None, True
    answer = await http.post(f"{APPS}/board", headers=token, json={})
    assert answer.status_code == 503


async def test_nobody_else_may(
    http: httpx.AsyncClient, hub: FakeHub, proxy: FakeProxy, records: Records
) -> None:
    begin(records, OPENING, "one")
    visitor = hub.add("ada", scopes=["access:services!service=sessions"])
    for headers in ({}, {"Authorization": f"token {visitor}"}, {"Cookie": "jupyterhub-x=1"}):
        for method, path in (
            ("GET", APPS),
            ("POST", f"{APPS}/board"),
            ("DELETE", f"{OPENINGS}/{OPENING}"),
        ):
            answer = await http.request(method, path, headers=headers)
            assert answer.status_code == 403, (method, headers)
    assert proxy.asked == []


async def test_a_session_that_is_over_opens_nothing(
    http: httpx.AsyncClient, records: Records, proxy: FakeProxy, token: dict[str, str]
) -> None:
    records.end("one", End(Ending.USER), at=NOW)
    assert (await http.post(f"{APPS}/board", headers=token, json={})).status_code == 404
    assert proxy.asked == []


async def test_who_asks_too_often_waits_and_still_reports_its_use(
    http: httpx.AsyncClient, token: dict[str, str]
) -> None:
    answers = [await http.get(APPS, headers=token) for _ in range(own.MOST + 1)]
    assert [it.status_code for it in answers] == [200] * own.MOST + [429]
    sent = {"what": "idle"}
    answer = await http.post(f"{PREFIX}api/own/extend", headers=token, json=sent)
    assert answer.status_code == 409  # no limit is set, and that was asked


async def test_without_a_proxy_nothing_is_offered(
    hub: FakeHub, url_of_records: str, records: Records, token: dict[str, str]
) -> None:
    board = Board(url_of_records, HUB)
    async with (
        serving(make_app(PREFIX, BASE, board)) as url,
        httpx.AsyncClient(base_url=url, event_hooks={"response": [hold]}) as client,
    ):
        assert (await client.get(APPS, headers=token)).json()["offered"] is False
        answer = await client.post(f"{APPS}/board", headers=token, json={})
        assert answer.status_code == 404
        assert "the administrator set no apps_url" in answer.json()["message"]
    board.records.close()
