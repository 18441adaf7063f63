"""Shares of GPUs on a real engine, from a real hub: what reaches containers, and the books.

The engine has a stand-in for NVIDIA's hook, the hub a stub of NVML that the real pynvml
loads: what is proven here is plumbing. Enforcement is proven on a GPU alone (tests/gpu).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import pytest

from bai_spawner import labels
from bai_spawner.gpu.isolation import VOID
from bai_spawner.labels import SessionLabels
from bai_spawner.records import Records
from bai_spawner.units import GIB
from tests import nvidia, nvml
from tests.deployment import REPO, Deployment, Visitor, eventually
from tests.faults.engine import PrivateEngine, lacking
from tests.images import LIGHT
from tests.nvml import FakeGpu, FakeMig

pytestmark = pytest.mark.skipif(
    bool(lacking() or nvml.lacking()), reason=lacking() or nvml.lacking()
)

GREEDY = "bai-test/greedy:1"
"""An image whose own environment asks for every GPU, and for more of each."""
GREEDY_ENV = {
    "NVIDIA_VISIBLE_DEVICES": "all",
    "NVIDIA_DRIVER_CAPABILITIES": "all",
    "NVIDIA_GPU_MEMORY_LIMIT": "999999",
    "NVIDIA_MIG_CONFIG_DEVICES": "all",
    "CUDA_VISIBLE_DEVICES": "0,1,2,3",
    "CUDA_MPS_PIPE_DIRECTORY": "/elsewhere",
    "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": "100",
    "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT": "0=2G,1=4G",
}
CONFIG = f"""
from pathlib import Path
shipped = Path({str(REPO / "tests/hub/config.py")!r})
__file__ = str(shipped)
exec(compile(shipped.read_text(), __file__, "exec"))
runtime.statistics_interval = 0.3
runtime.gpu_interval = INTERVAL
"""
CATALOG = f"""
nodes: {{local: {{cpu: 100, memory: 100GiB}}}}
resource_groups:
  default: {{title: Default, nodes: [local]}}
environments:
  light: {{title: Light, versions: {{"1": {{image: "{LIGHT}"}}}}}}
  greedy: {{title: Greedy, versions: {{"1": {{image: "{GREEDY}"}}}}}}
gpu: {{fgpu_per_gpu: 5, ISOLATION}}
policies: [{{name: everyone, folders: []}}]
"""
MIG = "MIG-11111111-2222-3333-4444-555555555555"
TWO = (FakeGpu("GPU-aaaa"), FakeGpu("GPU-bbbb"))


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-ins; what the hook knows is what the stub of NVML is told."""
    folder = tmp_path_factory.mktemp("nvidia")
    nvidia.hook(folder / "bin", folder / "nvml")
    nvidia.mps_control(folder / "bin")
    return folder


@pytest.fixture(scope="module")
def engine(programs: Path) -> Iterator[PrivateEngine]:
    with PrivateEngine(programs / "bin") as made:
        with closing(made.client()) as client:
            greedy(client)
        yield made


def greedy(client: docker.DockerClient) -> None:
    container: Any = client.containers.create(LIGHT, "true")
    asks = [f"ENV {name}={value}" for name, value in GREEDY_ENV.items()]
    command = client.images.get(LIGHT).attrs["Config"]["Cmd"]
    name, _, tag = GREEDY.partition(":")
    container.commit(name, tag, changes=[*asks, f"CMD {json.dumps(command)}"])
    container.remove()


@dataclass
class Host:
    """A hub on a host with GPUs: those of the stub, in whatever state a test puts them."""

    deployment: Deployment
    nvml: Path
    gpus: tuple[FakeGpu, ...] = field(default=TWO)

    def have(self, *gpus: FakeGpu, driver: str = "615.71.05") -> None:
        """Let the host have these GPUs from now on."""
        self.gpus = gpus
        nvml.write_state(self.nvml, gpus, driver)

    def fault(self, verb: str, **what: object) -> None:
        """Let something befall the engine's next call of this name."""
        faults = self.deployment.state / "faults"
        faults.mkdir(exist_ok=True)
        (faults / verb).write_text(json.dumps({**what, "once": True}))

    def session(self, server: str, user: str = "ada") -> SessionLabels:
        return labels.decode(self.deployment.container(user, server).labels)

    def environ(self, server: str, user: str = "ada") -> dict[str, str]:
        """The environment that a session's first process was started with."""
        container = self.deployment.container(user, server)
        raw = container.exec_run(["cat", "/proc/1/environ"]).output.decode()
        return dict(item.split("=", 1) for item in raw.split("\0") if "=" in item)

    def record(self, server: str) -> Any:
        path = self.deployment.state / "records.sqlite"
        with closing(Records(f"sqlite:///{path}")) as records:
            found = records.page(self.deployment.hub_id).sessions
        return next(one for one in found if one.facts.server == server)


