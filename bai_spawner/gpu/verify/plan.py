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
    """One line of a table. ``claimed``: it would have to hold, by what the strategy says."""

    name: str
    expected: str
    measured: str
    verdict: Verdict
    claimed: bool = False

    @property
    def untried(self) -> bool:
        """Whether something is claimed of which nothing was seen."""
        return self.claimed and self.verdict is Verdict.SKIPPED


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
        verdict = judged if self._claimed else Verdict.RECORDED
        return Check(self.name, self.expected, measured, verdict, claimed=self._claimed)

    def left_out(self, why: str) -> Check:
        """The check when it is not made."""
        return Check(self.name, self.expected, why, Verdict.SKIPPED, claimed=self._claimed)

    @property
    def _claimed(self) -> bool:
        return self.has >= self.needs


class Unmeasurable(Exception):
    """What a check needs is not there; it says nothing about the session."""
