"""MPS before driver 615: limits for each process, set by the daemon of each GPU.

Only a daemon's own defaults hold for a client that does not want them to, and a daemon has
one set of them: one size of share for each GPU at a time, which is read from the daemon.
Two processes of a session get twice its share. All clients of a GPU share their fate: a
fatal fault of one may end the others, which is why clients are ended through the daemon.

With compute mode DEFAULT a client gets around the daemon by pointing the variable elsewhere,
so EXCLUSIVE_PROCESS is required: then the daemon's server is the one process on the GPU. It
is that only while it runs, so a server must be there before the first session is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bai_spawner.enforcement import Enforcement, Faults, Level
from bai_spawner.gpu.device import Device, Inventory
from bai_spawner.gpu.host import Host
from bai_spawner.gpu.isolation.divided import divided
from bai_spawner.gpu.isolation.strategy import (
    NEVER,
    Bind,
    Fit,
    Injection,
    Started,
    Unfit,
    Units,
)
from bai_spawner.gpu.mps import PIPE_DIRECTORY, Control, MpsError, pipe_directory
from bai_spawner.gpu.processes import container_of
from bai_spawner.gpu.share import memory_mib, sm_percent
from bai_spawner.labels import GpuCap

DRIVER = 550
"""Before it clients also had to share their /dev/shm with the server, which is everybody's."""
PERCENT = 100
UID = 1000
"""Whose processes sessions are (R30)."""
PIPE = "/run/bai-mps"
"""Where a session finds its daemon."""
DEFAULT_PIPE = "/tmp/nvidia-mps"  # noqa: S108 - NVIDIA's own default
"""Where a client looks whose variable was unset: it finds the same daemon there."""


class MpsV2:
    """A daemon for each GPU, which lets each process have so much and no more.

    Args:
        units: how GPUs are counted.
        root: where the daemons' folders are.
        host: tells what else the host can do.
        control: how a daemon is asked, by its folder.
        inventory: what NVML says now.
    """

    name = "mps-v2"
    summary = "An MPS daemon for each GPU limits memory and compute of each process."
    enforcement = Enforcement(Level.PROCESS, Level.PROCESS, Faults.SHARED)
    attached = True
    verified = NEVER

    def __init__(
        self,
        units: Units,
        root: str,
        host: Callable[[], Host],
        inventory: Callable[[], Inventory],
        control: Callable[[Path], Control] = Control,
    ) -> None:
        self._units, self._root, self._host, self._control = units, root, host, control
        self._inventory = inventory

    def probe(self, device: Device) -> Fit | Unfit:
        """A GPU in EXCLUSIVE_PROCESS whose daemon divides it into shares of one size."""
        # a program reaches one daemon, so one GPU is all that a session gets
        fit = divided(device, self._units, together=1)
        if isinstance(fit, Unfit):
            return fit
        if self._units.per_gpu > PERCENT:
            return Unfit(f"MPS counts in whole percent: a GPU may have {PERCENT} steps at most")
        if self._host().driver_major < DRIVER:
            found = self._host().driver or "none"
            return Unfit(f"driver {DRIVER} or newer is needed, found {found}")
        if not device.exclusive:
            return Unfit(
                "its compute mode lets processes around MPS:"
                f" nvidia-smi -i {device.uuid} -c EXCLUSIVE_PROCESS"
            )
        daemon = self._control(pipe_directory(self._root, device.uuid))
        try:
            if daemon.owner() == UID:
                return Unfit("its MPS daemon is one that sessions may command: run it as root")
            size = _size(daemon, fit)
            serves = daemon.serves()
        except MpsError as error:
            return Unfit(f"{error} (bai-spawner gpu setup mps-v2 says how to start one)")
        if not size:
            return Unfit("its MPS daemon's limits are no share of it: bai-spawner gpu setup mps-v2")
        if not serves:
            return Unfit(f"no MPS server holds it yet: tell its daemon start_server -uid {UID}")
        parts = fit.whole // size
        return Fit(parts * size, fit.usable, fit.whole, size=size, together=1)

    def inject(self, devices: tuple[str, ...], cap: GpuCap) -> Injection:
        """The daemon's folder, where the variable says and where a client looks without it."""
        del cap
        pipe = pipe_directory(self._root, devices[0])
        return Injection(
            env={PIPE_DIRECTORY: PIPE},
            binds=(Bind(pipe, PIPE), Bind(pipe, DEFAULT_PIPE)),
        )

    def mismatch(self, session: Started) -> str:
        """Read the daemon's limits back: somebody may have started it anew with others."""
        daemon = self._control(pipe_directory(self._root, session.devices[0]))
        try:
            percent, exact = daemon.sm_percent(), daemon.allows(session.cap.memory)
            serves = daemon.serves()
        except MpsError as error:
            return f"the limits of MPS cannot be read back: {error}"
        if not serves:
            return "no MPS server holds the GPU"
        now = {device.uuid: device for device in self._inventory().devices}
        if session.devices[0] not in now or not now[session.devices[0]].exclusive:
            return "the GPU's compute mode lets processes around MPS"
        if percent != session.cap.sm:
            return f"MPS gives each process {percent} % of the GPU, not the {session.cap.sm} %"
        if not exact:
            return f"MPS's limit of memory is not the {session.cap.memory} MiB that were granted"
        return ""

    def release(self, session: Started) -> None:
        """End the session's clients through the daemon, before anybody kills them."""
        daemon = self._control(pipe_directory(self._root, session.devices[0]))
        failed: MpsError | None = None
        for client, server in daemon.clients().items():
            if container_of(client) == session.container:
                try:
                    daemon.terminate(server, client)
                except MpsError as error:
                    # it may have ended by itself; the next one must not be left to be killed
                    failed = error
        if failed:
            raise failed


def _size(daemon: Control, fit: Fit) -> int:
    """Quanta of the share that a daemon's limits are; 0 when they are none."""
    percent = daemon.sm_percent()
    alike = [u for u in range(1, fit.whole + 1) if sm_percent(u, fit.whole) == percent]
    return next((u for u in alike if daemon.allows(memory_mib(fit.usable, u, fit.whole))), 0)
