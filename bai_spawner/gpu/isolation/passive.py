"""What strategies share that have nothing to do for a session: the driver does it, or nobody."""

from __future__ import annotations

from bai_spawner.gpu.isolation.strategy import Injection, Started
from bai_spawner.labels import GpuCap


class Passive:
    """Puts nothing into a container, and promises nothing that could be read back.

    That a session has its own devices, and no others, is seen for every strategy alike.
    """

    def inject(self, devices: tuple[str, ...], cap: GpuCap) -> Injection:
        """Nothing."""
        del devices, cap
        return Injection()

    def mismatch(self, session: Started) -> str:
        """Nothing."""
        del session
        return ""

    def release(self, session: Started) -> None:
        """Nothing: what a session had on a device ends with its processes."""
