"""A container's own cgroup: found from inside whatever is mounted, and read with its limits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bai_spawner.statistics import Limits, OwnCgroup, Sample, _paths
from tests.own_cgroup import HOST_V1, HOST_V2, ID, MIB, PRIVATE, FakeCgroup

SAMPLE = Sample(
    at=0.0, cpu_seconds=1.5, memory=60 * MIB, processes=3, io_read=0, io_written=0, oom_kills=2
)
LIMITS = Limits(cpu=2.0, memory=1024 * MIB, processes=200)


def sample(own: OwnCgroup) -> Sample:
    found = own.sample()
    assert found is not None
    return replace(found, at=0.0)


@pytest.fixture(params=[1, 2], ids=["v1", "v2"])
def cgroup(request: pytest.FixtureRequest, tmp_path: Path) -> FakeCgroup:
    return FakeCgroup(tmp_path / "cgroup", request.param, oom_kills=2).write()


@pytest.mark.parametrize(
    ("version", "place", "memberships"),
    [
        (1, "", HOST_V1),
        (1, f"docker/{ID}", HOST_V1),
        (1, "", "8:pids:/\n4:memory:/\n"),
        (1, "", "8:pids:/..\n4:memory:/..\n2:cpu,cpuacct:/..\n"),
        (1, "", ""),
        (2, "", PRIVATE),
        (2, "", "0::/init\n"),
        (2, "", "0::/../other\n"),
        (2, f"system.slice/docker-{ID}.scope", HOST_V2),
    ],
    ids=[
        "a container of v1",
        "v1 where the whole tree is seen",
        "v1 with a namespace",
        "v1 outside of its namespace",
        "nothing said",
        "a container of v2",
        "v2 in a cgroup below its own",
        "v2 outside of its namespace",
        "v2 without a namespace",
    ],
)
def test_a_container_finds_its_own(
    tmp_path: Path, version: int, place: str, memberships: str
) -> None:
    made = FakeCgroup(tmp_path / "cgroup", version, place, memberships, oom_kills=2).write()
    below = made.root / "init"
    below.mkdir()
    (below / "memory.current").write_text("1\n")
    assert sample(made.own()) == SAMPLE
    assert made.own().limits() == LIMITS
    assert made.own().active_cache() == 7 * MIB
    assert made.own().oom_kills() == 2


def test_of_the_whole_machine_nothing_is_taken_for_a_containers(tmp_path: Path) -> None:
    made = FakeCgroup(tmp_path / "cgroup", 2, f"system.slice/docker-{ID}.scope", HOST_V2).write()
    (made.root / "cpu.stat").write_text("usage_usec 999000000\n")
    assert sample(made.own()).cpu_seconds == 1.5


def test_what_is_not_limited_has_no_limit(cgroup: FakeCgroup) -> None:
    cgroup.cores = cgroup.memory = cgroup.most = None
    assert cgroup.write().own().limits() == Limits(None, None, None)


def test_half_a_core_is_half_a_core(cgroup: FakeCgroup) -> None:
    cgroup.cores = 0.5
    assert cgroup.write().own().limits().cpu == 0.5


def test_an_old_kernel_counts_no_kills(cgroup: FakeCgroup) -> None:
    cgroup.oom_kills = None
    assert cgroup.write().own().oom_kills() == 0


def test_where_there_are_no_control_groups_nothing_is_known(tmp_path: Path) -> None:
    own = OwnCgroup(tmp_path / "nothing", tmp_path / "nothing either")
    assert own.sample() is None
    assert own.limits() == Limits(None, None, None)
    assert (own.oom_kills(), own.active_cache()) == (0, 0)


@given(st.binary(max_size=200))
def test_nothing_in_the_list_of_control_groups_is_an_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "memberships"
    path.write_bytes(content)
    assert all("\n" not in place for place in _paths(path).values())
