"""Small images that fail in their own ways, made from the session image in a moment."""

from __future__ import annotations

import json
from typing import Any

import docker

BASE = "bai-spawner/base:3.13"
FAILING = {
    "bai-test/never:1": ["sh", "-c", "echo still thinking; exec sleep 1000"],
    "bai-test/dies:1": ["sh", "-c", "echo 'last words <b>bold</b>'; exit 3"],
}


def ensure_failing_images(client: docker.DockerClient) -> None:
    """Give the session image a command that never answers, and one that ends at once."""
    for reference, command in FAILING.items():
        name, _, tag = reference.partition(":")
        container: Any = client.containers.create(BASE)
        try:
            container.commit(name, tag, changes=f"CMD {json.dumps(command)}")
        finally:
            container.remove()
