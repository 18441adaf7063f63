"""Strategies: where each can work, what it puts into a container, and what it reads back.

The programs of NVIDIA's that are asked are stand-ins (`tests.nvidia`): what is proven is how
their answers are read. That a share holds is proven on a GPU alone.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from bai_spawner.enforcement import Enforcement, Faults, Level
from bai_spawner.gpu import host as host_module
from bai_spawner.gpu.device import Device, Inventory, Kind, MemoryLimit
from bai_spawner.gpu.host import Host, cgroup_of
from bai_spawner.gpu.inventory import NvmlError
from bai_spawner.gpu.isolation import Choice, Fit, Injection, Strategy, Unfit, Units, choose
from bai_spawner.gpu.isolation import memcap as memcap_module
from bai_spawner.gpu.isolation import mps_v2 as mps_module
from bai_spawner.gpu.isolation.memcap import Memcap
from bai_spawner.gpu.isolation.mig import Mig
from bai_spawner.gpu.isolation.mps_v2 import MpsV2
from bai_spawner.gpu.isolation.simulated import Simulated
from bai_spawner.gpu.isolation.strategy import Bind, Started
from bai_spawner.gpu.isolation.timeslice import Timeslice
from bai_spawner.gpu.isolation.whole import Whole
from bai_spawner.gpu.mps import CONTROL, Control, MpsError, pipe_directory
from bai_spawner.gpu.processes import container_of
from bai_spawner.gpu.share import memory_mib, sm_percent, usable_mib
from bai_spawner.labels import GpuCap
from bai_spawner.units import GIB, MIB
from tests import nvidia

MODEL = "NVIDIA H100 80GB HBM3"
PLAIN = Device("GPU-a", 0, MODEL, 80 * GIB)
EXCLUSIVE = replace(PLAIN, uuid="GPU-e", exclusive=True)
BARE = replace(PLAIN, uuid="GPU-m", mig_mode=True)
PART = Device("MIG-a", 0, MODEL, 9984 * MIB, Kind.MIG, parent="GPU-m", profile="1g.10gb")
THERE_NOT = Device("SIMULATED-0", 0, "GPU", 80 * GIB, Kind.SIMULATED)
DEVICES = (PLAIN, EXCLUSIVE, BARE, PART, THERE_NOT)
USABLE = 79 * 1024
FIFTH = USABLE // 5
ABLE = Host(driver="615.71.05", memory_limits=True, cgroup="2", toolkit=(1, 20, 1))
CONTAINER, OTHER = "a" * 64, "b" * 64
ANSWERS = """
read -r said
cd "$CUDA_MPS_PIPE_DIRECTORY/answers" || exit 1
echo "$said" >> ../told
[ ! -e "$said" ] || exec cat "$said"
"""
"""What `tests.nvidia.mps_control` does, in a shell, which starts in a tenth of the time."""


class FakeNvml:
    """Answers for limits of memory what a test says, by device."""

    def __init__(self, **limits: MemoryLimit | NvmlError | None) -> None:
        self.limits = {name.replace("_", "-"): limit for name, limit in limits.items()}
        self.asked: list[tuple[str, str]] = []

    def memory_limit(self, uuid: str, cgroup: str) -> MemoryLimit | None:
        self.asked.append((uuid, cgroup))
        found = self.limits[uuid]
        if isinstance(found, NvmlError):
            raise found
        return found


def at_most(size: int) -> MemoryLimit:
    return MemoryLimit(size, size, 0)


def units(per_gpu: int = 5, reserve: int = GIB) -> Units:
    return Units(per_gpu, reserve)


def cap(isolation: str, memory: int = FIFTH, sm: int = 20) -> GpuCap:
    return GpuCap(isolation, memory, sm, Enforcement())


def started(isolation: str, *devices: str, memory: int = FIFTH, sm: int = 20) -> Started:
    return Started(CONTAINER, 7, devices or ("GPU-a",), cap(isolation, memory, sm))


@dataclass
class Daemons:
    """MPS daemons of this host, each a folder in which a stand-in program finds its answers."""

    root: Path
    bin: Path
    strategy: MpsV2 = field(init=False)
    there: tuple[Device, ...] = (EXCLUSIVE,)

    def __post_init__(self) -> None:
        self.strategy = self.of(5)

    def of(self, per_gpu: int, host: Host = ABLE, reserve: int = GIB) -> MpsV2:
        return MpsV2(
            units(per_gpu, reserve), str(self.root), lambda: host, lambda: Inventory(self.there)
        )

    def has(self, device: str = "GPU-e", **said: Any) -> Path:
        limits = {"percent": "20.0", "memory": f"{FIFTH}M"}
        pipe = nvidia.mps_daemon(self.root, device, **(limits | said))
        (pipe / "answers").mkdir(exist_ok=True)
        for command, answer in json.loads((pipe / "answers.json").read_text()).items():
            (pipe / "answers" / command).write_text(f"{answer}\n")
        return pipe

    def printing(self, script: str) -> None:
        """Let the program do this instead, whatever it is asked."""
        program = self.bin / CONTROL
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)


@pytest.fixture
def daemons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Daemons:
    made = Daemons(tmp_path / "mps", tmp_path / "bin")
    made.bin.mkdir()
    made.printing(ANSWERS)
    monkeypatch.setenv("PATH", f"{made.bin}:/usr/bin:/bin")
    # whoever runs the tests is not the user that sessions are
    monkeypatch.setattr(mps_module, "UID", os.getuid() + 1)
    return made


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /proc in which a test puts processes."""
    place = tmp_path / "proc"
    monkeypatch.setattr(memcap_module, "cgroup_of", functools.partial(cgroup_of, proc=place))
    monkeypatch.setattr(mps_module, "container_of", functools.partial(container_of, proc=place))
    return place


