"""An NVML without a GPU, for tests: the real pynvml loads it, its devices are what a test says.

`library` compiles ``stub.c``, `write_state` says what there is, and a process that is started
with `environment` sees it, at once also when the state is written again meanwhile. It proves
plumbing: what NVIDIA's library really does with a GPU is proven on one.

State and library say what they are asked: nothing here holds a process to a limit.
"""

from __future__ import annotations

import atexit
import functools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MIB = 2**20
GIB = 2**30
NO_LIMIT = 2**64 - 1
"""The hard limit of a control group that has none."""

VARIANTS: Mapping[str, tuple[str, ...]] = {
    "new": (),
    "old": ("-DNO_MEMORY_LIMITS",),
    "ancient": ("-DNO_MEMORY_LIMITS", "-DNO_MIG", "-DNO_OPTIONAL"),
}
"""Drivers by what they lack: 615 and newer nothing, older ones limits, old ones the most."""

_SOURCE = Path(__file__).with_name("stub.c")
_NAME = "libnvidia-ml.so.1"
_FLAGS = ("-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-pthread")
_COMPUTE_MODE = {False: 0, True: 3}
_PROFILE = re.compile(r"(?:(\d)c\.)?(\d)g\.(\d+)gb(?:\+\S+)?")

Processes = Sequence[tuple[int, int | None]]
"""Each one's number and its bytes; ``None``: not told."""
Limits = Mapping[str, tuple[int, int, int]]
"""Bytes by a control group's full path: soft and hard limit, in use."""


@dataclass(frozen=True)
class FakeMig:
    """A MIG device.

    ``named`` is whether its name has its profile, ``fails`` what its calls return.
    """

    uuid: str
    profile: str = "1g.10gb"
    memory: int = 9984 * MIB
    exclusive: bool = False
    lost: bool = False
    named: bool = True
    processes: Processes = ()
    mps_processes: Processes = ()
    fails: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class FakeGpu:
    """A GPU.

    ``mig`` are its slots for MIG devices, ``None`` among them an empty one; without slots it
    is not in MIG mode. ``used`` is what its processes hold where nothing else is said,
    ``reserved`` what the driver keeps for itself, ``fails`` what calls about it return.
    """

    uuid: str
    model: str = "NVIDIA H100 80GB HBM3"
    memory: int = 80 * GIB
    exclusive: bool = False
    utilisation: int = 0
    lost: bool = False
    mig: tuple[FakeMig | None, ...] | None = None
    processes: Processes = ()
    mps_processes: Processes = ()
    limits: Limits = field(default_factory=dict)
    used: int | None = None
    reserved: int = 600 * MIB
    fails: Mapping[str, int] = field(default_factory=dict)


def lacking() -> str:
    """Why there can be no library here; empty when there can."""
    return "" if shutil.which("cc") else "no C compiler: `cc` (Debian: gcc, libc6-dev) is not there"


@functools.cache
def library(variant: str = "new") -> Path:
    """The folder of a compiled ``libnvidia-ml.so.1``; it is gone when this process is."""
    assert not lacking(), lacking()
    folder = Path(tempfile.mkdtemp(prefix="bai-nvml-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    compiled = subprocess.run(
        ["cc", *_FLAGS, *VARIANTS[variant], "-o", str(folder / _NAME), str(_SOURCE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert compiled.returncode == 0, compiled.stderr
    return folder


def functions() -> list[str]:
    """What the newest library can be asked, and made to fail."""
    return re.findall(r"^nvmlReturn_t (nvml\w+)\(", _SOURCE.read_text(), re.MULTILINE)


def write_state(
    path: Path,
    gpus: Iterable[FakeGpu],
    driver: str = "615.71.05",
    cuda: str = "13.4",
    fails: Mapping[str, int] | None = None,
) -> None:
    """What there is from now on, at once for whoever looks. ``fails``: code by function.

    Without the file the driver is not loaded.
    """
    major, minor = cuda.split(".")
    lines = [f"driver {driver}", f"cuda {int(major) * 1000 + int(minor) * 10}"]
    lines += _failures(fails or {})
    for gpu in gpus:
        lines += _gpu(gpu)
    new = path.with_name(f"{path.name}.new")
    # a surrogate stands for a byte that is not UTF-8
    new.write_text("".join(f"{line}\n" for line in lines), errors="surrogateescape")
    new.replace(path)


def environment(variant: str, state: Path) -> dict[str, str]:
    """What a process needs in its environment to find the library and its state."""
    others = os.environ.get("LD_LIBRARY_PATH")
    folders = [str(library(variant)), *([others] if others else [])]
    return {"LD_LIBRARY_PATH": os.pathsep.join(folders), "BAI_NVML_STATE": str(state)}


def _gpu(gpu: FakeGpu) -> list[str]:
    used = _held(gpu) if gpu.used is None else gpu.used
    fields = [gpu.uuid, gpu.memory, gpu.reserved, used, gpu.utilisation]
    flags = [_COMPUTE_MODE[gpu.exclusive], int(gpu.mig is not None), int(gpu.lost)]
    lines = [_line("gpu", *fields, *flags, gpu.model), *_failures(gpu.fails), *_processes(gpu)]
    lines += [_line("limit", cgroup, *limit) for cgroup, limit in gpu.limits.items()]
    for slot, mig in enumerate(gpu.mig or ()):
        if mig:
            lines += _mig(gpu, mig, slot)
    return lines


def _mig(gpu: FakeGpu, mig: FakeMig, slot: int) -> list[str]:
    profile = _PROFILE.fullmatch(mig.profile)
    assert profile, f"{mig.profile} is no profile such as 1g.10gb"
    slices = [profile[2], profile[1] or profile[2], mig.memory // MIB]
    name = f"{gpu.model} MIG {mig.profile}" if mig.named else gpu.model
    flags = [_COMPUTE_MODE[mig.exclusive], int(mig.lost)]
    line = _line("mig", mig.uuid, slot, mig.memory, _held(mig), *slices, *flags, name)
    return [line, *_failures(mig.fails), *_processes(mig)]


def _processes(device: FakeGpu | FakeMig) -> list[str]:
    lists = {"process": device.processes, "mps": device.mps_processes}
    return [
        _line(word, pid, "-" if memory is None else memory)
        for word, processes in lists.items()
        for pid, memory in processes
    ]


def _held(device: FakeGpu | FakeMig) -> int:
    return sum({pid: m or 0 for pid, m in (*device.processes, *device.mps_processes)}.values())


def _failures(fails: Mapping[str, int]) -> list[str]:
    return [_line("fail", function, code) for function, code in fails.items()]


def _line(*words: object) -> str:
    return " ".join(map(str, words))
