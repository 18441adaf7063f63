"""Why nothing can be given now, in words: what is short, how much there is, and what to do.

Pure: what is free and what there would be without anybody go in, problems come out, at
least one. What can never be given is told apart from what is only taken now.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bai_spawner.errors import Problem, Reason
from bai_spawner.gpu.placement import DeviceFree, cut, largest, place
from bai_spawner.policy import LABELS, Grant, NodeFree, compared, say

_LATER = "ask for less, or try again when a session has ended"


def shortage(
    free: Sequence[NodeFree], empty: Sequence[NodeFree], grant: Grant
) -> Iterator[Problem]:
    """Why no node fits, in words, for each resource that is short on every node.

    Args:
        free: what each node could still be asked for.
        empty: the same nodes, as if nobody held anything.
        grant: what was wanted, and fits on none of them.
    """
    where = f"resource group {grant.group!r}"
    amounts = grant.amounts
    short = False
    for key, asked, most, ever in (
        ("cpu", amounts.cpu, [n.cpu for n in free], [n.cpu for n in empty]),
        ("memory", amounts.memory, [n.memory for n in free], [n.memory for n in empty]),
    ):
        best, limit = max(most, default=0), max(ever, default=0)
        if asked <= best:
            continue
        short = True
        told, bound = compared(key, asked, limit if asked > limit else best)
        if asked > limit:
            words = f"{told} asked > {bound} that one node of {where} has; ask for less"
        else:
            words = f"{told} asked > {bound} free on one node of {where} now; {_LATER}"
        yield _short(grant, key, words)
    if not any(node.places(amounts.quanta) for node in free):
        short = True
        yield _short(grant, "fgpu", _no_gpu(free, empty, grant))
    if not short:
        told = f"no single node of {where} has all of it free now; ask for less, or try later"
        yield _short(grant, "cpu", told)


def _no_gpu(free: Sequence[NodeFree], empty: Sequence[NodeFree], grant: Grant) -> str:
    """Why no GPU can be given, in words: from what will never do to what is only taken now."""
    where, asked = f"resource group {grant.group!r}", grant.amounts.quanta

    def fgpu(quanta: int) -> str:
        return say("fgpu", quanta * grant.quantum)

    ever = [node.devices for node in empty]
    devices = [device for node in ever for device in node]
    if not devices:
        return f"{fgpu(asked)} asked, but {where} has no GPU"
    notes = dict.fromkeys(device.terms.note for device in devices)
    if all(notes):
        return f"{fgpu(asked)} asked, but no GPU of {where} is handed out: {'; '.join(notes)}"
    limit = max(largest(node, grant.per_gpu) for node in ever)
    if asked > limit:
        return (
            f"{fgpu(asked)} asked > {fgpu(limit)} that {where} can give one session; ask for less"
        )
    if not any(place(node, asked, grant.per_gpu) for node in ever):
        return f"{fgpu(asked)} asked, which {where} cannot give exactly: {_inexact(ever, grant)}"
    best = max((node.quanta for node in free), default=0)
    if asked <= best:  # a smaller part than any that is free: its size is another
        return f"{fgpu(asked)} asked, and no part of exactly that is free in {where} now; {_LATER}"
    return f"{fgpu(asked)} asked > {fgpu(best)} free for one session in {where} now; {_LATER}"


def _inexact(ever: list[tuple[DeviceFree, ...]], grant: Grant) -> str:
    """Why an amount cannot be given exactly, though more could."""
    count, part = cut(grant.amounts.quanta, grant.per_gpu)

    def fgpu(quanta: int) -> str:
        return say("fgpu", quanta * grant.quantum)

    if count != 1:
        if not count:
            return "it cannot be cut into equal shares"
        return f"it would be {count} equal shares of {fgpu(part)}, each on a GPU of one kind"
    sizes = sorted({d.terms.size for node in ever for d in node if d.terms.size})
    return f"its GPUs are divided into parts of {' or '.join(map(fgpu, sizes))} fGPU"


def _short(grant: Grant, key: str, told: str) -> Problem:
    if grant.preset:
        return Problem("preset", f"{LABELS[key]}: {told}", Reason.CAPACITY)
    return Problem(f"resources.{key}", told, Reason.CAPACITY)
