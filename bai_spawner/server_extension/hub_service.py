"""The hub's service, as a session asks it: with its own token, and within bounds.

Something else may answer there, or nothing, or something without an end. Whatever it is, an answer
takes ``SECONDS`` and ``MOST`` bytes at most, and what is wrong is one sentence. No redirect is
followed: the token is for that address alone.
"""

import json
from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any

from tornado.httpclient import HTTPClientError, HTTPResponse
from tornado.iostream import StreamBufferFullError
from tornado.simple_httpclient import SimpleAsyncHTTPClient

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
"""Refusals that mean the same to who asks this server, unless others are named."""
DONE = frozenset({HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT})


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

    async def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        its_word: Collection[int] = ITS_WORD,
        seconds: float | None = None,
    ) -> bytes:
        """What it answers.

        Args:
            method: of HTTP.
            path: below the service's address.
            body: sent as JSON; ``None``: nothing is.
            its_word: refusals that mean the same to who asks this server.
            seconds: what the answer may take; `SECONDS` unless said.

        Raises:
            Unable: it does not answer, or refuses.
        """
        sent = None if body is None else json.dumps(body)
        answer = await self._send(method, path, sent, SECONDS if seconds is None else seconds)
        if answer.code not in DONE:
            raise _refused(answer, its_word)
        return answer.body

    async def _send(self, method: str, path: str, body: str | None, seconds: float) -> HTTPResponse:
        client = SimpleAsyncHTTPClient(
            force_instance=True, max_body_size=MOST, max_buffer_size=MOST, max_header_size=MOST
        )
        try:
            return await client.fetch(
                f"{self._url.rstrip('/')}/{path}",
                method=method,
                headers={
                    "Authorization": f"token {self._token}",
                    **({} if body is None else {"Content-Type": "application/json"}),
                },
                body=body,
                connect_timeout=SECONDS,
                request_timeout=seconds,
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


def _refused(answer: HTTPResponse, its_word: Collection[int]) -> Unable:
    """What a refusal is to who asks this server: in the service's words, where it has some."""
    words = _words(answer.body)
    if answer.code in its_word and words:
        return Unable(HTTPStatus(answer.code), words)
    said = f": {words}" if words else ""
    return Unable(
        HTTPStatus.BAD_GATEWAY, f"The hub's service refuses ({answer.code} {answer.reason}){said}"
    )


def nobody() -> Unable:
    """What is said where the hub named no service."""
    words = "This session does not know where the hub's service is; nobody can be asked."
    return Unable(HTTPStatus.SERVICE_UNAVAILABLE, words)


def unreadable() -> Unable:
    """What an answer is that says nothing that is known."""
    return Unable(HTTPStatus.BAD_GATEWAY, "The answer of the hub's service cannot be read.")


def _words(body: bytes) -> str:
    """The message of a refusal; empty where there is none that a person can read."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    words = found.get("message") if isinstance(found, dict) else None
    return words[:LONGEST] if isinstance(words, str) and words[:LONGEST].isprintable() else ""
