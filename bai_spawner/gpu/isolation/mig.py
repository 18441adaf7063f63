"""MIG: the GPU itself is divided, by its administrator; a session gets one part of it whole.

The only strategy that also divides the memory's bandwidth, and in which a fault of one
session is no other's. Its sizes are NVIDIA's profiles. A part counts as the fGPU that the
catalogue gives its profile, else as its slices of all that the GPU has where that is exact:
seven of most, four of some.

Source: NVIDIA Multi-Instance GPU User Guide, "Supported MIG Profiles".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from bai_spawner.catalog import MIG_PROFILE
from bai_spawner.enforcement import Enforcement, Faults, Level
from bai_spawner.gpu.device import Device, Kind
from bai_spawner.gpu.isolation.divided import EXCLUSIVE
from bai_spawner.gpu.isolation.passive import Passive
from bai_spawner.gpu.isolation.strategy import NEVER, Fit, Unfit, Units
from bai_spawner.units import MIB

INSTANCE = re.compile(r"[0-9]+c\.", re.ASCII)
"""What a profile begins with of which a GPU instance may hold several, as in ``1c.2g.20gb``."""


class Mig(Passive):
    """A MIG device for each session.

    Args:
        units: how GPUs are counted.
        worth: quanta that a device of a profile is, where the catalogue says so.
    """

    name = "mig"
    summary = "Each session has a partition of the hardware, with memory and compute of its own."
    enforcement = Enforcement(Level.SESSION, Level.SESSION, Faults.ISOLATED)
    attached = True
    verified = NEVER

    def __init__(self, units: Units, worth: Mapping[str, int]) -> None:
        self._units, self._worth = units, worth

    def probe(self, device: Device) -> Fit | Unfit:
        """A MIG device whose profile is a whole number of quanta."""
        if device.kind is not Kind.MIG:
            where = "it is in MIG mode and has no MIG devices" if device.mig_mode else "MIG is off"
            return Unfit(f"{where}: bai-spawner gpu setup mig, where a GPU can do it")
        if INSTANCE.match(device.profile):
            return Unfit(
                f"{device.profile} is a compute instance, which shares its memory with others:"
                " lay out GPU instances with one compute instance each"
            )
        if device.exclusive:
            return Unfit(EXCLUSIVE)
        quanta = self._worth.get(device.profile) or self._by_slices(device)
        if not quanta:
            return Unfit(
                f"a {device.profile or 'part'} is no whole number of steps:"
                f" say in the catalogue what it counts as, under gpu.mig.{device.profile}"
            )
        # a program can use one MIG device only, so one is all that a session gets
        return Fit(quanta, device.memory // MIB, quanta, size=quanta)

    def _by_slices(self, device: Device) -> int:
        match = MIG_PROFILE.fullmatch(device.profile)
        if not match or not device.slices:
            return 0
        quanta, rest = divmod(int(match[1]) * self._units.per_gpu, device.slices)
        return 0 if rest else quanta
