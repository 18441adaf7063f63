"""What a host has that computes: values, wherever they come from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a device is."""

    GPU = "gpu"
    MIG = "mig"
    SIMULATED = "simulated"


@dataclass(frozen=True, slots=True)
class Device:
    """One device that a session may be given.

    Attributes:
        uuid: ``GPU-…`` or ``MIG-…`` as NVML says it, ``SIMULATED-…`` for one that is not there.
        index: of the GPU, as NVML counts them now; another one after a reboot, perhaps.
        model: the GPU's product name, such as ``NVIDIA H100 80GB HBM3``.
        memory: in bytes.
        kind: see `Kind`.
        parent: of a MIG device, its GPU's uuid.
        profile: of a MIG device, such as ``1g.10gb``; of a GPU, empty.
        slices: of a MIG device, how many its whole GPU has.
        exclusive: whether its compute mode is EXCLUSIVE_PROCESS.
        mig_mode: whether it is a GPU in MIG mode that has no MIG devices: nothing can run on it.
    """

    uuid: str
    index: int
    model: str
    memory: int
    kind: Kind = Kind.GPU
    parent: str = ""
    profile: str = ""
    slices: int = 0
    exclusive: bool = False
    mig_mode: bool = False

    @property
    def title(self) -> str:
        """Its name for people; one that is not there says so."""
        if self.kind is Kind.SIMULATED:
            return f"SIMULATED {self.model}"
        return f"{self.model} MIG {self.profile}" if self.profile else self.model


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a host has, and what its driver can do.

    Attributes:
        devices: a GPU in MIG mode is not among them, its MIG devices are.
        driver: its version, such as ``615.71.05``; empty where there is none.
        cuda: the newest CUDA that the driver serves, such as ``13.4``; empty likewise.
        memory_limits: whether NVML has limits of memory by control group (from driver 615).
        problem: why nothing, or not everything, is known, in words; empty when all is well.
    """

    devices: tuple[Device, ...] = ()
    driver: str = ""
    cuda: str = ""
    memory_limits: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """What computes on a device: its number on the host, and its bytes (``None``: not told)."""

    pid: int
    memory: int | None


@dataclass(frozen=True, slots=True)
class DeviceUse:
    """What one device does now.

    ``memory`` is the bytes in use, of all its processes; ``utilisation`` is the percentage of
    time in which something ran on it (``None`` where it is not told, as for a MIG device).
    """

    uuid: str
    memory: int
    utilisation: int | None
    processes: tuple[GpuProcess, ...] = ()


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """What a control group may hold of a device's memory, and holds, in bytes."""

    soft: int
    hard: int
    used: int
