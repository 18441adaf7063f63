"""Stand-ins for NVIDIA's programs, so that a real engine and a real hub can be driven.

Each does what its original is asked to do by them, and nothing to a GPU: what is proven with
them is what reaches a container, not that it holds. Each is a small program in a folder that
is put in front of PATH.

- ``nvidia-container-runtime-hook``: with it on its PATH as it starts, Docker registers the
  driver ``nvidia`` and runs it before a container's first process, with the container's
  state on standard input. It knows the devices of the NVML stub's state, refuses others as
  the original does, and sets a limit of memory where the container asks for one.
- ``nvidia-cuda-mps-control``: answers from ``answers.json`` in the daemon's folder, and
  writes down what it was told in ``told``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

MIB = 2**20
SERVER = 77
"""The process of a daemon's server."""

HOOK = """#!{python}
import json, pathlib, sys
state = json.load(sys.stdin)
config = json.loads((pathlib.Path(state["bundle"]) / "config.json").read_text())
env = dict(line.partition("=")[::2] for line in config["process"]["env"])
nvml = pathlib.Path({nvml!r})
lines = nvml.read_text().splitlines()
known = {{line.split()[1] for line in lines if line.startswith(("gpu ", "mig "))}}
asked = env["NVIDIA_VISIBLE_DEVICES"].split(",")
for device in asked:
    if device not in known:
        sys.exit(f"nvidia-container-cli: device error: {{device}}: unknown device")
limit = env.get("NVIDIA_GPU_MEMORY_LIMIT")
if limit and env.get("NVIDIA_GPU_MEMORY_REQUEST") and not (nvml.parent / "no-limits").exists():
    groups = pathlib.Path(f"/proc/{{state['pid']}}/cgroup").read_text().splitlines()
    group = "/sys/fs/cgroup" + next(g[3:] for g in groups if g.startswith("0::"))
    size = int(limit) * {mib}
    told = []
    for line in lines:
        told.append(line)
        if line.startswith("gpu ") and line.split()[1] in asked:
            told.append(f"limit {{group}} {{size}} {{size}} 0")
    nvml.write_text("".join(line + "\\n" for line in told))
"""

CONTROL = """#!{python}
import json, os, pathlib, sys
pipe = pathlib.Path(os.environ["CUDA_MPS_PIPE_DIRECTORY"])
try:
    answers = json.loads((pipe / "answers.json").read_text())
except OSError:
    sys.exit(f"Cannot find MPS control daemon process")
command = sys.stdin.read().strip()
with (pipe / "told").open("a") as told:
    told.write(command + "\\n")
print(answers.get(command, ""))
"""


def _program(folder: Path, name: str, source: str, **values: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(source.format(python=sys.executable, **values))
    path.chmod(0o755)


def hook(folder: Path, nvml: Path) -> None:
    """Put the toolkit's hook there; ``nvml`` is the state of the NVML stub."""
    _program(folder, "nvidia-container-runtime-hook", HOOK, nvml=str(nvml), mib=MIB)


def toolkit(folder: Path, version: str = "1.20.1") -> None:
    """Put a program of the toolkit there that tells its version."""
    _program(
        folder, "nvidia-ctk", f"#!/bin/sh\necho NVIDIA Container Toolkit CLI version {version}\n"
    )


def mps_control(folder: Path) -> None:
    """Put the program there that asks control daemons."""
    _program(folder, "nvidia-cuda-mps-control", CONTROL)


def mps_daemon(
    root: Path,
    device: str,
    *,
    percent: str,
    memory: str,
    clients: Mapping[int, list[int]] | None = None,
) -> Path:
    """A daemon's folder, with what it answers; ``clients`` are processes by server."""
    pipe = root / device / "pipe"
    pipe.mkdir(parents=True, exist_ok=True)
    answers = {
        "get_default_active_thread_percentage": percent,
        "get_default_device_pinned_mem_limit 0": memory,
        "get_server_list": "\n".join(map(str, clients or {SERVER: []})),
    }
    for server, processes in (clients or {SERVER: []}).items():
        answers[f"get_client_list {server}"] = "\n".join(map(str, processes))
    (pipe / "answers.json").write_text(json.dumps(answers))
    return pipe


def told(pipe: Path) -> list[str]:
    """What a daemon was told so far."""
    path = pipe / "told"
    return path.read_text().splitlines() if path.exists() else []
