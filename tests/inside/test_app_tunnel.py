"""Tunnels to the session's apps: raw bytes both ways, for who has the session's key alone."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from jupyter_server.auth import IdentityProvider

from bai_spawner import tunnel
from bai_spawner.server_extension.apps import tunnel as inside
from tests.inside.conftest import BASE, TOKEN, Serve, Served
from tests.inside.waiting import PATIENCE, eventually

KEY = tunnel.key_of(b"a secret of this deployment's own", "0123")
ECHO = str(Path(__file__).parent / "echo_app.py")
BEGINNING = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: bai-tunnel/1\r\n\r\n"
)
OURS = ("Connection: Upgrade", "Upgrade: bai-tunnel/1")
WITH_KEY = (*OURS, f"Bai-Tunnel: {KEY}")

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Listener:
    """Something that listens by itself, says what it is told to, and knows who comes."""

    port: int = 0
    came: int = 0
    gone: int = 0
    talk: Talk | None = None

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came += 1
        try:
            with suppress(ConnectionError):
                if self.talk:
                    await self.talk(reader, writer)
        finally:
            self.gone += 1
            writer.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


@pytest.fixture
async def own() -> AsyncIterator[Listener]:
    """The app that listens by itself; it says everything again."""
    made = Listener(talk=echo)
    server = await asyncio.start_server(made, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()
    await server.wait_closed()


@dataclass
class Answer:
    """What came back: a head, and what can be read and written behind it."""

    status: int
    headers: dict[str, str]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def json(self) -> Any:
        """The answer's body; the connection ends with it."""
        return json.loads(await asyncio.wait_for(self.reader.read(), PATIENCE))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def read(self, number: int) -> bytes:
        return await asyncio.wait_for(self.reader.readexactly(number), PATIENCE)

    async def ended(self) -> bool:
        """Whether it ends, and with nothing more to read."""
        try:
            return await asyncio.wait_for(self.reader.read(), PATIENCE) == b""
        except ConnectionError:
            return True


@dataclass
class Session:
    """A session with apps and a key."""

    served: Served
    pids: Path
    connections: list[asyncio.StreamWriter]

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the server, which ends with the test."""
        port = self.served.allowed.base_url.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        self.connections.append(writer)
        return reader, writer

    async def ask(
        self, name: str = "own", *headers: str, method: str = "GET", version: str = "1.1"
    ) -> Answer:
        """Ask for an address of tunnels, exactly as it is written here."""
        reader, writer = await self.connect()
        target = f"{BASE}{tunnel.path(name)}"
        host = () if any(line.startswith("Host:") for line in headers) else ("Host: 127.0.0.1",)
        lines = (f"{method} {target} HTTP/{version}", *host, *headers, "", "")
        writer.write("\r\n".join(lines).encode("latin-1"))
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        first, *rest = head.decode().split("\r\n")
        pairs = (line.split(": ", 1) for line in rest if line)
        return Answer(
            int(first.split()[1]), {key.lower(): value for key, value in pairs}, reader, writer
        )

    async def open(self, name: str = "own") -> Answer:
        answer = await self.ask(name, *WITH_KEY)
        assert answer.status == 101, await answer.json()
        return answer

    async def state(self, name: str) -> str:
        """An app's state, as its owner is told."""
        answer = await self.served.allowed.get(f"bai/api/apps/{name}")
        return str(answer.json()["state"])

    async def until(self, state: str, name: str = "board") -> None:
        async def look() -> bool:
            return await self.state(name) == state

        await eventually(look)

    async def run(self, name: str = "board") -> None:
        begun = await self.served.allowed.post(f"bai/api/apps/{name}", json={})
        assert begun.status_code == 202, begun.text
        await self.until("running", name)

    def started(self) -> list[int]:
        """Ids of all processes that ever began to be the app."""
        return [int(pid) for pid in self.pids.read_text().split()] if self.pids.exists() else []


MakeSession = Callable[..., Awaitable[Session]]


