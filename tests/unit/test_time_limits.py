"""When a session's time is over: judged from its record and what it last said, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from bai_spawner import limits
from bai_spawner.catalog import TimeLimits
from bai_spawner.limits import KNOWN_FOR, Time, Why, judge
from bai_spawner.reasons import Ending, Status
from bai_spawner.records import Watch
from tests.examples import small_catalog
from tests.recorded import a_record, minutes

IDLE = TimeLimits.model_validate({"idle": "2h"})
LIFETIME = TimeLimits.model_validate({"lifetime": "1d", "extend": "6h", "extensions": 2})
BOTH = TimeLimits.model_validate({"idle": "2h", "lifetime": "3h"})
STARTED = minutes(1)


def said(last: float, *, reported: float | None = None, **more: Any) -> Watch:
    """What a session said at a minute after noon of its last use at another."""
    at = minutes(last if reported is None else reported)
    return replace(Watch("one", reported=at, last=minutes(last)), **more)


def judged(
    rules: TimeLimits,
    now: float,
    watch: Watch | None = None,
    warned: dict[Why, datetime] | None = None,
) -> Time:
    found = judge(rules, a_record(), watch, minutes(now), warned)
    assert found
    return found


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.RUNNING])
def test_only_a_session_that_runs_has_a_time(status: Status) -> None:
    assert judge(BOTH, a_record(status), said(1), minutes(2)) is None


def test_without_a_limit_there_is_no_time() -> None:
    assert judge(TimeLimits(), a_record(), said(1), minutes(2)) is None


def test_what_is_told_as_json() -> None:
    found = judged(BOTH, 11, said(10, reported=11))
    assert found.to_json() == {
        "ends": "2026-02-28T14:10:00+00:00",
        "why": "idle",
        "warned": False,
        "idle": {"since": "2026-02-28T12:10:00+00:00", "timeout": 7200, "known": True},
        "lifetime": {
            "ends": "2026-02-28T15:01:00+00:00",
            "limit": 10800,
            "extend": None,
            "left": 0,
        },
    }


# ---- idle


def test_an_idle_session_ends_so_long_after_its_last_use_and_is_warned_before() -> None:
    for now, warned in ((60, False), (119.9, False), (120, True), (129, True)):
        found = judged(IDLE, now, said(10, reported=now))
        assert (found.ends, found.why, found.warned) == (minutes(130), Why.IDLE, warned)


def test_one_that_works_is_not_idle_however_long_it_does() -> None:
    found = judged(IDLE, 1000, said(10, reported=1000, busy=True))
    assert (found.ends, found.why, found.warned) == (None, None, False)
    assert found.idle
    assert (found.idle.since, found.idle.known) == (None, True)
    told = found.to_json()
    assert (told["ends"], told["why"], told["warned"]) == (None, None, None)


@pytest.mark.parametrize(
    "watch",
    [
        None,
        Watch("one", kept=minutes(5)),
        said(10, reported=1000 - KNOWN_FOR / timedelta(minutes=1) - 0.01),
    ],
    ids=["said nothing", "only kept", "said it long ago"],
)
def test_one_that_does_not_say_is_not_known_to_be_idle(watch: Watch | None) -> None:
    found = judged(IDLE, 1000, watch)
    assert found.ends is None
    assert found.idle
    assert (found.idle.since, found.idle.known) == (None, False)


def test_what_it_said_holds_for_three_minutes() -> None:
    assert judged(IDLE, 33, said(10, reported=30)).ends == minutes(130)


def test_to_keep_it_counts_as_use() -> None:
    found = judged(IDLE, 125, said(10, reported=124, kept=minutes(125)))
    assert (found.ends, found.warned) == (minutes(245), False)


def test_it_cannot_have_been_idle_before_it_ran() -> None:
    assert judged(IDLE, 2, said(-600, reported=2)).ends == STARTED + timedelta(hours=2)


# ---- lifetime


def test_a_lifetime_counts_from_when_it_ran_used_or_not() -> None:
    for watch in (None, said(10, reported=20, busy=True)):
        found = judged(LIFETIME, 20, watch)
        assert (found.ends, found.why) == (STARTED + timedelta(days=1), Why.LIFETIME)
        assert found.idle is None


@pytest.mark.parametrize(
    ("used", "hours", "left"), [(0, 24, 2), (1, 30, 1), (2, 36, 0), (5, 54, 0)]
)
def test_each_extension_adds_to_it(used: int, hours: int, left: int) -> None:
    found = judged(LIFETIME, 20, Watch("one", extensions=used))
    assert found.ends == STARTED + timedelta(hours=hours)
    assert found.lifetime
    assert (found.lifetime.left, found.lifetime.extend) == (left, timedelta(hours=6))


def test_the_first_of_two_ends_it() -> None:
    assert judged(BOTH, 20, said(20)).why is Why.IDLE
    assert judged(BOTH, 100, said(100)).why is Why.LIFETIME
    assert judged(BOTH, 100, said(100, busy=True)).why is Why.LIFETIME


# ---- the warning


@pytest.mark.parametrize(
    ("rules", "warned_from"),
    [({"idle": "2h", "warning": "30m"}, 90), ({"idle": "10m", "warning": "30m"}, 5)],
)
def test_the_warning_takes_no_more_than_half_of_the_limit(
    rules: dict[str, str], warned_from: float
) -> None:
    parsed = TimeLimits.model_validate(rules)
    assert not judged(parsed, 1 + warned_from - 0.1, said(1, reported=warned_from)).warned
    assert judged(parsed, 1 + warned_from, said(1, reported=warned_from)).warned


def test_nobody_ends_before_the_warning_has_stood_for_all_its_time() -> None:
    late = {Why.IDLE: minutes(127)}
    found = judged(IDLE, 129, said(10, reported=129), late)
    assert (found.ends, found.warned) == (minutes(137), True)


def test_what_was_not_said_in_time_is_said_from_now_on() -> None:
    found = judged(IDLE, 500, said(10, reported=500))
    assert (found.ends, found.warned) == (minutes(510), True)


def test_a_warning_of_one_limit_is_none_of_the_other() -> None:
    found = judged(BOTH, 180, said(100, reported=180), {Why.IDLE: minutes(1)})
    assert (found.ends, found.why) == (minutes(181), Why.LIFETIME)


def test_a_warning_that_is_taken_back_counts_for_nothing() -> None:
    found = judged(IDLE, 130, said(10, reported=130, kept=minutes(129)), {Why.IDLE: minutes(128)})
    assert (found.ends, found.warned) == (minutes(249), False)


# ---- the policy, and the end


def test_a_session_keeps_to_its_policy_and_to_the_last_where_there_is_none() -> None:
    policies = [
        {"name": "staff", "match": {"users": ["root"]}, "time": {"idle": "2h"}},
        {"name": "everyone", "time": {"lifetime": "1d"}},
    ]
    catalog = small_catalog(policies=policies)
    assert limits.rules_of(catalog, "staff").idle == 7200
    assert limits.rules_of(catalog, "withdrawn").lifetime == 86400
    assert limits.are_set(catalog)
    assert not limits.are_set(small_catalog())


def test_an_end_says_what_was_allowed() -> None:
    assert limits.end(Why.IDLE, BOTH).ending is Ending.IDLE
    assert limits.end(Why.IDLE, BOTH).words == (
        "ended because nothing ran in it for too long (2 h allowed)"
    )
    assert limits.end(Why.LIFETIME, BOTH).words == "ended because its time was over (3 h allowed)"
