"""The kernel's counters of real containers: what happens inside is what is read outside."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import docker
import pytest

from bai_spawner.statistics import Cgroups, Sample, from_engine, rates
from bai_spawner.units import MIB
from tests.images import BASE

LIMIT = 256 * MIB
BURN = "while True: pass"
HOLD = f"block = b'x' * {100 * MIB}; import time; time.sleep(600)"
EXHAUST = f"block = b'x' * {2 * LIMIT}"


@dataclass(frozen=True)
class Session:
    """A living container and what is read of it."""

    container: Any
    cgroups: Cgroups

    @property
    def id(self) -> str:
        return str(self.container.id)

    def sample(self) -> Sample:
        sample = self.cgroups.read(self.id)
        assert sample is not None
        return sample

    def python(self, program: str, *, detach: bool = False) -> int | None:
        code: int | None = self.container.exec_run(["python3", "-c", program], detach=detach)[0]
        return code

    def eventually(self, reached: Callable[[Sample], bool]) -> Sample:
        end = time.monotonic() + 20
        while not reached(sample := self.sample()):
            assert time.monotonic() < end, sample
            time.sleep(0.1)
        return sample

    def engine(self) -> Sample:
        return from_engine(self.container.stats(stream=False, one_shot=True))


@pytest.fixture
def session(client: docker.DockerClient, hub_id: str) -> Iterator[Session]:
    container = client.containers.run(
        BASE,
        ["sleep", "600"],
        detach=True,
        init=True,
        labels={"bai.hub": hub_id},
        mem_limit=LIMIT,
        memswap_limit=LIMIT,
    )
    cgroups = Cgroups()
    if cgroups.read(str(container.id)) is None:
        pytest.skip("control groups of the engine's containers are not visible here")
    yield Session(container, cgroups)
    container.remove(force=True)


def test_a_busy_loop_uses_one_core(session: Session) -> None:
    idle = session.sample()
    session.python(BURN, detach=True)
    session.eventually(lambda sample: sample.cpu_seconds > idle.cpu_seconds + 0.2)
    before = session.sample()
    time.sleep(3)
    # a machine busy with other work gives it less, none gives one thread more
    assert 0.4 < rates(before, session.sample()).cores < 1.1


def test_allocated_memory_is_in_use(session: Session) -> None:
    before = session.sample()
    session.python(HOLD, detach=True)
    after = session.eventually(lambda sample: sample.memory > before.memory + 100 * MIB)
    assert after.memory < before.memory + 150 * MIB
    assert after.processes > before.processes
    assert after.oom_kills == 0


def test_a_file_that_was_read_is_not_memory_in_use(session: Session) -> None:
    write = f"open('/tmp/file', 'wb').write(bytes({64 * MIB}))"
    before = session.sample()
    assert session.python(write) == 0
    assert session.sample().memory < before.memory + 32 * MIB


def test_written_bytes_are_counted_where_the_kernel_counts_them(session: Session) -> None:
    write = (
        "import mmap, os\n"
        "page = mmap.mmap(-1, 1 << 20)\n"
        "fd = os.open('/tmp/file', os.O_CREAT | os.O_WRONLY | os.O_DIRECT)\n"
        "for _ in range(16): os.write(fd, page)\n"
        "os.fsync(fd)\n"
    )
    before = session.sample()
    assert session.python(write) == 0
    after = session.sample()
    assert after.io_written >= before.io_written
    if after.io_written == session.engine().io_written == 0:
        pytest.skip("this host's blkio controller counts nothing, and nor does the engine")
    assert after.io_written >= before.io_written + 16 * MIB


def test_a_process_killed_for_memory_is_counted_in_a_container_that_goes_on(
    session: Session,
) -> None:
    assert session.sample().oom_kills == 0
    assert session.python(EXHAUST) == 137
    assert session.sample().oom_kills == 1
    assert session.python(EXHAUST) == 137
    assert session.sample().oom_kills == 2
    session.container.reload()
    assert session.container.status == "running"


def test_it_agrees_with_the_engine(session: Session) -> None:
    session.python(HOLD, detach=True)
    session.eventually(lambda sample: sample.memory > 100 * MIB)
    time.sleep(1)
    before, engine, after = session.sample(), session.engine(), session.sample()
    assert before.at <= engine.at <= after.at
    assert before.cpu_seconds <= engine.cpu_seconds <= after.cpu_seconds
    assert engine.memory == pytest.approx(before.memory, rel=0.02)
    assert engine.processes == before.processes
    assert before.io_read <= engine.io_read <= after.io_read
    assert before.io_written <= engine.io_written <= after.io_written


def test_a_container_that_ended_is_left_out_and_comes_back(session: Session) -> None:
    other = "0" * 64
    assert set(session.cgroups.collect([session.id, other])) == {session.id}
    session.container.kill()
    session.container.wait()
    assert session.cgroups.collect([session.id, other]) == {}
    session.container.start()
    assert set(session.cgroups.collect([session.id, other])) == {session.id}
