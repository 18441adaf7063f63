"""A container's own cgroup as files, in the kernel's own formats, as seen from inside."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bai_spawner.statistics import OwnCgroup

MIB = 2**20
ID = "89ed984927d1c3e78f239334d763d5fd61f7d4bc4ba9a3bdbd4e9181bf26e0cc"
NO_LIMIT_V1 = 0x7FFFFFFFFFFFF000
"""What cgroup v1 says where there is no limit of memory."""

HOST_V1 = f"""\
9:name=systemd:/docker/{ID}
8:pids:/docker/{ID}
7:blkio:/docker/{ID}
4:memory:/docker/{ID}
2:cpu,cpuacct:/docker/{ID}
0::/docker/{ID}
"""
"""``/proc/self/cgroup`` in a container of cgroup v1: the host's paths, which are not there."""
HOST_V2 = f"0::/system.slice/docker-{ID}.scope\n"
"""The same of cgroup v2 without a namespace of cgroups, which sees the whole machine's tree."""
PRIVATE = "0::/\n"
"""The same with one."""


@dataclass
class FakeCgroup:
    """What the files say; `write` after a change.

    ``place`` is where below the root the container's files are; of v2 the machine's root lacks
    what every other cgroup has.
    """

    root: Path
    version: int
    place: str = ""
    memberships: str = ""
    cpu_seconds: float = 1.5
    usage: int = 100 * MIB
    inactive: int = 40 * MIB
    active: int = 7 * MIB
    processes: int = 3
    oom_kills: int | None = 0
    cores: float | None = 2
    memory: int | None = 1024 * MIB
    most: int | None = 200
    others: dict[str, str] = field(default_factory=dict)

    def write(self) -> FakeCgroup:
        files = self._v1() if self.version == 1 else self._v2()
        for name, content in (files | self.others).items():
            controller, _, file = name.rpartition("/")
            path = self.root / controller / self.place / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        if self.version == 2:
            (self.root / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
        self._list.write_text(self.memberships or (HOST_V1 if self.version == 1 else PRIVATE))
        return self

    @property
    def _list(self) -> Path:
        return self.root.with_name(f"{self.root.name}.cgroup")

    def own(self) -> OwnCgroup:
        return OwnCgroup(self.root, self._list)

    def _v1(self) -> dict[str, str]:
        kills = "" if self.oom_kills is None else f"oom_kill {self.oom_kills}\n"
        quota = -1 if self.cores is None else int(self.cores * 100_000)
        return {
            "cpu,cpuacct/cpuacct.usage": f"{int(self.cpu_seconds * 10**9)}\n",
            "cpu,cpuacct/cpu.cfs_quota_us": f"{quota}\n",
            "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            "memory/memory.usage_in_bytes": f"{self.usage}\n",
            "memory/memory.limit_in_bytes": f"{self.memory or NO_LIMIT_V1}\n",
            "memory/memory.stat": (
                f"cache 5\ninactive_file 1\nactive_file 2\ntotal_cache 9\n"
                f"total_inactive_file {self.inactive}\ntotal_active_file {self.active}\n"
            ),
            "memory/memory.oom_control": f"oom_kill_disable 0\nunder_oom 0\n{kills}",
            "pids/pids.current": f"{self.processes}\n",
            "pids/pids.max": f"{self.most or 'max'}\n",
        }

    def _v2(self) -> dict[str, str]:
        kills = "" if self.oom_kills is None else f"oom_kill {self.oom_kills}\noom_group_kill 0\n"
        quota = "max" if self.cores is None else int(self.cores * 100_000)
        return {
            "cgroup.type": "domain\n",
            "cpu.stat": f"usage_usec {int(self.cpu_seconds * 10**6)}\nuser_usec 1\nnr_periods 0\n",
            "cpu.max": f"{quota} 100000\n",
            "memory.current": f"{self.usage}\n",
            "memory.max": f"{self.memory or 'max'}\n",
            "memory.stat": (
                f"anon 1\nfile 2\ninactive_anon 3\ninactive_file {self.inactive}\n"
                f"active_file {self.active}\nunevictable 0\n"
            ),
            "memory.events": f"low 0\nhigh 0\nmax 9\noom 3\n{kills}",
            "pids.current": f"{self.processes}\n",
            "pids.max": f"{self.most or 'max'}\n",
        }
