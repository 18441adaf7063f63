"""What a probe says: one line of JSON, and the value that it is.

A probe's last line is an object with the fields of one reading, or with the one key
``refused`` (the driver lets the process have no device) or ``failed``. `read` takes nothing
else: what is odd is a `ProbeFailed`, whose text says what was got.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar, get_type_hints

from bai_spawner.errors import BaiError

READY = '{"ready": true}'
"""The line of a probe that holds or computes from now on, until its standard input ends."""
SHOWN = 300
"""Characters of a probe's output that a message repeats."""


class ProbeFailed(BaiError):
    """A probe ended without a reading."""


class ProbeRefused(ProbeFailed):
    """The driver gave the process no device, so that it got none of its share, nor more."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a runner hands back of one probe.

    Attributes:
        code: its exit code; ``None`` when it did not end in time and was ended.
        text: what it printed.
        log: what it wrote to standard error, or why it could not be started.
    """

    code: int | None
    text: str
    log: str = ""


@dataclass(frozen=True, slots=True)
class Devices:
    """The devices that CUDA gives a process: UUIDs without ``GPU-`` or ``MIG-``, and names."""

    uuids: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes a process could hold of a device, and whether it was then refused more.

    ``total`` is the device's memory as the process is told.
    """

    held: int
    total: int
    refused: bool


@dataclass(frozen=True, slots=True)
class Sms:
    """SMs of a device: as the process is told, used by one launch at most, and by all launches."""

    told: int
    at_once: int
    ever: int


@dataclass(frozen=True, slots=True)
class Rate:
    """FMAs of 32 bits in a second, and the SM clock meanwhile in Hz (0: not known).

    ``started`` and ``ended`` are seconds of the kernel's monotonic clock, which all processes
    of a machine share.
    """

    fmas: float
    clock: float
    started: float
    ended: float


@dataclass(frozen=True, slots=True)
class Busy:
    """When each of many equal launches ended, in seconds as in `Rate`, and the FMAs of one."""

    fmas_each: int
    clock: float
    ended: tuple[float, ...]

    def during(self, other: Rate) -> float:
        """Its FMAs in a second, while the other was measured.

        Raises:
            ProbeFailed: the other's time is none.
        """
        if other.ended <= other.started:
            raise ProbeFailed("a rate was measured in no time")
        count = sum(other.started < moment <= other.ended for moment in self.ended)
        return count * self.fmas_each / (other.ended - other.started)


@dataclass(frozen=True, slots=True)
class Namespaces:
    """The kernel's names of a process's namespaces, such as ``ipc:[4026531839]``."""

    ipc: str
    pid: str


Reading = Devices | Memory | Sms | Rate | Busy | Namespaces
T = TypeVar("T", Devices, Memory, Sms, Rate, Busy, Namespaces)


def line(reading: Reading) -> str:
    """A reading as `read` takes it."""
    return json.dumps(asdict(reading))


def read(kind: type[T], output: Output) -> T:
    """The reading that a probe printed.

    Raises:
        ProbeRefused: CUDA let it have no device.
        ProbeFailed: there is no such reading, in words.
    """
    if output.code is None:
        raise ProbeFailed(f"the probe did not end in time{_said(output)}")
    said = _last(output)
    for key, trouble in (("refused", ProbeRefused), ("failed", ProbeFailed)):
        if said.keys() == {key}:
            raise trouble(_short(str(said[key])))
    hints = get_type_hints(kind)
    if output.code or said.keys() != {f.name for f in fields(kind)}:
        raise ProbeFailed(_not_understood(output))
    try:
        return kind(**{name: _value(hints[name], said[name]) for name in hints})
    except ValueError:
        raise ProbeFailed(_not_understood(output)) from None


def _last(output: Output) -> dict[str, Any]:
    """The object of the last line; earlier ones may be what a profile or a site prints."""
    lines = output.text.strip().splitlines()
    try:
        said = json.loads(lines[-1]) if lines else None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise ProbeFailed(_not_understood(output))
    return said


def _value(hint: Any, got: Any) -> Any:
    """A field of a reading. Numbers are finite and not negative.

    Raises:
        ValueError: it is of another type.
    """
    if hint is float and type(got) in {int, float} and math.isfinite(got) and got >= 0:
        return float(got)
    if hint is int and type(got) is int and got >= 0:
        return got
    if hint in {str, bool} and type(got) is hint:
        return got
    if hint in {tuple[str, ...], tuple[float, ...]} and isinstance(got, list):
        return tuple(_value(hint.__args__[0], item) for item in got)
    raise ValueError(got)


def _not_understood(output: Output) -> str:
    got = f"{_short(output.text)!r}" if output.text.strip() else "nothing"
    return f"the probe printed {got} and ended with code {output.code}{_said(output)}"


def _said(output: Output) -> str:
    return f"; its log ends: {' '.join(output.log.split())[-SHOWN:]}" if output.log.strip() else ""


def _short(text: str) -> str:
    return " ".join(text.split())[:SHOWN]