@pytest.fixture
async def session(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MakeSession]:
    """A session with these apps and this key: ``await session(board={"command": …})``."""
    run = tmp_path / "run"
    keep = "from bai_spawner.server_extension.output import keep_app as k"
    program = (sys.executable, "-c", f"{keep}; raise SystemExit(k(folder={str(run)!r}))")
    monkeypatch.setattr("bai_spawner.server_extension.apps.runner.PROGRAM", program)
    monkeypatch.setattr("bai_spawner.server_extension.apps.runner.RUN", run / "apps")
    file = tmp_path / "apps.json"
    monkeypatch.setattr("bai_spawner.apps.APPS_FILE", file)
    key_file = tmp_path / "tunnel.key"
    monkeypatch.setattr("bai_spawner.tunnel.KEY_FILE", key_file)

    async def make(*, key: str | None = KEY, **apps: dict[str, Any]) -> Session:
        if key is not None:
            key_file.write_text(key)
        said = [{"name": n, "title": n.title(), **more} for n, more in apps.items()]
        file.write_text(json.dumps(said))
        served = await serve("apps", "activity")
        return Session(served, tmp_path / "pids", connections)

    connections: list[asyncio.StreamWriter] = []
    yield make
    for writer in connections:
        writer.transport.abort()


def board(tmp_path: Path, *more: str, where: str = "--port={port}") -> dict[str, Any]:
    """An app that answers HTTP, and that the session starts."""
    return {"command": [sys.executable, ECHO, f"--pid-file={tmp_path / 'pids'}", where, *more]}


# --- what passes ---


async def test_bytes_pass_both_ways_as_they_are(session: MakeSession, own: Listener) -> None:
    made = await session(own={"port": own.port})
    opened = await made.open()
    assert opened.headers == {"connection": "Upgrade", "upgrade": "bai-tunnel/1"}
    for data in (b"hello", bytes(range(256)), b"\r\n\r\n", b"\0" * 100_000):
        sent = asyncio.ensure_future(opened.send(data))
        assert await opened.read(len(data)) == data
        await sent
    assert own.came == 1


async def test_what_an_app_says_first_comes_after_the_answer(
    session: MakeSession, own: Listener
) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-first\r\n")
        await reader.read()

    own.talk = greet
    made = await session(own={"port": own.port})
    opened = await made.open()
    assert await opened.read(15) == b"SSH-2.0-first\r\n"


async def test_what_is_sent_before_the_answer_reaches_the_app(
    session: MakeSession, own: Listener
) -> None:
    made = await session(own={"port": own.port})
    reader, writer = await made.connect()
    lines = (f"GET {BASE}{tunnel.path('own')} HTTP/1.1", "Host: 127.0.0.1", *WITH_KEY)
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + b"early")
    expected = BEGINNING + b"early"
    assert await asyncio.wait_for(reader.readexactly(len(expected)), PATIENCE) == expected


@pytest.mark.parametrize("where", ["--port={port}", "--socket={unix_socket}"])
async def test_an_app_of_the_session_is_spoken_to_by_http_and_is_told_nothing(
    session: MakeSession, tmp_path: Path, where: str
) -> None:
    made = await session(board=board(tmp_path, where=where))
    await made.run()
    opened = await made.open("board")
    await opened.send(b"GET /some/where?a=b HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n")
    answer = await asyncio.wait_for(opened.reader.read(), PATIENCE)
    told = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert (told["path"], told["query"], told["host"]) == ("/some/where", "a=b", "app")
    assert KEY not in answer.decode()


