"""The container that a grant stands for: a pure function, and the rules it keeps.

Whatever was asked for, the container is unprivileged: uid 1000, no new
privileges, every capability dropped, no namespace of the host, no socket of the
engine, swap none beyond its memory, a bounded number of processes, and binds of
data folders below /home/work alone. Nothing a user sends reaches these fields.

A user's variables are no part of the container's environment (R7): they are a
file that only the session's user may read, which the image's own launcher hands
to kernels, terminals and apps.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bai_spawner import labels, names, tunnel
from bai_spawner.folders import HOME, FolderMount
from bai_spawner.gpu.isolation import Attachment, Bind
from bai_spawner.ledger import Allocation
from bai_spawner.policy import Grant
from bai_spawner.ports import Listening

UID = GID = 1000
CPU_PERIOD = 100_000
"""Microseconds in which ``cpu_quota`` may be spent; the kernel's own default."""
GPU_VARIABLES = (
    "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE",
    "CUDA_MPS_CLIENT_PRIORITY",
    "CUDA_MPS_ENABLE_PER_CTX_DEVICE_MULTIPROCESSOR_PARTITIONING",
    "CUDA_MPS_LOG_DIRECTORY",
    "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT",
    "CUDA_MPS_PIPE_DIRECTORY",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_CTK_LIBCUDA_DIR",
    "NVIDIA_DRIVER_CAPABILITIES",
    "NVIDIA_GDRCOPY",
    "NVIDIA_GDS",
    "NVIDIA_GPU_MEMORY_LIMIT",
    "NVIDIA_GPU_MEMORY_REQUEST",
    "NVIDIA_IMEX_CHANNELS",
    "NVIDIA_MIG_CONFIG_DEVICES",
    "NVIDIA_MIG_MONITOR_DEVICES",
    "NVIDIA_MOFED",
    "NVIDIA_NVSWITCH",
    "NVIDIA_VISIBLE_DEVICES",
)
"""By these NVIDIA's toolkit and driver are told what a container gets, and how much of it."""
GPU_TOLD = ("BAI_GPU_ISOLATION", "BAI_GPU_ENFORCEMENT", "BAI_GPU_MEMORY_MIB", "BAI_GPU_SM")
"""What a session with a share is told of it."""
USER_ENV = "/run/bai/env.json"
"""Where an image's launcher finds the user's variables (mode 0400, owner 1000)."""
APPS = "/run/bai/apps.json"
"""Where a session finds what apps its image has."""
TUNNEL_KEY = str(tunnel.KEY_FILE)
"""Where a session finds the key that opens tunnels to its apps."""
SSH_PORT = 2222
"""Where sshd listens in a session."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that is in the container before its first process runs."""

    path: str
    content: bytes = field(repr=False)
    mode: int = 0o400


@dataclass(frozen=True, slots=True)
class Placing:
    """What the deployment decides about every container of its own.

    Args:
        hub: the deployment's identity, which labels carry.
        network: the network that sessions are on.
        pids: most processes and threads of a session.
        stop_timeout: seconds between the asking to end and the killing.
        service: where its sessions reach the service; empty: nowhere.
    """

    hub: str
    network: str
    pids: int = 2048
    stop_timeout: int = 10
    service: str = ""


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """A container, down to every limit; the engine adapter only translates it.

    ``memory`` bounds memory and swap together. ``environment`` holds the session's
    token and is kept out of representations; a name without a value is one that the image
    may have set and the session must not have. ``devices`` are GPUs by uuid, ``binds``
    folders of the host that belong to them, to read only. ``ports`` are the container's own
    and where the host listens for each.
    """

    name: str
    hostname: str
    image: str
    command: tuple[str, ...] | None
    environment: Mapping[str, str | None] = field(repr=False)
    labels: Mapping[str, str]
    network: str
    cpu_quota: int
    memory: int
    shm: int
    pids: int
    stop_timeout: int
    mounts: tuple[FolderMount, ...]
    files: tuple[File, ...] = ()
    devices: tuple[str, ...] = ()
    binds: tuple[Bind, ...] = ()
    ports: Mapping[int, Listening] = field(default_factory=dict)
    cpu_period: int = CPU_PERIOD
    user: str = f"{UID}:{GID}"
    working_dir: str = HOME


