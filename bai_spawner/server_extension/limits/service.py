"""The hub's service, as a session asks it: with its own token, and within bounds.

Something else may answer there, or nothing, or something without an end. Whatever it is, an answer
takes ``SECONDS`` and ``MOST`` bytes at most, and what is wrong is one sentence. No redirect is
followed: the token is for that address alone.
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from tornado.httpclient import HTTPClientError, HTTPResponse
from tornado.iostream import StreamBufferFullError
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from bai_spawner.server_extension.limits.time_left import Time, read

SECONDS = 10.0
"""What an answer may take, with its connection."""
MOST = 64 * 1024
"""Bytes of an answer."""
LONGEST = 300
"""Characters of what the service says to people."""
ITS_WORD = frozenset(
    {
        HTTPStatus.NOT_FOUND,
        HTTPStatus.CONFLICT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.SERVICE_UNAVAILABLE,
    }
)
"""Refusals that mean the same to who asks this server."""


class Unable(Exception):
    """The service is away, or refuses.

    Args:
        status: what to answer.
        words: why.
    """

    def __init__(self, status: HTTPStatus, words: str) -> None:
        super().__init__(words)
        self.status = status


class Service:
    """The service at an address, and the token that says which session asks."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url, token

    async def ask(self, path: str, body: Mapping[str, Any]) -> Time | None:
        """How much time the session has, once the service was told this.

        Raises:
            Unable: there is no such answer.
        """
        answer = await self._post(path, json.dumps(body))
        if answer.code != HTTPStatus.OK:
            raise _refused(answer)
        try:
            return read(answer.body)
        except ValueError as error:
            words = "The answer of the hub's service cannot be read."
            raise Unable(HTTPStatus.BAD_GATEWAY, words) from error

    async def _post(self, path: str, body: str) -> HTTPResponse:
        client = SimpleAsyncHTTPClient(
            force_instance=True, max_body_size=MOST, max_buffer_size=MOST, max_header_size=MOST
        )
        try:
            return await client.fetch(
                f"{self._url.rstrip('/')}/{path}",
                method="POST",
                headers={
                    "Authorization": f"token {self._token}",
                    "Content-Type": "application/json",
                },
                body=body,
                connect_timeout=SECONDS,
                request_timeout=SECONDS,
                follow_redirects=False,
                decompress_response=False,
                raise_error=False,
            )
        # the last is what an address that is none leads to
        except (OSError, HTTPClientError, StreamBufferFullError, ValueError) as error:
            words = "The hub's service does not answer; try again in a while."
            raise Unable(HTTPStatus.SERVICE_UNAVAILABLE, words) from error
        finally:
            client.close()


def from_environment(environ: Mapping[str, str]) -> Service | None:
    """The service that the hub named to this session; ``None``: none."""
    url, token = environ.get("BAI_SERVICE_URL", ""), environ.get("JUPYTERHUB_API_TOKEN", "")
    return Service(url, token) if url and token else None


def _refused(answer: HTTPResponse) -> Unable:
    """What a refusal is to who asks this server: in the service's words, where it has some."""
    words = _words(answer.body)
    if answer.code in ITS_WORD and words:
        return Unable(HTTPStatus(answer.code), words)
    said = f": {words}" if words else ""
    return Unable(
        HTTPStatus.BAD_GATEWAY, f"The hub's service refuses ({answer.code} {answer.reason}){said}"
    )


def _words(body: bytes) -> str:
    """The message of a refusal; empty where there is none that a person can read."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    words = found.get("message") if isinstance(found, dict) else None
    return words[:LONGEST] if isinstance(words, str) and words[:LONGEST].isprintable() else ""