async def test_a_long_download_arrives_whole_and_an_app_that_is_done_ends_it(
    session: MakeSession, own: Listener
) -> None:
    content = os.urandom(10 * 2**20)

    async def give(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(content)
        await writer.drain()

    own.talk = give
    made = await session(own={"port": own.port})
    opened = await made.open()
    await opened.send(b"all of it\n")
    got = await asyncio.wait_for(opened.reader.read(), PATIENCE)
    assert hashlib.sha256(got).digest() == hashlib.sha256(content).digest()


async def test_a_long_upload_arrives_whole(session: MakeSession, own: Listener) -> None:
    content = os.urandom(10 * 2**20)

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(hashlib.sha256(await reader.readexactly(len(content))).digest())
        await writer.drain()

    own.talk = take
    made = await session(own={"port": own.port})
    opened = await made.open()
    await opened.send(content)
    assert await opened.read(32) == hashlib.sha256(content).digest()
    assert await opened.ended()


async def test_both_ways_are_full_at_once_and_nothing_is_lost_or_in_the_way(
    session: MakeSession, own: Listener
) -> None:
    made = await session(own={"port": own.port})
    content = os.urandom(4 * 2**20)

    async def there_and_back() -> None:
        opened = await made.open()
        sent = asyncio.ensure_future(opened.send(content))
        assert await opened.read(len(content)) == content
        await sent
        opened.writer.close()

    await asyncio.gather(*(there_and_back() for _ in range(4)))


@pytest.mark.parametrize("slow", ["client", "app"])
async def test_for_a_side_that_takes_nothing_nothing_is_piled_up(
    session: MakeSession, own: Listener, slow: str
) -> None:
    """All that is under way is in the kernel's buffers, and a chunk."""
    total, passed, go_on = 256 * 2**20, 0, asyncio.Event()

    async def pour(writer: asyncio.StreamWriter) -> None:
        nonlocal passed
        while passed < total:
            writer.write(b"x" * 2**16)
            await writer.drain()
            passed += 2**16

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if slow == "client":
            await pour(writer)
        else:
            await go_on.wait()

    own.talk = talk
    made = await session(own={"port": own.port})
    opened = await made.open()
    pouring = asyncio.ensure_future(pour(opened.writer)) if slow == "app" else None

    async def begun() -> bool:
        return bool(passed)

    await eventually(begun)
    before = 0
    while passed != before:  # until it stands still
        before = passed
        await asyncio.sleep(0.5)
    assert passed < total / 2
    assert (await made.served.allowed.get("bai/api/apps")).status_code == 200
    go_on.set()
    if pouring:
        pouring.cancel()
    else:  # and what was held up comes
        assert await opened.read(2**20) == b"x" * 2**20
    opened.writer.transport.abort()
    await eventually(lambda: is_gone(own))


async def is_gone(own: Listener) -> bool:
    return own.came == own.gone


# --- how it ends ---


async def test_when_the_client_goes_the_app_is_told(session: MakeSession, own: Listener) -> None:
    made = await session(own={"port": own.port})
    for end in ("close", "abort", "write_eof"):
        opened = await made.open()
        await opened.send(b"x")
        assert await opened.read(1) == b"x"
        assert not await is_gone(own)
        writer: Any = opened.writer if end != "abort" else opened.writer.transport
        getattr(writer, end)()
        await eventually(lambda: is_gone(own))
        opened.writer.close()
    assert own.came == 3


async def test_when_the_app_ends_the_tunnel_does(session: MakeSession, tmp_path: Path) -> None:
    made = await session(board=board(tmp_path))
    await made.run()
    opened, other = await made.open("board"), await made.open("board")
    os.kill(made.started()[0], signal.SIGKILL)
    assert await opened.ended()
    assert await other.ended()


async def test_when_the_server_ends_all_tunnels_do(session: MakeSession, own: Listener) -> None:
    made = await session(own={"port": own.port})
    opened = [await made.open() for _ in range(3)]
    await made.served.app._cleanup()
    for one in opened:
        assert await one.ended()
    await eventually(lambda: is_gone(own))


async def test_a_client_that_goes_while_the_app_is_reached_leaves_nothing_open(
    session: MakeSession, own: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    reach, waiting, go_on = inside._reach, asyncio.Event(), asyncio.Event()

    async def later(*to: Any) -> None:
        waiting.set()
        await go_on.wait()
        await reach(*to)

    monkeypatch.setattr(inside, "_reach", later)
    made = await session(own={"port": own.port})
    asking = asyncio.ensure_future(made.ask("own", *WITH_KEY))
    await asyncio.wait_for(waiting.wait(), PATIENCE)
    asking.cancel()
    await asyncio.wait({asking})
    made.connections[-1].transport.abort()
    await asyncio.sleep(0.1)  # to be seen, or not: it comes to the same
    go_on.set()

    async def came_and_went() -> bool:
        return own.came == own.gone == 1

    await eventually(came_and_went)
    await made.open()


# --- who may ---

WRONG = [
    OURS,
    (*OURS, "Bai-Tunnel:"),
    (*OURS, f"Bai-Tunnel: {KEY[:-1]}"),
    (*OURS, f"Bai-Tunnel: {KEY}0"),
    (*OURS, f"Bai-Tunnel: {KEY.upper()}"),
    (*OURS, f"Bai-Tunnel: {tunnel.key_of(b'another deployment', '0123')}"),
    (*OURS, "Bai-Tunnel: \xe4\xff"),
    (*OURS, f"Bai-Tunnel: {KEY}", f"Bai-Tunnel: {KEY}"),
    (*OURS, f"Authorization: token {TOKEN}"),
    (*OURS, f"Authorization: token {KEY}"),
    (*OURS, f"Cookie: Bai-Tunnel={KEY}; _xsrf=x"),
    (f"Authorization: token {TOKEN}",),
    (),
]


@pytest.mark.parametrize("headers", WRONG)
async def test_without_the_key_nothing_is_opened_or_said(
    session: MakeSession, own: Listener, tmp_path: Path, headers: tuple[str, ...]
) -> None:
    made = await session(own={"port": own.port}, board=board(tmp_path))
    said = set()
    for name in ("own", "board", "lab", "no-such-app"):
        answer = await made.ask(name, *headers)
        assert answer.status == 403
        assert answer.headers["content-type"] == "application/json"
        said.add((await answer.json())["message"])
    assert said == {"This needs the key of the session"}
    assert own.came == 0
    assert await made.state("board") == "stopped"


async def test_the_cookie_of_who_may_use_the_session_opens_nothing(
    session: MakeSession, own: Listener
) -> None:
    made = await session(own={"port": own.port})
    async with httpx.AsyncClient(base_url=made.served.allowed.base_url) as browser:
        await browser.get("api/status", params={"token": TOKEN})
        cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    assert cookies
    answer = await made.ask("own", *OURS, f"Cookie: {cookies}")
    assert answer.status == 403
    assert "set-cookie" not in answer.headers
    assert own.came == 0


@pytest.mark.parametrize(
    "more",
    [
        (),
        (f"Authorization: token {TOKEN}",),
        ("Authorization: token another-users",),
        ('Cookie: username-127-0-0-1-80="2|1:0|broken"; _xsrf=x; jupyterhub-user-eve=y',),
        ("Origin: https://elsewhere.example", "Referer: https://elsewhere.example/"),
        ("Host: elsewhere.example", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"),
    ],
)
async def test_the_key_alone_counts_and_nobody_is_asked_who_it_is(
    session: MakeSession, own: Listener, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    made = await session(own={"port": own.port})
    made.served.forbidden()

    def asked(*_: Any) -> None:
        raise AssertionError("somebody was asked who it is")

    monkeypatch.setattr(IdentityProvider, "get_user", asked)
    opened = await made.ask("own", *WITH_KEY, *more)
    assert opened.status == 101
    await opened.send(b"x")
    assert await opened.read(1) == b"x"
    refused = await made.ask("no-such-app", *WITH_KEY, *more)
    assert refused.status == 404
    assert "set-cookie" not in {*opened.headers, *refused.headers}


@pytest.mark.parametrize("key", [None, "", "x" * 64, KEY[:-1]])
async def test_a_session_without_a_key_that_can_be_used_has_no_tunnels_and_its_apps(
    session: MakeSession, own: Listener, key: str | None
) -> None:
    made = await session(key=key, own={"port": own.port})
    sent = (f"Bai-Tunnel: {key or ''}", f"Authorization: token {TOKEN}")
    answer = await made.ask("own", *OURS, *sent)
    assert answer.status == 404
    answer.writer.close()
    assert own.came == 0
    assert (await made.served.allowed.get("bai/api/apps")).status_code == 200


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "PATCH", "DELETE"])
async def test_a_tunnel_is_opened_by_get_alone(
    session: MakeSession, own: Listener, method: str
) -> None:
    made = await session(own={"port": own.port})
    answer = await made.ask("own", *WITH_KEY, "Content-Length: 0", method=method)
    assert answer.status == 405
    assert "set-cookie" not in answer.headers
    answer.writer.close()
    assert own.came == 0


# --- what there is no tunnel to ---


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("Connection: Upgrade",),
        ("Upgrade: bai-tunnel/1",),
        ("Connection: close", "Upgrade: bai-tunnel/1"),
        ("Connection: Upgrade", "Upgrade: websocket"),
        ("Connection: Upgrade", "Upgrade: bai-tunnel/2"),
    ],
)
async def test_another_protocol_is_refused_and_told_of_ours(
    session: MakeSession, own: Listener, headers: tuple[str, ...]
) -> None:
    made = await session(own={"port": own.port})
    answer = await made.ask("own", *headers, f"Bai-Tunnel: {KEY}")
    assert (answer.status, answer.headers["upgrade"]) == (426, "bai-tunnel/1")
    assert "bai-tunnel/1" in (await answer.json())["message"]
    assert own.came == 0


