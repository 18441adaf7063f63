"""Starts that fail or are stopped: the cause is said, nothing is left, nobody else waits."""

from __future__ import annotations

import concurrent.futures
import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deployment import Deployment, Visitor, eventually

ALL = {"resources": {"cpu": 2, "memory": "3GiB"}}
"""As much as one session may have: a second one does not fit while anything is still held."""


@pytest.fixture
def faults(deployment: Deployment) -> Callable[..., None]:
    """Gives the engine a fault."""

    def put(verb: str, **fault: Any) -> None:
        (deployment.state / "faults" / verb).write_text(json.dumps(fault))

    return put


@pytest.fixture
def background() -> Iterator[concurrent.futures.ThreadPoolExecutor]:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        yield pool


def mine(deployment: Deployment, user: Visitor) -> list[Any]:
    return [c for c in deployment.containers() if c.labels["bai.user"] == user.user]


def nothing_is_left(deployment: Deployment, user: Visitor) -> None:
    """No container, and the whole allowance can be had again."""
    for fault in (deployment.state / "faults").glob("*"):
        fault.unlink()
    answers: list[httpx.Response] = []

    def again() -> bool:
        answers.append(user.start("again", ALL))
        return answers[-1].status_code == 201

    assert eventually(again, seconds=15, every=0.5), answers[-1].text
    assert [c.labels["bai.server"] for c in mine(deployment, user)] == ["again"]


@pytest.mark.parametrize(
    ("verb", "fault"),
    [
        ("create", {"delay": 4}),
        ("create", {"after": 4}),
        ("start", {"delay": 4}),
        ("start", {"after": 4}),
        ("inspect", {"delay": 4}),
    ],
    ids=["before create", "create outlives", "before start", "after start", "before answer"],
)
def test_stop_during_a_start_answers_at_once_and_what_is_made_later_is_removed(
    deployment: Deployment,
    user: Visitor,
    faults: Callable[..., None],
    background: concurrent.futures.ThreadPoolExecutor,
    verb: str,
    fault: dict[str, int],
) -> None:
    faults(verb, **fault)
    background.submit(user.start, "one", ALL)
    assert eventually(lambda: user.servers().get("one", {}).get("pending") == "spawn")
    time.sleep(1)
    asked = time.monotonic()
    answer = user.api("DELETE", f"/users/{user.user}/servers/one")
    assert answer.status_code in (202, 204), answer.text
    assert time.monotonic() - asked < 4, "one second of it is the hub's own"
    assert not user.servers().get("one", {}).get("ready")
    nothing_is_left(deployment, user)


def test_stop_while_a_session_does_not_answer_removes_it(
    deployment: Deployment, user: Visitor, background: concurrent.futures.ThreadPoolExecutor
) -> None:
    background.submit(user.start, "one", {"environment": "never", **ALL})
    assert eventually(lambda: any(c.status == "running" for c in mine(deployment, user)))
    answer = user.api("DELETE", f"/users/{user.user}/servers/one")
    assert answer.status_code in (202, 204), answer.text
    nothing_is_left(deployment, user)


def test_a_start_that_takes_too_long_is_ended_and_says_so(deployment: Deployment) -> None:
    with deployment.login("hurried") as hurried:
        answer = hurried.start("one", {"environment": "never"})
        assert answer.status_code == 500
        assert answer.json()["message"] == (
            "the session did not answer in time\nThe end of its log:\nstill thinking"
        )
        nothing_is_left(deployment, hurried)
        hurried.stop_all()


def test_a_session_that_dies_early_leaves_its_last_words(
    deployment: Deployment, user: Visitor
) -> None:
    with deployment.clean_log():
        answer = user.start("one", {"environment": "dies", **ALL})
    assert answer.status_code == 500
    assert answer.json()["message"] == (
        "the session ended by itself while starting (exit code 3)\n"
        "The end of its log:\nlast words <b>bold</b>"
    )
    nothing_is_left(deployment, user)


