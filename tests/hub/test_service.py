"""The service beside the hub: who gets in, and what becomes of it when either is killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from bai_spawner.assets import digest
from tests.deployment import REPO, Deployment, Visitor, eventually

SERVICE = "/services/sessions/"
PUBLISHED_EVERY = 1.0
"""Seconds; see the configuration of these tests."""
PAGE = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "no-cors"}


def visit(user: Visitor) -> str:
    """A page's first call, through the hub's login and back: the token for what follows."""
    answer = user.http.get(f"{SERVICE}api/visit", headers=PAGE)
    assert answer.is_success, answer.text
    model = answer.json()
    assert (model["user"], model["admin"]) == (user.user, False)
    return str(model["xsrf_token"])


def test_a_page_of_the_hub_visits_without_a_question(user: Visitor) -> None:
    assert visit(user)


def test_whoever_is_not_logged_in_is_led_to_the_hub(deployment: Deployment) -> None:
    answer = httpx.get(f"{deployment.url}{SERVICE}api/visit")
    assert answer.status_code == 302
    assert answer.headers["location"].startswith("/hub/api/oauth2/authorize?")


def test_a_page_of_another_site_learns_nothing(user: Visitor) -> None:
    visit(user)
    answer = user.http.get(f"{SERVICE}api/visit", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert "xsrf_token" not in answer.text


def test_a_link_leads_to_a_fresh_form_and_launches_nothing(user: Visitor) -> None:
    """S15."""
    visit(user)
    answer = user.http.get(f"{SERVICE}launch", follow_redirects=False)
    assert answer.status_code == 302
    assert answer.headers["location"].startswith(f"/hub/spawn/{user.user}/s")
    assert user.http.get(f"{SERVICE}launch").is_success
    assert not [s for s in user.servers().values() if s["ready"] or s["pending"]]


def test_modules_are_served_for_good_under_the_address_of_their_version(
    deployment: Deployment,
) -> None:
    base = f"{deployment.url}{SERVICE}static/"
    found = httpx.get(f"{base}{digest()}/service.js")
    assert found.is_success
    assert "javascript" in found.headers["content-type"]
    assert "immutable" in found.headers["cache-control"]
    assert httpx.get(f"{base}{'0' * 16}/service.js").status_code == 404
    for path in ("../render.py", "%2e%2e/render.py", "..%2frender.py", "nothing.js"):
        assert httpx.get(f"{base}{digest()}/{path}").status_code in {403, 404}, path


def test_nobody_may_frame_an_answer_or_guess_its_type(user: Visitor) -> None:
    visit(user)
    for path in ("api/visit", "health", "nothing"):
        headers = user.http.get(f"{SERVICE}{path}").headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


@pytest.fixture
def own(tmp_path: Path) -> Deployment:
    """A hub of its own, to kill."""
    return Deployment(tmp_path / "state", config=REPO / "tests/hub/config.py")


def _service_of(deployment: Deployment) -> list[int]:
    """Processes of its service, told by the port that they were given."""
    mark = f":{deployment.service_port}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command, environ = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
        except OSError:
            continue
        if b"bai_spawner.service" in command and mark in environ:
            found.append(int(entry.name))
    return found


def test_a_killed_service_and_a_killed_hub_come_back_on_the_same_port(own: Deployment) -> None:
    def answers() -> bool:
        return httpx.get(f"{own.url}{SERVICE}health").is_success

    try:
        own.start()
        assert eventually(answers)
        (pid,) = _service_of(own)
        os.kill(pid, signal.SIGKILL)
        assert httpx.get(f"{own.url}/hub/login").is_success, "the hub goes on"
        assert eventually(answers, seconds=60), "the hub starts it again"
        own.stop(signal.SIGKILL)
        assert eventually(lambda: not _service_of(own), seconds=5), "it does not outlive its hub"
        own.start()
        assert eventually(answers)
    finally:
        own.clean()


def test_a_sessions_own_token_is_no_visitors(deployment: Deployment, user: Visitor) -> None:
    """S27."""
    assert user.start("one").is_success
    env = deployment.container(user.user, "one").attrs["Config"]["Env"]
    token = next(e for e in env if e.startswith("JUPYTERHUB_API_TOKEN=")).partition("=")[2]
    headers = {"Authorization": f"token {token}"}
    own = httpx.get(f"{deployment.url}/user/{user.user}/one/api/status", headers=headers)
    assert own.status_code == 200, "it opens its session"
    for path in ("api/visit", "api/availability", "launch"):
        answer = httpx.get(f"{deployment.url}{SERVICE}{path}", headers=headers)
        assert answer.status_code == 403, answer.text


def test_who_logs_out_of_the_hub_is_logged_out_here(deployment: Deployment) -> None:
    with deployment.login("passer-by") as visitor:
        visit(visitor)
        visitor.http.get("/hub/logout")
        answer = visitor.http.get(f"{SERVICE}api/visit", headers=PAGE)
        assert answer.url.path == "/hub/login"


def test_a_lost_token_of_the_visit_is_given_again(user: Visitor) -> None:
    visit(user)
    user.http.cookies.delete("_xsrf", path=SERVICE)
    assert availability(user, visit(user)).is_success


def test_the_service_has_no_role_and_the_hubs_database_no_url_of_the_records(
    deployment: Deployment,
) -> None:
    with contextlib.closing(sqlite3.connect(deployment.state / "jupyterhub.sqlite")) as database:
        (roles,) = database.execute("SELECT count(*) FROM service_role_map").fetchone()
        (environment,) = database.execute(
            "SELECT environment FROM services WHERE name = 'sessions'"
        ).fetchone()
        (scopes,) = database.execute(
            "SELECT allowed_scopes FROM oauth_clients WHERE identifier = 'service-sessions'"
        ).fetchone()
    assert roles == 0
    assert "records.sqlite" not in environment, "a URL may hold a password"
    assert json.loads(scopes) == [
        "access:servers",
        "access:services!service=sessions",
        "delete:servers",
        "read:users:groups",
        "read:users:name",
        "read:users:shares",
    ]
    settings = deployment.state / "service.json"
    assert settings.stat().st_mode & 0o777 == 0o600
    assert "records.sqlite" in settings.read_text()


# ---- what a user can still get


def availability(visitor: Visitor, token: str, user: str = "") -> httpx.Response:
    params = {"user": user} if user else {}
    headers = {"X-XSRFToken": token, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
    return visitor.http.get(f"{SERVICE}api/availability", params=params, headers=headers)


def test_an_open_form_learns_what_is_free_and_what_the_user_holds(
    deployment: Deployment, user: Visitor
) -> None:
    token = visit(user)
    assert eventually(lambda: not deployment.containers(), seconds=30), "others are gone"
    time.sleep(2 * PUBLISHED_EVERY)
    before = availability(user, token).json()
    assert before["held"]["sessions"] == 0
    assert set(before["groups"]) == {"general"}, "of this user's policy alone"
    assert 0 <= before["age"] < 30
    assert user.start("one", {"resources": {"cpu": 2}}, name="mine").is_success
    after = availability(user, token).json()
    assert (after["held"]["sessions"], after["held"]["cpu"], after["names"]) == (1, 2, ["mine"])
    free = before["groups"]["general"]["nodes"][0]["cpu"]

    def told() -> bool:
        now = availability(user, token).json()["groups"]["general"]["nodes"][0]["cpu"]
        return bool(now == free - 2)

    assert eventually(told)


def test_another_users_availability_answers_like_that_of_nobody(
    newcomer: Callable[..., Visitor], admin: Visitor
) -> None:
    """S17."""
    one, other = newcomer(), newcomer()
    token = visit(one)
    answers = [availability(one, token, name) for name in (other.user, "nobody", "../admin")]
    assert [a.status_code for a in answers] == [404] * 3
    assert len({a.text for a in answers}) == 1
    answer = admin.http.get(f"{SERVICE}api/visit", headers=PAGE)
    found = availability(admin, answer.json()["xsrf_token"], other.user)
    assert found.is_success, found.text
    assert set(found.json()["groups"]) == {"general"}, "as that user would see it"
    assert availability(admin, answer.json()["xsrf_token"], "nobody").text == answers[0].text


def test_a_visitors_token_may_read_names_and_groups_end_servers_and_do_nothing_else(
    user: Visitor, admin: Visitor
) -> None:
    """The service holds no token but its visitors', and those only these scopes."""
    visit(user)
    (token,) = [
        t
        for t in admin.api("GET", f"/users/{user.user}/tokens").json()["api_tokens"]
        if t["oauth_client"] and "sessions" in t["oauth_client"]
    ]
    assert set(token["scopes"]) == {
        "access:services!service=sessions",
        f"read:users:name!user={user.user}",
        f"read:users:groups!user={user.user}",
        f"delete:servers!user={user.user}",
        f"access:servers!user={user.user}",
        f"read:users:shares!user={user.user}",
    }


def test_without_the_token_of_the_visit_nothing_is_told(user: Visitor) -> None:
    """S14, for what only reads too: another site's script sends cookies, not this token."""
    visit(user)
    for token in ("", "wrong"):
        answer = user.http.get(
            f"{SERVICE}api/availability",
            headers={"X-XSRFToken": token, "Sec-Fetch-Mode": "cors"},
            follow_redirects=False,
        )
        assert answer.status_code == 403
