"""What runs in a session beside the notebooks: it may die, and Jupyter stays up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from websockets.sync.client import connect

from tests.deployment import Deployment, Visitor, eventually
from tests.session import Session

SSH = (
    "ssh -p 2222 -i id_container -o BatchMode=yes -o StrictHostKeyChecking=no "
    "-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR localhost"
)


@pytest.fixture
def session(deployment: Deployment, user: Visitor) -> Iterator[Session]:
    answer = user.start("one", {"env": {"GREETING": "hello {0}"}})
    assert answer.status_code == 201, answer.text
    made = Session(deployment, user, "one")
    yield made
    assert made.http.get("/api/status").status_code == 200, "Jupyter is up, whatever died"
    made.http.close()


def terminal(session: Session, command: str) -> str:
    """What the web terminal shows after a command."""
    assert eventually(lambda: session.http.get("/terminal/").status_code == 200)
    url = f"{session.http.base_url}terminal/ws".replace("http", "ws", 1)
    headers = {"Authorization": session.http.headers["Authorization"]}
    with connect(url, additional_headers=headers, subprotocols=["tty"]) as socket:  # type: ignore[list-item]
        socket.send(b'{"AuthToken": "", "columns": 100, "rows": 30}')
        socket.send(b"0" + command.encode() + b"\n")
        shown = b""
        while b"DONE" not in shown:
            message = socket.recv(15)
            assert isinstance(message, bytes)
            if message[:1] == b"0":  # ttyd's mark of what is to be shown
                shown += message[1:]
    return shown.decode("utf-8", "replace")


def tmux(session: Session) -> str:
    return session.run("tmux", "list-sessions", "-F", "#{session_name} #{session_created}").strip()


def test_the_terminal_is_a_tmux_session_that_outlives_its_connection(session: Session) -> None:
    shown = terminal(session, 'echo "$GREETING" $(umask) D""ONE')
    assert "hello {0} 0022 DONE" in shown
    first = tmux(session)
    assert first.startswith("main ")
    terminal(session, 'echo D""ONE')
    assert tmux(session) == first


def test_the_terminals_socket_is_its_users_alone(session: Session) -> None:
    terminal(session, 'echo D""ONE')
    found = session.run("stat", "-c", "%a %U", "/run/bai-session", "/run/bai-session/terminal.sock")
    folder, socket = found.split()[::2]
    assert folder == "700", "nobody else comes as far as the socket"
    assert socket[-1] == "0"


def test_a_terminal_without_its_owners_token_is_refused_before_anything_starts(
    deployment: Deployment, session: Session
) -> None:
    with deployment.login("stranger") as stranger:
        answer = stranger.http.get(f"{session.http.base_url.path}terminal/", follow_redirects=False)
        assert answer.status_code in (302, 403)
    assert session.processes("ttyd") == []


def test_ttyd_that_dies_is_started_again_and_the_tmux_session_is_still_there(
    session: Session,
) -> None:
    terminal(session, 'echo D""ONE')
    before, shell = session.processes("ttyd --interface"), tmux(session)
    session.run("kill", "-9", *before)

    def again() -> bool:
        found = session.processes("ttyd --interface")
        return bool(found) and found != before

    assert eventually(again) or terminal(session, 'echo D""ONE')
    terminal(session, 'echo D""ONE')
    assert tmux(session) == shell


def test_tmux_that_dies_is_started_again_at_the_next_connection(session: Session) -> None:
    terminal(session, 'echo D""ONE')
    first = tmux(session)
    session.run("sleep", "1")
    session.run("tmux", "kill-server")
    assert "DONE" in terminal(session, 'echo D""ONE')
    assert tmux(session) != first


def test_sshd_that_dies_is_started_again_and_the_log_says_so(session: Session) -> None:
    def login() -> bool:
        found = session.container.exec_run(["sh", "-c", f"{SSH} id -un"])
        return bool(found.output.decode().strip() == "work")

    assert eventually(login)
    session.run("pkill", "-9", "-f", "sshd.*-D -e")
    assert eventually(login, seconds=20)
    assert "sshd ended" in session.container.logs().decode()


def test_ssh_takes_the_sessions_key_and_nothing_else(session: Session) -> None:
    assert eventually(
        lambda: session.container.exec_run(["sh", "-c", f"{SSH} true"]).exit_code == 0
    )
    without = SSH.replace("-i id_container", "-o IdentitiesOnly=yes -i /dev/null")
    answer = session.container.exec_run(["sh", "-c", f"{without} true"])
    assert answer.exit_code == 255
    assert b"Permission denied (publickey)" in answer.output
    copied = session.container.exec_run(
        [
            "sh",
            "-c",
            f"echo 'get /etc/hostname copied' | {SSH.replace('ssh -p', 'sftp -b - -P', 1)}",
        ]
    )
    assert copied.exit_code == 0, copied.output
    assert session.run("cat", "copied").strip()
