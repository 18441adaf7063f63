"""What is refused, through every door: in words, at once, and leaving nothing behind."""

from __future__ import annotations

import concurrent.futures
import html
from collections.abc import Callable
from typing import Any

import pytest

from tests.deployment import Deployment, Visitor, eventually

GIB = 1024**3


def lines(answer: Any) -> list[str]:
    """The problems of a refusal over REST, one a line."""
    assert answer.status_code in (400, 409), answer.text
    return str(answer.json()["message"]).split("\n")


def test_every_problem_is_reported_at_once(user: Visitor) -> None:
    options = {
        "environment": "fortran",
        "preset": 7,
        "mounts": [{"folder": "../alice"}],
        "env": {"HOME": "/tmp", "1A": "x"},
        "bogus": 1,
    }
    paths = {line.split(":")[0] for line in lines(user.start("one", options, name="a b"))}
    assert paths == {
        "environment",
        "preset",
        "mounts[0].folder",
        "env.HOME",
        "env.1A",
        "bogus",
        "display_name",
    }


def test_over_policy_is_refused_with_the_numbers(user: Visitor) -> None:
    user.start("one", {"resources": {"cpu": 2, "memory": "3GiB"}})
    told = lines(user.start("two", {"resources": {"cpu": 2, "memory": "2GiB"}}))
    assert "resources.cpu: 2 in use + 2 asked > 3 allowed" in told
    assert "resources.memory: 3 GiB in use + 2 GiB asked > 4 GiB allowed" in told


def test_too_many_sessions_are_refused_with_the_numbers(user: Visitor) -> None:
    for server in ("one", "two"):
        assert user.start(server, {}).status_code == 201
    assert lines(user.start("three", {}))[0].startswith("sessions: 2 in use + 1 asked > 2 allowed")


def test_two_groups_have_two_policies(deployment: Deployment, user: Visitor) -> None:
    options = {"environment": "classified", "resource_group": "batch", "preset": "long"}
    told = lines(user.start("one", options))
    assert {line.split(":")[0] for line in told} == {"environment", "resource_group", "preset"}
    with deployment.login("member") as member:
        assert member.start("one", options).status_code == 201
        member.stop("one")


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"environment": "classified"}, "environment"),
        ({"environment": "no-such"}, "environment"),
        ({"version": "9.9"}, "version"),
        ({"resource_group": "batch"}, "resource_group"),
        ({"preset": "long"}, "preset"),
        ({"preset": "no-such"}, "preset"),
        ({"preset": "huge"}, "preset"),
    ],
)
def test_what_is_outside_catalogue_or_policy_is_refused_not_merely_hidden(
    user: Visitor, options: dict[str, Any], path: str
) -> None:
    assert {line.split(":")[0] for line in lines(user.start("one", options))} == {path}


def test_a_gpu_that_nothing_can_serve_is_refused_in_words(user: Visitor) -> None:
    answer = user.start("one", {"resources": {"fgpu": "0.5"}})
    assert answer.status_code == 409
    assert lines(answer) == ["resources.fgpu: 0.5 asked, but resource group 'general' has no GPU"]
    assert lines(user.start("one", {"preset": "accelerated"}))[0].endswith("has no GPU")


@pytest.mark.alone
def test_what_does_not_fit_now_is_refused_in_words(
    deployment: Deployment, admin: Visitor, newcomer: Callable[..., Visitor]
) -> None:
    """The node has 30 GiB; ten others of 3 GiB take it all."""
    holders = [newcomer("holder") for _ in range(10)]
    big = {"environment": "dies", "resources": {"memory": "3GiB"}}
    (deployment.state / "faults" / "create").write_text('{"delay": 12}')
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        starts = [pool.submit(holder.start, "one", big) for holder in holders]
        fits = eventually(
            lambda: all(h.servers().get("one", {}).get("pending") for h in holders), seconds=8
        )
        assert fits
        answer = newcomer("late").start("one", {"resources": {"memory": "1GiB"}})
        assert answer.status_code == 409
        assert answer.json()["message"] == (
            "resources.memory: 1 GiB asked > 0 B free on one node of resource group 'general' "
            "now; ask for less, or try again when a session has ended"
        )
        for start in starts:
            start.result()


def test_a_refused_start_leaves_no_server_and_no_container(
    deployment: Deployment, user: Visitor
) -> None:
    assert user.start("one", {"resources": {"cpu": 99}}).status_code == 400
    assert eventually(lambda: "one" not in user.servers(), seconds=5)
    assert not [c for c in deployment.containers() if c.labels["bai.user"] == user.user]


def test_a_refused_start_leaves_the_last_accepted_options_in_force(user: Visitor) -> None:
    """The default server is never forgotten, so its options can be asked for again."""
    path = f"/users/{user.user}/server"
    assert user.api("POST", path, json={"env": {"KEPT": "1"}}).status_code == 201
    user.api("DELETE", path)
    assert eventually(lambda: user.api("POST", path, json={"bogus": 1}).status_code == 400)
    assert user.api("POST", path).status_code == 201
    models = user.api("GET", f"/users/{user.user}").json()["servers"]
    assert models[""]["user_options"]["env"] == {"KEPT": "1"}
    user.api("DELETE", path)


def test_a_refused_name_is_not_the_next_requests_name(user: Visitor) -> None:
    assert user.start("one", {}, name="no name").status_code == 400
    assert user.start("one", {}).status_code == 201


