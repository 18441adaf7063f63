"""Calls to the hub, each with the visitor's own token.

What a visitor may not do at the hub, the service cannot do for them: it has no token that
could. A hub that does not answer, or answers that it cannot, is one that is away: 503.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from jupyterhub.utils import url_escape_path, url_path_join
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.web import HTTPError

from bai_spawner.service.handlers import SERVER_ERROR, UNAVAILABLE, Known

ASK_SECONDS = 10.0
"""Within which the hub answers a question."""
AWAY = "the hub does not answer now; try again"
MOST_AT_ONCE = 100
"""Calls under way at a time; ending a session takes the hub some seconds."""


@dataclass(frozen=True, slots=True)
class Told:
    """The hub's answer: its status, and the JSON in it; ``None`` where there is none."""

    status: int
    model: Any = None

    @property
    def message(self) -> str:
        """What the hub says in words; empty when it says nothing."""
        said = self.model.get("message") if isinstance(self.model, dict) else None
        return said if isinstance(said, str) else ""


async def ask_hub(handler: Known, method: str, *path: str, seconds: float = ASK_SECONDS) -> Told:
    """Ask the hub for the visitor.

    Args:
        handler: whose request is being answered.
        method: of HTTP.
        path: the parts of an address below the hub's API; each may have any character.
        seconds: how long it may take.

    Raises:
        HTTPError: 503, the hub does not answer or cannot.
    """
    auth = handler.hub_auth
    request = HTTPRequest(
        url_path_join(auth.api_url, *map(url_escape_path, path)),
        method=method,
        headers={"Authorization": f"token {auth.get_token(handler)}"},
        request_timeout=seconds,
        follow_redirects=False,
        # of a hub that speaks TLS to its services (internal_ssl)
        client_key=auth.keyfile or None,
        client_cert=auth.certfile or None,
        ca_certs=auth.client_ca or None,
    )
    # the first to ask makes the client that all share
    client = AsyncHTTPClient(max_clients=MOST_AT_ONCE)
    try:
        answer = await client.fetch(request, raise_error=False)
    except (OSError, HTTPClientError):  # refused, broken off, or not in time
        raise HTTPError(UNAVAILABLE, AWAY) from None
    if answer.code >= SERVER_ERROR:
        raise HTTPError(UNAVAILABLE, AWAY)
    return Told(answer.code, _model(answer.body))


def _model(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
