"""What the numbers were measured on: a number without it says nothing."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

import docker

from bai_spawner.units import GIB, KIB

PACKAGES = ("jupyterhub", "dockerspawner", "docker", "tornado")


def facts(client: docker.DockerClient) -> str:
    """One fact a line."""
    engine = client.info()
    cores = len(os.sched_getaffinity(0))
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    lines = {
        "processor": f"{cores} cores, {_processor()}",
        "memory": f"{_memory() / GIB:.1f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "load before": f"{load} (1, 5, 15 minutes)",
        "engine": f"Docker {engine['ServerVersion']}, {engine['Driver']}, "
        f"cgroup v{engine.get('CgroupVersion', '1')}",
        "hub": f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in PACKAGES),
    }
    return "\n".join(f"{name + ':':<13} {fact}" for name, fact in lines.items())


def _processor() -> str:
    """The processor's name, where the kernel tells it."""
    for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _memory() -> int:
    """Bytes of memory."""
    first = Path("/proc/meminfo").read_text().partition("\n")[0]
    return int(first.split()[1]) * KIB
