"""Memory by control group: the driver bounds what all of a session's processes allocate.

From driver 615 NVML keeps a limit for each control group. The NVIDIA container toolkit sets
it before the container's first process runs, from two variables of the container. Compute
goes by time slices, as everywhere without MPS and MIG. Managed memory is not counted.

Sources: NVML API reference, nvmlSetMemoryLimits_v1_t and nvmlGetMemoryLimits_v1_t.
"""

from __future__ import annotations

from collections.abc import Callable

from bai_spawner.enforcement import Enforcement, Faults, Level
from bai_spawner.gpu.device import Device
from bai_spawner.gpu.host import Host, cgroup_of, words
from bai_spawner.gpu.inventory import Nvml, NvmlError
from bai_spawner.gpu.isolation.divided import EXCLUSIVE, divided
from bai_spawner.gpu.isolation.strategy import NEVER, Fit, Injection, Started, Unfit, Units
from bai_spawner.labels import GpuCap
from bai_spawner.units import MIB

DRIVER = 615
TOOLKIT = (1, 20, 1)
REQUEST, LIMIT = "NVIDIA_GPU_MEMORY_REQUEST", "NVIDIA_GPU_MEMORY_LIMIT"
"""In MiB. The toolkit sets no limit unless both are there."""


class Memcap:
    """A limit of memory for each session.

    Args:
        units: how GPUs are counted.
        nvml: of the engine's host.
        host: tells what else that host can do.
    """

    name = "memcap"
    summary = "The driver limits the memory of each session; compute goes by time slices."
    enforcement = Enforcement(Level.SESSION, Level.NONE, Faults.CONTEXTS)
    attached = True
    verified = NEVER

    def __init__(self, units: Units, nvml: Nvml, host: Callable[[], Host]) -> None:
        self._units, self._nvml, self._host = units, nvml, host

    def probe(self, device: Device) -> Fit | Unfit:
        """A GPU of a host whose driver, toolkit and control groups can do it."""
        host = self._host()
        lacking = []
        if not host.memory_limits:
            lacking.append(f"driver {DRIVER} or newer is needed, found {host.driver or 'none'}")
        if host.cgroup != "2":
            lacking.append(f"control groups v2 are needed, the engine has v{host.cgroup or '?'}")
        if host.toolkit < TOOLKIT:
            found = words(host.toolkit) or "none"
            lacking.append(f"nvidia-container-toolkit {words(TOOLKIT)} is needed, found {found}")
        if device.exclusive:
            lacking.append(EXCLUSIVE)
        return Unfit("; ".join(lacking)) if lacking else divided(device, self._units)

    def inject(self, devices: tuple[str, ...], cap: GpuCap) -> Injection:
        """The two variables that the toolkit reads."""
        del devices
        return Injection(env={REQUEST: str(cap.memory), LIMIT: str(cap.memory)})

    def mismatch(self, session: Started) -> str:
        """Read the limit back from the driver, for each device."""
        cgroup = cgroup_of(session.pid)
        if not cgroup:
            return "its control group cannot be found"
        for device in session.devices:
            try:
                found = self._nvml.memory_limit(device, cgroup)
            except NvmlError as error:
                return f"its limit of memory on {device} cannot be read back: {error}"
            if found is None:
                return (
                    f"no limit of memory is in force on {device}: is the toolkit's hook"
                    " installed that applies it (bai-spawner gpu probe)?"
                )
            if found.hard != session.cap.memory * MIB:
                granted = session.cap.memory * MIB
                return f"{found.hard} bytes are the limit on {device}, not the {granted} granted"
        return ""

    def release(self, session: Started) -> None:
        """The limit goes with the control group."""
