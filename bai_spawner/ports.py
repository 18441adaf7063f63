"""Which port of the host leads to the SSH server of which session.

A port is drawn before a container is made, and written on it as a label. It is free again
once the ledger holds nothing of its session any more, so there is no second book to keep,
and no port can leak. What the engine finds taken by another program is left alone for a while.

Ports are drawn at random: a client that remembers the host key of an ended session would
otherwise meet another one at the same address at once.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Container
from dataclasses import dataclass

from bai_spawner.errors import CatalogError

AVOID_SECONDS = 600.0
"""How long a port that another program had is not tried again."""
FIRST, LAST = 1024, 65535
"""Ports that may be handed out: lower ones belong to the system."""

_RANGE = re.compile(r"([0-9]{1,5})-([0-9]{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the host listens for a session's SSH, and the name that users reach it by.

    ``host`` is empty where it is the one of the hub's own pages.
    """

    address: str
    port: int
    host: str = ""


def parse_range(text: str, setting: str = "BaiRuntime.ssh_ports") -> range:
    """``"31001-32000"``, both ends included; empty for an empty text.

    Args:
        text: that.
        setting: what it is the value of.

    Raises:
        CatalogError: it is anything else, with what is accepted.
    """
    if not text:
        return range(0)
    match = _RANGE.fullmatch(text)
    low, high = (int(match[1]), int(match[2])) if match else (0, 0)
    if not FIRST <= low <= high <= LAST:
        raise CatalogError(
            f"{setting}: {text!r} is not accepted; write the first and the last port, "
            f"such as '31001-32000', between {FIRST} and {LAST}, or '' for none"
        )
    return range(low, high + 1)


class Ports:
    """The ports of one host.

    Args:
        ports: those that may be handed out.
    """

    def __init__(self, ports: range) -> None:
        self._ports = ports
        self._held: dict[str, int] = {}
        self._avoided: dict[int, float] = {}

    def restore(self, allocation: str, port: int) -> None:
        """Enter what a container's label says; 0 is none."""
        if port:
            self._held[allocation] = port

    def of(self, allocation: str, live: Container[str]) -> int | None:
        """The port of an allocation, drawn at the first call; ``None`` when none is free.

        ``live`` are the allocations that hold something now.
        """
        self._held = {held: port for held, port in self._held.items() if held in live}
        if allocation not in self._held:
            now = time.monotonic()
            self._avoided = {port: end for port, end in self._avoided.items() if end > now}
            taken = {*self._held.values(), *self._avoided}
            free = [port for port in self._ports if port not in taken]
            if not free:
                return None
            self._held[allocation] = secrets.choice(free)
        return self._held[allocation]

    def taken(self, allocation: str) -> None:
        """Another program has the port of an allocation: the next call draws another one."""
        port = self._held.pop(allocation, None)
        if port:
            self._avoided[port] = time.monotonic() + AVOID_SECONDS
