"""Sessions end when their time is over, after a warning that stood, and never otherwise."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from bai_spawner import bulletin
from bai_spawner.apps import BUILT_IN, App, to_json
from bai_spawner.errors import EngineAway
from bai_spawner.keeper import Hub, Runs, Servers
from bai_spawner.labels import Key, SessionLabels
from bai_spawner.ledger import Capacity, Ledger
from bai_spawner.limits import Why
from bai_spawner.reasons import End, Ending, Status
from bai_spawner.records import RecordsError, SessionRecord, Watch
from bai_spawner.timekeeper import PUBLISH_EVERY, Timekeeper
from tests.examples import small_catalog
from tests.recorded import a_facts, a_record, minutes

KEY: Key = ("ada", "s1")
IDLE = {"idle": "60m", "warning": "10m"}
LIFETIME = {"lifetime": "60m", "warning": "10m"}


class World:
    """What the timekeeper asks and tells: records, engine's books, lifecycle, clock."""

    def __init__(self) -> None:
        self.records = [a_record()]
        self.said: dict[str, Watch] = {}
        self.fail: Exception | None = None
        self.away: Exception | None = None
        self.busy: set[Key] = set()
        self.published: list[dict[str, Any]] = []
        self.ends: list[tuple[Key, int | None, End]] = []
        self.told: list[Key] = []
        self.minute, self.drift = 1.0, 0.0
        self.books = Ledger({"local": Capacity(64, 2**40)})
        self.hold(self.records[0])
        self.ending: Callable[[], Any] = lambda: None

    def hold(self, record: SessionRecord) -> None:
        f = record.facts
        texts = (f.hub, f.id, f.user, f.server, f.name, f.environment, f.version, f.group, f.node)
        self.books.restore(SessionLabels(*texts, f.policy, f.cpu, f.memory, f.shm))

    def says(self, last: float, *, busy: bool = False, session: str = "one", **more: Any) -> None:
        at = minutes(self.minute)
        watch = Watch(session, reported=at, last=minutes(last), busy=busy)
        self.said[session] = replace(watch, **more)

    # ---- the records, as the history reads them

    def running(self, hub: str) -> tuple[SessionRecord, ...]:
        assert hub == "hub"
        return tuple(self.records)

    def watches(self, hub: str) -> dict[str, Watch]:
        assert hub == "hub"
        return dict(self.said)

    async def ask(self, question: Callable[[Any], Any]) -> Any:
        if self.fail:
            raise self.fail
        return question(self)

    def publish(self, kind: str, body: str) -> None:
        assert kind == bulletin.SESSIONS
        self.published.append(json.loads(body))

    # ---- the lifecycle

    def status(self, key: Key) -> Status:
        return Status.TERMINATING if key in self.busy else Status.RUNNING

    async def end(self, key: Key, *, grace: int | None, why: End) -> None:
        self.ends.append((key, grace, why))
        await asyncio.sleep(0)
        self.ending()

    async def ledger(self) -> Ledger:
        if self.away:
            raise self.away
        return self.books

    # ---- the clock; `drift` is what somebody set it forward by

    def now(self, _: Any) -> datetime:
        return minutes(self.minute + self.drift)

    def monotonic(self) -> float:
        return 60 * self.minute


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr("bai_spawner.timekeeper.datetime", made)
    monkeypatch.setattr("bai_spawner.timekeeper.time", made)
    return made


def keeper(world: World, limits: dict[str, Any] = IDLE, *, pace: float = 300) -> Timekeeper:
    policies = [{"name": "everyone", "time": limits}]
    parts: Any = world
    return Timekeeper(
        small_catalog(policies=policies),
        parts,
        parts,
        world.ledger,
        "hub",
        logging.getLogger("tests"),
        pace,
    )


async def look(
    timekeeper: Timekeeper, world: World, minute: float, running: dict[str, Runs] | None = None
) -> float:
    """One round at a minute after noon; the minutes until it wants to look again."""
    world.minute = minute
    there = {r.facts.id: Runs() for r in world.records} if running is None else running
    pause = await timekeeper.look(Hub(Servers, world.told.append), there)
    await asyncio.sleep(0.01)
    return round(pause / 60, 3)


# ---- the end


