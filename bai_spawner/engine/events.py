"""The engine's events as they happen, read on a thread of their own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator

import docker
import requests
import urllib3
from docker.errors import DockerException

from bai_spawner import labels
from bai_spawner.engine.state import ContainerEvent, Verb
from bai_spawner.errors import EngineAway

CLOSED = (DockerException, requests.RequestException, urllib3.exceptions.HTTPError, OSError)


class Listener:
    """Hears what befalls the containers of one deployment, from `open` on.

    Args:
        hub: the deployment's identity.

    Iterating gives each event and ends with `EngineAway` when the engine goes; `close`
    ends it quietly.
    """

    def __init__(self, hub: str) -> None:
        self._hub = hub
        self._heard: asyncio.Queue[ContainerEvent | EngineAway] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    def open(self, client: docker.APIClient) -> None:
        """Connect. Blocks; call it off the loop. What happens afterwards is heard."""
        self._stream = client.events(
            decode=True,
            filters={
                "type": "container",
                "label": f"{labels.HUB}={self._hub}",
                "event": [verb.value for verb in Verb],
            },
        )
        threading.Thread(target=self._read, name="engine-events", daemon=True).start()

    def _read(self) -> None:
        cause = "it closed the stream of events"
        try:
            for raw in self._stream:
                if event := ContainerEvent.read(raw):
                    self._tell(event)
        except CLOSED as error:
            cause = str(error)
        self._tell(EngineAway(f"the Docker engine went away ({' '.join(cause.split())[:200]})"))

    def _tell(self, heard: ContainerEvent | EngineAway) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody listens
            self._loop.call_soon_threadsafe(self._heard.put_nowait, heard)

    async def __aiter__(self) -> AsyncIterator[ContainerEvent]:
        while True:
            heard = await self._heard.get()
            if isinstance(heard, EngineAway):
                raise heard
            yield heard

    def close(self) -> None:
        """Stop listening."""
        with contextlib.suppress(*CLOSED):
            self._stream.close()