def runs(proc: Path, pid: int, groups: str | bytes) -> None:
    """Put a process there, with these control groups."""
    file = proc / str(pid) / "cgroup"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(groups if isinstance(groups, bytes) else groups.encode())


def reason(found: Fit | Unfit) -> str:
    assert isinstance(found, Unfit)
    return found.reason


# ---- whole, timeslice -----------------------------------------------------------------


@pytest.mark.parametrize("strategy", [Whole(units()), Timeslice(units())])
@pytest.mark.parametrize(
    ("device", "told"),
    [
        (EXCLUSIVE, "its compute mode is EXCLUSIVE_PROCESS, which lets one process in"),
        (PART, "it is a MIG device, which is given whole: choose isolation mig or auto"),
        (BARE, "it is in MIG mode and has no MIG devices: lay them out with nvidia-smi mig"),
    ],
)
def test_what_no_second_process_can_use_or_mig_has_divided_is_not_shared(
    strategy: Strategy, device: Device, told: str
) -> None:
    assert told in reason(strategy.probe(device))


def test_a_whole_gpu_comes_with_all_of_its_memory_and_in_one_size() -> None:
    assert Whole(units()).probe(PLAIN) == Fit(5, 80 * 1024, 5, size=5, together=64)


def test_time_slices_divide_a_gpu_into_parts_of_any_size_without_the_reserve() -> None:
    assert Timeslice(units()).probe(PLAIN) == Fit(5, USABLE, 5, together=64)


@pytest.mark.parametrize(
    "strategy", [Whole(units()), Timeslice(units()), Mig(units(), {}), Simulated(units())]
)
def test_strategies_that_only_count_add_nothing_and_read_nothing_back(strategy: Strategy) -> None:
    assert strategy.inject(("GPU-a",), cap(strategy.name)) == Injection()
    session = started(strategy.name)
    assert strategy.mismatch(session) == ""
    strategy.release(session)


@pytest.mark.parametrize("strategy", [Timeslice(units()), Simulated(units())])
@pytest.mark.parametrize("memory", [0, 512 * MIB, GIB, GIB + 4 * MIB])
def test_a_gpu_of_which_the_reserve_leaves_shares_no_memory_is_not_handed_out(
    strategy: Strategy, memory: int
) -> None:
    kind = Kind.SIMULATED if strategy.name == "simulated" else Kind.GPU
    assert "reserve" in reason(strategy.probe(replace(PLAIN, memory=memory, kind=kind)))


# ---- mig ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profile", "per_gpu", "quanta"),
    [
        ("1g.10gb", 7, 1),
        ("3g.40gb", 7, 3),
        ("7g.80gb", 7, 7),
        ("7g.80gb", 5, 5),
        ("2g.20gb", 14, 4),
        ("1g.10gb+me", 7, 1),
        ("1g.24gb+me.all", 7, 1),
    ],
)
def test_a_mig_device_counts_as_its_slices_where_the_catalogue_says_nothing(
    profile: str, per_gpu: int, quanta: int
) -> None:
    found = Mig(units(per_gpu), {}).probe(replace(PART, profile=profile, slices=7))
    assert found == Fit(quanta, 9984, quanta, size=quanta)


def test_a_gpu_of_four_slices_is_whole_with_four() -> None:
    """An A30: NVML tells how many MIG devices it has room for."""
    four = replace(PART, profile="4g.24gb", slices=4)
    assert Mig(units(5), {}).probe(four) == Fit(5, 9984, 5, size=5)
    one = replace(PART, profile="1g.6gb", slices=4)
    assert "no whole number" in reason(Mig(units(5), {}).probe(one))


def test_a_mig_device_that_lets_one_process_in_is_not_handed_out() -> None:
    told = reason(Mig(units(), {"1g.10gb": 1}).probe(replace(PART, exclusive=True)))
    assert "EXCLUSIVE_PROCESS" in told


def test_mps_gives_no_less_than_a_percent() -> None:
    strategy = MpsV2(units(200), "/run/mps", lambda: Host(driver="615.71.05"), Inventory)
    assert "100 steps at most" in reason(strategy.probe(EXCLUSIVE))


def test_a_mig_device_counts_as_what_the_catalogue_says() -> None:
    assert Mig(units(), {"1g.10gb": 2}).probe(PART) == Fit(2, 9984, 2, size=2)


