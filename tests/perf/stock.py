"""The image to compare with: JupyterHub's own where it is at hand, else one made like it."""

from __future__ import annotations

import json
from importlib.metadata import version

import docker
from docker.errors import ImageNotFound
from dockerspawner import DockerSpawner

from base_image import ensure_base
from build_context import BuildContext
from debian import host_certificates
from image_build import build, is_current
from tests.deployment import REPO

OURS = "bai-spawner/base:3.13"
OFFICIAL = DockerSpawner.class_traits()["image"].default_value.rpartition(":")[0]
"""What DockerSpawner starts when nobody configures an image."""
MADE = "bai-bench/stock:1"

# The server's own Python prints them, as it sees them.
_VERSIONS = """
import json, platform
from importlib.metadata import distributions
found = {d.name: d.version for d in distributions()}
print(json.dumps([platform.python_version(), found]))
"""
_NOT_CONSTRAINED = {"bai-spawner", "pip", "wheel"}


def ensure_stock_image(client: docker.DockerClient) -> str:
    """The stock image's reference; it is never fetched, and built when it is missing.

    Raises:
        SetupError: the build failed.
    """
    hub = version("jupyterhub")
    for tag in (hub, hub.rpartition(".")[0], hub.partition(".")[0]):
        try:
            client.images.get(f"{OFFICIAL}:{tag}")
        except ImageNotFound:
            continue
        return f"{OFFICIAL}:{tag}"
    _ensure_made(client)
    return MADE


def _ensure_made(client: docker.DockerClient) -> None:
    context = BuildContext()
    context.add_tree(REPO / "tests/perf/stock")
    context.add("constraints.txt", _constraints(client).encode())
    context.add("certs/.keep", b"")
    for path in host_certificates():
        context.add(f"certs/{path.name}", path.read_bytes())
    digest = context.digest()
    if not is_current(client.api, MADE, digest):
        ensure_base(client.api)
        build(client.api, MADE, context, digest)


def _constraints(client: docker.DockerClient) -> str:
    """Every package of our image with its version: both images then have the same."""
    _, packages = _installed(client, OURS, "/opt/bai/bin/python")
    kept = sorted((n, v) for n, v in packages.items() if n not in _NOT_CONSTRAINED)
    return "".join(f"{name}=={found}\n" for name, found in kept)


def described(client: docker.DockerClient, image: str) -> str:
    """The versions that decide how long a start takes."""
    python = "/opt/bai/bin/python" if image == OURS else "python3"
    interpreter, packages = _installed(client, image, python)
    names = ("jupyterhub", "jupyterlab", "notebook", "jupyter_server")
    shown = [f"{name} {packages.get(name, '?')}" for name in names]
    return ", ".join([f"{image}: Python {interpreter}", *shown])


def _installed(client: docker.DockerClient, image: str, python: str) -> tuple[str, dict[str, str]]:
    """A Python's version and its packages in an image."""
    command = ["-c", _VERSIONS]
    output = client.containers.run(
        image, command, entrypoint=[python], network_mode="none", remove=True
    )
    interpreter, packages = json.loads(output)
    return interpreter, packages
