"""Starts the sessions that were admitted together with another one (R5).

They were judged and reserved with it, so they start as any server starts: through the
hub's own REST API, with its limits, its log and its events. The token lives as long as
the calls, belongs to the user and may start servers, nothing else. A session that the
hub will not start gives back its share, and its record says why.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from http.client import responses
from logging import Logger

from jupyterhub import orm
from jupyterhub.user import User
from jupyterhub.utils import url_escape_path, url_path_join
from tornado.httpclient import AsyncHTTPClient, HTTPRequest

from bai_spawner.errors import Reason
from bai_spawner.reasons import of_failure
from bai_spawner.runtime import BaiRuntime, Launch

CALL_SECONDS = 120.0
"""How long the hub may take to answer; it answers slow starts before they are done."""
TOKEN_SECONDS = 600


async def start_others(
    runtime: BaiRuntime, user: User, others: Sequence[Launch], *, api_url: str, log: Logger
) -> None:
    """Ask the hub for each of them at once; never raises."""
    # a client of its own: the hub's has few connections, which the starts themselves need
    client = AsyncHTTPClient(force_instance=True, max_clients=len(others))
    servers = url_path_join(api_url, "users", url_escape_path(user.name), "servers")

    async def start(other: Launch, token: str) -> None:
        asked = {
            "display_name": other.grant.session,
            "user_options": other.options.to_json(other.grant.profile),
        }
        request = HTTPRequest(
            url_path_join(servers, other.allocation.server),
            method="POST",
            headers={"Authorization": f"token {token}", "Content-Type": "application/json"},
            body=json.dumps(asked),
            request_timeout=CALL_SECONDS,
        )
        try:
            answer = await client.fetch(request, raise_error=False)
        except Exception as error:  # noqa: BLE001 - whatever it was, the share comes back
            told = f"the hub could not be asked to start it: {error}"
        else:
            told = _refusal(answer.code, answer.body)
        if runtime.give_up(other.key, of_failure(Reason.START, told)):
            log.warning("Session %s was not started: %s", other.key, told)

    try:
        with closing(client), _token(user) as token:
            await asyncio.gather(*(start(other, token) for other in others))
    except ValueError as error:  # the user, or their role, may not start servers
        for other in others:
            runtime.give_up(other.key, of_failure(Reason.START, str(error)))
        log.warning("%d sessions of %s were not started: %s", len(others), user.name, error)


@contextmanager
def _token(user: User) -> Iterator[str]:
    """A token that starts this user's servers, for as long as it is needed."""
    token = user.new_api_token(
        note="starts sessions that were launched together",
        scopes=[f"servers!user={user.name}"],
        expires_in=TOKEN_SECONDS,
    )
    try:
        yield token
    finally:
        if found := orm.APIToken.find(user.db, token):
            user.db.delete(found)
            user.db.commit()


def _refusal(code: int, body: bytes) -> str:
    """What the hub said, for the record."""
    try:
        message = json.loads(body)["message"]
    except (ValueError, KeyError, TypeError):
        message = ""
    return f"the hub answered {code} {message or responses.get(code, '')}"
