"""Containers, ledger, records and servers are kept in step, whatever fails meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bai_spawner import bulletin
from bai_spawner import keeper as keeper_module
from bai_spawner.apps import LABEL
from bai_spawner.catalog import TimeLimits
from bai_spawner.container import ContainerSpec, Placing, build_spec
from bai_spawner.engine import Verb
from bai_spawner.errors import EngineAway, EngineError, Refused, StartFailed
from bai_spawner.folders import FolderMount
from bai_spawner.keeper import Hub, Servers
from bai_spawner.labels import Key
from bai_spawner.lifecycle import Lifecycle, Running, Start
from bai_spawner.policy import Subject
from bai_spawner.reasons import Ending, Status
from bai_spawner.records import Records, SessionRecord
from bai_spawner.runtime import BaiRuntime
from tests.examples import SHIPPED_CATALOG
from tests.fake_engine import FakeEngine

ALICE = Subject("alice")
ONE: Key = ("alice", "one")
SMALL = {"resources": {"cpu": 1, "memory": "512MiB"}}


@pytest.fixture
async def engine() -> AsyncIterator[FakeEngine]:
    made = FakeEngine()
    yield made
    made.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause is worth waiting for."""
    for name in ("lifecycle.SHORT_PAUSE", "keeper.SOON", "keeper.LOOK_PAUSE"):
        monkeypatch.setattr(f"bai_spawner.{name}", 0.01)
    monkeypatch.setattr(keeper_module, "ENGINE_PAUSE", 0.02)

    async def answers(*_: object) -> bool:
        return True

    monkeypatch.setattr(Lifecycle, "_answers", answers)


@pytest.fixture
async def runtime(tmp_path: Path, engine: FakeEngine, quick: None) -> AsyncIterator[BaiRuntime]:
    made = BaiRuntime(catalog_file=str(SHIPPED_CATALOG), state_dir=str(tmp_path))
    made.engine = engine
    made.reconcile_interval = made.statistics_interval = 0.1
    yield made
    made.lifecycle.close()
    made.history.close()


@pytest.fixture
def records(runtime: BaiRuntime, tmp_path: Path) -> Callable[[], Awaitable[list[SessionRecord]]]:
    """Everything that is recorded, the oldest first."""

    async def read() -> list[SessionRecord]:
        await runtime.history.settled()
        opened = Records(f"sqlite:///{tmp_path}/records.sqlite")
        try:
            return list(reversed(opened.page(runtime.hub_id).sessions))
        finally:
            opened.close()

    return read


class Kept:
    """A hub whose servers are a set, and what it was told."""

    def __init__(self, runtime: BaiRuntime) -> None:
        self.runtime = runtime
        self.started: set[Key] = set()
        self.stopped: set[Key] = set()
        self.ended: list[Key] = []

    @contextlib.asynccontextmanager
    async def __call__(self) -> AsyncIterator[None]:
        hub = Hub(lambda: Servers(set(self.started), set(self.stopped)), self.ended.append)
        task = asyncio.create_task(self.runtime.keep_in_step(hub))
        await asyncio.sleep(0.05)
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@pytest.fixture
def hub(runtime: BaiRuntime) -> Kept:
    return Kept(runtime)


async def launch(runtime: BaiRuntime, hub: Kept, server: str = "one") -> Running:
    admitted = await runtime.admit(ALICE, server, body=SMALL, session="")

    def spec(mounts: tuple[FolderMount, ...], _: Mapping[str, str]) -> ContainerSpec:
        placing = Placing(hub=runtime.hub_id, network="none")
        return build_spec(admitted.grant, admitted.allocation, mounts, placing, environment={})

    hub.started.add(admitted.key)
    start = Start(
        key=admitted.key,
        allocation=admitted.allocation.id,
        mounts=(),
        make_folders=False,
        make_spec=spec,
        image=admitted.grant.image,
        port=8888,
        path="/api",
        seconds=5,
    )
    return await runtime.lifecycle.start(start, lambda _: None)


async def until(true: Callable[[], Any], seconds: float = 3) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - a test's patience
            await asyncio.sleep(0.01)


def dies(engine: FakeEngine, container: str, code: int, *, oom: bool = False) -> None:
    state = engine.containers[container]
    engine.containers[container] = replace(state, status="exited", exit_code=code, oom_killed=oom)
    engine.happen(container, Verb.DIE)


