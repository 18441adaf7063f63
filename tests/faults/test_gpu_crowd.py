"""Many sessions at once on a real engine: every device exactly full, and nothing left behind.

And a limit of memory, set by a stand-in for the toolkit's hook and read back by the real
pynvml from a stub: a child process has both, since NVML is looked for as a process starts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests import nvidia, nvml
from tests.deployment import REPO
from tests.faults.engine import PrivateEngine, lacking
from tests.images import LIGHT
from tests.nvml import FakeGpu

pytestmark = pytest.mark.skipif(
    bool(lacking() or nvml.lacking()), reason=lacking() or nvml.lacking()
)

DEVICES = 8
CATALOG = f"""
nodes: {{local: {{cpu: 1000, memory: 1000GiB}}}}
resource_groups: {{default: {{title: Default, nodes: [local]}}}}
environments: {{light: {{title: Light, versions: {{"1": {{image: "{LIGHT}"}}}}}}}}
gpu: {{fgpu_per_gpu: 5, isolation: ISOLATION}}
policies: [{{name: everyone, folders: []}}]
"""
NETWORK = "crowd"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the stand-ins, and eight GPUs."""
    folder = tmp_path_factory.mktemp("crowd")
    nvidia.hook(folder / "bin", folder / "nvml")
    nvidia.toolkit(folder / "bin")
    nvml.write_state(folder / "nvml", [FakeGpu(f"GPU-{n}") for n in range(DEVICES)])
    return folder


@pytest.fixture(scope="module")
def engine(host: Path) -> Iterator[PrivateEngine]:
    with PrivateEngine(host / "bin") as made:
        with closing(made.client()) as client:
            client.networks.create(NETWORK, driver="bridge")
        yield made


def told(engine: PrivateEngine, host: Path, folder: Path, isolation: str, order: str) -> Any:
    """What a hub without pages answers when it is given an order."""
    catalog = folder / "catalog.yaml"
    catalog.write_text(CATALOG.replace("ISOLATION", isolation))
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.crowd", folder, catalog, NETWORK, order],
        cwd=REPO,
        env={
            **os.environ,
            **nvml.environment("new", host / "nvml"),
            "PATH": f"{host / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(REPO),
            "DOCKER_HOST": engine.host,
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_of_200_requests_for_a_fifth_of_8_gpus_exactly_40_start_and_all_come_back(
    engine: PrivateEngine, host: Path, tmp_path: Path
) -> None:
    found = told(engine, host, tmp_path, "timeslice", "crowd")
    assert (found["started"], found["refused"], found["failed"]) == (40, 160, 0)
    assert found["full"] == {f"GPU-{n}": 5 for n in range(DEVICES)}, "by the containers' labels"
    assert found["seen"] == {f"GPU-{n}": 5 for n in range(DEVICES)}, "by what the engine was asked"
    assert found["reasons"] == ["resources.fgpu: 1 asked > 0 free for one session"]
    assert (found["held"], found["containers"], found["free"]) == (0, 0, 40)


def test_a_limit_of_memory_is_read_back_from_the_driver_after_the_start(
    engine: PrivateEngine, host: Path, tmp_path: Path
) -> None:
    found = told(engine, host, tmp_path, "memcap", "memcap")
    assert found["started"], found
    assert found["env"]["NVIDIA_GPU_MEMORY_LIMIT"] == "32358"
    assert found["env"]["NVIDIA_GPU_MEMORY_REQUEST"] == "32358"


def test_a_session_whose_limit_nobody_set_is_ended_with_the_reason(
    engine: PrivateEngine, host: Path, tmp_path: Path
) -> None:
    (host / "no-limits").touch()
    try:
        found = told(engine, host, tmp_path, "memcap", "memcap")
    finally:
        (host / "no-limits").unlink()
    assert not found["started"]
    assert "its share of the GPU is not enforced" in found["why"]
    assert (found["containers"], found["held"]) == (0, 0)
