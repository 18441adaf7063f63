"""The way to ports: shut unless it is opened, and opened it leads nowhere but here (S22)."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.inside.conftest import BASE, TOKEN, Serve, Served
from tests.inside.waiting import PATIENCE, eventually

pytestmark = pytest.mark.filterwarnings(
    # upstream's own addresses ask who it is in another way than Jupyter looks for
    r"ignore:Extension endpoints without[\s\S]*(RemoteProxyHandler|IconHandler|_Proxy)"
)

ECHO = str(Path(__file__).parent / "echo_app.py")
ELSEWHERE = "127.0.0.2"
"""Another host, as far as an address says: nobody may be led there."""
EXTENSIONS = {"bai_spawner.server_extension": True, "jupyter_server_proxy": True}


@dataclass
class Listener:
    """Something that listens, and counts who comes."""

    port: int = 0
    came: int = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came += 1
        await reader.readline()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nhere")
        await writer.drain()
        writer.close()


async def listen(host: str) -> tuple[asyncio.Server, Listener]:
    made = Listener()
    server = await asyncio.start_server(made, host, 0)
    made.port = server.sockets[0].getsockname()[1]
    return server, made


@pytest.fixture
async def elsewhere() -> AsyncIterator[Listener]:
    """Where nobody must get to."""
    server, made = await listen(ELSEWHERE)
    yield made
    server.close()
    await server.wait_closed()


@pytest.fixture
async def own() -> AsyncIterator[Listener]:
    """Something of the session's own."""
    server, made = await listen("127.0.0.1")
    yield made
    server.close()
    await server.wait_closed()


async def session(serve: Serve, **more: Any) -> Served:
    settings = {"ServerApp": {"jpserver_extensions": EXTENSIONS}, **more}
    served: Served = await serve("apps.ports", config=settings)
    return served


async def send(served: Served, target: str, *headers: str, method: str = "GET") -> bytes:
    """Send a request exactly as it is written here; the answer's beginning."""
    port = served.allowed.base_url.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"{method} {target} HTTP/1.1", *headers, f"Authorization: token {TOKEN}"]
    if not any(line.lower().startswith("host:") for line in headers):
        lines.append(f"Host: 127.0.0.1:{port}")
    writer.write(("\r\n".join([*lines, "", ""])).encode("latin-1"))
    await writer.drain()
    try:
        return await asyncio.wait_for(reader.read(65536), PATIENCE)
    finally:
        writer.close()


UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)

STEERED = [
    "proxy/{there}/",
    "proxy/absolute/{there}/",
    "proxy/{there}",
    "proxy/127%2E0%2E0%2E2:{port}/",
    "proxy/127.0.0.2%3A{port}/",
    "proxy/%31%32%37.0.0.2:{port}/",
    "proxy/localhost@{there}/",
    "proxy/localhost%40127.0.0.2:{port}/",
    "proxy/localhost:{own}@{there}/",
    "proxy/localhost%2F@{there}/",
    "proxy/localhost%23@{there}/",
    "proxy/localhost%3F@{there}/",
    "proxy/localhost%00.127.0.0.2:{port}/",
    "proxy/localhost%0d%0aHost:%20127.0.0.2:{port}/",
    "proxy/localhost.127.0.0.2:{port}/",
    "proxy/127.0.0.1.127.0.0.2:{port}/",
    "proxy/{own}@{there}/",
    "proxy/{own}%40127.0.0.2:{port}/",
    "proxy/@{there}/",
    "proxy/:@{there}/",
    "proxy/[::ffff:127.0.0.2]:{port}/",
    "proxy/%5B::ffff:127.0.0.2%5D:{port}/",
    "proxy/%5B%3A%3Affff%3A127.0.0.2%5D:{port}/",
    "proxy/2130706434:{port}/",
    "proxy/0x7f000002:{port}/",
    "proxy/0177.0.0.2:{port}/",
    "proxy/127.2:{port}/",
    "proxy/absolute/localhost@{there}/",
    "proxy/absolute/127%2E0%2E0%2E2:{port}/",
    "proxy/{own}/http://{there}/",
    "proxy/{own}//{there}/",
    "proxy/{own}/@{there}/",
    "proxy/{own}/..//{there}/",
    "proxy/{own}/?@{there}/",
    "proxy/{own}/#@{there}/",
    "proxy/{own}%2F@{there}/",
    "proxy/absolute/{own}//{there}/",
    "proxy/../proxy/{there}/",
    "%70roxy/{there}/",
    "proxy%2F{there}/",
    "/proxy/{there}/",
    "server-proxy/icon/http://{there}/",
]
HEADERS = [
    (),
    ("Host: {there}",),
    ("X-Forwarded-Host: {there}", "X-Forwarded-Proto: http", "Forwarded: host={there}"),
    ("X-Original-URL: http://{there}/", "X-Rewrite-URL: /proxy/{there}/"),
]


