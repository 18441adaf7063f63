"""One app's process: started once however many ask, watched, and ended with all it started.

    stopped ── start ──► starting ── it listens ──► running ── it ends ──► stopped | failed
                            └─ it ends, or does not listen in time ──► failed

An app without a command is never started: something in the image listens on its port, or does
not. One that is an address of the server itself always runs.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Awaitable
from enum import StrEnum
from logging import Logger
from pathlib import Path

from bai_spawner.apps import App
from bai_spawner.server_extension.apps.output import end_of

PROGRAM = ("/usr/local/bin/bai-app",)
"""Runs a command with the user's variables and keeps its output: ``bai-app NAME COMMAND …``."""
RUN = Path("/run/bai-session/apps")
"""Output files and sockets; nobody else may enter it."""
HOST = "127.0.0.1"
GRACE = 8.0
"""Seconds between the request to end and the end: more than PROGRAM gives the app itself."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
_PATIENCE = 2.0
"""Seconds for one attempt to connect on this host."""
_SIGNALLED = 128
"""A shell's exit code for a process that a signal ended is this and the signal's number."""


class State(StrEnum):
    """Where an app is; values are those of the HTTP interface."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    FAILED = "failed"


class Runner:
    """An app of this session.

    Args:
        app: what it is.
        address: its address, without a slash at its end: ``/user/alice/one/tensorboard``.
        work: the work directory.
        log: the server's log.
        run: where its socket and its output are.
        program: what its command is handed to.
    """

    def __init__(
        self,
        app: App,
        *,
        address: str,
        work: Path,
        log: Logger,
        run: Path,
        program: tuple[str, ...],
    ) -> None:
        self.app, self._address, self._work, self._log = app, address, work, log
        self._run, self._program = run, program
        self.state = State.RUNNING if app.path else State.STOPPED
        self.message = ""
        self.directory: Path | None = None
        self.port = app.port
        self.unix_socket: str | None = None
        self._one_at_a_time = asyncio.Lock()
        self._life: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None

    @property
    def output(self) -> Path:
        """The file that holds the end of what it wrote since it was started last."""
        return self._run / f"{self.app.name}.log"

    def start(self, directory: Path | None = None) -> None:
        """Begin to start it, unless it runs, or starts, on this directory already."""
        if self.app.command:
            if self._alive() and self.directory == directory:
                return
        elif self.state in {State.STARTING, State.RUNNING}:
            return
        if self._life and self._alive():
            self._life.cancel()
        self.state, self.message, self.directory = State.STARTING, "", directory
        self._life = asyncio.create_task(self._live())

    async def stop(self) -> None:
        """End it, and wait until it has ended."""
        life = self._life
        if life:
            if self._alive():
                life.cancel()
            await asyncio.wait({life})
        if life is self._life and not self.app.path:
            self.state, self.message = State.STOPPED, ""

    async def look(self) -> State:
        """Its state; of something that only listens this is found out now."""
        if self.app.port and self.state is not State.STARTING:
            if await _connects(self._connect()):
                self.state, self.message = State.RUNNING, ""
            elif self.state is State.RUNNING:
                self.state = State.STOPPED
        return self.state

    async def answers(self) -> bool:
        """Whether it runs and takes a connection now.

        Of an app that has just died this is known before its end is; that is waited for, so
        that whoever asks next is told how it ended.
        """
        if await self.look() is not State.RUNNING:
            return False
        if await _connects(self._connect()):
            return True
        if self._life:
            await asyncio.wait({self._life}, timeout=_PATIENCE)
        return False

    def _alive(self) -> bool:
        """Whether it starts or runs. What ends is left to end: nothing may cut that short."""
        life = self._life
        return not (life is None or life is self._ending or life.done() or life.cancelling())

    async def _live(self) -> None:
        """Start it, see it run and end; whatever happens, nothing of it is left behind.

        Cancelled, it says nothing: its state is that of whoever told it to end.
        """
        async with self._one_at_a_time:
            try:
                process = await self._spawn() if self.app.command else None
            except OSError as error:
                self._failed(f"{self.app.title} cannot be started: {error.strerror or error}")
                return
            groups: list[int] = []
            try:
                if problem := await self._problem(process):
                    self._failed(problem)
                    return
                self.state = State.RUNNING
                if process:
                    groups = _groups_below(process.pid)
                    self._ended(await process.wait())
            finally:
                self._ending = asyncio.current_task()
                if process:
                    await _end_all(process, groups)

    async def _spawn(self) -> asyncio.subprocess.Process:
        """Start its process."""
        return await asyncio.create_subprocess_exec(
            *self._program,
            self.app.name,
            *self._command(),
            cwd=self.directory or self._work,
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )

    def _command(self) -> list[str]:
        """Its command, for a place to listen that is free now.

        Raises:
            OSError: the folder for sockets and output cannot be made.
        """
        self._run.mkdir(mode=0o700, parents=True, exist_ok=True)
        # what it wrote the last time does not explain this time
        self.output.unlink(missing_ok=True)
        values = {"base_url": self._address, "directory": str(self.directory or self._work)}
        if self.app.uses("unix_socket"):
            at = self._run / f"{self.app.name}.sock"
            at.unlink(missing_ok=True)
            self.unix_socket = values["unix_socket"] = str(at)
        else:
            self.port = _free_port()
            values["port"] = str(self.port)
        return self.app.filled(values)

    async def _problem(self, process: asyncio.subprocess.Process | None) -> str:
        """Why it does not listen; empty as soon as it does."""
        listening = asyncio.ensure_future(self._listens())
        ended = asyncio.ensure_future(process.wait()) if process else None
        tasks = {task for task in (listening, ended) if task}
        timeout = self.app.timeout
        try:
            await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if ended and ended.done():
                return f"{self.app.title} {_how(ended.result())} before it was ready"
            if not listening.done():
                where = self.unix_socket or f"port {self.port}"
                return f"{self.app.title} did not listen on {where} in {timeout} seconds"
        finally:
            for task in tasks:
                task.cancel()
        return ""

    def _ended(self, code: int) -> None:
        """Note that it ended after it ran."""
        if code:
            self._failed(f"{self.app.title} {_how(code)}")
        else:
            self.state, self.message = State.STOPPED, f"{self.app.title} ended by itself"

    def _failed(self, words: str) -> None:
        self.state = State.FAILED
        self.message = "\n".join(part for part in (words, end_of(self.output)) if part)
        self._log.warning("app %s: %s", self.app.name, words)

    async def _listens(self) -> None:
        """Return when somebody can connect."""
        pause = _FIRST_PAUSE
        while not await _connects(self._connect()):
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _connect(self) -> Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        if self.unix_socket:
            return asyncio.open_unix_connection(self.unix_socket)
        return asyncio.open_connection(HOST, self.port)


