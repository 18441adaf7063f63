"""What keeping in step costs as sessions grow in number: real containers that do nothing.

Wall time is what the hub waits for the engine and for the kernel's files, and others are
served meanwhile; CPU time is what the hub itself computes. "Idle" is a runtime that keeps
in step with its shipped intervals and has nothing else to do: one comparison and three
rounds of statistics in its thirty seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import docker

from bai_spawner import labels
from bai_spawner.keeper import Hub, Keeper, Pace, Servers
from bai_spawner.labels import SessionLabels
from bai_spawner.meter import Meter
from bai_spawner.runtime import BaiRuntime
from bai_spawner.units import GIB, MIB
from tests.deployment import REPO
from tests.images import LIGHT, ensure_light_image
from tests.perf.table import duration, ratio, table

SIZES = (10, 100, 500)
EACH = 25 * MIB
"""What a container that sleeps takes of the host, its supervisors in the engine included."""
AT_ONCE = 8
RUNS = 9
SETTLE_SECONDS = 5.0
"""In which the first comparisons of a hub that has just started are over."""
IDLE_SECONDS = 30.0

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds by the clock and of this process's CPU."""

    wall: float
    cpu: float


def measure_reconciling(client: docker.DockerClient, report: Report) -> None:
    """Make as many sessions as the machine has room for, measure on the way, remove them."""
    report("\nKeeping in step\n")
    sizes = [size for size in SIZES if size * EACH < _free()]
    if left_out := sorted(set(SIZES) - set(sizes)):
        report(f"left out for want of memory: {', '.join(map(str, left_out))} sessions")
    if not sizes:
        return
    ensure_light_image(client)
    hub_id = secrets.token_hex(16)
    costs: list[dict[str, Cost]] = []
    made = 0
    with _sessions(client, hub_id) as make:
        for size in sizes:
            began = time.perf_counter()
            make(range(made, size))
            made = size
            report(f"{size} sessions run; made in {duration(time.perf_counter() - began)}")
            costs.append(asyncio.run(_measured(hub_id)))
    report(_table(sizes, costs))


def _free() -> int:
    """Bytes of memory that programs may still take."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    free = next(line for line in lines if line.startswith("MemAvailable"))
    return int(free.split()[1]) * 1024


@contextlib.contextmanager
def _sessions(client: docker.DockerClient, hub_id: str) -> Iterator[Callable[[range], None]]:
    """Makes sessions by number; all are gone afterwards."""
    with ThreadPoolExecutor(AT_ONCE) as pool:

        def make(numbers: range) -> None:
            list(pool.map(one, numbers))

        def one(number: int) -> None:
            client.containers.run(
                LIGHT,
                ["sleep", "infinity"],
                detach=True,
                labels=labels.encode(_session(hub_id, number)),
                network_mode="none",
                mem_limit=16 * MIB,
            )

        try:
            yield make
        finally:
            found = client.api.containers(
                all=True, quiet=True, filters={"label": f"{labels.HUB}={hub_id}"}
            )
            remove = client.api.remove_container
            list(pool.map(lambda container: remove(container["Id"], force=True, v=True), found))


def _session(hub_id: str, number: int) -> SessionLabels:
    return SessionLabels(
        hub=hub_id,
        allocation=f"{number:016x}",
        user=f"user{number // 2}",
        server=f"server{number}",
        session=f"session{number}",
        environment="python",
        version="3.13",
        group="general",
        node="local",
        policy="everyone",
        cpu=1,
        memory=GIB,
        shm=64 * MIB,
    )


async def _measured(hub_id: str) -> dict[str, Cost]:
    """What each part of the work costs now."""
    async with _runtime(hub_id) as runtime:
        ledger = await runtime.open()
        hub = Hub(lambda: Servers(started={held.key for held in ledger}))
        keeper = Keeper(
            runtime.engine,
            runtime.lifecycle,
            runtime.history,
            runtime.gpus,
            runtime.open,
            hub_id,
            runtime.log,
            Pace(),
        )
        keeper._hub = hub
        await keeper.compare()
        meter = Meter(runtime.engine, hub_id, runtime.gpus)
        costs = {
            "list of all containers": await _cost(runtime.engine.everyone),
            "comparison": await _cost(keeper.compare),
            "round of statistics": await _cost(lambda: meter.look(keeper.running)),
            "size of what each wrote": await _cost(meter.weigh, runs=1),
        }
        costs["idle"] = await _idle(runtime, hub)
        if len(ledger) != len(keeper.running):
            raise RuntimeError(f"{len(ledger)} in the books, {len(keeper.running)} run")
        return costs


@contextlib.asynccontextmanager
async def _runtime(hub_id: str) -> AsyncIterator[BaiRuntime]:
    log = logging.getLogger("bench")
    log.setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        catalog = str(REPO / "catalog.yaml")
        runtime = BaiRuntime(catalog_file=catalog, state_dir=folder, hub_id=hub_id, log=log)
        try:
            yield runtime
        finally:
            runtime.lifecycle.close()
            runtime.history.close()
            runtime.engine.close()


async def _cost(work: Callable[[], Awaitable[object]], runs: int = RUNS) -> Cost:
    """The median of so many."""
    costs: list[Cost] = []
    for _ in range(runs):
        wall, cpu = time.perf_counter(), time.process_time()
        await work()
        costs.append(Cost(time.perf_counter() - wall, time.process_time() - cpu))
    return Cost(median(cost.wall for cost in costs), median(cost.cpu for cost in costs))


async def _idle(runtime: BaiRuntime, hub: Hub) -> Cost:
    """What a hub computes that nobody uses."""
    keeping = asyncio.create_task(runtime.keep_in_step(hub))
    await asyncio.sleep(SETTLE_SECONDS)
    cost = await _cost(lambda: asyncio.sleep(IDLE_SECONDS), runs=1)
    keeping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await keeping
    return cost


def _table(sizes: list[int], costs: list[dict[str, Cost]]) -> str:
    head = ["sessions", *(f"{size:,}" for size in sizes), f"size ×{sizes[-1] // sizes[0]}"]
    rows = []
    for part in costs[0]:
        found = [cost[part] for cost in costs]
        if part != "idle":
            rows.append(_row(f"{part}: wall", [cost.wall for cost in found], duration))
            rows.append(_row(f"{part}: CPU", [cost.cpu for cost in found], duration))
            continue
        shares = [cost.cpu / cost.wall for cost in found]
        rows.append(_row("idle: CPU of one core", shares, lambda share: f"{share:.2%}"))
    return f"\n{table(head, rows)}\n"


def _row(title: str, values: list[float], shown: Callable[[float], str]) -> list[str]:
    return [title, *map(shown, values), ratio(values[-1], values[0])]
