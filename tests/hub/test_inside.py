"""What a session's processes see: the user's variables where they belong, and limits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.deployment import Deployment, Visitor, eventually
from tests.session import Session

LITERAL = {
    "BRACES": "{0} {prefix.__class__} {{}}",
    "DOLLARS": "$HOME ${PATH} $(id)",
    "BACKTICKS": "`id`",
    "PERCENTS": "%s %(name)s 100%",
    "QUOTES": "'\"\\n",
    "UNICODE": "naïve ☃",
    "PATH": "/home/work/bin:/opt/bai/bin:/usr/bin:/bin",
    "LD_LIBRARY_PATH": "/home/work/lib",
    "CUDA_LAUNCH_BLOCKING": "1",
}


@pytest.fixture
def session(deployment: Deployment, user: Visitor) -> Iterator[Session]:
    """A session with variables of every kind."""
    answer = user.start("one", {"env": LITERAL, "mounts": [{"folder": "data"}]})
    assert answer.status_code == 201, answer.text
    made = Session(deployment, user, "one")
    yield made
    made.http.close()


def platform(found: dict[str, str]) -> dict[str, Any]:
    return {k: v for k, v in found.items() if k.startswith(("JUPYTERHUB_", "BAI_"))}


def test_a_users_variables_reach_kernels_and_terminals_literally_and_nothing_else(
    session: Session,
) -> None:
    first = session.environ("1")
    server = session.environ(session.processes("bin/bai-session")[-1])
    for name, value in LITERAL.items():
        assert first.get(name) != value, name
        assert server.get(name) != value, name

    assert session.http.post("/api/kernels", json={}).status_code == 201
    assert session.http.post("/api/terminals", json={}).status_code == 200
    for command in ("ipykernel_launcher", "/bin/bash"):
        found = eventually(lambda command=command: session.environ_of(command))
        assert {name: found.get(name) for name in LITERAL} == LITERAL
        assert found["HOME"] == "/home/work"
        told = platform(found)
        assert told["BAI_SESSION_NAME"] == platform(first)["BAI_SESSION_NAME"]


def test_the_users_variables_are_a_file_that_only_the_session_reads(session: Session) -> None:
    assert session.run("stat", "-c", "%a %u", "/run/bai/env.json").split() == ["400", "1000"]
    assert json.loads(session.run("cat", "/run/bai/env.json")) == LITERAL


def test_the_token_is_neither_in_the_sessions_log_nor_in_the_hubs(
    deployment: Deployment, session: Session
) -> None:
    token = session.environ("1")["JUPYTERHUB_API_TOKEN"]
    assert token
    assert token not in session.container.logs().decode()
    assert token not in deployment.log.read_text()


def test_siblings_do_not_reach_each_other(
    deployment: Deployment, user: Visitor, session: Session
) -> None:
    user.start("two", {})
    sibling = deployment.container(user.user, "two")
    sibling.reload()
    address = sibling.attrs["NetworkSettings"]["Networks"][deployment.network]["IPAddress"]
    reached = httpx.get(f"http://{address}:8888/user/{user.user}/two/api")
    assert reached.status_code == 200, "the hub's host does reach it"
    probe = (
        "import socket,sys\n"
        f"s=socket.socket(); s.settimeout(2); sys.exit(s.connect_ex(('{address}', 8888)) == 0)"
    )
    assert session.container.exec_run(["python3", "-c", probe]).exit_code == 0


def test_another_user_is_not_let_into_a_session(deployment: Deployment, session: Session) -> None:
    with deployment.login("stranger") as stranger:
        path = session.http.base_url.path
        answer = stranger.http.get(f"{path}api/kernels")
        assert answer.status_code in (403, 404)


def test_a_sessions_token_opens_that_session_alone_and_dies_with_it(
    deployment: Deployment, user: Visitor
) -> None:
    def token() -> str:
        environ = deployment.container(user.user, "one").attrs["Config"]["Env"]
        return str(next(e for e in environ if e.startswith("JUPYTERHUB_API_TOKEN=")))[21:]

    def allowed(path: str, token: str) -> int:
        headers = {"Authorization": f"token {token}"}
        return httpx.get(f"{deployment.url}{path}", headers=headers).status_code

    user.start("one", {})
    first = token()
    assert allowed("/hub/api/user", first) == 200
    user.stop("one")
    assert allowed("/hub/api/user", first) == 403
    user.start("one", {})
    assert token() != first
    assert allowed(f"/user/{user.user}/one/api/contents", first) == 403
