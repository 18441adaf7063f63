"""What every session uses, read from the kernel's own files in one pass.

`Cgroups.collect` asks nobody: it reads six or seven small files a container, on
cgroup v1 or v2, whichever of Docker's two drivers laid them out. It never raises
for what it finds: a container that ended meanwhile is left out, and a controller
that is missing or a file that is odd counts as 0. Where the kernel's files are
another machine's, or hidden by the hub's own container, it finds nothing, and
`from_engine` makes the same value from the engine's answer.

`OwnCgroup` reads the same files from inside a container, and the limits beside them.
Hub and session both import this module, so it imports the standard library alone.

Not here: the size of a container's writable layer. No cgroup knows it, and the
engine walks the whole layer to tell.

Sources: the kernel's Documentation/admin-guide/cgroup-v2.rst and
cgroup-v1/{memory,cpuacct,blkio-controller,pids}.rst; `docker stats` in docker/cli,
cli/command/container/stats_helpers.go.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIPS = Path("/proc/self/cgroup")
NANOSECONDS = 10**9
MICROSECONDS = 10**6

_NAME = re.compile(r"(?:docker-)?([0-9a-f]{64})(?:\.scope)?", re.ASCII)
"""A container's directory: ``<id>`` of the driver cgroupfs, ``docker-<id>.scope`` of systemd."""
_ENOUGH = 256 * 1024
"""Bytes that hold any of these files; the kernel hands over a whole one in one read."""
_SELF = "self"
"""What the container that this process is in is called here."""
_UNLIMITED = 2**62
"""Bytes from which on a limit of cgroup v1 is none: it says 2^63 less a page."""
_MOST_DIGITS = 20
"""Of an unsigned 64-bit number, which is what the kernel counts with."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a container used up to a moment.

    Attributes:
        at: when, in seconds of this machine's monotonic clock.
        cpu_seconds: of all its processes on all cores, since it started.
        memory: bytes in use without page cache that the kernel may take back at any
            time: usage less inactive_file, as `docker stats` shows it. There is no peak
            here: the kernel's counts page cache, and after one large file was read it
            is the container's limit and says nothing.
        processes: processes and threads.
        io_read: bytes read from block devices since it started. cgroup v1 counts them
            only where the kernel does (from Linux 6.10: where a throttle is set).
        io_written: bytes written likewise; cgroup v1 leaves out what went through the
            page cache.
        oom_kills: processes killed for want of memory since it started. The container
            goes on when the killed one was not its first.
    """

    at: float
    cpu_seconds: float
    memory: int
    processes: int
    io_read: int
    io_written: int
    oom_kills: int


@dataclass(frozen=True, slots=True)
class Rates:
    """What a container does between two samples: cores in use, bytes a second."""

    cores: float
    io_read: int
    io_written: int


def rates(earlier: Sample, later: Sample) -> Rates:
    """What happened a second.

    A counter that went back (the container was started again, a device was taken
    away) shows one round of nothing rather than everything since its start.
    """
    elapsed = later.at - earlier.at
    if elapsed <= 0:
        return Rates(0.0, 0, 0)
    return Rates(
        max(0.0, later.cpu_seconds - earlier.cpu_seconds) / elapsed,
        int(max(0, later.io_read - earlier.io_read) / elapsed),
        int(max(0, later.io_written - earlier.io_written) / elapsed),
    )


