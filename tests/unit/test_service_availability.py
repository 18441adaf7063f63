"""What an open form is answered: by whom it is asked, for whom, and what is not there yet."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from tornado.web import Application, RequestHandler

pytest.importorskip("jupyterhub")

from bai_spawner import bulletin
from bai_spawner.policy import NodeFree
from bai_spawner.reasons import Status
from bai_spawner.records import Facts, Records
from bai_spawner.service.app import make_app
from bai_spawner.service.board import Board
from bai_spawner.units import GIB
from tests.examples import small_catalog
from tests.service import BASE, HUB, NO_CORS, PREFIX, FakeHub, Page, has_traceback, serving

FREE = {"default": (NodeFree("local", 6, 12 * GIB),), "gpu": ()}
BOLD = "<b>bold</b>"


class HubUsers(RequestHandler):
    """The hub's answer about a user: 404 for one whom the asker may not see."""

    hub: FakeHub

    def get(self, name: str) -> None:
        if self.hub.is_away:
            raise ConnectionError
        token = self.request.headers["Authorization"].removeprefix("token ")
        found = self.hub.readable.get(token, {}).get(name)
        self.set_status(200 if found else 404)
        self.finish(found or {"status": 404, "message": f"No such user: {name}"})


@pytest.fixture
async def hub() -> AsyncIterator[FakeHub]:
    made = FakeHub.instance()
    users = type("Users", (HubUsers,), {"hub": made})
    async with serving(Application([(r"/hub/api/users/(.+)", users)])) as url:
        made.api_url = f"{url}/hub/api"
        yield made
    made.close()


def publish(records: Records, *, ago: float = 0) -> None:
    at = datetime.now(UTC) - timedelta(seconds=ago)
    records.publish(HUB, bulletin.CATALOGUE, bulletin.catalogue(small_catalog()), at=at)
    records.publish(HUB, bulletin.AVAILABILITY, bulletin.availability(FREE), at=at)


def enter_session(records: Records, user: str, name: str, *, hub: str = HUB) -> None:
    facts = Facts(
        id=f"{hub}-{user}-{name}",
        hub=hub,
        user=user,
        server="one",
        name=name,
        environment="python",
        version="3.13",
        group="default",
        node="local",
        policy="everyone",
        cpu=2,
        memory=GIB,
        shm=0,
    )
    records.begin(facts, at=datetime.now(UTC), status=Status.RUNNING)


async def test_a_visitor_hears_of_their_own_sessions_and_of_no_others(
    records: Records, login: Callable[..., Any]
) -> None:
    publish(records)
    enter_session(records, "ada", BOLD)
    enter_session(records, "grace", "secret")
    enter_session(records, "ada", "elsewhere", hub="another")
    answer = await (await login("ada")).ask("GET", "api/availability")
    assert answer.headers["Content-Type"].startswith("application/json")
    found = answer.json()
    assert (found["names"], found["held"]["cpu"]) == ([BOLD], 2)
    assert "secret" not in answer.text
    assert (await (await login("grace")).ask("GET", "api/availability")).json()["names"] == [
        "secret"
    ]


async def test_the_policy_is_that_of_the_visitors_groups(
    records: Records, login: Callable[..., Any]
) -> None:
    publish(records)
    plain, staff = await login("ada"), await login("grace", groups=["staff"])
    assert set((await plain.ask("GET", "api/availability")).json()["groups"]) == {"default"}
    assert set((await staff.ask("GET", "api/availability")).json()["groups"]) == {"default", "gpu"}


async def test_how_old_it_is_is_said_and_is_no_error(
    records: Records, login: Callable[..., Any]
) -> None:
    publish(records, ago=3600)
    found = (await (await login("ada")).ask("GET", "api/availability")).json()
    assert 3600 <= found["age"] < 3700


async def test_a_hub_that_has_not_published_yet_is_told_as_such(
    records: Records, login: Callable[..., Any]
) -> None:
    ada = await login("ada")
    answer = await ada.ask("GET", "api/availability")
    assert answer.status_code == 503
    assert answer.json()["message"].startswith("the hub has only just begun")
    publish(records)
    assert (await ada.ask("GET", "api/availability")).status_code == 200


