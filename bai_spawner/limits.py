"""How long a session may go on: when it ends by itself, and whether that is said (R53).

Pure: a policy's rules, the record, and what the session last said of its use in; what is
due out. The hub acts on it (`bai_spawner.timekeeper`), the service shows it, and both come
to the same.

- Idle is judged by what the session says alone. One that says nothing, or has not for
  `KNOWN_FOR`, is not known to be idle, and one that works is not.
- A lifetime counts from when the session ran, whatever it does.
- No end is due before its warning has stood for the whole warning period: who was not
  warned yet is warned from now on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from bai_spawner.catalog import Catalog, TimeLimits
from bai_spawner.reasons import End, Ending, Status
from bai_spawner.records import SessionRecord, Watch
from bai_spawner.units import format_duration

KNOWN_FOR = timedelta(minutes=3)
"""How long it holds what a session says of its use. It says it every half a minute."""


class Why(StrEnum):
    """Which limit ends a session."""

    IDLE = "idle"
    LIFETIME = "lifetime"


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a limit ends a session, and for how long that must have been said before."""

    at: datetime
    notice: timedelta

    def is_near(self, now: datetime) -> bool:
        """Whether it is time to warn."""
        return now >= self.at - self.notice

    def ends(self, now: datetime, warned: datetime | None) -> datetime:
        """When the session ends, of which it is said since ``warned``.

        ``None`` is as good as in time, as long as there is time; afterwards it is said from
        now on.
        """
        if warned and self.is_near(now):
            return max(self.at, warned + self.notice)
        return self.at if now < self.at else now + self.notice


@dataclass(frozen=True, slots=True)
class Idle:
    """The limit of time without use.

    ``since`` is when the session was last used; ``None`` while it works, and while that is
    not ``known``.
    """

    since: datetime | None
    timeout: timedelta
    known: bool

    def to_json(self) -> dict[str, Any]:
        """As other processes and pages read it."""
        since = _iso(self.since) if self.since else None
        return {"since": since, "timeout": _seconds(self.timeout), "known": self.known}


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The limit of time in all; ``extend`` may be added to it ``left`` more times."""

    ends: datetime
    limit: timedelta
    extend: timedelta | None
    left: int

    def to_json(self) -> dict[str, Any]:
        """As other processes and pages read it."""
        extend = _seconds(self.extend) if self.extend else None
        limit = _seconds(self.limit)
        return {"ends": _iso(self.ends), "limit": limit, "extend": extend, "left": self.left}


@dataclass(frozen=True, slots=True)
class Time:
    """How long a session may go on.

    ``ends`` and ``why`` are of the limit that ends it first; ``None`` while none does.
    ``warned`` is whether that is so near that it is said.
    """

    ends: datetime | None
    why: Why | None
    warned: bool
    idle: Idle | None
    lifetime: Lifetime | None

    def to_json(self) -> dict[str, Any]:
        """As other processes and pages read it."""
        return {
            "ends": _iso(self.ends) if self.ends else None,
            "why": self.why,
            "warned": self.warned if self.ends else None,
            "idle": self.idle.to_json() if self.idle else None,
            "lifetime": self.lifetime.to_json() if self.lifetime else None,
        }


def rules_of(catalog: Catalog, policy: str) -> TimeLimits:
    """What a session started under this policy keeps to; of one that is no more: the last's."""
    found = (one for one in catalog.policies if one.name == policy)
    return next(found, catalog.policies[-1]).time


def are_set(catalog: Catalog) -> bool:
    """Whether any policy limits time at all."""
    return any(policy.time.idle or policy.time.lifetime for policy in catalog.policies)


def judge(
    rules: TimeLimits,
    record: SessionRecord,
    watch: Watch | None,
    now: datetime,
    warned: Mapping[Why, datetime] | None = None,
) -> Time | None:
    """How long a session may go on; ``None`` where no limit applies, or it does not run.

    Args:
        rules: of its policy.
        record: what is known of it.
        watch: what it last said; ``None``: nothing yet.
        now: the time.
        warned: since when warnings stand.
    """
    if record.status is not Status.RUNNING or not (rules.idle or rules.lifetime):
        return None
    found = deadlines(rules, record, watch, now).items()
    ends = {why: due.ends(now, (warned or {}).get(why)) for why, due in found}
    first = min(ends, key=ends.__getitem__, default=None)
    return Time(
        ends=ends[first] if first else None,
        why=first,
        warned=any(why is first and due.is_near(now) for why, due in found),
        idle=_idle(rules, record, watch, now),
        lifetime=_lifetime(rules, record, watch),
    )


def deadlines(
    rules: TimeLimits, record: SessionRecord, watch: Watch | None, now: datetime
) -> dict[Why, Deadline]:
    """When each limit ends a session that runs and goes on as it does now."""
    return dict(_deadlines(rules, record, watch, now))


def _deadlines(
    rules: TimeLimits, record: SessionRecord, watch: Watch | None, now: datetime
) -> Iterator[tuple[Why, Deadline]]:
    idle = _idle(rules, record, watch, now)
    if idle and idle.since:
        yield Why.IDLE, Deadline(idle.since + idle.timeout, _notice(rules, idle.timeout))
    if lifetime := _lifetime(rules, record, watch):
        yield Why.LIFETIME, Deadline(lifetime.ends, _notice(rules, lifetime.limit))


def end(why: Why, rules: TimeLimits) -> End:
    """How a session is recorded that a limit ended."""
    limit = rules.idle if why is Why.IDLE else rules.lifetime
    ending = Ending.IDLE if why is Why.IDLE else Ending.LIFETIME
    return End(ending, f"{format_duration(limit or 0)} allowed")


def is_known(watch: Watch | None, now: datetime) -> bool:
    """Whether it still holds what a session said of its use."""
    return watch is not None and watch.reported is not None and now - watch.reported <= KNOWN_FOR


def _idle(
    rules: TimeLimits, record: SessionRecord, watch: Watch | None, now: datetime
) -> Idle | None:
    if not rules.idle:
        return None
    since = None
    known = is_known(watch, now)
    if watch and known and not watch.busy:
        uses = (_began(record), watch.last, watch.kept)
        since = max(at for at in uses if at)
    return Idle(since, timedelta(seconds=rules.idle), known)


def _lifetime(rules: TimeLimits, record: SessionRecord, watch: Watch | None) -> Lifetime | None:
    if not rules.lifetime:
        return None
    used, each = watch.extensions if watch else 0, rules.extend or 0
    return Lifetime(
        ends=_began(record) + timedelta(seconds=rules.lifetime + used * each),
        limit=timedelta(seconds=rules.lifetime),
        extend=timedelta(seconds=each) if each else None,
        left=max(0, rules.extensions - used) if each else 0,
    )


def _notice(rules: TimeLimits, limit: timedelta) -> timedelta:
    return min(timedelta(seconds=rules.warning), limit / 2)


def _began(record: SessionRecord) -> datetime:
    return record.started or record.created


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")


def _seconds(span: timedelta) -> int:
    return int(span.total_seconds())
