"""Where the service touches the disk of folders: on threads of their own.

A disk that hangs, as a network's may for ever, holds up these threads and what asks about
folders; everything else that the service does goes on.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, TypeVar

THREADS = 4
SECONDS = 8.0
"""How long whoever asks waits for an answer: less than a page waits for the service."""
Answer = TypeVar("Answer")
log = logging.getLogger("bai_spawner.service")


class DiskAway(Exception):
    """The disk did not answer in time; what was begun may be done all the same, later."""


class Disk:
    """Works at the disk.

    Args:
        seconds: how long whoever asks waits.
    """

    def __init__(self, *, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="disk")
        self._later: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._one: threading.Thread | None = None

    async def ask(self, work: Callable[..., Answer], *args: Any) -> Answer:
        """Have something done now.

        Raises:
            DiskAway: it takes too long.
        """
        asked = asyncio.get_running_loop().run_in_executor(self._threads, work, *args)
        try:
            return await asyncio.wait_for(asked, self._seconds)
        except TimeoutError:
            raise DiskAway from None

    def later(self, work: Callable[[], object]) -> None:
        """Have something done that may take long: one after the other, and nobody waits."""
        self._later.put(work)
        if self._one is None:
            # a daemon: its work may be broken off, and goes on at the next start
            self._one = threading.Thread(target=self._work, name="trash", daemon=True)
            self._one.start()

    def _work(self) -> None:
        while True:
            work = self._later.get()
            try:
                work()
            except Exception:
                log.exception("Cannot work at the disk of folders")
