"""What the hub and its service ask the proxy, over a socket that their own user alone can reach.

    POST   /openings      a `Wish`      201 {"id", "url", "port", "told"}; 409 {"field", "message"}
    DELETE /openings/ID   {"by", "why"}                           200 {"closed": true | false}
    POST   /tickets       {"opening", "token", "nonce", "next"}   201 {"url"}; 403, 404
    POST   /look          204: everybody's right to be let in was asked for
    GET    /health        204

Whoever asks is one of this deployment's own programs: what users sent, the service has checked.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from bai_spawner.app_proxy.door import ENTER
from bai_spawner.app_proxy.keeper import AppKeeper, Refused, Wish
from bai_spawner.app_proxy.visitors import HubAway, NotAdmitted, Visitors
from bai_spawner.records import RecordsError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_control(keeper: AppKeeper, visitors: Visitors) -> web.Application:
    """The application that answers."""
    app = web.Application(middlewares=[_worded])
    control = _Control(keeper, visitors)
    app.add_routes(
        [
            web.post("/openings", control.open),
            web.delete("/openings/{id}", control.close),
            web.post("/tickets", control.ticket),
            web.post("/look", control.look),
            web.get("/health", control.health),
        ]
    )
    return app


class _Control:
    def __init__(self, keeper: AppKeeper, visitors: Visitors) -> None:
        self._keeper, self._visitors = keeper, visitors

    async def open(self, request: web.Request) -> web.Response:
        asked = await request.json()
        expires = asked["expires"] and datetime.fromisoformat(asked["expires"])
        allowed = tuple(asked["allowed"])
        line = await self._keeper.open(Wish(**{**asked, "expires": expires, "allowed": allowed}))
        url = f"{self._keeper.origin(line.id)}/"
        told = {"id": line.id, "url": url, "port": line.port, "told": line.told}
        return web.json_response(told, status=201)

    async def close(self, request: web.Request) -> web.Response:
        asked = await request.json()
        closed = await self._keeper.close(request.match_info["id"], **asked)
        return web.json_response({"closed": closed})

    async def ticket(self, request: web.Request) -> web.Response:
        asked = await request.json()
        place = self._keeper.place(asked["opening"])
        if place is None:
            return _said(404, "this app is not open any more")
        made = await self._visitors.ticket(place, asked["token"], asked["nonce"])
        query = urlencode({"ticket": made, "next": asked["next"]})
        url = f"{self._keeper.origin(asked['opening'])}{ENTER}?{query}"
        return web.json_response({"url": url}, status=201)

    async def look(self, _: web.Request) -> web.Response:
        await self._visitors.look()
        return web.Response(status=204)

    async def health(self, _: web.Request) -> web.Response:
        return web.Response(status=204)


@web.middleware
async def _worded(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as error:
        return _said(409, str(error), field=error.field)
    except NotAdmitted as error:
        return _said(403, str(error))
    except (HubAway, RecordsError) as error:
        return _said(503, str(error))


def _said(status: int, message: str, **more: Any) -> web.Response:
    text = json.dumps({"message": message, **more})
    return web.Response(status=status, text=text, content_type="application/json")
