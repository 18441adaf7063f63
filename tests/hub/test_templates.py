"""Templates and the last launch on a real hub: whose they are, and what is remembered."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.deployment import Deployment, Visitor, eventually

SERVICE = "/services/sessions/"
API = f"{SERVICE}api/templates"
PAGE = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "no-cors"}
FIELDS = {"environment": ["python"], "preset": ["small"], "env": ["A=<b>"]}
SMALLEST = {"environment": "python", "alone": "1", "preset": ""}


class Page:
    """A page of the hub that a user has open."""

    def __init__(self, user: Visitor) -> None:
        self.http = user.http
        visited = user.http.get(f"{SERVICE}api/visit", headers=PAGE)
        assert visited.is_success, visited.text
        self.headers = {
            "X-XSRFToken": visited.json()["xsrf_token"],
            "Sec-Fetch-Site": "same-origin",
            "Sec-Fetch-Mode": "cors",
        }

    def send(self, method: str, path: str = "", body: Any = None, **headers: str) -> httpx.Response:
        given = self.headers | {name.replace("_", "-"): text for name, text in headers.items()}
        return self.http.request(
            method, f"{API}{path}", json=body, headers=given, follow_redirects=False
        )

    def kept(self) -> dict[str, Any]:
        answer = self.send("GET")
        assert answer.is_success, answer.text
        return dict(answer.json())

    def last(self) -> dict[str, Any] | None:
        return dict(found) if (found := self.kept()["last"]) else None


def test_templates_are_their_users_alone(newcomer: Callable[..., Visitor], admin: Visitor) -> None:
    """S17."""
    owner, other, superadmin = Page(newcomer()), Page(newcomer()), Page(admin)
    assert owner.send("PUT", "/a%2Fb%20%3Cb%3E", {"fields": FIELDS}).status_code == 201
    (template,) = owner.kept()["templates"]
    assert (template["name"], template["fields"]) == ("a/b <b>", FIELDS)
    for page in (other, superadmin):
        assert page.kept()["templates"] == []
        for method, body in (("DELETE", None), ("PATCH", {"name": "x"})):
            theirs = page.send(method, "/a%2Fb%20%3Cb%3E", body)
            nobodys = page.send(method, "/nothing", body)
            assert theirs.status_code == nobodys.status_code == 404
            assert theirs.text == nobodys.text
    assert owner.send("PATCH", "/a%2Fb%20%3Cb%3E", {"name": "x"}).status_code == 200
    assert owner.send("DELETE", "/x").status_code == 204


def test_a_deleted_users_templates_are_not_the_next_ones_of_that_name(
    deployment: Deployment, admin: Visitor
) -> None:
    with deployment.login("leaver") as leaver:
        assert Page(leaver).send("PUT", "/mine", {"fields": FIELDS}).status_code == 201
    assert admin.api("DELETE", "/users/leaver").status_code == 204
    with deployment.login("leaver") as newcomer:
        page = Page(newcomer)
        assert eventually(lambda: not page.kept()["templates"])


def test_a_renamed_users_templates_follow(deployment: Deployment, admin: Visitor) -> None:
    with deployment.login("before") as user:
        assert Page(user).send("PUT", "/mine", {"fields": FIELDS}).status_code == 201
    assert admin.api("PATCH", "/users/before", json={"name": "after"}).is_success
    with deployment.login("after") as renamed, deployment.login("before") as newcomer:
        page = Page(renamed)
        assert eventually(lambda: page.kept()["templates"])
        assert Page(newcomer).kept()["templates"] == []


@pytest.mark.parametrize(
    "headers",
    [{"X_XSRFToken": ""}, {"X_XSRFToken": "wrong"}, {"Sec_Fetch_Mode": "no-cors"}],
    ids=["no token", "a wrong token", "no-cors"],
)
def test_what_another_site_sends_changes_nothing(user: Visitor, headers: dict[str, str]) -> None:
    """S14."""
    page = Page(user)
    page.send("PUT", "/mine", {"fields": FIELDS})
    for method, body in (("PUT", {"fields": FIELDS}), ("PATCH", {"name": "x"}), ("DELETE", None)):
        assert page.send(method, "/mine", body, **headers).status_code == 403
    assert [one["name"] for one in page.kept()["templates"]] == ["mine"]


def test_a_launch_from_the_form_is_remembered_with_its_fields(user: Visitor) -> None:
    page = Page(user)
    assert page.last() is None
    sent = {**SMALLEST, "session_name": "again", "env": "A=1", "mount:data": "ro", "cpu": "1"}
    assert user.post_form(sent).is_success
    last = eventually(page.last)
    assert last["fields"] == {name: [value] for name, value in sent.items()}
    assert last["title"] == "python · 1 CPU"
    assert page.kept()["templates"] == []
    user.post_form({**sent, "preset": "nothing", "session_name": "refused"}, "two")
    user.start("three", {"resources": {"cpu": 1}}, name="overrest")
    assert user.ready("three")
    assert page.last() == last, "neither a refused launch nor one over REST"


def test_values_of_variables_are_where_launches_are_kept_and_nowhere_else(
    user: Visitor, deployment: Deployment
) -> None:
    """S18: the form's fields hold them, as the hub's own options do."""
    page = Page(user)
    user.post_form({**SMALLEST, "env": "PASSWORD=tell-nobody-4712"})
    assert eventually(page.last)
    assert "tell-nobody-4712" not in deployment.log.read_text()
    assert user.ready("one")
    user.stop("one")
    records = sqlite3.connect(deployment.state / "records.sqlite")
    holding = {
        table
        for (table,) in records.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        if "tell-nobody-4712" in str(records.execute(f'SELECT * FROM "{table}"').fetchall())
    }
    records.close()
    assert holding == {"launches"}


def test_a_sessions_own_token_opens_nothing(user: Visitor, deployment: Deployment) -> None:
    page = Page(user)
    page.send("PUT", "/mine", {"fields": FIELDS})
    user.start("one", {"resources": {"cpu": 1}})
    assert user.ready("one")
    env = deployment.container(user.user, "one").attrs["Config"]["Env"]
    token = next(e for e in env if e.startswith("JUPYTERHUB_API_TOKEN=")).partition("=")[2]
    for method, path in (("GET", ""), ("PUT", "/mine"), ("DELETE", "/mine")):
        answer = httpx.request(
            method,
            f"{deployment.url}{API}{path}",
            headers={"Authorization": f"token {token}"},
            json={"fields": FIELDS, "replace": True},
        )
        assert answer.status_code == 403, answer.text
        assert "small" not in answer.text