async def test_a_new_catalogue_is_read_when_the_hub_publishes_it(
    records: Records, login: Callable[..., Any]
) -> None:
    publish(records, ago=10)
    ada = await login("ada")
    await ada.ask("GET", "api/availability")
    changed = small_catalog(policies=[{"name": "everyone"}])
    records.publish(HUB, bulletin.CATALOGUE, bulletin.catalogue(changed), at=datetime.now(UTC))
    found = (await ada.ask("GET", "api/availability")).json()
    assert set(found["groups"]) == {"default", "gpu"}


async def test_records_that_are_away_are_said_to_be_without_saying_where_they_are(
    hub: FakeHub, caplog: pytest.LogCaptureFixture
) -> None:
    away = "postgresql+psycopg://bai:secret@127.0.0.1:1/records"
    async with serving(make_app(PREFIX, BASE, Board(away, HUB))) as url:
        page = Page(url, hub.add("ada"))
        async with page.http:
            await page.visit()
            with caplog.at_level(logging.ERROR):
                answer = await page.ask("GET", "api/availability")
    assert answer.status_code == 503
    assert answer.json() == {"message": "the records cannot be read now; try again"}
    assert "cannot open the records" in caplog.text
    assert "secret" not in caplog.text


# ---- another user


async def test_who_may_see_a_user_hears_what_that_user_can_get(
    hub: FakeHub, records: Records, login: Callable[..., Any]
) -> None:
    publish(records)
    enter_session(records, "grace", "hers")
    admin = await login("root", admin=True)
    hub.readable[admin.token] = {"grace": {"name": "grace", "groups": ["staff"]}}
    found = (await admin.ask("GET", "api/availability?user=grace")).json()
    assert found["names"] == ["hers"]
    assert set(found["groups"]) == {"default", "gpu"}, "as her own groups allow"


@pytest.mark.parametrize(
    "name", ["grace", "nobody", "../ada", "grace/../../user", "a%2fb", BOLD, "\r\nX: y", "x" * 5000]
)
async def test_who_may_not_be_seen_answers_like_nobody(
    records: Records, login: Callable[..., Any], name: str
) -> None:
    publish(records)
    enter_session(records, "grace", "hers")
    ada = await login("ada")
    answer = await ada.ask("GET", "api/availability", params={"user": name})
    nobody = await ada.ask("GET", "api/availability", params={"user": "no such user"})
    assert answer.status_code == nobody.status_code == 404
    assert answer.content == nobody.content


@pytest.mark.parametrize("model", [{"name": "grace"}, {"name": "another", "groups": []}, {}])
async def test_a_user_of_whom_the_hub_does_not_tell_enough_is_not_told_of(
    hub: FakeHub, records: Records, login: Callable[..., Any], model: dict[str, Any]
) -> None:
    publish(records)
    ada = await login("ada")
    hub.readable[ada.token] = {"grace": model}
    assert (await ada.ask("GET", "api/availability?user=grace")).status_code == 404


async def test_a_hub_that_cannot_be_asked_about_another_is_not_nobody(
    hub: FakeHub, records: Records, login: Callable[..., Any]
) -> None:
    publish(records)
    admin = await login("root")
    hub.is_away = True
    answer = await admin.ask("GET", "api/availability?user=grace")
    assert answer.status_code == 503
    assert answer.json() == {"message": "the hub does not answer now; try again"}


@pytest.mark.parametrize("away", ["http://127.0.0.1:1/hub/api", "http://nowhere.invalid/hub/api"])
async def test_a_hub_that_cannot_be_reached_is_one_that_does_not_answer(
    hub: FakeHub, login: Callable[..., Any], away: str
) -> None:
    admin = await login("root")
    hub.api_url = away
    answer = await admin.ask("GET", "api/availability?user=grace")
    assert answer.status_code == 503
    assert answer.json() == {"message": "the hub does not answer now; try again"}


# ---- who may not ask


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_it_is_only_read(login: Callable[..., Any], method: str) -> None:
    answer = await (await login("ada")).ask(method, "api/availability")
    assert answer.status_code == 405
    assert not has_traceback(answer.text)


async def test_without_the_token_of_the_visit_nothing_is_told(login: Callable[..., Any]) -> None:
    ada = await login("ada")
    for token in ("", "wrong"):
        answer = await ada.ask("GET", "api/availability", headers={"X-XSRFToken": token})
        assert (answer.status_code, answer.json()) == (
            403,
            {"message": "log in, or reload the page"},
        )


async def test_nobody_is_refused_and_not_led_away(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as nobody:
        for headers in ({}, NO_CORS):
            answer = await nobody.get(f"{PREFIX}api/availability", headers=headers)
            assert answer.status_code == 403
