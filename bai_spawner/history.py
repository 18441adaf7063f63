"""The hub's way to the records: in order, on one thread of its own, in nobody's way.

A launch waits for its record and is refused without one. Everything later is noted
without waiting: a session ends, and its share comes back, whatever the database does.
What could not be noted is kept, with its time, and tried again in its order.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from logging import Logger
from typing import TypeVar

from bai_spawner.reasons import End, Ending, Status
from bai_spawner.records import (
    FIELDS_BYTES,
    LAST,
    LOG_BYTES,
    Facts,
    Fields,
    KeptLaunch,
    Measure,
    NotTaken,
    Records,
    RecordsError,
    kept_size,
)

BEGIN_SECONDS = 20.0
"""How long a launch waits for its record."""
Job = Callable[[Records], object]
Answer = TypeVar("Answer")


class History:
    """Writes one deployment's records.

    Args:
        url: the database; opened at first need, and again after it could not be.
        hub: the deployment's identity.
        log: where what cannot be noted is said.
    """

    def __init__(self, url: str, hub: str, log: Logger) -> None:
        self._url, self._hub, self._log = url, hub, log
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="records")
        self._records: Records | None = None
        self._unwritten: deque[Job] = deque()
        self._news: dict[str, tuple[str, datetime]] = {}
        self._away = ""
        """Why the database takes nothing now; empty while it does."""
        self._is_due = False

    @property
    def unwritten(self) -> int:
        """How many notes the database has not taken yet."""
        return len(self._unwritten)

    async def begin(self, *admitted: Facts) -> None:
        """Enter the sessions that were admitted, all of them or none.

        Raises:
            RecordsError: it cannot be, or not in time; the launch must be refused. Whoever
                gives up waiting leaves no live record either.
        """
        now = datetime.now(UTC)
        given_up = threading.Event()

        def enter() -> None:
            if not self._write_all():
                raise RecordsError(self._away)
            if not given_up.is_set():
                self._open().begin(*admitted, at=now)

        entered = asyncio.wrap_future(self._executor.submit(enter))
        try:
            await asyncio.wait_for(asyncio.shield(entered), BEGIN_SECONDS)
        except (TimeoutError, asyncio.CancelledError) as error:
            given_up.set()
            # it may be entered at this very moment: whatever is there afterwards has ended
            for facts in admitted:
                self._executor.submit(self.end, facts.id, End(Ending.CANCELLED))
            if isinstance(error, TimeoutError):
                told = "the database of records does not answer"
                raise RecordsError(told) from None
            raise

    def note(self, session: str, status: Status) -> None:
        """A session came to a status."""
        now = datetime.now(UTC)
        self._later(lambda records: records.advance(session, status, at=now))

    def end(self, session: str, end: End, log: str = "") -> None:
        """A session ended; the first reason that is noted stays."""
        now = datetime.now(UTC)
        kept = log[-LOG_BYTES:]  # it may wait here for long
        self._later(lambda records: records.end(session, end, kept, at=now))

    def warn(self, session: str, warning: str) -> None:
        """Something is wrong with a session that goes on; empty: it is well again."""
        self._later(lambda records: records.warn(session, warning))

    def found(
        self,
        sessions: Collection[tuple[Facts, datetime]],
        *,
        asked: datetime,
        unstarted: Collection[str] = (),
    ) -> None:
        """The containers were read for the first time: their sessions are all that live.

        Sessions that are not known are entered, with the time their container was made,
        and those run that were starting when they were seen last, unless their container
        is ``unstarted``; others that were live before ``asked`` died while no hub was
        there to see it.
        """
        there = {facts.id for facts, _ in sessions}
        ran = [(facts, made) for facts, made in sessions if facts.id not in unstarted]
        made_only = [(facts, made) for facts, made in sessions if facts.id in unstarted]

        def settle(records: Records) -> None:
            records.enter(ran, status=Status.RUNNING)
            records.enter(made_only, status=Status.PREPARING)
            for facts, made in ran:
                records.advance(facts.id, Status.RUNNING, at=made)
            for lost in records.live(self._hub, before=asked) - there:
                records.end(lost, End(Ending.HUB_DOWN), at=asked)

        self._later(settle)

    def remember(self, user: str, title: str, fields: Fields) -> None:
        """Keep the form that a user launched last; one that is too large is not kept.

        ``fields`` may hold the values of variables: they go nowhere else from here.
        """
        if kept_size(fields) <= FIELDS_BYTES:
            last = KeptLaunch(LAST, title, dict(fields), datetime.now(UTC))
            self._later(lambda records: records.launches.remember(self._hub, user, last))

    def forget_user(self, user: str) -> None:
        """Forget what a user who is no more kept to launch again."""
        self._later(lambda records: records.launches.forget(self._hub, user))

    def rename_user(self, user: str, new: str) -> None:
        """Let what a user kept to launch again follow to a new name."""
        self._later(lambda records: records.launches.move(self._hub, user, new))

    def measure(self, peaks: Mapping[str, Measure]) -> None:
        """What sessions used, by session. While the database is away it is left for later."""
        if not self._away:
            self._later(lambda records: records.measure(peaks))

    def purge(self, days: int) -> None:
        """Forget the sessions that ended so many days ago."""
        before = datetime.now(UTC) - timedelta(days=days)
        self._later(lambda records: records.purge(self._hub, before=before))

    def publish(self, kind: str, body: str) -> None:
        """Let other processes know something. Of each kind only the newest waits its turn."""
        self._news[kind] = (body, datetime.now(UTC))
        if not self._away:
            self._write_soon()

    def retry(self) -> None:
        """Try again what could not be noted or published."""
        if self._unwritten or self._news:
            self._write_soon()

    async def ask(self, question: Callable[[Records], Answer]) -> Answer:
        """What the records say, behind all that was noted before.

        Raises:
            RecordsError: they cannot be read now.
        """
        asked = self._executor.submit(lambda: question(self._open()))
        return await asyncio.wrap_future(asked)

    async def settled(self) -> None:
        """Wait until everything so far was tried."""
        await asyncio.wrap_future(self._executor.submit(lambda: None))

    def close(self) -> None:
        """Finish what is under way and close the database."""
        self._executor.shutdown()
        if self._unwritten:
            self._log.error("%d notes are lost: the records could not be written", self.unwritten)
        if self._records:
            self._records.close()

    def _later(self, job: Job) -> None:
        self._unwritten.append(job)
        self._write_soon()

    def _write_soon(self) -> None:
        """Have one attempt wait its turn: while the database is slow, more would pile up."""
        if not self._is_due:
            self._is_due = True
            self._executor.submit(self._attempt)

    def _attempt(self) -> None:
        self._is_due = False  # what is noted from here on asks for another
        if self._write_all():
            self._publish()

    def _write_all(self) -> bool:
        """Write what is not written yet, the oldest first; whether nothing is left."""
        while self._unwritten:
            if not self._done(self._unwritten[0]):
                return False
            self._unwritten.popleft()
        return True

    def _publish(self) -> None:
        for kind in list(self._news):
            body, at = self._news.pop(kind)
            if not self._done(partial(self._publish_one, kind, body, at)):
                self._news.setdefault(kind, (body, at))  # unless there is newer news already
                return

    def _publish_one(self, kind: str, body: str, at: datetime, records: Records) -> None:
        records.publish(self._hub, kind, body, at=at)

    def _done(self, job: Job) -> bool:
        """Do it; whether it is done with. It is not while the database is away."""
        try:
            job(self._open())
        except NotTaken as error:
            self._log.error("%s; it is left out", error)
        except RecordsError as error:
            if not self._away:
                self._log.warning("%s; it is tried again", error)
            self._away = str(error)
            return False
        except Exception:  # noqa: BLE001 - a mistake of ours, which no repetition mends
            self._log.exception("Cannot keep the records")
        else:
            if self._away:
                self._log.info("The records are written again")
            self._away = ""
        return True

    def _open(self) -> Records:
        if self._records is None:
            self._records = Records(self._url)
        return self._records
