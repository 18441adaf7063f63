"""Which process it is: the largest, the killed, and what they are called."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bai_spawner.server_extension.usage.kernels import called, processes
from bai_spawner.server_extension.usage.killed import OTHER
from bai_spawner.server_extension.usage.largest import largest, name
from tests.inside.account import eventually, put_in, told
from tests.inside.conftest import Serve, Served
from tests.own_cgroup import MIB, FakeCgroup


@pytest.fixture(params=[1, 2], ids=["v1", "v2"])
def cgroup(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> FakeCgroup:
    return put_in(request.param, tmp_path, monkeypatch)


HOLD = "import sys, time; held = b'x' * int(sys.argv[1]); print(flush=True); time.sleep(600)"


class Processes:
    """Real processes, and a view of ``/proc`` that has them alone."""

    def __init__(self, proc: Path) -> None:
        self.proc = proc
        self._started: list[subprocess.Popen[bytes]] = []
        proc.mkdir()

    def start(self, *command: str) -> int:
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self._started.append(process)
        assert process.stdout
        assert process.stdout.readline()
        (self.proc / str(process.pid)).symlink_to(f"/proc/{process.pid}")
        return process.pid

    def end(self) -> None:
        for process in self._started:
            with process:
                process.kill()


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Processes]:
    made = Processes(tmp_path / "proc")
    yield made
    made.end()


def test_the_largest_process_is_the_one_that_holds_the_most(
    real: Processes, tmp_path: Path
) -> None:
    script = tmp_path / "train.py"
    script.write_text(HOLD)
    real.start(sys.executable, "-c", HOLD, str(10 * MIB))
    pid = real.start(sys.executable, str(script), str(150 * MIB))
    real.start(sys.executable, "-c", HOLD, str(80 * MIB))
    found = largest({}, real.proc)
    assert found
    assert found.pid == pid
    assert 150 * MIB < found.memory < 200 * MIB
    assert found.name == f"{Path(sys.executable).name} train.py"


def test_of_a_process_without_a_file_its_arguments_are_not_told(real: Processes) -> None:
    pid = real.start(sys.executable, "-c", HOLD, "1", "--password=hunter2")
    assert name(pid, {}, real.proc) == Path(sys.executable).name


def test_a_process_is_called_by_the_kernel_that_started_it(real: Processes) -> None:
    start = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1], '1'])"
    kernel = real.start(sys.executable, "-c", start, HOLD)
    (child,) = map(int, Path(f"/proc/{kernel}/task/{kernel}/children").read_text().split())
    (real.proc / str(child)).symlink_to(f"/proc/{child}")
    try:
        known = {kernel: "the kernel of a.ipynb"}
        assert name(kernel, known, real.proc) == "the kernel of a.ipynb"
        python = Path(sys.executable).name
        assert name(child, known, real.proc) == f"{python}, which the kernel of a.ipynb started"
        assert name(child, {}, real.proc) == python
    finally:
        os.kill(child, signal.SIGKILL)


def test_the_server_itself_is_called_so() -> None:
    assert name(os.getpid(), {}) == "this session's Jupyter server"


def test_where_no_process_can_be_read_none_is_the_largest(tmp_path: Path) -> None:
    assert largest({}, tmp_path) is None


@given(st.binary(max_size=300), st.binary(max_size=20))
def test_whatever_a_process_calls_itself_is_one_line_that_can_be_printed(
    tmp_path_factory: pytest.TempPathFactory, cmdline: bytes, comm: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp() / "odd" / "7"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cmdline").write_bytes(cmdline)
    (folder / "comm").write_bytes(comm + b"\n")
    (folder / "stat").write_bytes(b"7 (" + comm + b") S 1 7 7 0\n")
    (folder / "statm").write_bytes(b"9 3 1 1 0 1 0\n")
    found = largest({}, folder.parent)
    assert found
    assert found.memory == 3 * os.sysconf("SC_PAGE_SIZE")
    assert found.name
    assert found.name.isprintable()
    assert len(found.name) <= 81


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        (None, "a kernel without a notebook"),
        ({"type": "notebook", "path": "a/b.ipynb", "name": "b.ipynb"}, "the kernel of a/b.ipynb"),
        ({"type": "console", "path": "console-1", "name": "Console 1"}, "the kernel of Console 1"),
        ({"type": "console", "path": "console-1", "name": ""}, "the kernel of a console"),
        ({"type": "notebook", "path": "\x1b[2J\n.ipynb", "name": ""}, "the kernel of �[2J�.ipynb"),
    ],
)
def test_a_kernel_is_called_by_what_opened_it(
    session: dict[str, str] | None, expected: str
) -> None:
    assert called(session) == expected


@pytest.fixture
def ours(tmp_path: Path) -> dict[str, Any]:
    """A server's configuration with our kernels; their program is this Python, by its path."""
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Python",
        "language": "python",
    }
    folder = tmp_path / "data" / "kernels" / "real"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps(spec))
    return {
        "AsyncMappingKernelManager": {
            "kernel_manager_class": "bai_spawner.server_extension.kernels.UserEnvKernelManager",
            "default_kernel_name": "real",
        }
    }


async def opened(served: Served, path: str) -> int:
    """Open a notebook; the number of its kernel's process."""
    Path(served.app.root_dir, path).parent.mkdir(parents=True, exist_ok=True)
    answer = await served.allowed.post(
        "api/sessions",
        json={
            "path": path,
            "type": "notebook",
            "name": path,
            "kernel": {"name": "real"},
        },
    )
    assert answer.status_code == 201, answer.text
    manager: Any = served.app.kernel_manager.get_kernel(answer.json()["kernel"]["id"])
    return int(manager.provisioner.pid)


async def test_a_kernels_process_is_known_by_its_notebook(
    serve: Serve, cgroup: FakeCgroup, ours: dict[str, Any]
) -> None:
    served = await serve("usage", config=ours)
    pid = await opened(served, "results/big.ipynb")
    assert await processes(served.app) == {pid: "the kernel of results/big.ipynb"}


async def test_a_kernel_that_was_killed_for_memory_is_named_and_stays_so(
    serve: Serve, cgroup: FakeCgroup, ours: dict[str, Any]
) -> None:
    served = await serve("usage", config=ours)
    pid = await opened(served, "results/big.ipynb")
    cgroup.oom_kills = 1
    cgroup.write()
    assert (await told(served))["killed"] == {"count": 1, "message": OTHER}
    os.kill(pid, signal.SIGKILL)

    async def named() -> Any:
        killed = (await told(served))["killed"]
        return killed if killed["message"] != OTHER else None

    killed = await eventually(named)
    assert killed["count"] == 1
    assert killed["message"].startswith(
        "The kernel of results/big.ipynb was killed: it needed more memory"
    )
    for session in (await served.allowed.get("api/sessions")).json():
        await served.allowed.delete(f"api/sessions/{session['id']}")
    assert (await told(served))["killed"] == killed
    cgroup.oom_kills = 2
    cgroup.write()
    assert (await told(served))["killed"] == {"count": 2, "message": OTHER}
