"""The service's API of sessions with a real hub: it tells what is so, and does what is asked."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote

import httpx
import pytest

from tests.deployment import Deployment, Visitor, eventually

SERVICE = "/services/sessions/"
OWNER = "ödd <b>&'x\"@~"
"""A user of this name is as good as any."""
SECRET = "a-secret-value"
OPTIONS = {
    "environment": "numpy",
    "resources": {"cpu": 1, "memory": "600MiB", "shm": "64MiB"},
    "mounts": [{"folder": "data", "mode": "rw"}],
    "env": {"MY_TOKEN": SECRET},
}


@dataclass
class Api:
    """One visitor's way to the service, as a page's script has it."""

    visitor: Visitor
    token: str

    @classmethod
    def of(cls, visitor: Visitor) -> Api:
        """Come in through the hub's login."""
        page = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "no-cors"}
        answer = visitor.http.get(f"{SERVICE}api/visit", headers=page)
        return cls(visitor, answer.json()["xsrf_token"])

    @property
    def headers(self) -> dict[str, str]:
        return {
            "X-XSRFToken": self.token,
            "Sec-Fetch-Site": "same-origin",
            "Sec-Fetch-Mode": "cors",
        }

    def ask(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """What it answers."""
        return self.visitor.http.request(
            method, f"{SERVICE}api/{path}", headers=self.headers, **kwargs
        )

    def sessions(self, **query: str) -> list[dict[str, Any]]:
        """A page of the list."""
        answer = self.ask("GET", "sessions", params=query)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["sessions"]
        return found

    def wait(self, tab: str, question: Callable[[dict[str, Any]], Any] = bool) -> dict[str, Any]:
        """The newest session of a tab that is as asked for, once there is one."""

        def found() -> dict[str, Any]:
            return next(filter(question, self.sessions(tab=tab)), {})

        row: dict[str, Any] = eventually(found, seconds=15)
        assert row, self.sessions(tab=tab)
        return row

    @contextmanager
    def events(self) -> Iterator[Iterator[dict[str, Any]]]:
        """Every state that is told."""
        with self.visitor.http.stream(
            "GET", f"{SERVICE}api/events", headers=self.headers, timeout=30
        ) as answer:
            assert answer.status_code == 200
            lines = answer.iter_lines()
            yield (json.loads(line[6:]) for line in lines if line.startswith("data: "))


@pytest.fixture(scope="module")
def owner(deployment: Deployment) -> Iterator[Api]:
    """Who has a session."""
    with deployment.login(OWNER) as visitor:
        yield Api.of(visitor)
        visitor.stop_all()


@pytest.fixture(scope="module")
def running(owner: Api) -> dict[str, Any]:
    """A session that runs and was measured."""
    answer = owner.visitor.start("one", OPTIONS, name="thesis")
    assert answer.status_code == 201, answer.text
    return owner.wait("running", lambda row: row["used"] and "tensorboard" in _apps(row))


def _apps(row: dict[str, Any]) -> list[str]:
    return [app["name"] for app in row["apps"]]


@pytest.fixture(scope="module")
def other(deployment: Deployment) -> Iterator[Api]:
    """Whom it is none of their business."""
    with deployment.login("bystander") as visitor:
        yield Api.of(visitor)


@pytest.fixture
def root(admin: Visitor) -> Api:
    return Api.of(admin)


def test_a_row_says_what_runs_and_every_link_of_it_leads_there(
    deployment: Deployment, owner: Api, running: dict[str, Any]
) -> None:
    labels = deployment.container(OWNER, "one").labels
    assert running["id"] == labels["bai.allocation"]
    assert (running["user"], running["server"], running["name"]) == (OWNER, "one", "thesis")
    assert running["environment"]["title"] == "NumPy"
    assert running["group"] == {"key": "general", "title": "General"}
    assert (running["status"], running["tab"], running["reason"]) == ("running", "running", None)
    assert running["allocated"] == {
        "cpu": 1,
        "memory": 600 * 2**20,
        "shm": 64 * 2**20,
        "fgpu": None,
        "gpu": None,
    }
    assert 2**20 < running["used"]["memory"] < 600 * 2**20
    assert {"name": "data", "mode": "rw"} in running["folders"]
    assert running["variables"] == ["MY_TOKEN"]
    for name in ("open", "notebook", "lab", "terminal", "log"):
        link = running["links"][name]
        assert link.startswith(f"/user/{quote(OWNER, safe='@~')}/one/")
        assert owner.visitor.http.get(link).status_code == 200, link
    assert running["links"]["progress"] is None
    for app in running["apps"]:
        assert owner.visitor.http.get(app["icon"]).headers["content-type"] == "image/svg+xml"
        assert owner.visitor.http.get(app["url"]).status_code == 200, app
    fields = parse_qs(running["relaunch"]["same"].partition("#")[2], keep_blank_values=True)
    assert fields["memory"] == ["0.5859375"]
    assert fields["mount:data"] == ["rw"]
    assert not [name for name in fields if name.startswith("mount:.")]


def test_one_session_has_its_history(owner: Api, running: dict[str, Any]) -> None:
    found = owner.ask("GET", f"sessions/{running['id']}").json()
    assert [c["status"] for c in found["changes"]] == ["pending", "preparing", "running"]


def test_the_value_of_a_variable_is_told_nowhere(
    owner: Api, root: Api, running: dict[str, Any]
) -> None:
    """S18."""
    paths = ("sessions", "sessions.csv", f"sessions/{running['id']}")
    for api in (owner, root):
        for path in paths:
            assert SECRET not in api.ask("GET", path).text


ADDRESSES = [
    ("GET", ""),
    ("HEAD", ""),
    ("OPTIONS", ""),
    ("DELETE", ""),
    ("PATCH", ""),
    ("POST", "/extend"),
    ("GET", "/extend"),
    ("GET", "/log"),
]


def test_another_users_session_is_as_if_it_were_not(
    owner: Api, other: Api, running: dict[str, Any]
) -> None:
    """S17."""
    assert other.sessions() == []
    assert other.sessions(user=OWNER) == []
    assert other.sessions(text="thesis") == []
    for method, rest in ADDRESSES:
        answers = [
            other.ask(method, f"sessions/{session}{rest}", json={"what": "idle"})
            for session in (running["id"], "0" * len(running["id"]))
        ]
        assert len({(a.status_code, a.content) for a in answers}) == 1, (method, rest)
        assert answers[0].status_code in {404, 405}
    with other.events() as states:
        assert next(states)["status"] == {}
    assert owner.visitor.servers()["one"]["ready"], "nothing became of it"


def test_the_numbers_above_the_list_are_those_of_the_engine(
    deployment: Deployment, owner: Api, other: Api, root: Api, running: dict[str, Any]
) -> None:
    """What a user has is what the engine limits their containers to, in sum (R23)."""
    mine = [c for c in deployment.containers() if c.labels["bai.user"] == OWNER]
    assert mine
    limits = [container.attrs["HostConfig"] for container in mine]
    has = {
        "cpu": sum(limit["CpuQuota"] // limit["CpuPeriod"] for limit in limits),
        "memory": sum(limit["Memory"] for limit in limits),
    }
    found = owner.ask("GET", "statistics").json()
    assert found["sessions"] == {"used": len(mine), "limit": 2}
    told = {one["key"]: one for one in found["resources"]}
    for key, amount in has.items():
        assert (told[key]["here"], told[key]["everywhere"]) == (amount, amount)
    assert (told["cpu"]["left"], told["memory"]["left"]) == (
        3 - has["cpu"],
        4 * 2**30 - has["memory"],
    )
    theirs = other.ask("GET", "statistics").json()
    assert {one["here"] for one in theirs["resources"]} == {0}
    answer = owner.ask("GET", "statistics", params={"group": "batch"})
    assert (answer.status_code, answer.json()["message"]) == (
        400,
        "group: 'batch' is not offered to you; offered: general",
    )

    def whole_is_right() -> bool:
        limits = [container.attrs["HostConfig"] for container in deployment.containers()]
        (node,) = root.ask("GET", "whole").json()["nodes"]
        return bool(
            node["cpu"]["allocated"] == sum(one["CpuQuota"] // one["CpuPeriod"] for one in limits)
            and node["memory"]["allocated"] == sum(one["Memory"] for one in limits)
        )

    # sessions of earlier tests may be on their way out
    assert eventually(whole_is_right, seconds=15), root.ask("GET", "whole").text
    assert owner.ask("GET", "whole").status_code == 404


def test_a_superadmin_sees_everyones(root: Api, running: dict[str, Any]) -> None:
    (row,) = root.sessions(user=OWNER, tab="running")
    assert row["id"] == running["id"]
    found = root.ask("GET", "sessions").json()
    assert OWNER in found["choices"]["users"]
    text = root.ask("GET", "sessions.csv", params={"user": OWNER}).text
    lines = list(csv.DictReader(io.StringIO(text, newline="")))
    assert (lines[0]["user"], lines[0]["name"]) == (OWNER, "thesis")


def test_a_session_that_runs_shows_its_log_itself(owner: Api, running: dict[str, Any]) -> None:
    answer = owner.ask("GET", f"sessions/{running['id']}/log")
    assert answer.status_code == 409
    assert owner.visitor.http.get(answer.json()["url"]).status_code == 200


def test_nothing_limits_the_time_of_a_session_whose_policy_sets_no_limit(
    owner: Api, running: dict[str, Any]
) -> None:
    assert running["time"] is None
    answer = owner.ask("POST", f"sessions/{running['id']}/extend", json={"what": "lifetime"})
    assert answer.status_code == 409


def test_a_start_is_followed_and_the_default_server_is_ended_by_who_has_it(
    owner: Api, running: dict[str, Any]
) -> None:
    """The log that it leaves is read afterwards."""
    with owner.events() as states:
        before = next(states)
        assert before["status"] == {running["id"]: "running"}
        visitor = owner.visitor
        started = visitor.api("POST", f"/users/{OWNER}/server", json={"resources": {"cpu": 1}})
        assert started.status_code in {201, 202}, started.text
        state = next(s for s in states if list(s["status"].values()) == ["running"] * 2)
        (new,) = state["status"].keys() - before["status"].keys()
        assert state["version"] != before["version"]
        row = owner.wait("running", lambda row: row["id"] == new and row["status"] == "running")
        assert (row["id"], row["server"]) == (new, "")
        assert row["links"]["open"] == f"/user/{quote(OWNER, safe='@~')}/lab"
        answer = owner.ask("DELETE", f"sessions/{new}")
        assert answer.status_code == 202, answer.text
        assert next(s for s in states if new not in s["status"])
    ended = owner.wait("finished", lambda row: row["id"] == new)
    assert ended["reason"] == {"key": "user", "words": "ended on request"}
    assert {name for name, link in ended["links"].items() if link} == {"log"}
    log = owner.ask("GET", f"sessions/{new}/log")
    assert (log.status_code, log.headers["X-Bai-Log"]) == (200, "kept")
    assert log.headers["Content-Type"].startswith("text/plain")
    assert "Jupyter Server" in log.text
    again = owner.ask("DELETE", f"sessions/{new}")
    assert again.status_code == 409
    assert again.json()["message"] == "the session is over: ended on request"


def test_a_start_is_cancelled(owner: Api, running: dict[str, Any]) -> None:
    options = {"environment": "never", "resources": {"cpu": 1, "memory": "512MiB"}}
    start = threading.Thread(target=lambda: owner.visitor.start("two", options))
    start.start()
    try:
        row = owner.wait("running", lambda row: row["server"] == "two")
        assert row["status"] in {"pending", "preparing"}
        assert row["links"]["progress"].endswith("/two")
        assert owner.ask("DELETE", f"sessions/{row['id']}").status_code == 202
    finally:
        start.join(60)
    ended = owner.wait("finished", lambda found: found["id"] == row["id"])
    assert (ended["status"], ended["started"]) == ("cancelled", None)


def test_a_superadmin_ends_anothers_session(
    deployment: Deployment, owner: Api, root: Api, running: dict[str, Any]
) -> None:
    """The last test of this session."""
    assert root.ask("DELETE", f"sessions/{running['id']}").status_code == 202
    owner.wait("finished", lambda row: row["id"] == running["id"])
    assert not [c for c in deployment.containers() if c.labels["bai.user"] == OWNER]
