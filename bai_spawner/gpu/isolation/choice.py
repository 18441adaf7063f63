"""Which strategy keeps a device's sessions to their shares: what is configured, or none.

Nothing degrades silently. A device on which the configured strategy cannot work, or on which
less would be in force than is required, is not handed out, and says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bai_spawner.enforcement import Enforcement
from bai_spawner.gpu.device import Device, Kind
from bai_spawner.gpu.isolation.strategy import Fit, Strategy, Unfit

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Choice:
    """The strategy of one device, and how it divides it; without ``fit`` there is a reason."""

    strategy: Strategy | None = None
    fit: Fit | None = None
    reason: str = ""


def choose(
    device: Device,
    isolation: str,
    required: Enforcement,
    strategies: Mapping[str, Strategy],
    *,
    per_gpu: int,
) -> Choice:
    """How a device is handed out, or why not; a whole GPU has ``per_gpu`` quanta."""
    if device.kind is Kind.SIMULATED:
        return _judged(device, strategies["simulated"], required)
    if isolation != AUTO:
        return _judged(device, strategies[isolation], required)
    found = _judged(device, strategies[_best(device, per_gpu)], required)
    if found.fit or device.kind is Kind.MIG:
        return found
    told = f"isolation auto takes nothing less than {_best(device, per_gpu)}: {found.reason}"
    return replace(found, reason=told)


def _best(device: Device, per_gpu: int) -> str:
    """What `auto` takes: nothing that leaves memory or compute to the goodwill of sessions."""
    if device.kind is Kind.MIG:
        return "mig"
    return "mps-v2" if per_gpu > 1 else "whole"


def _judged(device: Device, strategy: Strategy, required: Enforcement) -> Choice:
    if lacking := strategy.enforcement.lacks(required):
        return Choice(
            strategy, reason=f"{strategy.name} does not enforce it ({'; '.join(lacking)})"
        )
    found = strategy.probe(device)
    if isinstance(found, Unfit):
        return Choice(strategy, reason=found.reason)
    return Choice(strategy, found)
