"""An app on a port of its own, next to the same app through the hub's proxy and the session's.

The peer is what JupyterHub has for it: configurable-http-proxy, then jupyter-server-proxy in the
session's server. Both ways lead to one app in one session, by turns, each let in by its user's
own login; the client shares the machine with all of it.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
import httpx
from aiohttp import ClientSession, ClientWebSocketResponse, TCPConnector

from bai_spawner.units import GIB, KIB
from tests.deployment import REPO, Deployment, Visitor, eventually
from tests.images import derive
from tests.perf.table import duration, ratio, table

CONNECTIONS = (1, 20, 100)
SECONDS, ROUNDS = 3.0, 3
"""Of each measurement, by turns; what is shown is the median."""
IDLE = 200
IMAGE, BASE = "bai-bench/apps:1", "bai-spawner/base:3.13"
SPEAKS = """
import sys
from aiohttp import web
CHUNK = b"x" * 262144
async def small(request):
    return web.Response(text="x" * 1000)
async def big(request):
    left = int(request.query["bytes"])
    answer = web.StreamResponse()
    answer.content_length = left
    await answer.prepare(request)
    while left > 0:
        await answer.write(CHUNK[:left])
        left -= len(CHUNK)
    return answer
async def echo(request):
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data)
    return socket
app = web.Application()
app.add_routes([web.get("/", small), web.get("/big", big), web.get("/ws", echo)])
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
"""
APP = {
    "name": "speaks",
    "title": "Speaks",
    "command": ["/opt/bai/bin/python", "-c", SPEAKS, "{port}"],
}
CATALOG = """
nodes: {local: {cpu: 16, memory: 16GiB}}
resource_groups: {general: {title: General, nodes: [local]}}
environments: {apps: {title: Apps, versions: {"1": {image: "bai-bench/apps:1"}}}}
policies: [{name: everyone}]
"""


@dataclass(frozen=True)
class Way:
    """How the app is reached: its address, what lets in, and the processes on the way."""

    name: str
    url: str
    headers: dict[str, str]
    pids: tuple[int, ...]


def measure_app_access(client: docker.DockerClient, say: Callable[[str], None]) -> None:
    """Measure both ways, and print tables."""
    say("\nAn app on a port of its own, and through JupyterHub's proxies")
    with _ways(client) as (ours, peer):
        for title, measure, unit in (
            ("Small pages", _requests, "requests/s"),
            ("Messages there and back, by WebSocket", _messages, "messages/s"),
            ("1 GiB, in as many parts", _download, "MiB/s"),
        ):
            rows = []
            for connections in CONNECTIONS:
                found = _by_turns((peer, ours), measure, connections)
                rows.append(_row(connections, *found))
            head = ("connections", f"peer, {unit}", "p99", f"ours, {unit}", "p99", "ours/peer")
            say(f"\n{title} (a dash: not all of it came)\n\n{table(head, rows)}")
        rows = []
        for way in (peer, ours):
            grown = asyncio.run(_idle(way))
            rows.append((way.name, f"{grown / KIB:.0f} KiB"))
        title = "Memory of an idle WebSocket, all programs on the way"
        say(f"\n{title}\n\n{table(('way', 'each'), rows)}")


Found = tuple[float, float]
"""How many, or how much, a second; and the time that one of a hundred takes longer than."""


def _by_turns(
    ways: tuple[Way, Way], measure: Callable[[Way, int], Awaitable[Found]], connections: int
) -> tuple[Found, Found]:
    found: dict[str, list[Found]] = {way.name: [] for way in ways}
    for _ in range(ROUNDS):
        for way in ways:
            found[way.name].append(asyncio.run(_measured(measure, way, connections)))
    peer, ours = (
        (statistics.median(f[0] for f in one), statistics.median(f[1] for f in one))
        for one in found.values()
    )
    return peer, ours


async def _measured(
    measure: Callable[[Way, int], Awaitable[Found]], way: Way, connections: int
) -> Found:
    return await measure(way, connections)


def _row(connections: int, peer: Found, ours: Found) -> tuple[str, ...]:
    said = (f"{value:,.0f}" if value else "-" for value in (peer[0], ours[0]))
    late = (duration(value) if value else "-" for value in (peer[1], ours[1]))
    (p, o), (pl, ol) = said, late
    return str(connections), p, pl, o, ol, ratio(ours[0], peer[0])


async def _requests(way: Way, connections: int) -> Found:
    taken: list[float] = []
    async with _client(way, connections) as client:

        async def ask() -> None:
            while time.monotonic() < end:
                began = time.monotonic()
                async with client.get(way.url) as answer:
                    answer.raise_for_status()
                    await answer.read()
                taken.append(time.monotonic() - began)

        end = time.monotonic() + 0.5  # to warm up
        await asyncio.gather(*(ask() for _ in range(connections)))
        taken.clear()
        began = time.monotonic()
        end = began + SECONDS
        await asyncio.gather(*(ask() for _ in range(connections)))
        return len(taken) / (time.monotonic() - began), _p99(taken)


async def _messages(way: Way, connections: int) -> Found:
    taken: list[float] = []
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(_client(way, connections))
        sockets = [
            await stack.enter_async_context(client.ws_connect(f"{way.url}ws"))
            for _ in range(connections)
        ]

        async def talk(socket: ClientWebSocketResponse) -> None:
            while time.monotonic() < end:
                began = time.monotonic()
                await socket.send_str("hello")
                await socket.receive_str()
                taken.append(time.monotonic() - began)

        began = time.monotonic()
        end = began + SECONDS
        await asyncio.gather(*map(talk, sockets))
        return len(taken) / (time.monotonic() - began), _p99(taken)


async def _download(way: Way, connections: int) -> Found:
    size = GIB // connections
    async with _client(way, connections) as client:

        async def load() -> int:
            got = 0
            async with client.get(f"{way.url}big?bytes={size}") as answer:
                if not answer.ok:
                    return 0
                async for chunk in answer.content.iter_any():
                    got += len(chunk)
            return got

        began = time.monotonic()
        got = sum(await asyncio.gather(*(load() for _ in range(connections))))
        taken = time.monotonic() - began
    whole = got == size * connections
    return got / 2**20 / taken if whole else 0.0, 0.0


async def _idle(way: Way) -> float:
    """Bytes that each idle WebSocket takes."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(_client(way, 2 * IDLE))
        for _ in range(IDLE):  # what stays of the first ones is no one's
            await stack.enter_async_context(client.ws_connect(f"{way.url}ws"))
        before = _memory(way.pids)
        for _ in range(IDLE):
            await stack.enter_async_context(client.ws_connect(f"{way.url}ws"))
        return (_memory(way.pids) - before) / IDLE