class Cgroups:
    """The control groups of this machine's containers.

    Calls block for some 0.1 ms a container: make them off the loop, one at a time.

    Args:
        root: where control groups are mounted.
    """

    def __init__(self, root: Path = ROOT) -> None:
        self._layout = _layout(root)
        # the controller cpu of version 1 knows limits alone
        self._trees = [tree for name, tree in self._layout.trees.items() if name != "cpu"]

    def read(self, container: str) -> Sample | None:
        """What a container used, by its full id; ``None`` when it has no cgroup here."""
        for tree in self._trees:
            tree.find([container])
        return self._layout.sample(container)

    def collect(self, containers: Collection[str]) -> dict[str, Sample]:
        """What each container used, by its full id; without those that have no cgroup here.

        Where a container's cgroup is, is looked for once and remembered for as long as
        rounds ask for it.
        """
        for tree in self._trees:
            tree.forget_others(containers)
            tree.find(containers)
        samples = ((container, self._layout.sample(container)) for container in containers)
        return {container: sample for container, sample in samples if sample is not None}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a control group may use at most: cores, bytes, processes and threads.

    ``None``: as much as there is, or it is not told.
    """

    cpu: float | None
    memory: int | None
    processes: int | None


class OwnCgroup:
    """The control group of the container that this process is in.

    What a container sees at ``/sys/fs/cgroup`` is its own cgroup, except where it has version
    2 and no namespace of cgroups: there it sees the whole machine's, and its own is where
    ``/proc/self/cgroup`` says. Outside of containers it is this process's own, or the machine's.

    Args:
        root: where control groups are mounted.
        memberships: the kernel's list of this process's control groups.
    """

    def __init__(self, root: Path = ROOT, memberships: Path = MEMBERSHIPS) -> None:
        self._layout = _layout(root)
        paths = _paths(memberships)
        for controller, tree in self._layout.trees.items():
            tree.settle(_SELF, paths.get(controller, ""))

    def sample(self) -> Sample | None:
        """What the container used up to now; ``None`` where the kernel's files are not there."""
        return self._layout.sample(_SELF)

    def limits(self) -> Limits:
        """What it may use."""
        return self._layout.limits(_SELF)

    def active_cache(self) -> int:
        """Bytes of files read more than once: in use, and yet taken back before any killing."""
        return self._layout.active_cache(_SELF)

    def oom_kills(self) -> int:
        """Processes killed for want of memory since it started; 0 where that cannot be known."""
        return self._layout.oom_kills(_SELF)


def from_engine(stats: Mapping[str, Any], at: float | None = None) -> Sample:
    """The same from the engine's ``/containers/<id>/stats?stream=0&one-shot=1``.

    Its answer differs between hosts of cgroup v1 and v2 and is nearly empty for a
    container that ended; what is missing is 0. It never says how many processes were
    killed for memory. Docker 20.10 waits for its next round, up to a second, before it
    answers: ask for many containers at once.

    Args:
        stats: the answer's JSON.
        at: when it came, in seconds of the monotonic clock; by default now.
    """
    memory = _section(stats, "memory_stats")
    pages = _section(memory, "stats")
    inactive = pages.get("total_inactive_file", pages.get("inactive_file"))
    used = _without_cache(_whole(memory.get("usage")), _whole(inactive))
    transfers = _section(stats, "blkio_stats").get("io_service_bytes_recursive")
    return Sample(
        at=time.monotonic() if at is None else at,
        cpu_seconds=_whole(_section(stats, "cpu_stats", "cpu_usage").get("total_usage"))
        / NANOSECONDS,
        memory=used,
        processes=_whole(_section(stats, "pids_stats").get("current")),
        io_read=_transferred(transfers, "read"),
        io_written=_transferred(transfers, "write"),
        oom_kills=0,
    )


