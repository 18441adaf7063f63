"""Time slices: sessions take turns on the whole GPU, and nothing but courtesy limits them.

What every driver does by itself when several processes use one GPU. The books are kept, so
no more sessions come to a GPU than it has shares; inside, each can fill its memory.
"""

from __future__ import annotations

from bai_spawner.enforcement import Enforcement, Faults, Level
from bai_spawner.gpu.device import Device
from bai_spawner.gpu.isolation.divided import EXCLUSIVE, divided
from bai_spawner.gpu.isolation.strategy import NEVER, Fit, Injection, Started, Unfit, Units
from bai_spawner.labels import GpuCap


class Timeslice:
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

    def inject(self, devices: tuple[str, ...], cap: GpuCap) -> Injection:
        """Nothing."""
        del devices, cap
        return Injection()

    def mismatch(self, session: Started) -> str:
        """Nothing is promised that could be missed."""
        del session
        return ""

    def release(self, session: Started) -> None:
        """Contexts end with their processes."""
