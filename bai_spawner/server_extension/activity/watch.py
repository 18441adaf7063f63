"""When a session was last used, and whether it works by itself right now.

What counts: what is typed into a terminal, a job in front of one, a kernel that is busy or is
started, and a change that is made to files by way of Jupyter (saved, uploaded, renamed, copied,
deleted). What does not: an open tab, whatever it asks by itself; output; a job in the
background; a file that a program writes.

It looks every few seconds, since the end of a job leaves no trace to find later.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bai_spawner.server_extension.activity import terminals
from bai_spawner.server_extension.activity.kernels import Kernels

EVERY = 15.0
"""Seconds from one look to the next: how far off the end of a job may be."""
CONTENTS = "https://events.jupyter.org/jupyter_server/contents_service/v1"
"""The event that Jupyter Server emits for everything done to files through it."""
KERNEL = "a kernel is running"
JOB = "a job is running in a terminal"


@dataclass(frozen=True, slots=True)
class Activity:
    """What was seen.

    Args:
        last: when the session was last used; it never goes back.
        because: why it is busy, in words; empty when it is not.
        kernels: when a kernel was last busy or started; ``None``: never.
        terminals: when a terminal was last typed into or had a job; ``None``: never.
    """

    last: datetime
    because: str
    kernels: datetime | None
    terminals: datetime | None

    @property
    def busy(self) -> bool:
        """Whether it works now."""
        return bool(self.because)


class Watch:
    """Watches one server.

    Args:
        serverapp: the server.
        every: seconds between looks.
    """

    def __init__(self, serverapp: Any, *, every: float = EVERY) -> None:
        self._log, self._every = serverapp.log, every
        self._started = time.time()
        self._kernels = Kernels(serverapp.kernel_manager, self._flipped)
        self._busy = False
        self._told: list[Callable[[], object]] = []
        self._terminals = self._saved = 0.0
        serverapp.event_logger.add_listener(schema_id=CONTENTS, listener=self._touched)

    async def run(self) -> None:
        """Look again and again."""
        while True:
            try:
                await self.look()
            except (OSError, RuntimeError) as error:  # of files, and of too many threads
                self._log.error("What this session does could not be seen: %s", error)
            await asyncio.sleep(self._every)

    async def look(self) -> Activity:
        """Look now.

        Raises:
            OSError: the kernel does not show the session's processes.
        """
        # aside: with thousands of processes it is no more a matter of microseconds
        seen = await asyncio.to_thread(terminals.look)
        now = time.time()
        self._terminals = max(self._terminals, now if seen.busy else seen.last)
        because = KERNEL if self._kernels.look() else JOB if seen.busy else ""
        if bool(because) is not self._busy:
            self._busy = bool(because)
            self._flipped()
        return Activity(self.last(), because, _moment(self._kernels.last), _moment(self._terminals))

    def last(self) -> datetime:
        """When the session was last used, as far as has been seen."""
        last = max(self._started, self._kernels.last, self._terminals, self._saved)
        return datetime.fromtimestamp(last, UTC)

    def on_flip(self, call: Callable[[], object]) -> None:
        """Have this called whenever the session begins or ends to work, once that is seen.

        Of a kernel it is seen at once, of a terminal with the next look.
        """
        self._told.append(call)

    def _flipped(self) -> None:
        for call in self._told:
            call()

    async def _touched(self, logger: Any, schema_id: str, data: dict[str, Any]) -> None:  # noqa: ARG002 - upstream hands them over by name
        if data["action"] != "get":
            self._saved = time.time()


def _moment(at: float) -> datetime | None:
    return datetime.fromtimestamp(at, UTC) if at else None
