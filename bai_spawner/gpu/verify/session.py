"""What can be measured of a session, each thing once.

Every method raises `readings.ProbeFailed` when there is no reading. Amounts are bytes, and
fractions of the whole device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bai_spawner.gpu.verify.readings import (
    Busy,
    Devices,
    Memory,
    Namespaces,
    Output,
    ProbeFailed,
    ProbeRefused,
    Rate,
    Sms,
    T,
    read,
)
from bai_spawner.gpu.verify.runner import Ask, Changes, Runner
from bai_spawner.units import GIB

BESIDE_SECONDS = 60.0
"""For which the first of two processes goes on at most, while the second is measured."""
LEAST_BEYOND = 1 * GIB
"""Bytes beyond its cap that a process tries to get at least."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A device without a cap: its SMs, and how fast all of them are together."""

    sms: int
    rate: Rate

    def share(self, fmas: float, clock: float) -> float:
        """Which fraction of the whole device so many FMAs in a second are, at such a clock.

        A busy GPU lowers its clock, so that a fifth of it is faster than a fifth of its speed.
        Where either clock is not known, rates are compared as they are.
        """
        if clock and self.rate.clock:
            return (fmas / clock) / (self.rate.fmas / self.rate.clock)
        return fmas / self.rate.fmas


@dataclass(frozen=True, slots=True)
class Variation:
    """What a user changes: in a process (a notebook), or when launching the session."""

    process: Changes = field(default_factory=dict)
    launch: Changes = field(default_factory=dict)


PLAIN = Variation()


@dataclass(frozen=True, slots=True)
class Session:
    """The session that a runner starts probes in. It asks for nothing twice."""

    runner: Runner
    outputs: dict[str, Output] = field(default_factory=dict)

    def devices(self, variation: Variation = PLAIN) -> Devices:
        """The devices that CUDA gives it."""
        return self._read(Devices, ["sees"], variation)

    def memory(self, device: int, most: int, variation: Variation = PLAIN) -> Memory:
        """What one process can hold."""
        return self._read(Memory, ["memory", str(device), str(most)], variation)

    def sms(self, device: int) -> Sms:
        """The SMs that one process uses."""
        return self._read(Sms, ["sms", str(device)], PLAIN)

    def rate(self, device: int, variation: Variation = PLAIN) -> Rate:
        """What one process computes."""
        return self._read(Rate, ["rate", str(device)], variation)

    def namespaces(self) -> Namespaces:
        """Those of a process."""
        return self._read(Namespaces, ["namespaces"], PLAIN)

    def memory_of_two(self, device: int, cap: int) -> tuple[int, int]:
        """What a process holds that holds all it can, and what a second one can hold beside it."""
        alone = self.memory(device, beyond(cap)).held
        first, second = self.runner.beside(
            Ask(("hold", str(device), str(alone), f"{BESIDE_SECONDS:g}"), seconds=BESIDE_SECONDS),
            Ask(("memory", str(device), str(beyond(cap)))),
        )
        held = read(Memory, first).held
        try:
            return held, read(Memory, second).held
        except ProbeRefused:
            return held, 0

    def rates_of_two(self, device: int) -> tuple[Busy, Rate | None]:
        """What two processes compute at the same time; the second none where it may not."""
        first, second = self.runner.beside(
            Ask(("busy", str(device), f"{BESIDE_SECONDS:g}"), seconds=BESIDE_SECONDS),
            Ask(("rate", str(device))),
        )
        busy = read(Busy, first)
        try:
            return busy, read(Rate, second)
        except ProbeRefused:
            return busy, None

    def _read(self, kind: type[T], what: Sequence[str], variation: Variation) -> T:
        ask = Ask(tuple(what), variation.process, variation.launch)
        if str(ask) not in self.outputs:
            self.outputs[str(ask)] = self.runner.run(ask)
        return read(kind, self.outputs[str(ask)])


def beyond(cap: int) -> int:
    """Bytes to ask for, to see whether a cap holds."""
    return cap + max(cap // 4, LEAST_BEYOND)


def measure_whole(runner: Runner, device: int = 0) -> Whole:
    """Measure a device through a runner that has no cap.

    Raises:
        ProbeFailed: it could not be measured.
    """
    session = Session(runner)
    whole = Whole(session.sms(device).at_once, session.rate(device))
    if not whole.sms or not whole.rate.fmas:
        raise ProbeFailed("the whole device computed nothing; is another process using it?")
    return whole
