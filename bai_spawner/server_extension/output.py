"""Where the session's output goes: to the engine's log, and to a bounded file that Lab shows.

A small process stands before the server, and before each app: what these write passes through
it, in order and whole (see `child`). A place that cannot be written costs itself alone: a full
disk keeps nothing from the engine's log, and an engine that listens no more keeps nothing from
the file.

    /run/bai-session/log/session.log    the server's and the apps' output
    /run/bai-session/apps/NAME.log      one app's, since it was started last

Each has an older half beside it, ``….log.1``. Nobody but the session's user may read them.
"""

import os
import select
import signal
import sys
from collections.abc import Callable, Sequence

from bai_spawner.server_extension.child import CHUNK, run

RUN = "/run/bai-session"
MOST = 1 << 20
"""Bytes of a file, and of the older one beside it."""

PATIENCE = 5.0
"""Seconds that a reader of the output is waited for."""
_PIPE_BUF = 4096
_PR_SET_PDEATHSIG = 1
SECRETS = ("JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN")
"""Variables of the server that are no app's business."""
_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_MOST_NAME, _USAGE = 32, 2


def session_log(folder: str = RUN) -> str:
    """Where the session's output is kept."""
    return f"{folder}/log/session.log"


def app_log(name: str, folder: str = RUN) -> str:
    """Where an app's output is kept."""
    return f"{folder}/apps/{name}.log"


class BoundedFile:
    """A file that only grows so far: then it becomes ``PATH.1``, in place of an older one.

    It is turned between lines, unless one is longer than the file. What could not be written
    is told in the file as soon as it can be. The file is opened for each piece, so that one
    that was deleted is made anew.

    Args:
        path: its folder is made where it lacks.
        most: bytes.
        tell: is told, once, why what follows is not kept.
    """

    def __init__(
        self, path: str, most: int = MOST, tell: Callable[[str], object] = lambda _: None
    ) -> None:
        self._path, self._most, self._tell = path, most, tell
        self._why = ""

    def clear(self) -> None:
        """Begin anew."""
        for path in (self._path, f"{self._path}.1"):
            try:
                os.unlink(path)  # noqa: PTH108 - pathlib would double what such a process needs
            except OSError:
                continue

    def write(self, data: bytes) -> None:
        """Keep this, if it can be kept."""
        note = f"\n[output is missing here: {self._why}]\n".encode() if self._why else b""
        try:
            self._write(note + data)
        except OSError as error:
            why = error.strerror or type(error).__name__
            if not self._why:
                self._tell(f"what follows is not kept in {self._path}: {why}")
            self._why = why
        else:
            self._why = ""

    def _write(self, data: bytes) -> None:
        while data:
            file = self._open()
            try:
                size = os.fstat(file).st_size
                count = self._fitting(data, size)
                _append(file, data[:count], size)
            finally:
                os.close(file)
            data = data[count:]
            if data:
                os.replace(self._path, f"{self._path}.1")  # noqa: PTH105 - see above

    def _open(self) -> int:
        # whatever lies at its place: no link is followed, and no pipe's reader waited for
        how = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            return os.open(self._path, how, 0o600)
        except FileNotFoundError:
            os.makedirs(self._path.rpartition("/")[0], 0o700, exist_ok=True)  # noqa: PTH103
            return os.open(self._path, how, 0o600)

    def _fitting(self, data: bytes, size: int) -> int:
        """How many bytes still go into the file as it is."""
        room = max(0, self._most - size)
        if len(data) <= room:
            return len(data)
        return data.rfind(b"\n", 0, room) + 1 or (0 if size else room)


def _append(file: int, data: bytes, size: int) -> None:
    """Write all of it, or nothing."""
    try:
        while data:
            data = data[os.write(file, data) :]
    except OSError:
        os.ftruncate(file, size)
        raise


class _Reader:
    """Whoever reads standard output, and how long it is waited for."""

    patience = PATIENCE


def emit(data: bytes) -> None:
    """Write all of it on standard output; nothing when nobody reads that any more.

    An engine that does not read, as one that is being restarted, is waited for once, and from
    then on passed by until it reads again: the session goes on, and its file has everything.
    """
    while data:
        if not select.select((), (1,), (), _Reader.patience)[1]:
            _Reader.patience = 0.0
            return
        _Reader.patience = PATIENCE
        try:
            # as much as a pipe that can be written takes without waiting: pipe(7), PIPE_BUF
            data = data[os.write(1, data[:_PIPE_BUF]) :]
        except BlockingIOError:
            continue
        except OSError:
            return


class Prefixed:
    """Writes whole lines on standard output, each after a prefix.

    One write a line: those of up to 4,096 bytes are not mixed with what others write into
    the same pipe, pipe(7). A line of more than 64 KiB is broken.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix, self._rest = prefix.encode(), b""

    def write(self, data: bytes) -> None:
        """Write the lines that are complete."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            emit(self._prefix + line + b"\n")
        if len(self._rest) > CHUNK:
            self.end()

    def end(self) -> None:
        """Write what there is of a line."""
        if self._rest:
            emit(self._prefix + self._rest + b"\n")
        self._rest = b""


def keep_session(serve: Callable[[], object], folder: str = RUN) -> int:
    """Have a child serve the session, and keep what it writes; its exit code."""
    file = BoundedFile(session_log(folder), tell=lambda why: emit(f"bai-session: {why}\n".encode()))

    def deliver(data: bytes) -> None:
        file.write(data)
        emit(data)

    return run(serve, deliver)


def keep_app(arguments: Sequence[str] | None = None, folder: str = RUN) -> int:
    """`bai-app NAME CMD [ARG …]`: run an app with the user's variables; its exit code.

    Its lines are written after ``NAME: ``, and as they are into its file.
    """
    name, *command = (sys.argv[1:] if arguments is None else arguments) or ("",)
    if not (command and name[:1].isalpha() and len(name) <= _MOST_NAME and _NAME.issuperset(name)):
        usage = "usage: bai-app NAME CMD [ARG ...]; NAME is [a-z][a-z0-9-]{0,31}"
        print(usage, file=sys.stderr)  # noqa: T201 - a program's own words
        return _USAGE
    file, lines = BoundedFile(app_log(name, folder)), Prefixed(f"{name}: ")
    file.clear()

    def start() -> None:
        import ctypes  # noqa: PLC0415 - not in the parent

        from bai_spawner.server_extension.user_env import main  # noqa: PLC0415 - see above

        # whatever ends the parent, which has nobody to end this in its place: prctl(2)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        for secret in SECRETS:
            os.environ.pop(secret, None)

        main(command)

    def deliver(data: bytes) -> None:
        file.write(data)
        lines.write(data)

    code = run(start, deliver, group=True)
    lines.end()
    return code
