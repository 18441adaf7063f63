"""NVIDIA's MPS control daemon, asked through its own program.

There is one daemon for each GPU, each with a folder of its own below ``mps_directory``:
``<uuid>/pipe``, where clients find it, and ``<uuid>/log``. A daemon lets in root and the
user that started it. Whatever it does not answer, or not in the words that NVIDIA
documents, is a `MpsError`: nothing is guessed.

Source: NVIDIA MPS documentation, "Legacy MPS v2 Interface".
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from bai_spawner.errors import BaiError

CONTROL = "nvidia-cuda-mps-control"
PIPE_DIRECTORY, LOG_DIRECTORY = "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"
ASK_SECONDS = 10.0
GIB_IN_MIB = 1024
MOST_SERVERS = 16
"""Of one daemon, one for each user who came; ours has one."""
DEVICE = "0"
"""What a daemon that serves one GPU calls it."""

_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)
_SIZE = re.compile(r"([0-9]{1,9})([GM])", re.ASCII)
_PERCENT = re.compile(r"([0-9]{1,3})(?:\.0*)?", re.ASCII)


class MpsError(BaiError):
    """The control daemon did not answer, or with something unexpected. The message says which."""


def pipe_directory(root: str, device: str) -> Path:
    """Where the clients of one GPU's daemon find it."""
    return Path(root) / device / "pipe"


class Control:
    """One GPU's control daemon.

    Args:
        pipe: the folder in which it listens.
    """

    def __init__(self, pipe: Path) -> None:
        self._pipe = pipe

    def sm_percent(self) -> int:
        """What each client may have of the multiprocessors, in percent.

        Raises:
            MpsError: it cannot be told.
        """
        answer = self._ask("get_default_active_thread_percentage")
        if not (match := _PERCENT.fullmatch(answer)):
            raise MpsError(f"{CONTROL} said {answer[:80]!r} where a percentage was asked for")
        return int(match[1])

    def allows(self, mib: int) -> bool:
        """Whether each client may have exactly so many MiB of memory.

        The daemon may tell whole GiB; then these are compared.

        Raises:
            MpsError: it cannot be told.
        """
        answer = self._ask(f"get_default_device_pinned_mem_limit {DEVICE}")
        if not (match := _SIZE.fullmatch(answer)):
            raise MpsError(f"{CONTROL} said {answer[:80]!r} where a limit of memory was asked for")
        told = int(match[1])
        return told == (mib // GIB_IN_MIB if match[2] == "G" else mib)

    def serves(self) -> bool:
        """Whether a server holds the GPU: until then it is open to whoever comes first.

        Raises:
            MpsError: it cannot be told.
        """
        return bool(self._numbers("get_server_list"))

    def owner(self) -> int:
        """The user whose daemon it is, who may command it.

        Raises:
            MpsError: there is none.
        """
        try:
            return self._pipe.stat().st_uid
        except OSError as error:
            raise MpsError(f"no MPS daemon has its folder at {self._pipe}") from error

    def clients(self) -> dict[int, int]:
        """By process of the host, the server that it is a client of.

        Raises:
            MpsError: it cannot be told.
        """
        return {
            client: server
            for server in self._numbers("get_server_list")[:MOST_SERVERS]
            for client in self._numbers(f"get_client_list {server}")
        }

    def terminate(self, server: int, client: int) -> None:
        """End what a client has under way on the GPU, so that its death harms no other.

        Raises:
            MpsError: it was not done.
        """
        self._ask(f"terminate_client {server} {client}")

    def _numbers(self, command: str) -> list[int]:
        lines = self._ask(command).split()
        if not all(_NUMBER.fullmatch(line) for line in lines):
            raise MpsError(f"{CONTROL} answered {command} with {' '.join(lines)[:80]!r}")
        return [int(line) for line in lines]

    def _ask(self, command: str) -> str:
        try:
            done = subprocess.run(  # noqa: S603 - a fixed program of NVIDIA's driver
                [CONTROL],
                input=f"{command}\n",
                capture_output=True,
                text=True,
                errors="replace",
                timeout=ASK_SECONDS,
                env={**os.environ, PIPE_DIRECTORY: str(self._pipe)},
                check=False,
            )
        except FileNotFoundError:
            raise MpsError(f"{CONTROL} is not installed here: it comes with the driver") from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise MpsError(f"{CONTROL} does not answer at {self._pipe}: {error}") from error
        if done.returncode:
            told = " ".join((done.stderr or done.stdout).split())[:200]
            raise MpsError(f"no MPS daemon answers at {self._pipe}: {told or 'it said nothing'}")
        return done.stdout.strip()
