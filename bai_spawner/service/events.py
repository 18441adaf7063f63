"""``GET api/events``: what changes in a visitor's list, as a stream of events.

    event: state
    data: {"version", "at", "age", "used": {id: …}, "status": {id: …}, "time": {id: …},
           "public": {id: …}}

The first comes at once, others when one of the sessions that the visitor sees changed, was
measured anew, or got or lost an app that is open to the public; each says all of it.
``version`` is that of `api/sessions`: where it differs, there is another list to fetch. A
comment comes when nothing else has for a while. A page reads it with `fetch`, whose headers
carry the token that an `EventSource` cannot.

The stream ends with the visitor's login, within a minute.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from datetime import UTC, datetime
from typing import Any

from jupyterhub.services.auth import UserNotAllowed
from tornado.web import HTTPError

from bai_spawner.service.feed import MOST_VIEWS, Feed, TooMany, View
from bai_spawner.service.flowing import Flowing, Gone
from bai_spawner.service.sessions import Seeing

KEEP_ALIVE = 15.0
"""Seconds of silence after which something is said, for proxies on the way."""
CHECK_EVERY = 30.0
"""Seconds after which the hub is asked whether the login still holds; what it said before may
hold for as long again."""
CHECK_SECONDS = 10.0
"""In which it answers."""


class Events(Seeing, Flowing):
    """The visitor's stream."""

    _view: View | None = None

    async def get(self) -> None:
        """Send what comes until the visitor goes, or their login does."""
        self.no_query()
        feed: Feed = self.settings["feed"]
        try:
            view = feed.open(self.viewer)
        except TooMany:
            told = f"{MOST_VIEWS} pages follow your sessions already: close one of them"
            raise HTTPError(429, "%s", told) from None
        self.set_header("Content-Type", "text/event-stream")
        # a proxy that collects what it passes on would show nothing for a long time
        self.set_header("X-Accel-Buffering", "no")
        with view, contextlib.suppress(Gone):
            self._view = view
            await self._follow(view)

    async def _follow(self, view: View) -> None:
        # the hub's proxy passes on no answer before its first byte
        await self.send(": here\n\n")
        said: dict[str, Any] | None = None
        spoken = checked = time.monotonic()
        while not view.is_closed:
            now = time.monotonic()
            if now - checked >= CHECK_EVERY:
                checked = now
                if not await self._is_still_here():
                    return
            told = view.told()
            if told is not None and told != said:
                said, spoken = told, now
                await self.send(_event(told))
            elif now - spoken >= KEEP_ALIVE:
                spoken = now
                await self.send(": keep-alive\n\n")
            await view.news(KEEP_ALIVE)

    def on_connection_close(self) -> None:
        """End at once what nobody listens to."""
        if self._view:
            self._view.close()

    async def _is_still_here(self) -> bool:
        """Whether the login holds, and allows as much as it did."""
        auth = self.hub_auth
        asked = auth.user_for_token(
            auth.get_token(self), session_id=auth.get_session_id(self), sync=False
        )
        try:
            model = await asyncio.wait_for(asked, CHECK_SECONDS)
            found = model and self.check_hub_user(model)
        except (HTTPError, TimeoutError, UserNotAllowed):
            return False
        mine = ("name", "admin")
        return bool(found) and all(found.get(key) == self.current_user.get(key) for key in mine)


def _event(told: dict[str, Any]) -> str:
    """One event; JSON has no line break of its own."""
    at = told["at"] and datetime.fromisoformat(told["at"])
    age = round(max(0.0, (datetime.now(UTC) - at).total_seconds()), 1) if at else None
    return f"event: state\ndata: {json.dumps({**told, 'age': age})}\n\n"
