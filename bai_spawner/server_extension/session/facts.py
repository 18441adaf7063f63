"""What a session is: names, what was granted, folders, since when.

The hub says it in variables of the server's environment; what it does not say is empty, or
``None``. Outside a hub that is nearly everything.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from bai_spawner.server_extension.mounts import Folder

_MIB = 2**20


def facts(
    environ: Mapping[str, str], folders: Iterable[Folder], home: Path, started: datetime
) -> dict[str, Any]:
    """The answer of ``GET bai/api/session``.

    Args:
        environ: the server's environment.
        folders: what is mounted.
        home: what the folders' paths are told relative to.
        started: when the server began.
    """
    return {
        "name": environ.get("BAI_SESSION_NAME", ""),
        "user": environ.get("JUPYTERHUB_USER", ""),
        "server": environ.get("JUPYTERHUB_SERVER_NAME", ""),
        "environment": environ.get("BAI_ENVIRONMENT", ""),
        "version": environ.get("BAI_VERSION", ""),
        "group": environ.get("BAI_RESOURCE_GROUP", ""),
        "started": started.isoformat(),
        "resources": {
            "cpu": _number(environ, "CPU_LIMIT"),
            "memory": _number(environ, "MEM_LIMIT"),
            "shm": _number(environ, "BAI_SHM_LIMIT"),
            "gpu": _gpu(environ),
        },
        "folders": [
            {
                "name": folder.name,
                "path": str(folder.path.relative_to(home)),
                "writable": folder.writable,
            }
            for folder in folders
        ],
        # the host is told only where users have hosts of their own, and the hub another one
        "hub": f"{environ.get('JUPYTERHUB_HOST', '')}{environ.get('JUPYTERHUB_BASE_URL', '/')}hub/",
    }


def _gpu(environ: Mapping[str, str]) -> dict[str, Any] | None:
    """The share of GPUs, with bytes of their memory; ``None`` where there is none."""
    if not environ.get("BAI_FGPU"):
        return None
    mib = _number(environ, "BAI_GPU_MEMORY_MIB")
    return {
        "fgpu": environ["BAI_FGPU"],
        "memory": None if mib is None else mib * _MIB,
        "isolation": environ.get("BAI_GPU_ISOLATION", ""),
        "enforcement": environ.get("BAI_GPU_ENFORCEMENT", ""),
    }


def _number(environ: Mapping[str, str], name: str) -> int | None:
    """A variable that holds a whole number of something."""
    told = environ.get(name, "")
    return int(told) if told.isascii() and told.isdecimal() else None
