"""Packages of the distribution, where this may install them."""

import os
import shutil
import subprocess
from pathlib import Path

from progress import SetupError, phase

_APT = ["apt-get", "-qq", "-o", "Dpkg::Use-Pty=0"]


def can_install() -> bool:
    """Whether this is root on a system with apt."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(*packages: str) -> bool:
    """Install packages, nothing recommended, no questions; False where that is not ours to do.

    Raises:
        SetupError: apt was asked and failed.
    """
    if not can_install():
        return False
    with phase(f"apt-get install {' '.join(packages)}"):
        command = [*_APT, "install", "-y", "--no-install-recommends", *packages]
        # lists that are missing or out of date show in the first attempt, and only then
        # is their download worth the time
        if _run(command).returncode and not _updated(command):
            raise SetupError(
                f"apt-get could not install {' '.join(packages)}: see its output above"
            )
    return True


def _updated(command: list[str]) -> bool:
    """Refresh the lists and try again."""
    _run([*_APT, "update"])
    second = _run(command)
    if second.returncode:
        print(second.stdout + second.stderr, flush=True)
    return second.returncode == 0


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(
        command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def host_certificates() -> list[Path]:
    """The CAs that this host's administrator added; none on most hosts."""
    return sorted(Path("/usr/local/share/ca-certificates").glob("**/*.crt"))