class _Tree:
    """One mounted hierarchy, and where in it containers are."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._places: dict[str, str] = {}

    def settle(self, container: str, path: str) -> None:
        """Place a container at a path below the root, else at the root.

        At the root without being asked where version 2 shows nothing but the container's own:
        the machine's root has no type.
        """
        below = Path(self._root, path.lstrip("/"))
        whole = not Path(self._root, "cgroup.type").exists()
        found = whole and ".." not in below.parts and below.is_dir()
        self._places[container] = str(below) if found else self._root

    def forget_others(self, containers: Collection[str]) -> None:
        """Keep only these; a container keeps its place when it is started again."""
        if len(self._places) > len(containers):
            kept = set(containers)
            self._places = {id_: at for id_, at in self._places.items() if id_ in kept}

    def find(self, containers: Iterable[str]) -> None:
        """Look for those whose place is not known, level by level, until all are found.

        It costs a listing of each directory above and beside them, and none of their own.
        """
        missing = {id_ for id_ in containers if id_ not in self._places}
        level = [self._root]
        while missing and level:
            below: list[str] = []
            for entry in (entry for at in level for entry in _directories(at)):
                match = _NAME.fullmatch(entry.name)
                if match and match[1] in missing:
                    self._places[match[1]] = entry.path
                    missing.discard(match[1])
                elif not match or match[1] not in self._places:
                    below.append(entry.path)  # an engine may run in a container itself
            level = below

    def read(self, container: str, file: str) -> bytes:
        """A file of a container's cgroup; empty when there is none or it cannot be read."""
        place = self._places.get(container)
        if place is None:
            return b""
        try:
            opened = os.open(f"{place}/{file}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return b""
        try:
            return os.read(opened, _ENOUGH)
        except OSError:  # removed between the two, or no file
            return b""
        finally:
            os.close(opened)


class _V1:
    """A hierarchy for each controller."""

    CONTROLLERS = ("memory", "cpu", "cpuacct", "blkio", "pids")
    _IO = ("blkio.throttle.io_service_bytes_recursive", "blkio.bfq.io_service_bytes_recursive")
    """The first that counts anything, as runc has it: some kernels fill only one of them."""

    def __init__(self, root: Path) -> None:
        self.trees = {name: _Tree(_mounted(root, name)) for name in self.CONTROLLERS}
        self._memory, self._cpu, self._cpuacct, self._blkio, self._pids = self.trees.values()

    def sample(self, container: str) -> Sample | None:
        at = time.monotonic()
        cpu = self._cpuacct.read(container, "cpuacct.usage")
        usage = self._memory.read(container, "memory.usage_in_bytes")
        processes = self._pids.read(container, "pids.current")
        if not (cpu or usage or processes):
            return None
        pages = self._memory.read(container, "memory.stat")
        used = _without_cache(_number(usage), _field(pages, b"total_inactive_file"))
        read, written = self._io(container)
        return Sample(
            at=at,
            cpu_seconds=_number(cpu) / NANOSECONDS,
            memory=used,
            processes=_number(processes),
            io_read=read,
            io_written=written,
            oom_kills=self.oom_kills(container),
        )

    def oom_kills(self, container: str) -> int:
        return _field(self._memory.read(container, "memory.oom_control"), b"oom_kill")

    def active_cache(self, container: str) -> int:
        return _field(self._memory.read(container, "memory.stat"), b"total_active_file")

    def limits(self, container: str) -> Limits:
        quota = self._cpu.read(container, "cpu.cfs_quota_us")
        period = self._cpu.read(container, "cpu.cfs_period_us")
        memory = _limit(self._memory.read(container, "memory.limit_in_bytes"))
        return Limits(
            cpu=_cores(quota, period),
            memory=memory if memory and memory < _UNLIMITED else None,
            processes=_limit(self._pids.read(container, "pids.max")),
        )

    def _io(self, container: str) -> tuple[int, int]:
        """Bytes read and written, from lines such as ``8:0 Read 4096``."""
        read = written = 0
        for file in self._IO:
            for line in self._blkio.read(container, file).splitlines():
                words = line.split()
                if len(words) == len(("device", "operation", "bytes")):
                    read += _number(words[2]) if words[1] == b"Read" else 0
                    written += _number(words[2]) if words[1] == b"Write" else 0
            if read or written:
                break
        return read, written


class _V2:
    """One hierarchy for all controllers."""

    def __init__(self, root: Path) -> None:
        self._tree = _Tree(root)
        self.trees = {"": self._tree}

    def sample(self, container: str) -> Sample | None:
        at = time.monotonic()
        cpu = self._tree.read(container, "cpu.stat")
        usage = self._tree.read(container, "memory.current")
        processes = self._tree.read(container, "pids.current")
        if not (cpu or usage or processes):
            return None
        pages = self._tree.read(container, "memory.stat")
        used = _without_cache(_number(usage), _field(pages, b"inactive_file"))
        transfers = self._tree.read(container, "io.stat").split()
        return Sample(
            at=at,
            cpu_seconds=_field(cpu, b"usage_usec") / MICROSECONDS,
            memory=used,
            processes=_number(processes),
            io_read=_sum(transfers, b"rbytes="),
            io_written=_sum(transfers, b"wbytes="),
            oom_kills=self.oom_kills(container),
        )

    def oom_kills(self, container: str) -> int:
        return _field(self._tree.read(container, "memory.events"), b"oom_kill")

    def active_cache(self, container: str) -> int:
        return _field(self._tree.read(container, "memory.stat"), b"active_file")

    def limits(self, container: str) -> Limits:
        quota, _, period = self._tree.read(container, "cpu.max").partition(b" ")
        return Limits(
            cpu=_cores(quota, period),
            memory=_limit(self._tree.read(container, "memory.max")),
            processes=_limit(self._tree.read(container, "pids.max")),
        )


_Layout = _V1 | _V2


def _layout(root: Path) -> _Layout:
    return _V2(root) if (root / "cgroup.controllers").exists() else _V1(root)


def _paths(memberships: Path) -> dict[str, str]:
    """This process's control group by controller, which is ``""`` of version 2.

    Lines are such as ``4:memory:/docker/…``, ``2:cpu,cpuacct:/docker/…`` and ``0::/``.
    """
    try:
        lines = memberships.read_text(errors="surrogateescape").split("\n")
    except OSError:
        return {}
    fields = [line.split(":", 2) for line in lines if line.count(":") > 1]
    return {name: path for _, names, path in fields for name in names.split(",")}


def _mounted(root: Path, controller: str) -> Path:
    """Where a v1 controller is: some systems mount two together, such as ``cpu,cpuacct``."""
    try:
        names = sorted(path.name for path in root.iterdir())
    except OSError:
        names = []
    return root / next((name for name in names if controller in name.split(",")), controller)


def _directories(path: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            yield from [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return


def _without_cache(usage: int, inactive_file: int) -> int:
    """Memory as `docker stats` counts it: the two are not read at one moment, so may cross."""
    return usage - inactive_file if inactive_file < usage else usage


def _number(word: bytes) -> int:
    """A count; 0 for anything else, such as ``max``."""
    word = word.strip()
    return int(word) if word.isdigit() and len(word) <= _MOST_DIGITS else 0


def _limit(word: bytes) -> int | None:
    """A limit; ``None`` where there is none, which is said by ``max``, or by no file."""
    return _number(word) or None


def _cores(quota: bytes, period: bytes) -> float | None:
    """Cores that a quota of each period comes to; ``max`` and ``-1`` are no quota."""
    allowed, every = _number(quota), _number(period)
    return allowed / every if allowed and every else None


def _field(content: bytes, name: bytes) -> int:
    """The number on the line ``name number``; 0 when there is none."""
    _, found, rest = (b"\n" + content).partition(b"\n" + name + b" ")
    return _number(rest.partition(b"\n")[0]) if found else 0


def _sum(words: Iterable[bytes], key: bytes) -> int:
    """The sum over all devices of words such as ``rbytes=4096``."""
    return sum(_number(word.removeprefix(key)) for word in words if word.startswith(key))


def _section(stats: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """An object within the answer; an empty one when it is missing or null."""
    for name in names:
        found = stats.get(name)
        stats = found if isinstance(found, Mapping) else {}
    return stats


def _whole(value: object) -> int:
    return value if type(value) is int and value > 0 else 0


def _transferred(transfers: object, operation: str) -> int:
    """The sum over all devices. v1 writes ``Read``, v2 ``read``; no device may be null."""
    return sum(
        _whole(entry.get("value"))
        for entry in (transfers if isinstance(transfers, list) else [])
        if isinstance(entry, Mapping) and str(entry.get("op")).lower() == operation
    )
