"""A check before and after it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from bai_spawner.enforcement import Level
from bai_spawner.gpu.verify.readings import ProbeFailed


class Verdict(StrEnum):
    """What a check came to."""

    HOLDS = "holds"
    FAILS = "FAILS"
    RECORDED = "recorded"
    """Nothing is claimed here; the measurement is for who reads it."""
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a table."""

    name: str
    expected: str
    measured: str
    verdict: Verdict


Finding = tuple[bool, str]
"""Whether what was expected holds, and what was measured."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A check to be made: it has to hold when the level ``has`` is ``needs`` or more."""

    name: str
    expected: str
    measure: Callable[[], Finding]
    has: Level
    needs: Level

    def carry_out(self) -> Check:
        """Measure and judge. What cannot be measured does not hold."""
        try:
            holds, measured = self.measure()
        except Unmeasurable as error:
            return self.left_out(str(error))
        except ProbeFailed as error:
            holds, measured = False, f"not measured: {error}"
        judged = Verdict.HOLDS if holds else Verdict.FAILS
        verdict = Verdict.RECORDED if self.has < self.needs else judged
        return Check(self.name, self.expected, measured, verdict)

    def left_out(self, why: str) -> Check:
        """The check when it is not made."""
        return Check(self.name, self.expected, why, Verdict.SKIPPED)


class Unmeasurable(Exception):
    """What a check needs is not there; it says nothing about the session."""