@pytest.mark.parametrize(
    ("profile", "told"),
    [
        ("1g.10gb", "a 1g.10gb is no whole number of steps"),
        ("1g.10gb", "under gpu.mig.1g.10gb"),
        ("", "a part is no whole number of steps"),
        ("9g.90gb", "a 9g.90gb is no whole number of steps"),
        ("1g.10gb\n", "is no whole number of steps"),
        ("١g.10gb", "is no whole number of steps"),
        ("1c.2g.20gb", "1c.2g.20gb is a compute instance, which shares its memory with others"),
    ],
)
def test_a_mig_device_that_is_no_whole_number_of_steps_is_not_handed_out(
    profile: str, told: str
) -> None:
    assert told in reason(Mig(units(5), {}).probe(replace(PART, profile=profile)))


@pytest.mark.parametrize(
    ("device", "told"),
    [
        (PLAIN, "MIG is off: bai-spawner gpu setup mig"),
        (EXCLUSIVE, "MIG is off"),
        (THERE_NOT, "MIG is off"),
        (BARE, "it is in MIG mode and has no MIG devices"),
    ],
)
def test_what_is_no_mig_device_is_none(device: Device, told: str) -> None:
    assert told in reason(Mig(units(), {}).probe(device))


# ---- memcap ---------------------------------------------------------------------------


def memcap(host: Host = ABLE, nvml: Any = None, per_gpu: int = 5) -> Memcap:
    return Memcap(units(per_gpu), nvml or FakeNvml(), lambda: host)


def test_where_driver_groups_and_toolkit_can_do_it_memory_is_limited() -> None:
    assert memcap().probe(PLAIN) == Fit(5, USABLE, 5, together=64)
    newer = replace(ABLE, toolkit=(2, 0, 0))
    assert memcap(newer).probe(PLAIN) == Fit(5, USABLE, 5, together=64)


@pytest.mark.parametrize(
    ("lacking", "told"),
    [
        (
            {"memory_limits": False, "driver": "550.54.15"},
            "driver 615 or newer is needed, found 550.54.15",
        ),
        ({"memory_limits": False, "driver": ""}, "driver 615 or newer is needed, found none"),
        ({"cgroup": "1"}, "control groups v2 are needed, the engine has v1"),
        ({"cgroup": ""}, "control groups v2 are needed, the engine has v?"),
        ({"toolkit": ()}, "nvidia-container-toolkit 1.20.1 is needed, found none"),
        ({"toolkit": (1, 20, 0)}, "nvidia-container-toolkit 1.20.1 is needed, found 1.20.0"),
        ({"toolkit": (1, 9, 9)}, "nvidia-container-toolkit 1.20.1 is needed, found 1.9.9"),
    ],
)
def test_what_a_host_lacks_for_limits_of_memory_is_told_alone(
    lacking: dict[str, Any], told: str
) -> None:
    assert reason(memcap(replace(ABLE, **lacking)).probe(PLAIN)) == told


def test_all_that_a_host_lacks_for_limits_of_memory_is_told_at_once() -> None:
    told = reason(memcap(Host()).probe(EXCLUSIVE))
    assert len(told.split("; ")) == 4
    assert "its compute mode is EXCLUSIVE_PROCESS" in told


@pytest.mark.parametrize(("device", "told"), [(PART, "MIG device"), (BARE, "in MIG mode")])
def test_memory_of_what_mig_divides_is_not_limited_otherwise(device: Device, told: str) -> None:
    assert told in reason(memcap().probe(device))


def test_a_limit_of_memory_comes_as_both_variables_in_mib() -> None:
    assert memcap().inject(("GPU-a", "GPU-b"), cap("memcap", memory=16179)) == Injection(
        env={"NVIDIA_GPU_MEMORY_REQUEST": "16179", "NVIDIA_GPU_MEMORY_LIMIT": "16179"}
    )


NO_LIMIT = "no limit of memory is in force on GPU-a: is the toolkit's hook"


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        (at_most(FIFTH * MIB), ""),
        (None, NO_LIMIT),
        (
            at_most(2 * FIFTH * MIB),
            f"{2 * FIFTH * MIB} bytes are the limit on GPU-a, not the {FIFTH * MIB}",
        ),
        (at_most(FIFTH * MIB - 1), f"{FIFTH * MIB - 1} bytes are the limit on GPU-a"),
        (NvmlError("it fell off the bus"), "cannot be read back: it fell off the bus"),
    ],
)
def test_the_limit_that_is_in_force_is_read_back(
    proc: Path, limit: MemoryLimit | NvmlError | None, told: str
) -> None:
    runs(proc, 7, f"0::/system.slice/docker-{CONTAINER}.scope\n")
    nvml = FakeNvml(GPU_a=limit)
    found = memcap(nvml=nvml).mismatch(started("memcap"))
    assert told in found
    assert bool(found) == bool(told)
    place = f"/sys/fs/cgroup/system.slice/docker-{CONTAINER}.scope"
    assert nvml.asked == [("GPU-a", place)]


def test_the_limit_is_read_back_on_each_device(proc: Path) -> None:
    runs(proc, 7, f"0::/docker/{CONTAINER}\n")
    nvml = FakeNvml(GPU_a=at_most(FIFTH * MIB), GPU_b=None)
    told = memcap(nvml=nvml).mismatch(started("memcap", "GPU-a", "GPU-b"))
    assert "no limit of memory is in force on GPU-b" in told


