"""The JSON object that a request sends: the keys that it may have, and no other."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from tornado.web import HTTPError

from bai_spawner.errors import kind, shown

LONGEST_TIME = 40
"""Characters of one that anybody means."""


def read(sent: bytes, *known: str) -> dict[str, Any]:
    """Read it.

    Args:
        sent: the body of a request.
        known: every key that it may have.

    Raises:
        HTTPError: 400, with what is wrong and what is accepted.
    """
    try:
        found = json.loads(sent)
    except (ValueError, RecursionError):
        raise HTTPError(400, "body: is not JSON; send an object") from None
    if not isinstance(found, dict):
        raise HTTPError(400, "%s", f"body: must be an object, not {kind(found)}")
    for key in found:
        if key not in known:
            told = f"body: {shown(key)} is not a known key; known: {', '.join(known)}"
            raise HTTPError(400, "%s", told)
    return found


def moment(sent: object) -> datetime | None:
    """A time in ISO 8601 with its zone, in UTC; ``None``: what was sent is none."""
    if not isinstance(sent, str) or len(sent) > LONGEST_TIME:
        return None
    try:
        found = datetime.fromisoformat(sent)
        return None if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
