"""How a GPU is counted, what a share of it must be kept by, and GPUs that are not there.

These are an administrator's wishes. Whether a host can keep them is asked in
`bai_spawner.gpu`, device by device.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import Field

from bai_spawner import units
from bai_spawner.catalog.fields import (
    DevicePattern,
    HowApart,
    HowFirm,
    MigProfile,
    PositiveFgpu,
    Section,
    Size,
    Text,
)
from bai_spawner.enforcement import Enforcement, Faults, Level

MOST_QUANTA = 1000
"""Steps of one GPU: books, form and MPS go through them all."""


class Required(Section):
    """How firmly a share must be enforced; a device on which less is in force is not used."""

    memory: HowFirm = Field(
        Level.NONE, description="its memory: none, cooperative, process or session"
    )
    compute: HowFirm = Field(
        Level.NONE, description="its multiprocessors: none, cooperative, process or session"
    )
    faults: HowApart = Field(
        Faults.SHARED, description="others' faults: shared, partial, contexts or isolated"
    )

    @property
    def enforcement(self) -> Enforcement:
        """The least that must be in force."""
        return Enforcement(self.memory, self.compute, self.faults)


class Simulated(Section):
    """Devices that are not there, to try forms and accounting without a GPU."""

    model: Text = Field("GPU", min_length=1, description="their product name")
    memory: Size = Field(80 * units.GIB, description="memory of each")
    count: int = Field(1, ge=1, le=1024, description="how many")


Isolation = Literal["auto", "whole", "mig", "memcap", "mps-v2", "timeslice"]


class Gpu(Section):
    """How a GPU is counted, and what keeps sessions to their shares."""

    fgpu_per_gpu: PositiveFgpu = Field(Decimal(1), description="fGPU that one device is")
    quantum: PositiveFgpu = Field(Decimal(1), description="the step in which fGPU is granted")
    isolation: Isolation = Field(
        "auto", description="the strategy: auto, whole, mig, memcap, mps-v2 or timeslice"
    )
    require_enforcement: Required = Field(Required(), description="the least that must be in force")
    reserve: Size = Field(
        units.GIB, description="memory of each GPU that is not divided: the driver needs some"
    )
    mig: dict[MigProfile, PositiveFgpu] = Field(
        default_factory=dict,
        description="fGPU that a MIG device is, by profile such as '1g.10gb'; its part of the"
        " GPU's slices if unset",
    )
    drain: tuple[DevicePattern, ...] = Field(
        (),
        description="GPUs of which nothing more is handed out: uuids or product names",
        strict=False,
    )
    mps_directory: str = Field(
        "/run/bai-mps",
        pattern=r"^(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*){1,8}$",
        max_length=40,  # the path of a socket has 108 bytes, and a uuid 40,
        description="where each GPU's MPS daemon has its folder, on the engine's host",
    )
    simulated: tuple[Simulated, ...] = Field(
        (),
        description="devices that are not there, in place of those that are; marked SIMULATED",
        strict=False,
    )

    @property
    def quanta_per_gpu(self) -> int:
        """Quanta of one device."""
        return units.to_quanta(self.fgpu_per_gpu, self.quantum)
