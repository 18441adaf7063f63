"""``bai-spawner gpu verify`` through real containers, rehearsed on a CUDA driver without a GPU.

That the checks are made, in sessions, and told: not that any cap holds.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests import cuda, nvidia, nvml
from tests.deployment import REPO
from tests.faults.engine import PrivateEngine, lacking
from tests.images import BASE
from tests.nvml import MIB, FakeGpu

MISSING = lacking() or nvml.lacking()
pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)

IMAGE = "bai-test/cuda:1"
SHARE = 16179
"""MiB of a fifth of 80 GiB, as docs/gpu.md has it."""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verify")
    nvidia.hook(folder / "bin", folder / "nvml")
    nvml.write_state(folder / "nvml", [FakeGpu(cuda.UUID)])
    return folder


@pytest.fixture(scope="module")
def engine(host: Path) -> Iterator[PrivateEngine]:
    with PrivateEngine(host / "bin") as made:
        with contextlib.closing(made.client()) as client:
            _make_image(client, host)
        yield made


def _make_image(client: docker.DockerClient, folder: Path) -> None:
    """A session image with the stub of the driver, which has so much memory and no more."""
    with contextlib.closing(docker.from_env()) as main:
        client.images.load(main.images.get(BASE).save(named=BASE))
    container = client.containers.create(BASE, "true")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(cuda.compiled(folder) / cuda.NAME, cuda.NAME)
    container.put_archive("/usr/lib", packed.getvalue())  # which every loader looks into
    name, _, tag = IMAGE.partition(":")
    container.commit(name, tag, changes=[f"ENV STUB_MEMORY={SHARE * MIB} STUB_SMS=132"])
    container.remove()


def verify(engine: PrivateEngine, host: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bai_spawner.commands", "gpu", "verify", *arguments],
        cwd=REPO,
        env={
            **os.environ,
            **nvml.environment("new", host / "nvml"),
            "DOCKER_HOST": engine.host,
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_every_check_is_made_in_a_session_and_judged_by_what_is_claimed(
    engine: PrivateEngine, host: Path
) -> None:
    done = verify(engine, host, "timeslice", "--image", IMAGE)
    assert done.returncode == 0, done.stdout + done.stderr
    heading, _, columns, _, *rows = done.stdout.splitlines()
    assert heading.startswith("timeslice on NVIDIA H100 80GB HBM3, driver 615.71.05, ")
    assert columns.split() == ["check", "expected", "measured", "verdict"]
    verdicts = {row.partition("  ")[0]: row.split()[-1] for row in rows}
    assert verdicts["devices"] == verdicts["namespaces"] == "holds"
    assert verdicts["memory granted, device 0"] == "holds"
    assert verdicts["memory cap, two processes"] == "recorded", "time slices claim nothing"
    assert verdicts["devices, NVIDIA_VISIBLE_DEVICES=all"] == "holds", "in a session of its own"
    assert "FAILS" not in verdicts.values()
    with contextlib.closing(engine.client()) as client:
        assert client.containers.list(all=True) == [], "its sessions have ended"


def test_a_device_that_a_session_has_is_left_alone(engine: PrivateEngine, host: Path) -> None:
    with contextlib.closing(engine.client()) as client:
        shares = f'[["{cuda.UUID}", 1, 5]]'
        held = client.containers.create(IMAGE, "sleep 9", labels=_labels(shares))
        done = verify(engine, host, "timeslice", "--image", IMAGE)
        held.remove()
    assert done.returncode == 1
    assert f"has a share of {cuda.UUID}: end its session first" in done.stderr


def _labels(shares: str) -> dict[str, str]:
    texts = ("hub", "allocation", "user", "server", "session", "environment", "version")
    return {
        "bai.schema": "1",
        **{f"bai.{name}": "x" for name in (*texts, "group", "node", "policy")},
        **{f"bai.{name}": "1" for name in ("cpu", "memory", "shm")},
        "bai.shares": shares,
        "bai.folders": "[]",
    }