@pytest.mark.parametrize(
    ("code", "oom", "killed", "ending"),
    [
        (0, False, False, Ending.EXITED),
        (3, True, False, Ending.EXITED),
        (137, True, False, Ending.MEMORY),
        (135, False, False, Ending.SHM),
        (137, False, True, Ending.REMOVED),
        (137, True, True, Ending.REMOVED),
        (143, False, True, Ending.REMOVED),
    ],
)
async def test_a_session_that_ends_by_itself_is_told_by_event_and_recorded_with_its_reason(
    runtime: BaiRuntime,
    engine: FakeEngine,
    hub: Kept,
    records: Callable[[], Awaitable[list[SessionRecord]]],
    code: int,
    oom: bool,
    killed: bool,
    ending: Ending,
) -> None:
    runtime.reconcile_interval = 60
    async with hub():
        running = await launch(runtime, hub)
        if killed:
            engine.happen(running.container, Verb.KILL)
        dies(engine, running.container, code, oom=oom)
        await until(lambda: not len(runtime.ledger))
    (ended,) = await records()
    assert ended.end
    assert (ended.end.ending, ended.end.exit_code) == (ending, code)
    assert ended.status is ending.status
    assert hub.ended == [ONE]
    assert engine.containers == {}


async def test_a_session_whose_time_is_over_is_ended_and_recorded_so_and_the_hub_is_told(
    runtime: BaiRuntime,
    engine: FakeEngine,
    hub: Kept,
    records: Callable[[], Awaitable[list[SessionRecord]]],
) -> None:
    short = TimeLimits.model_validate({"lifetime": "1s"})
    policies = [p.model_copy(update={"time": short}) for p in runtime.catalog.policies]
    runtime.catalog = runtime.catalog.model_copy(update={"policies": tuple(policies)})
    async with hub():
        await launch(runtime, hub)
        await until(lambda: not len(runtime.ledger))
        await until(lambda: hub.ended)
    (ended,) = await records()
    assert ended.end
    assert (ended.end.ending, hub.ended) == (Ending.LIFETIME, [ONE])
    assert engine.containers == {}


