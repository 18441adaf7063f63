"""Doors and records are kept in step, whatever happens between two looks."""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bai_spawner import bulletin
from bai_spawner.app_proxy.keeper import AppKeeper, Refused, Wish
from bai_spawner.app_proxy.pool import Pool
from bai_spawner.app_proxy.site import Site
from bai_spawner.app_proxy.visitors import Visitor, Visitors
from bai_spawner.apps import App
from bai_spawner.bulletin import Told
from bai_spawner.reasons import End, Ending, Status
from bai_spawner.records import Opening, Records, RecordsError
from tests.examples import small_catalog
from tests.recorded import a_facts

HUB = "hub"
NOW = datetime.now(UTC)
WISH = Wish("mine", "board", "ada", "192.0.2.7", public=True)
APPS = (App("board", "Board", port=6006), App("code", "Code", port=8080))
SITE = Site(
    "http://localhost", "http://127.0.0.1:8000/", "http://127.0.0.1:8000/services/sessions/"
)

Keepers = Callable[[], AppKeeper]


def publish(records: Records, *, public: bool = True, ago: float = 0) -> None:
    """What the hub says of its policies and of where sessions are."""
    policies = [{"name": "everyone", "apps": {"public": public}}]
    catalog = bulletin.catalogue(small_catalog(policies=policies))
    at = datetime.now(UTC) - timedelta(seconds=ago)
    records.publish(HUB, bulletin.CATALOGUE, catalog, at=at)
    told = {"mine": Told(APPS, address="127.0.0.1")}
    records.publish(HUB, bulletin.SESSIONS, bulletin.sessions(told), at=at)


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    made = Records(f"sqlite:///{tmp_path}/records.sqlite")
    made.begin(a_facts("mine", user="ada", server="one"), at=NOW, status=Status.PENDING)
    made.advance("mine", Status.RUNNING, at=NOW)
    publish(made, ago=60)
    yield made
    made.close()


def two_ports() -> int:
    """The first of two ports beside each other that nothing listens on now.

    Below those that the kernel gives to whoever asks for any (``ip_local_port_range``): the port
    beside one of these is somebody's soon.
    """
    for _ in range(100):
        first = 20_000 + 2 * secrets.randbelow(5000)
        with suppress(OSError), socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", first))
            other.bind(("127.0.0.1", first + 1))
            return first
    raise RuntimeError("no two ports are free")


@pytest.fixture
async def keepers(records: Records) -> AsyncIterator[Keepers]:
    """Makes keepers of the same two ports, one after another as after a kill."""
    first = two_ports()
    made: list[AppKeeper] = []

    async def ask(_: str) -> Visitor | None:
        return None

    def make() -> AppKeeper:
        pool = Pool("127.0.0.1", range(first, first + 2))
        made.append(
            AppKeeper(
                records,
                HUB,
                pool=pool,
                site=SITE,
                visitors=Visitors(ask),
                secret=b"s" * 32,
                session_port=8888,
            )
        )
        return made[-1]

    yield make
    for keeper in made:
        await ended(keeper)


async def ended(keeper: AppKeeper) -> None:
    """End a keeper as its program ends: its doors are closed, and stand in the records."""
    task = asyncio.create_task(keeper.run())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def closed(records: Records) -> Opening:
    (found,) = records.openings.ended(HUB)
    return found


async def test_what_is_opened_listens_until_it_is_closed(
    keepers: Keepers, records: Records
) -> None:
    keeper = keepers()
    line = await keeper.open(WISH)
    await keeper.look()
    assert listens(line.port)
    assert await keeper.close(line.id, by="ada", why="enough")
    assert not listens(line.port)
    await keeper.look()
    assert not listens(line.port)
    assert (closed(records).closed_by, closed(records).why) == ("ada", "enough")
    assert not await keeper.close(line.id, by="root", why="again"), "it was closed already"


