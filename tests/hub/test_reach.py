"""What of a session can be reached: from a sibling, from the host, and from inside outwards."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.deployment import Deployment, Visitor, eventually
from tests.session import Session

JUPYTER, SSH = 8888, 2222
CONNECT = """
import socket, sys
for place in sys.argv[1:]:
    host, port = place.rsplit(":", 1)
    s = socket.socket(); s.settimeout(1)
    print(place, s.connect_ex((host, int(port))) == 0); s.close()
"""
LISTENING = """
import pathlib
for name in ("tcp", "tcp6", "udp", "udp6"):
    for line in pathlib.Path("/proc/net", name).read_text().splitlines()[1:]:
        words = line.split()
        address, port = words[1].split(":")
        if words[3] == "0A" or name.startswith("udp"):
            print(name, address, int(port, 16))
"""
LOOPBACK = {"0100007F", "00000000000000000000000001000000"}
DNS = "0B00007F"
"""127.0.0.11: the engine's own resolver, in the container's network."""


@dataclass
class Two:
    """Two sessions of one user, as near to each other as sessions get."""

    one: Session
    two: Session
    address: str
    """Of the second."""

    def reached(self, *places: str) -> dict[str, bool]:
        """Which of these the first one reaches."""
        told = self.one.run("python3", "-c", CONNECT, *places).splitlines()
        return {line.split()[0]: line.split()[1] == "True" for line in told}


@pytest.fixture(scope="module")
def user(deployment: Deployment) -> Iterator[Visitor]:
    with deployment.login("neighbours") as visitor:
        yield visitor
        visitor.stop_all()


@pytest.fixture(scope="module")
def two(deployment: Deployment, user: Visitor) -> Iterator[Two]:
    for server in ("one", "two"):
        assert user.start(server, {}).status_code == 201
    one, other = (Session(deployment, user, server) for server in ("one", "two"))
    other.container.reload()
    address = other.container.attrs["NetworkSettings"]["Networks"][deployment.network]["IPAddress"]
    # everything that listens in a session does so by now, the terminal too
    assert other.http.get("/terminal/").status_code == 200
    assert eventually(lambda: other.http.get("/bai/api/ssh").json()["running"])
    yield Two(one, other, address)
    one.http.close()
    other.http.close()


def test_a_sibling_reaches_nothing_of_a_session(deployment: Deployment, two: Two) -> None:
    published = two.two.http.get("/bai/api/ssh").json()["port"]
    places = [
        *(f"{two.address}:{port}" for port in (JUPYTER, SSH, 7681)),
        *(f"{host}:{published}" for host in (two.address, deployment.gateway)),
    ]
    assert two.reached(*places) == dict.fromkeys(places, False)


def test_a_session_reaches_the_hub_and_the_service_and_neither_the_proxy_nor_its_api(
    deployment: Deployment, two: Two
) -> None:
    ports = (deployment.hub_port, deployment.service_port, deployment.port, deployment.proxy_api)
    hub, service, proxy, api = (f"{deployment.gateway}:{port}" for port in ports)
    found = two.reached(hub, service, proxy, api)
    assert found == {hub: True, service: True, proxy: False, api: False}
    told = f"http://{service}/services/sessions/"
    assert f"BAI_SERVICE_URL={told}" in two.one.container.attrs["Config"]["Env"]


def test_the_host_reaches_jupyter_and_ssh_alone(two: Two) -> None:
    listening = [line.split() for line in two.two.run("python3", "-c", LISTENING).splitlines()]
    open_ports = {int(port) for _, address, port in listening if address not in LOOPBACK | {DNS}}
    assert open_ports == {JUPYTER, SSH}
    for port in (JUPYTER, SSH):
        socket.create_connection((two.address, port), timeout=5).close()
    bindings = two.two.container.attrs["NetworkSettings"]["Ports"]
    told = two.two.http.get("/bai/api/ssh").json()["port"]
    published = {port: found for port, found in bindings.items() if found}
    assert published == {f"{SSH}/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(told)}]}


def test_what_listens_for_its_own_session_alone_does_so_on_sockets_of_its_user(two: Two) -> None:
    listed = two.two.run("find", "/run/bai-session", "-type", "s", "-printf", "%m %u %p\n")
    assert "terminal.sock" in listed
    for line in listed.splitlines():
        mode, owner, path = line.split()
        assert (mode, owner) == ("600", "work"), path
    assert two.two.run("stat", "-c", "%a", "/run/bai-session").strip() == "700"