def test_a_late_failure_shows_on_the_pending_page_and_in_the_stream_escaped(
    deployment: Deployment, user: Visitor, faults: Callable[..., None]
) -> None:
    faults("start", delay=2)
    fields = {"environment": "dies", "mount:data": "rw", "env": "KEPT=as typed", "cpu": "2"}
    page = user.post_form(fields)
    assert page.url.path == f"/hub/spawn-pending/{user.user}/one"
    stream = user.api("GET", f"/users/{user.user}/servers/one/progress").text
    last = json.loads(stream.strip().splitlines()[-1].removeprefix("data: "))
    assert last["failed"] is True
    assert "last words &lt;b&gt;bold&lt;/b&gt;" in last["html_message"]
    page = user.http.get(page.url.path)
    assert "exit code 3" in page.text
    assert "last words &lt;b&gt;bold&lt;/b&gt;" in page.text
    back = re.search(r'id="bai-again" href="([^"]+)"', page.text)
    assert back
    form = user.http.get(back[1]).text
    assert "KEPT=as typed" in form
    assert re.search(r'name="cpu"[^>]*value="2"', form)
    assert eventually(lambda: "one" not in user.servers(), seconds=8), "forgotten in the end"


def test_a_start_that_the_engine_refuses_names_the_cause(
    deployment: Deployment, user: Visitor, faults: Callable[..., None]
) -> None:
    faults("start", error="driver failed programming external connectivity: port is taken")
    answer = user.start("one", ALL)
    assert answer.status_code == 500
    assert "port is taken" in answer.json()["message"]
    nothing_is_left(deployment, user)


def test_a_missing_image_is_refused_quickly_and_others_start_meanwhile(
    deployment: Deployment,
    user: Visitor,
    newcomer: Callable[..., Visitor],
    faults: Callable[..., None],
    background: concurrent.futures.ThreadPoolExecutor,
) -> None:
    faults("create", delay=3, image="bai-test/no-such-image:1")
    waiting = background.submit(user.start, "one", {"environment": "ghost"})
    assert newcomer("other").start("one", {}).status_code == 201
    assert not waiting.done(), "the other's start did not wait for this one"
    answer = waiting.result()
    assert answer.status_code == 500
    assert answer.json()["message"] == (
        "image 'bai-test/no-such-image:1' is not on the engine"
        "; an administrator must build or pull it"
    )
    nothing_is_left(deployment, user)


def test_an_engine_that_is_away_is_named_and_takes_no_session_with_it(
    deployment: Deployment, user: Visitor, faults: Callable[..., None]
) -> None:
    user.start("one", {})
    faults("any", away=True)
    answer = user.start("two", {})
    assert answer.status_code == 503
    assert "engine does not answer" in answer.json()["message"]
    time.sleep(3)  # a few polls
    (deployment.state / "faults" / "any").unlink()
    assert user.servers()["one"]["ready"], "unknown is not stopped"
    assert user.start("two", {}).status_code == 201


def test_a_container_of_somebody_else_is_neither_removed_nor_adopted(
    deployment: Deployment, user: Visitor
) -> None:
    from bai_spawner.names import container_name  # noqa: PLC0415

    name = container_name(deployment.hub_id, user.user, "one")
    foreign = deployment.docker.containers.create("bai-spawner/base:3.13", name=name)
    try:
        answer = user.start("one", ALL)
        assert answer.status_code == 500
        assert "not a session of this hub" in answer.json()["message"]
        foreign.reload()
        assert foreign.status == "created"
        assert user.start("two", ALL).status_code == 201, "and nothing stays reserved"
    finally:
        foreign.remove()


def test_a_folder_that_became_a_link_reaches_nothing(
    deployment: Deployment,
    user: Visitor,
    faults: Callable[..., None],
    background: concurrent.futures.ThreadPoolExecutor,
    tmp_path: Path,
) -> None:
    user.start("first", {"mounts": [{"folder": "swap", "create": True}]})
    user.stop("first")
    secret = tmp_path / "secret"
    secret.mkdir(mode=0o777)
    folder = deployment.folder(user.user, "swap")
    # between the check and the mount
    faults("start", delay=2)
    starting = background.submit(user.start, "one", {"mounts": [{"folder": "swap"}], **ALL})
    assert eventually(lambda: mine(deployment, user))
    folder.rename(folder.with_name("moved"))
    folder.symlink_to(secret)
    answer = starting.result()
    assert answer.status_code == 500
    assert "was replaced while the session started" in answer.json()["message"]
    assert not list(secret.iterdir())
    # before the check
    answer = user.start("two", {"mounts": [{"folder": "swap"}]})
    assert answer.status_code == 400
    assert "no folder of yours" in answer.json()["message"]
    nothing_is_left(deployment, user)


