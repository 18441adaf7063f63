"""How a user may try to get out of a cap: variables that are changed or unset.

Sources: NVIDIA's documentation of MPS (client environment variables) and of the container
toolkit; that two entries for one device drop a memory cap was seen with driver 615.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bai_spawner.gpu.verify.session import Variation

PIPE = "CUDA_MPS_PIPE_DIRECTORY"
THREADS = "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"
MEMORY_LIMIT = "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"
CUDA_DEVICES = "CUDA_VISIBLE_DEVICES"
TOOLKIT_DEVICES = "NVIDIA_VISIBLE_DEVICES"
NOWHERE = "/nonexistent"
EVERY_DEVICE = "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15"
"""As many as a host has. CUDA takes those before the first that there is not."""


class Resource(StrEnum):
    """What a cap is on."""

    MEMORY = "memory"
    COMPUTE = "FMA rate"
    DEVICES = "devices"


@dataclass(frozen=True, slots=True)
class Escape:
    """One attempt: its name in a table, what is changed, and which caps it is aimed at."""

    name: str
    variation: Variation
    aims: tuple[Resource, ...]


ALL = (Resource.DEVICES, Resource.MEMORY, Resource.COMPUTE)
CAPS = (Resource.MEMORY, Resource.COMPUTE)

ESCAPES = (
    Escape(f"{PIPE} unset", Variation({PIPE: None}), CAPS),
    Escape(f"{PIPE}={NOWHERE}", Variation({PIPE: NOWHERE}), CAPS),
    Escape(f"{THREADS}=100", Variation({THREADS: "100"}), (Resource.COMPUTE,)),
    Escape(f"{THREADS} unset", Variation({THREADS: None}), (Resource.COMPUTE,)),
    *(
        Escape(f"{MEMORY_LIMIT}={value}", Variation({MEMORY_LIMIT: value}), (Resource.MEMORY,))
        for value in ("0=1000G", "0=2G,1=4G")
    ),
    Escape(f"{MEMORY_LIMIT} unset", Variation({MEMORY_LIMIT: None}), (Resource.MEMORY,)),
    Escape(f"{CUDA_DEVICES} unset", Variation({CUDA_DEVICES: None}), ALL),
    Escape(f"{CUDA_DEVICES}=0,1,2,…", Variation({CUDA_DEVICES: EVERY_DEVICE}), ALL),
    Escape(f"{TOOLKIT_DEVICES}=all", Variation({}, {TOOLKIT_DEVICES: "all"}), ALL),
)
