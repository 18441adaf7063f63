"""An engine in memory: containers are entries of a dict, and every verb can be made to fail."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from typing import Any

from bai_spawner.container import ContainerSpec
from bai_spawner.engine import ContainerState, Engine, EngineInfo
from bai_spawner.errors import EngineError


class FakeEngine(Engine):
    """Set ``fail[verb]`` to an error, ``hold[verb]`` to an event that the verb waits for."""

    def __init__(self) -> None:
        super().__init__()
        self.containers: dict[str, ContainerState] = {}
        self.fail: dict[str, EngineError] = {}
        self.hold: dict[str, asyncio.Event] = {}
        self.calls: list[str] = []
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

    async def pull(self, image: str) -> None:
        del image
        await self._enter("pull")

    async def create(self, spec: ContainerSpec) -> str:
        await self._enter("create")
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
        )
        return made

    async def start(self, container: str) -> None:
        await self._enter("start")
        self._change(container, status="running")

    async def inspect(self, container: str) -> ContainerState | None:
        await self._enter("inspect")
        return self._find(container)

    async def stop(self, container: str, grace: int) -> None:
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

    async def list(self, hub: str) -> list[ContainerState]:
        await self._enter("list")
        return [c for c in self.containers.values() if c.labels["bai.hub"] == hub]