def test_sessions_outlive_the_hub_with_their_shares(deployment: Deployment, user: Visitor) -> None:
    user.start("one", ALL, name="survivor")
    before = deployment.container(user.user, "one").id
    deployment.stop()
    deployment.start()
    assert user.ready("one", seconds=30)["display_name"] == "survivor"
    assert deployment.container(user.user, "one").id == before
    answer = user.start("two", ALL)
    assert answer.status_code == 400
    assert "2 in use + 2 asked > 3 allowed" in answer.json()["message"]
    user.stop("one")
    nothing_is_left(deployment, user)


def test_a_hub_killed_after_it_let_go_of_a_server_ends_the_session_later(
    deployment: Deployment, user: Visitor, faults: Callable[..., None]
) -> None:
    user.start("one", ALL)
    for verb in ("stop", "remove"):
        faults(verb, error="device or resource busy")
    user.api("DELETE", f"/users/{user.user}/servers/one")
    assert eventually(lambda: "one" not in user.servers())
    assert len(mine(deployment, user)) == 1
    deployment.stop(signal.SIGKILL)
    for fault in (deployment.state / "faults").glob("*"):
        fault.unlink()
    deployment.start()
    assert eventually(lambda: not mine(deployment, user), seconds=20)
    nothing_is_left(deployment, user)


@pytest.mark.parametrize("verb", ["create", "start", "inspect"])
def test_a_hub_killed_in_the_middle_of_a_start_leaves_nothing_behind(
    deployment: Deployment,
    user: Visitor,
    faults: Callable[..., None],
    background: concurrent.futures.ThreadPoolExecutor,
    verb: str,
) -> None:
    faults(verb, after=30)
    starting = background.submit(user.start, "one", ALL)
    assert eventually(lambda: mine(deployment, user))
    deployment.stop(signal.SIGKILL)
    (deployment.state / "faults" / verb).unlink()
    deployment.start()
    assert starting.exception() or not starting.result().is_success
    assert eventually(lambda: not mine(deployment, user), seconds=20)
    nothing_is_left(deployment, user)


def test_an_error_of_the_engine_does_not_keep_the_hub_from_starting(
    deployment: Deployment, user: Visitor, faults: Callable[..., None]
) -> None:
    user.start("one", ALL)
    deployment.stop()
    faults("inspect", error="500: database is locked")
    deployment.start()
    assert not user.servers()["one"]["ready"]
    (deployment.state / "faults" / "inspect").unlink()
    assert user.ready("one", seconds=30)


def test_a_users_session_survives_their_renaming_and_ends_with_its_share(
    deployment: Deployment, user: Visitor, admin: Visitor
) -> None:
    user.start("one", ALL)
    renamed = f"{user.user}renamed"
    assert admin.api("PATCH", f"/users/{user.user}", json={"name": renamed}).is_success
    assert admin.api("DELETE", f"/users/{renamed}/servers/one").is_success
    assert eventually(lambda: not mine(deployment, user), seconds=15)
    assert admin.api("PATCH", f"/users/{renamed}", json={"name": user.user}).is_success
    nothing_is_left(deployment, user)


def test_a_stopped_start_is_forgotten_like_an_ended_session(
    deployment: Deployment,
    user: Visitor,
    faults: Callable[..., None],
    background: concurrent.futures.ThreadPoolExecutor,
) -> None:
    faults("start", delay=3)
    background.submit(user.start, "one", ALL)
    assert eventually(lambda: mine(deployment, user))
    user.api("DELETE", f"/users/{user.user}/servers/one")
    assert eventually(lambda: "one" not in user.servers(), seconds=3)