@pytest.mark.parametrize("groups", [None, "", f"4:memory:/docker/{CONTAINER}\n"])
def test_a_session_whose_control_group_is_not_found_has_no_limit_that_is_known(
    proc: Path, groups: str | None
) -> None:
    if groups is not None:
        runs(proc, 7, groups)
    assert memcap().mismatch(started("memcap")) == "its control group cannot be found"


def test_a_control_group_of_odd_bytes_is_asked_for_as_it_is(proc: Path) -> None:
    runs(proc, 7, b"0::/odd-\xff\xfe/docker/" + CONTAINER.encode() + b"\n")
    nvml = FakeNvml(GPU_a=at_most(FIFTH * MIB))
    assert memcap(nvml=nvml).mismatch(started("memcap")) == ""
    assert os.fsencode(
        nvml.asked[0][1]
    ) == f"/sys/fs/cgroup/odd-\xff\xfe/docker/{CONTAINER}".encode("latin-1")


# ---- mps-v2 ---------------------------------------------------------------------------


def test_a_daemon_divides_its_gpu_into_shares_of_its_one_size(daemons: Daemons) -> None:
    daemons.has()
    assert daemons.strategy.probe(EXCLUSIVE) == Fit(5, USABLE, 5, size=1, together=1)


def test_a_gpu_that_shares_do_not_divide_evenly_gives_only_whole_ones(daemons: Daemons) -> None:
    daemons.has(percent="40", memory=f"{USABLE * 2 // 5}M")
    assert daemons.strategy.probe(EXCLUSIVE) == Fit(4, USABLE, 5, size=2, together=1)


def test_a_daemon_may_tell_whole_gib(daemons: Daemons) -> None:
    daemons.has(memory=f"{FIFTH // 1024}G")
    assert daemons.strategy.probe(EXCLUSIVE) == Fit(5, USABLE, 5, size=1, together=1)
    daemons.has(memory=f"{FIFTH // 1024 + 1}G")
    assert "limits are no share of it" in reason(daemons.strategy.probe(EXCLUSIVE))


NO_SHARE = "its MPS daemon's limits are no share of it"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"percent": "100.0", "memory": "0M"}, NO_SHARE),
        ({"percent": "21.0"}, NO_SHARE),
        ({"percent": "0"}, NO_SHARE),
        ({"percent": "999"}, NO_SHARE),
        ({"memory": f"{FIFTH + 1}M"}, NO_SHARE),
        ({"percent": ""}, "said '' where a percentage was asked for"),
        ({"percent": "20.5"}, "said '20.5' where a percentage was asked for"),
        ({"percent": "twenty"}, "said 'twenty' where a percentage"),
        ({"percent": "٢٠"}, "where a percentage was asked for"),
        ({"percent": "-20"}, "where a percentage was asked for"),
        ({"percent": "nan"}, "where a percentage was asked for"),
        ({"memory": ""}, "said '' where a limit of memory was asked for"),
        ({"memory": "16179"}, "where a limit of memory was asked for"),
        ({"memory": "16179MB"}, "where a limit of memory was asked for"),
        ({"memory": f"{FIFTH}M\n0M"}, "where a limit of memory was asked for"),
        ({"clients": {"Server": []}}, "answered get_server_list with 'Server'"),
    ],
)
def test_a_daemon_that_says_what_is_no_share_or_not_documented_divides_nothing(
    daemons: Daemons, said: dict[str, Any], told: str
) -> None:
    daemons.has(**said)
    assert told in reason(daemons.strategy.probe(EXCLUSIVE))


def test_where_no_server_holds_the_gpu_yet_it_is_open_and_not_handed_out(daemons: Daemons) -> None:
    pipe = daemons.has(clients={nvidia.SERVER: []})
    (pipe / "answers" / "get_server_list").write_text("\n")
    told = reason(daemons.strategy.probe(EXCLUSIVE))
    assert told == f"no MPS server holds it yet: tell its daemon start_server -uid {mps_module.UID}"
    assert daemons.strategy.mismatch(started("mps-v2", "GPU-e")) == "no MPS server holds the GPU"


def test_a_daemon_that_is_away_is_told_with_what_to_do(daemons: Daemons) -> None:
    told = reason(daemons.strategy.probe(EXCLUSIVE))
    assert "no MPS daemon has its folder at" in told
    assert "bai-spawner gpu setup mps-v2" in told
    pipe_directory(str(daemons.root), "GPU-e").mkdir(parents=True)
    told = reason(daemons.strategy.probe(EXCLUSIVE))
    assert "no MPS daemon answers at" in told
    session = started("mps-v2", "GPU-e")
    assert "the limits of MPS cannot be read back" in daemons.strategy.mismatch(session)


def test_a_program_that_is_missing_or_cannot_be_run_is_told(daemons: Daemons) -> None:
    daemons.has()
    program = daemons.bin / CONTROL
    program.write_text("no program at all")
    assert "does not answer at" in reason(daemons.strategy.probe(EXCLUSIVE))
    program.unlink()
    told = f"{CONTROL} is not installed here: it comes with the driver"
    assert told in reason(daemons.strategy.probe(EXCLUSIVE))
    assert told in daemons.strategy.mismatch(started("mps-v2", "GPU-e"))
    with pytest.raises(MpsError, match="is not installed here"):
        daemons.strategy.release(started("mps-v2", "GPU-e"))


