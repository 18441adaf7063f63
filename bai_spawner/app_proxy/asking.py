"""Asks the hub whom a visitor's token is of, and what they may."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from aiohttp import ClientError, ClientSession, ClientTimeout

from bai_spawner.app_proxy.visitors import EVERYWHERE, HubAway, Visitor

ASK_SECONDS = 10.0
PAGES = "application/jupyterhub-pagination+json"
UNTOLD = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})


class HubUsers:
    """One hub's users.

    Args:
        api_url: the hub's API, as its services reach it.
    """

    def __init__(self, api_url: str) -> None:
        self._url = api_url.rstrip("/")
        self._client: ClientSession | None = None

    async def ask(self, token: str) -> Visitor | None:
        """Whom it is of; ``None``: of nobody, any more.

        Raises:
            HubAway: the hub does not answer, or cannot.
        """
        found = await self._get("user", token)
        if found is None or found.get("kind") != "user":
            return None
        name, scopes = found["name"], frozenset(found["scopes"])
        # who may enter every session gains nothing by what is shared
        shared = frozenset[str]() if EVERYWHERE in scopes else await self._shared(name, token)
        return Visitor(name, scopes | shared)

    async def _shared(self, name: str, token: str) -> frozenset[str]:
        """What was shared with a user, or with a group of theirs.

        A token that the hub gives for a login has the scopes of its user's roles, and none of
        what others shared with them (``jupyterhub.oauth.provider``).
        """
        scopes: set[str] = set()
        path = f"users/{quote(name, safe='')}/shared"
        while path:
            found = await self._get(path, token) or {"items": (), "_pagination": {}}
            scopes.update(scope for share in found["items"] for scope in share["scopes"])
            following = found["_pagination"].get("next")
            path = f"{path.partition('?')[0]}?offset={following['offset']}" if following else ""
        return frozenset(scopes)

    async def _get(self, path: str, token: str) -> dict[str, Any] | None:
        """What the hub says to a token's owner; ``None``: they may not know.

        Raises:
            HubAway: it does not answer, or cannot.
        """
        if self._client is None:
            self._client = ClientSession(timeout=ClientTimeout(total=ASK_SECONDS))
        headers = {"Authorization": f"token {token}", "Accept": PAGES}
        try:
            async with self._client.get(f"{self._url}/{path}", headers=headers) as answer:
                if answer.status in UNTOLD:
                    return None
                if answer.status != HTTPStatus.OK:
                    raise HubAway("the hub does not answer now; try again")
                found: dict[str, Any] = await answer.json(content_type=None)
        except (ClientError, OSError, TimeoutError):
            raise HubAway("the hub does not answer now; try again") from None
        return found

    async def close(self) -> None:
        """Close what leads to the hub."""
        if self._client:
            await self._client.close()