async def test_an_older_http_is_refused(session: MakeSession, own: Listener) -> None:
    made = await session(own={"port": own.port})
    answer = await made.ask("own", *WITH_KEY, version="1.0")
    assert answer.status == 426


@pytest.mark.parametrize("connection", ["upgrade", "Upgrade, close", "keep-alive, Upgrade"])
async def test_however_it_is_asked_for_it_is_opened_or_ends_with_the_answer(
    session: MakeSession, own: Listener, connection: str
) -> None:
    made = await session(own={"port": own.port})
    headers = (f"Connection: {connection}", "Upgrade: BAI-Tunnel/1", f"Bai-Tunnel: {KEY}")
    opened = await made.ask("own", *headers)
    assert opened.status == 101
    await opened.send(b"x")
    assert await opened.read(1) == b"x"
    refused = await made.ask("no-such-app", *headers)
    assert refused.headers["connection"] == "close"
    assert await refused.json() == {"message": "This session has no such app"}


@pytest.mark.parametrize("name", ["no-such-app", "..", "%2e%2e", "own%2Fx", "Own"])
async def test_there_is_no_tunnel_to_an_app_that_there_is_not(
    session: MakeSession, own: Listener, name: str
) -> None:
    made = await session(own={"port": own.port})
    assert (await made.ask(name, *WITH_KEY)).status == 404
    assert own.came == 0