def test_a_daemon_that_does_not_answer_in_time_is_away(
    daemons: Daemons, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemons.has()
    daemons.printing("exec sleep 30")
    monkeypatch.setattr("bai_spawner.gpu.mps.ASK_SECONDS", 0.1)
    assert "does not answer at" in reason(daemons.strategy.probe(EXCLUSIVE))


@pytest.mark.parametrize(
    "script",
    [
        "head -c 1000000 /dev/zero | tr '\\0' 7",
        "head -c 1000000 /dev/zero | tr '\\0' x",
        "head -c 1000000 /dev/zero",
        "yes 77 | head -c 1000000",
        "printf '\\377\\376'",
        "printf '\\377\\376' >&2; exit 1",
        "head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 1",
        "kill -9 $$",
    ],
)
def test_whatever_a_daemon_prints_is_an_error_in_few_words(daemons: Daemons, script: str) -> None:
    daemons.has()
    daemons.printing(script)
    assert len(reason(daemons.strategy.probe(EXCLUSIVE))) < 1000
    session = started("mps-v2", "GPU-e")
    assert 0 < len(daemons.strategy.mismatch(session)) < 1000
    if not script.startswith("yes"):
        with pytest.raises(MpsError) as failed:
            daemons.strategy.release(session)
        assert len(str(failed.value)) < 1000


def test_a_daemon_that_sessions_may_command_keeps_nobody_to_anything(
    daemons: Daemons, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemons.has()
    monkeypatch.setattr(mps_module, "UID", os.getuid())
    assert "one that sessions may command: run it as root" in reason(
        daemons.strategy.probe(EXCLUSIVE)
    )


@pytest.mark.parametrize(
    ("device", "told"),
    [
        (PLAIN, "lets processes around MPS: nvidia-smi -i GPU-a -c EXCLUSIVE_PROCESS"),
        (PART, "it is a MIG device"),
        (BARE, "it is in MIG mode"),
    ],
)
def test_mps_takes_a_gpu_whole_and_for_itself(daemons: Daemons, device: Device, told: str) -> None:
    daemons.has(device.uuid)
    assert told in reason(daemons.strategy.probe(device))


@pytest.mark.parametrize("driver", ["", "470.82.01", "549.99", "garbage"])
def test_a_driver_before_550_shares_more_than_the_gpu(daemons: Daemons, driver: str) -> None:
    daemons.has()
    old = daemons.of(5, Host(driver=driver))
    told = f"driver 550 or newer is needed, found {driver or 'none'}"
    assert reason(old.probe(EXCLUSIVE)) == told
    assert isinstance(daemons.of(5, Host(driver="550.1")).probe(EXCLUSIVE), Fit)


def test_a_session_finds_its_daemon_where_the_variable_says_and_without_it(
    daemons: Daemons,
) -> None:
    pipe = daemons.root / "GPU-e" / "pipe"
    assert daemons.strategy.inject(("GPU-e",), cap("mps-v2")) == Injection(
        env={"CUDA_MPS_PIPE_DIRECTORY": "/run/bai-mps"},
        binds=(Bind(pipe, "/run/bai-mps"), Bind(pipe, "/tmp/nvidia-mps")),
    )


def test_a_compute_mode_that_was_changed_meanwhile_is_noticed(daemons: Daemons) -> None:
    daemons.has()
    assert daemons.strategy.mismatch(started("mps-v2", "GPU-e")) == ""
    for there in ((replace(EXCLUSIVE, exclusive=False),), ()):
        daemons.there = there
        assert "lets processes around" in daemons.strategy.mismatch(started("mps-v2", "GPU-e"))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({}, ""),
        ({"percent": "20"}, ""),
        ({"memory": f"{FIFTH // 1024}G"}, ""),
        ({"percent": "40.0"}, "MPS gives each process 40 % of the GPU, not the 20 %"),
        ({"memory": f"{FIFTH * 2}M"}, f"MPS's limit of memory is not the {FIFTH} MiB"),
        ({"memory": f"{FIFTH // 1024 + 1}G"}, f"MPS's limit of memory is not the {FIFTH} MiB"),
        ({"memory": "lots"}, "the limits of MPS cannot be read back"),
        ({"percent": ""}, "the limits of MPS cannot be read back"),
    ],
)
def test_the_limits_of_the_daemon_are_read_back(
    daemons: Daemons, said: dict[str, str], told: str
) -> None:
    daemons.has(**said)
    found = daemons.strategy.mismatch(started("mps-v2", "GPU-e"))
    assert told in found
    assert bool(found) == bool(told)