def _client(way: Way, connections: int) -> ClientSession:
    connector = TCPConnector(limit=connections)
    return ClientSession(connector=connector, headers=way.headers, read_bufsize=2**18)


def _p99(taken: list[float]) -> float:
    return statistics.quantiles(taken, n=100)[98] if len(taken) > 1 else 0.0


def _memory(pids: tuple[int, ...]) -> int:
    """Bytes that these programs have for themselves (proc(5), smaps_rollup)."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Private_Clean:", "Private_Dirty:")):
                total += int(line.split()[1]) * KIB
    return total


@contextmanager
def _ways(client: docker.DockerClient) -> Iterator[tuple[Way, Way]]:
    """Both ways to one app."""
    label = f"LABEL bai-spawner.apps={json.dumps(json.dumps([APP]))}"
    derive(client, BASE, IMAGE, client.images.get(BASE).attrs["Config"]["Cmd"], label)
    folder = Path(tempfile.mkdtemp(prefix="bai-bench-"))
    catalog = folder / "catalog.yaml"
    catalog.write_text(CATALOG)
    deployment = Deployment(folder / "state", catalog=catalog, config=REPO / "tests/hub/config.py")
    try:
        deployment.start()
        with deployment.login("ada") as visitor:
            options = {"resources": {"cpu": 4, "memory": "4GiB", "shm": "64MiB"}}
            answer = visitor.start("one", options)
            answer.raise_for_status()
            yield _prepared(deployment, visitor)
            visitor.stop("one")
    finally:
        deployment.clean()


def _prepared(deployment: Deployment, visitor: Visitor) -> tuple[Way, Way]:
    token = visitor.api("POST", "/users/ada/tokens", json={"note": "bench"}).json()["token"]
    peer = f"{deployment.url}/user/ada/one/speaks/"
    headers = {"Authorization": f"token {token}"}
    start = f"{deployment.url}/user/ada/one/bai/api/apps/speaks"
    httpx.post(start, headers=headers, json={}).raise_for_status()
    assert eventually(lambda: httpx.get(peer, headers=headers).text[:1] == "x", seconds=60)
    url = _opened(visitor)
    port = url.rstrip("/").rpartition(":")[2]
    cookie = next(c.value for c in visitor.http.cookies.jar if c.name == f"bai-app-{port}")
    session = deployment.container("ada", "one").attrs["State"]["Pid"]
    inside = tuple(_below(session))
    assert deployment.process
    proxy = int((deployment.state / "proxy.pid").read_text())
    (apps,) = _named("bai_spawner.app_proxy", deployment.process.pid)
    return (
        Way("ours", url, {"Cookie": f"bai-app-{port}={cookie}"}, (apps, *inside)),
        Way("JupyterHub's proxies", peer, headers, (proxy, *inside)),
    )


def _opened(visitor: Visitor) -> str:
    """Open the app for its user, and come in."""
    service = "/services/sessions/api/"
    page = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "no-cors"}
    token = visitor.http.get(f"{service}visit", headers=page).json()["xsrf_token"]
    headers = {"X-XSRFToken": token, **page, "Sec-Fetch-Mode": "cors"}
    rows = visitor.http.get(f"{service}sessions", headers=headers).json()["sessions"]
    address = f"{service}sessions/{rows[0]['id']}/apps/speaks"
    found: list[httpx.Response] = []

    def opens() -> bool:
        found.append(visitor.http.post(address, headers=headers, json={}))
        return found[-1].status_code == 201

    assert eventually(opens, seconds=20, every=0.5), found[-1].text
    url: str = found[-1].json()["url"]
    navigation = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert visitor.http.get(url, headers=navigation).text[:1] == "x"
    return url


def _below(pid: int) -> Iterator[int]:
    """A process and all that it started."""
    yield pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for child in children:
        yield from _below(int(child))


def _named(text: str, parent: int) -> list[int]:
    found = subprocess.run(
        ["pgrep", "-P", str(parent), "-f", text], capture_output=True, text=True, check=True
    )
    return [int(pid) for pid in found.stdout.split()]
