"""The real pynvml on the library of `tests.nvml`, which stands in for NVIDIA's.

What this proves is how its answers are read, and that none of them stops us; what a GPU
answers is proven on a GPU.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

import pytest

from bai_spawner.gpu.device import Device, DeviceUse, GpuProcess, Inventory, Kind, MemoryLimit
from bai_spawner.gpu.inventory import NvmlError
from tests.nvml import (
    GIB,
    MIB,
    NO_LIMIT,
    FakeGpu,
    FakeMig,
    environment,
    functions,
    lacking,
    write_state,
)

pytestmark = pytest.mark.skipif(bool(lacking()), reason=lacking())

MODEL = "NVIDIA H100 80GB HBM3"
CGROUP = "/sys/fs/cgroup/system.slice/docker-0123.scope"
NOT_SUPPORTED, NO_PERMISSION, MISMATCH, IN_USE = 3, 4, 18, 19
CODES = (NOT_SUPPORTED, NO_PERMISSION, 13, 15, MISMATCH, 28, 999)

# the library is found when a process starts, so another process has to ask
_ASK = """
import pickle, sys
from concurrent.futures import ThreadPoolExecutor
from bai_spawner.gpu.inventory import Nvml
nvml = Nvml()
while True:
    name, args = pickle.load(sys.stdin.buffer)
    try:
        if name == "read_together":
            with ThreadPoolExecutor(8) as pool:
                answer = list(pool.map(lambda _: nvml.read(), range(400)))
        else:
            answer = getattr(nvml, name)(*args)
    except Exception as error:
        answer = error
    pickle.dump(answer, sys.stdout.buffer)
    sys.stdout.buffer.flush()