def test_what_was_written_for_a_share_is_that_share_whatever_the_units(tmp_path: Path) -> None:
    """`gpu setup mps-v2` writes these numbers into the daemon; they are read back as that part."""
    for per_gpu in (1, 2, 3, 5, 7, 10, 64, 100):
        for part in range(1, per_gpu + 1):
            percent, memory = sm_percent(part, per_gpu), memory_mib(USABLE, part, per_gpu)

            class Daemon(Control):
                said: Mapping[str, str] = {
                    "get_default_active_thread_percentage": f"{percent}.0",
                    "get_default_device_pinned_mem_limit 0": f"{memory}M",
                    "get_server_list": "77",
                }

                def owner(self) -> int:
                    return 0

                def _ask(self, command: str) -> str:
                    return self.said[command]

            strategy = MpsV2(units(per_gpu), str(tmp_path), lambda: ABLE, Inventory, Daemon)
            found = strategy.probe(EXCLUSIVE)
            whole = per_gpu // part * part
            assert found == Fit(whole, USABLE, per_gpu, size=part, together=1)


# ---- the end of a session under MPS ---------------------------------------------------

SESSION_GROUPS = [
    f"0::/docker/{CONTAINER}\n",
    f"0::/system.slice/docker-{CONTAINER}.scope\n",
    f"0::/docker/{OTHER}/docker/{CONTAINER}\n",
    f"0::/docker/{OTHER}/system.slice/docker-{CONTAINER}.scope\n",
    f"0::/kubepods.slice/cri-containerd-{OTHER}.scope/docker/{CONTAINER}\n",
    f"0::/docker/{CONTAINER}/init\n",
    f"0::/docker/{OTHER}/{CONTAINER}\n",
    f"12:pids:/docker/{CONTAINER}\n4:memory:/docker/{CONTAINER}\n1:name=systemd:/docker/{CONTAINER}\n",
    f"12:pids:/docker/{CONTAINER}\n1:name=systemd:/docker/{CONTAINER}\n0::/\n",
    f"1:name=systemd:/system.slice/docker-{CONTAINER}.scope\n0::/system.slice/containerd.service\n",
    f"5:cpu,cpuacct:/docker/{OTHER}/docker/{CONTAINER}\n0::/docker/{OTHER}/docker/{CONTAINER}\n",
]
NOT_ITS = [
    "",
    "0::/\n",
    "0::/user.slice/user-1000.slice/session-1.scope\n",
    f"0::/docker/{OTHER}\n",
    f"0::/docker/{CONTAINER}/docker/{OTHER}\n",
    f"0::/docker/{CONTAINER[:-1]}\n",
    f"0::/docker/{CONTAINER}a\n",
    f"0::/docker/x{CONTAINER}\n",
    f"0::/docker/{CONTAINER.upper()}\n",
    "0::/docker/" + "\N{FULLWIDTH LATIN SMALL LETTER A}" * 64 + "\n",
    "x" * 10**6,
    "/" * 10**6,
    "0::/" + "a/" * 10**5,
]


@pytest.mark.parametrize("groups", SESSION_GROUPS)
def test_the_innermost_container_of_a_process_is_found_in_every_layout(
    proc: Path, groups: str
) -> None:
    runs(proc, 7, groups)
    assert container_of(7, proc) == CONTAINER


@pytest.mark.parametrize("groups", NOT_ITS, ids=range(len(NOT_ITS)))
def test_what_is_in_no_container_or_in_another_is_not_in_this_one(proc: Path, groups: str) -> None:
    runs(proc, 7, groups)
    assert container_of(7, proc) != CONTAINER


def test_a_process_that_is_gone_is_in_no_container(proc: Path) -> None:
    assert container_of(7, proc) == ""
    assert cgroup_of(7, proc) == ""


def test_bytes_that_are_no_text_do_not_hide_a_container(proc: Path) -> None:
    runs(proc, 7, b"0::/odd-\xff\xfe/docker/" + CONTAINER.encode() + b"\n")
    assert container_of(7, proc) == CONTAINER
    assert cgroup_of(7, proc).endswith(f"/docker/{CONTAINER}")


def test_a_real_process_is_in_the_group_that_the_kernel_says() -> None:
    groups = Path("/proc/self/cgroup").read_text()
    if "0::" not in groups:
        pytest.skip("this host has control groups v1 alone")
    place = groups.split("0::")[1].splitlines()[0]
    assert cgroup_of(os.getpid()) == str(Path("/sys/fs/cgroup") / place.lstrip("/"))


@pytest.fixture
def crowd(daemons: Daemons, proc: Path) -> Path:
    """A daemon's folder: clients 11 and 12 are the session's, 13 to 16 are not, or are gone."""
    runs(proc, 11, f"0::/system.slice/docker-{CONTAINER}.scope\n")
    runs(proc, 12, f"4:memory:/docker/{CONTAINER}\n")
    runs(proc, 13, f"0::/system.slice/docker-{OTHER}.scope\n")
    runs(proc, 14, "0::/user.slice\n")
    runs(proc, 16, f"0::/docker/{CONTAINER}/docker/{OTHER}\n")
    return daemons.has(clients={77: [11, 13, 15], 78: [14, 12, 16]})


def ended(pipe: Path) -> list[str]:
    return [line for line in nvidia.told(pipe) if line.startswith("terminate_client")]


