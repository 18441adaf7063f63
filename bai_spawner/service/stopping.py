"""Ends a session, or cancels its start: the hub does it, asked with the visitor's own token.

So the hub alone decides who may, and its books stay right: whoever asks, it is the same stop
as the one of its own pages.
"""

from __future__ import annotations

from http import HTTPStatus

from tornado.web import HTTPError

from bai_spawner.records import SessionRecord
from bai_spawner.service.handlers import Known
from bai_spawner.service.hub_api import ask_hub

STOP_SECONDS = 30.0
"""In which the hub answers. It waits some ten seconds for a session to end, then goes on."""


async def stop(handler: Known, record: SessionRecord) -> None:
    """Have a session ended; it ends after the answer, and a second time is as good as one.

    Raises:
        HTTPError: 409, it has ended, or the hub knows no server of it; 403, the visitor's token
            may not; 503, the hub does not answer.
    """
    if record.end is not None:
        raise HTTPError(409, "%s", f"the session is over: {record.end.words}")
    facts = record.facts
    path = ("users", facts.user, *(("servers", facts.server) if facts.server else ("server",)))
    told = await ask_hub(handler, "DELETE", *path, seconds=STOP_SECONDS)
    if told.status == HTTPStatus.FORBIDDEN:
        raise HTTPError(403, "this token may not end sessions: it needs the scope delete:servers")
    if told.status == HTTPStatus.NOT_FOUND:
        raise HTTPError(409, "the hub has no server of this session any more; it is cleared away")
    if told.status >= HTTPStatus.BAD_REQUEST:
        raise HTTPError(409, "%s", told.message or "the hub did not end the session; try again")
