"""Ends sessions whose time is over, and lets others know how much is left (R53).

What is due `bai_spawner.limits` says; here it is known since when each warning stands. No
session ends before its warning has stood for the whole warning period, also by a clock that
nobody sets: after a restart of the hub, or while the records could not be read, a warning
begins anew. Whatever fails, the next round may do better.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from logging import Logger

from bai_spawner import bulletin, limits
from bai_spawner.apps import App, AppsError, parse
from bai_spawner.bulletin import Told
from bai_spawner.catalog import Catalog
from bai_spawner.errors import EngineError
from bai_spawner.history import History
from bai_spawner.keeper import Hub, Runs
from bai_spawner.ledger import Ledger
from bai_spawner.lifecycle import Lifecycle
from bai_spawner.limits import Deadline, Why
from bai_spawner.reasons import End, Status
from bai_spawner.records import Records, RecordsError, SessionRecord, Watch

LOOK_EVERY = 0.5
"""Seconds between two looks whether other sessions run than before."""
LEAST_PAUSE = 0.05
PUBLISH_EVERY = 60.0
"""Seconds after which what did not change is published all the same."""
LABELS = 256
"""Of so many images' labels it is remembered which apps they declare."""


@dataclass(frozen=True, slots=True)
class _Warning:
    """Since when a warning stands: for people, and by the clock that nobody sets."""

    since: datetime
    began: float


@dataclass(frozen=True, slots=True)
class _Judged:
    """One session: what is told of it, why it ends now if it does, and when to look again."""

    told: Told
    over: End | None = None
    again: tuple[datetime, ...] = ()


