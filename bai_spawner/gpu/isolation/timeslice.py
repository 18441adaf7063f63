"""Time slices: sessions take turns on the whole GPU, and nothing but courtesy limits them.

What every driver does by itself when several processes use one GPU. The books are kept, so
no more sessions come to a GPU than it has shares; inside, each can fill its memory.
"""

from __future__ import annotations

from bai_spawner.enforcement import Enforcement, Faults, Level
from bai_spawner.gpu.device import Device
from bai_spawner.gpu.isolation.divided import EXCLUSIVE, divided
from bai_spawner.gpu.isolation.passive import Passive
from bai_spawner.gpu.isolation.strategy import NEVER, Fit, Unfit, Units


class Timeslice(Passive):
    """Accounting alone."""

    name = "timeslice"
    summary = "Sessions take turns on the whole GPU; memory and compute are not limited."
    enforcement = Enforcement(Level.NONE, Level.NONE, Faults.CONTEXTS)
    attached = True
    verified = NEVER

    def __init__(self, units: Units) -> None:
        self._units = units

    def probe(self, device: Device) -> Fit | Unfit:
        """Any GPU that more than one process may use."""
        if device.exclusive:
            return Unfit(f"{EXCLUSIVE}, or choose isolation mps-v2")
        return divided(device, self._units)