async def test_apps_of_an_image_are_published_as_soon_as_its_session_runs_or_is_found(
    runtime: BaiRuntime, engine: FakeEngine, hub: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    label = '[{"name": "board", "title": "TensorBoard", "port": 6006}]'
    create = engine.create

    async def labelled(spec: ContainerSpec) -> str:
        return await create(replace(spec, labels={**spec.labels, LABEL: label}))

    def apps() -> list[Any]:
        news = runtime.history._open().published(runtime.hub_id, bulletin.SESSIONS)
        return [one["apps"] for one in json.loads(news.body).values()] if news else []

    monkeypatch.setattr(engine, "create", labelled)
    monkeypatch.setattr("bai_spawner.timekeeper.LOOK_EVERY", 0.01)
    runtime.reconcile_interval = 60
    async with hub():
        await launch(runtime, hub)
        await until(lambda: apps() == [json.loads(label)])
    runtime.history._open().publish(runtime.hub_id, bulletin.SESSIONS, "{}", at=datetime.now(UTC))
    async with hub():  # another hub, which hears of no start
        await until(lambda: apps() == [json.loads(label)])


async def test_a_container_that_vanished_without_an_event_is_found_by_comparison(
    runtime: BaiRuntime,
    engine: FakeEngine,
    hub: Kept,
    records: Callable[[], Awaitable[list[SessionRecord]]],
) -> None:
    async with hub():
        running = await launch(runtime, hub)
        del engine.containers[running.container]
        await until(lambda: not len(runtime.ledger))
    (ended,) = await records()
    assert ended.end
    assert ended.end.ending is Ending.REMOVED
    assert hub.ended == [ONE]


async def test_while_the_engine_is_away_nothing_is_concluded_and_it_recovers_by_itself(
    runtime: BaiRuntime,
    engine: FakeEngine,
    hub: Kept,
    records: Callable[[], Awaitable[list[SessionRecord]]],
) -> None:
    async with hub():
        kept = await launch(runtime, hub, "kept")
        lost = await launch(runtime, hub, "lost")
        for verb in ("everyone", "list", "inspect", "listen", "remove", "greet"):
            engine.fail[verb] = EngineAway("gone fishing")
        engine.heard.events.put_nowait(EngineAway("it closed the stream of events"))
        await asyncio.sleep(0.3)
        assert len(runtime.ledger) == 2
        assert hub.ended == []
        assert {r.status for r in await records()} == {Status.RUNNING}
        lost_state = engine.containers[lost.container]
        engine.containers[lost.container] = replace(lost_state, status="exited", exit_code=143)
        engine.fail.clear()
        await until(lambda: len(runtime.ledger) == 1)
        assert set(engine.containers) == {kept.container}
    first, second = await records()
    assert first.status is Status.RUNNING
    assert second.end
    assert second.end.ending is Ending.ENGINE


async def test_an_engine_that_is_away_when_the_hub_starts_is_waited_for(
    runtime: BaiRuntime, engine: FakeEngine, hub: Kept
) -> None:
    engine.fail["info"] = engine.fail["listen"] = EngineAway("not yet")
    async with hub():
        await asyncio.sleep(0.1)
        with pytest.raises(EngineAway):
            await runtime.admit(ALICE, "one", body=SMALL, session="")
        engine.fail.clear()
        await launch(runtime, hub)
    assert len(runtime.ledger) == 1


async def test_one_removal_that_fails_does_not_hold_up_the_others(
    runtime: BaiRuntime, engine: FakeEngine, hub: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hub():
        stuck = await launch(runtime, hub, "one")
        await launch(runtime, hub, "two")
        remove = engine.remove

        async def remove_others(container: str) -> None:
            if container == stuck.container:
                raise EngineError("device or resource busy")
            await remove(container)

        monkeypatch.setattr(engine, "remove", remove_others)
        hub.stopped, hub.started = hub.started, set()
        await until(lambda: set(engine.containers) == {stuck.container})
        await until(lambda: len(runtime.ledger) == 1)
        monkeypatch.undo()
        await until(lambda: not engine.containers and not len(runtime.ledger))


async def test_a_session_that_the_hub_let_go_of_is_ended_at_the_next_comparison(
    runtime: BaiRuntime,
    engine: FakeEngine,
    hub: Kept,
    records: Callable[[], Awaitable[list[SessionRecord]]],
) -> None:
    runtime.stranger_grace = 600
    await launch(runtime, hub, "one")
    unknown = await launch(runtime, hub, "two")
    hub.started, hub.stopped = set(), {ONE}
    async with hub():
        await until(lambda: len(runtime.ledger) == 1)
        await asyncio.sleep(0.3)
        assert set(engine.containers) == {unknown.container}, "its database may come back"
    first, second = await records()
    assert first.end
    assert first.end.ending is Ending.HUB_DOWN
    assert second.end is None


async def test_stopping_twice_at_once_gives_back_once_and_makes_one_record(
    runtime: BaiRuntime,
    engine: FakeEngine,
    hub: Kept,
    records: Callable[[], Awaitable[list[SessionRecord]]],
) -> None:
    async with hub():
        await launch(runtime, hub)
        await asyncio.gather(*(runtime.lifecycle.end(ONE, grace=0) for _ in range(3)))
        await runtime.lifecycle.end(ONE, grace=0)
    assert len(runtime.ledger) == 0
    runtime.ledger.audit()
    (ended,) = await records()
    assert ended.end
    assert ended.end.ending is Ending.USER
    assert [c.status for c in (ended.changes)] == []
    assert engine.calls.count("remove") == 1


async def test_when_the_clean_up_fails_too_the_first_error_is_recorded(
    runtime: BaiRuntime,
    engine: FakeEngine,
    hub: Kept,
    records: Callable[[], Awaitable[list[SessionRecord]]],
) -> None:
    engine.fail["start"] = EngineError("no such device")
    engine.fail["remove"] = EngineError("device or resource busy")
    async with hub():
        with pytest.raises(StartFailed, match="no such device"):
            await launch(runtime, hub)
        await asyncio.sleep(0.1)
        assert len(runtime.ledger) == 1
        engine.fail.clear()
        await until(lambda: not len(runtime.ledger))
    runtime.ledger.audit()
    (ended,) = await records()
    assert ended.end
    assert (ended.end.ending, ended.end.detail) == (Ending.START, "no such device")


async def test_without_a_record_nothing_is_launched_and_nothing_is_held(
    runtime: BaiRuntime, engine: FakeEngine, tmp_path: Path
) -> None:
    (tmp_path / "a-file").write_text("")
    runtime.records_url = f"sqlite:///{tmp_path}/a-file/records.sqlite"
    with pytest.raises(Refused, match="records: cannot open the records: "):
        await runtime.admit(ALICE, "one", body=SMALL, session="")
    assert len(runtime.ledger) == 0
    assert "create" not in engine.calls


async def test_what_other_hubs_hold_of_the_engine_is_not_free(
    runtime: BaiRuntime, engine: FakeEngine, hub: Kept
) -> None:
    async with hub():
        running = await launch(runtime, hub)
        before = runtime.ledger.free(["local"])[0].memory
        mine = engine.containers[running.container]
        foreign = {**mine.labels, "bai.hub": "another", "bai.allocation": "other"}
        engine.containers["foreign"] = replace(mine, id="foreign", name="other", labels=foreign)
        await until(lambda: runtime.ledger.free(["local"])[0].memory == before - 512 * 2**20)
        del engine.containers["foreign"]
        await until(lambda: runtime.ledger.free(["local"])[0].memory == before)


async def test_a_container_with_labels_of_no_known_schema_is_left_alone(
    runtime: BaiRuntime, engine: FakeEngine, hub: Kept
) -> None:
    async with hub():
        running = await launch(runtime, hub)
        mine = engine.containers[running.container]
        odd = {**mine.labels, "bai.schema": "99"}
        engine.containers["odd"] = replace(mine, id="odd", name="odd", status="exited", labels=odd)
        await asyncio.sleep(0.3)
        assert "odd" in engine.containers
        assert len(runtime.ledger) == 1