async def test_what_is_opened_and_closed_while_it_looks_stays_so(
    keepers: Keepers, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look at the records is of a moment that is over when it is acted on."""
    keeper = keepers()
    first = await keeper.open(WISH)
    read = records.openings.open
    looking = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(hub: str, user: str | None = None) -> Any:
        found = read(hub, user)
        loop.call_soon_threadsafe(looking.set)
        time.sleep(0.1)  # the others ask before this is told
        return found

    monkeypatch.setattr(records.openings, "open", slow)
    look = asyncio.create_task(keeper.look())
    await looking.wait()
    await asyncio.gather(
        keeper.close(first.id, by="ada", why="enough"),
        opened := asyncio.create_task(keeper.open(replace(WISH, app="code"))),
        look,
    )
    second = opened.result()
    assert keeper.place(first.id) is None
    assert keeper.place(second.id) is not None
    assert listens(second.port)
    assert not listens(first.port) or first.port == second.port


async def test_one_that_is_closed_while_the_records_are_away_stays_closed(
    keepers: Keepers, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = keepers()
    line = await keeper.open(WISH)

    def away(*_: object, **__: object) -> None:
        raise RecordsError("the records cannot be written")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(records.openings, "end", away)
        with pytest.raises(RecordsError):
            await keeper.close(line.id, by="ada", why="enough")
        assert not listens(line.port)
        with pytest.raises(RecordsError):
            await keeper.look()
        assert not listens(line.port)
    await keeper.look()
    assert not listens(line.port)
    assert (closed(records).closed_by, closed(records).why) == ("ada", "enough")


async def test_a_new_proxy_opens_it_again_on_the_same_port(keepers: Keepers) -> None:
    before = keepers()
    line = await before.open(WISH)
    await ended(before)
    assert not listens(line.port)
    after = keepers()
    await after.look()
    assert listens(line.port)


async def test_a_port_that_another_program_took_meanwhile_is_waited_for_and_then_given_up(
    keepers: Keepers, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = keepers()
    line = await before.open(WISH)
    await ended(before)
    with socket.create_server(("127.0.0.1", line.port)):
        after = keepers()
        await after.look()
        assert records.openings.open(HUB), "it may come back"
        monkeypatch.setattr("bai_spawner.app_proxy.keeper.PATIENCE_SECONDS", 0)
        await after.look()
    assert closed(records).why == f"another program took its port {line.port}"


async def test_it_closes_when_its_time_is_over(keepers: Keepers, records: Records) -> None:
    keeper = keepers()
    line = await keeper.open(replace(WISH, expires=datetime.now(UTC) + timedelta(seconds=0.2)))
    assert listens(line.port)
    await asyncio.sleep(0.3)
    await keeper.look()
    assert not listens(line.port)
    assert closed(records).why == "its time was over"


async def test_it_closes_with_its_session(keepers: Keepers, records: Records) -> None:
    keeper = keepers()
    line = await keeper.open(WISH)
    records.end("mine", End(Ending.USER), at=datetime.now(UTC))
    await keeper.look()
    assert not listens(line.port)
    assert closed(records).why == "its session ended"


async def test_public_ones_close_when_the_policy_takes_them_back_and_private_ones_do_not(
    keepers: Keepers, records: Records
) -> None:
    """R51."""
    keeper = keepers()
    public = await keeper.open(WISH)
    private = await keeper.open(replace(WISH, app="code", public=False))
    publish(records, public=False)
    await keeper.look()
    assert not listens(public.port)
    assert listens(private.port)
    assert closed(records).why == "the policy offers no public apps any more"
    with pytest.raises(Refused, match="your policy offers no apps that are open to the public"):
        await keeper.open(WISH)


async def test_a_pool_that_is_exhausted_is_said_to_be_and_nothing_stays_behind(
    keepers: Keepers, records: Records
) -> None:
    keeper = keepers()
    first = await keeper.open(WISH)
    keeper._pool = Pool("127.0.0.1", range(first.port, first.port + 1))
    with pytest.raises(Refused, match="all ports for apps are taken") as caught:
        await keeper.open(replace(WISH, app="code"))
    assert caught.value.field == "port"
    assert [line.id for line in records.openings.open(HUB)] == [first.id]
    await keeper.close(first.id, by="ada", why="enough")
    assert (await keeper.open(replace(WISH, app="code"))).port == first.port


async def test_the_same_app_is_open_once(keepers: Keepers, records: Records) -> None:
    keeper = keepers()
    answers = await asyncio.gather(*(keeper.open(WISH) for _ in range(5)), return_exceptions=True)
    assert [type(answer) for answer in answers].count(Opening) == 1
    assert len(records.openings.open(HUB)) == 1
    assert {str(answer) for answer in answers if isinstance(answer, Refused)} == {
        "it is open already: close it first, to open it another way"
    }
