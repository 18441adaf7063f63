"""Checks of the share of a device's compute."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from bai_spawner.enforcement import Level
from bai_spawner.gpu.verify.plan import Finding, Plan, Unmeasurable
from bai_spawner.gpu.verify.readings import ProbeRefused
from bai_spawner.gpu.verify.session import Session, Variation, Whole

TOLERANCE = 0.1
"""Of the share: how far a measurement may be from it."""
GRAIN = 2
"""SMs are handed out in pairs (a TPC): what a small share may be off by."""


@dataclass(frozen=True, slots=True)
class ComputeCap:
    """A share (0 to 1) of each device's SMs, and the level at which a strategy claims to keep it.

    ``whole`` is a device without a cap; without it, nothing can be said.
    """

    session: Session
    share: float
    level: Level
    whole: Whole | None

    @property
    def at_most(self) -> str:
        """The share, in words."""
        return f"at most {self.share:.0%} of the whole"

    def alone(self, device: int) -> Iterator[Plan]:
        """One process gets what was granted, and no more."""
        for name, measure in (("SMs", self._sms), ("FMA rate", self._rate)):
            yield Plan(
                f"{name}, device {device}",
                f"{self.share:.0%} of the whole",
                partial(measure, device),
                self.level,
                Level.COOPERATIVE,
            )

    def escape(self, name: str, variation: Variation) -> Plan:
        """One process that tries to get more gets no more."""
        return Plan(name, self.at_most, lambda: self._tried(variation), self.level, Level.PROCESS)

    def two(self) -> Plan:
        """Two processes of one session get no more than one."""
        return Plan("FMA rate, two processes", self.at_most, self._two, self.level, Level.SESSION)

    def _sms(self, device: int) -> Finding:
        whole, found = self._whole(), self.session.sms(device)
        words = f"{found.at_once} of {whole.sms} (told {found.told}, ever {found.ever})"
        return self._is_share(found.at_once / whole.sms), words

    def _rate(self, device: int) -> Finding:
        whole, found = self._whole(), self.session.rate(device)
        part = whole.share(found.fmas, found.clock)
        return self._is_share(part), _words(part, found.fmas, found.clock)

    def _tried(self, variation: Variation) -> Finding:
        whole = self._whole()
        try:
            found = self.session.rate(0, variation)
        except ProbeRefused as refusal:
            return True, f"no GPU: {refusal}"
        part = whole.share(found.fmas, found.clock)
        return self._is_at_most(part), _words(part, found.fmas, found.clock)

    def _two(self) -> Finding:
        whole = self._whole()
        busy, beside = self.session.rates_of_two(0)
        if beside is None:
            return True, "the second got no GPU"
        first = whole.share(busy.during(beside), busy.clock)
        second = whole.share(beside.fmas, beside.clock)
        return self._is_at_most(first + second), f"{first:.1%} and {second:.1%} at once"

    def _whole(self) -> Whole:
        if self.whole is None:
            raise Unmeasurable("the device without a cap was not measured")
        return self.whole

    def _slack(self) -> float:
        return max(TOLERANCE * self.share, GRAIN / self._whole().sms)

    def _is_at_most(self, part: float) -> bool:
        return part <= self.share + self._slack()

    def _is_share(self, part: float) -> bool:
        return abs(part - self.share) <= self._slack()


def _words(part: float, fmas: float, clock: float) -> str:
    return f"{part:.1%}: {fmas / 1e12:.2f} TFMA/s at {clock / 1e6:.0f} MHz"
