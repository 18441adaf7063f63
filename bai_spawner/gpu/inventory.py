"""What NVML knows of this host: its devices, what runs on them, which limits hold.

The only module that talks to NVML. It imports and works where there is no driver:
`Nvml.read` and `Nvml.uses` never raise for what a host lacks, what its driver is too old
for, or what breaks meanwhile. A device that does not answer is left out, and named; the
others stay. What an old driver cannot say is taken as not there: no MIG, not exclusive,
no processes, no version.

Not here: what may be promised of a device, and to whom.

Sources: NVIDIA's NVML API reference (release 615) and nvml.h; nvidia-ml-py 13.615;
"MPS v3 Memory Partitioning" in NVIDIA's MPS documentation.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import pynvml

from bai_spawner.errors import BaiError
from bai_spawner.gpu.device import Device, DeviceUse, GpuProcess, Inventory, Kind, MemoryLimit
from bai_spawner.units import GIB, MIB

# the second is of a name that is not UTF-8
_FAILED = (pynvml.NVMLError, UnicodeError)
_NOT_TOLD = frozenset(
    {
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
        # of a slot for a MIG device that is empty
        pynvml.NVML_ERROR_NOT_FOUND,
        # who is not root is told of MIG devices, and not of their GPU as a whole
        pynvml.NVML_ERROR_NO_PERMISSION,
    }
)
"""Answers that mean "there is no such thing", not "something is wrong"."""
_WORDS = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: (
        "no NVIDIA driver is installed here: libnvidia-ml.so.1 was not found or could not be loaded"
    ),
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: (
        "the NVIDIA driver is installed and not loaded: run `modprobe nvidia`, or reboot the host"
    ),
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: (
        "the NVIDIA driver was updated while the old one runs: reboot the host, "
        "or reload the driver and then restart this program"
    ),
    pynvml.NVML_ERROR_GPU_IS_LOST: (
        "it fell off the bus or was taken away: look for Xid in the kernel's log, "
        "then reset it or reboot the host"
    ),
    pynvml.NVML_ERROR_NO_PERMISSION: (
        "this is not permitted here: the driver's files, /dev/nvidiactl and /dev/nvidia0 "
        "and so on, have to be open to this program"
    ),
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND: "the NVIDIA driver is too old for this: update it",
}
_MEMORY_LIMITS = ("nvmlDeviceGetMemoryLimits_v1", "nvmlDeviceSetMemoryLimits_v1")
_PROFILE = re.compile(r" MIG (\S+)$")
"""At the end of a MIG device's name, as in ``NVIDIA H100 80GB HBM3 MIG 1g.10gb``."""


class NvmlError(BaiError):
    """NVML did not do what was asked. The message says what, and why."""


