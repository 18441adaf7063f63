"""The part of the package that runs in a container, as a wheel.

A change on the hub's side must not rebuild an image, and an image should hold nothing
that it does not run: so the wheel is made from a copy of the tree with that part alone.
"""

import json
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import labextension
from build_context import BuildContext
from deployment import REPO
from progress import SetupError

PACKAGE = "bai_spawner"


def sources() -> BuildContext:
    """The source files of that part; `pyproject.toml` asks for a readme, which may be empty."""
    context = BuildContext()
    context.add("README.md", b"")
    context.add("pyproject.toml", (REPO / "pyproject.toml").read_bytes())
    for name in ("__init__.py", "apps.py", "py.typed", "statistics.py", "tunnel.py"):
        context.add(f"{PACKAGE}/{name}", (REPO / PACKAGE / name).read_bytes())
    context.add_tree(REPO / PACKAGE / "server_extension", f"{PACKAGE}/server_extension/")
    licence = REPO / "LICENSE"
    context.add("LICENSE", licence.read_bytes() if licence.exists() else b"")
    return context


def fingerprint() -> str:
    """A digest of what the wheel says and holds; settings of tools do not change it.

    The labextension's sources stand for it: to know that nothing changed, nothing is compiled.
    """
    context = sources()
    settings = tomllib.loads(context.files.pop("pyproject.toml")[0].decode())
    context.files.update(labextension.sources().files)
    hatch = settings["tool"]["hatch"]["build"]
    return context.digest(json.dumps([settings["build-system"], settings["project"], hatch]))


def wheel() -> tuple[str, bytes]:
    """Name and content of the wheel.

    Raises:
        SetupError: it was not built, or the labextension in it was not.
    """
    with tempfile.TemporaryDirectory() as folder:
        tree, out = Path(folder, "tree"), Path(folder, "out")
        for name, (content, _) in {**sources().files, **labextension.built().files}.items():
            path = tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
        # the labextension is there, compiled
        env = {**os.environ, "SKIP_JUPYTER_BUILDER": "1"}
        built = subprocess.run(
            command, cwd=tree, env=env, capture_output=True, text=True, check=False
        )
        if built.returncode:
            raise SetupError(f"the wheel for the images was not built: {built.stderr.strip()}")
        path = next(out.iterdir())
        return path.name, path.read_bytes()


def requirements() -> tuple[str, str]:
    """What the user's Python needs and what the server needs, from the `session` extra."""
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    lines = project["optional-dependencies"]["session"]
    kernel = [line for line in lines if line.startswith("ipykernel")]
    return "\n".join(kernel) + "\n", "\n".join(lines) + "\n"
