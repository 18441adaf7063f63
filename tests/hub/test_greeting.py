"""What terminals say first, where they say it, and how it is silenced."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deployment import Deployment, Visitor
from tests.session import Session
from tests.terminals import LabTerminal, WebTerminal

GRANTED = "1 CPU core and 1 GiB of memory."
HINT = "bai-hint off"
BROKEN = {
    "PATH": "/nowhere",
    "LANG": "nowhere.none",
    "TERM": "dumb",
    "PS1": "",
    "PYTHONHOME": "/nowhere",
    "BASH_ENV": "/nowhere",
    "IFS": "ae",
}


@pytest.fixture
def session(deployment: Deployment, user: Visitor) -> Iterator[Session]:
    """A session with a folder, and variables that break most programs."""
    options = {"env": BROKEN, "mounts": [{"folder": "data"}], "preset": "small"}
    assert user.start("one", options, name="tables7").status_code == 201
    made = Session(deployment, user, "one")
    yield made
    made.http.close()


def test_the_first_shell_says_what_is_granted_and_kept_whatever_is_broken(
    session: Session,
) -> None:
    with WebTerminal(session.http) as terminal:
        terminal.type("echo re''ady\r")
        shown = terminal.until("ready")
        assert f"Session tables7: {GRANTED}" in shown
        assert "data" in shown
        assert "is deleted" in shown
        assert "does not work, hold Shift" in shown
        assert HINT in shown
        terminal.type("\x02c")
        terminal.says("echo second-''window", "second-window")
        assert "Session tables7" not in session.run("tmux", "capture-pane", "-p")


def test_every_other_login_is_greeted_and_told_nothing_of_tmux(session: Session) -> None:
    with LabTerminal(session.http) as terminal:
        terminal.type("echo re''ady\r")
        shown = terminal.until("ready")
        assert GRANTED in shown
        assert HINT not in shown
        terminal.type("/bin/bash -l\r echo in''ner\r")
        assert GRANTED not in terminal.until("inner"), "once is enough"


def test_no_program_that_starts_a_shell_gets_a_greeting_in_its_output(session: Session) -> None:
    assert session.run("/bin/bash", "-lic", "echo alone").splitlines()[-1] == "alone"
    assert GRANTED not in session.run("/bin/bash", "-lic", "echo alone")


def test_the_hint_is_dismissed_for_good_and_brought_back(session: Session) -> None:
    said = session.run("/usr/local/bin/bai-hint", "off")
    assert "as long as ~/.config lasts" in said
    with WebTerminal(session.http) as terminal:
        terminal.type("echo re''ady\r")
        shown = terminal.until("ready")
        assert GRANTED in shown
        assert HINT not in shown
    session.run("tmux", "kill-server")
    session.run("/usr/local/bin/bai-hint", "on")
    with WebTerminal(session.http) as terminal:
        terminal.until(HINT)
    assert session.container.exec_run(["/usr/local/bin/bai-hint", "?"]).exit_code == 2


def test_a_hushlogin_silences_all_of_it(session: Session) -> None:
    session.run("touch", "/home/work/.hushlogin")
    with WebTerminal(session.http) as terminal:
        terminal.type("echo re''ady\r")
        shown = terminal.until("ready")
        assert GRANTED not in shown
        assert HINT not in shown