def test_a_sessions_own_clients_are_ended_and_nobody_elses(daemons: Daemons, crowd: Path) -> None:
    daemons.strategy.release(started("mps-v2", "GPU-e"))
    assert ended(crowd) == ["terminate_client 77 11", "terminate_client 78 12"]


def test_a_client_that_cannot_be_ended_does_not_keep_the_others(
    daemons: Daemons, crowd: Path
) -> None:
    """One may be gone between the list and its end; the next would break its neighbours."""
    gone = '[ "$said" != "terminate_client 77 11" ] || exit 1'
    daemons.printing(ANSWERS.replace("cd", f"{gone}\ncd", 1))
    with pytest.raises(MpsError):
        daemons.strategy.release(started("mps-v2", "GPU-e"))
    assert ended(crowd) == ["terminate_client 78 12"]


def test_where_nobody_is_a_client_nobody_is_ended(daemons: Daemons) -> None:
    pipe = daemons.has()
    daemons.strategy.release(started("mps-v2", "GPU-e"))
    assert ended(pipe) == []


# ---- simulated ------------------------------------------------------------------------


def test_what_is_not_there_is_divided_like_a_gpu_and_promises_nothing() -> None:
    simulated = Simulated(units())
    assert simulated.probe(THERE_NOT) == Fit(5, USABLE, 5, together=64)
    assert (simulated.enforcement, simulated.attached) == (Enforcement(), False)
    for device in (PLAIN, EXCLUSIVE, PART, BARE):
        assert reason(simulated.probe(device)) == "it is a real one"


# ---- the toolkit ----------------------------------------------------------------------

CLI, CTK = "nvidia-container-runtime", "nvidia-ctk"
VERSION = "NVIDIA Container Toolkit CLI version {}"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Put a program on a PATH that has no other of NVIDIA's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def put(name: str, script: str) -> None:
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)

    return put


def says(text: str) -> str:
    return f"#!/bin/sh\n/bin/cat <<'END'\n{text}\nEND\n"


@pytest.mark.parametrize(
    ("programs", "found"),
    [
        ({}, ()),
        ({CTK: says(VERSION.format("1.20.1") + "\ncommit: abc")}, (1, 20, 1)),
        ({CTK: says(VERSION.format("1.13.5"))}, (1, 13, 5)),
        ({CLI: says("cli-version: 1.20.1\nlib-version: 1.20.1")}, (1, 20, 1)),
        ({CTK: says(VERSION.format("1.20.1-rc.2"))}, (1, 20, 1)),
        ({CLI: says("nothing"), CTK: says(VERSION.format("1.17.8"))}, (1, 17, 8)),
        ({CLI: "#!/nowhere\n", CTK: says(VERSION.format("1.17.8"))}, (1, 17, 8)),
        ({CTK: says("version 1.20")}, ()),
        ({CTK: says("version 12345.20.1 and ١.٢.٣")}, ()),
        ({CTK: "#!/bin/sh\nprintf '\\377\\376 1.20.1'\n"}, (1, 20, 1)),
        ({CTK: "#!/bin/sh\nexit 1\n"}, ()),
        ({CTK: says("9" * 10**6)}, ()),
    ],
)
def test_the_toolkits_version_is_what_one_of_its_programs_says(
    program: Callable[[str, str], None], programs: dict[str, str], found: tuple[int, ...]
) -> None:
    for name, script in programs.items():
        program(name, script)
    assert host_module.toolkit() == found


