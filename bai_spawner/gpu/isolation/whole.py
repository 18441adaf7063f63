"""A GPU for each session: nobody else is on it, so nobody need be held back.

What a deployment has that does not divide its GPUs. A session may have several.
"""

from __future__ import annotations

from bai_spawner.enforcement import Enforcement, Faults, Level
from bai_spawner.gpu.device import Device
from bai_spawner.gpu.isolation.divided import EXCLUSIVE, divided
from bai_spawner.gpu.isolation.passive import Passive
from bai_spawner.gpu.isolation.strategy import NEVER, Fit, Unfit, Units
from bai_spawner.gpu.placement import MOST_DEVICES
from bai_spawner.units import MIB


class Whole(Passive):
    """No sharing."""

    name = "whole"
    summary = "Each session has a whole GPU, or several, and shares it with nobody."
    enforcement = Enforcement(Level.SESSION, Level.SESSION, Faults.ISOLATED)
    attached = True
    verified = NEVER

    def __init__(self, units: Units) -> None:
        self._units = units

    def probe(self, device: Device) -> Fit | Unfit:
        """Any GPU that more than one process of a session may use."""
        if isinstance(fit := divided(device, self._units), Unfit):
            return fit
        if device.exclusive:
            return Unfit(EXCLUSIVE)
        quanta = self._units.per_gpu
        return Fit(quanta, device.memory // MIB, quanta, size=quanta, together=MOST_DEVICES)
