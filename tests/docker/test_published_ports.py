"""A port of the host leads into a container; one that is another program's is told apart."""

from __future__ import annotations

import socket
from dataclasses import replace

import docker
import pytest

from bai_spawner.container import SSH_PORT, ContainerSpec
from bai_spawner.engine import Engine
from bai_spawner.errors import PortTaken
from bai_spawner.ports import Listening
from tests.deployment import eventually, free_ports
from tests.docker.test_limits import spec_of

GREET = (
    f"import socket; s = socket.create_server(('', {SSH_PORT}))\n"
    "while True: c, _ = s.accept(); c.sendall(b'hello'); c.close()"
)


@pytest.fixture
def spec(client: docker.DockerClient, hub_id: str, network: str) -> ContainerSpec:
    """A session that says hello where its SSH would be."""
    (port,) = free_ports(1)
    made = spec_of("small", hub_id, network)
    return replace(
        made,
        command=("python3", "-c", GREET),
        ports={SSH_PORT: Listening("127.0.0.1", port)},
    )


def hello(port: int) -> bytes:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            return connection.recv(9)
    except OSError:
        return b""


async def test_the_hosts_port_leads_into_the_container_and_ends_with_it(
    engine: Engine, spec: ContainerSpec
) -> None:
    made = await engine.create(spec)
    await engine.start(made)
    port = spec.ports[SSH_PORT].port
    assert eventually(lambda: hello(port)) == b"hello"
    await engine.remove(made)
    assert hello(port) == b""


async def test_a_port_of_another_program_is_told_and_the_next_one_works(
    engine: Engine, spec: ContainerSpec
) -> None:
    with socket.create_server(("127.0.0.1", spec.ports[SSH_PORT].port)):
        made = await engine.create(spec)
        with pytest.raises(PortTaken):
            await engine.start(made)
        (other,) = free_ports(1)
        again = await engine.create(replace(spec, ports={SSH_PORT: Listening("127.0.0.1", other)}))
        assert again != made
        assert await engine.inspect(made) is None
        await engine.start(again)
        assert eventually(lambda: hello(other)) == b"hello"


async def test_a_port_of_another_container_is_told(engine: Engine, spec: ContainerSpec) -> None:
    await engine.start(await engine.create(spec))
    second = await engine.create(replace(spec, name=f"{spec.name}-2"))
    with pytest.raises(PortTaken):
        await engine.start(second)