async def test_an_idle_session_is_ended_when_its_warning_has_stood_and_the_hub_is_told(
    world: World,
) -> None:
    timekeeper = keeper(world)
    for minute in (40, 60, 69.9):
        world.minute = minute
        world.says(10)
        await look(timekeeper, world, minute)
    assert world.ends == []
    world.minute = 70
    world.says(10)
    await look(timekeeper, world, 70)
    ((key, grace, why),) = world.ends
    assert (key, grace, why.ending) == (KEY, None, Ending.IDLE)
    assert world.told == [KEY]


async def test_a_lifetime_ends_a_session_that_works(world: World) -> None:
    timekeeper = keeper(world, LIFETIME)
    for minute in (51, 60.9, 61):
        world.minute = minute
        world.says(10, busy=True)
        await look(timekeeper, world, minute)
    ((_, _, why),) = world.ends
    assert why == End(Ending.LIFETIME, "1 h allowed")


async def test_one_that_works_or_says_nothing_is_never_ended_for_want_of_use(world: World) -> None:
    timekeeper = keeper(world)
    await look(timekeeper, world, 500)
    await look(timekeeper, world, 600)
    world.says(10, busy=True)
    await look(timekeeper, world, 600)
    await look(timekeeper, world, 602)
    assert world.ends == []


async def test_a_restarted_hub_warns_anew(world: World) -> None:
    first, second = keeper(world), keeper(world)
    for minute in (60, 69):
        world.minute = minute
        world.says(10)
        await look(first, world, minute)
    for minute in (200, 209.9):
        world.minute = minute
        world.says(10)
        await look(second, world, minute)
    assert world.ends == []
    await look(second, world, 210)
    assert len(world.ends) == 1


async def test_a_clock_that_is_set_forward_does_not_cut_the_warning_short(world: World) -> None:
    timekeeper = keeper(world, LIFETIME)
    await look(timekeeper, world, 20)
    world.drift = 300
    await look(timekeeper, world, 21)
    world.drift = 600
    await look(timekeeper, world, 22)
    assert world.ends == []
    await look(timekeeper, world, 31)
    assert len(world.ends) == 1


async def test_while_the_records_are_away_no_warning_stands(world: World) -> None:
    timekeeper = keeper(world, LIFETIME)
    await look(timekeeper, world, 51)
    world.fail = RecordsError("they do not answer")
    task = asyncio.create_task(timekeeper.run(Hub(Servers), lambda: {"one": Runs()}))
    await asyncio.sleep(0.01)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    world.fail = None
    await look(timekeeper, world, 62)
    assert world.ends == []
    await look(timekeeper, world, 72)
    assert len(world.ends) == 1


async def test_use_takes_the_warning_back(world: World) -> None:
    timekeeper = keeper(world)
    world.minute = 61
    world.says(10)
    await look(timekeeper, world, 61)
    world.says(10, kept=minutes(62))
    await look(timekeeper, world, 62)
    world.minute = 75
    world.says(10, kept=minutes(62))
    await look(timekeeper, world, 75)
    assert world.ends == []
    assert [p["one"]["time"]["warned"] for p in world.published[:2]] == [True, False]


@pytest.mark.parametrize("why", ["ends already", "another session", "not in the books"])
async def test_whom_the_books_do_not_show_as_running_is_left_alone(world: World, why: str) -> None:
    timekeeper = keeper(world, LIFETIME)
    await look(timekeeper, world, 51)
    if why == "ends already":
        world.busy.add(KEY)
    else:
        world.books.release("one")
    if why == "another session":
        world.hold(a_record(facts=a_facts("two")))
    await look(timekeeper, world, 70)
    assert world.ends == []


async def test_a_session_whose_end_takes_long_is_ended_once(world: World) -> None:
    timekeeper = keeper(world, LIFETIME)
    held = asyncio.Event()

    async def slow(key: Key, *, grace: int | None, why: End) -> None:
        world.ends.append((key, grace, why))
        await held.wait()

    world.end = slow  # type: ignore[method-assign]
    for minute in (51, 61, 62, 63):
        await look(timekeeper, world, minute)
    assert len(world.ends) == 1
    assert world.told == []
    held.set()
    await asyncio.sleep(0.01)
    assert world.told == [KEY]


async def test_one_that_fails_to_end_keeps_no_other_and_is_tried_again(world: World) -> None:
    other = a_record(facts=a_facts("two", server="s2"))
    world.records.append(other)
    world.hold(other)
    timekeeper = keeper(world, LIFETIME)

    def fails() -> None:
        raise RuntimeError("a mistake of ours")

    world.ending = fails
    await look(timekeeper, world, 51)
    await look(timekeeper, world, 61)
    assert {key for key, *_ in world.ends} == {KEY, ("ada", "s2")}
    world.ending = lambda: None
    await look(timekeeper, world, 62)
    assert len(world.ends) == 4
    assert set(world.told) == {KEY, ("ada", "s2")}


