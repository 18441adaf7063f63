"""An engine in memory: containers are entries of a dict, and every verb can be made to fail."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bai_spawner.container import ContainerSpec
from bai_spawner.engine import ContainerEvent, ContainerState, Engine, EngineInfo, Verb
from bai_spawner.errors import EngineError


class Heard:
    """A listener's side of events; an error among them is raised, as when the engine goes."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[ContainerEvent | EngineError] = asyncio.Queue()

    async def __aiter__(self) -> AsyncIterator[ContainerEvent]:
        while True:
            event = await self.events.get()
            if isinstance(event, EngineError):
                raise event
            yield event

    def close(self) -> None:
        pass


class FakeEngine(Engine):
    """Set ``fail[verb]`` to an error, ``hold[verb]`` to an event that the verb waits for."""

    def __init__(self) -> None:
        super().__init__()
        self.containers: dict[str, ContainerState] = {}
        self.fail: dict[str, EngineError] = {}
        self.hold: dict[str, asyncio.Event] = {}
        self.calls: list[str] = []
        self.heard = Heard()
        self._ids = itertools.count(1)

    async def _enter(self, verb: str) -> None:
        self.calls.append(verb)
        if verb in self.hold:
            await self.hold[verb].wait()
        await asyncio.sleep(0)
        if error := self.fail.get(verb):
            raise error

    def _change(self, container: str, **changed: Any) -> None:
        if found := self._find(container):
            self.containers[found.id] = replace(found, **changed)

    def _find(self, container: str) -> ContainerState | None:
        return next((c for c in self.containers.values() if container in (c.id, c.name)), None)

    async def info(self) -> EngineInfo:
        await self._enter("info")
        return EngineInfo(cpu=4, memory=8 * 1024**3, version="fake")

    async def has_image(self, image: str) -> bool:
        del image
        await self._enter("has_image")
        return True

    async def image_labels(self, image: str) -> Mapping[str, str]:
        del image
        await self._enter("image_labels")
        return {}

    async def pull(self, image: str) -> None:
        del image
        await self._enter("pull")

    async def create(self, spec: ContainerSpec) -> str:
        await self._enter("create")
        if leftover := self._find(spec.name):
            del self.containers[leftover.id]
        made = f"c{next(self._ids)}"
        self.containers[made] = ContainerState(
            id=made,
            name=spec.name,
            status="created",
            exit_code=0,
            oom_killed=False,
            error="",
            address="127.0.0.1",
            labels=spec.labels,
            devices=spec.devices,
            visible=spec.environment["NVIDIA_VISIBLE_DEVICES"] or "",
        )
        return made

    async def start(self, container: str) -> None:
        await self._enter("start")
        self._change(container, status="running")
        if container in self.containers:
            self.happen(container, Verb.START)

    async def inspect(self, container: str) -> ContainerState | None:
        await self._enter("inspect")
        return self._find(container)

    async def stop(self, container: str, grace: int | None) -> None:
        del grace
        await self._enter("stop")
        self._change(container, status="exited")

    async def remove(self, container: str) -> None:
        await self._enter("remove")
        self.containers.pop(container, None)

    async def logs(self, container: str, lines: int) -> str:
        del lines
        await self._enter("logs")
        return f"last words of {container}"

    async def list(self, hub: str, *, size: bool = False) -> list[ContainerState]:
        del size
        await self._enter("list")
        return [c for c in self.containers.values() if c.labels["bai.hub"] == hub]

    async def everyone(self) -> Sequence[ContainerState]:
        await self._enter("everyone")
        return list(reversed(self.containers.values()))

    async def stats(self, container: str) -> Mapping[str, Any] | None:
        await self._enter("stats")
        return {} if self._find(container) else None

    async def greet(self) -> None:
        await self._enter("greet")

    async def listen(self, hub: str) -> Any:
        del hub
        await self._enter("listen")
        return self.heard

    def happen(self, container: str, verb: Verb) -> None:
        """Tell whoever listens that something befell a container."""
        found = self.containers[container]
        session = found.session()
        assert session
        self.heard.events.put_nowait(ContainerEvent(verb, container, session, found.labels))
