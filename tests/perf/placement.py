"""What each rule of placement refuses: the same sessions come and go under every rule.

Sessions arrive at random, independently of each other (Poisson arrivals), and stay for an
exponential time whose mean is the unit of time. Sizes are drawn from one of `MIXES`,
independently of how long a session stays. A request that finds no room is refused and does not
come again. Arrivals, sizes and durations are drawn beforehand from a generator with a printed
seed, so every rule is asked the same questions, and asks `place()`, as the ledger does.

The load is the one offered: the units asked for in a mean duration, over all units there are.
What is refused is part of it; less than that is in use. Refusals are counted by request, from
when the first `WARM_UP` mean durations are over, as the devices are empty at first. A whole-GPU
request asks for all units of one device. What follows ± is the standard deviation over the seeds.

What is not in it: a demand that comes in waves, people who try again or ask for less, sizes
above one device, sessions that stay the longer the larger they are. The rates hold for these
assumptions; that one rule refuses less than another is what they are for.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from bai_spawner.gpu.placement import (
    DeviceFree,
    Rule,
    best_fit,
    first_fit,
    place,
    worst_fit,
)
from tests.perf.table import table

PER_GPU = 5
MIXES = {
    "1 to 5 alike": (1, 1, 1, 1, 1),
    "mostly small": (50, 20, 5, 5, 20),
}
"""How often each size is asked for, from one unit on: in proportion."""
LOADS = (0.60, 0.82, 0.95)
POOLS = {8: 6_000, 64: 6_000}
"""By number of devices, how many requests each seed brings."""
SEEDS = range(1, 9)
WARM_UP = 10.0
RULES: dict[str, Rule] = {"best": best_fit, "worst": worst_fit, "first": first_fit}


@dataclass(frozen=True, slots=True)
class Request:
    """A session that somebody wants: from when on, how large, and for how long."""

    at: float
    quanta: int
    stay: float


@dataclass(frozen=True, slots=True)
class Refusals:
    """Shares of the requests that were refused: of all, and of those for a whole GPU."""

    overall: float
    whole: float


def refusals() -> Iterator[str]:
    """The tables, one for each number of devices."""
    yield (
        f"\nRefused by placement: seeds {SEEDS[0]} to {SEEDS[-1]}, mean ± standard deviation\n\n"
        + "\n".join(f"{name}: {_odds(weights)}" for name, weights in MIXES.items())
    )
    for devices, requests in POOLS.items():
        yield (
            f"\n{devices} GPUs × {PER_GPU} units, {requests:,} requests a seed\n\n"
            f"{_pool(devices, requests)}"
        )


def _odds(weights: Sequence[int]) -> str:
    """How often each size is asked for, for people."""
    total = sum(weights)
    odds = (f"{size} ({weight / total:.0%})" for size, weight in enumerate(weights, 1))
    return f"{', '.join(odds)} units"


def _pool(devices: int, requests: int) -> str:
    """One number of devices: a line a mix and load, a column a rule."""
    rows = []
    for name, weights in MIXES.items():
        for load in LOADS:
            found = _by_rule(devices, requests, weights, load)
            cells = [_spread([one.overall for one in found[rule]]) for rule in RULES]
            cells += [_spread([one.whole for one in found[rule]]) for rule in RULES]
            rows.append([f"{name}, {load:.0%}", *cells])
    head = [f"{what}, {rule}" for what in ("all", "whole") for rule in RULES]
    return table(["sizes, offered load", *head], rows)


def _by_rule(
    devices: int, requests: int, weights: Sequence[int], load: float
) -> dict[str, list[Refusals]]:
    """What each rule refuses of the same requests, a value a seed."""
    drawn = [drawing(seed, requests, weights, load * devices * PER_GPU) for seed in SEEDS]
    return {name: [play(one, devices, rule) for one in drawn] for name, rule in RULES.items()}


def _spread(values: Sequence[float]) -> str:
    return f"{fmean(values) * 100:.1f} ± {stdev(values) * 100:.1f} %"


def drawing(seed: int, requests: int, weights: Sequence[int], units: float) -> list[Request]:
    """The same requests for the same arguments; ``units`` are asked for in a mean duration."""
    generator = random.Random(seed)
    sizes = range(1, len(weights) + 1)
    mean = sum(size * weight for size, weight in zip(sizes, weights, strict=True)) / sum(weights)
    clock, drawn = 0.0, []
    for quanta in generator.choices(sizes, weights, k=requests):
        clock += generator.expovariate(units / mean)
        drawn.append(Request(clock, quanta, generator.expovariate(1.0)))
    return drawn


def play(requests: Sequence[Request], devices: int, rule: Rule) -> Refusals:
    """Give each request what the rule gives it, and take it back when its time is over."""
    pool = {
        name: DeviceFree(name, PER_GPU, PER_GPU)
        for name in (f"gpu{number:04}" for number in range(devices))
    }
    live: list[tuple[float, str, int]] = []
    asked: list[tuple[bool, bool]] = []
    for request in requests:
        while live and live[0][0] <= request.at:
            _, name, quanta = heapq.heappop(live)
            _change(pool, name, quanta)
        given = place(pool.values(), request.quanta, PER_GPU, rule)
        for device in given:
            part = request.quanta // len(given)
            _change(pool, device.device, -part)
            heapq.heappush(live, (request.at + request.stay, device.device, part))
        if request.at > WARM_UP:
            asked.append((request.quanta == PER_GPU, not given))
    return Refusals(
        overall=fmean(refused for _, refused in asked),
        whole=fmean(refused for whole, refused in asked if whole),
    )


def _change(pool: dict[str, DeviceFree], name: str, quanta: int) -> None:
    """Give quanta back to a device, or take them from it."""
    device = pool[name]
    pool[name] = DeviceFree(name, device.free + quanta, device.total)
