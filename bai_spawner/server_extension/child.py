"""A child process whose output its parent delivers, and whose end becomes its parent's.

- All that the child wrote before it ended is delivered, however it ended. Who takes it slowly
  makes the child wait; nothing is dropped.
- Signals go on to the child, and its exit code is handed back; 128 and its number for a
  signal, as a shell has it.
- Other processes may hold the child's output open: nobody waits for them.

The parent lives as long as its child and there are several in a session, so nothing but the
smallest modules is imported here.
"""

import os
import select
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

CHUNK = 1 << 16
PIPE = 1 << 20
"""A pipe holds no more than this: pipe(7), pipe-max-size."""
GRACE = 5
"""Seconds between asking a group to end and killing it."""
FORWARDED = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
)
_SIGNALLED = 128
_LOOK = 50
"""Milliseconds between looks at whether a group has ended."""

Deliver = Callable[[bytes], object]


def run(child: Callable[[], object], deliver: Deliver, *, group: bool = False) -> int:
    """Have a child do this, deliver what it writes, and say with what it ended.

    In the child this does not return: it exits when ``child`` returns.

    Args:
        child: what the child does; it may become another program.
        deliver: is given standard output and error together, in pieces and in order.
        group: the child has a process group of its own, and no input. Its group ends with
            it, and is killed ``GRACE`` seconds after it was asked to end.
    """
    reader, writer = os.pipe()
    # until the child is known, a signal would end its parent alone
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
    pid = os.fork()
    if not pid:
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        os.close(writer)
        os.close(reader)
        if group:
            os.setpgid(0, 0)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        child()
        sys.exit(0)
    os.close(writer)
    if group:
        _in_its_group(pid)
    started = _Child(pid, reader, deliver, group=group)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return started.wait()


def _in_its_group(pid: int) -> None:
    """Done on both sides, so that neither has to wait for the other."""
    try:
        os.setpgid(pid, pid)
    except OSError:  # the child was faster, and is another program by now
        return


class _Child:
    """The child as its parent sees it."""

    def __init__(self, pid: int, reader: int, deliver: Deliver, *, group: bool) -> None:
        self._pid, self._reader, self._deliver, self._group = pid, reader, deliver, group
        self._asked = False
        self._poll = select.poll()
        self._poll.register(reader, select.POLLIN)
        self._wake_on_signals()

    def _wake_on_signals(self) -> None:
        """See that a signal ends the wait for output: that the child has ended is one."""
        self._waker, written = os.pipe()
        os.set_blocking(self._waker, False)
        os.set_blocking(written, False)
        signal.set_wakeup_fd(written, warn_on_full_buffer=False)
        self._poll.register(self._waker, select.POLLIN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGALRM, lambda *_: self._signal(signal.SIGKILL))
        for number in FORWARDED:
            signal.signal(number, self._forward)

    def _forward(self, number: int, _: FrameType | None) -> None:
        self._signal(number)
        if self._group and number == signal.SIGTERM and not self._asked:
            self._asked = True
            signal.alarm(GRACE)

    def _signal(self, number: int) -> bool:
        """Send a signal; whether there was anybody to get it."""
        try:
            (os.killpg if self._group else os.kill)(self._pid, number)
        except ProcessLookupError:
            return False
        except PermissionError:  # there is, and it is another user's
            return True
        return True

    def wait(self) -> int:
        """Deliver until it has ended; its exit code."""
        how = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while not os.waitid(os.P_PID, self._pid, how):
            self._pass_on()
        # its number is its own until it is waited for, and its group's until that has ended
        if self._group:
            self._signal(signal.SIGTERM)
        else:
            for number in FORWARDED:
                signal.signal(number, signal.SIG_IGN)
        _, status = os.waitpid(self._pid, 0)
        if self._group:
            self._end_group()
        self._drain()
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else _SIGNALLED - code

    def _pass_on(self, milliseconds: int | None = None) -> None:
        for file, _ in self._poll.poll(milliseconds):
            data = os.read(file, CHUNK)
            if file == self._waker:
                continue
            if data:
                self._deliver(data)
            else:  # the output is closed, and the child may live on
                self._poll.unregister(file)

    def _end_group(self) -> None:
        """See that what the child left behind ends; what it says is delivered."""
        until = time.monotonic() + GRACE
        while self._signal(0):
            if time.monotonic() > until:
                self._signal(signal.SIGKILL)
                return
            self._pass_on(_LOOK)

    def _drain(self) -> None:
        """Deliver what the child had written: others may write on, for ever."""
        left = PIPE
        ready = select.poll()
        ready.register(self._reader, select.POLLIN)
        while left > 0 and ready.poll(0):
            data = os.read(self._reader, min(CHUNK, left))
            if not data:
                return
            self._deliver(data)
            left -= len(data)
