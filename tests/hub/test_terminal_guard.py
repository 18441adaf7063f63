"""Who gets into a session's web terminal: its user, through the server, and nobody else."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.deployment import Deployment, Visitor
from tests.session import Session
from tests.terminals import WebTerminal


@pytest.fixture
def session(deployment: Deployment, user: Visitor) -> Iterator[Session]:
    """A session whose terminal nobody has opened yet."""
    assert user.start("one", {}).status_code == 201
    made = Session(deployment, user, "one")
    yield made
    made.http.close()


def knock(session: Session, **headers: str) -> int:
    """What the terminal's websocket answers; 101 lets in."""
    url = f"{session.http.base_url}terminal/ws".replace("http", "ws", 1)
    try:
        with connect(url, additional_headers=headers, subprotocols=["tty"]) as socket:
            socket.send(json.dumps({"AuthToken": "", "columns": 80, "rows": 24}).encode())
            return 101
    except InvalidStatus as refusal:
        return refusal.response.status_code


def cookies(visitor: Visitor, session: Session) -> str:
    """What a browser that is logged in to the session sends with every request."""
    path = session.http.base_url.path
    assert visitor.http.get(f"{path}api/status").status_code == 403, "not logged in to it yet"
    assert visitor.http.get(f"{path}tree").is_success
    assert visitor.http.get(f"{path}api/status").is_success
    # cookies of other paths are not sent there
    jar = [one for one in visitor.http.cookies.jar if path.startswith(one.path)]
    return "; ".join(f"{one.name}={one.value}" for one in jar)


def test_without_the_right_to_the_terminal_nothing_of_it_starts(
    deployment: Deployment, user: Visitor, session: Session
) -> None:
    cookie = cookies(user, session)
    origin = deployment.url
    with deployment.login("stranger") as stranger:
        mine = f"/users/{stranger.user}/tokens"
        foreign = stranger.api("POST", mine, json={}).json()["token"]
        foreign_cookie = "; ".join(f"{one.name}={one.value}" for one in stranger.http.cookies.jar)
    spoilt = "; ".join(f"{one.partition('=')[0]}=2|1:0|{'A' * 40}" for one in cookie.split("; "))
    refused: dict[str, dict[str, str]] = {
        "no cookie": {"Origin": origin},
        "a wrong cookie": {"Cookie": spoilt, "Origin": origin},
        "another user's cookies": {"Cookie": foreign_cookie, "Origin": origin},
        "a wrong token": {"Authorization": "token 0123456789abcdef0123456789abcdef"},
        "another user's token": {"Authorization": f"token {foreign}"},
        "another origin": {"Cookie": cookie, "Origin": "http://elsewhere.example"},
        "another port": {"Cookie": cookie, "Origin": f"{origin}1"},
    }
    answers = {what: knock(session, **headers) for what, headers in refused.items()}
    assert answers == dict.fromkeys(refused, 403)
    assert not session.processes("ttyd"), "and no process was started"
    assert not session.processes("tmux")

    assert knock(session, Cookie=cookie, Origin=origin) == 101, "the user's own browser gets in"
    assert session.processes("ttyd")


def test_the_terminals_page_is_for_who_is_logged_in(session: Session) -> None:
    session.http.headers.pop("Authorization")
    answer = session.http.get("/terminal/")
    assert answer.is_redirect
    assert "/hub/api/oauth2/authorize" in answer.headers["location"]
    assert not session.processes("ttyd")


def test_the_address_without_a_slash_leads_to_the_terminal(session: Session) -> None:
    answer = session.http.get("/terminal")
    assert answer.is_redirect
    assert answer.headers["location"] == f"{session.http.base_url.path}terminal/"


@pytest.mark.parametrize("who", ["1001:1001", "1001:1000", "0:0"])
def test_another_uid_gets_neither_into_the_terminal_nor_at_the_key(
    session: Session, who: str
) -> None:
    with WebTerminal(session.http) as terminal:
        terminal.says("echo re''ady", "ready")
        (socket,) = session.run("tmux", "display-message", "-p", "#{socket_path}").split()
        assert session.run("stat", "-c", "%a %U", socket).split()[1] == "work"
        attempts = {
            "attach": ["tmux", "-S", socket, "list-sessions"],
            "open the socket": [
                *("curl", "--silent", "--show-error", "--max-time", "5"),
                *("--unix-socket", "/run/bai-session/terminal.sock", "http://terminal/"),
            ],
            "list what runs": ["ls", "/run/bai-session"],
            "read the key": ["cat", "/home/work/id_container"],
            "read the variables": ["cat", "/run/bai/env.json"],
        }
        mine = {what: session.container.exec_run(one) for what, one in attempts.items()}
        assert mine.pop("read the variables").exit_code, "there are none"
        assert not any(result.exit_code for result in mine.values()), mine
        theirs = {what: session.container.exec_run(one, user=who) for what, one in attempts.items()}
        assert all(result.exit_code for result in theirs.values()), theirs
        for what, result in theirs.items():
            told = result.output.lower()
            assert b"denied" in told or b"could not connect" in told, (what, told)