async def test_a_page_of_the_server_itself_has_no_tunnel(session: MakeSession) -> None:
    made = await session(**{"tree-of-data": {"path": "/lab/tree/data"}})
    for name, title in (("lab", "JupyterLab"), ("tree-of-data", "Tree-Of-Data")):
        answer = await made.ask(name, *WITH_KEY)
        assert answer.status == 409
        told = f"{title} is a page of the session's own server"
        assert await answer.json() == {"message": told}


# --- apps that do not run ---


async def test_an_app_that_asks_for_nothing_is_started_and_reached_once_it_runs(
    session: MakeSession, tmp_path: Path
) -> None:
    made = await session(board=board(tmp_path))
    answer = await made.ask("board", *WITH_KEY)
    assert answer.status == 503
    assert await answer.json() == {"message": "Board is starting", "state": "starting"}

    async def reached() -> Answer | None:
        answer = await made.ask("board", *WITH_KEY)
        if answer.status == 101:
            return answer
        assert (answer.status, (await answer.json())["state"]) == (503, "starting")
        return None

    opened = await eventually(reached)
    await opened.send(b"GET / HTTP/1.1\r\nHost: app\r\n\r\n")
    assert await opened.read(15) == b"HTTP/1.1 200 OK"
    assert len(made.started()) == 1


async def test_an_app_that_asks_for_a_directory_is_its_owners_to_start(
    session: MakeSession, tmp_path: Path
) -> None:
    app = {**board(tmp_path, "{directory}"), "asks": "directory"}
    made = await session(board=app)
    for _ in range(2):
        answer = await made.ask("board", *WITH_KEY)
        assert answer.status == 503
        assert await answer.json() == {"message": "Board does not run", "state": "stopped"}
    assert not made.started()


