"""How an app's openings end, for one visitor or for all, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.deployment import Deployment, Visitor, eventually
from tests.hub.opening import (
    NAVIGATION,
    OPTIONS,
    Opener,
    echoes,
    held,
    is_closed,
    opener,
    with_nothing_open,
    with_session,
)
from tests.session import Session

LIFE = timedelta(seconds=8)
"""Enough to connect to an app that runs already."""
OWN_CODE = "class Tell[(]RequestHandler[)]"
"""A pattern of the app's command line, and of no other."""


@pytest.fixture(scope="module")
def owning(deployment: Deployment) -> Iterator[Visitor]:
    """A user with a session that has an app, for the tests that leave it as it is."""
    yield from with_session(deployment, "ender")


@pytest.fixture
def owner(owning: Visitor) -> Iterator[Opener]:
    """That user; nothing of theirs is open before a test and after it."""
    yield from with_nothing_open(owning)


@pytest.fixture
def nobody() -> Iterator[httpx.Client]:
    """A browser that is logged in nowhere."""
    with httpx.Client(follow_redirects=False, timeout=30) as client:
        yield client


def test_a_public_app_ends_by_itself_when_its_time_is_over(owner: Opener) -> None:
    before = owner.open(public=True)
    assert owner.shown(before).status_code == 200
    owner.close(before)
    until = datetime.now(UTC) + LIFE
    opened = owner.open(public=True, expires=until.isoformat())
    assert opened["expires"] == until.isoformat()
    with owner.socket(opened) as app:
        assert echoes(app)
        with pytest.raises(ConnectionClosed):
            app.recv(30)
    assert eventually(lambda: is_closed(opened["url"]))
    assert eventually(lambda: owner.why(opened)) == "its time was over"
    (record,) = [it for it in owner.openings("closed") if it["id"] == opened["id"]]
    assert record["closed_by"] == "", "nobody did"
    assert datetime.fromisoformat(record["closed"]) >= until
    assert owner.openings() == []
    assert held([opened["port"]]) == []
    again = owner.open(port=opened["port"])
    assert again["port"] == opened["port"]


@pytest.mark.parametrize("public", [False, True])
def test_an_app_that_dies_is_said_to_have_and_is_reached_again_when_it_was_started(
    deployment: Deployment, owner: Opener, nobody: httpx.Client, *, public: bool
) -> None:
    opened = owner.open(public=public)
    assert owner.shown(opened).status_code == 200
    session = Session(deployment, owner.visitor, "one")
    with owner.socket(opened) as app:
        assert echoes(app)
        session.run("pkill", "-KILL", "-f", OWN_CODE)
        with pytest.raises(ConnectionClosed):
            app.recv(10)
    assert eventually(lambda: "(SIGKILL)" in owner.page(opened["url"]).text), "how it ended"
    answer = owner.page(opened["url"])
    assert answer.status_code == 503
    assert "Tells does not answer" in answer.text
    start = f"{deployment.url}/user/{owner.visitor.user}/one/bai/apps/tells"
    assert (start in answer.text) is not public, "its own user can start it there"
    if public:
        assert nobody.get(opened["url"], headers=NAVIGATION).text == answer.text
    assert owner.why(opened) == "", "it stays open"
    assert session.http.post("/bai/api/apps/tells").status_code == 202
    assert owner.shown(opened).json()["path"] == "/"
    with owner.socket(opened) as app:
        assert echoes(app)
    session.http.close()


def test_an_app_closes_when_its_session_is_killed(
    deployment: Deployment, newcomer: Callable[..., Visitor]
) -> None:
    visitor = newcomer("killed")
    answer = visitor.start("one", OPTIONS)
    assert answer.status_code == 201, answer.text
    owner = opener(visitor)
    opened = owner.open()
    assert owner.shown(opened).status_code == 200
    with owner.socket(opened) as app:
        assert echoes(app)
        deployment.container(visitor.user, "one").kill()
        with pytest.raises(ConnectionClosed):
            app.recv(10)
    assert eventually(lambda: owner.why(opened), seconds=30) == "its session ended"
    assert owner.openings() == []
    assert held([opened["port"]]) == []


Revoke = Callable[[Visitor, str, str], httpx.Response]


def by_name(admin: Visitor, session: str, guest: str) -> httpx.Response:
    return admin.api("PATCH", f"/shares/{session}", json={"user": guest})


def for_all(admin: Visitor, session: str, _: str) -> httpx.Response:
    return admin.api("DELETE", f"/shares/{session}")


def by_the_guests_removal(admin: Visitor, _: str, guest: str) -> httpx.Response:
    return admin.api("DELETE", f"/users/{guest}")


@pytest.mark.parametrize("revoke", [by_name, for_all, by_the_guests_removal])
def test_whom_a_session_is_shared_with_gets_in_until_that_is_taken_back(
    deployment: Deployment,
    owner: Opener,
    admin: Visitor,
    newcomer: Callable[..., Visitor],
    revoke: Revoke,
) -> None:
    """R36."""
    opened = owner.open()
    stranger = opener(newcomer("stranger"))
    session, name = f"{owner.visitor.user}/one", f"guest-{revoke.__name__}"

    def is_refused(one: Opener) -> bool:
        answer = one.page(opened["url"])
        return answer.status_code == 403 and "This app is private" in answer.text

    assert owner.shown(opened).status_code == 200
    with deployment.login(name) as visitor:
        guest = opener(visitor)
        assert is_refused(guest)
        assert is_refused(stranger)
        answer = admin.api("POST", f"/shares/{session}", json={"user": name})
        assert answer.is_success, answer.text
        assert guest.page(opened["url"]).status_code == 200
        assert is_refused(stranger)
        with guest.socket(opened) as theirs, owner.socket(opened) as own:
            assert echoes(theirs)
            assert echoes(own)
            answer = revoke(admin, session, name)
            assert answer.is_success, answer.text
            with pytest.raises(ConnectionClosed):
                theirs.recv(10)
            assert echoes(own), "its owner's goes on"
        led = guest.page(opened["url"])
        assert led.url.host != "localhost", "to the hub, and no further"
    assert is_refused(stranger)
    assert owner.page(opened["url"]).status_code == 200


def test_who_leaves_the_group_that_a_session_is_shared_with_is_out(
    owner: Opener, admin: Visitor, newcomer: Callable[..., Visitor]
) -> None:
    """R36."""
    opened = owner.open()
    guest = opener(newcomer("member"))
    users = {"users": [guest.visitor.user]}
    assert admin.api("POST", "/groups/crowd").is_success
    assert admin.api("POST", "/groups/crowd/users", json=users).is_success
    shares = f"/shares/{owner.visitor.user}/one"
    assert admin.api("POST", shares, json={"group": "crowd"}).is_success
    assert owner.shown(opened).status_code == 200
    assert guest.page(opened["url"]).status_code == 200
    with guest.socket(opened) as theirs:
        assert echoes(theirs)
        assert admin.api("DELETE", "/groups/crowd/users", json=users).is_success
        with pytest.raises(ConnectionClosed):
            theirs.recv(10)
    assert guest.page(opened["url"]).status_code == 403
