"""Statistics: the same values from every layout of files, and nothing odd ends a round."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bai_spawner.statistics import Cgroups, Rates, Sample, from_engine, rates
from bai_spawner.units import MIB

ONE, TWO, OTHER = "1" * 64, "ab" * 32, "f" * 64
SAMPLE = Sample(
    at=0.0,
    cpu_seconds=1.5,
    memory=60 * MIB,
    processes=3,
    io_read=6 * MIB,
    io_written=2 * MIB,
    oom_kills=2,
)
"""What each tree of files below says."""

V1 = {
    "cpu,cpuacct/cpuacct.usage": "1500000000\n",
    "memory/memory.usage_in_bytes": f"{100 * MIB}\n",
    "memory/memory.stat": (
        f"cache 5\ninactive_file 7\ntotal_cache 9\ntotal_inactive_file {40 * MIB}\ntotal_rss 1\n"
    ),
    "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    "pids/pids.current": "3\n",
    "blkio/blkio.throttle.io_service_bytes_recursive": (
        f"8:0 Read {4 * MIB}\n8:0 Write {MIB}\n8:0 Sync 1\n8:0 Total {5 * MIB}\n"
        f"253:0 Read {2 * MIB}\n253:0 Write {MIB}\nTotal {8 * MIB}\n"
    ),
    "blkio/blkio.bfq.io_service_bytes_recursive": "Total 0\n",
}
V2 = {
    "cpu.stat": "usage_usec 1500000\nuser_usec 1\nsystem_usec 2\nnr_periods 0\n",
    "memory.current": f"{100 * MIB}\n",
    "memory.stat": f"anon 1\nfile 2\nactive_file 3\ninactive_file {40 * MIB}\nslab 5\n",
    "memory.events": "low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 1\n",
    "pids.current": "3\n",
    "io.stat": (
        f"8:0 rbytes={4 * MIB} wbytes={MIB} rios=1 wios=1 dbytes=5 dios=0\n"
        f"253:0 rbytes={2 * MIB} wbytes={MIB} rios=1 wios=1 dbytes=0 dios=0\n"
    ),
}
PLACES = {
    "cgroupfs": "docker/{}",
    "systemd": "system.slice/docker-{}.scope",
    "a cgroup-parent": "hub/sessions/{}",
    "a slice as cgroup-parent": "hub.slice/hub-sessions.slice/docker-{}.scope",
    "an engine in a container": f"docker/{OTHER}/docker/{{}}",
}


class Host:
    """A machine's control groups as files."""

    def __init__(self, root: Path, files: dict[str, str], place: str) -> None:
        self.root, self.files, self.place = root, files, place
        if files is V2:
            (root / "cgroup.controllers").write_text("cpu io memory pids\n")

    def path(self, container: str, file: str) -> Path:
        controller, _, name = file.rpartition("/")
        return self.root / controller / self.place.format(container) / name

    def run(self, container: str) -> None:
        for file, content in self.files.items():
            path = self.path(container, file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    def end(self, container: str) -> None:
        for file in self.files:
            shutil.rmtree(self.path(container, file).parent, ignore_errors=True)

    def named(self, ending: str) -> str:
        return next(file for file in self.files if file.endswith(ending))


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> str:
    return PLACES[request.param]


@pytest.fixture(params=["v1", "v2"])
def host(request: pytest.FixtureRequest, tmp_path: Path, place: str) -> Host:
    return Host(tmp_path, {"v1": V1, "v2": V2}[request.param], place)


@pytest.fixture(params=["v1", "v2"])
def plain(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    """For what has nothing to do with where containers are."""
    return Host(tmp_path, {"v1": V1, "v2": V2}[request.param], PLACES["cgroupfs"])


def without_time(sample: Sample | None) -> Sample:
    assert sample is not None
    return replace(sample, at=0.0)


def test_a_container_is_found_wherever_the_engine_puts_it(host: Host) -> None:
    host.run(ONE)
    before = time.monotonic()
    sample = Cgroups(host.root).read(ONE)
    assert without_time(sample) == SAMPLE
    assert sample is not None
    assert before <= sample.at <= time.monotonic()


def test_one_round_knows_every_container_that_is_there(host: Host) -> None:
    host.run(ONE)
    host.run(OTHER)
    cgroups = Cgroups(host.root)
    assert set(cgroups.collect([ONE, TWO])) == {ONE}
    host.run(TWO)
    assert set(cgroups.collect([ONE, TWO])) == {ONE, TWO}
    host.end(ONE)
    assert set(cgroups.collect([ONE, TWO])) == {TWO}
    assert cgroups.read(ONE) is None
    host.run(ONE)
    assert set(cgroups.collect([ONE, TWO])) == {ONE, TWO}


def test_a_place_is_remembered_only_while_it_is_asked_for(
    plain: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain.run(ONE)
    plain.run(TWO)
    cgroups = Cgroups(plain.root)
    cgroups.collect([ONE, TWO])
    searched: list[str] = []

    def scan(path: str) -> list[Any]:
        searched.append(path)
        return []

    monkeypatch.setattr("bai_spawner.statistics._directories", scan)
    assert set(cgroups.collect([ONE, TWO])) == {ONE, TWO}
    assert set(cgroups.collect([TWO])) == {TWO}
    assert not searched
    assert set(cgroups.collect([ONE, TWO])) == {TWO}
    assert searched


@pytest.mark.parametrize(
    "container", ["", "..", "../docker", "docker", ONE[:12], ONE + "/..", ONE.upper() + "\0"]
)
def test_what_is_no_full_id_is_no_container(plain: Host, container: str) -> None:
    plain.run(ONE)
    assert Cgroups(plain.root).read(container) is None


def test_without_control_groups_there_is_nothing(tmp_path: Path) -> None:
    assert Cgroups(tmp_path).collect([ONE, TWO]) == {}
    assert Cgroups(tmp_path / "absent").collect([ONE]) == {}
    assert Cgroups(tmp_path).collect([]) == {}


@pytest.mark.parametrize(
    "garbage",
    [
        *("", "max", "-5", "oom_kill\n", "\0\xff", "1" * 5000, "rbytes= wbytes=-1"),
        "8:0\n8:0 Read\n8:0 Read x\n",
        "usage_usec x\ninactive_file -1\ntotal_inactive_file\noom_kill 1 2",
    ],
)
def test_odd_files_count_as_nothing(plain: Host, garbage: str) -> None:
    plain.run(ONE)
    plain.run(TWO)
    for file in plain.files:
        if not file.endswith("pids.current"):
            plain.path(ONE, file).write_text(garbage, encoding="latin-1")
    found = Cgroups(plain.root).collect([ONE, TWO])
    assert without_time(found[ONE]) == Sample(0.0, 0.0, 0, 3, 0, 0, 0)
    assert without_time(found[TWO]) == SAMPLE


@pytest.mark.parametrize(
    ("ending", "unknown"),
    [
        ("cpuacct.usage", {"cpu_seconds": 0}),
        ("cpu.stat", {"cpu_seconds": 0}),
        ("pids.current", {"processes": 0}),
        ("usage_in_bytes", {"memory": 0}),
        ("memory.current", {"memory": 0}),
        ("memory.stat", {"memory": 100 * MIB}),
        ("oom_control", {"oom_kills": 0}),
        ("memory.events", {"oom_kills": 0}),
        ("io.stat", {"io_read": 0, "io_written": 0}),
        ("throttle.io_service_bytes_recursive", {"io_read": 0, "io_written": 0}),
    ],
)
@pytest.mark.parametrize("directory", [False, True])
def test_a_missing_or_unreadable_file_leaves_the_rest(
    tmp_path: Path, ending: str, unknown: dict[str, Any], directory: bool
) -> None:
    files = next(files for files in (V1, V2) if any(name.endswith(ending) for name in files))
    host = Host(tmp_path, files, PLACES["systemd"])
    host.run(ONE)
    path = host.path(ONE, host.named(ending))
    path.unlink()
    if directory:
        path.mkdir()
    assert without_time(Cgroups(tmp_path).read(ONE)) == replace(SAMPLE, **unknown)


def test_a_missing_controller_counts_as_nothing(tmp_path: Path) -> None:
    Host(tmp_path, V1, PLACES["cgroupfs"]).run(ONE)
    shutil.rmtree(tmp_path / "memory")
    shutil.rmtree(tmp_path / "blkio")
    sample = without_time(Cgroups(tmp_path).read(ONE))
    assert sample == Sample(0.0, 1.5, 0, 3, 0, 0, 0)


def test_bytes_are_counted_by_the_scheduler_where_the_throttle_counts_none(tmp_path: Path) -> None:
    host = Host(tmp_path, V1, PLACES["cgroupfs"])
    host.run(ONE)
    throttle, bfq = (host.path(ONE, file) for file in V1 if file.startswith("blkio"))
    throttle.rename(bfq)
    throttle.write_text("Total 0\n")
    assert without_time(Cgroups(tmp_path).read(ONE)) == SAMPLE


def test_memory_is_as_docker_shows_it_when_the_cache_exceeds_the_usage(plain: Host) -> None:
    plain.run(ONE)
    usage = next(f for f in plain.files if f.endswith(("usage_in_bytes", "memory.current")))
    plain.path(ONE, usage).write_text(f"{30 * MIB}\n")
    assert without_time(Cgroups(plain.root).read(ONE)).memory == 30 * MIB


def test_a_container_that_ends_within_a_round_is_left_out(
    plain: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain.run(ONE)
    plain.run(TWO)
    cgroups = Cgroups(plain.root)
    sample: Callable[[str], Sample | None] = cgroups._layout.sample

    def ending(container: str) -> Sample | None:
        plain.end(ONE)
        return sample(container)

    monkeypatch.setattr(cgroups._layout, "sample", ending)
    assert set(cgroups.collect([ONE, TWO])) == {TWO}


def later(**changes: Any) -> Sample:
    return replace(SAMPLE, **{"at": 2.0, **changes})


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        (later(), Rates(0.0, 0, 0)),
        (later(cpu_seconds=4.5), Rates(1.5, 0, 0)),
        (later(io_read=8 * MIB), Rates(0.0, MIB, 0)),
        (later(io_written=3 * MIB), Rates(0.0, 0, MIB // 2)),
        (later(cpu_seconds=0.5, io_read=0, io_written=4 * MIB), Rates(0.0, 0, MIB)),
        (later(at=0.0, cpu_seconds=9.0, io_read=MIB * 9), Rates(0.0, 0, 0)),
        (later(at=-1.0, cpu_seconds=9.0, io_read=MIB * 9), Rates(0.0, 0, 0)),
    ],
)
def test_rates_are_of_a_second_and_never_negative(sample: Sample, expected: Rates) -> None:
    assert rates(SAMPLE, sample) == expected


ENGINE_V1 = {
    "read": "2026-11-23T11:46:51.720044282Z",
    "pids_stats": {"current": 3},
    "blkio_stats": {
        "io_service_bytes_recursive": [
            {"major": 8, "minor": 0, "op": "Read", "value": 4 * MIB},
            {"major": 8, "minor": 0, "op": "Write", "value": MIB},
            {"major": 8, "minor": 0, "op": "Sync", "value": 5},
            {"major": 253, "minor": 0, "op": "Read", "value": 2 * MIB},
            {"major": 253, "minor": 0, "op": "Write", "value": MIB},
            {"major": 253, "minor": 0, "op": "Total", "value": 3 * MIB},
        ],
    },
    "cpu_stats": {"cpu_usage": {"total_usage": 1_500_000_000}, "online_cpus": 2},
    "memory_stats": {
        "usage": 100 * MIB,
        "max_usage": 200 * MIB,
        "stats": {"inactive_file": 7, "total_inactive_file": 40 * MIB},
    },
}
ENGINE_V2 = {
    "pids_stats": {"current": 3, "limit": 100},
    "blkio_stats": {
        "io_service_bytes_recursive": [
            {"major": 8, "minor": 0, "op": "read", "value": 6 * MIB},
            {"major": 8, "minor": 0, "op": "write", "value": 2 * MIB},
        ],
        "io_serviced_recursive": None,
    },
    "cpu_stats": {"cpu_usage": {"total_usage": 1_500_000_000}},
    "memory_stats": {"usage": 100 * MIB, "stats": {"anon": 1, "inactive_file": 40 * MIB}},
}


@pytest.mark.parametrize("stats", [ENGINE_V1, ENGINE_V2], ids=["v1", "v2"])
def test_the_engine_says_the_same_of_either_version(stats: dict[str, Any]) -> None:
    assert from_engine(stats, 0.0) == replace(SAMPLE, oom_kills=0)


def test_the_engines_answer_is_of_now_unless_said_otherwise() -> None:
    before = time.monotonic()
    assert before <= from_engine({}).at <= time.monotonic()


@pytest.mark.parametrize(
    "stats",
    [
        {},
        {"memory_stats": {}, "cpu_stats": None, "pids_stats": [], "blkio_stats": 1},
        {"blkio_stats": {"io_service_bytes_recursive": None}, "cpu_stats": {"cpu_usage": None}},
        {"blkio_stats": {"io_service_bytes_recursive": [None, {}, {"op": "read", "value": "1"}]}},
        {"memory_stats": {"usage": "1", "stats": None}, "pids_stats": {"current": -1}},
        {"memory_stats": {"stats": {"inactive_file": 5}}},
    ],
)
def test_what_the_engine_leaves_out_is_nothing(stats: dict[str, Any]) -> None:
    assert from_engine(stats, 0.0) == Sample(0.0, 0.0, 0, 0, 0, 0, 0)
