"""What the form tells of GPUs: on what terms each is shared, and which amounts can be given now.

Nothing is left out that is in force, or is not: a device of which nothing is handed out says
why, one that is not there says SIMULATED, and a share that nobody was seen to keep says
``never``. Everything is text, and what is computed is bounded, whatever a host has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import groupby

from bai_spawner import units
from bai_spawner.catalog import Gpu
from bai_spawner.enforcement import Faults, Level, word
from bai_spawner.form import view
from bai_spawner.form.bounds import Room
from bai_spawner.gpu.placement import DeviceFree, Terms

MARK = "SIMULATED"
"""How the name of a device begins that is not there."""
MOST_AMOUNTS = 100
"""Amounts that are listed one by one; where there are more, the server alone says no."""
_MOST_TRIED = 50_000
"""Amounts times devices that are looked at: about 10 ms."""
_MOST_RUNS = 12
"""Amounts, or runs of them, that a person reads."""
_LONG = 3
"""From so many amounts in a row on, only the first and the last are written."""

MEANS: dict[str, dict[str, str]] = {
    "memory": {
        word(Level.NONE): "not limited; a session can fill the GPU, and others then fail.",
        word(Level.COOPERATIVE): "limited for programs that do not try to get around it.",
        word(Level.PROCESS): "each process gets the share; two of one session get it twice.",
        word(Level.SESSION): "all processes of a session together get no more than the share.",
    },
    "compute": {
        word(Level.NONE): "not limited; the sessions of a GPU take turns on all of it.",
        word(Level.COOPERATIVE): "limited for programs that do not try to get around it.",
        word(Level.PROCESS): "each process gets the share; two of one session get it twice.",
        word(Level.SESSION): "all processes of a session together get no more than the share.",
    },
    "faults": {
        word(Faults.SHARED): "a fatal fault of one session may end the others' work on the GPU.",
        word(Faults.PARTIAL): "a fatal fault may end the work of others in the same partition.",
        word(Faults.CONTEXTS): "a program's fault ends its own work; the hardware's, everybody's.",
        word(Faults.ISOLATED): "others do not notice a fault.",
    },
}
"""What the words of an enforcement mean to who gets a share."""

Parts = dict[str, str]
"""An enforcement in words: who or what is bounded, by what is bounded."""


def enforced(terms: Terms) -> Parts:
    """How firmly a share is kept, in the words of `MEANS`."""
    return {name: word(getattr(terms.enforcement, name)) for name in MEANS}


def share(terms: Terms, gpu: Gpu) -> str:
    """What memory a share stands for, in words; empty where none is handed out."""
    if terms.note or not terms.whole:
        return ""
    one = terms.size or min(_one(gpu), terms.whole)
    memory = units.format_size(terms.memory(one) * units.MIB)
    amount = f"{fgpu(one, gpu)} fGPU"
    if terms.title.startswith(MARK):
        return f"{amount} would be {memory} of its memory"
    if terms.enforcement.memory is Level.NONE:
        return f"{amount} counts as {memory} of its memory"
    return f"parts of {amount}, {memory} each" if terms.size else f"{amount} = {memory} of memory"


def _one(gpu: Gpu) -> int:
    """One fGPU in quanta, or one quantum where that is no whole number of them."""
    try:
        return units.to_quanta(Decimal(1), gpu.quantum)
    except ValueError:
        return 1


def fgpu(quanta: int, gpu: Gpu) -> str:
    """Quanta as fGPU, in text: JSON's numbers are not exact."""
    return units.plain(units.from_quanta(quanta, gpu.quantum))


# ---- on what terms


def cards(room: Room, group: str) -> tuple[view.GpuCard, ...]:
    """The GPUs of a group, those on the same terms together, for a page without a script."""
    devices = [device for node in room.nodes(group) for device in node.devices]
    alike: dict[tuple[object, ...], list[DeviceFree]] = {}
    for device in devices:
        terms = device.terms
        mark = terms.title.startswith(MARK)
        key = (mark, terms.isolation, terms.enforcement, terms.verified, terms.note)
        alike.setdefault(key, []).append(device)
    return tuple(_card(found, room.catalog.gpu) for found in alike.values())


