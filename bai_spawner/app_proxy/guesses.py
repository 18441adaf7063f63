"""How often somebody may say a wrong password: a few times a minute, wherever they sit.

An address counts for itself; of IPv6 the 64 bits that a network hands out, since whoever has
one address there has them all.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network

MOST, SECONDS = 10, 60.0
"""Wrong passwords of one address within so many seconds, before it has to wait."""
MOST_KNOWN = 4096
"""Addresses that are remembered; with more, the one that guessed first is forgotten."""


class Guesses:
    """Wrong passwords of late, by address.

    Args:
        clock: seconds that only go up.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: dict[str, deque[float]] = {}

    def wait(self, peer: str) -> int:
        """For how many seconds an address may not guess; 0: it may."""
        wrong = self._wrong.get(_whence(peer))
        if wrong is None or len(wrong) < MOST:
            return 0
        return max(0, math.ceil(wrong[0] + SECONDS - self._clock()))

    def was_wrong(self, peer: str) -> None:
        """An address said a wrong one."""
        whence = _whence(peer)
        found = self._wrong.pop(whence, None) or deque(maxlen=MOST)
        found.append(self._clock())
        self._wrong[whence] = found  # now the latest
        if len(self._wrong) > MOST_KNOWN:
            del self._wrong[next(iter(self._wrong))]


def _whence(peer: str) -> str:
    """What addresses of one guesser have in common."""
    try:
        found = ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ip_network((found, 64), strict=False))
