"""Apps that are opened on ports of the host: who gets in, and that nothing goes out with them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.deployment import Deployment, Visitor, eventually
from tests.hub.opening import NAVIGATION, OPTIONS, SERVICE, Opener, cookies, opener


@pytest.fixture
def owner(newcomer: Callable[..., Visitor]) -> Opener:
    """A user with a session that has an app."""
    made = newcomer("owner")
    answer = made.start("one", OPTIONS)
    assert answer.status_code == 201, answer.text
    return opener(made)


@pytest.fixture
def nobody() -> Iterator[httpx.Client]:
    """A browser that is logged in nowhere."""
    with httpx.Client(follow_redirects=False, timeout=30) as client:
        yield client


def test_a_private_app_lets_its_owner_in_and_is_told_nothing(
    owner: Opener, newcomer: Callable[..., Visitor], nobody: httpx.Client
) -> None:
    opened = owner.open()
    assert opened["public"] is False
    answer = owner.shown(opened, "a%2Fb/../c?x=%20y")
    assert answer.status_code == 200, answer.text
    told = answer.json()
    sent = json.dumps(told["headers"]).lower()
    for secret in (*cookies(owner.visitor, "127.0.0.1").values(), owner.token):
        assert secret.lower() not in sent
    assert "jupyterhub" not in sent
    assert "bai-app" not in sent

    answer = nobody.get(opened["url"], headers=NAVIGATION)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith(f"{owner.visitor.deployment.url}{SERVICE}enter?")
    assert nobody.get(opened["url"], headers={"Sec-Fetch-Mode": "cors"}).status_code == 403

    other = opener(newcomer("other"))
    answer = other.page(opened["url"])
    assert answer.status_code == 403
    assert "This app is private" in answer.text
    assert other.ask("DELETE", f"openings/{opened['id']}").status_code == 404
    assert other.ask("GET", "openings").json() == {"open": [], "closed": []}


def test_what_an_app_plants_logs_nobody_in_or_out(owner: Opener) -> None:
    before = cookies(owner.visitor, "127.0.0.1")
    opened = owner.open()
    answer = owner.shown(opened)
    held = cookies(owner.visitor, "localhost")
    (planted,) = [name for name in held if name.endswith("-planted")]
    assert planted.startswith("bai-"), "one app's alone"
    assert "jupyterhub-hub-login" not in held
    again = owner.page(opened["url"]).json()["headers"]
    assert again["Cookie"] == "planted=1", "its own cookie, and no other"
    assert answer.headers.get_list("set-cookie")
    assert cookies(owner.visitor, "127.0.0.1") == before
    assert owner.visitor.http.get("/hub/api/user").is_success


def test_a_public_app_is_reached_without_a_login_until_it_is_closed(
    owner: Opener, admin: Visitor, nobody: httpx.Client
) -> None:
    opened = owner.open(public=True)
    owner.shown(opened)
    answer = nobody.get(opened["url"], headers=NAVIGATION)
    assert answer.json()["path"] == "/"
    for path in ("/hub/home", f"/user/{owner.visitor.user}/one/lab", "/..%2f..%2flab"):
        assert nobody.get(opened["url"].rstrip("/") + path).json()["path"] == path, "that app alone"
    (seen,) = opener(admin).ask("GET", "openings").json()["open"]
    assert (seen["user"], seen["public"], seen["port"]) == (
        owner.visitor.user,
        True,
        opened["port"],
    )
    with connect(f"{opened['url'].replace('http', 'ws', 1)}ws") as socket:
        socket.send("hello")
        assert socket.recv(10) == "hello"
        owner.close(opened)
        with pytest.raises(ConnectionClosed):
            socket.recv(5)
    with pytest.raises(httpx.TransportError):
        nobody.get(opened["url"])
    (record,) = owner.ask("GET", "openings").json()["closed"]
    assert record["opened_by"] == record["closed_by"] == owner.visitor.user
    assert record["why"] == "closed by its user"
    assert record["bytes_out"] > 0
    assert record["opened_from"]


def test_a_password_and_addresses_keep_others_out(owner: Opener, nobody: httpx.Client) -> None:
    opened = owner.open(public=True, password="a long password", allowed=["127.0.0.0/8"])
    assert "a long password" not in json.dumps(opened)
    assert nobody.get(opened["url"]).status_code == 401
    assert nobody.get(opened["url"], auth=("any", "wrong password")).status_code == 401
    found = eventually(
        lambda: (
            (answer := nobody.get(opened["url"], auth=("any", "a long password"))).status_code
            == 200
            and answer
        ),
        seconds=30,
    )
    assert "Authorization" not in found.json()["headers"]
    owner.close(opened)
    opened = owner.open(public=True, allowed=["192.0.2.0/24"])
    assert nobody.get(opened["url"]).status_code == 403


def test_logout_ends_what_is_open_at_once(deployment: Deployment, owner: Opener) -> None:
    opened = owner.open()
    owner.shown(opened)
    port = opened["port"]
    browser = deployment.login(owner.visitor.user)
    opener(browser).shown(opened)
    cookie = f"bai-app-{port}={cookies(browser, 'localhost')[f'bai-app-{port}']}"
    headers = {"Cookie": cookie}
    url = f"{opened['url'].replace('http', 'ws', 1)}ws"
    with connect(url, additional_headers=headers, origin=opened["url"].rstrip("/")) as socket:
        socket.send("hello")
        assert socket.recv(10) == "hello"
        browser.http.get("/hub/logout")
        with pytest.raises(ConnectionClosed):
            socket.recv(5)
    assert httpx.get(opened["url"], headers=headers).status_code == 303
    with pytest.raises(InvalidStatus):
        connect(url, additional_headers=headers)
    browser.http.close()
    assert owner.shown(opened).status_code == 200, "of another login it was not the end"


def test_an_app_closes_with_its_session(owner: Opener, nobody: httpx.Client) -> None:
    opened = owner.open(public=True)
    owner.shown(opened)
    owner.visitor.stop("one")

    def is_closed() -> bool:
        try:
            nobody.get(opened["url"])
        except httpx.TransportError:
            return True
        return False

    assert eventually(is_closed, seconds=5)
    assert eventually(lambda: owner.why(opened)) == "its session ended"


def test_the_port_that_was_asked_for_is_tried_first(
    deployment: Deployment, owner: Opener, newcomer: Callable[..., Visitor]
) -> None:
    wanted = deployment.app_ports.start + 7
    opened = owner.open(port=wanted)
    assert (opened["port"], opened["told"]) == (wanted, "")
    owner.close(opened)
    other = newcomer("second")
    assert other.start("one", OPTIONS).status_code == 201
    second = opener(other)
    held = second.open(port=wanted)
    assert held["port"] == wanted, "it is free again at once"
    moved = owner.open(port=wanted)
    assert moved["told"] == f"Port {wanted} is taken, so it is at port {moved['port']}."
    owner.close(moved)
    beyond = owner.open(port=9999)
    assert beyond["told"].startswith("Port 9999 is not one that apps have here")
    refused = owner.ask("POST", f"sessions/{owner.session()}/apps/tells", json={"port": 80})
    assert refused.status_code == 400
    assert "port: must be a whole number from 1024 to 65535" in refused.json()["message"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"public": "yes"}, "public: must be true or false"),
        ({"port": "http"}, "port: must be a whole number"),
        ({"port": True}, "port: must be a whole number"),
        ({"public": True, "expires": "tomorrow"}, "expires: must be a time"),
        ({"public": True, "expires": "2001-01-01T00:00:00+00:00"}, "expires: must be a time"),
        ({"public": True, "allowed": ["here"]}, "allowed: 'here' is not an address"),
        ({"public": True, "allowed": "192.0.2.1"}, "allowed: must be a list"),
        ({"public": True, "password": "short"}, "password: must be 8 to 128"),
        ({"password": "long enough"}, "password: goes with public apps alone"),
        ({"host": "evil"}, "body: 'host' is not a known key"),
    ],
)
def test_what_cannot_be_asked_for_is_named(
    service_only: Opener, asked: dict[str, Any], message: str
) -> None:
    path = f"sessions/{service_only.session()}/apps/tells"
    answer = service_only.ask("POST", path, json=asked)
    assert answer.status_code == 400
    assert message in answer.json()["message"]


def test_pages_of_the_session_itself_are_not_opened(service_only: Opener) -> None:
    path = f"sessions/{service_only.session()}/apps"
    for app in ("lab", "terminal", "no-such"):
        ask = partial(service_only.ask, "POST", f"{path}/{app}", json={})
        assert eventually(lambda ask=ask: "app: " in ask().text, seconds=15)
        assert ask().status_code == 409


def test_a_policy_that_offers_neither_is_kept_to(
    deployment: Deployment, newcomer: Callable[..., Visitor]
) -> None:
    with deployment.login("member") as member:
        assert member.start("one", OPTIONS).status_code == 201
        asking = opener(member)
        told = asking.ask("GET", f"sessions/{asking.session()}/apps").json()
        assert (told["offered"], told["public"], told["preferred_port"]) == (True, False, False)
        opened = asking.open()
        asking.close(opened)
        for asked, words in (({"public": True}, "public: "), ({"port": 30000}, "port: ")):
            answer = asking.ask("POST", f"sessions/{asking.session()}/apps/tells", json=asked)
            assert answer.status_code == 409
            assert answer.json()["message"].startswith(words)
        member.stop("one")


def test_a_killed_proxy_opens_again_what_was_open_and_closes_what_ended(
    deployment: Deployment,
    owner: Opener,
    newcomer: Callable[..., Visitor],
    nobody: httpx.Client,
) -> None:
    other = newcomer("brief")
    assert other.start("one", OPTIONS).status_code == 201
    brief = opener(other)
    brief.open(public=True)
    opened = owner.open(public=True)
    owner.shown(opened)
    found = subprocess.run(
        ["pgrep", "-P", str(deployment.process and deployment.process.pid), "-f", "app_proxy"],
        capture_output=True,
        text=True,
        check=True,
    )
    os.kill(int(found.stdout), signal.SIGKILL)
    other.stop("one")

    def answers() -> bool:
        try:
            return nobody.get(opened["url"]).status_code == 200
        except httpx.TransportError:
            return False

    assert eventually(answers, seconds=60, every=0.5), "JupyterHub looks every half a minute"

    def ended() -> list[str]:
        return [it["why"] for it in brief.ask("GET", "openings").json()["closed"]]

    assert eventually(lambda: ended() == ["its session ended"])


@pytest.fixture(scope="module")
def service_only(deployment: Deployment) -> Iterator[Opener]:
    """A user whose session stays as it is."""
    with deployment.login("steady") as visitor:
        assert visitor.start("one", OPTIONS).status_code == 201
        yield opener(visitor)
        visitor.stop_all()
