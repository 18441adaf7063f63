"""What is used of this session's GPUs, as far as it can be known from inside.

NVML knows devices and the processes on them. A device that is the session's alone, a MIG device
or a whole GPU, tells what the session uses. Of one that is shared it can be told where NVML
names processes of this container, or where the driver (615 and newer) answers for the
container's own control group. Else all that is known is what everybody uses of the device, and
it is called that.

Nothing is asked, and NVML not imported, in a session without a share. Calls block, for seconds
where the driver has to wake a GPU: they are made aside.

Sources: NVIDIA's NVML API reference (release 615); docs/gpu.md for the variables.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

MIB = 2**20
PROC = Path("/proc")
RETRY = 60.0
"""Seconds until a driver that did not answer is asked again."""
_NONE = frozenset({"", "void", "none"})
"""What ``NVIDIA_VISIBLE_DEVICES`` says where there is no GPU."""
_ALONE = frozenset({"whole", "mig"})
"""Isolations under which a device has one session."""
_DEVICE = "/dev/nvidia"
"""What the files begin with that every process on a GPU has open."""


@dataclass(frozen=True, slots=True)
class Share:
    """What the hub tells a session of its share.

    Args:
        uuids: of its devices; empty: all that it sees.
        isolation: the strategy that keeps it to its share.
        memory: bytes of each device; 0: not told.
        sm: percent of each device's multiprocessors that it may use; ``None``: not told.
    """

    uuids: tuple[str, ...] = ()
    isolation: str = ""
    memory: int = 0
    sm: int | None = None

    @property
    def alone(self) -> bool:
        """Whether no other session has anything of its devices."""
        return self.isolation in _ALONE


def share(environ: Mapping[str, str] = os.environ) -> Share | None:
    """This session's share; ``None``: it has none, or one of no real device."""
    visible = environ.get("NVIDIA_VISIBLE_DEVICES", "")
    if visible in _NONE:
        return None
    memory, sm = environ.get("BAI_GPU_MEMORY_MIB", ""), environ.get("BAI_GPU_SM", "")
    isolation = environ.get("BAI_GPU_ISOLATION", "")
    unbounded = isolation in _ALONE or "compute: none" in environ.get("BAI_GPU_ENFORCEMENT", "")
    return Share(
        uuids=tuple(word for word in visible.split(",") if word.startswith(("GPU-", "MIG-"))),
        isolation=isolation,
        memory=int(memory) * MIB if memory.isdecimal() else 0,
        sm=100 if unbounded else int(sm) if sm.isdecimal() else None,
    )


@dataclass(frozen=True, slots=True)
class GpuUse:
    """What is used of a device.

    Args:
        name: the device's model.
        uuid: what NVML calls it.
        memory: bytes in use: by this session where ``own``, else by everybody.
        limit: bytes that this session may use.
        sm: percent of the time in which the device computed for anybody; ``None`` where that
            is not known (a MIG device), or would be taken for this session's.
        sm_limit: percent of its multiprocessors that this session may use.
        own: whether this is the session's use.
    """

    name: str
    uuid: str
    memory: int
    limit: int
    sm: int | None
    sm_limit: int | None
    own: bool

    def told(self) -> dict[str, Any]:
        """The same for JSON."""
        return {
            "name": self.name,
            "uuid": self.uuid,
            "memory": {"used": self.memory, "limit": self.limit},
            "sm": {"used": self.sm, "limit": self.sm_limit},
            "of": "session" if self.own else "device",
        }


