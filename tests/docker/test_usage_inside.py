"""What a session says that it uses, against what the machine's kernel says from outside."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import docker
import httpx
import pytest

from bai_spawner.statistics import Cgroups, Sample, rates
from bai_spawner.units import MIB
from tests.images import BASE
from tests.session import Session

LIMIT = 512 * MIB
PIDS = 300
SHM = 32 * MIB
BASE_URL = "/user/alice/one/"
TOKEN = "the-token-of-this-session"
CLOSE = 0.05
"""The issue's: within five percent."""

BURN = "import os; os.fork()\nwhile True: pass"
HOLD = "import os, sys, time; b = b'x' * int(sys.argv[1]); print(os.getpid(), flush=True)\n"
STAY = "time.sleep(600)"
EXHAUST = f"block = b'x' * {2 * LIMIT}"


class Inside(Session):
    """A container with the session's server in it, and no hub."""

    def __init__(self, container: Any) -> None:
        self.container = container
        container.reload()
        (port,) = container.ports["8888/tcp"]
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{port['HostPort']}{BASE_URL}",
            headers={"Authorization": f"token {TOKEN}"},
            timeout=60,
        )

    def usage(self) -> dict[str, Any]:
        answer = self.http.get("/bai/api/usage")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def hold(self, size: int) -> int:
        """Start a process that holds so many bytes; its number, once it does."""
        command = ["python3", "-c", HOLD + STAY, str(size)]
        output = self.container.exec_run(command, stream=True).output
        return int(next(output))

    def until(self, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        end = time.monotonic() + 60
        while not reached(found := self.usage()):
            assert time.monotonic() < end, found
            time.sleep(0.2)
        return found

    def log(self) -> str:
        return str(self.container.logs().decode())


class Outside:
    """The kernel's files of a container, read on the machine ten times a second."""

    def __init__(self, container: str) -> None:
        self._container, self._cgroups = container, Cgroups()
        self._read: list[tuple[float, Sample]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def now(self) -> Sample | None:
        return self._cgroups.read(self._container)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            sample = self.now()
            assert sample
            self._read.append((time.time(), sample))

    def at(self, when: float) -> Sample:
        """What was read nearest to a time of day."""
        return min(self._read, key=lambda read: abs(read[0] - when))[1]

    def processes(self, when: float) -> set[int]:
        """How many there were in the second around a time of day."""
        return {sample.processes for at, sample in self._read if abs(at - when) < 0.5}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir()
    (made / "kept").write_bytes(b"x" * 3 * MIB)
    return made


@pytest.fixture
def inside(client: docker.DockerClient, hub_id: str, folder: Path) -> Iterator[Inside]:
    container = client.containers.run(
        BASE,
        [
            "--ip=0.0.0.0",
            f"--IdentityProvider.token={TOKEN}",
            f"--ServerApp.base_url={BASE_URL}",
        ],
        entrypoint="/opt/bai/bin/jupyter-server",
        detach=True,
        init=True,
        labels={"bai.hub": hub_id},
        environment={"CPU_LIMIT": "1", "MEM_LIMIT": str(LIMIT)},
        mem_limit=LIMIT,
        memswap_limit=LIMIT,
        cpu_period=100_000,
        cpu_quota=100_000,
        pids_limit=PIDS,
        shm_size=SHM,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        volumes={str(folder): {"bind": "/home/work/data", "mode": "rw"}},
        ports={"8888/tcp": ("127.0.0.1", 0)},
    )
    made = Inside(container)
    end = time.monotonic() + 60
    while True:
        try:
            made.http.get("/api/status").raise_for_status()
            break
        except httpx.TransportError:
            assert time.monotonic() < end, made.log()
            time.sleep(0.2)
    yield made
    made.http.close()
    container.remove(force=True, v=True)


@pytest.fixture
def outside(inside: Inside) -> Iterator[Outside]:
    made = Outside(str(inside.container.id))
    if made.now() is None:
        pytest.skip("control groups of the engine's containers are not visible here")
    with made:
        yield made


def test_it_agrees_with_the_kernel_and_not_with_the_machine(
    inside: Inside, outside: Outside
) -> None:
    inside.hold(200 * MIB)
    inside.container.exec_run(["python3", "-c", BURN], detach=True)
    time.sleep(1)
    steady = time.time()
    found = inside.until(lambda usage: sum(at > steady for at in usage["history"]["at"]) >= 3)
    after = outside.now()
    before = outside.at(found["at"])
    assert after

    used = found["memory"]["used"]
    assert used > 200 * MIB
    assert used == pytest.approx(before.memory, rel=CLOSE)
    assert used == pytest.approx(after.memory, rel=CLOSE)
    assert found["processes"]["used"] in outside.processes(found["at"])
    times, cores = found["history"]["at"], found["history"]["cpu"]
    windows = list(zip(times, times[1:], cores[1:], strict=False))
    for since, until, told in windows[-2:]:
        assert since > steady
        counted = rates(outside.at(since), outside.at(until)).cores
        assert told == pytest.approx(counted, rel=CLOSE)
    assert cores[-1] > 0.1, "two processes burn what a core, or a busy machine, gives them"

    assert found["cpu"]["limit"] == 1
    assert found["memory"]["limit"] == LIMIT
    assert found["processes"]["limit"] == PIDS
    assert found["shm"]["limit"] == SHM
    memory = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total, free = (int(memory[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    assert total > 2 * LIMIT
    assert used != pytest.approx(total - free, rel=CLOSE)


def test_shared_memory_is_counted(inside: Inside) -> None:
    assert inside.usage()["shm"]["used"] == 0
    inside.run("dd", "if=/dev/zero", "of=/dev/shm/x", "bs=1M", "count=16")
    assert inside.usage()["shm"]["used"] == 16 * MIB


def test_the_work_directory_and_its_folder_are_counted_apart(inside: Inside) -> None:
    inside.run("dd", "if=/dev/zero", "of=/home/work/mine", "bs=1M", "count=8")
    usage = inside.until(lambda usage: usage["disk"]["work"]["complete"])
    assert usage["disk"]["work"]["used"] >= 8 * MIB
    assert usage["disk"]["work"]["used"] == int(inside.run("du", "-xsB1", "/home/work").split()[0])
    (folder,) = usage["disk"]["folders"]
    assert (folder["name"], folder["complete"]) == ("data", True)
    assert folder["used"] == int(inside.run("du", "-xsB1", "/home/work/data").split()[0])
    assert folder["used"] >= 3 * MIB
    blocks = inside.run("stat", "-f", "-c", "%b %S", "/home/work/data").split()
    assert folder["total"] == int(blocks[0]) * int(blocks[1])


def test_before_memory_runs_out_the_largest_process_is_named(inside: Inside) -> None:
    used = inside.usage()["memory"]["used"]
    pid = inside.hold(int(0.94 * LIMIT) - used)
    found = inside.until(lambda usage: usage["warning"] is not None)
    assert found["warning"]["largest"]["pid"] == pid
    assert found["warning"]["largest"]["name"] == "python3"
    message = found["warning"]["message"]
    assert "% of this session's memory of 512 MiB is used; the largest process is" in message
    assert f"python3 (pid {pid}, " in message
    assert inside.log().count("of this session's memory of 512 MiB is used") == 1
    inside.run("kill", "-9", str(pid))
    inside.until(lambda usage: usage["warning"] is None)


def test_what_linux_killed_for_memory_is_said(inside: Inside) -> None:
    assert inside.usage()["killed"] == {"count": 0, "message": ""}
    assert inside.container.exec_run(["python3", "-c", EXHAUST]).exit_code == 137
    assert inside.usage()["killed"] == {
        "count": 1,
        "message": "A process of this session was killed for memory.",
    }
    inside.execute(EXHAUST, until="restarting", seconds=60)
    killed = inside.usage()["killed"]
    assert killed["count"] == 2
    assert killed["message"].startswith(
        "A kernel without a notebook was killed: it needed more memory than the 512 MiB"
    )
