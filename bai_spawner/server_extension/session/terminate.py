"""Ending the session from inside: the hub is asked to, with the session's own token.

The hub answers only once the session is gone, too late for anybody who waits for an answer from
the session. So it is asked first whether it is there and would do it; then whoever asked is
answered; then the hub is asked. Should it refuse even so, that is told to who asks later.
"""

import asyncio
import json
import os
from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from logging import Logger
from typing import Any
from urllib.parse import quote

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPResponse

CONNECT_SECONDS, ANSWER_SECONDS, STOP_SECONDS = 5.0, 10.0, 120.0
"""What a connection may take, an answer, and one that comes when a server has stopped."""
SCOPE = "delete:servers"
"""What the session's token must be allowed, for its own server at least."""
ELSEWHERE = "The session goes on; stop the server on the hub's page."


class State(StrEnum):
    """How far ending the session is."""

    IDLE = "idle"
    ASKED = "asked"
    FAILED = "failed"


class Unable(Exception):
    """The hub is away, or refuses.

    Args:
        status: what to answer.
        words: why, and what to do.
    """

    def __init__(self, status: HTTPStatus, words: str) -> None:
        super().__init__(words)
        self.status = status


class Ending:
    """The end of this session.

    Args:
        log: the server's log.
        environ: the server's environment, where the hub says who and where it is.
    """

    def __init__(self, log: Logger, environ: Mapping[str, str] = os.environ) -> None:
        self._log, self._environ = log, environ
        self._task: asyncio.Task[None] | None = None
        self.state, self.message = State.IDLE, ""

    async def check(self) -> None:
        """See that the hub is there, and would end this session.

        Raises:
            Unable: it is not, or would not.
        """
        if not self._environ.get("JUPYTERHUB_API_URL"):
            raise Unable(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "This server belongs to no hub; stop it where it was started.",
            )
        answer = await self._ask("GET", "user", ANSWER_SECONDS)
        if answer.code != HTTPStatus.OK:
            raise Unable(HTTPStatus.BAD_GATEWAY, _refused(answer))
        if not any(scope.partition("!")[0] == SCOPE for scope in _scopes(answer.body)):
            raise Unable(
                HTTPStatus.BAD_GATEWAY,
                f"The hub does not let this session end itself. {ELSEWHERE}",
            )

    def ask(self) -> None:
        """Ask the hub, once whoever wants it has been answered: a task begins after that."""
        if self._task is None or self._task.done():  # it was asked, and we are still here
            self.state, self.message = State.ASKED, ""
            self._task = asyncio.ensure_future(self._end())

    async def close(self) -> None:
        """Wait for the hub's answer no longer; what it was asked it does."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _end(self) -> None:
        try:
            answer = await self._ask("DELETE", self._server(), STOP_SECONDS)
        except Unable as unable:
            self._fail(str(unable))
            return
        if answer.code >= HTTPStatus.BAD_REQUEST:
            self._fail(_refused(answer))

    def _fail(self, words: str) -> None:
        self._log.error("This session was to end, and does not: %s", words)
        self.state, self.message = State.FAILED, words

    def _server(self) -> str:
        """This server below the hub's API; names may have any character."""
        user = f"users/{quote(self._environ.get('JUPYTERHUB_USER', ''), safe='')}"
        name = self._environ.get("JUPYTERHUB_SERVER_NAME", "")
        return f"{user}/servers/{quote(name, safe='')}" if name else f"{user}/server"

    async def _ask(self, method: str, path: str, seconds: float) -> HTTPResponse:
        """What the hub answers, be it a refusal.

        Raises:
            Unable: it does not.
        """
        try:
            return await AsyncHTTPClient().fetch(
                f"{self._environ['JUPYTERHUB_API_URL']}/{path}",
                method=method,
                headers={"Authorization": f"token {self._environ['JUPYTERHUB_API_TOKEN']}"},
                connect_timeout=CONNECT_SECONDS,
                request_timeout=seconds,
                follow_redirects=False,
                raise_error=False,
            )
        except (OSError, HTTPClientError) as error:
            self._log.error("%s %s: the hub does not answer: %s", method, path, error)
            raise Unable(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "The hub does not answer. The session goes on; try again in a while.",
            ) from error


def _refused(answer: HTTPResponse) -> str:
    return f"The hub refuses ({answer.code} {answer.reason}). {ELSEWHERE}"


def _scopes(body: bytes) -> list[str]:
    """What the token is allowed, from the hub's word on who has it."""
    try:
        found: Any = json.loads(body)
    except ValueError:
        return []
    scopes = found.get("scopes") if isinstance(found, dict) else None
    return [str(scope) for scope in scopes] if isinstance(scopes, list) else []