async def _connects(
    attempt: Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]],
) -> bool:
    """Whether somebody answers; the connection is closed again."""
    try:
        _, writer = await asyncio.wait_for(attempt, _PATIENCE)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


async def _end_all(process: asyncio.subprocess.Process, groups: list[int]) -> None:
    """End a process and what it started: first asked, then forced.

    PROGRAM ends the app with itself. Only killed outright it could not: then the app's
    process group, known from before, is ended here.
    """
    if process.returncode is None:
        groups = _groups_below(process.pid)
        _signal(process.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), GRACE)
    _signal(process.pid, signal.SIGKILL)
    if await process.wait() == -signal.SIGKILL:
        for group in groups:
            _signal(group, signal.SIGKILL)


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _groups_below(pid: int) -> list[int]:
    """Process groups that a process's children lead: proc(5), ``children``."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [int(child) for child in children if _leads(int(child))]


def _leads(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        return os.getpgid(pid) == pid
    return False


def _free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as made:
        made.bind((HOST, 0))
        port: int = made.getsockname()[1]
    return port


def _how(code: int) -> str:
    """How a process ended, in words."""
    number = -code if code < 0 else code - _SIGNALLED
    try:
        name = f" ({signal.Signals(number).name})"
    except ValueError:
        name = ""
    return f"was killed{name}" if code < 0 else f"ended with exit code {code}{name}"
