"""What dies or is broken inside a session, and what of the session goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deployment import Deployment, Visitor, eventually
from tests.session import Session
from tests.terminals import LabTerminal, WebTerminal

PROGRAMS = (
    *("python", "python3", "sh", "bash", "env", "rm", "mv", "stat", "chmod", "sleep", "date"),
    *("tmux", "ttyd", "sshd", "ssh-keygen", "jupyter", "jupyter-lab", "jupyterhub-singleuser"),
    *("bai-session", "bai-terminal", "bai-user-env", "bai-shell", "tini", "git"),
)
"""What the session's own parts start, and what their shells do."""
STAND_IN = "#!/bin/sh\necho stand-in: $0 >>/home/work/stand-ins\nexit 1\n"
EXITS = "import os\nos._exit(3)\n"
RAISES = "raise SystemExit('broken')\n"
BROKEN_FILES = {
    **{f"bin/{name}": STAND_IN for name in PROGRAMS},
    "lib/python3.13/site-packages/sitecustomize.py": EXITS,
    "lib/python3.13/site-packages/usercustomize.py": EXITS,
    "lib/python3.13/site-packages/broken.pth": "import os; os._exit(3)\n",
    **{
        f"lib/python3.13/site-packages/{name}/__init__.py": RAISES
        for name in ("tornado", "jupyter_server", "jupyterhub", "bai_spawner", "jupyterlab")
    },
    "etc/jupyter/jupyter_server_config.py": RAISES,
    "etc/jupyter/jupyter_server_config.json": "{",
    "etc/jupyter/jupyter_config.json": '{"ServerApp": {"port": 1}}',
    "share/jupyter/nbsignatures.db": "no database",
    "lib/libevent_core-2.1.so.7": "no library, and tmux needs it",
}
BROKEN_VARIABLES = {
    "PATH": "/home/work/.local/bin",
    "PYTHONHOME": "/nowhere",
    "PYTHONPATH": "/home/work/.local/lib/python3.13/site-packages",
    "PYTHONSTARTUP": "/nowhere",
    "LD_PRELOAD": "/nowhere.so",
    "LD_LIBRARY_PATH": "/home/work/.local/lib",
    "SHELL": "/bin/false",
    "BASH_ENV": "/nowhere",
    "ENV": "/nowhere",
    "TERM": "dumb",
    "TERMINFO": "/nowhere",
    "TMUX": "/nowhere,1,2",
    "TMUX_PANE": "%9",
    "TMUX_TMPDIR": "/etc",
    "LANG": "nowhere.none",
    "LC_ALL": "nowhere.none",
    "TMPDIR": "/nowhere",
    "XDG_CONFIG_HOME": "/nowhere",
    "XDG_RUNTIME_DIR": "/nowhere",
}
"""``PATH`` has the stand-ins alone: a shell has its built-in commands, and no other."""


@pytest.fixture
def session(deployment: Deployment, user: Visitor) -> Iterator[Session]:
    assert user.start("one", {}).status_code == 201
    made = Session(deployment, user, "one")
    yield made
    made.http.close()


def server(session: Session) -> str:
    """The process id of the session's Jupyter server."""
    return session.processes("bin/bai-session")[-1]


@pytest.mark.parametrize("signal", ["KILL", "TERM"])
def test_ttyd_dies_and_the_next_visit_finds_the_same_shell(session: Session, signal: str) -> None:
    jupyter = server(session)
    with WebTerminal(session.http) as terminal:
        terminal.says("kept=here; echo re''ady", "ready")
        (before,) = session.processes("/usr/bin/ttyd")
        session.run("kill", f"-{signal}", before)
        assert eventually(lambda: session.http.get("/terminal/").status_code == 200)
    assert before not in session.processes("/usr/bin/ttyd")
    with WebTerminal(session.http) as again:
        again.says("echo still-$kept", "still-here")
    assert server(session) == jupyter


def test_tmux_dies_which_is_said_and_enter_begins_a_new_one(session: Session) -> None:
    jupyter = server(session)
    with WebTerminal(session.http) as terminal:
        terminal.says("kept=here; echo re''ady", "ready")
        session.run("kill", "-KILL", session.run("tmux", "display", "-p", "#{pid}").strip())
        terminal.until("Press Enter")
        terminal.type("\r")
    with WebTerminal(session.http) as again:
        again.says("echo new-$kept.", "new-.")
    assert server(session) == jupyter


def test_a_shell_that_ends_at_once_is_not_opened_again_and_again(session: Session) -> None:
    session.run("sh", "-c", "echo exit >/home/work/.bash_profile")
    with WebTerminal(session.http) as terminal:
        terminal.until("Press Enter")


def test_sshd_dies_and_is_started_again(session: Session) -> None:
    jupyter = server(session)

    def listening() -> list[str]:
        return session.processes("sshd: /usr/sbin/sshd")

    (before,) = eventually(listening)
    session.run("kill", "-KILL", before)
    assert eventually(lambda: listening() and before not in listening())
    assert eventually(lambda: session.http.get("/bai/api/ssh").json()["running"])
    assert "sshd ended" in session.container.logs().decode()
    assert server(session) == jupyter


def test_what_a_user_broke_at_home_does_not_keep_a_session_from_starting_or_ending(
    deployment: Deployment, user: Visitor
) -> None:
    home = deployment.folder(user.user, ".local")
    for name, content in BROKEN_FILES.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(0o755)
    answer = user.start("one", {"env": BROKEN_VARIABLES})
    assert answer.status_code == 201, answer.text
    session = Session(deployment, user, "one")
    for kind in (WebTerminal, LabTerminal):
        with kind(session.http) as terminal:
            terminal.says("echo is-''open", "is-open")
            terminal.says("echo in-$LD_LIBRARY_PATH", "in-/home/work/.local/lib")
    for page in ("/lab", "/tree", "/api/contents", "/bai/api/ssh"):
        assert session.http.get(page).status_code == 200, page
    assert eventually(lambda: session.http.get("/bai/api/ssh").json()["running"])
    taken = session.container.exec_run(["/bin/cat", "/home/work/stand-ins"])
    assert taken.exit_code, f"a program of the user's was started for the session's: {taken.output}"
    session.http.close()
    user.stop("one")
    assert not [c for c in deployment.containers() if c.labels["bai.user"] == user.user]


def test_a_broken_jupyter_folder_does_not_keep_a_session_from_ending(
    deployment: Deployment, user: Visitor, session: Session
) -> None:
    session.run("sh", "-c", "rm -rf ~/.jupyter && mkdir -m 0 ~/.jupyter")
    with WebTerminal(session.http) as terminal:
        terminal.says("echo is-''open", "is-open")
    assert session.http.get("/lab").status_code == 200
    assert session.http.get("/api/contents").status_code == 200
    user.stop("one")