async def test_why_an_app_failed_is_said_and_what_it_wrote_is_not(
    session: MakeSession, tmp_path: Path
) -> None:
    script = f"echo $$ >> {tmp_path / 'pids'}; echo the secret of its owner; exit 3"
    made = await session(board={"command": ["/bin/sh", "-c", script, "{port}"]})
    assert (await made.ask("board", *WITH_KEY)).status == 503
    await made.until("failed")
    for _ in range(2):
        answer = await made.ask("board", *WITH_KEY)
        assert answer.status == 503
        assert await answer.json() == {
            "message": "Board ended with exit code 3 before it was ready",
            "state": "failed",
        }
    assert len(made.started()) == 1


async def test_an_app_that_has_just_died_is_known_to_have(
    session: MakeSession, tmp_path: Path
) -> None:
    made = await session(board=board(tmp_path))
    await made.run()
    (pid,) = made.started()
    os.kill(pid, signal.SIGKILL)
    while (answer := await made.ask("board", *WITH_KEY)).status == 101:
        assert await answer.ended()  # it was not quite dead
    assert answer.status == 503
    assert await answer.json() == {
        "message": "Board ended with exit code 137 (SIGKILL)",
        "state": "failed",
    }


async def test_what_listens_by_itself_is_reached_when_it_does(
    session: MakeSession, own: Listener, unused_tcp_port: int
) -> None:
    made = await session(own={"port": unused_tcp_port})
    answer = await made.ask("own", *WITH_KEY)
    assert answer.status == 503
    assert (await answer.json())["state"] == "starting"
    server = await asyncio.start_server(own, "127.0.0.1", unused_tcp_port)
    try:
        opened = await made.open()
        await opened.send(b"x")
        assert await opened.read(1) == b"x"
        opened.writer.close()
        await eventually(lambda: is_gone(own))
    finally:
        server.close()
        await server.wait_closed()


async def test_an_app_whose_queue_is_full_is_waited_for_and_then_given_up(
    session: MakeSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket of a file refuses at once where one of TCP waits."""
    monkeypatch.setattr(inside, "PATIENCE", 0.2)
    made = await session(board=board(tmp_path, where="--socket={unix_socket}"))
    await made.run()
    (pid,) = made.started()
    os.kill(pid, signal.SIGSTOP)
    opened = []
    try:
        while (answer := await made.ask("board", *WITH_KEY)).status == 101:
            opened.append(answer)
        assert answer.status == 503
        assert await answer.json() == {"message": "Board does not answer", "state": "running"}
    finally:
        os.kill(pid, signal.SIGCONT)
    await opened[0].send(b"GET / HTTP/1.1\r\nHost: app\r\n\r\n")
    assert await opened[0].read(15) == b"HTTP/1.1 200 OK"


async def test_a_session_has_so_many_tunnels_and_no_more(
    session: MakeSession, own: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inside, "MOST", 3)
    made = await session(own={"port": own.port})
    opened = [await made.open() for _ in range(3)]
    answer = await made.ask("own", *WITH_KEY)
    assert answer.status == 503
    told = "This session has 3 open tunnels, and may have no more"
    assert await answer.json() == {"message": told}
    opened[0].writer.close()

    async def again() -> bool:
        return (await made.ask("own", *WITH_KEY)).status == 101

    await eventually(again)


# --- what it is no sign of ---


async def test_a_tunnel_is_no_activity(session: MakeSession, own: Listener) -> None:
    made = await session(own={"port": own.port})
    settings = made.served.app.web_app.settings
    before = made.served.app.web_app.last_activity(), settings.get("api_last_activity")
    opened = await made.ask("own", *WITH_KEY, f"Authorization: token {TOKEN}")
    await opened.send(b"x")
    assert await opened.read(1) == b"x"
    await made.ask("no-such-app", *WITH_KEY, f"Authorization: token {TOKEN}")
    after = made.served.app.web_app.last_activity(), settings.get("api_last_activity")
    assert after == before


async def test_the_key_is_in_no_log(
    session: MakeSession, own: Listener, capfd: pytest.CaptureFixture[str]
) -> None:
    made = await session(own={"port": own.port})
    await made.open()
    await made.ask("no-such-app", *WITH_KEY)
    await made.ask("lab", *WITH_KEY)
    assert KEY not in capfd.readouterr().err
