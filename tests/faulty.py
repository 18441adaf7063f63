"""An engine with faults on demand, for what a real one does only when it pleases.

A file named after a verb (``create``, ``start``, …) in the folder of faults holds
``{"delay": seconds, "after": seconds, "error": text, "away": true, "image": text,
"kill": "before" | "after", "once": true}``: ``delay`` is spent before the real call,
``after`` behind it, ``kill`` ends the hub's process at that very point, as a crash would,
and ``once`` is a fault that befalls one call alone.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import signal
from pathlib import Path
from typing import Any

from bai_spawner.engine import Engine
from bai_spawner.errors import EngineAway, EngineError


def die() -> None:
    """End this process here and now: nothing is closed, nothing is saved."""
    os.kill(os.getpid(), signal.SIGKILL)


class FaultyEngine(Engine):
    """A real engine behind a bad connection."""

    def __init__(self, faults: Path, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.faults = faults
        faults.mkdir(parents=True, exist_ok=True)

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if name.startswith("_") or not inspect.iscoroutinefunction(value):
            return value

        async def faulty(*args: Any, **kwargs: Any) -> Any:
            fault = self._fault(name, args)
            await asyncio.sleep(fault.get("delay", 0))
            if fault.get("away"):
                raise EngineAway("the Docker engine does not answer (on demand)")
            if error := fault.get("error"):
                raise EngineError(error)
            kill = fault.get("kill")
            if kill == "before":
                die()
            result = await value(*args, **kwargs)
            if kill == "after":
                die()
            await asyncio.sleep(fault.get("after", 0))
            return result

        return faulty

    def _fault(self, name: str, args: tuple[Any, ...]) -> dict[str, Any]:
        for verb in (name, "any"):
            path = self.faults / verb
            if path.exists():
                fault: dict[str, Any] = json.loads(path.read_text())
                if (only := fault.get("image")) and getattr(args[0], "image", only) != only:
                    continue
                if fault.get("once"):
                    path.unlink()
                return fault
        return {}
