"""Ends this process when its parent is gone, however that died.

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


def end_with_parent() -> None:
    """Begin to end with the parent: at once where the kernel tells, else within a second."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    # it may be gone already, and not every system tells
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY)
    os.kill(os.getpid(), signal.SIGTERM)