class Gpus:
    """The devices of a share. Not safe with threads: one call at a time.

    Args:
        granted: the share.
        proc: where processes are told of.
    """

    def __init__(self, granted: Share, proc: Path = PROC) -> None:
        self._share, self._proc = granted, proc
        self._nvml: ModuleType | None = None
        self._next = 0.0

    def read(self) -> tuple[GpuUse, ...]:
        """What is used now. Never raises for what the driver says, or lacks; it blocks.

        A device that does not answer is left out. NVML stays open while all of them answer.
        """
        if not self._nvml and time.monotonic() < self._next:
            return ()
        self._next = time.monotonic() + RETRY
        try:
            import pynvml  # noqa: PLC0415 - 20 ms and 5 MiB, for sessions with a GPU alone
        except ImportError:
            return ()
        try:
            if not self._nvml:
                pynvml.nvmlInit()
                self._nvml = pynvml
            found = list(self._devices(pynvml))
        except (pynvml.NVMLError, UnicodeError):
            self._close()
            return ()
        if None in found:
            self._close()
            self._next = 0.0
        return tuple(use for use in found if use)

    def _close(self) -> None:
        """Let go: a GPU that was lost is lost until NVML is opened anew."""
        nvml, self._nvml = self._nvml, None
        if nvml:
            with suppress(nvml.NVMLError):
                nvml.nvmlShutdown()

    def _devices(self, nvml: Any) -> Iterator[GpuUse | None]:
        """The share's devices, with ``None`` for a GPU that does not answer."""
        for index in range(nvml.nvmlDeviceGetCount()):
            try:
                gpu = nvml.nvmlDeviceGetHandleByIndex(index)
                for device, mig in _parts(nvml, gpu):
                    uuid = nvml.nvmlDeviceGetUUID(device)
                    if not self._share.uuids or uuid in self._share.uuids:
                        yield self._use(nvml, device, uuid, mig)
            except (nvml.NVMLError, UnicodeError):
                yield None

    def _use(self, nvml: Any, device: Any, uuid: str, mig: bool) -> GpuUse:
        total, used, driver_says_own = _memory(nvml, device)
        alone = mig or self._share.alone
        own = alone or driver_says_own
        if not own and (held := self._held(nvml, device)) is not None:
            used, own = held, True
        return GpuUse(
            name=nvml.nvmlDeviceGetName(device),
            uuid=uuid,
            memory=used,
            limit=self._share.memory or total,
            sm=_busy(nvml, device) if alone or not own else None,
            sm_limit=100 if mig else self._share.sm,
            own=own,
        )

    def _held(self, nvml: Any, device: Any) -> int | None:
        """Bytes that this container's processes hold; ``None`` where NVML names none of them."""
        named: dict[int, int] = {}
        for call in ("Compute", "MPSCompute"):
            listed = _told(nvml, f"nvmlDeviceGet{call}RunningProcesses_v3", device) or ()
            for process in listed:
                # the same one may be in both lists
                named[process.pid] = max(named.get(process.pid, 0), process.usedGpuMemory or 0)
        ours = [memory for pid, memory in named.items() if self._on_a_gpu(pid)]
        return sum(ours) if any(ours) else None

    def _on_a_gpu(self, pid: int) -> bool:
        """Whether this is a process here that has a GPU open.

        NVML may mean the host's process of that number, and another one has it here.
        """
        try:
            opened = list((self._proc / str(pid) / "fd").iterdir())
            return any(str(file.readlink()).startswith(_DEVICE) for file in opened)
        except OSError:
            return False


def _parts(nvml: Any, gpu: Any) -> Iterator[tuple[Any, bool]]:
    """A GPU, or its MIG devices that are seen here; and which of the two."""
    mode = _told(nvml, "nvmlDeviceGetMigMode", gpu)
    if not mode or mode[0] != nvml.NVML_DEVICE_MIG_ENABLE:
        yield gpu, False
        return
    for slot in range(_told(nvml, "nvmlDeviceGetMaxMigDeviceCount", gpu) or 0):
        part = _told(nvml, "nvmlDeviceGetMigDeviceHandleByIndex", gpu, slot)
        if part is not None:
            yield part, True


def _memory(nvml: Any, device: Any) -> tuple[int, int, bool]:
    """A device's bytes, those in use, and whether these are of this control group alone.

    The call's second version leaves out what the driver keeps for itself. From driver 615 on
    it answers within a limited control group for that group: with less in all than there is.
    """
    whole = nvml.nvmlDeviceGetMemoryInfo(device)
    second = _told(nvml, "nvmlDeviceGetMemoryInfo", device, nvml.nvmlMemory_v2) or whole
    return whole.total, second.used, second.total < whole.total


def _busy(nvml: Any, device: Any) -> int | None:
    rates = _told(nvml, "nvmlDeviceGetUtilizationRates", device)
    return None if rates is None else int(rates.gpu)


def _told(nvml: Any, call: str, *args: Any) -> Any:
    """What NVML answers; ``None`` where this driver or device has no answer."""
    try:
        return getattr(nvml, call)(*args)
    except nvml.NVMLError:
        return None
