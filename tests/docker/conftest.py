"""The real engine, with an identity and a network of its own, and no hub."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator

import docker
import pytest

from bai_spawner.engine import Engine


@pytest.fixture(scope="session")
def client() -> Iterator[docker.DockerClient]:
    made = docker.from_env()
    yield made
    made.close()


@pytest.fixture
def hub_id(client: docker.DockerClient) -> Iterator[str]:
    """An identity; whatever carries it is removed afterwards."""
    made = secrets.token_hex(16)
    yield made
    for container in client.containers.list(all=True, filters={"label": f"bai.hub={made}"}):
        container.remove(force=True, v=True)


@pytest.fixture
def network(client: docker.DockerClient, hub_id: str) -> Iterator[str]:
    made = client.networks.create(f"bai-{hub_id[:12]}", driver="bridge")
    yield str(made.name)
    for container in client.containers.list(all=True, filters={"label": f"bai.hub={hub_id}"}):
        container.remove(force=True, v=True)
    made.remove()


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    made = Engine()
    yield made
    made.close()
