"""The values that go into the records and come out of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from bai_spawner.labels import GpuCap, Share
from bai_spawner.reasons import End, Status


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a session when it is admitted, and never changes.

    ``id`` is its allocation's. ``cpu`` is in cores, ``memory`` and ``shm`` in bytes,
    ``quanta`` in quanta of GPU of which a whole device has ``per_gpu``; ``gpu`` is what it
    gets of each of its ``devices``. ``variables`` are the names of those that the user set:
    no value of one is here.
    """

    id: str
    hub: str
    user: str
    server: str
    name: str
    environment: str
    version: str
    group: str
    node: str
    policy: str
    cpu: int
    memory: int
    shm: int
    quanta: int = 0
    per_gpu: int = 0
    folders: tuple[str, ...] = ()
    gpu: GpuCap | None = None
    devices: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()

    def part(self, per_gpu: int) -> int:
        """Quanta of each of its devices, of which a whole one has ``per_gpu`` now."""
        return part(self.quanta, self.per_gpu, len(self.devices), per_gpu=per_gpu)

    def holds(self, per_gpu: int) -> int:
        """Quanta of all its devices, of which a whole one has ``per_gpu`` now."""
        return self.part(per_gpu) * (len(self.devices) or 1)


def part(quanta: int, of: int, devices: int, *, per_gpu: int) -> int:
    """What a session holds of each of its devices in the units of now, as the ledger counts it.

    It was granted ``quanta`` of which a whole device had ``of``. One from before its devices
    were kept counts as having one.
    """
    if not quanta or not of:
        return 0
    return Share("", quanta // (devices or 1), of).of(per_gpu).quanta


@dataclass(frozen=True, slots=True)
class Measure:
    """The most that a session used, and how much, so far.

    ``cpu`` is in cores, ``memory`` and ``disk`` in bytes at their highest;
    ``cpu_seconds``, ``io_read``, ``io_written`` (bytes) and ``oom_kills`` are totals.
    """

    cpu: float = 0.0
    memory: int = 0
    disk: int = 0
    cpu_seconds: float = 0.0
    io_read: int = 0
    io_written: int = 0
    oom_kills: int = 0


@dataclass(frozen=True, slots=True)
class Held:
    """What the live sessions of one user were granted together: cores, bytes, quanta of GPU."""

    sessions: int
    cpu: int
    memory: int
    quanta: int
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Change:
    """When a session came to a status."""

    status: Status
    at: datetime


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One session, live or ended. ``end`` is there once it ended; ``started`` once it ran.

    ``warning`` is what is wrong with one that goes on, in words; empty when nothing is.
    """

    facts: Facts
    status: Status
    created: datetime
    started: datetime | None
    ended: datetime | None
    end: End | None
    peaks: Measure
    changes: tuple[Change, ...] = ()
    warning: str = ""

    @property
    def elapsed(self) -> timedelta | None:
        """How long it ran, once it ended."""
        return self.ended - self.started if self.ended and self.started else None


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the sessions that a question is about, and how many there are in all."""

    sessions: tuple[SessionRecord, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Published:
    """Something that the hub lets other processes know: JSON, and when it was written."""

    body: str
    at: datetime