@pytest.fixture(params=["shut", "open"])
async def way(
    request: pytest.FixtureRequest, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> Served:
    """A session whose way to ports is shut, and one where it is open."""
    if request.param == "open":
        monkeypatch.setenv("BAI_PORT_PROXY", "1")
    return await session(serve)


@pytest.mark.parametrize("upgrade", [(), UPGRADE], ids=["http", "websocket"])
async def test_nobody_is_led_elsewhere(
    way: Served, own: Listener, elsewhere: Listener, upgrade: tuple[str, ...]
) -> None:
    values = {"there": f"{ELSEWHERE}:{elsewhere.port}", "port": elsewhere.port, "own": own.port}
    for target in (f"{BASE}{path.format(**values)}" for path in STEERED):
        for headers in HEADERS:
            sent = [header.format(**values) for header in headers]
            answer = await send(way, target, *sent, *upgrade)
            assert answer.startswith(b"HTTP/1.1"), target
            assert not elsewhere.came, f"{target} {sent}"
    for target, method in (
        (f"http://{ELSEWHERE}:{elsewhere.port}/", "GET"),
        (f"http://{ELSEWHERE}:{elsewhere.port}{BASE}proxy/{own.port}/", "GET"),
        (f"{ELSEWHERE}:{elsewhere.port}", "CONNECT"),
    ):
        await send(way, target, *upgrade, method=method)
        assert not elsewhere.came, target


async def test_elsewhere_can_be_reached_by_who_may(elsewhere: Listener) -> None:
    """Without this the test above would prove nothing."""
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"http://{ELSEWHERE}:{elsewhere.port}/")).text == "here"
    assert elsewhere.came == 1


METHODS = {"GET": b"", "HEAD": b"", "OPTIONS": b"", "DELETE": b""} | dict.fromkeys(
    ("POST", "PUT", "PATCH"), b"content"
)


@pytest.mark.parametrize(
    "path", ["{}/", "{}", "{}/a/b?c=d", "localhost:{}/", "127.0.0.1:{}/", "absolute/{}/"]
)
@pytest.mark.parametrize("is_open", [True, False])
async def test_the_way_to_own_ports_is_there_when_it_is_opened(
    serve: Serve, own: Listener, monkeypatch: pytest.MonkeyPatch, path: str, *, is_open: bool
) -> None:
    monkeypatch.setenv("BAI_PORT_PROXY", "1" if is_open else "0")
    served = await session(serve)
    for method, content in METHODS.items():
        url = f"proxy/{path.format(own.port)}"
        answer = await served.allowed.request(method, url, content=content)
        assert answer.status_code == (200 if is_open else 403), method
    assert own.came == (len(METHODS) if is_open else 0)


@pytest.mark.parametrize("opened", ["1", "0", "", "true", None])
async def test_only_1_opens_it(
    serve: Serve, own: Listener, monkeypatch: pytest.MonkeyPatch, opened: str | None
) -> None:
    monkeypatch.delenv("BAI_PORT_PROXY", raising=False)
    if opened is not None:
        monkeypatch.setenv("BAI_PORT_PROXY", opened)
    served = await session(serve)
    answer = await served.allowed.get(f"proxy/{own.port}/")
    assert answer.status_code == (200 if opened == "1" else 403)
    assert bool(own.came) is (opened == "1")


async def test_what_is_shut_says_so_and_leaves_no_way_to_configure_it(
    serve: Serve, own: Listener, elsewhere: Listener
) -> None:
    """The user's own configuration does not open it; that of the platform has the last word."""
    served = await session(serve, ServerProxy={"host_allowlist": [ELSEWHERE, "localhost"]})
    for url in (f"proxy/{own.port}/", f"proxy/{ELSEWHERE}:{elsewhere.port}/", "proxy", "proxy/"):
        answer = await served.allowed.get(url)
        assert answer.status_code == 403
        assert "the administrator has not opened them" in answer.json()["message"]
    assert own.came == elsewhere.came == 0


async def test_opened_it_still_asks_who_it_is(
    serve: Serve, own: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAI_PORT_PROXY", "1")
    served = await session(serve)
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = await served.stranger.request(method, f"proxy/{own.port}/")
        assert answer.status_code == 403
    assert not own.came


@pytest.mark.parametrize("kind", ["page", "events", "websocket"])
async def test_a_redirect_of_what_is_proxied_is_not_followed(
    serve: Serve,
    elsewhere: Listener,
    monkeypatch: pytest.MonkeyPatch,
    unused_tcp_port: int,
    kind: str,
) -> None:
    monkeypatch.setenv("BAI_PORT_PROXY", "1")
    served = await session(serve)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        ECHO,
        f"--port={unused_tcp_port}",
        f"--redirect=http://{ELSEWHERE}:{elsewhere.port}/",
    )
    try:
        url = f"proxy/{unused_tcp_port}/"

        async def answers() -> bool:
            return (await served.allowed.get(url)).status_code == 200

        await eventually(answers)
        more = {
            "page": (),
            "events": ("Accept: text/event-stream",),
            "websocket": UPGRADE,
        }[kind]
        answer = await send(served, f"{BASE}{url}away", *more)
        assert not elsewhere.came
        assert not answer.endswith(b"here")
        if kind == "page":
            assert answer.startswith(b"HTTP/1.1 302")
    finally:
        process.kill()
        await process.wait()


async def test_what_upstream_starts_by_itself_goes_on_when_ports_are_shut(
    serve: Serve, tmp_path: Path
) -> None:
    """The terminal is such a server: on a socket, and started at its first use."""
    socket = str(tmp_path / "own.sock")
    server = {
        "command": [sys.executable, ECHO, "--socket={unix_socket}"],
        "unix_socket": socket,
        "timeout": PATIENCE,
        "launcher_entry": {"enabled": False},
    }
    served = await session(serve, ServerProxy={"servers": {"own": server}})
    try:
        answer = await served.allowed.get("own/x")
        assert (answer.status_code, answer.json()["path"]) == (200, "/x")
        answer = await send(served, f"{BASE}own/ws", *UPGRADE)
        assert answer.startswith(b"HTTP/1.1 101")
    finally:  # upstream's server ends with its container, and there is none here; it must
        # end well, or upstream begins it again
        await served.allowed.post("own/exit", content="0")
