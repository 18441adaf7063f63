"""For every preset that is shipped: limits bite from inside, and nothing is privileged."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

from bai_spawner.catalog import Catalog, load_catalog
from bai_spawner.container import ContainerSpec, Placing, build_spec
from bai_spawner.engine import Engine
from bai_spawner.errors import Problems
from bai_spawner.ledger import Capacity, Ledger
from bai_spawner.options import parse
from bai_spawner.policy import Subject, Usage, check

REPO = Path(__file__).parent.parent.parent
CATALOG: Catalog = load_catalog(REPO / "catalog.yaml")
PIDS = 100

THROTTLE = """
import pathlib, time
def throttled():
    for path in ("/sys/fs/cgroup/cpu.stat", "/sys/fs/cgroup/cpu/cpu.stat",
                 "/sys/fs/cgroup/cpu,cpuacct/cpu.stat"):
        if pathlib.Path(path).exists():
            lines = pathlib.Path(path).read_text().splitlines()
            return next(int(l.split()[1]) for l in lines if l.startswith("nr_throttled"))
    raise SystemExit("no cpu.stat in the container")
import multiprocessing
def spin():
    end = time.monotonic() + 2
    while time.monotonic() < end: pass
before = throttled()
workers = [multiprocessing.Process(target=spin) for _ in range({workers})]
[w.start() for w in workers]; [w.join() for w in workers]
print(throttled() - before)
"""


@dataclass(frozen=True)
class Granted:
    """A container that runs under a preset's limits."""

    spec: ContainerSpec
    container: Any

    def run(self, *command: str) -> tuple[int, str]:
        result = self.container.exec_run(list(command))
        return result.exit_code, result.output.decode("utf-8", "replace")

    def python(self, program: str) -> tuple[int, str]:
        return self.run("python3", "-c", program)


def spec_of(preset: str, hub: str, network: str) -> ContainerSpec:
    """The shipped way from a request to a container, with a command that only waits."""
    problems = Problems()
    subject = Subject("limits", frozenset({"staff"}))
    group = (CATALOG.presets[preset].groups or ("general",))[0]
    options = parse({"preset": preset, "resource_group": group}, problems)
    grants = check(options, "", CATALOG, subject, Usage(), problems)
    assert grants, list(problems)
    (grant,) = grants
    ledger = Ledger({"local": Capacity(cpu=64, memory=2**40)})
    return build_spec(
        grant,
        ledger.reserve(grant, "one"),
        (),
        Placing(hub=hub, network=network, pids=PIDS),
        environment={"JUPYTERHUB_API_TOKEN": "secret"},
        command=["sleep", "600"],
    )


@pytest.fixture(params=sorted(CATALOG.presets))
async def granted(
    request: pytest.FixtureRequest,
    engine: Engine,
    client: docker.DockerClient,
    hub_id: str,
    network: str,
) -> AsyncIterator[Granted]:
    spec = spec_of(request.param, hub_id, network)
    container = await engine.create(spec)
    await engine.start(container)
    yield Granted(spec, client.containers.get(container))
    await engine.remove(container)


async def test_allocating_past_memory_is_killed(granted: Granted) -> None:
    """With half of it there is no trouble; with a little more than all there is."""
    allocate = "block = b'x' * {size}; print(len(block))"
    code, output = granted.python(allocate.format(size=granted.spec.memory // 2))
    assert (code, output.strip()) == (0, str(granted.spec.memory // 2))
    code, _ = granted.python(allocate.format(size=granted.spec.memory + 2**26))
    assert code == 137, "killed, for swap adds nothing to it"


async def test_shared_memory_is_full_at_the_granted_size(granted: Granted) -> None:
    mib = granted.spec.shm // 2**20
    fill = "dd if=/dev/zero of=/dev/shm/{name} bs=1M count={count} 2>&1"
    code, output = granted.run("sh", "-c", fill.format(name="a", count=mib))
    assert code == 0, output
    code, output = granted.run("sh", "-c", fill.format(name="b", count=1))
    assert code != 0
    assert "No space left" in output


async def test_the_pids_limit_stops_forking(granted: Granted) -> None:
    fork = (
        "import os, time\n"
        "made = 0\n"
        f"for _ in range({2 * PIDS}):\n"
        "    try: pid = os.fork()\n"
        "    except BlockingIOError: break\n"
        "    if pid == 0: time.sleep(3); os._exit(0)\n"
        "    made += 1\n"
        "print(made)\n"
    )
    code, output = granted.python(fork)
    assert code == 0, output
    assert PIDS // 2 < int(output) < PIDS


async def test_cpu_time_beyond_the_grant_is_throttled(granted: Granted) -> None:
    """More busy processes than cores were granted; on a smaller host the quota cannot be spent."""
    cores = granted.spec.cpu_quota // granted.spec.cpu_period
    available = int(granted.run("nproc")[1])
    code, output = granted.python(THROTTLE.replace("{workers}", str(cores + 1)))
    assert code == 0, output
    if cores < available:
        assert int(output) > 0
    else:
        state = granted.container.attrs["HostConfig"]
        assert state["CpuQuota"] == cores * state["CpuPeriod"]


async def test_nothing_about_it_is_privileged(granted: Granted) -> None:
    host = granted.container.attrs["HostConfig"]
    config = granted.container.attrs["Config"]
    assert host["Privileged"] is False
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert config["User"] == "1000:1000"
    assert host["PidsLimit"] == PIDS
    assert host["Init"] is True
    assert host["AutoRemove"] is False
    assert host["RestartPolicy"]["Name"] in ("", "no")
    assert host["IpcMode"] == "private"
    for namespace in ("PidMode", "UTSMode", "UsernsMode"):
        assert not host[namespace], namespace
    assert host["NetworkMode"] == granted.spec.network
    assert not host["Devices"]
    assert not host["Binds"]
    assert not host["PortBindings"]
    assert host["MemorySwap"] == host["Memory"] == granted.spec.memory
    assert not any("docker.sock" in str(mount) for mount in granted.container.attrs["Mounts"])


async def test_inside_it_is_the_user_work_without_any_power(granted: Granted) -> None:
    assert granted.run("id", "-u")[1].strip() == "1000"
    status = granted.run("cat", "/proc/self/status")[1]
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"] == "1"
    assert granted.run("sh", "-c", "echo $NVIDIA_VISIBLE_DEVICES")[1].strip() == "void"
