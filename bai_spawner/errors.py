"""Everything that can go wrong, as types.

    BaiError
    ├── CatalogError        the administrator's file is wrong; the hub does not start
    ├── LabelError          a container's labels are not ours, or not readable
    ├── Refused             a launch is not allowed; nothing was started
    ├── FolderError         a data folder is not what it was, or cannot be made
    └── EngineError         the Docker engine did not do what was asked
        ├── EngineAway      it did not answer: what runs is unknown, not stopped
        ├── ImageMissing    there is no such image and it may not be pulled
        ├── NameTaken       a container that is not ours holds the name
        ├── PortTaken       another program has a port of the host that it was to have
        └── StartFailed     the container was made and did not become a session

A message is for the person who must act on it: what was got, what is
accepted, what to do. It never holds a token or the value of a user's variable.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

SHOWN_LENGTH = 80
"""Characters of a user's input that a message repeats."""
SHOWN_NUMBER = 10**20
"""Larger whole numbers are not repeated."""


class Reason(StrEnum):
    """Why a launch was refused or failed.

    A small, fixed set: JupyterHub makes it a label of its Prometheus metrics.
    """

    INVALID = "invalid-options"
    POLICY = "policy"
    CAPACITY = "capacity"
    RECORDS = "records"
    IMAGE = "image-missing"
    ENGINE = "engine"
    START = "failed-to-start"
    TIMEOUT = "start-timeout"
    CANCELLED = "cancelled"


def shown(value: object) -> str:
    """A user's value as a message may repeat it: one line, bounded, visibly quoted.

    Lists and objects are called so and not repeated: they may be deep, huge, or hold
    the value of a variable.
    """
    if not isinstance(value, str):
        return kind(value)
    text = "".join(
        c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in repr(value[:SHOWN_LENGTH])
    )
    return text if len(value) <= SHOWN_LENGTH else f"{text[:-1]}…"


def kind(value: object) -> str:
    """What a JSON value is, without any text of it."""
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    if isinstance(value, int):
        return str(value) if abs(value) < SHOWN_NUMBER else "a huge number"
    if isinstance(value, float):
        return repr(value)
    names: dict[type, str] = {str: "text", list: "a list", dict: "an object"}
    return names.get(type(value), "something else")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a request: the path of the key it belongs to, and what to do."""

    path: str
    message: str
    reason: Reason = Reason.INVALID

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


@dataclass(slots=True)
class Problems:
    """Collects every problem of one request, so that all are reported at once."""

    found: list[Problem] = field(default_factory=list)

    def add(self, path: str, message: str, reason: Reason = Reason.INVALID) -> None:
        """Note that the value at ``path`` is wrong."""
        self.found.append(Problem(path, message, reason))

    def at(self, path: str) -> bool:
        """Whether the value at ``path``, or one inside it, is known to be wrong."""
        return any(
            p.path == path or p.path.startswith((f"{path}.", f"{path}[")) for p in self.found
        )

    def raise_any(self) -> None:
        """Raise `Refused` when there is a problem."""
        if self.found:
            raise Refused(tuple(self.found))

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.found)


class BaiError(Exception):
    """The root: whatever this package raises on purpose."""


class CatalogError(BaiError):
    """The catalogue cannot be used. The message has one line per bad key."""


class LabelError(BaiError):
    """A container's labels do not say what a session's labels must say."""


class Refused(BaiError):
    """A launch is refused, with every reason. Nothing was reserved or started."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(p) for p in problems))
        self.problems = problems

    @property
    def reason(self) -> Reason:
        """The reason a counter should count: bad input first, then policy, then room."""
        order = list(Reason)
        return min((p.reason for p in self.problems), key=order.index, default=Reason.INVALID)


class FolderError(BaiError):
    """A folder is not what it was, or cannot be made. The message names it."""


class EngineError(BaiError):
    """The engine answered, and not with what was asked for."""

    reason = Reason.ENGINE


class EngineAway(EngineError):
    """The engine did not answer. Nothing may be concluded about what runs."""


class ImageMissing(EngineError):
    """The image is not on the engine and may not, or could not, be pulled."""

    reason = Reason.IMAGE


class NameTaken(EngineError):
    """A container without our labels holds the name. It is never removed or adopted."""


class PortTaken(EngineError):
    """A port of the host is another program's. The container is made, and does not run."""


class StartFailed(EngineError):
    """The container did not become a session; ``log`` is the end of what it printed."""

    reason = Reason.START

    def __init__(self, message: str, *, log: str = "", reason: Reason = Reason.START) -> None:
        super().__init__(message)
        self.log = log
        self.reason = reason
