"""A CUDA driver without a GPU: the probes of the caps load it, the environment says what it has.

It holds no process to anything: what a cap really does is measured on a GPU (tests/gpu).
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

NAME = "libcuda.so.1"
UUID = "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f"
"""Of the one device that it has."""
HEADERS = Path("/usr/local/cuda/include")
_SOURCE = Path(__file__).with_name("stub.c")
_FLAGS = ("-shared", "-fPIC", "-O1", "-Werror")


def lacking() -> str:
    """Why there can be no library here; empty when there can."""
    return "" if shutil.which("cc") else "no C compiler: `cc` (Debian: gcc, libc6-dev) is not there"


def compiled(folder: Path) -> Path:
    """Put the library into a folder; the folder.

    Where NVIDIA's header is, the compiler compares the functions with it.
    """
    header = [f"-I{HEADERS}", "-DHAVE_CUDA_H"] if (HEADERS / "cuda.h").exists() else []
    command = ["cc", *_FLAGS, *header, "-o", str(folder / NAME), str(_SOURCE)]
    subprocess.run(command, check=True)
    return folder
