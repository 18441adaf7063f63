"""Kernels that belong to the user: their variables, their Python, and why they died.

Done where every kernel passes, so that it holds for kernels which the user
registers too, and whatever their `kernel.json` says. The server's own environment
stays as it is. A kernel's own `env` in `kernel.json` comes after the user's
variables: it is the more specific wish.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from jupyter_server.services.kernels.kernelmanager import ServerKernelManager

from bai_spawner.server_extension import deaths
from bai_spawner.server_extension.user_env import merged, user_env_or_none


def user_python() -> str:
    """The Python that this environment was made from, which is the one that users install into."""
    return str(Path(sys.base_prefix, "bin", "python3"))


class UserEnvKernelManager(ServerKernelManager):
    """A kernel manager whose kernels start with the user's variables.

    In the image's Jupyter configuration:
    `AsyncMappingKernelManager.kernel_manager_class`.
    """

    death: str | None = None
    """Why it was killed last, in words, where that is known."""
    killed: tuple[int, str] | None = None
    """Of the last time that it was killed for memory: the how manieth such kill of this session
    that was, and why. It outlives the restart."""
    _kills_before = 0

    async def is_alive(self) -> bool:  # type: ignore[override] # upstream binds it both ways
        """Whether the kernel runs; one that does not is asked why."""
        alive: bool = await super()._async_is_alive()
        self.death = None if alive else self._why()
        if self.death:
            self.log.error("kernel %s: %s", self.kernel_id, self.death)
        return alive

    def _why(self) -> str | None:
        process = getattr(self.provisioner, "process", None)
        code, kills = process.returncode if process else None, deaths.oom_kills()
        why = deaths.why(
            code,
            kills=kills - self._kills_before,
            shm=deaths.shm_size(),
            memory=deaths.memory_limit(),
        )
        if why and code == -signal.SIGKILL:
            self.killed = (kills, why)
        return why

    async def _async_pre_start_kernel(self, **kw: Any) -> tuple[list[str], dict[str, Any]]:
        """Hand on the environment that the caller gave, or the server's, with the user's in it."""
        self._kills_before = deaths.oom_kills()
        variables, problem = user_env_or_none()
        if problem:
            self.log.error("kernel: %s", problem)
        base = kw.pop("env", None)
        env = merged(os.environ if base is None else base, variables)
        return await super()._async_pre_start_kernel(env=env, **kw)

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        """The kernel's command; one that says just `python` gets the user's Python.

        Upstream puts the server's there, which does not see what the user installs first.
        """
        command: list[str] = super().format_kernel_cmd(extra_arguments)
        asked = self.kernel_spec.argv if self.kernel_spec else []
        if command[:1] == [sys.executable] != asked[:1]:
            command[0] = user_python()
        return command