class Nvml:
    """One host's NVML.

    It is opened at first need, and again after something did not answer, so that it survives
    a GPU that is lost and reset, and a driver that comes late or is loaded again. Safe with
    threads, one call at a time. Calls block, for seconds where the driver has to wake its
    GPUs: make them off the loop. While it is open the driver cannot be unloaded: see `close`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = False
        self._names: list[str] = []

    def read(self) -> Inventory:
        """What there is now. Never raises: ``problem`` says why nothing, or not all, is known.

        A GPU in MIG mode that has no MIG devices has 0 bytes where NVML tells its memory
        to root alone.
        """
        try:
            with self._walking() as walk:
                return Inventory(
                    devices=tuple(device for _, device in walk.found),
                    driver=_shown(pynvml.nvmlSystemGetDriverVersion) or "",
                    cuda=_cuda(_shown(pynvml.nvmlSystemGetCudaDriverVersion) or 0),
                    # asked of the library itself: a call would need a device that answers
                    memory_limits=all(hasattr(pynvml.nvmlLib, name) for name in _MEMORY_LIMITS),
                    problem="; ".join(walk.left_out or walk.nothing),
                )
        except _FAILED as error:
            return Inventory(problem=_words(error))

    def uses(self) -> dict[str, DeviceUse]:
        """What each device that answers does now, by uuid. Never raises; empty without NVML.

        Processes are those that compute, by themselves or as clients of MPS, in the order
        of their numbers, which are the host's.
        """
        found: dict[str, DeviceUse] = {}
        with suppress(*_FAILED), self._walking() as walk:
            for handle, device in walk.found:
                with walk.leaving_out("GPU", device.index):
                    found[device.uuid] = _use(handle, device.uuid)
        return found

    def memory_limit(self, uuid: str, cgroup: str) -> MemoryLimit | None:
        """What a control group may hold of a device's memory; ``None``: as much as it likes.

        Args:
            uuid: of the device; NVML refuses a MIG device.
            cgroup: the control group's full path in sysfs. One that the kernel does not
                count for inherits: the limit of the nearest above that has one is told.

        Raises:
            NvmlError: it cannot be told. Nothing follows about whether there is a limit.
        """
        with self._lock:
            try:
                self._begin()
                handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
                limit = pynvml.c_nvmlGetMemoryLimits_v1_t(nameSpace=os.fsencode(cgroup))
                pynvml.nvmlDeviceGetMemoryLimits_v1(handle, limit)
            except _FAILED as error:
                if _code(error) not in _NOT_TOLD:
                    self._end()
                raise NvmlError(
                    f"the limit of GPU memory of {cgroup} on {uuid} cannot be read: "
                    f"{_limit_words(error)}"
                ) from error
        if not limit.softLimit and limit.hardLimit == pynvml.NVML_DEVICE_MEMORY_LIMIT_MAX:
            return None
        return MemoryLimit(soft=limit.softLimit, hard=limit.hardLimit, used=limit.currentUsed)

    def close(self) -> None:
        """Let go of the driver, so that it can be unloaded. The next call opens NVML again."""
        with self._lock:
            self._end()

    @contextmanager
    def _walking(self) -> Iterator[_Walk]:
        """Past all devices. Afterwards NVML is closed, unless each of them answered.

        A GPU that is lost or not there yet is, as far as NVML goes, until it is opened again.
        """
        with self._lock:
            try:
                self._begin()
                count = pynvml.nvmlDeviceGetCount()
                if len(self._names) != count:
                    self._names = [""] * count
                walk = _Walk(self._names)
                for index in range(count):
                    walk.visit(index)
                yield walk
            except _FAILED:
                self._end()
                raise
            if walk.left_out or not walk.found:
                self._end()

    def _begin(self) -> None:
        if not self._open:
            pynvml.nvmlInit()
            self._open = True

    def _end(self) -> None:
        if self._open:
            self._open = False
            with suppress(*_FAILED):
                pynvml.nvmlShutdown()


@dataclass(slots=True)
class _Walk:
    """One way past all GPUs: the devices that answered, each with NVML's handle of it.

    ``names`` are the uuids that GPUs had when they last said so, by index: one that is lost
    says nothing.
    """

    names: list[str]
    found: list[tuple[Any, Device]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def nothing(self) -> list[str]:
        """What is to be said when nothing was found and nothing left out."""
        return [] if self.found else ["the NVIDIA driver has no GPU"]

    @contextmanager
    def leaving_out(self, what: str, index: int) -> Iterator[None]:
        """Note what does not answer, and go on with the next."""
        try:
            yield
        except _FAILED as error:
            name = f" ({self.names[index]})" if self.names[index] else ""
            self.left_out.append(f"{what} {index}{name} is left out: {_words(error)}")

    def visit(self, index: int) -> None:
        """Find a GPU, or its MIG devices where it is in MIG mode and has some."""
        with self.leaving_out("GPU", index):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            uuid = self.names[index] = pynvml.nvmlDeviceGetUUID(handle)
            gpu = Device(uuid, index, model=pynvml.nvmlDeviceGetName(handle), memory=0)
            off = (pynvml.NVML_DEVICE_MIG_DISABLE, pynvml.NVML_DEVICE_MIG_DISABLE)
            mode, _pending = _told(pynvml.nvmlDeviceGetMigMode, handle, otherwise=off)
            if mode != pynvml.NVML_DEVICE_MIG_ENABLE:
                memory, exclusive = _total(handle), _exclusive(handle)
                self.found.append((handle, replace(gpu, memory=memory, exclusive=exclusive)))
            elif not self._visit_mig(handle, gpu):
                memory = _told(_total, handle, otherwise=0)
                self.found.append((handle, replace(gpu, memory=memory, mig_mode=True)))

    def _visit_mig(self, handle: Any, gpu: Device) -> bool:
        """Find a GPU's MIG devices; whether there is any, be it one that does not answer."""
        before = len(self.found) + len(self.left_out)
        slots = _told(pynvml.nvmlDeviceGetMaxMigDeviceCount, handle, otherwise=0)
        gpu = replace(gpu, slices=slots)  # the smallest of them is a slice
        for slot in range(slots):
            with self.leaving_out(f"MIG device {slot} of GPU", gpu.index):
                part = _told(
                    pynvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, slot, otherwise=None
                )
                if part is not None:
                    self.found.append((part, _mig_device(part, handle, gpu)))
        return len(self.found) + len(self.left_out) > before


