"""Asks the app proxy; see `bai_spawner.app_proxy.control`. For the hub and its service."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, UnixConnector

from bai_spawner.errors import BaiError

ASK_SECONDS = 20.0
LONGEST_SOCKET = 100
"""Bytes of a socket's path: unix(7) has 108 with its end."""


class ProxyAway(BaiError):
    """The app proxy does not answer."""

    def __init__(self) -> None:
        super().__init__("apps cannot be opened now: their proxy does not answer; try again")


@dataclass(frozen=True, slots=True)
class Told:
    """An answer: its status, and its JSON."""

    status: int
    model: Any

    @property
    def message(self) -> str:
        """Why not, in words."""
        return str(self.model.get("message", "")) if isinstance(self.model, dict) else ""


class Client:
    """One deployment's app proxy.

    Args:
        path: of its socket.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Told:
        """Ask.

        Raises:
            ProxyAway: it does not answer.
        """
        timeout = ClientTimeout(total=ASK_SECONDS)
        with Short(self._path) as short:
            connector = UnixConnector(short)
            async with ClientSession(connector=connector, timeout=timeout) as session:
                try:
                    async with session.request(method, f"http://proxy{path}", json=body) as answer:
                        is_json = answer.content_type == "application/json"
                        return Told(answer.status, await answer.json() if is_json else None)
                except (ClientError, OSError, TimeoutError):
                    raise ProxyAway from None


class Short:
    """A context with a path of a socket's that the kernel takes, however long it is."""

    def __init__(self, path: Path) -> None:
        self._path, self._folder = path, -1

    def __enter__(self) -> str:
        if len(os.fsencode(self._path)) <= LONGEST_SOCKET:
            return str(self._path)
        try:
            self._folder = os.open(self._path.parent, os.O_PATH)
        except OSError:
            return str(self._path)
        return f"/proc/self/fd/{self._folder}/{self._path.name}"

    def __exit__(self, *_: object) -> None:
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1
