"""Ends this process when the hub that started it is gone, however that died.

A managed service outlives a hub that was killed, and would keep the port that the next
hub's service needs.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that this process gets when its parent ends."""
LOOK_EVERY = 1.0


def end_with(parent: int) -> None:
    """Begin to end with the parent: at once where the kernel tells, else within a second.

    The parent is named and not asked for: it may be gone already, and Linux tells only of
    deaths to come. The end is a kill, since nothing may hold it up: what was half written
    in the records, their database takes back.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    _end_without(parent)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while True:  # not every system tells
        time.sleep(LOOK_EVERY)
        _end_without(parent)


def _end_without(parent: int) -> None:
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
