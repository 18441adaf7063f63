"""Which port an app gets."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from bai_spawner.app_proxy.pool import Got, NoPort, Pool


@pytest.fixture
def ports() -> range:
    """Four ports in a row that are free; another process of tests tries others first."""
    start = 20_000 + os.getpid() % 3000 * 4
    for first in range(start, 32_700, 4):
        found = range(first, first + 4)
        if all(_free(port) for port in found):
            return found
    raise AssertionError("no four ports in a row are free")


@pytest.fixture
def taken() -> Iterator[list[Got]]:
    """Closed at the end."""
    made: list[Got] = []
    yield made
    for got in made:
        got.sock.close()


def _free(port: int) -> bool:
    with socket.socket() as made:
        try:
            made.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def test_the_port_that_was_asked_for_is_given(ports: range, taken: list[Got]) -> None:
    got = Pool("127.0.0.1", ports).draw(ports[2])
    taken.append(got)
    assert (got.port, got.told) == (ports[2], "")
    with socket.create_connection(("127.0.0.1", got.port)):  # it is had by listening
        pass


def test_a_port_that_is_taken_is_said_to_be(ports: range, taken: list[Got]) -> None:
    pool = Pool("127.0.0.1", ports)
    taken.append(pool.draw(ports[0]))
    for held in ((), (ports[0],)):
        got = pool.draw(ports[0], held=held)
        taken.append(got)
        assert got.port != ports[0]
        assert got.told == f"Port {ports[0]} is taken, so it is at port {got.port}."


@pytest.mark.parametrize("wanted", [22, 0, -1, 65_536, 10**9])
def test_a_port_that_apps_do_not_have_is_said_so(
    ports: range, taken: list[Got], wanted: int
) -> None:
    got = Pool("127.0.0.1", ports).draw(wanted)
    taken.append(got)
    assert got.port in ports
    assert got.told.startswith(f"Port {wanted} is not one that apps have here ({ports[0]}-")


def test_without_a_wish_any_is_given_and_nothing_said(ports: range, taken: list[Got]) -> None:
    pool = Pool("127.0.0.1", ports)
    taken.extend(pool.draw(None) for _ in ports)
    assert {got.port for got in taken} == set(ports)
    assert {got.told for got in taken} == {""}
    for wanted in (None, ports[0], 22):
        with pytest.raises(NoPort, match="all ports for apps are taken"):
            pool.draw(wanted)


def test_what_another_program_took_is_passed_over(ports: range, taken: list[Got]) -> None:
    code = (
        "import socket, sys; s = socket.socket(); s.bind(('127.0.0.1', int(sys.argv[1])));"
        "s.listen(); print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(ports[1])], stdin=-1, stdout=-1
    ) as other:
        try:
            assert other.stdout
            other.stdout.readline()
            pool = Pool("127.0.0.1", ports)
            taken.extend(pool.draw(None) for _ in range(3))
            assert {got.port for got in taken} == set(ports) - {ports[1]}
            with pytest.raises(NoPort, match=f"another program took its port {ports[1]}"):
                pool.take(ports[1])
        finally:
            other.kill()
    taken.append(pool.take(ports[1]))
    assert taken[-1].port == ports[1]


def test_a_port_is_taken_again_after_a_restart(ports: range, taken: list[Got]) -> None:
    pool = Pool("127.0.0.1", ports)
    first = pool.take(ports[0])
    with socket.create_connection(("127.0.0.1", ports[0])):
        first.sock.setblocking(True)
        connection, _ = first.sock.accept()
        connection.close()  # and the port waits for what may still come of it
        first.sock.close()
        taken.append(pool.take(ports[0]))
    with pytest.raises(NoPort, match="any more"):
        pool.take(ports[-1] + 1)


def test_nothing_is_left_of_what_was_tried(ports: range) -> None:
    pool = Pool("127.0.0.1", ports)
    for _ in range(20):
        for got in [pool.draw(None) for _ in ports]:
            got.sock.close()
    assert all(_free(port) for port in ports)


def test_an_address_of_ipv6_is_one() -> None:
    if not socket.has_ipv6:
        pytest.skip("this host has no IPv6")
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
            port = probe.getsockname()[1]
    except OSError:
        pytest.skip("this host has no IPv6")
    got = Pool("::1", range(port, port + 1)).draw(None)
    assert got.port == port
    got.sock.close()