def _mig_device(part: Any, whole: Any, gpu: Device) -> Device:
    return replace(
        gpu,
        uuid=pynvml.nvmlDeviceGetUUID(part),
        memory=_total(part),
        kind=Kind.MIG,
        parent=gpu.uuid,
        profile=_profile(part, whole),
        exclusive=_exclusive(part),
    )


def _profile(part: Any, whole: Any) -> str:
    """A MIG device's profile: from its name, or, where an older driver's has none, its size."""
    if named := _PROFILE.search(pynvml.nvmlDeviceGetName(part)):
        return named[1]
    size = _told(pynvml.nvmlDeviceGetAttributes_v2, part, otherwise=None)
    total = _told(_total, whole, otherwise=0)
    if size is None or not total:
        return ""
    # as NVIDIA's own tools do: a name tells eighths of the GPU, a device has a bit less
    eighths = -(-size.memorySizeMB * MIB * 8 // total)
    gigabytes = round(eighths * -(-total // GIB) / 8)
    whole_instance = size.computeInstanceSliceCount in {0, size.gpuInstanceSliceCount}
    part_of = "" if whole_instance else f"{size.computeInstanceSliceCount}c."
    return f"{part_of}{size.gpuInstanceSliceCount}g.{gigabytes}gb"


def _use(handle: Any, uuid: str) -> DeviceUse:
    rates = _told(pynvml.nvmlDeviceGetUtilizationRates, handle, otherwise=None)
    return DeviceUse(
        uuid=uuid,
        memory=_used(handle),
        utilisation=None if rates is None else rates.gpu,
        processes=_processes(handle),
    )


def _processes(handle: Any) -> tuple[GpuProcess, ...]:
    """Who computes. A client of MPS is in one list or in both, as the driver likes."""
    # without their version pynvml raises what is no NVMLError where a driver lacks them
    calls = (
        pynvml.nvmlDeviceGetComputeRunningProcesses_v3,
        pynvml.nvmlDeviceGetMPSComputeRunningProcesses_v3,
    )
    held: dict[int, int | None] = {}
    for process in chain.from_iterable(_told(call, handle, otherwise=()) for call in calls):
        told = (held.get(process.pid), process.usedGpuMemory)
        held[process.pid] = max((memory for memory in told if memory is not None), default=None)
    return tuple(GpuProcess(pid, memory) for pid, memory in sorted(held.items()))


def _total(handle: Any) -> int:
    """Bytes of a device's memory, as the first version of the call tells them.

    From driver 615 the second one tells whoever asks from within a limited control group
    of its limit instead.
    """
    return int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)


def _used(handle: Any) -> int:
    """Bytes in use. The first version of the call counts in what the driver keeps for itself."""
    info = _told(pynvml.nvmlDeviceGetMemoryInfo, handle, pynvml.nvmlMemory_v2, otherwise=None)
    return int((info or pynvml.nvmlDeviceGetMemoryInfo(handle)).used)


def _exclusive(handle: Any) -> bool:
    mode = _told(pynvml.nvmlDeviceGetComputeMode, handle, otherwise=None)
    return bool(mode == pynvml.NVML_COMPUTEMODE_EXCLUSIVE_PROCESS)


def _cuda(version: int) -> str:
    """``13.4`` of 13040, which is how NVML says it."""
    return f"{version // 1000}.{version % 1000 // 10}" if version else ""


def _told(call: Callable[..., Any], *args: Any, otherwise: Any) -> Any:
    """What NVML answers; ``otherwise`` where this driver or device has no such answer."""
    try:
        return call(*args)
    except _FAILED as error:
        if _code(error) in _NOT_TOLD:
            return otherwise
        raise


def _shown(call: Callable[[], Any]) -> Any:
    """What NVML answers, or ``None``: what is only shown must not cost us the devices."""
    try:
        return call()
    except _FAILED:
        return None


def _code(error: Exception) -> int:
    """The number of an error of NVML; 0 of any other."""
    return int(getattr(error, "value", 0))


def _words(error: Exception) -> str:
    """What is wrong, and what to do about it where that is known."""
    code = _code(error)
    if not code:
        return "NVML gave a text that is not UTF-8"
    return _WORDS.get(code, f"NVML says {str(error)!r} (error {code})")


def _limit_words(error: Exception) -> str:
    """The same of a limit of memory, for which some errors mean another thing."""
    words = {
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND: (
            "the NVIDIA driver has no limits by control group; 615 or newer has them"
        ),
        pynvml.NVML_ERROR_NOT_FOUND: "there is no such device, or no such control group",
        pynvml.NVML_ERROR_NOT_SUPPORTED: (
            "this device has no such limits (a MIG device has none), or none was ever set there"
        ),
    }
    return words.get(_code(error)) or _words(error)
