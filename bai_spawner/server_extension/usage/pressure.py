"""When to say that memory runs out: once it is short, until it clearly is not.

Short is 90 % of what was granted, and it stays so until less than 85 % is in use: a session
that goes back and forth around one number is not warned again and again.

What counts is memory that Linux cannot take back. The number that is shown, usage less
``inactive_file``, still holds pages of files that were read more than once: nothing is killed
before they are given up, so they are no reason to warn.
"""

from dataclasses import dataclass

from bai_spawner.server_extension.deaths import size
from bai_spawner.server_extension.usage.largest import Process

ABOVE = 0.90
BELOW = 0.85


@dataclass(slots=True)
class Pressure:
    """Whether memory is short."""

    short: bool = False

    def look(self, held: int, limit: int) -> bool:
        """Take in how many bytes cannot be taken back. Whether it is short, and was not before."""
        share = held / limit
        before, self.short = self.short, share >= ABOVE or (self.short and share >= BELOW)
        return self.short and not before


def words(used: int, limit: int, largest: Process | None) -> str:
    """What to tell the user.

    Args:
        used: bytes, as they are shown.
        limit: bytes that were granted.
        largest: the process with the most memory, where that is known.
    """
    percent = min(100, 100 * used // limit)
    most = "."
    if largest:
        holds = f"(pid {largest.pid}, {size(largest.memory)})"
        most = f"; the largest process is {largest.name} {holds}."
    return (
        f"{percent} % of this session's memory of {size(limit)} is used{most}"
        " When it is all used, Linux ends a process without a word."
    )
