"""What one user can still get, as JSON: the form begins with it, the service keeps it fresh.

Pure, and a forecast like everything in `bounds`. The keys:

    held, limits      what the user holds, and may hold (null: no limit): sessions, cores,
                      bytes, fGPU
    held_text         the same in words
    names             of the user's live sessions
    sessions          how many more may be launched: low, high, and what sets high
    groups            by resource group: what is free, in words (`free`), and by node and device
                      (`nodes`); `fgpu`: the amounts of GPU that can be given now, as far as
                      the policy allows (null: every multiple of the quantum up to the bound,
                      or too many to try or to list, over 100); `fgpu_text`: the same in words,
                      where that is short
    presets           by preset and group: why it cannot be started now, in words
    bounds            of each resource in the boxes' units, by shape and group; environments
                      with the same needs have one shape
    age               seconds since all this was so

A device has `device` (its uuid), `title`, `free` and `total` (fGPU as text), `size` (the only
size of its parts, as text, or null), `kind` and `together` (so many devices of one kind can be
given to one session), `isolation`, `enforcement` (memory, compute and faults, in the words of
`bai_spawner.enforcement`), `verified` (driver and date, or "never"), `share` (what memory a
share is, in words) and `note` (why nothing of it is handed out, or empty). The title of one
that is not there begins with SIMULATED.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from bai_spawner import policy as rules
from bai_spawner import units
from bai_spawner.catalog import Gpu
from bai_spawner.form import bounds as limits
from bai_spawner.form import gpus, words
from bai_spawner.form.bounds import Room
from bai_spawner.gpu.placement import DeviceFree
from bai_spawner.options import MAX_SESSIONS
from bai_spawner.policy import NodeFree


def live(room: Room, *, age: float = 0.0) -> dict[str, Any]:
    """All of it, for one user."""
    groups = rules.groups(room.catalog, room.policy)
    offered = {p for g in groups for p in rules.presets(room.catalog, room.policy, g)}
    presets = {key: room.catalog.presets[key] for key in room.catalog.presets if key in offered}
    most = room.policy.limits
    return {
        "held": _amounts({key: room.used(key) for key in limits.TOTALS}, room.usage.sessions),
        "limits": _amounts({key: getattr(most, key) for key in limits.TOTALS}, most.sessions),
        "held_text": held(room),
        "names": sorted(room.usage.names),
        "sessions": _sessions(room),
        "groups": {group: _group(room, group) for group in groups},
        "presets": {
            key: {group: limits.misfits(room, preset, (group,)) for group in groups}
            for key, preset in presets.items()
        },
        "bounds": _bounds(room, groups),
        "age": round(age, 1),
    }


def held(room: Room) -> str:
    """What the user holds, and of how much, in words."""
    usage, most = room.usage, room.policy.limits
    groups = rules.groups(room.catalog, room.policy)
    parts = [f"{words.share(str(usage.sessions), most.sessions)} sessions"]
    for key in limits.TOTALS:
        limit = getattr(most, key)
        if key == "fgpu" and not (limit or usage.quanta or room.has_gpu(*groups)):
            continue
        total = None if limit is None else rules.say(key, limit)
        parts.append(f"{words.share(rules.say(key, room.used(key)), total)} {rules.LABELS[key]}")
    return ", ".join(parts)


def free(room: Room, group: str) -> str:
    """The most that one session can be given in a group, in words."""
    shown = [key for key in limits.TOTALS if key != "fgpu" or room.has_gpu(group)]
    return ", ".join(f"{rules.say(k, room.free(k, group))} {rules.LABELS[k]}" for k in shown)


def _amounts(amounts: dict[str, Any], sessions: int | None) -> dict[str, Any]:
    return {key: _plain(value) for key, value in amounts.items()} | {"sessions": sessions}


def _plain(value: Any) -> Any:
    """A decimal as text: JSON's numbers are not exact."""
    return units.plain(value) if isinstance(value, Decimal) else value


def _sessions(room: Room) -> dict[str, Any]:
    most = room.policy.limits.sessions
    left = None if most is None else max(most - room.usage.sessions, 0)
    if left is None or left > MAX_SESSIONS:
        return {"low": 1, "high": MAX_SESSIONS, "limit": "the most that one form launches"}
    return {"low": 1, "high": left, "limit": f"left of the {most} that you may have"}


def _group(room: Room, group: str) -> dict[str, Any]:
    gpu = room.catalog.gpu
    amounts = gpus.amounts(room, group)
    return {
        "free": free(room, group),
        "fgpu": None if amounts is None else [gpus.fgpu(quanta, gpu) for quanta in amounts],
        "fgpu_text": None if amounts is None else gpus.listed(amounts, gpu),
        "nodes": [_node(node, gpu) for node in room.nodes(group)],
    }


def _node(node: NodeFree, gpu: Gpu) -> dict[str, Any]:
    return {
        "node": node.node,
        "cpu": node.cpu,
        "memory": node.memory,
        "devices": [_device(device, gpu) for device in node.devices],
    }


def _device(found: DeviceFree, gpu: Gpu) -> dict[str, Any]:
    terms = found.terms
    return {
        "device": found.device,
        "title": terms.title,
        "free": gpus.fgpu(found.free, gpu),
        "total": gpus.fgpu(found.total, gpu),
        "size": gpus.fgpu(terms.size, gpu) if terms.size else None,
        "kind": terms.kind,
        "together": terms.together,
        "isolation": terms.isolation,
        "enforcement": gpus.enforced(terms),
        "verified": terms.verified,
        "share": gpus.share(terms, gpu),
        "note": terms.note,
    }


def _bounds(room: Room, groups: tuple[str, ...]) -> dict[str, Any]:
    """The bounds, once for all environments that need and take the same."""
    shapes: dict[str, Any] = {}
    known: dict[tuple[Any, ...], str] = {}
    of: dict[str, str] = {}
    for key, environment in rules.environments(room.catalog, room.policy).items():
        least, most = environment.minimum, environment.maximum
        needs = tuple(getattr(part, name) for part in (least, most) for name in rules.LABELS)
        # its title stands in the words of a bound that is its own
        titled = any(getattr(most, name) is not None for name in rules.LABELS)
        shape = (*needs, environment.title if titled else "")
        if shape not in known:
            known[shape] = str(len(known))
            shapes[known[shape]] = {group: _shape(room, key, group) for group in groups}
        of[key] = known[shape]
    return {"shapes": shapes, "environments": of}


def _shape(room: Room, environment: str, group: str) -> dict[str, Any]:
    return {
        key: {
            "low": words.low_box(key, bound.low),
            "high": words.high_box(key, bound.high),
            "text": words.bound_text(key, bound),
            "possible": bound.possible,
        }
        for key, bound in limits.bounds(room, environment, group).items()
    }
