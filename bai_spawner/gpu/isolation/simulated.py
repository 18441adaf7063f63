"""Devices that are not there: form, books and pages can be tried, nothing computes."""

from __future__ import annotations

from collections.abc import Sequence

from bai_spawner.catalog import Simulated as Declared
from bai_spawner.enforcement import Enforcement
from bai_spawner.gpu.device import Device, Inventory, Kind
from bai_spawner.gpu.isolation.divided import divided
from bai_spawner.gpu.isolation.passive import Passive
from bai_spawner.gpu.isolation.strategy import NEVER, Fit, Unfit, Units


class Simulated(Passive):
    """Gives a session no device, whatever it holds."""

    name = "simulated"
    summary = "SIMULATED: sessions get no GPU at all."
    enforcement = Enforcement()
    attached = False
    verified = NEVER

    def __init__(self, units: Units) -> None:
        self._units = units

    def probe(self, device: Device) -> Fit | Unfit:
        """Those that are not there, and no other."""
        if device.kind is not Kind.SIMULATED:
            return Unfit("it is a real one")
        return divided(device, self._units)


def inventory(declared: Sequence[Declared]) -> Inventory:
    """The devices that the catalogue declares."""
    kinds = [kind for kind in declared for _ in range(kind.count)]
    return Inventory(
        devices=tuple(
            Device(f"SIMULATED-{index}", index, kind.model, kind.memory, kind=Kind.SIMULATED)
            for index, kind in enumerate(kinds)
        )
    )
