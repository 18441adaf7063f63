"""Which device a request gets, or which devices: exactly what was asked for, or nothing.

- Up to one GPU: one device, never split; the smallest free part that suffices (best fit),
  which keeps the large gaps whole. ``make bench`` shows what other rules refuse instead.
- Over one GPU: whole devices, or the fewest equal shares that add up to the request
  exactly, all on devices of one kind. How many these are depends on the request alone, so
  that the same request means the same thing on every day.

Pure, in quanta; ``per_gpu`` of them are a whole GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from bai_spawner.enforcement import Enforcement
from bai_spawner.gpu.share import memory_mib

MOST_DEVICES = 64
"""More than any host has; bounds what one request may be cut into."""


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms parts of a device are handed out.

    Attributes:
        title: the device's name for people.
        kind: what devices must have in common to be given to one session together.
        isolation: the strategy that keeps its sessions to their shares.
        enforcement: how firmly it does.
        verified: on which hardware that was seen: ``driver, date``, or ``never``.
        usable: MiB that are divided among its ``whole`` quanta.
        whole: quanta that a device of this kind has; 0 where that is not known.
        size: the one size of its parts, in quanta, where it has only one.
        together: how many such devices one session may have.
        note: why nothing of it is handed out now; empty when parts of it are.
    """

    title: str = ""
    kind: str = ""
    isolation: str = ""
    enforcement: Enforcement = field(default_factory=Enforcement)
    verified: str = "never"
    usable: int = 0
    whole: int = 0
    size: int | None = None
    together: int = 1
    note: str = ""

    def memory(self, quanta: int) -> int:
        """MiB of a part."""
        return memory_mib(self.usable, quanta, self.whole) if self.whole else 0


@dataclass(frozen=True, slots=True)
class DeviceFree:
    """Free quanta of one device."""

    device: str
    free: int
    total: int
    terms: Terms = field(default_factory=Terms)

    def has(self, quanta: int) -> bool:
        """Whether a part of so many quanta can be had of it now."""
        return quanta <= self.free and self.terms.size in (None, quanta)


Rule = Callable[[DeviceFree], tuple[int, str]]
"""The device with the smallest key is taken."""


def best_fit(device: DeviceFree) -> tuple[int, str]:
    """The least left over."""
    return device.free, device.device


def worst_fit(device: DeviceFree) -> tuple[int, str]:
    """The most left over: what spreads load, and leaves no gap that a large request fits."""
    return -device.free, device.device


def first_fit(device: DeviceFree) -> tuple[int, str]:
    """The first by name."""
    return 0, device.device


def cut(quanta: int, per_gpu: int) -> tuple[int, int]:
    """How many devices a request needs, and quanta of each; (0, 0) when no host has so many."""
    least, most = -(-quanta // per_gpu), min(quanta, MOST_DEVICES)
    devices = next((n for n in range(least, most + 1) if quanta % n == 0), 0)
    return devices, quanta // devices if devices else 0


def place(
    devices: Iterable[DeviceFree], quanta: int, per_gpu: int, rule: Rule = best_fit
) -> tuple[DeviceFree, ...]:
    """The devices that a request gets, each the same share of; empty when there is no room."""
    count, part = cut(quanta, per_gpu)
    if not count:
        return ()
    fitting = [device for device in devices if device.has(part)]
    if count == 1:
        return (min(fitting, key=rule),) if fitting else ()
    kinds: dict[str, list[DeviceFree]] = {}
    for device in fitting:
        if device.terms.together >= count:
            kinds.setdefault(device.terms.kind, []).append(device)
    ways = [sorted(found, key=rule)[:count] for found in kinds.values() if len(found) >= count]
    chosen = min(ways, key=lambda way: [rule(device) for device in way], default=())
    return tuple(chosen)


def largest(devices: Sequence[DeviceFree], per_gpu: int) -> int:
    """The most quanta that one request can be given now."""
    singles = ((device, device.terms.size or device.free) for device in devices)
    most = max((q for device, q in singles if device.has(q) and q <= per_gpu), default=0)
    kinds: dict[str, list[DeviceFree]] = {}
    for device in devices:
        if device.free and device.terms.together > 1 and device.has(device.terms.size or 1):
            kinds.setdefault(device.terms.kind, []).append(device)
    for alike in kinds.values():
        alike.sort(key=attrgetter("free"), reverse=True)
        together = min(len(alike), alike[0].terms.together, MOST_DEVICES)
        for count in range(2, together + 1):
            # each share is as large as the smallest of these devices allows
            size = alike[0].terms.size
            largest_first = range(alike[count - 1].free, per_gpu // count, -1)
            for part in (size,) if size else largest_first:
                if count * part <= most:
                    break
                if cut(count * part, per_gpu) == (count, part):
                    most = max(most, count * part)
                    break
    return most
