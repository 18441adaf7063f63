"""Use of GPUs as it is seen from inside: the real pynvml on the library of `tests.nvml`.

What this proves is whose use a number is said to be, and that nothing stops us; what a GPU
answers within a container is proven on a GPU.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from bai_spawner.server_extension.usage.gpu import Gpus, Share, _memory, share
from tests.nvml import GIB, MIB, FakeGpu, FakeMig, environment, functions, lacking, write_state

needs_library = pytest.mark.skipif(bool(lacking()), reason=lacking())

MODEL = "NVIDIA H100 80GB HBM3"
SHARED = {
    "NVIDIA_VISIBLE_DEVICES": "GPU-a",
    "BAI_GPU_ISOLATION": "mps-v2",
    "BAI_GPU_ENFORCEMENT": "memory: process, compute: process, faults: shared",
    "BAI_GPU_MEMORY_MIB": "16179",
    "BAI_GPU_SM": "20",
}
WHOLE = SHARED | {"BAI_GPU_ISOLATION": "whole", "BAI_GPU_MEMORY_MIB": "80896"}

# the library is found when a process starts, so another process has to ask
_ASK = """
import json, sys
from pathlib import Path
from bai_spawner.server_extension.usage.gpu import Gpus, share
gpus = Gpus(share(), Path(sys.argv[1]))
for line in sys.stdin:
    print(json.dumps([use.told() for use in gpus.read()]), flush=True)
