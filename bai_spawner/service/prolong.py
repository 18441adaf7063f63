"""How much time a session has, and more of it where its policy allows (R53).

Judged as the hub judges, by what it published and what the records say at this moment: an
answer is right at once, and does not wait for the hub's next round. Synchronous: use it off
the loop. All of it raises `NotPublished` and `RecordsError` where nothing can be known.
"""

from __future__ import annotations

from datetime import datetime

from bai_spawner import bulletin, limits
from bai_spawner.errors import BaiError
from bai_spawner.limits import Time, Why
from bai_spawner.reasons import Status
from bai_spawner.records import SessionRecord
from bai_spawner.service.board import Board, NotPublished


class NotAllowed(BaiError):
    """The session's policy gives no more time. The message says why, for its user."""


def time_of(board: Board, record: SessionRecord, now: datetime) -> Time | None:
    """How much time a session has; ``None`` where no limit applies."""
    rules = limits.rules_of(board.catalogue(), record.facts.policy)
    watch = board.records.watch(record.facts.id)
    found = limits.judge(rules, record, watch, now)
    if found and found.warned:  # since when, the hub alone knows
        try:
            body = board.published(bulletin.SESSIONS).body
        except NotPublished:
            return found
        return limits.judge(rules, record, watch, now, bulletin.read_warned(body, record.facts.id))
    return found


def prolong(board: Board, record: SessionRecord, limit: Why, now: datetime) -> Time | None:
    """Note that a person needs a session for longer; how much time it has then.

    Args:
        board: what the hub published, and the records.
        record: of the session.
        limit: which one is in the way: that of idle time begins anew, that of a lifetime is
            extended by as much as the policy says, as often as it says.
        now: the time.

    Raises:
        NotAllowed: it stays as it is.
    """
    rules = limits.rules_of(board.catalogue(), record.facts.policy)
    if record.status is not Status.RUNNING:
        raise NotAllowed("it does not run")
    if limit is Why.IDLE:
        if not rules.idle:
            raise NotAllowed("it does not end for want of use, so there is nothing to extend")
        board.records.keep(record.facts.id, at=now)
    elif not rules.lifetime:
        raise NotAllowed("its time is not limited, so there is nothing to extend")
    elif not rules.extend:
        raise NotAllowed("its time cannot be extended")
    elif not board.records.extend(record.facts.id, most=rules.extensions):
        times = "once" if rules.extensions == 1 else f"{rules.extensions} times"
        raise NotAllowed(f"its time was extended {times}, and cannot be extended further")
    return time_of(board, record, now)