@pytest.mark.parametrize(
    "options",
    [
        {"bogus": 1},
        {"resources": {"cpu": {"$gt": 0}}},
        {"mounts": [[[[[[]]]]]]},
        {"env": {f"V{n}": "x" for n in range(5000)}},
        {"environment": "x" * 1_000_000},
        {"env": {"BIG": "x" * 2_000_000}},
        {"resources": {"cpu": 10**30, "memory": "9" * 100 + "GiB"}},
        {"image": "debian", "cmd": ["sh"], "privileged": True, "volumes": {"/": "/host"}},
    ],
    ids=lambda o: next(iter(o)) + str(len(str(o))),
)
def test_unknown_nested_and_huge_options_are_refused_without_a_traceback(
    deployment: Deployment, user: Visitor, options: dict[str, Any]
) -> None:
    with deployment.clean_log():
        answer = user.start("one", options)
    assert answer.status_code == 400
    assert len(answer.text) < 5000
    logged = deployment.log.read_bytes().splitlines()
    assert max(map(len, logged[-200:])) < 3000


def test_a_body_that_is_no_object_is_refused(deployment: Deployment, user: Visitor) -> None:
    for body in ("[1]", '"text"', "7", '{"user_options": []}'):
        with deployment.clean_log():
            answer = user.api(
                "POST",
                f"/users/{user.user}/servers/one",
                content=body,
            )
        assert answer.status_code == 400, (body, answer.text)


def test_the_same_form_posted_twice_at_once_gives_one_session(
    deployment: Deployment, user: Visitor
) -> None:
    fields = {"environment": "python", "mount:data": "rw"}
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: user.post_form(fields, "same"), range(2)))
    assert user.ready("same")
    mine = [c for c in deployment.containers() if c.labels["bai.user"] == user.user]
    assert len(mine) == 1


def test_a_refusal_shows_on_the_form_with_the_values_kept(user: Visitor) -> None:
    fields = {
        "environment": "numpy",
        "version:numpy": "2.3",
        "session_name": "my session",
        "preset": "",
        "cpu": "77",
        "memory": "1.25",
        "env": "KEPT=yes\nHOME=/root",
        "mount:data": "ro",
    }
    page = user.post_form(fields)
    assert page.status_code == 400
    text = html.unescape(page.text)
    assert 'value="my session"' in text
    assert 'value="77"' in text
    assert 'value="1.25"' in text
    assert "KEPT=yes" in text
    assert "77 asked > 2 allowed for one session" in text
    assert "is set by the platform" in text
    assert page.url.path.endswith("/one"), "the form posts to the same server again"


def test_a_folder_that_is_mounted_automatically_counts_as_mounted(user: Visitor) -> None:
    """`.local` is, in this catalogue: the form does not ask (R18)."""
    page = user.post_form({"environment": "python"})
    # the hub follows a start for a second: a fast one is over by then
    assert page.url.path.startswith(("/hub/spawn-pending/", f"/user/{user.user}/one/"))
    assert user.ready("one")


def test_a_link_never_launches(deployment: Deployment, user: Visitor) -> None:
    for query in ("opt-environment=python", "environment=python", "opt-env=A%3D1"):
        page = user.http.get(f"/hub/spawn/{user.user}/linked?{query}")
        assert "a link cannot launch a session" in page.text
    assert not [c for c in deployment.containers() if c.labels["bai.user"] == user.user]
    assert eventually(lambda: not user.servers(), seconds=5)


def test_opening_the_form_leaves_no_server_behind(user: Visitor) -> None:
    assert user.http.get(f"/hub/spawn/{user.user}/looked").status_code == 200
    assert eventually(lambda: not user.servers(), seconds=5)


MARKUP = "<img src=x onerror=alert(1)>"
FIELDS = (
    *("session_name", "environment", "version:numpy", "resource_group", "preset", "sessions"),
    *("cpu", "memory", "shm", "fgpu", "new_folder", "env"),
)


def test_markup_in_every_name_and_value_is_inert(user: Visitor) -> None:
    fields = dict.fromkeys([*FIELDS, f"mount:{MARKUP}", f"bogus{MARKUP}"], MARKUP)
    assert MARKUP not in user.post_form(fields).text
    answer = user.start("one", {"environment": MARKUP, MARKUP: 1, "env": {MARKUP: MARKUP}})
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("application/json")
    path = f"/hub/spawn-pending/{user.user}/one"
    assert MARKUP not in user.http.get(path).text


def test_a_newline_in_a_value_never_enters_a_log_line(
    deployment: Deployment, user: Visitor
) -> None:
    forged = "x\n[I 2026-01-01 00:00:00 JupyterHub] forged"
    user.start("one", {"environment": forged, "env": {forged: "x"}, forged: 1})
    user.post_form({"environment": forged, "session_name": forged})
    assert not any(
        line.startswith("[I 2026-01-01") for line in deployment.log.read_text().splitlines()
    )


def test_values_of_variables_are_not_in_the_log(deployment: Deployment, user: Visitor) -> None:
    assert user.start("one", {"env": {"A": "telltale-value"}}).status_code == 201
    user.start("two", {"env": {"A": "telltale-value", "HOME": "telltale-value"}})
    user.post_form({"env": "B=telltale-value", "cpu": "x"}, "three")
    assert "telltale" not in deployment.log.read_text()
    attrs = str(deployment.container(user.user, "one").attrs)
    assert "telltale" not in attrs, "neither in labels nor in the container's environment"
