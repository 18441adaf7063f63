"""Telling the service what this session does, and keeping what it answers.

It is told every half a minute, at once when the session begins or ends to work, and more often
when the end is near: its user is to be warned in time, and what they do then may save it. A service
that is away is asked less and less often, and is written about once.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from logging import Logger
from typing import Any

from bai_spawner.server_extension.activity.watch import Watch
from bai_spawner.server_extension.hub_service import Service, Unable, nobody, unreadable
from bai_spawner.server_extension.limits.time_left import Time, read


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds.

    Args:
        first: from the start to the first report; the hub knows by then that the session runs.
        every: between reports.
        near: between reports while the user is warned, or the session ends in ``soon``.
        least: between any two: cells that take a moment each are no reason to report each.
        urgent: the same while the user is warned: what they begin then keeps the session.
        longest: between attempts while the service is away.
    """

    first: float = 5.0
    every: float = 30.0
    near: float = 10.0
    least: float = 10.0
    urgent: float = 2.0
    soon: float = 120.0
    longest: float = 120.0


PACE = Pace()


class Reporter:
    """Reports for one session.

    ``time`` is how much it has, as it was last said, and ``reported`` when the service last heard
    of its use; ``problem`` is why that is not newer.

    Args:
        watch: what the session does.
        service: who is told; ``None``: nobody.
        log: the server's log.
    """

    def __init__(self, watch: Watch, service: Service | None, log: Logger) -> None:
        self._watch, self._service, self._log = watch, service, log
        self._turn, self._due = asyncio.Lock(), asyncio.Event()
        self._pause = PACE.every
        self.time: Time | None = None
        self.reported: datetime | None = None
        self.problem = ""
        watch.on_flip(self._flipped)

    async def run(self) -> None:
        """Report, until cancelled."""
        await asyncio.sleep(PACE.first)
        while True:
            await self.report()
            least = PACE.urgent if self.time and self.time.warned else PACE.least
            await asyncio.sleep(least)
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._pause - least)):
                    await self._due.wait()

    async def report(self) -> None:
        """Look, and tell."""
        try:
            seen = await self._watch.look()
            self._due.clear()
            told = {"last": seen.last.isoformat(), "busy": seen.busy, "because": seen.because}
            await self._ask("api/own/activity", told)
        except (OSError, RuntimeError) as error:  # of the files and threads that a look takes
            self._failed(f"What this session does could not be seen: {error}")
        except Unable as unable:
            self._failed(str(unable))
        else:
            self._succeeded()

    async def extend(self, what: str) -> Time | None:
        """Ask for more time, of a limit of `LIMITS`; how much there is then.

        Raises:
            Unable: there is no more, or nobody to ask.
        """
        time = await self._ask("api/own/extend", {"what": what})
        self._due.set()
        return time

    async def _ask(self, path: str, body: Mapping[str, Any]) -> Time | None:
        """Ask, one after another: of two answers the later one holds."""
        if self._service is None:
            raise nobody()
        async with self._turn:
            answer = await self._service.ask("POST", path, body)
            try:
                self.time = read(answer)
            except ValueError as error:
                raise unreadable() from error
        return self.time

    def _flipped(self) -> None:
        if not self.problem:  # who is away hears of it when it is there again
            self._due.set()

    def _failed(self, words: str) -> None:
        if self.problem:
            self._pause = min(2 * self._pause, PACE.longest)
        else:
            self._log.warning("The hub is not told what this session does. %s", words)
            self._pause = PACE.every
        self.problem = words

    def _succeeded(self) -> None:
        if self.problem:
            self._log.info("The hub is told again what this session does.")
        self.problem, self.reported = "", datetime.now(UTC)
        self._pause = PACE.near if _is_near(self.time) else PACE.every


def _is_near(time: Time | None) -> bool:
    """Whether the session may end within minutes."""
    if time is None or time.ends is None:
        return False
    return time.warned or time.ends - datetime.now(UTC) < timedelta(seconds=PACE.soon)
