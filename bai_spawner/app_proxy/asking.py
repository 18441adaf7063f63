"""Asks the hub whom a visitor's token is of."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import ClientError, ClientSession, ClientTimeout

from bai_spawner.app_proxy.visitors import HubAway, Visitor

ASK_SECONDS = 10.0


class HubUsers:
    """One hub's users.

    Args:
        api_url: the hub's API, as its services reach it.
    """

    def __init__(self, api_url: str) -> None:
        self._url = f"{api_url.rstrip('/')}/user"
        self._client: ClientSession | None = None

    async def ask(self, token: str) -> Visitor | None:
        """Whom it is of; ``None``: of nobody, any more.

        Raises:
            HubAway: the hub does not answer, or cannot.
        """
        if self._client is None:
            self._client = ClientSession(timeout=ClientTimeout(total=ASK_SECONDS))
        headers = {"Authorization": f"token {token}"}
        try:
            async with self._client.get(self._url, headers=headers) as answer:
                if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
                    return None
                if answer.status != HTTPStatus.OK:
                    raise HubAway("the hub does not answer now; try again")
                found = await answer.json()
        except (ClientError, OSError, TimeoutError):
            raise HubAway("the hub does not answer now; try again") from None
        if found.get("kind") != "user":
            return None
        return Visitor(found["name"], frozenset(found["scopes"]))

    async def close(self) -> None:
        """Close what leads to the hub."""
        if self._client:
            await self._client.close()
