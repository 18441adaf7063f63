"""What a share of a GPU comes to: memory in MiB, and a percentage of its multiprocessors.

For ``part`` of ``whole`` units both are rounded down, so that ``whole`` shares together are
never more than there is. Memory that the driver and the MPS server need for themselves is
kept back from the device first, or the last share would find it gone.
"""

from __future__ import annotations

from bai_spawner.units import MIB


def usable_mib(memory: int, reserve: int) -> int:
    """MiB of a device that are divided, of its bytes and those that are kept back."""
    return max(0, memory // MIB - -(-reserve // MIB))


def memory_mib(usable: int, part: int, whole: int) -> int:
    """MiB of one share."""
    return usable * part // whole


def sm_percent(part: int, whole: int) -> int:
    """Percent of the streaming multiprocessors of one share."""
    return 100 * part // whole
