"""Many apps on few ports, by TLS: exhausted, killed, taken back, and nothing left behind.

A hub of its own: its apps have a certificate and three ports, and its catalogue can be changed.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from bai_spawner import bulletin
from bai_spawner.app_proxy.client import Client
from bai_spawner.catalog import load_catalog
from bai_spawner.records import Records
from bai_spawner.units import MIB
from tests.deployment import Deployment, Visitor, eventually
from tests.hub.opening import (
    FICKLE,
    NAVIGATION,
    Opener,
    catalogue,
    echoes,
    few_ports,
    held,
    is_closed,
    opener,
    proxy_of,
    with_nothing_open,
    with_session,
)

CYCLES, WARM = 1000, 100
"""How often an app is opened and closed, and after how many times the proxy is as it stays."""


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with few_ports(tmp_path_factory.mktemp("crowd")) as made:
        yield made


@pytest.fixture(scope="module")
def owning(deployment: Deployment) -> Iterator[Visitor]:
    yield from with_session(deployment, "owner")


@pytest.fixture(scope="module")
def wavering(deployment: Deployment) -> Iterator[Visitor]:
    yield from with_session(deployment, FICKLE)


@pytest.fixture
def owner(owning: Visitor) -> Iterator[Opener]:
    """The one with the session; of it nothing is open before a test and after it."""
    yield from with_nothing_open(owning)


@pytest.fixture
def fickle(wavering: Visitor) -> Iterator[Opener]:
    """The one whose policy changes; of it nothing is open before a test and after it."""
    yield opener(wavering)
    made = opener(wavering)  # the hub may be another one by now
    for opened in made.openings():
        made.close(opened)


@pytest.fixture
def nobody(deployment: Deployment) -> Iterator[httpx.Client]:
    """A browser that is logged in nowhere."""
    with httpx.Client(follow_redirects=False, timeout=30) as client:
        yield client


# ---- few ports


def test_an_exhausted_pool_says_so_and_what_another_program_has_is_left_out(
    deployment: Deployment, owner: Opener
) -> None:
    """R37."""
    ports = deployment.app_ports
    full = (
        f"port: all ports for apps are taken ({ports[0]}-{ports[-1]}): "
        "close one that you do not need"
    )
    with socket.create_server(("127.0.0.1", ports[1])):
        first, second = owner.open("tells"), owner.open("board")
        assert {first["port"], second["port"]} == {ports[0], ports[2]}
        for asked in ({}, {"port": ports[1]}, {"port": first["port"]}, {"public": True}):
            answer = owner.try_to_open("code", **asked)
            assert (answer.status_code, answer.json()["message"]) == (409, full)
        assert {it["id"] for it in owner.openings()} == {first["id"], second["id"]}
        assert not [it for it in owner.openings("closed") if it["app"] == "code"]
        for opened in (first, second):
            assert owner.shown(opened).text == "hello"
        owner.close(first)
        third = owner.open("code", port=ports[1])
        assert third["port"] == first["port"]
        assert third["told"] == f"Port {ports[1]} is taken, so it is at port {third['port']}."
        assert owner.shown(third).text == "hello"
        assert owner.page(second["url"]).text == "hello"
    assert owner.open("notes")["port"] == ports[1], "it is free again"
    assert held(ports) == list(ports)
    for opened in owner.openings():
        owner.close(opened)
    assert held(ports) == []


def test_a_killed_proxy_breaks_off_what_was_under_way_and_takes_up_its_ports_again(
    deployment: Deployment, owner: Opener, nobody: httpx.Client
) -> None:
    private, public = owner.open("tells"), owner.open("board", public=True)
    for opened in (private, public):
        assert owner.shown(opened).text == "hello"
    before = proxy_of(deployment)
    drips = f"{private['url']}drips"
    with (
        owner.socket(public) as app,
        owner.visitor.http.stream("GET", drips, headers=NAVIGATION) as download,
    ):
        assert echoes(app)
        chunks = download.iter_raw()
        assert next(chunks).startswith(b"x")
        os.kill(before, signal.SIGKILL)
        with pytest.raises(ConnectionClosed):
            app.recv(10)
        with pytest.raises(httpx.TransportError):
            list(islice(chunks, 1000))

    def answers() -> bool:
        with suppress(httpx.TransportError):
            return nobody.get(public["url"], headers=NAVIGATION).text == "hello"
        return False

    assert eventually(answers, seconds=90, every=0.5), "JupyterHub looks every half a minute"
    assert owner.shown(private).text == "hello"
    assert proxy_of(deployment) not in {0, before}
    open_now = {it["id"]: it["port"] for it in owner.openings()}
    assert open_now == {it["id"]: it["port"] for it in (private, public)}
    assert sorted(held(deployment.app_ports)) == sorted(open_now.values())
    for opened in (private, public):
        owner.close(opened)
    assert held(deployment.app_ports) == []


async def test_what_is_opened_and_closed_a_thousand_times_leaves_nothing_behind(
    deployment: Deployment, owner: Opener
) -> None:
    first = owner.open()  # whose session is known by now
    owner.close(first)
    client, process = Client(deployment.state / "app_proxy.sock"), proxy_of(deployment)
    tls = ssl.create_default_context()
    end = {"by": owner.visitor.user, "why": "enough"}
    wish = {
        "session": owner.session(),
        "app": "tells",
        "by": owner.visitor.user,
        "whence": "192.0.2.7",
        "public": True,
        "wanted": None,
        "expires": None,
        "allowed": [],
        "password": "",
    }

    async def cycle() -> None:
        """Open it, connect, close it; the connection ends with it."""
        told = await client.ask("POST", "/openings", wish)
        assert told.status == 201, told
        at = ("127.0.0.1", told.model["port"])
        reader, writer = await asyncio.open_connection(*at, ssl=tls, server_hostname="localhost")
        closed = await client.ask("DELETE", f"/openings/{told.model['id']}", end)
        assert closed.model == {"closed": True}
        with suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.transport.abort()

    for _ in range(WARM):
        await cycle()
    files, memory = open_files(process), resident(process)
    for _ in range(CYCLES - WARM):
        await cycle()
    assert eventually(lambda: open_files(process) <= files + 5), (files, open_files(process))
    assert resident(process) < memory + 20 * MIB, (memory, resident(process))
    assert held(deployment.app_ports) == []
    assert owner.openings() == []
    assert {it["why"] for it in owner.openings("closed")[:50]} == {"enough"}
    assert proxy_of(deployment) == process
    again = owner.open()
    assert owner.shown(again).text == "hello"


def open_files(process: int) -> int:
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


def resident(process: int) -> int:
    """Bytes of memory: proc(5), ``VmRSS``."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    assert found
    return 1024 * int(found[1])