"""


class Session:
    """A process in a session with a share, and the processes that it sees."""

    def __init__(self, folder: Path, variant: str, variables: dict[str, str]) -> None:
        self.state, self.proc = folder / "state", folder / "proc"
        self.proc.mkdir()
        found = environment(variant, self.state) if variant else {}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _ASK, str(self.proc)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env={k: v for k, v in os.environ.items() if k != "LD_LIBRARY_PATH"} | variables | found,
        )

    def has(self, *gpus: FakeGpu, **others: Any) -> None:
        write_state(self.state, gpus, **others)

    def runs(self, pid: int, *opened: str) -> None:
        """A process of the session, with these files open."""
        fds = self.proc / str(pid) / "fd"
        fds.mkdir(parents=True)
        for number, path in enumerate(opened):
            (fds / str(number)).symlink_to(path)

    def read(self) -> list[dict[str, Any]]:
        asked, answers = self._process.stdin, self._process.stdout
        assert asked
        assert answers
        asked.write("\n")
        asked.flush()
        found: list[dict[str, Any]] = json.loads(answers.readline())
        return found

    def one(self) -> dict[str, Any]:
        (found,) = self.read()
        return found

    def end(self) -> None:
        with self._process:
            self._process.kill()


@pytest.fixture
def start(tmp_path: Path) -> Any:
    started: list[Session] = []

    def session(variables: dict[str, str], variant: str = "new") -> Session:
        started.append(Session(tmp_path, variant, variables))
        return started[-1]

    yield session
    for one in started:
        one.end()


@needs_library
def test_a_whole_gpu_is_the_sessions_with_all_that_is_used_of_it(start: Any) -> None:
    session = start(WHOLE)
    session.has(FakeGpu("GPU-a", used=3 * GIB, utilisation=41))
    assert session.one() == {
        "name": MODEL,
        "uuid": "GPU-a",
        "memory": {"used": 3 * GIB, "limit": 80896 * MIB},
        "sm": {"used": 41, "limit": 100},
        "of": "session",
    }


@needs_library
def test_a_mig_device_is_the_sessions_and_its_gpu_and_neighbours_are_not(start: Any) -> None:
    variables = {
        "NVIDIA_VISIBLE_DEVICES": "MIG-b",
        "BAI_GPU_ISOLATION": "mig",
        "BAI_GPU_MEMORY_MIB": "9984",
    }
    session = start(variables)
    mine = FakeMig("MIG-b", processes=[(41, GIB)])
    session.has(FakeGpu("GPU-a", mig=(FakeMig("MIG-a", processes=[(9, 5 * GIB)]), None, mine)))
    assert session.one() == {
        "name": f"{MODEL} MIG 1g.10gb",
        "uuid": "MIG-b",
        "memory": {"used": GIB, "limit": 9984 * MIB},
        "sm": {"used": None, "limit": 100},
        "of": "session",
    }


@needs_library
def test_of_a_shared_gpu_the_memory_of_the_sessions_processes_is_counted(start: Any) -> None:
    session = start(SHARED)
    processes = [(41, GIB), (42, 2 * GIB), (900, 30 * GIB)]
    session.has(FakeGpu("GPU-a", processes=processes, mps_processes=[(42, 2 * GIB), (43, MIB)]))
    for pid in (41, 42, 43):
        session.runs(pid, "/dev/null", "/dev/nvidia0")
    assert session.one() == {
        "name": MODEL,
        "uuid": "GPU-a",
        "memory": {"used": 3 * GIB + MIB, "limit": 16179 * MIB},
        "sm": {"used": None, "limit": 20},
        "of": "session",
    }


@needs_library
def test_a_process_here_that_has_no_gpu_open_is_not_the_one_that_the_driver_means(
    start: Any,
) -> None:
    session = start(SHARED)
    session.has(FakeGpu("GPU-a", processes=[(41, GIB)], utilisation=73))
    session.runs(41, "/dev/null")
    told = session.one()
    assert (told["of"], told["memory"]["used"], told["sm"]["used"]) == ("device", GIB, 73)


@needs_library
@pytest.mark.parametrize("variant", ["new", "old", "ancient"])
def test_where_no_process_is_known_it_is_said_to_be_everybodys_use(
    start: Any, variant: str
) -> None:
    session = start(SHARED, variant)
    session.has(FakeGpu("GPU-a", used=7 * GIB, reserved=GIB))
    told = session.one()
    # an old driver counts in what it keeps for itself
    used = 8 * GIB if variant == "ancient" else 7 * GIB
    assert (told["of"], told["memory"]["used"]) == ("device", used)


@needs_library
def test_only_the_devices_of_the_share_are_told(start: Any) -> None:
    session = start(SHARED | {"NVIDIA_VISIBLE_DEVICES": "GPU-b,GPU-c"})
    session.has(*map(FakeGpu, ("GPU-a", "GPU-b", "GPU-c")))
    assert [told["uuid"] for told in session.read()] == ["GPU-b", "GPU-c"]


@needs_library
def test_a_gpu_that_is_lost_costs_no_other_and_comes_back(start: Any) -> None:
    session = start(SHARED | {"NVIDIA_VISIBLE_DEVICES": "all"})
    session.has(FakeGpu("GPU-a", lost=True), FakeGpu("GPU-b"))
    assert [told["uuid"] for told in session.read()] == ["GPU-b"]
    session.has(FakeGpu("GPU-a"), FakeGpu("GPU-b"))
    assert [told["uuid"] for told in session.read()] == ["GPU-a", "GPU-b"]


@needs_library
@pytest.mark.parametrize("function", functions() if not lacking() else [])
def test_no_answer_of_the_library_stops_us(start: Any, function: str) -> None:
    session = start(SHARED)
    for code in (3, 4, 13, 15, 25, 999):
        session.has(FakeGpu("GPU-a", mig=(FakeMig("MIG-a"),), fails={function: code}))
        session.read()
        session.has(FakeGpu("GPU-a", processes=[(41, GIB)]), fails={function: code})
        session.read()


@pytest.mark.parametrize("variant", ["", pytest.param("new", marks=needs_library)])
def test_without_a_driver_nothing_is_known(start: Any, variant: str) -> None:
    assert start(SHARED, variant).read() == []


def test_a_driver_that_was_not_there_is_not_asked_all_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[int] = []

    def fail() -> None:
        tried.append(1)
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    gpus = Gpus(Share())
    assert [gpus.read(), gpus.read()] == [(), ()]
    assert tried == [1]
    gpus._next = 0.0
    gpus.read()
    assert tried == [1, 1]


@pytest.mark.parametrize(
    ("total", "own"), [(80 * GIB, False), (16 * GIB, True)], ids=["of the GPU", "of the limit"]
)
def test_a_driver_that_answers_for_the_control_group_is_noticed(total: int, own: bool) -> None:
    def info(_: object, version: object = None) -> SimpleNamespace:
        whole = SimpleNamespace(total=80 * GIB, used=50 * GIB)
        return SimpleNamespace(total=total, used=2 * GIB) if version else whole

    nvml = SimpleNamespace(nvmlDeviceGetMemoryInfo=info, nvmlMemory_v2=2, NVMLError=OSError)
    assert _memory(nvml, object()) == (80 * GIB, 2 * GIB, own)


@pytest.mark.parametrize("visible", [{}, *({"NVIDIA_VISIBLE_DEVICES": w} for w in ("", "void"))])
def test_without_a_device_there_is_no_share(visible: dict[str, str]) -> None:
    assert share({"BAI_GPU_ISOLATION": "simulated", "BAI_GPU_MEMORY_MIB": "5"} | visible) is None


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, Share(("GPU-a",), "mps-v2", 16179 * MIB, 20)),
        ({"BAI_GPU_SM": ""}, Share(("GPU-a",), "mps-v2", 16179 * MIB, None)),
        (
            {
                "BAI_GPU_ISOLATION": "memcap",
                "BAI_GPU_ENFORCEMENT": "memory: session, compute: none",
            },
            Share(("GPU-a",), "memcap", 16179 * MIB, 100),
        ),
        ({"BAI_GPU_MEMORY_MIB": "much"}, Share(("GPU-a",), "mps-v2", 0, 20)),
        ({"NVIDIA_VISIBLE_DEVICES": "all"}, Share((), "mps-v2", 16179 * MIB, 20)),
    ],
    ids=["told", "compute not told", "compute not limited", "odd", "all that are seen"],
)
def test_a_share_is_what_the_hub_tells(changed: dict[str, str], expected: Share) -> None:
    assert share(SHARED | changed) == expected