def build_spec(
    grant: Grant,
    allocation: Allocation,
    mounts: Iterable[FolderMount],
    placing: Placing,
    *,
    gpus: Attachment | None = None,
    ssh: Listening | None = None,
    apps: str = "",
    tunnel_key: str = "",
    environment: Mapping[str, str],
    command: Iterable[str] | None = None,
) -> ContainerSpec:
    """The container for one session.

    ``environment`` is the platform's alone; the user's variables come with the grant.
    ``gpus`` belong to the allocation's shares. ``ssh`` is where its SSH is published,
    ``apps`` what its image has, in JSON. ``tunnel_key`` opens tunnels to them.
    """
    mounts = tuple(mounts)
    gpus = gpus or Attachment()
    written = labels.SessionLabels(
        hub=placing.hub,
        allocation=allocation.id,
        user=grant.user,
        server=allocation.server,
        session=grant.session,
        environment=grant.environment,
        version=grant.version,
        group=grant.group,
        node=allocation.node,
        policy=grant.policy,
        cpu=grant.amounts.cpu,
        memory=grant.amounts.memory,
        shm=grant.amounts.shm,
        shares=allocation.shares,
        folders=tuple(m.label for m in mounts),
        gpu=allocation.gpu,
        ssh_port=ssh.port if ssh else 0,
    )
    return ContainerSpec(
        name=names.container_name(placing.hub, grant.user, allocation.server),
        hostname=grant.session.lower()[:63],
        image=grant.image,
        command=tuple(command) if command else None,
        environment={
            **environment,
            **_platform(grant, placing),
            **_ssh_env(ssh),
            **_gpu_env(allocation, gpus),
        },
        labels=labels.encode(written),
        network=placing.network,
        cpu_quota=grant.amounts.cpu * CPU_PERIOD,
        memory=grant.amounts.memory,
        shm=grant.amounts.shm,
        pids=placing.pids,
        stop_timeout=placing.stop_timeout,
        mounts=mounts,
        files=_files(grant, apps, tunnel_key),
        devices=gpus.devices,
        binds=gpus.injection.binds,
        ports={SSH_PORT: ssh} if ssh else {},
    )


def _platform(grant: Grant, placing: Placing) -> dict[str, str | None]:
    """What a session may know of itself."""
    return {
        "BAI_SESSION_NAME": grant.session,
        "BAI_ENVIRONMENT": grant.environment,
        "BAI_VERSION": grant.version,
        "BAI_RESOURCE_GROUP": grant.group,
        "CPU_LIMIT": str(grant.amounts.cpu),
        "MEM_LIMIT": str(grant.amounts.memory),
        "BAI_SHM_LIMIT": str(grant.amounts.shm),
        "BAI_PIDS_LIMIT": str(placing.pids),
        "BAI_FGPU": grant.fgpu if grant.amounts.quanta else None,
        "BAI_PORT_PROXY": "1" if grant.port_proxy else None,
        "BAI_SERVICE_URL": placing.service or None,
        "JUPYTERHUB_DEFAULT_URL": grant.default_url,
    }


def _ssh_env(ssh: Listening | None) -> dict[str, str | None]:
    """How the session tells its user where its SSH is; an image's own word counts for nothing."""
    if not ssh:
        return {"BAI_SSH_PORT": None, "BAI_SSH_HOST": None}
    return {"BAI_SSH_PORT": str(ssh.port), "BAI_SSH_HOST": ssh.host or None}


def _gpu_env(allocation: Allocation, gpus: Attachment) -> dict[str, str | None]:
    """What decides which GPUs a container has, and how: nothing of it is the image's to say.

    Some engines hand every GPU to an image whose own environment asks for them, so a session
    without a share says ``void`` itself.
    """
    told: dict[str, str | None] = dict.fromkeys((*GPU_VARIABLES, *GPU_TOLD))
    told["NVIDIA_VISIBLE_DEVICES"] = gpus.visible
    if gpus.devices:
        told["NVIDIA_DRIVER_CAPABILITIES"] = "compute,utility"
    if allocation.gpu:
        cap = allocation.gpu
        facts = (cap.isolation, str(cap.enforcement), str(cap.memory), str(cap.sm))
        told.update(zip(GPU_TOLD, facts, strict=True))
    return told | dict(gpus.injection.env)


def _files(grant: Grant, apps: str, tunnel_key: str) -> tuple[File, ...]:
    env = json.dumps(dict(grant.env)) if grant.env else ""
    found = ((USER_ENV, env), (APPS, apps), (TUNNEL_KEY, tunnel_key))
    return tuple(File(path, content.encode()) for path, content in found if content)
