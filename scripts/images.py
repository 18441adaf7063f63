"""Build the session images that are missing or out of date: `make images`.

An image carries the fingerprint of what it was built from as a label. When it is the
same, nothing is done.
"""

import sys
from dataclasses import dataclass, field

import docker

import container_package
from base_image import ensure_base
from build_context import BuildContext
from debian import host_certificates
from deployment import REPO
from engine import ensure_engine
from image_build import build, image_id, is_current, remove_unused
from progress import SetupError, fail

BASE = "bai-spawner/base:3.13"


@dataclass(frozen=True)
class DerivedImage:
    """An image made from the base by a folder's Dockerfile and its arguments."""

    tag: str
    folder: str
    args: dict[str, str] = field(default_factory=dict)


DERIVED = (
    DerivedImage("bai-spawner/numpy:2.4", "numpy", {"NUMPY": "2.4.*"}),
    DerivedImage("bai-spawner/numpy:2.3", "numpy", {"NUMPY": "2.3.*"}),
)


def main() -> int:
    """Build what has to be built."""
    try:
        ensure_images(ensure_engine())
    except SetupError as error:
        return fail(error)
    return 0


def ensure_images(client: docker.APIClient) -> None:
    """Every image there and current.

    Raises:
        SetupError: what an image needs cannot be had, or its build failed.
    """
    before = _image_ids(client)
    digest = _ensure_base_image(client)
    for image in DERIVED:
        context = BuildContext()
        context.add_tree(REPO / "images" / image.folder)
        inputs = context.digest(digest, repr(sorted(image.args.items())))
        if not is_current(client, image.tag, inputs):
            build(client, image.tag, context, inputs, image.args)
    now = _image_ids(client)
    # an image goes after those that were made from it
    for old in reversed(before):
        if old and old not in now:
            remove_unused(client, old)


def _image_ids(client: docker.APIClient) -> list[str | None]:
    """What every tag stands for, the base first."""
    return [image_id(client, tag) for tag in (BASE, *(image.tag for image in DERIVED))]


def _ensure_base_image(client: docker.APIClient) -> str:
    """The base image's digest, the image there and current."""
    context = _base_context()
    digest = context.digest(container_package.fingerprint())
    if not is_current(client, BASE, digest):
        ensure_base(client)
        name, content = container_package.wheel()
        context.add(f"wheel/{name}", content)
        build(client, BASE, context, digest)
    return digest


def _base_context() -> BuildContext:
    """What the base image is built from, but for the wheel, whose sources stand for it."""
    context = BuildContext()
    context.add_tree(REPO / "images" / "base")
    kernel, server = container_package.requirements()
    context.add("requirements/kernel.txt", kernel.encode())
    context.add("requirements/server.txt", server.encode())
    # COPY fails without the folder
    context.add("certs/.keep", b"")
    for path in host_certificates():
        context.add(f"certs/{path.name}", path.read_bytes())
    return context


if __name__ == "__main__":
    sys.exit(main())
