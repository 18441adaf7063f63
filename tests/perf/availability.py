"""Answering an open form, over HTTP, as the catalogue and the live sessions grow.

The hub is left out: what it said of a visitor holds for half a minute.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial

import httpx

from bai_spawner import bulletin
from bai_spawner.policy import NodeFree
from bai_spawner.reasons import Status
from bai_spawner.records import Facts, Records
from bai_spawner.service.app import make_app
from bai_spawner.service.board import Board
from bai_spawner.units import GIB
from tests.perf.form import SESSIONS, VERSIONS, versions_on_offer
from tests.perf.growth import Case, grown
from tests.service import BASE, PREFIX, FakeHub, serving

USER = "ada"


def answers() -> str:
    """The measurements, as a table."""
    with _service() as prepare:
        cases = [
            Case(f"answer, {sessions:,} live sessions of the user", partial(prepare, sessions))
            for sessions in SESSIONS
        ]
        return f"\nAvailability\n\n{grown('versions on offer', VERSIONS, cases)}"


@contextmanager
def _service() -> Iterator[Callable[[int, int], Callable[[], object]]]:
    """Prepares questions, each to a service with records of its own."""
    folder = tempfile.mkdtemp(prefix="bai-bench-")
    token = FakeHub.instance().add(USER)
    headers = {"Authorization": f"token {token}"}
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    servers = AsyncExitStack()
    clients: list[httpx.Client] = []

    def prepare(sessions: int, versions: int) -> Callable[[], object]:
        url = f"sqlite:///{folder}/{sessions}-{versions}.sqlite"
        _fill(url, sessions, versions)
        app = make_app(PREFIX, BASE, Board(url, "hub"))
        opening = servers.enter_async_context(serving(app))
        address = asyncio.run_coroutine_threadsafe(opening, loop).result()
        client = httpx.Client(base_url=address, headers=headers)
        clients.append(client)

        def ask() -> None:
            client.get(f"{PREFIX}api/availability").raise_for_status()

        ask()  # the first one reads the catalogue
        return ask

    try:
        yield prepare
    finally:
        for client in clients:
            client.close()
        asyncio.run_coroutine_threadsafe(servers.aclose(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        shutil.rmtree(folder)


def _fill(url: str, sessions: int, versions: int) -> None:
    """What a hub publishes, and the user's live sessions."""
    catalog = versions_on_offer(versions)
    free = dict.fromkeys(catalog.resource_groups, (NodeFree("local", 64, 256 * GIB),))
    now = datetime.now(UTC)
    records = Records(url)
    records.publish("hub", bulletin.CATALOGUE, bulletin.catalogue(catalog), at=now)
    records.publish("hub", bulletin.AVAILABILITY, bulletin.availability(free), at=now)
    records.enter([(_facts(number), now) for number in range(sessions)], status=Status.RUNNING)
    records.close()


def _facts(number: int) -> Facts:
    return Facts(
        id=f"session{number}",
        hub="hub",
        user=USER,
        server=f"s{number}",
        name=f"name{number}",
        environment="environment0",
        version="3.0",
        group="default",
        node="local",
        policy="everyone",
        cpu=1,
        memory=GIB,
        shm=0,
    )
