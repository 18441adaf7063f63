"""What JupyterHub's ``/hub/metrics`` says of sessions, for Prometheus.

Names follow Prometheus' own conventions: base units, ``_total`` for counters. No label
holds a user's name: users come and go, and a label's values must stay few.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import REGISTRY, Collector, CollectorRegistry

from bai_spawner.errors import Reason
from bai_spawner.gpu.device import DeviceUse
from bai_spawner.history import History
from bai_spawner.ledger import Allocation, Ledger
from bai_spawner.lifecycle import Lifecycle
from bai_spawner.reasons import LIVE, Status

SECONDS = (0.5, 1, 1.5, 2, 3, 5, 8, 13, 20, 30, 60, 120, 300)
"""Bounds of the histogram: a start takes about one second, one that fetches an image minutes."""


class Starts:
    """Counts starts, refused ones too, since the hub started.

    Args:
        registry: where the metrics are shown.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._starts = Counter(
            "bai_session_starts",
            "Starts of sessions by result (started, refused, failed, cancelled) and reason",
            ["result", "reason"],
            registry=registry,
        )
        self._seconds = Histogram(
            "bai_session_start_seconds",
            "Seconds from an admitted request until the session answered",
            buckets=SECONDS,
            registry=registry,
        )
        # from the first scrape on, so that an increase from nothing is seen
        self._starts.labels("started", "")
        self._starts.labels("cancelled", Reason.CANCELLED)
        for result in ("refused", "failed"):
            for reason in Reason:
                self._starts.labels(result, reason)

    def started(self, seconds: float) -> None:
        """A session answered after so many seconds."""
        self._starts.labels("started", "").inc()
        self._seconds.observe(seconds)

    def not_started(self, result: str, reason: str) -> None:
        """A start was refused, failed or cancelled."""
        self._starts.labels(result, reason).inc()


class Books(Collector):
    """Reads the ledger whenever somebody asks: nothing is counted twice, nothing drifts.

    Args:
        ledger: the books, or ``None`` while the engine could not be asked yet.
        lifecycle: knows what each session is doing.
        history: knows what could not be recorded.
        groups: the names of the resource groups.
        devices: what each GPU did when it was looked at last.
    """

    def __init__(
        self,
        ledger: Callable[[], Ledger | None],
        lifecycle: Lifecycle,
        history: History,
        groups: Iterable[str],
        devices: Callable[[], Mapping[str, DeviceUse]] = dict,
    ) -> None:
        self._ledger, self._lifecycle, self._history = ledger, lifecycle, history
        self._devices = devices
        self._groups = tuple(groups)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """What is live, what there is and what is held."""
        unwritten = GaugeMetricFamily(
            "bai_records_unwritten", "Notes that the database of records has not taken yet"
        )
        unwritten.add_metric([], self._history.unwritten)
        yield unwritten
        if (ledger := self._ledger()) is not None:
            yield self._sessions(ledger)
            yield from self._nodes(ledger)
            yield from self._gpus(ledger)

    def _sessions(self, ledger: Ledger) -> GaugeMetricFamily:
        live = Tally((self._status(ledger, a).value, a.group) for a in ledger)
        groups = {*self._groups, *(group for _, group in live)}
        found = GaugeMetricFamily(
            "bai_sessions", "Live sessions by status and resource group", labels=["status", "group"]
        )
        for status in sorted(LIVE):
            for group in sorted(groups):
                found.add_metric([status.value, group], live[status.value, group])
        return found

    def _status(self, ledger: Ledger, allocation: Allocation) -> Status:
        """What a session is doing; one without a container waits for its start."""
        found = self._lifecycle.status(allocation.key)
        waits = found is Status.RUNNING and not ledger.is_confirmed(allocation.id)
        return Status.PENDING if waits else found

    def _gpus(self, ledger: Ledger) -> Iterator[GaugeMetricFamily]:
        """What one request can still be given, whose device is lost, and what devices do."""
        largest = GaugeMetricFamily(
            "bai_fgpu_largest_free",
            "The most that one session can be given, in quanta",
            labels=["node"],
        )
        for free in ledger.free(ledger.capacity):
            largest.add_metric([free.node], free.quanta)
        yield largest
        lost = GaugeMetricFamily(
            "bai_sessions_gpu_lost", "Live sessions whose GPU is not there any more"
        )
        lost.add_metric([], len(ledger.lost()))
        yield lost
        labelled = ["node", "device"]
        memory = GaugeMetricFamily(
            "bai_gpu_memory_used_bytes", "Memory of a GPU in use, whoever uses it", labels=labelled
        )
        busy = GaugeMetricFamily(
            "bai_gpu_utilisation_ratio",
            "Part of the time in which a GPU ran anything",
            labels=labelled,
        )
        uses = self._devices()
        for node, capacity in ledger.capacity.items():
            for device in capacity.devices.keys() & uses.keys():
                use = uses[device]
                memory.add_metric([node, device], use.memory)
                if use.utilisation is not None:
                    busy.add_metric([node, device], use.utilisation / 100)
        yield memory
        yield busy

    def _nodes(self, ledger: Ledger) -> Iterator[GaugeMetricFamily]:
        labelled = ["node", "resource"]
        has = GaugeMetricFamily(
            "bai_node_capacity",
            "What a node may be asked for: cpu in cores, memory in bytes, fgpu in quanta",
            labels=labelled,
        )
        held = GaugeMetricFamily(
            "bai_node_allocated", "What this hub's sessions hold of it", labels=labelled
        )
        left = GaugeMetricFamily(
            "bai_node_free",
            "What could still be granted, other hubs' sessions on the same engine counted in",
            labels=labelled,
        )
        for free in ledger.free(ledger.capacity):
            capacity, mine = ledger.capacity[free.node], ledger.held(free.node)
            total = sum(slot.total for slot in capacity.devices.values())
            quanta = total, sum(device.free for device in free.devices)
            for resource, amounts in (
                ("cpu", (capacity.cpu, mine.cpu, free.cpu)),
                ("memory", (capacity.memory, mine.memory, free.memory)),
                ("fgpu", (quanta[0], mine.quanta, quanta[1])),
            ):
                for family, amount in zip((has, held, left), amounts, strict=True):
                    family.add_metric([free.node, resource], amount)
        yield has
        yield held
        yield left
