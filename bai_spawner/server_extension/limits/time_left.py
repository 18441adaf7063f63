"""How much time a session has, as the service says it.

Whatever comes is checked to its last part: what is kept here is shown by Lab, and may come from
anything that answers at the service's address.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

IDLE, LIFETIME = LIMITS = ("idle", "lifetime")
"""What may end a session."""
_MOST = 100 * 366 * 24 * 3600
"""Seconds, and of anything counted: nobody means more."""


@dataclass(frozen=True, slots=True)
class Idle:
    """The limit of time without use, in seconds.

    ``since`` is when the session was last used; ``None`` while it works, and while that is not
    ``known``.
    """

    since: datetime | None
    timeout: int
    known: bool

    def told(self) -> dict[str, Any]:
        """As Lab reads it."""
        return {"since": _iso(self.since), "timeout": self.timeout, "known": self.known}


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The limit of time in all; ``extend`` seconds may be added ``left`` more times."""

    ends: datetime
    limit: int
    extend: int | None
    left: int

    def told(self) -> dict[str, Any]:
        """As Lab reads it."""
        ends = _iso(self.ends)
        return {"ends": ends, "limit": self.limit, "extend": self.extend, "left": self.left}


@dataclass(frozen=True, slots=True)
class Time:
    """When a session ends and ``why``, an element of `LIMITS`; ``None``: nothing ends it as it is.

    ``warned`` is whether its user is to be told now.
    """

    ends: datetime | None
    why: str | None
    warned: bool
    idle: Idle | None
    lifetime: Lifetime | None

    def told(self) -> dict[str, Any]:
        """As Lab reads it."""
        return {
            "ends": _iso(self.ends),
            "why": self.why,
            "warned": self.warned,
            "idle": self.idle and self.idle.told(),
            "lifetime": self.lifetime and self.lifetime.told(),
        }


def read(content: bytes) -> Time | None:
    """The time in an answer of the service's; ``None`` where no limit applies.

    Raises:
        ValueError: it is no such answer.
    """
    try:
        told = json.loads(content)["time"]
        return None if told is None else _time(_object(told))
    except (LookupError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _time(told: dict[str, Any]) -> Time:
    ends, why = told.get("ends"), told.get("why")
    if (ends is None) != (why is None) or why not in {None, *LIMITS}:
        raise ValueError("it has an end without a reason, or one that is not known")
    idle, lifetime = told.get("idle"), told.get("lifetime")
    return Time(
        ends=None if ends is None else _moment(ends),
        why=why,
        warned=ends is not None and told.get("warned") is True,
        idle=None if idle is None else _idle(_object(idle)),
        lifetime=None if lifetime is None else _lifetime(_object(lifetime)),
    )


def _idle(told: dict[str, Any]) -> Idle:
    since = told["since"]
    moment = None if since is None else _moment(since)
    return Idle(moment, _number(told["timeout"]), told["known"] is True)


def _lifetime(told: dict[str, Any]) -> Lifetime:
    extend = told["extend"]
    seconds = None if extend is None else _number(extend)
    return Lifetime(_moment(told["ends"]), _number(told["limit"]), seconds, _number(told["left"]))


def _object(told: object) -> dict[str, Any]:
    if not isinstance(told, dict):
        raise ValueError("it has something else in the place of an object")
    return told


def _number(told: object) -> int:
    if type(told) is not int or not 0 <= told <= _MOST:
        raise ValueError("it has a number that nothing can have")
    return told


def _moment(told: str) -> datetime:
    found = datetime.fromisoformat(told)
    if found.tzinfo is None:
        raise ValueError("it has a time without a zone")
    return found.astimezone(UTC)


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