Make = Callable[..., Host]


@pytest.fixture
def make(engine: PrivateEngine, programs: Path, tmp_path: Path) -> Iterator[Make]:
    """Start a hub on a host with these GPUs, this driver and this catalogue."""
    with ExitStack() as stack:

        def start(
            *gpus: FakeGpu,
            isolation: str = "isolation: timeslice",
            variant: str = "new",
            driver: str = "615.71.05",
            interval: float = 0.3,
        ) -> Host:
            catalog, config = tmp_path / "catalog.yaml", tmp_path / "config.py"
            catalog.write_text(CATALOG.replace("ISOLATION", isolation))
            config.write_text(CONFIG.replace("INTERVAL", str(interval)))
            state = programs / "nvml"
            nvml.write_state(state, gpus or TWO, driver)
            deployment = Deployment(
                tmp_path / "hub",
                catalog=catalog,
                config=config,
                engine=engine.host,
                env={
                    **nvml.environment(variant, state),
                    "PATH": f"{programs / 'bin'}:{os.environ['PATH']}",
                },
            )
            stack.callback(deployment.clean)
            stack.callback(engine.start)
            deployment.start()
            return Host(deployment, state, gpus or TWO)

        yield start


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """Where MPS daemons have their folders; the path of a socket is short."""
    made = Path("/run") / f"bai-test-{tmp_path.name[-12:]}"
    yield made
    shutil.rmtree(made)


def fgpu(amount: object, **more: object) -> dict[str, Any]:
    return {
        "environment": "light",
        "resources": {"cpu": 1, "memory": "512MiB", "fgpu": amount},
    } | more


def books(host: Host, admin: Visitor) -> dict[str, int]:
    """What the hub's ledger holds of each node's resources."""
    text = admin.http.get("/hub/metrics").text
    found = re.findall(r'bai_node_allocated\{node="local",resource="(\w+)"\} (\S+)', text)
    return {resource: int(float(amount)) for resource, amount in found}


def held_by_labels(host: Host) -> int:
    sessions = [labels.decode(c.labels) for c in host.deployment.containers()]
    return sum(share.quanta for session in sessions for share in session.shares)


# ---- what reaches a container ---------------------------------------------------------


