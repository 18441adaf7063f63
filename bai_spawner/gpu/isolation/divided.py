"""What strategies have in common that divide a GPU as they like."""

from __future__ import annotations

from bai_spawner.gpu.device import Device, Kind
from bai_spawner.gpu.isolation.strategy import Fit, Unfit, Units
from bai_spawner.gpu.placement import MOST_DEVICES
from bai_spawner.gpu.share import usable_mib

EXCLUSIVE = (
    "its compute mode is EXCLUSIVE_PROCESS, which lets one process in: nvidia-smi -c DEFAULT"
)
"""Why a device is of no use to sessions that share nothing through MPS."""


def divided(device: Device, units: Units, *, together: int = MOST_DEVICES) -> Fit | Unfit:
    """A GPU, divided into parts of any size."""
    if device.kind is Kind.MIG:
        return Unfit("it is a MIG device, which is given whole: choose isolation mig or auto")
    if device.mig_mode:
        return Unfit("it is in MIG mode and has no MIG devices: lay them out with nvidia-smi mig")
    usable = usable_mib(device.memory, units.reserve)
    if usable < units.per_gpu:
        return Unfit("its memory is too small to be divided: gpu.reserve is kept back of it first")
    return Fit(units.per_gpu, usable, units.per_gpu, together=together)