def _card(devices: list[DeviceFree], gpu: Gpu) -> view.GpuCard:
    terms = devices[0].terms
    parts = enforced(terms)
    return view.GpuCard(
        simulated=terms.title.startswith(MARK),
        titles=tuple(_titles(devices, gpu)),
        note=terms.note,
        line=f"{terms.isolation or 'no isolation'} ({terms.enforcement})",
        verified=terms.verified,
        means=tuple((f"{name}: {found}", MEANS[name][found]) for name, found in parts.items()),
    )


def _titles(devices: list[DeviceFree], gpu: Gpu) -> Iterator[str]:
    """Each name once: how many there are, what each has free, what memory a share is."""
    named: dict[tuple[str, str], list[DeviceFree]] = {}
    for device in devices:
        title = device.terms.title.removeprefix(MARK).strip() or device.device
        named.setdefault((title, share(device.terms, gpu)), []).append(device)
    for (title, memory), found in named.items():
        many = f"{len(found)} × " if len(found) > 1 else ""
        if found[0].terms.note:
            yield f"{many}{title}"
        else:
            told = f"{many}{title}: {_free(found, gpu)} fGPU free"
            yield f"{told}; {memory}" if memory else told


def _free(devices: list[DeviceFree], gpu: Gpu) -> str:
    """What each of these has free, most first, equal ones counted."""
    counted = Counter((device.free, device.total) for device in devices)
    return ", ".join(
        f"{f'{many} × ' if many > 1 else ''}{fgpu(free, gpu)} of {fgpu(total, gpu)}"
        for (free, total), many in sorted(counted.items(), reverse=True)
    )


def sizes(room: Room, groups: Iterable[str]) -> tuple[int, ...]:
    """The sizes of parts of devices that have only one, in quanta."""
    devices = (device for node in room.nodes(*groups) for device in node.devices)
    return tuple(sorted({d.terms.size for d in devices if d.terms.size and not d.terms.note}))


# ---- which amounts


def amounts(room: Room, group: str) -> tuple[int, ...] | None:
    """The quanta that can be given now, within what the policy allows.

    ``None``: every multiple of the quantum up to the upper bound can, or there is too much to
    list.
    """
    nodes = room.nodes(group)
    most = _most(room, group)
    if most * sum(len(node.devices) for node in nodes) > _MOST_TRIED:
        return None
    found = tuple(q for q in range(1, most + 1) if any(node.places(q) for node in nodes))
    if len(found) == most:
        return None
    return found if len(found) <= MOST_AMOUNTS else None


def _most(room: Room, group: str) -> int:
    """The smaller of what the policy leaves and what a node could give, in quanta."""
    quantum = room.catalog.gpu.quantum
    bounds = (room.free("fgpu", group), room.policy.per_session.fgpu, room.left("fgpu"))
    return min(int(Decimal(bound) // quantum) for bound in bounds if bound is not None)


def listed(found: Iterable[int], gpu: Gpu) -> str | None:
    """Amounts for people, several in a row as ``1 to 5``; ``None`` where it would be too long."""
    runs = [
        [quanta for _, quanta in run]
        for _, run in groupby(enumerate(found), key=lambda pair: pair[1] - pair[0])
    ]
    parts = [part for run in runs for part in _run(run, gpu)]
    if not parts:
        return "nothing"
    return ", ".join(parts) if len(parts) <= _MOST_RUNS else None


def _run(run: list[int], gpu: Gpu) -> list[str]:
    if len(run) < _LONG:
        return [fgpu(quanta, gpu) for quanta in run]
    return [f"{fgpu(run[0], gpu)} to {fgpu(run[-1], gpu)}"]
