"""One of several hubs on an engine, without its web pages: a process that takes orders.

A line of JSON on its standard input is an order, a line of JSON on its standard output
the answer: ``{"do": "start", "server": …}`` is answered with ``{"started": true}`` or with
the reason why not, ``{"do": "end", "server": …}`` with what the ledger still holds.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from bai_spawner.errors import BaiError
from bai_spawner.policy import Subject
from bai_spawner.runtime import BaiRuntime
from tests.faults.launching import start

USER = "ada"


async def begin(runtime: BaiRuntime, network: str, server: str) -> dict[str, Any]:
    """Ask for a session."""
    try:
        launch = await runtime.admit(Subject(USER), server, body={}, session="")
        await start(runtime, network, launch)
    except BaiError as error:
        return {"started": False, "why": str(error)}
    return {"started": True}


async def end(runtime: BaiRuntime, server: str) -> dict[str, Any]:
    """End a session, whatever became of it, and tell what is still held."""
    ledger = await runtime.open()
    await runtime.lifecycle.end((USER, server), grace=0)
    await runtime.clear((USER, server), seconds=30)
    ledger.audit()
    return {"held": len(ledger)}


async def main(state: str, catalog: str, hub_id: str, network: str) -> None:
    runtime = BaiRuntime(catalog_file=catalog, state_dir=state, hub_id=hub_id)
    await runtime.open()
    answer: dict[str, Any] = {"ready": True}
    while True:
        print(json.dumps(answer), flush=True)  # noqa: T201 - this is how it answers
        line = await asyncio.to_thread(sys.stdin.readline)
        if not line:
            break
        order = json.loads(line)
        if order["do"] == "start":
            answer = await begin(runtime, network, order["server"])
        elif order["do"] == "end":
            answer = await end(runtime, order["server"])
    runtime.lifecycle.close()
    runtime.history.close()
    runtime.engine.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