async def test_sessions_that_do_not_run_have_no_time(world: World) -> None:
    world.records[0] = a_record(Status.PREPARING)
    timekeeper = keeper(world, LIFETIME)
    await look(timekeeper, world, 100)
    world.records[0] = a_record(Status.RUNNING)
    await look(timekeeper, world, 100, running={})
    assert world.published == [{"one": {"apps": [], "time": None, "warned": {}, "address": ""}}, {}]


# ---- what is told


async def test_apps_and_time_are_published_and_since_when_the_warning_stands(world: World) -> None:
    world.minute = 65
    world.says(10)
    label = to_json([App("board", "TensorBoard", port=6006)])
    texts = {"one": label, "two": "{broken", "three": to_json(BUILT_IN)}
    running = {session: Runs(text, f"at-{session}") for session, text in texts.items()}
    await look(keeper(world), world, 65, running)
    (told,) = world.published
    assert told["one"]["apps"] == [{"name": "board", "title": "TensorBoard", "port": 6006}]
    assert told["one"]["time"]["ends"] == minutes(75).isoformat(timespec="seconds")
    assert told["one"]["address"] == "at-one"
    for session in ("two", "three"):
        nothing = {"apps": [], "time": None, "warned": {}}
        assert told[session] == {**nothing, "address": f"at-{session}"}
    body = json.dumps(told)
    assert bulletin.read_warned(body, "one") == {Why.IDLE: minutes(65)}
    assert bulletin.read_warned(body, "two") == bulletin.read_warned(body, "none") == {}


async def test_what_does_not_change_is_not_published_each_time(world: World) -> None:
    timekeeper = keeper(world, LIFETIME)
    for minute in (2, 2.2, 2.4):
        await look(timekeeper, world, minute)
    assert len(world.published) == 1
    await look(timekeeper, world, 2 + PUBLISH_EVERY / 60)
    assert len(world.published) == 2


async def test_without_limits_the_records_are_not_asked(world: World) -> None:
    world.fail = AssertionError("asked")
    await look(keeper(world, {}), world, 5)
    assert world.published == [{"one": {"apps": [], "time": None, "warned": {}, "address": ""}}]


async def test_it_looks_again_when_something_is_due(world: World) -> None:
    timekeeper = keeper(world, LIFETIME, pace=60 * 20)
    assert await look(timekeeper, world, 5) == 20
    assert await look(timekeeper, world, 41) == 10, "to warn"
    assert await look(timekeeper, world, 51) == 10, "to end"
    assert await look(timekeeper, world, 60.5) == 0.5


async def test_a_session_that_says_nothing_is_told_of_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    timekeeper = keeper(world)
    for minute in (3, 5, 6):
        await look(timekeeper, world, minute)
    assert caplog.text.count("does not say whether it is used") == 1
    await look(timekeeper, world, 7, running={})
    await look(timekeeper, world, 8)
    assert caplog.text.count("does not say") == 2, "one that is there anew"


# ---- going on


async def test_it_looks_soon_when_other_sessions_run_and_goes_on_after_any_failure(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("bai_spawner.timekeeper.LOOK_EVERY", 0.01)
    world = World()
    running = {"one": Runs()}
    timekeeper = keeper(world, {}, pace=0.05)
    world.away = EngineAway("it does not answer")
    task = asyncio.create_task(timekeeper.run(Hub(Servers), lambda: running))
    await asyncio.sleep(0.1)
    assert world.published == []
    assert caplog.text == "", "the keeper says so"
    world.away = RuntimeError("a mistake of ours")
    await asyncio.sleep(0.1)
    assert "not kept well" in caplog.text
    world.away = None
    await asyncio.sleep(0.1)
    assert list(world.published[-1]) == ["one"]
    timekeeper._pace = 60
    await asyncio.sleep(0.1)
    running["two"] = Runs()
    await asyncio.sleep(0.1)
    assert list(world.published[-1]) == ["one", "two"]
    running["two"] = Runs(address="there")
    await asyncio.sleep(0.1)
    assert world.published[-1]["two"]["address"] == "there"
    task.cancel()
