"""The hub's GPUs: it never waits for a driver, and believes what it reads back alone."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bai_spawner import gpus as gpus_module
from bai_spawner import labels
from bai_spawner.catalog import Catalog
from bai_spawner.enforcement import Enforcement
from bai_spawner.engine import ContainerState
from bai_spawner.errors import StartFailed
from bai_spawner.gpu.device import Device, DeviceUse, GpuProcess, Inventory, MemoryLimit
from bai_spawner.gpu.host import cgroup_of
from bai_spawner.gpu.inventory import NvmlError
from bai_spawner.gpu.isolation import VOID, Attachment, Started
from bai_spawner.gpu.mps import CONTROL
from bai_spawner.gpu.processes import container_of
from bai_spawner.gpus import Gpus, GpuUses
from bai_spawner.labels import GpuCap, SessionLabels, Share
from bai_spawner.ledger import Allocation
from bai_spawner.units import GIB, MIB
from tests.examples import small_catalog

A = Device("GPU-a", 0, "H100", 80 * GIB)
B = Device("GPU-b", 1, "H100", 80 * GIB)
ONE, TWO, ELSEWHERE = "1" * 64, "2" * 64, "3" * 64
LOG = logging.getLogger("test-gpus")
FIFTH = 79 * 1024 // 5


class FakeNvml:
    """Says what a test says; a ``hang`` holds every call until it is set."""

    def __init__(self, *devices: Device, memory_limits: bool = False) -> None:
        self.inventory = Inventory(devices, "615.71.05", "13.4", memory_limits)
        self.used: dict[str, DeviceUse] = {}
        self.limits: dict[tuple[str, str], MemoryLimit | NvmlError] = {}
        self.hang: threading.Event | None = None

    def _enter(self) -> None:
        if self.hang:
            self.hang.wait(20)

    def read(self) -> Inventory:
        self._enter()
        return self.inventory

    def uses(self) -> dict[str, DeviceUse]:
        self._enter()
        return self.used

    def memory_limit(self, uuid: str, cgroup: str) -> MemoryLimit | None:
        self._enter()
        found = self.limits.get((uuid, cgroup))
        if isinstance(found, NvmlError):
            raise found
        return found


Make = Callable[..., Gpus]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Make the GPUs of a hub on a host with this NVML, by this catalogue."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    made: list[Gpus] = []

    def start(nvml: FakeNvml, **gpu: Any) -> Gpus:
        made.append(Gpus(catalog(**gpu), LOG, nvml))  # type: ignore[arg-type]
        return made[-1]

    yield start
    for gpus in made:
        gpus.close()


def catalog(**gpu: Any) -> Catalog:
    offered = {"fgpu_per_gpu": 5, "isolation": "timeslice"} | gpu
    environments = {"e": {"title": "e", "versions": {"1": {"image": "x"}}}}
    policies = [{"name": "everyone"}]
    return small_catalog(gpu=offered, presets={}, environments=environments, policies=policies)


def hold(*devices: str, isolation: str = "timeslice", **cap: int) -> Allocation:
    shares = tuple(Share(device, 1, 5) for device in devices)
    numbers = {"memory": FIFTH, "sm": 20} | cap
    gpu = GpuCap(isolation, numbers["memory"], numbers["sm"], Enforcement()) if devices else None
    return Allocation("1", "ada", "one", "work", "default", "local", 1, GIB, shares, gpu)


def session(held: Allocation) -> SessionLabels:
    return SessionLabels(
        "hub", held.id, held.user, held.server, held.session, "e", "1", held.group, held.node,
        "p", held.cpu, held.memory, 0, held.shares, (), held.gpu,
    )  # fmt: skip


def container(held: Allocation, devices: tuple[str, ...] = (), visible: str = "") -> ContainerState:
    return ContainerState(
        id=ONE,
        name="bai-ada-one",
        status="running",
        exit_code=0,
        oom_killed=False,
        error="",
        address="",
        labels=labels.encode(session(held)),
        pid=7,
        devices=devices,
        visible=visible,
    )


# ---- what there is --------------------------------------------------------------------


async def test_what_is_offered_is_what_the_ledger_gets(make: Make) -> None:
    slots = await make(FakeNvml(A, B), drain=["GPU-b"]).look("2")
    assert {name: slot.total for name, slot in slots.items()} == {"GPU-a": 5, "GPU-b": 5}
    assert slots["GPU-a"].groups == {"default", "gpu"}
    assert slots["GPU-a"].terms.note == ""
    assert slots["GPU-b"].terms.note


async def test_two_devices_that_say_they_are_one_are_counted_once(make: Make) -> None:
    slots = await make(FakeNvml(A, replace(A, index=1))).look("2")
    assert {name: slot.total for name, slot in slots.items()} == {"GPU-a": 5}


async def test_a_driver_that_hangs_is_silent_and_holds_up_nobody(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus_module, "ANSWER_SECONDS", 0.1)
    nvml = FakeNvml(A)
    gpus = make(nvml)
    assert await gpus.look("2")
    nvml.hang = threading.Event()
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticking = asyncio.create_task(tick())
    begun = time.monotonic()
    try:
        # more than there are threads, so that some do not even begin
        found = await asyncio.gather(*(gpus.look("2") for _ in range(gpus_module.THREADS + 2)))
        for slots in found:  # a device that was there is not lost: nothing more of it is given
            assert slots["GPU-a"].terms.note == gpus.survey.inventory.problem
            assert slots["GPU-a"].total
        assert "did not answer" in gpus.survey.inventory.problem
        assert await gpus.uses({ONE: session(hold("GPU-a"))}) == GpuUses()
    finally:
        took = time.monotonic() - begun
        ticking.cancel()
        nvml.hang.set()
    assert took < 5
    assert ticks > 2, "the loop went on meanwhile"
    monkeypatch.setattr(gpus_module, "ANSWER_SECONDS", 10.0)
    nvml.hang = None
    await asyncio.sleep(0.05)
    back = await gpus.look("2")
    assert back["GPU-a"].terms.note == "", "and it is back by itself"


async def test_an_end_does_not_wait_for_a_driver_that_hangs(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus_module, "ANSWER_SECONDS", 0.2)
    nvml = FakeNvml(A)
    gpus = make(nvml)
    await gpus.look("2")
    nvml.hang = threading.Event()
    try:
        for _ in range(gpus_module.THREADS + 1):
            await gpus.look("2")
        monkeypatch.setattr(gpus_module, "ANSWER_SECONDS", 30.0)
        await asyncio.wait_for(gpus.let_go(container(hold("GPU-a"))), 5)
    finally:
        nvml.hang.set()


async def test_a_start_and_an_end_are_not_held_up_by_a_driver_that_hangs(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    nvml = FakeNvml(A, memory_limits=True)
    gpus = make(nvml, isolation="memcap")
    monkeypatch.setattr(gpus_module, "ANSWER_SECONDS", 0.1)
    strategy = gpus._fleet.strategies["memcap"]
    hang = threading.Event()

    def wait(_: Started) -> str:
        hang.wait(20)
        return ""

    monkeypatch.setattr(strategy, "mismatch", wait)
    monkeypatch.setattr(strategy, "release", wait)
    state = container(hold("GPU-a", isolation="memcap"), ("GPU-a",), "GPU-a")
    try:
        with pytest.raises(StartFailed, match="is not enforced: NVIDIA's driver did not answer"):
            await gpus.check(state)
        await gpus.let_go(state)
    finally:
        hang.set()
    assert "Cannot let go of the GPUs of bai-ada-one: NVIDIA's driver did not" in caplog.text


def test_a_hub_ends_while_its_driver_hangs() -> None:
    """Threads of a pool are joined as Python ends, which would be never."""
    program = textwrap.dedent("""
        import asyncio, logging, time
        from bai_spawner import gpus
        from tests.unit.test_gpus import A, FakeNvml, catalog
        class Hanging(FakeNvml):
            def _enter(self):
                time.sleep(60)
        gpus.ANSWER_SECONDS = 0.05
        made = gpus.Gpus(catalog(), logging.getLogger(), Hanging(A))
        assert asyncio.run(made.look("2")) == {}
        made.close()
        print("ended", flush=True)
    """)
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONPATH": "."},
    ) as process:
        assert process.stdout
        try:
            assert process.stdout.read(5) == b"ended"
            assert process.wait(2) == 0
        finally:
            process.kill()


async def test_the_log_says_what_changed_and_only_then(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, LOG.name)
    nvml = FakeNvml(A, B)
    gpus = make(nvml)

    async def said() -> list[str]:
        caplog.clear()
        await gpus.look("2")
        return [f"{r.levelname} {r.getMessage()}" for r in caplog.records]

    handed = "H100, handed out under timeslice (memory: none, compute: none, faults: contexts)"
    assert await said() == [f"INFO GPU GPU-a: {handed}", f"INFO GPU GPU-b: {handed}"]
    assert await said() == []
    nvml.inventory = replace(nvml.inventory, devices=(A,), problem="GPU 1 is left out: lost")
    assert await said() == [
        "INFO GPUs: GPU 1 is left out: lost",
        "WARNING GPU GPU-b is not there any more",
    ]
    assert await said() == []
    nvml.inventory = replace(nvml.inventory, devices=(replace(A, exclusive=True), B), problem="")
    first, second = await said()
    assert first.startswith("INFO GPU GPU-a: H100, not handed out: its compute mode is EXCLUSIVE")
    assert second == f"INFO GPU GPU-b: {handed}"
    assert await said() == []


async def test_the_log_says_once_that_there_is_no_gpu(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, LOG.name)
    nvml = FakeNvml()
    nvml.inventory = Inventory(problem="no NVIDIA driver is installed here")
    gpus = make(nvml)
    for _ in range(3):
        assert await gpus.look("2") == {}
    assert [r.getMessage() for r in caplog.records] == ["GPUs: no NVIDIA driver is installed here"]
    assert {r.levelname for r in caplog.records} == {"INFO"}, "most hosts have none"


@pytest.mark.parametrize("model", ["A\nB: forged", "A\r\nB", "A\x1b[31m"])
async def test_a_devices_name_cannot_forge_a_line_of_the_log(
    make: Make, caplog: pytest.LogCaptureFixture, model: str
) -> None:
    caplog.set_level(logging.INFO, LOG.name)
    await make(FakeNvml(replace(A, model=model))).look("2")
    assert all(r.getMessage().isprintable() for r in caplog.records)


# ---- what a session gets --------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "attached"),
    [
        (hold(), Attachment()),
        (hold("GPU-a"), Attachment(("GPU-a",), "GPU-a")),
        (hold("GPU-a", "GPU-b", isolation="whole"), Attachment(("GPU-a", "GPU-b"), "GPU-a,GPU-b")),
        (hold("SIMULATED-0", isolation="simulated"), Attachment((), VOID)),
    ],
)
def test_a_session_is_given_its_shares_devices_and_no_other(
    make: Make, held: Allocation, attached: Attachment
) -> None:
    assert make(FakeNvml(A, B)).attachment(held) == attached


def test_a_session_under_a_strategy_gets_what_that_needs(make: Make) -> None:
    gpus = make(FakeNvml(A), mps_directory="/run/mine")
    memcap = gpus.attachment(hold("GPU-a", isolation="memcap"))
    assert memcap.injection.env["NVIDIA_GPU_MEMORY_LIMIT"] == str(FIFTH)
    mps = gpus.attachment(hold("GPU-a", isolation="mps-v2"))
    assert {str(bind.source) for bind in mps.injection.binds} == {"/run/mine/GPU-a/pipe"}


SIMULATED = hold("SIMULATED-0", isolation="simulated")


@pytest.mark.parametrize(
    ("held", "devices", "visible"),
    [
        (hold(), (), VOID),
        (hold("GPU-a"), ("GPU-a",), "GPU-a"),
        (hold("GPU-a", "GPU-b"), ("GPU-a", "GPU-b"), "GPU-a,GPU-b"),
        (SIMULATED, (), VOID),
    ],
)
async def test_a_container_that_has_what_its_labels_say_is_well(
    make: Make, held: Allocation, devices: tuple[str, ...], visible: str
) -> None:
    await make(FakeNvml(A, B)).check(container(held, devices, visible))


@pytest.mark.parametrize(
    ("held", "devices", "visible", "told"),
    [
        (hold(), ("GPU-a",), VOID, "the GPUs GPU-a in place of void"),
        (hold(), (), "all", "the GPUs all in place of void"),
        (hold(), (), "", "the GPUs none in place of void"),
        (hold(), ("GPU-a",), "GPU-a", "the GPUs GPU-a in place of void"),
        (hold("GPU-a"), (), "GPU-a", "the GPUs GPU-a in place of GPU-a"),
        (hold("GPU-a"), ("GPU-a",), "all", "in place of GPU-a"),
        (hold("GPU-a"), ("GPU-a",), VOID, "in place of GPU-a"),
        (hold("GPU-a"), ("GPU-b",), "GPU-b", "the GPUs GPU-b in place of GPU-a"),
        (hold("GPU-a"), ("GPU-a", "GPU-b"), "GPU-a", "the GPUs GPU-a, GPU-b in place of GPU-a"),
        (hold("GPU-a", "GPU-b"), ("GPU-a",), "GPU-a,GPU-b", "in place of GPU-a,GPU-b"),
        (hold("GPU-a", "GPU-b"), ("GPU-b", "GPU-a"), "GPU-a,GPU-b", "in place of GPU-a,GPU-b"),
        (SIMULATED, ("GPU-a",), VOID, "the GPUs GPU-a in place of void"),
        (SIMULATED, (), "all", "the GPUs all in place of void"),
        (SIMULATED, ("SIMULATED-0",), "SIMULATED-0", "the GPUs SIMULATED-0 in place of void"),
    ],
)
async def test_a_container_that_sees_another_gpu_than_its_own_does_not_become_a_session(
    make: Make, held: Allocation, devices: tuple[str, ...], visible: str, told: str
) -> None:
    with pytest.raises(StartFailed) as failed:
        await make(FakeNvml(A, B)).check(container(held, devices, visible))
    assert str(failed.value).endswith(told)


async def test_what_is_not_enforced_does_not_become_a_session(make: Make) -> None:
    gpus = make(FakeNvml(A), mps_directory="/nowhere")
    state = container(hold("GPU-a", isolation="mps-v2"), ("GPU-a",), "GPU-a")
    with pytest.raises(StartFailed, match="not enforced: the limits of MPS cannot be read back"):
        await gpus.check(state)


async def test_a_container_whose_labels_say_nothing_is_not_taken_for_well(make: Make) -> None:
    with pytest.raises(StartFailed, match="its labels cannot be read"):
        await make(FakeNvml(A)).check(replace(container(hold("GPU-a")), labels={"a": "b"}))


# ---- its end --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "state",
    [
        replace(container(hold("GPU-a", isolation="mps-v2")), labels={}),
        replace(container(hold("GPU-a", isolation="mps-v2")), status="exited"),
        container(hold("GPU-a", isolation="hami")),
        container(hold("GPU-a", isolation="simulated")),
        container(hold()),
    ],
)
async def test_where_nothing_is_held_nothing_is_let_go(
    make: Make, state: ContainerState, caplog: pytest.LogCaptureFixture
) -> None:
    await make(FakeNvml(A), mps_directory="/nowhere").let_go(state)
    assert not caplog.records


@pytest.mark.parametrize(
    "script",
    [
        "exit 1",
        "echo garbage",
        "printf '\\377\\376'",
        "head -c 100000 /dev/zero | tr '\\0' 7",
        "kill -9 $$",
    ],
)
async def test_whatever_a_daemon_says_at_a_sessions_end_keeps_nobody(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture, script: str
) -> None:
    (tmp_path / CONTROL).write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / CONTROL).chmod(0o755)
    await make(FakeNvml(A)).let_go(container(hold("GPU-a", isolation="mps-v2")))
    (record,) = caplog.records
    assert "Cannot let go of the GPUs of bai-ada-one" in record.getMessage()
    assert len(record.getMessage()) < 1000


async def test_without_the_program_a_session_ends_all_the_same(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    await make(FakeNvml(A)).let_go(container(hold("GPU-a", isolation="mps-v2")))
    assert "is not installed here" in caplog.text


# ---- what is used ---------------------------------------------------------------------


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, str], None]:
    """Put a process into a control group."""
    place = tmp_path / "proc"
    monkeypatch.setattr(gpus_module, "container_of", functools.partial(container_of, proc=place))
    monkeypatch.setattr(gpus_module, "cgroup_of", functools.partial(cgroup_of, proc=place))

    def put(pid: int, group: str) -> None:
        (place / str(pid)).mkdir(parents=True)
        (place / str(pid) / "cgroup").write_text(f"0::{group}\n")

    return put


def use(uuid: str, *processes: tuple[int, int | None]) -> DeviceUse:
    return DeviceUse(uuid, 5 * GIB, 37, tuple(GpuProcess(pid, size) for pid, size in processes))


RUNNING = {
    ONE: session(hold("GPU-a", "GPU-b")),
    TWO: session(hold("GPU-a")),
    ELSEWHERE: session(hold()),
}


async def test_what_a_session_uses_is_the_sum_of_its_own_processes_on_its_own_devices(
    make: Make, proc: Callable[[int, str], None]
) -> None:
    nvml = FakeNvml(A, B)
    gpus = make(nvml)
    await gpus.look("2")
    for pid, group in {
        1: f"/docker/{ONE}",
        2: f"/docker/{ONE}",
        3: f"/docker/{TWO}",
        4: f"/docker/{ELSEWHERE}",
        5: "/user.slice",
        7: f"/docker/{'4' * 64}",
    }.items():
        proc(pid, group)
    nvml.used = {
        "GPU-a": use("GPU-a", (1, 2 * GIB), (2, GIB), (3, GIB), (4, GIB), (5, 9), (6, 9), (7, 9)),
        "GPU-b": use("GPU-b", (1, None), (2, MIB), (3, 9 * GIB)),
        "GPU-new": use("GPU-new", (1, GIB)),
    }
    found = await gpus.uses(RUNNING)
    assert found.devices == nvml.used
    assert found.memory == {
        ONE: {"GPU-a": 3 * GIB, "GPU-b": MIB},
        TWO: {"GPU-a": GIB},
    }


async def test_where_the_driver_keeps_count_its_own_number_is_taken(
    make: Make, proc: Callable[[int, str], None]
) -> None:
    nvml = FakeNvml(A, B, memory_limits=True)
    gpus = make(nvml)
    await gpus.look("2")
    proc(1, f"/docker/{ONE}")
    proc(3, f"/docker/{TWO}")
    nvml.used = {"GPU-a": use("GPU-a", (1, GIB), (3, GIB)), "GPU-b": use("GPU-b", (1, GIB))}
    group = "/sys/fs/cgroup/docker/"
    nvml.limits = {
        ("GPU-a", group + ONE): MemoryLimit(FIFTH * MIB, FIFTH * MIB, 7),
        ("GPU-b", group + ONE): NvmlError("it fell off the bus"),
    }
    found = await gpus.uses(RUNNING)
    assert found.memory == {ONE: {"GPU-a": 7, "GPU-b": GIB}, TWO: {"GPU-a": GIB}}


async def test_an_older_driver_is_not_asked_what_it_cannot_tell(
    make: Make, proc: Callable[[int, str], None]
) -> None:
    nvml = FakeNvml(A)
    gpus = make(nvml)
    await gpus.look("2")
    proc(3, f"/docker/{TWO}")
    nvml.used = {"GPU-a": use("GPU-a", (3, GIB))}
    nvml.limits = {("GPU-a", f"/sys/fs/cgroup/docker/{TWO}"): MemoryLimit(1, 1, 7)}
    assert (await gpus.uses({TWO: RUNNING[TWO]})).memory == {TWO: {"GPU-a": GIB}}


async def test_where_there_is_no_gpu_or_none_that_is_there_nothing_is_measured(make: Make) -> None:
    nvml = FakeNvml()
    nvml.hang = threading.Event()
    nvml.hang.set()
    empty = make(nvml)
    await empty.look("2")
    assert await empty.uses(RUNNING) == GpuUses()
    simulated = make(nvml, simulated=[{"count": 2}])
    assert set(await simulated.look("2")) == {"SIMULATED-0", "SIMULATED-1"}
    nvml.used = {"GPU-a": use("GPU-a")}
    assert await simulated.uses(RUNNING) == GpuUses()
