"""``bai-spawner gpu setup``: the commands, files and units that a strategy needs.

They are printed and not run: they change the host, and some end what runs on its GPUs. What
is printed is a shell script with its reasons as comments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bai_spawner.commands.arguments import Arguments, comes_to, fgpu
from bai_spawner.gpu.device import Device, Kind
from bai_spawner.gpu.fleet import Fleet
from bai_spawner.gpu.host import words
from bai_spawner.gpu.inventory import Nvml
from bai_spawner.gpu.isolation import memcap
from bai_spawner.gpu.isolation.mps_v2 import UID
from bai_spawner.gpu.mps import CONTROL
from bai_spawner.gpu.share import memory_mib, sm_percent, usable_mib

STRATEGIES = ("whole", "mig", "memcap", "mps-v2", "timeslice")
UNIT = "/etc/systemd/system/bai-mps@.service"
LIMITS = "/etc/bai-mps"


def run(said: Arguments) -> int:
    """Print it."""
    fleet = Fleet(said.catalog, Nvml())
    devices = fleet.survey("").inventory.devices
    summary = fleet.strategies[said.strategy].summary
    for line in script(said, devices, summary):
        print(line)
    return 0


def script(said: Arguments, devices: tuple[Device, ...], summary: str) -> Iterator[str]:
    """The script, line by line, for the GPUs of this host; ``summary`` is the strategy's.

    Raises:
        WrongArgument: a share was given that is none.
    """
    gpus = tuple(device for device in devices if device.kind is Kind.GPU)
    steps: Callable[[Arguments, tuple[Device, ...]], Iterator[str]] = {
        "whole": _shared_by_nobody,
        "mig": _mig,
        "memcap": _memcap,
        "mps-v2": _mps,
        "timeslice": _shared_by_turns,
    }[said.strategy]
    yield f"# What {said.strategy} needs on this host. Nothing of it was done."
    yield f"# {summary}"
    if not gpus:
        there = "None but MIG devices" if devices else "No GPU"
        yield f"# {there} was found here: where <uuid> stands, put what `nvidia-smi -L` tells."
    yield from steps(said, gpus)
    yield ""
    yield "# In the catalogue:"
    yield "#   gpu:"
    yield f"#     isolation: {said.strategy}"
    yield "# Then start the hub again, which leaves sessions alone, and look:"
    yield "bai-spawner gpu probe"


def _toolkit(version: str = "") -> Iterator[str]:
    yield ""
    yield "# Docker gives containers GPUs through NVIDIA's container toolkit" + (
        f", {version} or newer." if version else "."
    )
    yield "apt-get install -y nvidia-container-toolkit"
    yield "nvidia-ctk runtime configure --runtime=docker --cdi.enabled"
    yield "nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"
    yield "# Sessions end with it:"
    yield "systemctl restart docker"


def _mode(gpus: tuple[Device, ...], mode: str) -> Iterator[str]:
    for uuid in _uuids(gpus):
        yield f"nvidia-smi -i {uuid} -c {mode}"


def _uuids(gpus: tuple[Device, ...]) -> tuple[str, ...]:
    """Those of this host; where there is none, what stands for one."""
    return tuple(gpu.uuid for gpu in gpus) or ("<uuid>",)


def _shared_by_nobody(said: Arguments, gpus: tuple[Device, ...]) -> Iterator[str]:
    del said
    yield from _toolkit()
    yield ""
    yield "# Several processes of a session may use its GPU."
    yield from _mode(gpus, "DEFAULT")


def _shared_by_turns(said: Arguments, gpus: tuple[Device, ...]) -> Iterator[str]:
    yield from _shared_by_nobody(said, gpus)
    yield ""
    yield "# Nothing limits what a session takes of a GPU: for people who trust each other."


def _memcap(said: Arguments, gpus: tuple[Device, ...]) -> Iterator[str]:
    yield ""
    yield f"# NVIDIA's driver {memcap.DRIVER} or newer, and a kernel with control groups v2"
    yield "# (`stat -fc %T /sys/fs/cgroup` says cgroup2fs)."
    yield "nvidia-smi --query-gpu=driver_version --format=csv,noheader"
    yield from _toolkit(words(memcap.TOOLKIT))
    yield ""
    yield "# Nothing but the limits may keep processes out."
    yield from _mode(gpus, "DEFAULT")
    for gpu in gpus:
        usable, whole = usable_mib(gpu.memory, said.catalog.gpu.reserve), _whole(said)
        yield f"# {gpu.uuid}: {comes_to(said.catalog, 1, usable, whole)}"


def _mig(said: Arguments, gpus: tuple[Device, ...]) -> Iterator[str]:
    del said
    yield from _toolkit()
    yield ""
    yield "# Dividing a GPU ends everything that runs on it. Which profiles there are:"
    yield "nvidia-smi mig -lgip"
    for uuid in _uuids(gpus):
        yield f"nvidia-smi -i {uuid} -mig 1"
        yield f"nvidia-smi mig -i {uuid} -cgi 1g.10gb,1g.10gb,2g.20gb,3g.40gb -C  # for example"
    yield "# A layout does not outlive a restart of the host: NVIDIA's mig-parted keeps one."
    yield "# Under gpu.mig in the catalogue each profile has the fGPU that it counts as."


def _mps(said: Arguments, gpus: tuple[Device, ...]) -> Iterator[str]:
    part = said.quanta() or 1
    root = said.catalog.gpu.mps_directory
    yield from _toolkit()
    yield ""
    yield f"# One daemon for each GPU, and one size of share: {fgpu(said.catalog, part)}."
    yield "# The hub must run as root to ask the daemons, which are root's."
    yield f"cat > {UNIT} <<'UNIT'"
    yield from _unit(root)
    yield "UNIT"
    yield f"mkdir -p {LIMITS}"
    for gpu in gpus:
        usable = usable_mib(gpu.memory, said.catalog.gpu.reserve)
        memory = memory_mib(usable, part, _whole(said))
        percent = sm_percent(part, _whole(said))
        yield f"# {gpu.uuid}: {comes_to(said.catalog, part, usable, _whole(said))}"
        yield f"printf 'PERCENT={percent}\\nMEMORY={memory}M\\n' > {LIMITS}/{gpu.uuid}"
    yield "systemctl daemon-reload"
    for uuid in _uuids(gpus):
        yield f"systemctl enable --now bai-mps@{uuid}"
    yield "# Other limits hold for sessions that start after the daemon did:"
    yield "# end the sessions on a GPU before its unit is started again."
    yield "# To undo it, once no session is on a GPU: stop its unit, then"
    for uuid in _uuids(gpus):
        yield f"#   nvidia-smi -i {uuid} -c DEFAULT"


def _unit(root: str) -> Iterator[str]:
    def tell(command: str) -> str:
        return f"/bin/sh -c 'echo {command} | {CONTROL}'"

    yield "[Unit]"
    yield "Description=MPS control daemon of %i"
    yield "Before=docker.service"
    yield ""
    yield "[Service]"
    yield "Type=forking"
    yield "Environment=CUDA_VISIBLE_DEVICES=%i"
    yield f"Environment=CUDA_MPS_PIPE_DIRECTORY={root}/%i/pipe"
    yield f"Environment=CUDA_MPS_LOG_DIRECTORY={root}/%i/log"
    yield f"EnvironmentFile={LIMITS}/%i"
    yield f"ExecStartPre=/bin/mkdir -p {root}/%i/pipe {root}/%i/log"
    yield "ExecStartPre=/usr/bin/nvidia-smi -i %i -c EXCLUSIVE_PROCESS"
    yield f"ExecStart=/usr/bin/{CONTROL} -d"
    yield f"ExecStartPost={tell('set_default_active_thread_percentage $PERCENT')}"
    yield f"ExecStartPost={tell('set_default_device_pinned_mem_limit 0 $MEMORY')}"
    yield "# without a server the GPU is open to whoever comes first"
    yield f"ExecStartPost={tell(f'start_server -uid {UID}')}"
    yield f"ExecStop={tell('quit')}"
    yield "Restart=on-failure"
    yield ""
    yield "[Install]"
    yield "WantedBy=multi-user.target"


def _whole(said: Arguments) -> int:
    return said.catalog.gpu.quanta_per_gpu
