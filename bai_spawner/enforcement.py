"""How firmly a share of a GPU is enforced, and against whom: one vocabulary for every page.

`Level` and `Faults` are ordered: a larger one keeps more. What a strategy reports, what an
administrator requires, what a form, a label and a table of the documentation show are all
one `Enforcement`, written by `str` and read by `Enforcement.parse`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum


class Level(IntEnum):
    """Who cannot get more than was granted."""

    NONE = 0
    """Nobody is held back."""
    COOPERATIVE = 1
    """Whoever does not try to."""
    PROCESS = 2
    """Each process alone: two of one session get twice the share."""
    SESSION = 3
    """All processes of a session together."""


class Faults(IntEnum):
    """What a fatal fault of one session does to the others on the same GPU."""

    SHARED = 0
    """It may break them."""
    PARTIAL = 1
    """It may break those of the same partition."""
    CONTEXTS = 2
    """Their contexts are their own; a fault of the hardware is everybody's."""
    ISOLATED = 3
    """They do not notice."""


@dataclass(frozen=True, slots=True)
class Enforcement:
    """What holds for one share. Without arguments: nothing is promised."""

    memory: Level = Level.NONE
    compute: Level = Level.NONE
    faults: Faults = Faults.SHARED

    def lacks(self, required: Enforcement) -> tuple[str, ...]:
        """What is less than required, in words; empty when all of it is met."""
        pairs = [(f.name, getattr(self, f.name), getattr(required, f.name)) for f in fields(self)]
        return tuple(
            f"{name}: {word(has)} < {word(needs)} required"
            for name, has, needs in pairs
            if has < needs
        )

    def __str__(self) -> str:
        return ", ".join(f"{f.name}: {word(getattr(self, f.name))}" for f in fields(self))

    @classmethod
    def parse(cls, text: str) -> Enforcement:
        """Read what `str` wrote.

        Raises:
            ValueError: it is anything else.
        """
        try:
            found = dict(part.split(": ", 1) for part in text.split(", "))
            read = cls(
                Level[found["memory"].upper()],
                Level[found["compute"].upper()],
                Faults[found["faults"].upper()],
            )
        except (KeyError, ValueError) as error:
            raise ValueError(f"{text[:80]!r} is no enforcement") from error
        if str(read) != text:
            raise ValueError(f"{text[:80]!r} is no enforcement")
        return read


def word(level: Level | Faults) -> str:
    """A level as it is written everywhere."""
    return level.name.lower()