class Timekeeper:
    """See the module.

    Args:
        catalog: has the policies.
        history: reads the records, and publishes.
        lifecycle: ends sessions.
        ledger: gives the books, once the engine could be asked what runs.
        hub_id: the deployment's identity.
        log: where it says what it did.
        pace: seconds between two rounds at most.
    """

    def __init__(
        self,
        catalog: Catalog,
        history: History,
        lifecycle: Lifecycle,
        ledger: Callable[[], Awaitable[Ledger]],
        hub_id: str,
        log: Logger,
        pace: float,
    ) -> None:
        self._catalog = catalog
        self._history = history
        self._lifecycle = lifecycle
        self._ledger = ledger
        self._hub_id = hub_id
        self._log = log
        self._pace = pace
        self._are_set = limits.are_set(catalog)
        self._warnings: dict[str, dict[Why, _Warning]] = {}
        self._silent: set[str] = set()
        self._ending: dict[str, asyncio.Task[None]] = {}
        self._away = False
        self._published = ("", 0.0)
        """What, and when by the clock that nobody sets."""

    async def run(self, hub: Hub, sessions: Callable[[], Mapping[str, Runs]]) -> None:
        """Work until cancelled.

        Args:
            hub: is told of a session that was ended.
            sessions: those that run, by allocation.
        """
        while True:
            running, pause = dict(sessions()), self._pace
            try:
                pause = await self.look(hub, running)
            except EngineError:
                pass  # the keeper says so
            except RecordsError as error:
                if not self._away:
                    self._log.warning("%s; meanwhile no session's time is over", error)
                self._away = True
                self._warnings.clear()  # nobody could read them
            except Exception:  # noqa: BLE001 - the next round may do better
                self._log.exception("The limits of time are not kept well")
            for part in _parts(pause):
                await asyncio.sleep(part)
                if sessions() != running:  # another one, or where one is
                    break

    async def look(self, hub: Hub, running: Mapping[str, Runs]) -> float:
        """Judge every session that runs, let others know, and end those whose time is over.

        Returns:
            Seconds until it must be looked again.

        Raises:
            EngineError: it is not known what runs.
            RecordsError: it is not known how the sessions fare.
        """
        ledger = await self._ledger()
        told = {
            session: Told(_apps(found.apps), address=found.address)
            for session, found in running.items()
        }
        records, watches = await self._read()
        self._away = False
        now = datetime.now(UTC)
        again: list[datetime] = []
        for session in self._warnings.keys() - running.keys():
            del self._warnings[session]
        self._silent &= running.keys()
        for record in records:
            session = record.facts.id
            if session in running and record.status is Status.RUNNING:
                judged = self._judge(record, watches.get(session), told[session].apps, now)
                told[session] = replace(judged.told, address=told[session].address)
                again += judged.again
                if judged.over and _runs(ledger, self._lifecycle, record):
                    self._end(hub, record, judged.over)
        self._publish(told)
        soonest = min(((at - now).total_seconds() for at in again), default=self._pace)
        return max(LEAST_PAUSE, min(soonest, self._pace))

    async def _read(self) -> tuple[tuple[SessionRecord, ...], Mapping[str, Watch]]:
        """All live sessions and what they said; nothing where no policy limits time."""
        if not self._are_set:
            return (), {}

        def read(records: Records) -> tuple[tuple[SessionRecord, ...], Mapping[str, Watch]]:
            return records.running(self._hub_id), records.watches(self._hub_id)

        return await self._history.ask(read)

    def _judge(
        self, record: SessionRecord, watch: Watch | None, apps: tuple[App, ...], now: datetime
    ) -> _Judged:
        rules = limits.rules_of(self._catalog, record.facts.policy)
        due = limits.deadlines(rules, record, watch, now)
        warnings = self._warn(record.facts.id, due, now)
        since = {why: warning.since for why, warning in warnings.items()}
        found = limits.judge(rules, record, watch, now, since)
        if found and found.idle and not found.idle.known:
            self._say_silent(record, now)
        ends = {why: deadline.ends(now, since.get(why)) for why, deadline in due.items()}
        over = [
            why
            for why, warning in warnings.items()
            if now >= ends[why]
            and time.monotonic() - warning.began >= due[why].notice.total_seconds()
        ]
        return _Judged(
            told=Told(apps, found, since),
            over=limits.end(over[0], rules) if over else None,
            again=tuple(
                ends[why] if why in warnings else deadline.at - deadline.notice
                for why, deadline in due.items()
                if why not in over
            ),
        )

    def _warn(
        self, session: str, due: Mapping[Why, Deadline], now: datetime
    ) -> dict[Why, _Warning]:
        """The warnings that stand now. One of what is not near any more is taken back."""
        before = self._warnings.get(session, {})
        near = (why for why, deadline in due.items() if deadline.is_near(now))
        stand = {why: before.get(why) or _Warning(now, time.monotonic()) for why in near}
        self._warnings[session] = stand
        return stand

    def _say_silent(self, record: SessionRecord, now: datetime) -> None:
        """Say once that a session cannot be judged; one that just began has not spoken yet."""
        session = record.facts.id
        if session not in self._silent and now - (record.started or now) > limits.KNOWN_FOR:
            self._silent.add(session)
            told = "does not say whether it is used, so it does not end for want of use"
            self._log.warning("The session of %s %s", _key(record), told)

    def _publish(self, told: Mapping[str, Told]) -> None:
        """Let others know what changed, and now and then what did not."""
        body, now = bulletin.sessions(told), time.monotonic()
        before, at = self._published
        if body != before or now - at >= PUBLISH_EVERY:
            self._published = body, now
            self._history.publish(bulletin.SESSIONS, body)

    def _end(self, hub: Hub, record: SessionRecord, why: End) -> None:
        session = record.facts.id
        if session in self._ending:
            return

        async def end() -> None:
            key = _key(record)
            self._log.warning("The session of %s %s", key, why.words)
            try:
                await self._lifecycle.end(key, grace=None, why=why)
            except Exception:  # noqa: BLE001 - the next round tries it again
                self._log.exception("Cannot end the session of %s; it is tried again", key)
                return
            hub.ended(key)

        self._ending[session] = task = asyncio.create_task(end())
        task.add_done_callback(lambda _: self._ending.pop(session, None))


def _parts(pause: float) -> Iterator[float]:
    """A pause, cut where it is looked whether other sessions run than before."""
    whole, rest = divmod(pause, LOOK_EVERY)
    yield from (LOOK_EVERY,) * int(whole)
    yield rest


def _key(record: SessionRecord) -> tuple[str, str]:
    return record.facts.user, record.facts.server


def _runs(ledger: Ledger, lifecycle: Lifecycle, record: SessionRecord) -> bool:
    """Whether the books say so, too: nobody starts or ends it, and it is this very session."""
    held = ledger.of_server(*_key(record))
    is_same = held is not None and held.id == record.facts.id
    return is_same and lifecycle.status(_key(record)) is Status.RUNNING


@lru_cache(LABELS)
def _apps(label: str) -> tuple[App, ...]:
    """The apps that an image's label declares; a broken one declares none."""
    try:
        return parse(label) if label else ()
    except AppsError:  # said when such a session is started
        return ()
