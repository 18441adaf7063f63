"""What a session was granted, in the units that people know."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from bai_spawner import units
from bai_spawner.catalog import Catalog
from bai_spawner.records import Facts

_DIGITS = Decimal("0.000000001")
"""As many as an fGPU is written with."""


def fgpu(facts: Facts, catalog: Catalog | None) -> str | None:
    """The GPU of a session as fGPU, in text; ``None`` where it has none.

    It was granted in quanta of which a device had ``per_gpu`` then; a device is so many fGPU
    as the catalogue says now.
    """
    if not facts.quanta or not facts.per_gpu or catalog is None:
        return None
    return plain(Fraction(facts.quanta, facts.per_gpu) * Fraction(catalog.gpu.fgpu_per_gpu))


def plain(amount: Fraction) -> str:
    """An amount of GPU in text, exact as long as nine digits are enough."""
    exact = Decimal(amount.numerator) / Decimal(amount.denominator)
    return units.plain(exact.quantize(_DIGITS))


def folders(facts: Facts) -> list[tuple[str, str]]:
    """The folders that a session mounts, each with its mode."""
    parts = (label.rpartition(":") for label in facts.folders)
    return [(name, mode) for name, colon, mode in parts if colon]
