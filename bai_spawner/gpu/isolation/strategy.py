"""What every strategy answers: whether it can, what it puts into a container, whether it took.

A strategy keeps the sessions on one device to their shares. It decides nothing about who
gets what; it says what it enforces, and is asked again after every start whether that is so.
Its calls may block on NVML, on files and on a control daemon: make them off the loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bai_spawner.enforcement import Enforcement
from bai_spawner.gpu.device import Device
from bai_spawner.labels import GpuCap

NEVER = "never"
"""Of a strategy that nobody has seen hold on hardware yet."""


@dataclass(frozen=True, slots=True)
class Units:
    """How GPUs are divided: quanta of a whole one, and bytes of each that are not divided."""

    per_gpu: int
    reserve: int


@dataclass(frozen=True, slots=True)
class Bind:
    """A directory of the engine's host that a container sees, to read only."""

    source: Path
    target: str


@dataclass(frozen=True, slots=True)
class Injection:
    """What a container gets beside its devices."""

    env: Mapping[str, str] = field(default_factory=dict)
    binds: tuple[Bind, ...] = ()


VOID = "void"
"""What NVIDIA's toolkit is told of a container that gets no GPU."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """All that a container gets for its shares: devices by uuid, and what goes with them.

    ``visible`` is what NVIDIA's toolkit is told.
    """

    devices: tuple[str, ...] = ()
    visible: str = VOID
    injection: Injection = field(default_factory=Injection)


@dataclass(frozen=True, slots=True)
class Fit:
    """How a device can be handed out. ``usable`` MiB stand for ``whole`` quanta of it.

    ``total`` are the quanta that it has to give, ``size`` the one size of its parts if there
    is only one, ``together`` how many of its kind one session may have.
    """

    total: int
    usable: int
    whole: int
    size: int | None = None
    together: int = 1


@dataclass(frozen=True, slots=True)
class Unfit:
    """Why a strategy cannot keep sessions of a device to their shares, and what would help."""

    reason: str


@dataclass(frozen=True, slots=True)
class Started:
    """A session that was started: its container, its first process, its devices, its cap."""

    container: str
    pid: int
    devices: tuple[str, ...]
    cap: GpuCap


class Strategy(Protocol):
    """One way to keep sessions to their shares."""

    name: str
    summary: str
    """What it does, in a sentence for administrators."""
    enforcement: Enforcement
    attached: bool
    """Whether sessions are given their devices: those that are not there cannot be."""
    verified: str
    """On which hardware it was seen to hold: ``driver, date``, or `NEVER`."""

    def probe(self, device: Device) -> Fit | Unfit:
        """Whether, and how, it can divide a device now."""

    def inject(self, devices: tuple[str, ...], cap: GpuCap) -> Injection:
        """What a session's container needs."""

    def mismatch(self, session: Started) -> str:
        """What is not in force that should be, in words; empty when all is as it should be."""

    def release(self, session: Started) -> None:
        """Make ready for the end of a session, so that no other one on its device suffers."""
