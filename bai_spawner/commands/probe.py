"""``bai-spawner gpu probe``: what this host can enforce, and why not more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from bai_spawner.commands.arguments import Arguments, comes_to, fgpu
from bai_spawner.engine import Engine, EngineInfo
from bai_spawner.errors import EngineAway
from bai_spawner.gpu.device import Kind
from bai_spawner.gpu.fleet import Fleet, Offered, Survey
from bai_spawner.gpu.host import words
from bai_spawner.gpu.inventory import Nvml
from bai_spawner.gpu.isolation import Unfit
from bai_spawner.gpu.isolation.strategy import Strategy
from bai_spawner.units import format_size

COLUMN = 15


def run(said: Arguments) -> int:
    """Print it; 0 when at least one GPU is handed out."""
    fleet = Fleet(said.catalog, Nvml())
    info = asyncio.run(engine_info())
    survey = fleet.survey(info.cgroup if info else "")
    for line in _lines(said, fleet, info, survey):
        print(line)
    return 0 if any(not offer.terms.note for offer in survey.offers) else 1


async def engine_info() -> EngineInfo | None:
    """What the engine says of itself; ``None`` when it does not answer."""
    engine = Engine(threads=1)
    try:
        return await engine.info()
    except EngineAway:
        return None
    finally:
        engine.close()


def _lines(said: Arguments, fleet: Fleet, info: EngineInfo | None, survey: Survey) -> Iterator[str]:
    host, inventory, gpu = fleet.host(), survey.inventory, said.catalog.gpu
    yield "This host"
    yield _row("driver", f"{host.driver} (CUDA {inventory.cuda})" if host.driver else "none")
    yield _row("memory limits", "by control group" if host.memory_limits else "no (driver 615)")
    yield _row("toolkit", words(host.toolkit) or "nvidia-container-toolkit is not here")
    if info is None:
        yield _row("engine", "no Docker engine answers")
    else:
        cdi = "CDI is on" if info.cdi else "CDI is off: the driver nvidia is asked for GPUs"
        yield _row("engine", f"Docker {info.version}, control groups v{info.cgroup}, {cdi}")
    yield ""
    yield "The catalogue"
    yield _row("isolation", gpu.isolation)
    yield _row("required", str(gpu.require_enforcement.enforcement))
    yield _row("units", f"a GPU is {fgpu(said.catalog, gpu.quanta_per_gpu)}")
    if inventory.problem:
        yield ""
        yield f"Not everything is known: {inventory.problem}"
    for offer in survey.offers:
        yield ""
        yield from _device(said, fleet, offer)


def _device(said: Arguments, fleet: Fleet, offer: Offered) -> Iterator[str]:
    device, terms = offer.device, offer.terms
    mode = "EXCLUSIVE_PROCESS" if device.exclusive else "DEFAULT"
    yield f"{device.uuid}: {device.title}, {format_size(device.memory)}, compute mode {mode}"
    if terms.note:
        yield _row("handed out", f"no: {terms.note}")
    else:
        yield _row("handed out", f"under {terms.isolation}, {fgpu(said.catalog, offer.total)}")
        yield _row("enforced", str(terms.enforcement))
        part = terms.size or 1
        yield _row("a share", comes_to(said.catalog, part, terms.usable, terms.whole))
    for strategy in fleet.strategies.values():
        if strategy.attached and device.kind is not Kind.SIMULATED:
            yield _row(strategy.name, _possible(strategy, offer))


def _possible(strategy: Strategy, offer: Offered) -> str:
    found = strategy.probe(offer.device)
    if isinstance(found, Unfit):
        return f"no: {found.reason}"
    return f"yes ({strategy.enforcement}; verified on hardware: {strategy.verified})"


def _row(name: str, told: str) -> str:
    return f"  {name:<{COLUMN}}{told}"