"""


class Host:
    """A machine with some driver, and a process on it that has an `Nvml`."""

    def __init__(self, state: Path, found: dict[str, str]) -> None:
        self.state = state
        self._process = subprocess.Popen(
            [sys.executable, "-c", _ASK],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            env={k: v for k, v in os.environ.items() if k != "LD_LIBRARY_PATH"} | found,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.kill()

    def has(self, *gpus: FakeGpu, **others: Any) -> None:
        write_state(self.state, gpus, **others)

    def unload_driver(self) -> None:
        self.state.unlink(missing_ok=True)

    def ask(self, name: str, *args: str) -> Any:
        question, answers = self._process.stdin, self._process.stdout
        assert question
        assert answers
        pickle.dump((name, args), question)
        question.flush()
        answer = pickle.load(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def read(self) -> Inventory:
        inventory: Inventory = self.ask("read")
        return inventory

    def uses(self) -> dict[str, DeviceUse]:
        uses: dict[str, DeviceUse] = self.ask("uses")
        return uses


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Host]]:
    """One by variant of the driver; "none" has no driver, "damaged" one that is cut short."""
    running: dict[str, Host] = {}

    def host(variant: str) -> Host:
        if variant not in running:
            folder = tmp_path_factory.mktemp(variant)
            found: dict[str, str] = {}
            if variant == "damaged":
                (folder / "libnvidia-ml.so.1").write_bytes(b"\x7fELF")
                found = {"LD_LIBRARY_PATH": str(folder)}
            elif variant != "none":
                found = environment(variant, folder / "state")
            running[variant] = stack.enter_context(Host(folder / "state", found))
        running[variant].ask("close")
        return running[variant]

    with ExitStack() as stack:
        yield host


@pytest.fixture
def new(hosts: Callable[[str], Host]) -> Host:
    return hosts("new")


def test_every_gpu_is_listed_with_what_the_driver_can_do(new: Host) -> None:
    new.has(FakeGpu("GPU-a", exclusive=True), FakeGpu("GPU-b", model="NVIDIA L4", memory=24 * GIB))
    assert new.read() == Inventory(
        devices=(
            Device("GPU-a", 0, MODEL, 80 * GIB, exclusive=True),
            Device("GPU-b", 1, "NVIDIA L4", 24 * GIB),
        ),
        driver="615.71.05",
        cuda="13.4",
        memory_limits=True,
    )


def test_a_driver_before_615_has_no_limits_of_memory(hosts: Callable[[str], Host]) -> None:
    old = hosts("old")
    old.has(FakeGpu("GPU-a"), driver="550.54.15", cuda="12.4")
    device = Device("GPU-a", 0, MODEL, 80 * GIB)
    assert old.read() == Inventory((device,), driver="550.54.15", cuda="12.4")
    with pytest.raises(NvmlError, match=f"{CGROUP} on GPU-a cannot be read: .*615 or newer"):
        old.ask("memory_limit", "GPU-a", CGROUP)


def test_what_an_ancient_driver_cannot_say_is_taken_as_not_there(
    hosts: Callable[[str], Host],
) -> None:
    ancient = hosts("ancient")
    gpu = FakeGpu("GPU-a", exclusive=True, mig=(), processes=[(41, 2 * GIB)], reserved=GIB)
    ancient.has(gpu, driver="384.81", cuda="9.0")
    assert ancient.read().devices == (Device("GPU-a", 0, MODEL, 80 * GIB),)
    assert ancient.uses() == {"GPU-a": DeviceUse("GPU-a", memory=3 * GIB, utilisation=None)}


def test_a_gpu_in_mig_mode_is_listed_as_its_mig_devices_whichever_slots_are_empty(
    new: Host,
) -> None:
    small = FakeMig("MIG-a", exclusive=True)
    large = FakeMig("MIG-b", "3g.40gb", memory=40320 * MIB)
    new.has(FakeGpu("GPU-a", mig=(None, small, None, None, large)), FakeGpu("GPU-b"))
    mig: dict[str, Any] = {
        "index": 0,
        "model": MODEL,
        "kind": Kind.MIG,
        "parent": "GPU-a",
        "slices": 7,
    }
    inventory = new.read()
    assert inventory.problem == ""
    assert inventory.devices == (
        Device("MIG-a", memory=9984 * MIB, profile="1g.10gb", exclusive=True, **mig),
        Device("MIG-b", memory=40320 * MIB, profile="3g.40gb", **mig),
        Device("GPU-b", 1, MODEL, 80 * GIB),
    )
    assert inventory.devices[0].title == f"{MODEL} MIG 1g.10gb"


@pytest.mark.parametrize(
    ("profile", "megabytes", "gigabytes"),
    [
        ("1g.5gb", 4864, 40),
        ("2g.10gb", 9856, 40),
        ("7g.40gb", 40192, 40),
        ("1g.10gb", 9984, 80),
        ("1c.3g.40gb", 40320, 80),
        ("1g.18gb", 16384, 141),
    ],
)
def test_a_profile_that_is_not_in_the_name_is_told_by_the_size(
    new: Host, profile: str, megabytes: int, gigabytes: int
) -> None:
    mig = FakeMig("MIG-a", profile, memory=megabytes * MIB, named=False)
    new.has(FakeGpu("GPU-a", memory=gigabytes * GIB - 600 * MIB, mig=(mig,)))
    assert [device.profile for device in new.read().devices] == [profile]


def test_a_gpu_in_mig_mode_without_mig_devices_says_so(new: Host) -> None:
    new.has(FakeGpu("GPU-a", mig=()))
    assert new.read().devices == (Device("GPU-a", 0, MODEL, 80 * GIB, mig_mode=True),)


def test_who_is_not_root_still_sees_mig_devices_and_gpus_that_have_none(new: Host) -> None:
    hidden = {"nvmlDeviceGetMemoryInfo": NO_PERMISSION}
    nameless = FakeMig("MIG-b", named=False)
    new.has(
        FakeGpu("GPU-a", mig=(FakeMig("MIG-a"), nameless), fails=hidden),
        FakeGpu("GPU-b", mig=(), fails=hidden),
    )
    inventory = new.read()
    assert [(device.uuid, device.memory, device.profile) for device in inventory.devices] == [
        ("MIG-a", 9984 * MIB, "1g.10gb"),
        ("MIG-b", 9984 * MIB, ""),
        ("GPU-b", 0, ""),
    ]
    assert inventory.problem == ""


def test_a_gpu_that_falls_off_the_bus_is_named_and_the_others_stay(new: Host) -> None:
    new.has(FakeGpu("GPU-a"), FakeGpu("GPU-b"))
    whole = new.read()
    new.has(FakeGpu("GPU-a", lost=True), FakeGpu("GPU-b"))
    inventory = new.read()
    assert inventory.devices == (Device("GPU-b", 1, MODEL, 80 * GIB),)
    assert inventory.problem.startswith("GPU 0 (GPU-a) is left out: it fell off the bus")
    assert list(new.uses()) == ["GPU-b"]
    new.has(FakeGpu("GPU-a"), FakeGpu("GPU-b"))
    assert new.read() == whole


def test_a_gpu_that_is_lost_gets_no_other_one_s_name(new: Host) -> None:
    new.has(FakeGpu("GPU-a"), FakeGpu("GPU-b"))
    new.read()
    new.has(FakeGpu("GPU-c", lost=True))
    assert new.read().problem.startswith("GPU 0 is left out: ")


def test_a_gpu_that_is_taken_away_is_no_longer_listed(new: Host) -> None:
    new.has(FakeGpu("GPU-a"), FakeGpu("GPU-b"))
    new.read()
    new.has(FakeGpu("GPU-a"))
    assert [device.uuid for device in new.read().devices] == ["GPU-a"]


def test_a_mig_device_that_does_not_answer_is_named_and_the_others_stay(new: Host) -> None:
    new.has(FakeGpu("GPU-a", mig=(FakeMig("MIG-a", lost=True), FakeMig("MIG-b"))))
    inventory = new.read()
    assert [device.uuid for device in inventory.devices] == ["MIG-b"]
    assert inventory.problem.startswith("MIG device 0 of GPU 0 (GPU-a) is left out: ")
    new.has(FakeGpu("GPU-a", mig=(FakeMig("MIG-a", lost=True),)))
    assert new.read().devices == ()


def test_when_all_gpus_are_lost_each_is_named_and_they_may_come_back(new: Host) -> None:
    new.has(FakeGpu("GPU-a"), FakeGpu("GPU-b"))
    whole = new.read()
    new.has(FakeGpu("GPU-a", lost=True), FakeGpu("GPU-b", lost=True))
    inventory = new.read()
    assert inventory.devices == ()
    assert inventory.driver == "615.71.05"
    assert "GPU 0 (GPU-a) is left out" in inventory.problem
    assert "GPU 1 (GPU-b) is left out" in inventory.problem
    assert new.uses() == {}
    new.has(FakeGpu("GPU-a"), FakeGpu("GPU-b"))
    assert new.read() == whole


def test_a_driver_without_a_gpu_says_so(new: Host) -> None:
    new.has()
    assert new.read().problem == "the NVIDIA driver has no GPU"
    assert new.uses() == {}
    new.has(FakeGpu("GPU-a"))
    assert new.read().devices == (Device("GPU-a", 0, MODEL, 80 * GIB),)


def _has_a_driver() -> bool:
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param(
            "none", marks=pytest.mark.skipif(_has_a_driver(), reason="there is a driver here")
        ),
        "damaged",
    ],
)
def test_without_a_driver_there_is_nothing_and_the_reason(
    hosts: Callable[[str], Host], variant: str
) -> None:
    host = hosts(variant)
    inventory = host.read()
    assert inventory == Inventory(problem=inventory.problem)
    assert inventory.problem.startswith("no NVIDIA driver is installed here: libnvidia-ml.so.1")
    assert host.uses() == {}
    with pytest.raises(NvmlError, match="no NVIDIA driver is installed here"):
        host.ask("memory_limit", "GPU-a", CGROUP)


def test_a_driver_that_comes_late_is_found(new: Host) -> None:
    new.unload_driver()
    inventory = new.read()
    assert inventory == Inventory(problem=inventory.problem)
    assert "not loaded: run `modprobe nvidia`" in inventory.problem
    new.has(FakeGpu("GPU-a"))
    assert new.read().devices == (Device("GPU-a", 0, MODEL, 80 * GIB),)


def test_a_gpu_that_comes_back_is_found_by_whatever_is_asked_next(new: Host) -> None:
    for ask in (["read"], ["uses"], ["memory_limit", "GPU-b", CGROUP]):
        new.has(FakeGpu("GPU-a"), FakeGpu("GPU-b", lost=True))
        with suppress(NvmlError):
            new.ask(*ask)
        new.has(FakeGpu("GPU-a"), FakeGpu("GPU-b"))
        assert list(new.uses()) == ["GPU-a", "GPU-b"]


@pytest.mark.parametrize("first", ["read", "uses"])
def test_a_driver_that_is_loaded_again_is_opened_again(new: Host, first: str) -> None:
    new.has(FakeGpu("GPU-a"))
    whole = new.read()
    new.unload_driver()
    new.ask(first)
    new.has(FakeGpu("GPU-a"))
    assert new.read() == whole


def test_a_driver_that_was_loaded_again_between_two_limits_is_opened_again(new: Host) -> None:
    new.has(FakeGpu("GPU-a"))
    new.read()
    new.unload_driver()
    with pytest.raises(NvmlError, match="not loaded"):
        new.ask("memory_limit", "GPU-a", CGROUP)
    new.has(FakeGpu("GPU-a"))
    assert new.ask("memory_limit", "GPU-a", CGROUP) is None


def test_a_driver_that_was_updated_under_us_asks_for_a_reboot(new: Host) -> None:
    new.has(FakeGpu("GPU-a"), fails={"nvmlInitWithFlags": MISMATCH})
    assert "was updated while the old one runs: reboot the host" in new.read().problem


def test_a_version_that_is_not_told_costs_no_device(new: Host) -> None:
    new.has(
        FakeGpu("GPU-a"),
        fails={"nvmlSystemGetDriverVersion": 999, "nvmlSystemGetCudaDriverVersion": 999},
    )
    device = Device("GPU-a", 0, MODEL, 80 * GIB)
    assert new.read() == Inventory((device,), memory_limits=True)


def test_an_error_that_we_have_no_words_for_is_told_in_the_library_s(new: Host) -> None:
    new.has(FakeGpu("GPU-a", fails={"nvmlDeviceGetName": IN_USE}))
    says = "NVML says 'An error that only the library knows' (error 19)"
    assert new.read().problem == f"GPU 0 (GPU-a) is left out: {says}"


def test_a_gpu_whose_name_is_not_text_is_left_out_with_that_reason(new: Host) -> None:
    new.has(FakeGpu("GPU-a", model="\udcff"), FakeGpu("GPU-b"))
    inventory = new.read()
    assert [device.uuid for device in inventory.devices] == ["GPU-b"]
    assert inventory.problem.endswith("is left out: NVML gave a text that is not UTF-8")


def test_a_process_in_both_lists_counts_once_with_the_larger_of_its_amounts(new: Host) -> None:
    new.has(
        FakeGpu(
            "GPU-a",
            utilisation=37,
            used=5 * GIB,
            processes=[(30, GIB), (20, 30 * MIB), (40, None)],
            mps_processes=[(30, 2 * GIB), (10, GIB), (40, 7), (50, None)],
        ),
        FakeGpu("GPU-b"),
    )
    held = {10: GIB, 20: 30 * MIB, 30: 2 * GIB, 40: 7, 50: None}
    processes = tuple(GpuProcess(pid, memory) for pid, memory in held.items())
    assert new.uses() == {
        "GPU-a": DeviceUse("GPU-a", 5 * GIB, 37, processes),
        "GPU-b": DeviceUse("GPU-b", 0, 0),
    }


@pytest.mark.parametrize("code", [NOT_SUPPORTED, 13, 25])
def test_memory_in_use_is_without_the_driver_s_own_where_the_driver_tells_them_apart(
    new: Host, code: int
) -> None:
    apart = FakeGpu("GPU-a", used=GIB, reserved=600 * MIB)
    together = FakeGpu("GPU-b", used=GIB, fails={"nvmlDeviceGetMemoryInfo_v2": code})
    new.has(apart, together)
    assert {uuid: use.memory for uuid, use in new.uses().items()} == {
        "GPU-a": GIB,
        "GPU-b": GIB + 600 * MIB,
    }


def test_a_mig_device_has_processes_of_its_own_and_no_utilisation(new: Host) -> None:
    busy = FakeMig("MIG-a", processes=[(10, GIB)])
    new.has(FakeGpu("GPU-a", utilisation=90, mig=(busy, FakeMig("MIG-b"))))
    assert new.uses() == {
        "MIG-a": DeviceUse("MIG-a", GIB, None, (GpuProcess(10, GIB),)),
        "MIG-b": DeviceUse("MIG-b", 0, None),
    }


def test_the_limit_of_a_control_group_is_that_of_the_device_asked_for(new: Host) -> None:
    limits = {CGROUP: (16 * GIB, 17 * GIB, 3 * GIB), "/sys/fs/cgroup/other": (1, 2, 3)}
    new.has(FakeGpu("GPU-a", limits=limits), FakeGpu("GPU-b"))
    limit = new.ask("memory_limit", "GPU-a", CGROUP)
    assert limit == MemoryLimit(soft=16 * GIB, hard=17 * GIB, used=3 * GIB)
    assert new.ask("memory_limit", "GPU-b", CGROUP) is None


@pytest.mark.parametrize(
    ("limit", "set_"),
    [((0, NO_LIMIT, 5), False), ((0, GIB, 0), True), ((GIB, NO_LIMIT, 0), True)],
)
def test_a_limit_is_set_when_either_of_the_two_is(
    new: Host, limit: tuple[int, int, int], set_: bool
) -> None:
    new.has(FakeGpu("GPU-a", limits={CGROUP: limit}))
    found = new.ask("memory_limit", "GPU-a", CGROUP)
    assert found == (MemoryLimit(*limit) if set_ else None)


@pytest.mark.parametrize(
    ("uuid", "words"),
    [
        ("GPU-c", "on GPU-c cannot be read: there is no such device"),
        ("MIG-a", "on MIG-a cannot be read: .*a MIG device has none"),
        ("GPU-b", "on GPU-b cannot be read: it fell off the bus"),
    ],
)
def test_a_limit_that_cannot_be_read_says_why(new: Host, uuid: str, words: str) -> None:
    new.has(FakeGpu("GPU-a", mig=(FakeMig("MIG-a"),)), FakeGpu("GPU-b", lost=True))
    with pytest.raises(NvmlError, match=words):
        new.ask("memory_limit", uuid, CGROUP)


def test_many_threads_may_ask_at_once(new: Host) -> None:
    # with one that is lost, so that each of them closes and opens the library
    new.has(FakeGpu("GPU-a", lost=True), FakeGpu("GPU-b", mig=(FakeMig("MIG-a"),)))
    assert set(new.ask("read_together")) == {new.read()}


def test_what_was_closed_opens_again(new: Host) -> None:
    new.has(FakeGpu("GPU-a"))
    whole = new.read()
    new.ask("close")
    new.ask("close")
    assert new.read() == whole


@pytest.mark.parametrize("function", functions())
def test_whichever_call_fails_nothing_is_raised_and_all_is_well_again_after_it(
    new: Host, function: str
) -> None:
    gpus = (FakeGpu("GPU-a", processes=[(1, 1)]), FakeGpu("GPU-b", mig=(FakeMig("MIG-a"),)))
    new.has(*gpus)
    whole, uses = new.read(), new.uses()
    for code in CODES:
        new.has(*gpus, fails={function: code})
        new.ask("close")
        assert isinstance(new.read(), Inventory)
        assert new.uses().keys() <= {"GPU-a", "GPU-b", "MIG-a"}
        new.has(*gpus)
        assert (new.read(), new.uses()) == (whole, uses)


@pytest.mark.parametrize("function", functions())
def test_whichever_call_fails_for_one_gpu_the_other_stays(new: Host, function: str) -> None:
    other = Device("GPU-b", 1, MODEL, 80 * GIB)
    for code in CODES:
        new.has(FakeGpu("GPU-a", fails={function: code}), FakeGpu("GPU-b"))
        inventory = new.read()
        assert inventory.devices[-1] == other
        assert len(inventory.devices) == (1 if inventory.problem else 2)
        assert "GPU-b" in new.uses()
