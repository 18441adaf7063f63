"""What a host's GPUs are offered as: the inventory, seen through the catalogue.

`Fleet.survey` asks anew each time: devices come and go, daemons are started and stopped. A
device that cannot be handed out is offered with the reason and nothing of it, so that it is
seen. Calls block: make them off the loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from bai_spawner import units
from bai_spawner.catalog import Catalog, matches
from bai_spawner.enforcement import Enforcement
from bai_spawner.gpu.device import Device, Inventory
from bai_spawner.gpu.host import Host, toolkit
from bai_spawner.gpu.inventory import Nvml
from bai_spawner.gpu.isolation import Choice, Strategy, Units, choose
from bai_spawner.gpu.isolation.memcap import Memcap
from bai_spawner.gpu.isolation.mig import Mig
from bai_spawner.gpu.isolation.mps_v2 import MpsV2
from bai_spawner.gpu.isolation.simulated import Simulated, inventory
from bai_spawner.gpu.isolation.timeslice import Timeslice
from bai_spawner.gpu.isolation.whole import Whole
from bai_spawner.gpu.placement import Terms

AT_ONCE = 64
"""Devices that are probed at once: as many as a host may have."""
DRAINED = "an administrator has closed it; what runs on it goes on"


@dataclass(frozen=True, slots=True)
class Offered:
    """One device as it is handed out: ``total`` quanta on these terms, in these groups."""

    device: Device
    choice: Choice
    total: int
    terms: Terms
    groups: frozenset[str]


@dataclass(frozen=True, slots=True)
class Survey:
    """All that was found."""

    inventory: Inventory = field(default_factory=Inventory)
    offers: tuple[Offered, ...] = ()


class Fleet:
    """The GPUs of one host.

    Args:
        catalog: how they are counted, isolated and grouped.
        nvml: of that host.
    """

    def __init__(self, catalog: Catalog, nvml: Nvml) -> None:
        self._catalog, self._nvml = catalog, nvml
        self._inventory = Inventory()
        self._cgroup = ""
        self._host: Host | None = None
        self.strategies = self._strategies()

    def _strategies(self) -> Mapping[str, Strategy]:
        gpu = self._catalog.gpu
        divided = Units(gpu.quanta_per_gpu, gpu.reserve)
        worth = {key: units.to_quanta(fgpu, gpu.quantum) for key, fgpu in gpu.mig.items()}
        made: tuple[Strategy, ...] = (
            Whole(divided),
            Mig(divided, worth),
            Memcap(divided, self._nvml, self.host),
            MpsV2(divided, gpu.mps_directory, self.host, self._nvml.read),
            Timeslice(divided),
            Simulated(divided),
        )
        return {strategy.name: strategy for strategy in made}

    def host(self) -> Host:
        """What the host can do, as of the last survey; found out at first need."""
        if self._host is None:
            self._host = Host(
                driver=self._inventory.driver,
                memory_limits=self._inventory.memory_limits,
                cgroup=self._cgroup,
                toolkit=toolkit(),
            )
        return self._host

    def survey(self, cgroup: str) -> Survey:
        """Look at everything.

        Args:
            cgroup: version of the engine's control groups.
        """
        declared = self._catalog.gpu.simulated
        self._inventory = inventory(declared) if declared else self._nvml.read()
        self._cgroup, self._host = cgroup, None
        devices = self._inventory.devices
        if not devices or declared:
            return Survey(self._inventory, tuple(map(self._offer, devices)))
        self.host()  # once, and not by each
        # a daemon that hangs keeps its own device waiting, and no other
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="probe") as pool:
            return Survey(self._inventory, tuple(pool.map(self._offer, devices)))

    def _offer(self, device: Device) -> Offered:
        gpu = self._catalog.gpu
        required = gpu.require_enforcement.enforcement
        choice = choose(
            device, gpu.isolation, required, self.strategies, per_gpu=gpu.quanta_per_gpu
        )
        strategy, fit = choice.strategy, choice.fit
        names = (device.uuid, device.parent, device.model, device.title)
        terms = Terms(
            title=device.title,
            kind=f"{device.model}, {device.memory}, {strategy.name if strategy else ''}",
            isolation=strategy.name if strategy else "",
            enforcement=strategy.enforcement if strategy else Enforcement(),
            verified=strategy.verified if strategy else "",
            usable=fit.usable if fit else 0,
            whole=fit.whole if fit else 0,
            size=fit.size if fit else None,
            together=fit.together if fit else 1,
            note=choice.reason or (DRAINED if matches(gpu.drain, names) else ""),
        )
        groups = self._catalog.resource_groups.items()
        return Offered(
            device=device,
            choice=choice,
            total=fit.total if fit else 0,
            terms=terms,
            groups=frozenset(key for key, group in groups if group.owns(*names)),
        )
