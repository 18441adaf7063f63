"""The form's words and numbers: how amounts, bounds and units are written on the page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from bai_spawner import policy as rules
from bai_spawner import units
from bai_spawner.catalog import Environment, Gpu, Preset
from bai_spawner.form.bounds import Amount, Bound
from bai_spawner.options import Mode

MODES: dict[Mode, str] = {"rw": "Read and write", "ro": "Read only"}
NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?", re.ASCII)
UNITS = {"cpu": "cores", "memory": "GiB", "shm": "GiB", "fgpu": "fGPU"}
_BOX_PLACES = Decimal("0.0001")
EXPLANATIONS = {
    "cpu": "Whole processor cores: the most that the session may use at a time.",
    "memory": "All memory of the session. What needs more than this is killed.",
    "shm": (
        "The part of RAM behind /dev/shm, for programs of several processes, such as PyTorch's"
        " data loaders. Never more than RAM; from half of RAM on little is left for the rest."
    ),
    "sessions": (
        "How many sessions of this kind are started together. Each has all of the resources above"
        " for itself, and its number behind its name. All start, or none."
    ),
}
LABELS = {
    **rules.LABELS,
    "session_name": "Session name",
    "environment": "Environment",
    "env": "Environment variables",
    "mounts": "Data folders",
    "new_folder": "New folder",
    "alone": "Launch without a folder",
    "resource_group": "Resource group",
    "preset": "Resources",
    "sessions": "Sessions",
}


def box_kind(text: str) -> str:
    """The type of a box: a number box would drop what is no number."""
    return "number" if not text or NUMBER.fullmatch(text) else "text"


def share(held: str, most: str | int | None) -> str:
    """What is held, and of how much where there is a limit."""
    return held if most is None else f"{held} of {most}"


def listed(titles: Iterable[str]) -> str:
    """Names in a sentence."""
    return ", ".join(titles)


def either(parts: Sequence[str]) -> str:
    """Alternatives in a sentence."""
    return " or ".join([listed(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def amounts(source: Preset) -> tuple[str, ...]:
    """CPU, RAM, shared memory and GPU of a preset, in words."""
    gpu = f"{rules.say('fgpu', source.fgpu)} fGPU" if source.fgpu else "no GPU"
    return (
        f"{source.cpu} CPU",
        f"{units.format_size(source.memory)} RAM",
        f"{units.format_size(source.shm)} SHM",
        gpu,
    )


def needs(environment: Environment) -> str:
    """What an environment takes at least."""
    least = environment.minimum
    gpu = f", {rules.say('fgpu', least.fgpu)} fGPU" if least.fgpu else ""
    return f"Needs {least.cpu} CPU, {units.format_size(least.memory)} RAM{gpu}"


def bound_text(key: str, bound: Bound) -> str:
    """From where to where, in the box's unit, and what sets the upper end."""
    low, high, unit = low_box(key, bound.low), high_box(key, bound.high), UNITS[key]
    if not bound.possible:
        return f"at least {low} needed, at most {high} {unit} possible ({bound.limit})"
    return f"{low if low == high else f'{low} to {high}'} {unit} ({bound.limit})"


def low_box(key: str, amount: Amount) -> str:
    """A lower bound in a box's unit, rounded up: what the box holds is then enough."""
    return _boxed(key, amount, ROUND_CEILING)


def high_box(key: str, amount: Amount) -> str:
    """An upper bound in a box's unit, rounded down."""
    return _boxed(key, amount, ROUND_FLOOR)


def _boxed(key: str, amount: Amount, rounding: str) -> str:
    number = Decimal(amount)
    if key in ("memory", "shm"):
        number = (number / units.GIB).quantize(_BOX_PLACES, rounding=rounding)
    return units.plain(number)


def fgpu_explained(gpu: Gpu, sizes: Sequence[int] = ()) -> str:
    """What one fGPU is, from the catalogue, and what a request over one GPU gets.

    ``sizes`` are those of parts, in quanta, of GPUs that are divided into parts of one size.
    """
    per_gpu, quantum = gpu.fgpu_per_gpu, units.plain(gpu.quantum)
    if per_gpu == 1:
        one = "1 fGPU = 1 GPU"
    elif per_gpu == per_gpu.to_integral_value():
        one = f"1 fGPU = 1/{units.plain(per_gpu)} of a GPU"
    else:
        one = f"{units.plain(per_gpu)} fGPU = 1 GPU"
    parts = [units.plain(units.from_quanta(size, gpu.quantum)) for size in sizes]
    fixed = (
        " A MIG device, or a GPU that is divided into parts of one size, gives exactly one of them:"
        f" here {either(parts)} fGPU."
    )
    return (
        f"{one}, in steps of {quantum}. You get exactly what you ask for, or nothing: up to one GPU"
        " a part of one, over it whole GPUs or equal shares of GPUs of one kind."
        f"{fixed if parts else ''}"
        " The CUDA context of each process comes out of your share of the memory."
    )