def test_a_toolkit_that_hangs_is_none(
    program: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    program(CLI, "#!/bin/sh\nexec /bin/sleep 30\n")
    monkeypatch.setattr(host_module, "ASK_SECONDS", 0.1)
    assert host_module.toolkit() == ()


@pytest.mark.parametrize(
    ("driver", "major"), [("615.71.05", 615), ("550", 550), ("", 0), ("x.1", 0), (".", 0)]
)
def test_a_drivers_branch_is_the_first_of_its_numbers(driver: str, major: int) -> None:
    assert Host(driver=driver).driver_major == major


# ---- what a share comes to ------------------------------------------------------------


def test_all_shares_together_are_never_more_than_there_is() -> None:
    for whole, memory in itertools.product((1, 2, 3, 5, 7, 10, 500), (0, 1, 1023, 81920)):
        usable = usable_mib(memory * MIB + 3, GIB)
        assert 0 <= usable <= max(0, memory - 1024)
        for parts in ([1] * whole, [whole], [whole - whole // 2, whole // 2]):
            assert sum(memory_mib(usable, part, whole) for part in parts) <= usable
            assert sum(sm_percent(part, whole) for part in parts) <= 100
        assert (memory_mib(usable, whole, whole), sm_percent(whole, whole)) == (usable, 100)


def test_a_reserve_that_is_no_whole_mib_is_kept_back_whole() -> None:
    assert usable_mib(10 * MIB, 1) == 9
    assert usable_mib(10 * MIB - 1, 0) == 9
    assert usable_mib(10 * MIB, 2**63 - 1) == 0


# ---- which strategy -------------------------------------------------------------------


class Willing(Control):
    """A daemon that has set the size of one share."""

    def owner(self) -> int:
        return 0

    def _ask(self, command: str) -> str:
        return {
            "get_default_active_thread_percentage": "20.0",
            "get_default_device_pinned_mem_limit 0": f"{FIFTH}M",
        }.get(command, "77")


class Away(Control):
    """No daemon."""

    def owner(self) -> int:
        raise MpsError("no MPS daemon has its folder there")


def made(per_gpu: int, host: Host, control: type[Control]) -> dict[str, Strategy]:
    all_of_them: tuple[Strategy, ...] = (
        Whole(units(per_gpu)),
        Mig(units(per_gpu), {"1g.10gb": 1}),
        memcap(host, per_gpu=per_gpu),
        MpsV2(units(per_gpu), "/run/bai-mps", lambda: host, Inventory, control),
        Timeslice(units(per_gpu)),
        Simulated(units(per_gpu)),
    )
    return {strategy.name: strategy for strategy in all_of_them}


def chosen(
    device: Device,
    isolation: str = "auto",
    required: Enforcement | None = None,
    *,
    per_gpu: int = 5,
    control: type[Control] = Willing,
) -> Choice:
    strategies = made(per_gpu, ABLE, control)
    return choose(device, isolation, required or Enforcement(), strategies, per_gpu=per_gpu)


@pytest.mark.parametrize(
    ("device", "per_gpu", "strategy"),
    [
        (PLAIN, 1, "whole"),
        (EXCLUSIVE, 5, "mps-v2"),
        (PART, 5, "mig"),
        (PART, 1, "mig"),
        (THERE_NOT, 5, "simulated"),
        (THERE_NOT, 1, "simulated"),
    ],
)
def test_auto_takes_the_strategy_of_the_kind_of_device_and_of_the_units(
    device: Device, per_gpu: int, strategy: str
) -> None:
    choice = chosen(device, per_gpu=per_gpu)
    assert choice.fit
    assert choice.strategy
    assert choice.strategy.name == strategy
    assert choice.reason == ""


@pytest.mark.parametrize(
    ("device", "per_gpu", "told"),
    [
        (PLAIN, 5, "isolation auto takes nothing less than mps-v2: its compute mode lets"),
        (EXCLUSIVE, 1, "isolation auto takes nothing less than whole: its compute mode is"),
        (BARE, 5, "isolation auto takes nothing less than mps-v2: it is in MIG mode"),
        (BARE, 1, "isolation auto takes nothing less than whole: it is in MIG mode"),
        (replace(PART, profile="2g.20gb"), 5, "a 2g.20gb is no whole number of steps"),
    ],
)
def test_where_auto_finds_nothing_it_says_why(device: Device, per_gpu: int, told: str) -> None:
    choice = chosen(device, per_gpu=per_gpu)
    assert choice.fit is None
    assert choice.reason.startswith(told)


ISOLATIONS = ("whole", "mig", "memcap", "mps-v2", "timeslice")
SUITABLE = {"whole": PLAIN, "mig": PART, "memcap": PLAIN, "mps-v2": EXCLUSIVE, "timeslice": PLAIN}


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("name", ["memory", "compute", "faults"])
def test_what_is_required_is_met_or_told(isolation: str, name: str) -> None:
    kind: type[Level | Faults] = Faults if name == "faults" else Level
    has = getattr(made(5, ABLE, Willing)[isolation].enforcement, name)
    for level in kind:
        choice = chosen(SUITABLE[isolation], isolation, Enforcement(**{name: level}))
        assert choice.strategy
        assert choice.strategy.name == isolation
        assert bool(choice.fit) == (has >= level)
        told = f"{name}: {has.name.lower()} < {level.name.lower()} required"
        assert (told in choice.reason) == (has < level)
        assert (f"{isolation} does not enforce it" in choice.reason) == (has < level)


def test_what_is_not_there_enforces_nothing_and_is_refused_where_something_is_required() -> None:
    choice = chosen(THERE_NOT, "timeslice", Enforcement(memory=Level.COOPERATIVE))
    assert choice.fit is None
    assert choice.reason.startswith("simulated does not enforce it")


@pytest.mark.parametrize("per_gpu", [1, 5, 7])
@pytest.mark.parametrize("control", [Willing, Away])
@pytest.mark.parametrize("host", [ABLE, Host(), replace(ABLE, cgroup="1")])
def test_nothing_ever_falls_back_to_another_strategy(
    per_gpu: int, control: type[Control], host: Host
) -> None:
    strategies = made(per_gpu, host, control)
    requirements = [Enforcement(*each) for each in itertools.product(Level, Level, Faults)]
    for device, isolation in itertools.product(DEVICES, ("auto", *ISOLATIONS)):
        for required in requirements:
            choice = choose(device, isolation, required, strategies, per_gpu=per_gpu)
            assert choice.strategy
            assert bool(choice.fit) != bool(choice.reason), "one or the other"
            if choice.fit is None:
                continue
            name = choice.strategy.name
            allowed = {"mig", "whole", "mps-v2"} if isolation == "auto" else {isolation}
            assert name in (allowed if device.kind is not Kind.SIMULATED else {"simulated"})
            assert choice.strategy.enforcement.lacks(required) == ()
            assert choice.fit == choice.strategy.probe(device)
