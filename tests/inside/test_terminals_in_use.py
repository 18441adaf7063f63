"""Who uses a terminal: real terminals, real shells, and what Linux says of them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import subprocess
import sys
import tempfile
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bai_spawner.server_extension.activity.terminals import Process, Terminals, look, parsed
from tests.deployment import eventually

LONG_AGO = 1_000_000_000.0
SETTLED = 20
"""So many looks in a row that see the same."""
CLIENT = "open('/proc/self/comm', 'w').write('tmux: client'); print('there'); input()"


class Terminal:
    """A terminal, alone in a folder of its own, with a program in it that leads its session."""

    def __init__(self, folder: Path, *command: str) -> None:
        self.folder = folder
        self.master, self._slave = pty.openpty()
        self.path = os.ttyname(self._slave)
        (folder / "0").symlink_to(self.path)
        self._process = subprocess.Popen(
            command,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env={"PS1": "ready> ", "PATH": os.environ["PATH"], "TERM": "dumb"},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no threads
        )
        self._read = b""
        os.set_blocking(self.master, False)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def shows(self, text: str) -> None:
        """Wait until it does, and forget what it showed so far."""

        def shown() -> bool:
            with contextlib.suppress(BlockingIOError):
                self._read += os.read(self.master, 65536)
            return text.encode() in self._read

        assert eventually(shown, every=0.01), self._read
        self._read = b""

    def rest(self) -> None:
        """Have been read from long ago, and not since."""
        os.utime(self.path, (LONG_AGO, LONG_AGO))

    def look(self) -> Terminals:
        """Look at this terminal and its own processes.

        Those of a container have terminals of the same numbers, and are none of a session's.
        """
        with tempfile.TemporaryDirectory() as proc:
            for path in self._processes():
                Path(proc, path.name).symlink_to(path)
            return look(self.folder, Path(proc))

    def _processes(self) -> Iterator[Path]:
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.getsid(int(path.name)) == self._process.pid:
                    yield path

    def is_busy(self, busy: bool) -> bool:
        """Whether it becomes so and stays: while programs start, it is one and the other."""
        looks: list[bool] = []

        def settled() -> bool:
            looks.append(self.look().busy is busy)
            return len(looks) >= SETTLED and all(looks[-SETTLED:])

        return bool(eventually(settled, every=0.01))

    def close(self) -> None:
        os.close(self._slave)
        os.close(self.master)
        for path in self._processes():  # the leader's end alone leaves a busy child running
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(path.name), signal.SIGKILL)
        self._process.wait()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    made: list[Terminal] = []

    def start(*command: str) -> Terminal:
        made.append(Terminal(tmp_path, *command))
        return made[-1]

    yield start
    for terminal in made:
        terminal.close()


@pytest.fixture
def shell(opened: Callable[..., Terminal]) -> Terminal:
    """A shell at its prompt that nobody has used for long."""
    terminal = opened("bash", "--norc", "-i")
    terminal.shows("ready> ")
    assert terminal.is_busy(False)
    terminal.rest()
    return terminal


def test_a_new_terminal_was_used_when_it_was_opened(opened: Callable[..., Terminal]) -> None:
    terminal = opened("bash", "--norc", "-i")
    assert terminal.look().last > LONG_AGO


def test_a_shell_that_waits_is_not_in_use(shell: Terminal) -> None:
    assert shell.look() == Terminals(LONG_AGO, busy=False)


def test_a_key_is_use(shell: Terminal) -> None:
    shell.type("x")
    shell.shows("x")
    assert shell.look().last > LONG_AGO


def test_output_of_the_background_is_no_use(shell: Terminal) -> None:
    shell.type("(sleep 0.5; echo out$((20 + 3)); sleep 600) &\r")
    shell.shows("ready> ")
    shell.rest()
    shell.shows("out23")
    assert shell.look() == Terminals(LONG_AGO, busy=False)


def test_another_size_is_no_use(shell: Terminal) -> None:
    shell.type("trap 'echo size$((20 + 3))' WINCH\r")
    shell.shows("ready> ")
    assert shell.is_busy(False)
    shell.rest()
    termios.tcsetwinsize(shell.master, (30, 90))
    shell.shows("size23")
    assert shell.look().last == LONG_AGO
    assert shell.is_busy(False)


@pytest.mark.parametrize(
    "command",
    [
        "sleep 600",
        "sleep 600 | cat",
        "bash -c 'sleep 600; true'",
        "exec sleep 600",
        "while :; do :; done",
        "bash -c 'while :; do :; done'",
    ],
)
def test_a_job_in_front_is_use(shell: Terminal, command: str) -> None:
    shell.type(f"{command}\r")
    assert shell.is_busy(True)


@pytest.mark.parametrize(
    "command", ["sleep 600 &", "(sleep 600 | cat) & disown", "sh", "bash --norc", "true"]
)
def test_what_runs_in_the_background_or_waits_for_its_user_is_none(
    shell: Terminal, command: str
) -> None:
    shell.type(f"{command}; echo over$((20 + 3))\r" if "&" not in command else f"{command}\r")
    shell.shows("over23" if command == "true" else "\r\n")
    assert shell.is_busy(False)


def test_a_job_that_was_stopped_is_none(shell: Terminal) -> None:
    shell.type("sleep 600\r")
    assert shell.is_busy(True)
    shell.type("\x1a")
    shell.shows("Stopped")
    assert shell.is_busy(False)


def test_a_script_that_asks_its_user_waits(opened: Callable[..., Terminal], tmp_path: Path) -> None:
    script = tmp_path / "ask"
    script.write_text("#!/bin/sh\necho there\nread -r answer\nsleep 600\n")
    script.chmod(0o755)
    terminal = opened(str(script))
    terminal.shows("there")
    assert terminal.is_busy(False)
    terminal.type("go\r")
    assert terminal.is_busy(True)


def test_what_is_typed_into_a_client_of_tmux_is_for_the_pane_to_count(
    opened: Callable[..., Terminal],
) -> None:
    terminal = opened(sys.executable, "-c", CLIENT)
    terminal.shows("there")
    terminal.rest()
    os.utime(terminal.path)
    assert terminal.look() == Terminals(0.0, busy=False)


def test_who_waits_for_a_client_of_tmux_is_no_job(opened: Callable[..., Terminal]) -> None:
    """The web terminal is a script that starts one, and goes on when that has ended."""
    terminal = opened("sh", "-c", f'{sys.executable} -c "{CLIENT}" | sleep 600')
    assert eventually(lambda: terminal.look().last == 0)
    assert terminal.is_busy(False)


def test_nobody_types_in_the_future(shell: Terminal) -> None:
    ahead = 2**33
    os.utime(shell.path, (ahead, ahead))
    assert LONG_AGO < shell.look().last < ahead


def test_a_job_in_another_terminal_is_not_this_ones(
    shell: Terminal, opened: Callable[..., Any], tmp_path: Path
) -> None:
    apart = tmp_path / "apart"
    apart.mkdir()
    other = Terminal(apart, "sleep", "600")
    try:
        assert other.is_busy(True)
        assert not shell.look().busy
    finally:
        other.close()


def test_where_there_are_no_terminals_none_is_used(tmp_path: Path) -> None:
    (tmp_path / "ptmx").touch()
    assert look(tmp_path) == look(tmp_path / "missing") == Terminals(0.0, busy=False)


@given(
    name=st.text(max_size=15).map(lambda text: text.encode("utf-8", "ignore")[:15]),
    numbers=st.tuples(*[st.integers(-1, 2**31 - 1)] * 6),
)
def test_a_program_may_be_called_anything(name: bytes, numbers: tuple[int, ...]) -> None:
    parent, group, session, terminal, front, flags = numbers
    line = b"%d (%s) S %d %d %d %d %d %d 0" % (
        1,
        name,
        parent,
        group,
        session,
        terminal,
        front,
        flags,
    )
    shown = name.decode("utf-8", "replace")
    assert parsed(line) == Process(1, shown, "S", group, terminal, front)