def test_a_share_reaches_the_container_as_its_device_its_variables_and_its_labels(
    make: Make,
) -> None:
    host = make()
    with host.deployment.login("ada") as ada:
        answer = ada.start("one", fgpu(2))
        assert answer.status_code == 201, answer.text
        session = host.session("one")
        assert [(s.device, s.quanta, s.per_gpu) for s in session.shares] == [("GPU-aaaa", 2, 5)]
        assert session.gpu
        assert (session.gpu.isolation, session.gpu.memory, session.gpu.sm) == (
            "timeslice",
            (80 * 1024 - 1024) * 2 // 5,
            40,
        )
        assert str(session.gpu.enforcement) == "memory: none, compute: none, faults: contexts"
        assert session.gpu.verified == "never"
        env = host.environ("one")
        assert env["NVIDIA_VISIBLE_DEVICES"] == "GPU-aaaa"
        assert env["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
        assert env["BAI_GPU_ISOLATION"] == "timeslice"
        (asked,) = host.deployment.container("ada", "one").attrs["HostConfig"]["DeviceRequests"]
        assert (asked["Driver"], asked["DeviceIDs"]) == ("nvidia", ["GPU-aaaa"])
        facts = host.record("one").facts
        assert (facts.devices, facts.gpu) == (("GPU-aaaa",), session.gpu)
        ada.stop_all()


def test_a_session_without_a_share_sees_no_gpu_whatever_its_image_asks_for(make: Make) -> None:
    host = make()
    with host.deployment.login("ada") as ada:
        assert ada.start("one", {"environment": "greedy"}).status_code == 201
        env = host.environ("one")
        assert env["NVIDIA_VISIBLE_DEVICES"] == VOID
        assert not {n for n in env if n.startswith(("NVIDIA_", "CUDA_"))} - {
            "NVIDIA_VISIBLE_DEVICES"
        }
        assert not host.deployment.container("ada", "one").attrs["HostConfig"]["DeviceRequests"]
        ada.stop_all()


def test_what_the_image_and_the_user_say_of_gpus_never_wins(make: Make) -> None:
    host = make()
    with host.deployment.login("ada") as ada:
        assert ada.start("one", fgpu(1) | {"environment": "greedy"}).status_code == 201
        env = host.environ("one")
        assert env["NVIDIA_VISIBLE_DEVICES"] == "GPU-aaaa"
        assert env["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
        assert not set(env) & (
            GREEDY_ENV.keys() - {"NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"}
        )
        for name in ("NVIDIA_VISIBLE_DEVICES", "cuda_mps_pipe_directory", "CUDA_VISIBLE_DEVICES"):
            answer = ada.start("two", fgpu(1) | {"env": {name: "all"}})
            assert answer.status_code == 400
            assert f"env.{name}" in answer.json()["message"]
        ada.stop_all()


def test_two_whole_gpus_come_as_two_devices(make: Make) -> None:
    host = make()
    with host.deployment.login("ada") as ada:
        assert ada.start("one", fgpu(10)).status_code == 201
        assert host.environ("one")["NVIDIA_VISIBLE_DEVICES"] == "GPU-aaaa,GPU-bbbb"
        refused = ada.start("two", fgpu(1))
        assert refused.status_code == 409
        assert "1 asked > 0 free for one session" in refused.json()["message"]
        ada.stop_all()


def test_a_mig_device_is_given_whole_and_exactly(make: Make) -> None:
    mig = FakeGpu(
        "GPU-mmmm", mig=(FakeMig(MIG, "1g.10gb"), None, FakeMig("MIG-bbbb", "3g.40gb", 40 * GIB))
    )
    worth = "isolation: auto, mig: {1g.10gb: 1, 3g.40gb: 3}, require_enforcement: {memory: session}"
    host = make(mig, isolation=worth)
    with host.deployment.login("ada") as ada:
        assert ada.start("one", fgpu(1)).status_code == 201
        assert host.environ("one")["NVIDIA_VISIBLE_DEVICES"] == MIG
        session = host.session("one")
        assert session.gpu
        assert session.gpu.isolation == "mig"
        assert str(session.gpu.enforcement) == "memory: session, compute: session, faults: isolated"
        answer = ada.start("two", fgpu(2))
        assert answer.status_code == 409
        assert "its GPUs are divided into parts of 1 or 3 fGPU" in answer.json()["message"]
        ada.stop_all()


def test_mps_brings_its_daemons_folder_and_ends_clients_before_their_container(
    make: Make, root: Path
) -> None:
    limits = {"percent": "20.0", "memory": "16179M"}
    pipe = nvidia.mps_daemon(root, "GPU-aaaa", **limits)
    host = make(
        FakeGpu("GPU-aaaa", exclusive=True), isolation=f"isolation: mps-v2, mps_directory: {root}"
    )
    with host.deployment.login("ada") as ada:
        assert "2 asked > 1 that resource group" in ada.start("two", fgpu(2)).json()["message"]
        assert ada.start("one", fgpu(1)).status_code == 201
        assert host.environ("one")["CUDA_MPS_PIPE_DIRECTORY"] == "/run/bai-mps"
        container = host.deployment.container("ada", "one")
        mounts = {m["Destination"]: m for m in container.attrs["Mounts"]}
        for where in ("/run/bai-mps", "/tmp/nvidia-mps"):
            assert (mounts[where]["Source"], mounts[where]["RW"]) == (str(pipe), False)
        pid = container.attrs["State"]["Pid"]
        nvidia.mps_daemon(root, "GPU-aaaa", **limits, clients={nvidia.SERVER: [pid, 1]})
        ada.stop_all()
        assert f"terminate_client {nvidia.SERVER} {pid}" in nvidia.told(pipe)
        assert f"terminate_client {nvidia.SERVER} 1" not in nvidia.told(pipe), (
            "it is nobody's of this session"
        )


def test_a_daemon_that_was_started_with_other_limits_ends_the_session(
    make: Make, root: Path
) -> None:
    """Between the look at the daemon and the start: what is read back is not what was granted."""
    nvidia.mps_daemon(root, "GPU-aaaa", percent="20.0", memory="16179M")
    host = make(
        FakeGpu("GPU-aaaa", exclusive=True), isolation=f"isolation: mps-v2, mps_directory: {root}"
    )
    host.fault("create", after=1.0)
    others = {"percent": "40.0", "memory": "32358M"}
    changed = threading.Timer(0.6, lambda: nvidia.mps_daemon(root, "GPU-aaaa", **others))
    with host.deployment.login("ada") as ada:
        changed.start()
        answer = ada.start("one", fgpu(1))
        assert answer.status_code == 500, answer.text
        told = "MPS gives each process 40 % of the GPU, not the 20 %"
        assert told in answer.json()["message"]
        assert eventually(lambda: not host.deployment.containers())
        assert told in host.record("one").end.detail


# ---- what a driver can, and what is lost ----------------------------------------------


@pytest.mark.parametrize(
    ("variant", "driver", "isolation", "told"),
    [
        ("old", "550.54.15", "memcap", "driver 615 or newer is needed, found 550.54.15"),
        ("ancient", "470.82.01", "mps-v2", "driver 550 or newer is needed, found 470.82.01"),
        ("new", "615.71.05", "mig", "MIG is off"),
        (
            "new",
            "615.71.05",
            "auto",
            "isolation auto takes nothing less than mps-v2: its",
        ),
    ],
)
def test_what_a_driver_cannot_enforce_is_refused_in_words_and_never_degraded(
    make: Make, variant: str, driver: str, isolation: str, told: str
) -> None:
    host = make(isolation=f"isolation: {isolation}", variant=variant, driver=driver)
    with host.deployment.login("ada") as ada:
        answer = ada.start("one", fgpu(1))
        assert answer.status_code == 409, answer.text
        assert told in answer.json()["message"]
        assert "is handed out" in answer.json()["message"]
        assert told in ada.http.get("/hub/spawn/ada/two").text


def test_what_is_required_and_not_in_force_is_refused(make: Make) -> None:
    host = make(isolation="isolation: timeslice, require_enforcement: {memory: session}")
    with host.deployment.login("ada") as ada:
        answer = ada.start("one", fgpu(1))
        assert answer.status_code == 409
        assert "memory: none < session required" in answer.json()["message"]


def test_a_device_lost_in_mid_session_is_marked_counted_and_not_given_again(make: Make) -> None:
    host = make()
    with host.deployment.login("ada") as ada, host.deployment.login("admin") as admin:
        assert ada.start("one", fgpu(4)).status_code == 201
        assert ada.start("two", fgpu(4)).status_code == 201
        lost = host.session("one").shares[0].device
        host.have(*(FakeGpu(gpu.uuid, lost=gpu.uuid == lost) for gpu in TWO))
        warned = eventually(lambda: host.record("one").warning)
        assert warned == f"its GPU {lost} is not there any more"
        assert host.record("two").warning == ""
        assert ada.servers()["one"]["ready"], "it goes on"
        assert books(host, admin)["fgpu"] == 8, "it holds what it holds"
        answer = ada.start("three", fgpu(4))
        assert answer.status_code == 409
        assert ada.start("four", fgpu(1)).status_code == 201, "the other one has room for it"
        host.have(*TWO)
        assert eventually(lambda: not host.record("one").warning), "it is back"
        assert ada.start("five", fgpu(2)).status_code == 409, "nothing of it was given away"
        ada.stop_all()
        assert books(host, admin)["fgpu"] == 0


def test_an_engine_that_does_not_know_the_device_any_more_says_so_in_words(make: Make) -> None:
    """The hub has not looked yet, the toolkit does not find it: the start fails."""
    host = make(interval=60)
    with host.deployment.login("ada") as ada, host.deployment.login("admin") as admin:
        host.fault("create", after=0.5)
        threading.Timer(0.4, lambda: host.have(TWO[1])).start()
        answer = ada.start("one", fgpu(5))
        assert answer.status_code == 500, answer.text
        assert "the GPU is not there any more" in answer.json()["message"]
        assert eventually(lambda: not host.deployment.containers())
        assert books(host, admin)["fgpu"] == 0


def test_a_device_that_is_lost_while_its_session_is_made_is_told_by_name(make: Make) -> None:
    host = make()
    with host.deployment.login("ada") as ada, host.deployment.login("admin") as admin:
        host.fault("create", after=1.5)
        threading.Timer(0.4, lambda: host.have(TWO[1])).start()
        answer = ada.start("one", fgpu(5))
        assert answer.status_code == 409, answer.text
        assert "its GPU GPU-aaaa is not there any more" in answer.json()["message"]
        assert eventually(lambda: not host.deployment.containers())
        assert books(host, admin)["fgpu"] == 0


def test_without_the_toolkit_a_start_says_what_to_install(
    make: Make, engine: PrivateEngine, programs: Path
) -> None:
    hook = programs / "bin" / "nvidia-container-runtime-hook"
    away = hook.with_name("away")
    host = make()
    with host.deployment.login("ada") as ada:
        engine.stop()
        hook.rename(away)
        try:
            engine.start()
            answer = eventually(
                lambda: found if (found := ada.start("one", fgpu(1))).status_code == 500 else None,
                seconds=20,
            )
            assert answer is not None
            assert "install nvidia-container-toolkit" in answer.json()["message"]
            assert eventually(lambda: not host.deployment.containers())
        finally:
            engine.stop()
            away.rename(hook)
            engine.start()


# ---- restarts -------------------------------------------------------------------------


def test_after_restarts_of_the_hub_and_of_the_engine_the_books_are_the_labels(
    make: Make, engine: PrivateEngine
) -> None:
    host = make()
    with host.deployment.login("ada") as ada:
        for server, amount in (("one", 3), ("two", 2), ("three", 4)):
            assert ada.start(server, fgpu(amount)).status_code == 201
    host.deployment.stop()
    host.deployment.start()
    with host.deployment.login("ada") as ada, host.deployment.login("admin") as admin:
        assert eventually(lambda: books(host, admin).get("fgpu") == 9 == held_by_labels(host))
        assert ada.start("four", fgpu(2)).status_code == 409
        assert ada.start("five", fgpu(1)).status_code == 201
        engine.stop()
        engine.start()
        ended = eventually(lambda: not ada.servers(), seconds=30)
        assert ended, ada.servers()
        assert eventually(lambda: books(host, admin).get("fgpu") == 0 == held_by_labels(host))
        assert ada.start("six", fgpu(10)).status_code == 201
        ada.stop_all()


def test_units_changed_under_running_sessions_count_in_the_new_ones(make: Make) -> None:
    host = make()
    with host.deployment.login("ada") as ada:
        assert ada.start("one", fgpu(2)).status_code == 201
    host.deployment.stop()
    catalog = host.deployment.catalog
    catalog.write_text(catalog.read_text().replace("fgpu_per_gpu: 5", "fgpu_per_gpu: 4"))
    host.deployment.start()
    with host.deployment.login("ada") as ada, host.deployment.login("admin") as admin:
        assert eventually(lambda: books(host, admin).get("fgpu") == 2), "2/5 are 1.6/4: two"
        assert ada.start("two", fgpu(3)).status_code == 201, "on the other"
        assert ada.start("three", fgpu(3)).status_code == 409
        ada.stop_all()


# ---- usage ----------------------------------------------------------------------------


def test_memory_is_told_by_session_and_device_and_utilisation_by_device(make: Make) -> None:
    host = make()
    with host.deployment.login("ada") as ada, host.deployment.login("admin") as admin:
        assert ada.start("one", fgpu(1)).status_code == 201
        pid = host.deployment.container("ada", "one").attrs["State"]["Pid"]
        host.have(
            FakeGpu(
                "GPU-aaaa",
                utilisation=37,
                processes=((pid, 3 * GIB), (1, GIB)),
                mps_processes=((pid, 4 * GIB),),
            ),
            TWO[1],
        )

        def measured() -> Any:
            path = host.deployment.state / "records.sqlite"
            with closing(Records(f"sqlite:///{path}")) as records:
                found = records.published(host.deployment.hub_id, "statistics")
            uses = json.loads(found.body) if found else {}
            use = uses.get(host.session("one").allocation, {})
            return use.get("gpu_memory") == {"GPU-aaaa": 4 * GIB}

        assert eventually(measured), "its own processes alone, each once"
        text = admin.http.get("/hub/metrics").text
        assert 'bai_gpu_utilisation_ratio{device="GPU-aaaa",node="local"} 0.37' in text
        used = re.search(r'bai_gpu_memory_used_bytes\{device="GPU-aaaa",node="local"\} (\S+)', text)
        assert used
        assert float(used[1]) == 5 * GIB, "whoever uses it"
        ada.stop_all()
