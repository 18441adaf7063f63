"""The numbers' addresses by every door: whose they are, and what is refused."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

pytest.importorskip("jupyterhub")

from bai_spawner import bulletin
from bai_spawner.bulletin import DeviceWhole, Whole
from bai_spawner.gpu.placement import DeviceFree, Terms
from bai_spawner.policy import NodeFree
from bai_spawner.reasons import End, Ending, Status
from bai_spawner.records import Records
from bai_spawner.service.app import make_app
from bai_spawner.service.board import Board
from bai_spawner.units import GIB
from tests.examples import small_catalog
from tests.recorded import a_facts
from tests.service import BASE, HUB, PREFIX, FakeHub, Page, has_traceback, serving

NODE = NodeFree("local", 6, 12 * GIB)
DEVICE = DeviceFree("GPU-0", 3, 4, Terms(isolation="memcap"))
FREE = {"default": (NODE,), "gpu": (NodeFree("local", 6, 12 * GIB, (DEVICE,), per_gpu=4),)}
THERE = {
    "local": Whole(
        16, 64 * GIB, {"GPU-0": DeviceWhole("H100", 4, ("gpu",), "memcap", "", 80 * GIB)}
    )
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@pytest.fixture
async def root(login: Callable[..., Any]) -> Page:
    """A superadmin, to whom both groups are open."""
    return await login("root", admin=True)


def publish(records: Records, *, ago: float = 0, **catalog: Any) -> None:
    at = datetime.now(UTC) - timedelta(seconds=ago)
    body = bulletin.catalogue(small_catalog(**catalog))
    records.publish(HUB, bulletin.CATALOGUE, body, at=at)
    records.publish(HUB, bulletin.AVAILABILITY, bulletin.availability(FREE), at=at)
    records.publish(HUB, bulletin.CAPACITY, bulletin.capacity(THERE), at=at)


def enter(records: Records, session: str, status: Status = Status.RUNNING, **facts: Any) -> None:
    made = a_facts(session, **{"server": f"server-{session}", **facts})
    records.begin(made, at=datetime.now(UTC), status=status)


def cpu(found: dict[str, Any]) -> dict[str, Any]:
    return next(one for one in found["resources"] if one["key"] == "cpu")


async def asked(page: Page, path: str = "api/statistics") -> dict[str, Any]:
    answer = await page.ask("GET", path)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


# ---- what a visitor has


async def test_a_visitor_is_told_of_what_they_have_and_of_nobody_elses(
    records: Records, ada: Page
) -> None:
    """All that lives counts, and nothing that ended; S17."""
    publish(records, ago=5)
    enter(records, "one", cpu=1)
    enter(records, "starting", Status.PREPARING, cpu=1, group="gpu")
    before = await asked(ada)
    enter(records, "hers", user="grace", cpu=3)
    enter(records, "elsewhere", hub="another", cpu=3)
    enter(records, "over", cpu=3)
    records.end("over", End(Ending.USER), at=datetime.now(UTC))
    found = await asked(ada)
    assert {**found, "age": 0} == {**before, "age": 0}
    assert (found["group"], found["groups"]) == (
        "default",
        [{"key": "default", "title": "Default"}],
    )
    assert found["sessions"] == {"used": 2, "limit": 2}
    assert (cpu(found)["here"], cpu(found)["everywhere"], cpu(found)["left"]) == (1, 2, 2)
    assert 5 <= found["age"] < 60


async def test_a_group_is_chosen_and_the_first_is_meant_where_none_is(
    records: Records, root: Page
) -> None:
    """A superadmin's own are told, not everyone's."""
    publish(records)
    enter(records, "mine", user="root", group="gpu", quanta=1, per_gpu=4, devices=("GPU-0",))
    enter(records, "hers", user="grace", group="gpu", cpu=3)
    for query, group in (("", "default"), ("?group=", "default"), ("?group=gpu", "gpu")):
        found = await asked(root, f"api/statistics{query}")
        assert found["group"] == group
        assert (cpu(found)["here"], cpu(found)["everywhere"]) == (2 * (group == "gpu"), 2)
    fgpu = next(one for one in found["resources"] if one["key"] == "fgpu")
    assert fgpu["texts"] == {"here": "0.5", "everywhere": "0.5", "left": "1.5"}


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("group=gpu", "group: 'gpu' is not offered to you; offered: default"),
        ("group=none", "group: 'none' is not offered to you; offered: default"),
        ("group=%3Cb%3E%00", "group: '<b>\\x00' is not offered to you; offered: default"),
        ("group=default&group=default", "group: is there 2 times; give it once"),
        ("group=%FF", "group: is not UTF-8"),
        ("user=root", "query: 'user' is not a known key; known: group"),
    ],
)
async def test_a_group_that_is_not_open_is_answered_like_none(
    records: Records, ada: Page, query: str, told: str
) -> None:
    publish(records)
    answer = await ada.ask("GET", f"api/statistics?{query}")
    assert (answer.status_code, answer.json()) == (400, {"message": told})


async def test_where_no_group_is_open_there_is_none(records: Records, ada: Page) -> None:
    closed = [{"name": "everyone", "resource_groups": []}]
    publish(records, policies=closed)
    found = await asked(ada)
    assert (found["group"], found["groups"], found["resources"]) == ("", [], [])
    answer = await ada.ask("GET", "api/statistics?group=default")
    assert answer.status_code == 400
    assert answer.json()["message"] == "group: nothing is offered to you; ask an administrator"


async def test_a_visitors_groups_decide_by_which_policy(
    records: Records, login: Callable[..., Any]
) -> None:
    publish(records)
    staff = await login("grace", groups=["staff"])
    found = await asked(staff)
    assert [group["key"] for group in found["groups"]] == ["default", "gpu"]
    assert (found["sessions"]["limit"], cpu(found)["left"]) == (None, 6)


# ---- the whole


async def test_a_superadmin_sees_what_everybody_has(records: Records, root: Page) -> None:
    publish(records, ago=5)
    enter(records, "hers", user="grace", group="gpu", quanta=1, per_gpu=4, devices=("GPU-0",))
    enter(records, "elsewhere", hub="another")
    found = await asked(root, "api/whole")
    (node,) = found["nodes"]
    assert (node["sessions"], node["cpu"]) == (1, {"total": 16, "allocated": 2, "free": 6})
    (device,) = node["devices"]
    assert [session["user"] for session in device["sessions"]] == ["grace"]
    assert (device["allocated"], device["free"]) == ("0.5", "1.5")
    assert [group["sessions"] for group in found["groups"]] == [0, 1]
    assert 5 <= found["age"] < 60
    answer = await root.ask("GET", "api/whole?group=gpu")
    assert answer.json() == {"message": "query: 'group' is not a known key; none is"}


@pytest.mark.parametrize("method", METHODS)
async def test_to_everybody_else_it_is_an_address_that_there_is_not(
    hub: FakeHub, records: Records, url: str, ada: Page, method: str
) -> None:
    publish(records)
    paths = ("api/whole", "api/whole-not")
    answers = [await ada.ask(method, path) for path in paths]
    own = hub.add("root", admin=True, scopes=["access:servers!server=root/one"])
    async with httpx.AsyncClient(base_url=url) as client:
        for headers in ({}, {"Authorization": f"token {own}"}, {"Authorization": "token none"}):
            answers += [
                await client.request(method, PREFIX + path, headers=headers) for path in paths
            ]
    if method in {"GET", "HEAD", "OPTIONS"}:
        told = [(a.status_code, a.content, {**a.headers, "date": ""}) for a in answers]
        assert all(one == told[0] for one in told)
        assert told[0][0] == 404
    else:  # whoever shows no token of a page is refused before that
        assert {answer.status_code for answer in answers} <= {403, 404}


async def test_nobody_is_told_what_they_have_without_a_login(
    hub: FakeHub, records: Records, url: str
) -> None:
    publish(records)
    own = hub.add("ada", scopes=["access:servers!server=ada/one"])
    async with httpx.AsyncClient(base_url=url) as client:
        for headers in ({}, {"Authorization": f"token {own}"}):
            for method in METHODS:
                answer = await client.request(method, f"{PREFIX}api/statistics", headers=headers)
                assert answer.status_code == 403


# ---- what is away


async def test_what_is_not_published_yet_is_said_to_be_so(records: Records, root: Page) -> None:
    for path in ("api/statistics", "api/whole"):
        answer = await root.ask("GET", path)
        assert answer.status_code == 503
        assert answer.json()["message"].startswith("the hub has only just begun")
    body = bulletin.catalogue(small_catalog())
    records.publish(HUB, bulletin.CATALOGUE, body, at=datetime.now(UTC))
    assert (await root.ask("GET", "api/statistics")).status_code == 503


async def test_a_hub_that_does_not_answer_leaves_it_open_who_asks(
    hub: FakeHub, records: Records, root: Page
) -> None:
    publish(records)
    hub.cache.clear()
    hub.is_away = True
    for path in ("api/statistics", "api/whole"):
        answer = await root.ask("GET", path)
        assert answer.status_code == 503
        assert answer.json() == {"message": "the hub does not answer now; try again"}


async def test_records_that_are_away_are_said_to_be(
    hub: FakeHub, caplog: pytest.LogCaptureFixture
) -> None:
    away = "postgresql+psycopg://bai:secret@127.0.0.1:1/records"
    async with serving(make_app(PREFIX, BASE, Board(away, HUB))) as url:
        page = Page(url, hub.add("root", admin=True))
        async with page.http:
            await page.visit()
            with caplog.at_level(logging.ERROR):
                for path in ("api/statistics", "api/whole"):
                    answer = await page.ask("GET", path)
                    assert answer.status_code == 503
                    assert answer.json()["message"].startswith("the records cannot be read now")
                    assert not has_traceback(answer.text)
    assert "secret" not in caplog.text
