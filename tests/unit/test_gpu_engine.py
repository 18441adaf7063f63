"""How an engine is asked for a session's GPUs, and what a container is told of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest

from bai_spawner import labels
from bai_spawner.container import GPU_VARIABLES, ContainerSpec, Placing, build_spec
from bai_spawner.enforcement import Enforcement, Faults, Level
from bai_spawner.engine import ContainerState, gpus
from bai_spawner.engine.adapter import _host_config
from bai_spawner.gpu.isolation import VOID, Attachment, Bind, Injection
from bai_spawner.labels import GpuCap, Share
from bai_spawner.ledger import Allocation
from tests.examples import a_grant

A, B = "GPU-11111111-2222-3333-4444-555555555555", "MIG-99999999-2222-3333-4444-555555555555"
OLD = {"ServerVersion": "20.10.24"}
SWITCHED_ON = {"ServerVersion": "27.5.1", "CDISpecDirs": ["/etc/cdi", "/var/run/cdi"]}
NEW = {"ServerVersion": "28.2.2", "CDISpecDirs": ["/etc/cdi", "/var/run/cdi"]}
NVIDIA = {
    "Driver": "nvidia",
    "Count": 0,
    "DeviceIDs": [A, B],
    "Capabilities": [["gpu", "compute", "utility"]],
    "Options": {},
}
CDI = {
    "Driver": "cdi",
    "Count": 0,
    "DeviceIDs": [f"nvidia.com/gpu={A}", f"nvidia.com/gpu={B}"],
    "Capabilities": [],
    "Options": {},
}


def discovered(*names: str, source: str = "cdi") -> dict[str, Any]:
    return {**NEW, "DiscoveredDevices": [{"Source": source, "ID": name} for name in names]}


@pytest.mark.parametrize(
    ("info", "asked"),
    [
        ({}, NVIDIA),
        (OLD, NVIDIA),
        ({"ServerVersion": "26.1.4", "CDISpecDirs": []}, NVIDIA),
        ({"ServerVersion": "26.1.4", "CDISpecDirs": None}, NVIDIA),
        (SWITCHED_ON, CDI),
        (discovered(f"nvidia.com/gpu={A}", f"nvidia.com/gpu={B}", "nvidia.com/gpu=all"), CDI),
        (discovered(f"nvidia.com/gpu={A}", f"nvidia.com/gpu={B}", source="other"), NVIDIA),
        (discovered(f"nvidia.com/gpu={A}"), NVIDIA),
        (discovered("nvidia.com/gpu=0", "nvidia.com/gpu=all"), NVIDIA),
        (discovered(f"nvidia.com/pgpu={A}", f"nvidia.com/pgpu={B}"), NVIDIA),
        (discovered(A, B), NVIDIA),
        (discovered(), NVIDIA),
        ({**NEW, "DiscoveredDevices": [{}]}, NVIDIA),
    ],
)
def test_an_engine_is_asked_by_cdi_where_it_knows_each_device_so_and_else_by_driver(
    info: Mapping[str, Any], asked: dict[str, Any]
) -> None:
    assert [dict(one) for one in gpus.request((A, B), info)] == [asked]
    assert json.loads(json.dumps(gpus.request((A, B), info))) == [asked]


@pytest.mark.parametrize("version", ["28.2.2", "28.2.0-rc.1", "29.0.1", "30.1"])
def test_an_engine_that_discovered_nothing_leaves_out_the_list_and_is_not_asked_by_cdi(
    version: str,
) -> None:
    """Moby: ``DiscoveredDevices []DeviceInfo `json:",omitempty"```, and CDI is on by itself."""
    info = {**NEW, "ServerVersion": version}
    assert [dict(one) for one in gpus.request((A, B), info)] == [NVIDIA]


@pytest.mark.parametrize("version", ["25.0.0", "26.1.4", "27.5.1", "28.0.4", "28.1.1+dfsg"])
def test_an_engine_that_cannot_tell_what_it_discovered_is_asked_by_cdi_where_it_is_on(
    version: str,
) -> None:
    info = {**SWITCHED_ON, "ServerVersion": version}
    assert [dict(one) for one in gpus.request((A, B), info)] == [CDI]


@pytest.mark.parametrize("info", [{}, OLD, SWITCHED_ON, NEW, discovered(f"nvidia.com/gpu={A}")])
def test_for_no_device_nothing_is_asked(info: Mapping[str, Any]) -> None:
    assert gpus.request((), info) == []


@pytest.mark.parametrize("info", [OLD, SWITCHED_ON])
@pytest.mark.parametrize("devices", [(), (A,), (A, B), (B, A)])
def test_what_was_asked_is_read_back_in_the_same_order(
    info: Mapping[str, Any], devices: tuple[str, ...]
) -> None:
    sent = json.loads(json.dumps({"DeviceRequests": gpus.request(devices, info)}))
    assert gpus.requested(sent) == devices


@pytest.mark.parametrize(
    ("host_config", "found"),
    [
        ({}, ()),
        ({"DeviceRequests": None}, ()),
        ({"DeviceRequests": []}, ()),
        ({"DeviceRequests": [{"Driver": "nvidia", "Count": -1, "DeviceIDs": None}]}, ()),
        ({"DeviceRequests": [{"DeviceIDs": [A]}, {"DeviceIDs": [f"nvidia.com/gpu={B}"]}]}, (A, B)),
        ({"DeviceRequests": [{"DeviceIDs": ["0", "amd.com/gpu=0"]}]}, ("0", "amd.com/gpu=0")),
    ],
)
def test_whatever_a_container_was_made_with_is_read(
    host_config: dict[str, Any], found: tuple[str, ...]
) -> None:
    assert gpus.requested(host_config) == found


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ([], ""),
        (["PATH=/bin"], ""),
        (["NVIDIA_VISIBLE_DEVICES"], ""),
        (["NVIDIA_VISIBLE_DEVICES=void"], "void"),
        (["NVIDIA_VISIBLE_DEVICES=all", "A=b", f"NVIDIA_VISIBLE_DEVICES={A},{B}"], f"{A},{B}"),
        (["NVIDIA_VISIBLE_DEVICES=a=b"], "a=b"),
        (["NVIDIA_VISIBLE_DEVICES_=x", "XNVIDIA_VISIBLE_DEVICES=y"], ""),
    ],
)
def test_the_last_word_of_an_environment_counts(environment: list[str], told: str) -> None:
    assert gpus.visible(environment) == told


@pytest.mark.parametrize(
    ("message", "meaning"),
    [
        (
            'could not select device driver "nvidia" with capabilities: [[gpu compute utility]]',
            "the engine knows no NVIDIA GPUs: install nvidia-container-toolkit",
        ),
        (
            'could not select device driver "cdi" with capabilities: []',
            "the engine knows no NVIDIA GPUs",
        ),
        (
            f"CDI device injection failed: unresolvable CDI devices nvidia.com/gpu={A}: unknown",
            "the engine's CDI files do not name this GPU",
        ),
        (
            f"nvidia-container-cli: device error: {A}: unknown device: unknown",
            "the GPU is not there any more, or is called otherwise now",
        ),
        (
            "nvidia-container-cli: nvml error: driver/library version mismatch: unknown",
            "the host must be restarted",
        ),
        (
            "nvidia-container-cli: requirement error: unsatisfied condition: cuda>=13.0",
            "the image needs a newer NVIDIA driver",
        ),
    ],
)
def test_what_an_engine_says_of_gpus_comes_with_what_it_means(message: str, meaning: str) -> None:
    told = gpus.worded(message)
    assert told.startswith(meaning) or meaning in told.partition(" (")[0]
    assert told.endswith(f"({message})")


@pytest.mark.parametrize("message", ["", "port is already allocated", "no such image"])
def test_what_is_none_of_gpus_is_told_as_it_is(message: str) -> None:
    assert gpus.worded(message) == message


# ---- the container --------------------------------------------------------------------

PLATFORM = {"JUPYTERHUB_API_TOKEN": "t", "JUPYTERHUB_USER": "ada"}
HELD = Enforcement(Level.SESSION, Level.NONE, Faults.CONTEXTS)
CAP = GpuCap("memcap", 16179, 20, HELD)
GIVEN = Allocation("1", "ada", "s", "work", "g", "local", 1, 1, (Share(A, 1, 5),), CAP)
NOTHING = Allocation("1", "ada", "s", "work", "g", "local", 1, 1)
MEMORY = {"NVIDIA_GPU_MEMORY_REQUEST": "16179", "NVIDIA_GPU_MEMORY_LIMIT": "16179"}


def spec(
    allocation: Allocation = NOTHING,
    attached: Attachment | None = None,
    environment: Mapping[str, str] | None = None,
) -> ContainerSpec:
    return build_spec(
        a_grant(),
        allocation,
        (),
        Placing("hub", "net"),
        gpus=attached,
        environment=PLATFORM | dict(environment or {}),
    )


@pytest.mark.parametrize(
    ("allocation", "attached", "set_by_us"),
    [
        (NOTHING, None, {"NVIDIA_VISIBLE_DEVICES": VOID}),
        (NOTHING, Attachment(), {"NVIDIA_VISIBLE_DEVICES": VOID}),
        (
            GIVEN,
            Attachment((A,), A, Injection(env=MEMORY)),
            {
                "NVIDIA_VISIBLE_DEVICES": A,
                "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
                **MEMORY,
            },
        ),
        (
            GIVEN,
            Attachment((A,), A, Injection(env={"CUDA_MPS_PIPE_DIRECTORY": "/run/bai-mps"})),
            {
                "NVIDIA_VISIBLE_DEVICES": A,
                "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
                "CUDA_MPS_PIPE_DIRECTORY": "/run/bai-mps",
            },
        ),
        (
            replace(GIVEN, gpu=replace(CAP, isolation="simulated")),
            Attachment(),
            {"NVIDIA_VISIBLE_DEVICES": VOID},
        ),
    ],
)
@pytest.mark.parametrize("greedy", [False, True])
def test_every_variable_that_steers_a_gpu_is_the_platforms_or_is_not_there(
    allocation: Allocation, attached: Attachment | None, set_by_us: dict[str, str], greedy: bool
) -> None:
    environment = dict.fromkeys((*GPU_VARIABLES, "BAI_GPU_ISOLATION"), "all") if greedy else {}
    made = spec(allocation, attached, environment)
    told = {name: made.environment[name] for name in GPU_VARIABLES}
    assert told == dict.fromkeys(GPU_VARIABLES) | set_by_us
    assert made.environment["JUPYTERHUB_API_TOKEN"] == "t"


def test_a_session_may_know_what_keeps_it_to_its_share() -> None:
    made = spec(GIVEN, Attachment((A,), A), dict.fromkeys(("BAI_GPU_MEMORY_MIB",), "999999"))
    told = {name: value for name, value in made.environment.items() if name.startswith("BAI_GPU")}
    assert told == {
        "BAI_GPU_ISOLATION": "memcap",
        "BAI_GPU_ENFORCEMENT": "memory: session, compute: none, faults: contexts",
        "BAI_GPU_MEMORY_MIB": "16179",
        "BAI_GPU_SM": "20",
    }
    assert Enforcement.parse(str(told["BAI_GPU_ENFORCEMENT"])) == HELD


def test_a_session_without_a_share_is_told_of_none() -> None:
    told = {name: v for name, v in spec().environment.items() if name.startswith("BAI_GPU")}
    assert set(told.values()) == {None}, "not by its image either"


def test_the_labels_say_what_was_attached() -> None:
    made = spec(GIVEN, Attachment((A,), A))
    session = labels.decode(made.labels)
    assert (session.shares, session.gpu) == (GIVEN.shares, CAP)
    assert labels.decode(spec().labels).gpu is None


def test_devices_and_binds_reach_the_engine_to_read_only() -> None:
    """A client that was never connected: what is asserted is the body of the request."""
    pipe = Path("/run/bai-mps") / A / "pipe"
    binds = (Bind(pipe, "/run/bai-mps"), Bind(pipe, "/tmp/nvidia-mps"))
    made = spec(GIVEN, Attachment((A,), A, Injection(binds=binds)))
    client = docker.APIClient("http://127.0.0.1:1", version="1.41")
    try:
        client.info = lambda: OLD  # type: ignore[method-assign]
        body = _host_config(client, made)
        plain = _host_config(client, spec())
    finally:
        client.close()
    assert [dict(one) for one in body["DeviceRequests"]] == [NVIDIA | {"DeviceIDs": [A]}]
    assert [(m["Target"], m["Source"], m["ReadOnly"]) for m in body["Mounts"]] == [
        ("/run/bai-mps", str(pipe), True),
        ("/tmp/nvidia-mps", str(pipe), True),
    ]
    assert not body.get("Privileged")
    assert not plain.get("DeviceRequests")
    assert not plain.get("Mounts")


def test_a_session_without_a_share_costs_no_question_to_the_engine() -> None:
    client = docker.APIClient("http://127.0.0.1:1", version="1.41")
    try:
        assert not _host_config(client, spec()).get("DeviceRequests")
    finally:
        client.close()


def test_an_inspect_tells_the_devices_the_word_and_the_process() -> None:
    found: dict[str, Any] = {
        "Id": "c1",
        "Name": "/bai",
        "Created": "2026-01-01T00:00:00Z",
        "State": {"Status": "running", "ExitCode": 0, "OOMKilled": False, "Error": "", "Pid": 41},
        "NetworkSettings": {"Networks": {}},
        "Config": {"Labels": None, "Env": [f"NVIDIA_VISIBLE_DEVICES={A}"]},
        "HostConfig": {"DeviceRequests": [dict(one) for one in gpus.request((A,), SWITCHED_ON)]},
    }
    state = ContainerState.inspected(found)
    assert (state.pid, state.devices, state.visible) == (41, (A,), A)
    bare = {**found, "HostConfig": {}, "Config": {"Labels": None, "Env": None}}
    del bare["State"]["Pid"]
    state = ContainerState.inspected(bare)
    assert (state.pid, state.devices, state.visible) == (0, (), "")
