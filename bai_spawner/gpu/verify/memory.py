"""Checks of the cap on a device's memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bai_spawner.enforcement import Level
from bai_spawner.gpu.verify.plan import Finding, Plan
from bai_spawner.gpu.verify.readings import Memory, ProbeRefused
from bai_spawner.gpu.verify.session import Session, Variation, beyond
from bai_spawner.units import MIB, format_size

USABLE = 0.9
"""Of the cap that a process can hold at least …"""
CONTEXT = 640 * MIB
"""… or all but this, where that is less: a CUDA context comes out of the share."""


@dataclass(frozen=True, slots=True)
class MemoryCap:
    """A cap in bytes on each device, and the level at which a strategy claims to keep it."""

    session: Session
    cap: int
    level: Level

    @property
    def least(self) -> int:
        """What a process must be able to hold."""
        return max(0, min(int(USABLE * self.cap), self.cap - CONTEXT))

    @property
    def at_most(self) -> str:
        """The cap, in words."""
        return f"at most {format_size(self.cap)}"

    def alone(self, device: int) -> Iterator[Plan]:
        """One process gets what was granted, whatever is claimed, and no more."""
        least = f"at least {format_size(self.least)}"
        yield Plan(
            f"memory granted, device {device}", least, lambda: self._granted(device), *_ALWAYS
        )
        yield Plan(
            f"memory cap, device {device}",
            self.at_most,
            lambda: self._kept(device, Variation()),
            self.level,
            Level.COOPERATIVE,
        )

    def escape(self, name: str, variation: Variation) -> Plan:
        """One process that tries to get more gets no more."""
        return Plan(name, self.at_most, lambda: self._tried(variation), self.level, Level.PROCESS)

    def two(self) -> Plan:
        """Two processes of one session get no more than one."""
        return Plan("memory cap, two processes", self.at_most, self._two, self.level, Level.SESSION)

    def _granted(self, device: int) -> Finding:
        found = self.session.memory(device, beyond(self.cap))
        return found.held >= self.least, _words(found)

    def _kept(self, device: int, variation: Variation) -> Finding:
        found = self.session.memory(device, beyond(self.cap), variation)
        return found.held <= self.cap, _words(found)

    def _tried(self, variation: Variation) -> Finding:
        try:
            return self._kept(0, variation)
        except ProbeRefused as refusal:
            return True, f"no GPU: {refusal}"

    def _two(self) -> Finding:
        first, second = self.session.memory_of_two(0, self.cap)
        words = f"{format_size(first)} and {format_size(second)} at once"
        return first + second <= self.cap, words


_ALWAYS = (Level.SESSION, Level.NONE)
"""A claim of every strategy."""


def _words(found: Memory) -> str:
    end = "then refused" if found.refused else "refused nothing"
    return f"{format_size(found.held)}, {end}"
