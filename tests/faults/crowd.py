"""A hub without pages that starts sessions with GPUs: one order, one line of JSON.

``crowd``: 200 sessions ask for one fGPU at once, all that started are ended. ``memcap``: one
asks for two fGPU on an engine that is taken to have control groups v2, whatever it has: the
limit's way through hook and driver is what is tried.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from bai_spawner.errors import BaiError, Refused
from bai_spawner.ledger import Ledger
from bai_spawner.policy import Subject
from bai_spawner.runtime import BaiRuntime, Launch
from tests.faults.launching import start

REQUESTS = 200


async def admit(runtime: BaiRuntime, user: str, fgpu: int) -> Launch:
    body = {"resources": {"cpu": 1, "memory": "512MiB", "fgpu": fgpu}}
    return await runtime.admit(Subject(user), "one", body=body, session="")


async def crowd(runtime: BaiRuntime, network: str) -> dict[str, Any]:
    ledger = await runtime.open()
    results = Counter[str]()
    reasons = set[str]()

    async def one(number: int) -> None:
        try:
            launch = await admit(runtime, f"user{number}", 1)
        except Refused as refused:
            results["refused"] += 1
            reasons.add(str(refused).partition(" in resource group")[0])
            return
        try:
            await start(runtime, network, launch, seconds=120)
            results["started"] += 1
        except BaiError as error:
            results["failed"] += 1
            reasons.add(str(error))

    await asyncio.gather(*(one(number) for number in range(REQUESTS)))
    states = await runtime.engine.list(runtime.hub_id)
    sessions = [session for state in states if (session := state.session())]
    full = Counter[str]()
    for session in sessions:
        full.update({share.device: share.quanta for share in session.shares})
    inspected = [await runtime.engine.inspect(state.id) for state in states]
    seen = Counter(device for state in inspected if state for device in state.devices)
    await asyncio.gather(*(runtime.lifecycle.end(s.key, grace=0) for s in sessions))
    return {
        **{key: results[key] for key in ("started", "refused", "failed")},
        "full": full,
        "seen": seen,
        "reasons": sorted(reasons),
        **await left(runtime, ledger),
    }


async def memcap(runtime: BaiRuntime, network: str) -> dict[str, Any]:
    ledger = await runtime.open()
    ledger.offer("local", await runtime.gpus.look("2"))
    launch = await admit(runtime, "ada", 2)
    found: dict[str, Any] = {"started": True}
    try:
        await start(runtime, network, launch, seconds=120)
    except BaiError as error:
        found = {"started": False, "why": str(error)}
    else:
        (state,) = await runtime.engine.list(runtime.hub_id)
        inspected = runtime.engine.client.inspect_container(state.id)
        found["env"] = dict(line.partition("=")[::2] for line in inspected["Config"]["Env"])
        await runtime.lifecycle.end(launch.key, grace=0)
    return {**found, **await left(runtime, ledger)}


async def left(runtime: BaiRuntime, ledger: Ledger) -> dict[str, int]:
    """What is still there once everything has ended."""
    for held in list(ledger):
        await runtime.clear(held.key, seconds=60)
    ledger.audit()
    (node,) = ledger.free(["local"])
    return {
        "held": len(ledger),
        "free": sum(device.free for device in node.devices),
        "containers": len(await runtime.engine.list(runtime.hub_id)),
    }


async def main(folder: str, catalog: str, network: str, order: str) -> None:
    runtime = BaiRuntime(catalog_file=catalog, state_dir=folder)
    found = await {"crowd": crowd, "memcap": memcap}[order](runtime, network)
    print(json.dumps(found))  # noqa: T201 - this is how it answers
    runtime.lifecycle.close()
    runtime.history.close()
    runtime.gpus.close()
    runtime.engine.close()


if __name__ == "__main__":
    asyncio.run(main(str(Path(sys.argv[1])), *sys.argv[2:]))
