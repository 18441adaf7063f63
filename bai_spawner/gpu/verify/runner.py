"""Where probes run: the processes of one session, started as its user could start them.

A `Runner` starts what an `Ask` says and hands back what was printed. It judges nothing and
raises nothing for what a probe does; each of its calls ends within the seconds that were asked
for, and some more to end a probe gently.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Protocol, Self

from bai_spawner.gpu.verify.readings import READY, Output

PROBE = "bai_spawner.gpu.verify.probe"
GRACE = 10.0
"""Seconds a probe has to end after SIGTERM. It needs far less; see `probe`."""
LOG_BYTES = 4096
"""Of the end of what a probe wrote to standard error."""
MOST_BYTES = 65_536
"""That a probe may print before it is ready."""

Changes = Mapping[str, str | None]
"""Environment variables that are set, or with ``None`` unset."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One probe.

    Attributes:
        what: the probe's arguments, such as ``("memory", "0", "1073741824")``.
        process: what the process changes in its environment, as a line in a notebook would.
        launch: what the user asks for when the session is launched. A runner whose session
            runs already launches another one with these; it is the strategy's part to put
            its own values last.
        seconds: after which it is ended.
    """

    what: tuple[str, ...]
    process: Changes = field(default_factory=dict)
    launch: Changes = field(default_factory=dict)
    seconds: float = 30.0

    def command(self, python: str = "python3") -> tuple[str, ...]:
        """The probe with what its process changes, to be executed without a shell."""
        unset = [name for name, value in self.process.items() if value is None]
        values = [f"{name}={value}" for name, value in self.process.items() if value is not None]
        options = [part for name in unset for part in ("-u", name)]
        return ("env", *options, *values, python, "-m", PROBE, *self.what)


class Runner(Protocol):
    """Runs probes as processes of one session."""

    @property
    def contained(self) -> bool:
        """Whether they run in a container of their own, not as processes of this host."""

    def run(self, ask: Ask) -> Output:
        """Run one, alone."""

    def beside(self, first: Ask, second: Ask) -> tuple[Output, Output]:
        """Run the second in the same session, once the first has printed the line `READY`.

        The first's standard input stays open until the second has ended, and is then closed.
        When the first prints no such line in its time, the second does not run, and the log of
        its output says so.
        """


@dataclass(frozen=True, slots=True)
class ProcessRunner:
    """Runs probes as children of this process.

    What a session's launch would change is changed in the process.

    Attributes:
        prefix: what starts them elsewhere, such as ``docker exec -i`` and a container.
        python: the Python there that has this package.
        environment: of the children.
        contained: see `Runner`.
    """

    prefix: tuple[str, ...] = ()
    python: str = sys.executable
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    contained: bool = False

    def run(self, ask: Ask) -> Output:
        """Run one, alone."""
        with _Child(self._command(ask), self.environment) as child:
            return child.finish(ask.seconds)

    def _command(self, ask: Ask) -> tuple[str, ...]:
        both = Ask(ask.what, {**ask.launch, **ask.process})
        return (*self.prefix, *both.command(self.python))

    def beside(self, first: Ask, second: Ask) -> tuple[Output, Output]:
        """Run the second once the first is ready."""
        with _Child(self._command(first), self.environment) as child:
            if not child.is_ready(first.seconds):
                return child.finish(GRACE), Output(None, "", "not run: the other was never ready")
            beside = self.run(second)
            return child.finish(first.seconds), beside


class _Child:
    """A probe that runs; the end of its ``with`` block ends it, gently."""

    def __init__(self, command: tuple[str, ...], environment: Mapping[str, str]) -> None:
        self._printed = b""
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # until __exit__
        self._process = subprocess.Popen(  # noqa: S603  # our own probe, without a shell
            command,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            bufsize=0,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._end()
        with self._process, self._log:  # closes their files
            pass

    def is_ready(self, seconds: float) -> bool:
        """Whether it printed `READY` in this time."""
        assert self._process.stdout  # noqa: S101  # it is a pipe
        out = self._process.stdout.fileno()
        deadline = time.monotonic() + seconds
        while READY.encode() not in self._printed.splitlines():
            wait = max(0.0, deadline - time.monotonic())
            if not select.select([out], [], [], wait)[0]:
                return False
            got = os.read(out, MOST_BYTES)
            if not got or len(self._printed) > MOST_BYTES:
                return False
            self._printed += got
        return True

    def finish(self, seconds: float) -> Output:
        """Close its standard input, and wait until it ends or the time is over."""
        code: int | None
        try:
            rest, _ = self._process.communicate(timeout=seconds)
            code = self._process.returncode
        except subprocess.TimeoutExpired:
            rest, code = self._end(), None
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - LOG_BYTES))
        log = self._log.read().decode("utf-8", "replace")
        return Output(code, (self._printed + rest).decode("utf-8", "replace"), log)

    def _end(self) -> bytes:
        """End it: SIGTERM, and SIGKILL only to one that does not heed it."""
        self._process.terminate()
        try:
            return self._process.communicate(timeout=GRACE)[0]
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.communicate()[0]
