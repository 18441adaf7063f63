"""What a session is doing, and why it ended: one table for records, pages and metrics.

The statuses and the tabs that show them are rule R20 of the product, the endings rule
R26. An ending belongs to exactly one status, a status to exactly one tab.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from enum import Enum, StrEnum

from bai_spawner.errors import Reason
from bai_spawner.units import format_size

SIGNALLED = 128
"""A shell's and tini's exit code for a signal is this plus the signal's number."""
MOST_DETAIL = 500
"""Characters of an ending's detail that are kept."""


class Tab(StrEnum):
    """Where a page shows a session."""

    RUNNING = "running"
    FINISHED = "finished"
    OTHERS = "others"


class Status(StrEnum):
    """What a session is doing, in the order in which one comes after the other."""

    PENDING = "pending"
    PREPARING = "preparing"
    RUNNING = "running"
    TERMINATING = "terminating"
    TERMINATED = "terminated"
    CANCELLED = "cancelled"
    ERROR = "error"

    @property
    def tab(self) -> Tab:
        """Where it is shown."""
        if self.is_live:
            return Tab.RUNNING
        return Tab.OTHERS if self is Status.ERROR else Tab.FINISHED

    @property
    def is_live(self) -> bool:
        """Whether the session has not ended."""
        return self in LIVE

    @property
    def rank(self) -> int:
        """A session never goes to a status of lower rank."""
        return list(Status).index(self)


LIVE = frozenset({Status.PENDING, Status.PREPARING, Status.RUNNING, Status.TERMINATING})


class Ending(Enum):
    """Why a session ended: the name that is kept, its status, and words a user can act on."""

    USER = ("user", Status.TERMINATED, "ended on request")
    IDLE = ("idle", Status.TERMINATED, "ended because nothing ran in it for too long")
    LIFETIME = ("lifetime", Status.TERMINATED, "ended because its time was over")
    EXITED = ("exited", Status.TERMINATED, "ended by itself")
    CANCELLED = ("cancelled", Status.CANCELLED, "cancelled before it ran")
    MEMORY = (
        "out-of-memory",
        Status.ERROR,
        "killed because it needed more memory than it was granted; launch it with more",
    )
    SHM = (
        "shared-memory-full",
        Status.ERROR,
        "killed because its shared memory was full; launch it with more",
    )
    START = ("failed-to-start", Status.ERROR, "failed to start")
    IMAGE = ("image-missing", Status.ERROR, "its image is not on the engine; tell an administrator")
    ENGINE = ("engine", Status.ERROR, "the container engine failed; launch it again")
    HUB_DOWN = ("hub-down", Status.ERROR, "died while the hub was down; launch it again")
    REMOVED = ("removed", Status.ERROR, "ended by an operator of the server")
    STRANGER = ("no-server", Status.ERROR, "ended because the hub had no server for it any more")

    def __init__(self, name: str, status: Status, words: str) -> None:
        self.key = name
        self.status = status
        self.words = words

    @classmethod
    def of(cls, key: str) -> Ending:
        """The ending that is kept under this name.

        Raises:
            KeyError: there is none.
        """
        return _BY_KEY[key]


_BY_KEY = {ending.key: ending for ending in Ending}


@dataclass(frozen=True, slots=True)
class End:
    """How one session ended. ``detail`` has the numbers; ``exit_code`` is its process's."""

    ending: Ending
    detail: str = ""
    exit_code: int | None = None

    @property
    def words(self) -> str:
        """Why, in one line."""
        return f"{self.ending.words} ({self.detail})" if self.detail else self.ending.words


@dataclass(frozen=True, slots=True)
class Death:
    """What an engine says of a container that ended by itself.

    ``memory`` and ``shm`` are its limits in bytes. ``from_outside``: somebody told the
    engine to end it. ``oom_killed`` may also be left from a kernel that was killed before.
    """

    exit_code: int
    oom_killed: bool
    memory: int
    shm: int
    from_outside: bool = False


def of_death(death: Death) -> End:
    """Why a container ended that the hub did not end.

    The kernel ends who is over the memory limit with SIGKILL, and who writes to a full
    tmpfs through a mapping with SIGBUS: mmap(2), and cgroups' memory.oom.group.
    """
    code = death.exit_code
    if death.from_outside:
        return End(Ending.REMOVED, _code(code), code)
    if death.oom_killed and code == SIGNALLED + signal.SIGKILL:
        return End(Ending.MEMORY, f"{format_size(death.memory)} granted", code)
    if code == SIGNALLED + signal.SIGBUS:
        return End(Ending.SHM, f"{format_size(death.shm)} granted", code)
    return End(Ending.EXITED, _code(code), code)


def _code(code: int) -> str:
    """An exit code, with its signal's name where it stands for one."""
    try:
        return f"exit code {code}, {signal.Signals(code - SIGNALLED).name}"
    except ValueError:
        return f"exit code {code}"


_FAILURES = {Reason.IMAGE: Ending.IMAGE, Reason.ENGINE: Ending.ENGINE}


def of_failure(reason: Reason, message: str) -> End:
    """How a start is recorded that failed for this reason, with what was said of it."""
    words = " ".join(message.split())[:MOST_DETAIL]
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in words)
    return End(_FAILURES.get(reason, Ending.START), shown)