# ---- TLS


def test_an_app_is_reached_by_tls_alone_and_its_cookies_go_no_other_way(
    deployment: Deployment, owner: Opener, nobody: httpx.Client
) -> None:
    opened = owner.open()
    port = opened["port"]
    assert opened["url"] == f"https://localhost:{port}/"
    assert owner.shown(opened).text == "hello"
    ours = [c for c in owner.visitor.http.cookies.jar if c.domain.startswith("localhost")]
    (cookie,) = [c for c in ours if c.name == f"__Host-Http-bai-app-{port}"]
    assert cookie.secure
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert (cookie.path, cookie.domain_specified) == ("/", False)
    with owner.socket(opened) as app:
        assert echoes(app)
    begun = nobody.get(opened["url"], headers=NAVIGATION)
    assert begun.status_code == 303
    name, *attributes = begun.headers["Set-Cookie"].split("; ")
    assert name.startswith(f"__Host-Http-bai-begin-{port}-")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(attributes)
    with deployment.clean_log(), pytest.raises(httpx.TransportError):
        nobody.get(f"http://localhost:{port}/", headers=NAVIGATION)
    assert owner.page(opened["url"]).text == "hello"


def test_who_has_not_agreed_on_tls_when_an_app_is_closed_comes_too_late(
    deployment: Deployment, owner: Opener
) -> None:
    opened = owner.open(public=True)
    assert owner.shown(opened).text == "hello"
    tls = ssl.create_default_context()
    heard, said = ssl.MemoryBIO(), ssl.MemoryBIO()
    late = tls.wrap_bio(heard, said, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", opened["port"]), timeout=10) as way:

        def hear() -> None:
            way.sendall(said.read())
            if not (got := way.recv(64 * 1024)):
                raise ConnectionResetError
            heard.write(got)

        def ask() -> bytes:
            """Agree, and ask; how the answer begins."""
            while True:
                with suppress(ssl.SSLWantReadError):
                    late.do_handshake()
                    break
                hear()
            late.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while True:
                with suppress(ssl.SSLWantReadError):
                    return late.read(1)
                hear()

        with suppress(ssl.SSLWantReadError):
            late.do_handshake()
        hear()  # it was accepted, and is answered
        with deployment.clean_log():
            owner.close(opened)
            with pytest.raises((ConnectionError, ssl.SSLError)):
                ask()


# ---- a policy that is taken back


def test_a_policy_taken_back_cuts_what_is_public_and_leaves_what_is_private(
    deployment: Deployment, fickle: Opener, tmp_path: Path
) -> None:
    """R51; by what the hub tells when it starts with another catalogue."""
    private, public = fickle.open("tells"), fickle.open("board", public=True)
    for opened in (private, public):
        assert fickle.shown(opened).text == "hello"
    records = Records(f"sqlite:///{deployment.state / 'records.sqlite'}")
    changed = tmp_path / "catalog.yaml"
    changed.write_text(catalogue(public=False))

    def publish(file: Path) -> None:
        told = bulletin.catalogue(load_catalog(file))
        records.publish(deployment.hub_id, bulletin.CATALOGUE, told, at=datetime.now(UTC))

    with fickle.socket(private) as own, fickle.socket(public) as everyones:
        assert echoes(own)
        assert echoes(everyones)
        publish(changed)
        try:
            with pytest.raises(ConnectionClosed):
                everyones.recv(10)
            assert eventually(lambda: is_closed(public["url"]))
            assert echoes(own)
            told = "the policy offers no public apps any more"
            assert eventually(lambda: fickle.why(public)) == told
            answer = fickle.try_to_open("board", public=True)
            assert answer.status_code == 409
            assert answer.json()["message"].startswith("public: your policy offers no apps")
        finally:
            publish(deployment.catalog)
            records.close()
    assert [it["id"] for it in fickle.openings()] == [private["id"]]


def test_a_restart_with_another_catalogue_takes_back_what_is_public(
    deployment: Deployment, fickle: Opener
) -> None:
    """R51, as an administrator does it."""
    private, public = fickle.open("tells"), fickle.open("board", public=True)
    for opened in (private, public):
        assert fickle.shown(opened).text == "hello"
    with fickle.socket(public) as app:
        assert echoes(app)
        deployment.stop()
        with pytest.raises(ConnectionClosed):
            app.recv(10)
    deployment.catalog.write_text(catalogue(public=False))
    deployment.start()
    again = opener(fickle.visitor)
    told = "the policy offers no public apps any more"
    assert eventually(lambda: again.why(public), seconds=30) == told
    assert is_closed(public["url"])
    assert [it["id"] for it in again.openings()] == [private["id"]]

    def is_shown() -> bool:
        with suppress(httpx.TransportError):
            return again.page(private["url"]).text == "hello"
        return False

    assert eventually(is_shown, seconds=30), "at the same address"
