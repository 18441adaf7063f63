"""From the request for a session to a server that is ready, next to plain DockerSpawner.

Each variant has a hub of its own, all three up at once; they take turns, one start at a
time, so that whatever else the machine does falls on all alike. The first round fills
caches and is not counted. "Ready" is the hub's own word for it: its REST API holds the
POST until the server can be used.

CPU seconds are those of the container's processes and of the hub's own up to that moment;
the engine's own work is in none of them.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from statistics import median
from typing import Any

import docker

from bai_spawner.units import MIB
from tests.deployment import REPO, Deployment, Visitor, eventually
from tests.perf.stock import OURS, described, ensure_stock_image
from tests.perf.table import duration, ratio, table

USER = "bench"
PAUSE = 1.0
"""Seconds between the end of one session and the next request: what is left to tidy is done."""
END_SECONDS = 60
NANO = 1e9

Report = Callable[[str], None]
LAUNCH = {
    "environment": "python",
    "preset": "small",
    "mounts": [{"folder": "data", "mode": "rw"}],
}
"""What LAUNCH on the untouched form of the shipped catalogue asks for."""


@dataclass(frozen=True, slots=True)
class Start:
    """One start: moments in seconds after the request, CPU in seconds, memory in bytes."""

    created: float
    started: float
    ready: float
    container_cpu: float
    hub_cpu: float
    memory: int


@dataclass(frozen=True, slots=True)
class Variant:
    """A hub with a user who is logged in, and what that user asks for."""

    letter: str
    title: str
    deployment: Deployment
    visitor: Visitor
    options: dict[str, Any] | None

    def measure(self, server: str) -> Start:
        """Start a server, and end it again.

        Raises:
            RuntimeError: it did not become ready.
        """
        hub_before = self._hub_cpu()
        asked, clock = time.time(), time.perf_counter()
        answer = self.visitor.start(server, self.options)
        if answer.status_code == 202:
            self.visitor.ready(server)
        elif answer.status_code != 201:
            raise RuntimeError(f"{self.title}: {answer.text}\n{self._log_end()}")
        ready = time.perf_counter() - clock
        hub_cpu = self._hub_cpu() - hub_before
        found = self._container()
        start = Start(
            created=_moment(found.attrs["Created"]) - asked,
            started=_moment(found.attrs["State"]["StartedAt"]) - asked,
            ready=ready,
            hub_cpu=hub_cpu,
            **_consumption(found),
        )
        self._end(server)
        return start

    def _container(self) -> Any:
        """The one that runs."""
        found = self.deployment.containers()
        if len(found) != 1:
            raise RuntimeError(f"{self.title}: {len(found)} containers\n{self._log_end()}")
        return found[0]

    def _end(self, server: str) -> None:
        self.visitor.api("DELETE", f"/users/{USER}/servers/{server}").raise_for_status()
        if not eventually(lambda: not self.deployment.containers(), seconds=END_SECONDS):
            raise RuntimeError(f"{self.title}: the session did not end\n{self._log_end()}")
        time.sleep(PAUSE)

    def _hub_cpu(self) -> float:
        """Seconds that the hub's process has computed so far."""
        process = self.deployment.process
        if process is None:
            raise RuntimeError(f"{self.title}: no hub runs")
        # after the name in parentheses, which may hold anything: proc(5), fields 14 and 15
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _log_end(self) -> str:
        return self.deployment.log.read_text(errors="replace")[-4000:]


def _moment(text: str) -> float:
    """Seconds since 1970 of the engine's notation, whose nanoseconds Python does not read."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")


def _consumption(container: Any) -> dict[str, Any]:
    """What the container's processes have used until now."""
    stats = container.client.api.stats(container.id, stream=False, one_shot=True)
    used, detail = stats["memory_stats"]["usage"], stats["memory_stats"].get("stats", {})
    # as `docker stats` has it: without the files that the kernel could drop; cgroup v1, then v2
    files = detail.get("total_inactive_file", detail.get("inactive_file", 0))
    cpu = stats["cpu_stats"]["cpu_usage"]["total_usage"] / NANO
    return {"container_cpu": cpu, "memory": used - files}


def measure_starts(client: docker.DockerClient, starts: int, report: Report) -> None:
    """Compare so many starts of each variant; each round is reported, and the table at the end."""
    stock = ensure_stock_image(client)
    report(f"\nStart\n\nstock: {described(client, stock)}\nours:  {described(client, OURS)}\n")
    with _variants(stock) as variants:
        rounds = [_round(number, variants, report) for number in range(starts + 1)][1:]
        report(_compared(variants, rounds))


@contextmanager
def _variants(stock: str) -> Iterator[tuple[Variant, ...]]:
    """The hubs, up and logged in to; gone afterwards with all that they made."""
    plain = REPO / "tests/perf/plain_hub.py"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))

        def variant(letter: str, title: str, options: Any, **settings: Any) -> Variant:
            deployment = Deployment(folder / letter, **settings)
            stack.callback(deployment.clean)
            deployment.start()
            visitor = stack.enter_context(deployment.login(USER))
            return Variant(letter, title, deployment, visitor, options)

        yield (
            variant("A", "DockerSpawner, stock", None, config=plain, env={"BENCH_IMAGE": stock}),
            variant("B", "DockerSpawner, ours", None, config=plain, env={"BENCH_IMAGE": OURS}),
            variant("C", "BaiSpawner, ours", LAUNCH),
        )


def _round(number: int, variants: tuple[Variant, ...], report: Report) -> dict[str, Start]:
    """One start of each, in turn; the variants' letters lead to them."""
    measured = {one.letter: one.measure(f"start{number}") for one in variants}
    title = f"round {number}:" if number else "warm-up:"
    shown = [f"{letter} {duration(start.ready):>7}" for letter, start in measured.items()]
    report(f"{title:<10} {'   '.join(shown)}")
    return measured


def _compared(variants: tuple[Variant, ...], rounds: list[dict[str, Start]]) -> str:
    head = ["request to ready", "median", "min", "max", "to A", "created", "started"]
    head += ["container CPU", "to A", "hub CPU", "memory"]
    base = [one[variants[0].letter] for one in rounds]
    rows = [_row(one, [r[one.letter] for r in rounds], base) for one in variants]
    return (
        f"\n{table(head, rows)}\n\n"
        f"{len(rounds)} starts each, medians. created, started: when the engine began with the\n"
        f"container, and when its first process ran. A and B have no limits and no folder;\n"
        f"C has the preset {LAUNCH['preset']!r}, limits and a data folder.\n"
    )


def _row(variant: Variant, starts: list[Start], base: list[Start]) -> list[str]:
    def middle(field: str, of: list[Start]) -> float:
        return median(map(attrgetter(field), of))

    ready = [start.ready for start in starts]
    return [
        f"{variant.letter}  {variant.title}",
        duration(median(ready)),
        duration(min(ready)),
        duration(max(ready)),
        ratio(median(ready), middle("ready", base)),
        duration(middle("created", starts)),
        duration(middle("started", starts)),
        duration(middle("container_cpu", starts)),
        ratio(middle("container_cpu", starts), middle("container_cpu", base)),
        duration(middle("hub_cpu", starts)),
        f"{middle('memory', starts) / MIB:.0f} MiB",
    ]
