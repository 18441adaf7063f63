"""Every way a start can end: the share comes back once, and the cause is said."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler
from traitlets.config import Config

from bai_spawner import labels
from bai_spawner.catalog import Overcommit
from bai_spawner.container import ContainerSpec, Placing, build_spec
from bai_spawner.engine import ContainerState
from bai_spawner.errors import (
    EngineAway,
    EngineError,
    ImageMissing,
    PortTaken,
    Reason,
    Refused,
    StartFailed,
)
from bai_spawner.folders import FolderMount
from bai_spawner.keeper import Hub, Servers
from bai_spawner.labels import SessionLabels, Share
from bai_spawner.ledger import Slot
from bai_spawner.lifecycle import Running, Start
from bai_spawner.options import FormRequest, from_form
from bai_spawner.policy import Subject
from bai_spawner.ports import Ports
from bai_spawner.reasons import End, Ending, of_failure
from bai_spawner.records import Facts, Query, RecordsError
from bai_spawner.runtime import BaiRuntime, Launch
from bai_spawner.steps import Step
from tests.examples import SHIPPED_CATALOG
from tests.fake_engine import FakeEngine

ALICE = Subject("alice")
BODY = {"resources": {"cpu": 2, "memory": "4GiB"}}
"""As much as one session may have."""


class Answer(RequestHandler):
    def get(self) -> None:
        self.finish("{}")


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A server that answers as a session would."""
    sock, number = bind_unused_port()
    server = HTTPServer(Application([("/api", Answer)]))
    server.add_sockets([sock])
    yield number
    server.stop()
    await server.close_all_connections()


@pytest.fixture
async def engine() -> AsyncIterator[FakeEngine]:
    made = FakeEngine()
    yield made
    made.close()


@pytest.fixture
async def runtime(
    tmp_path: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[BaiRuntime]:
    """The runtime on a fake engine; it tries again at once."""
    monkeypatch.setattr("bai_spawner.lifecycle.SHORT_PAUSE", 0.01)
    made = BaiRuntime(catalog_file=str(SHIPPED_CATALOG), state_dir=str(tmp_path))
    made.engine = engine
    yield made
    made.lifecycle.close()
    made.history.close()


@pytest.fixture
def launch(runtime: BaiRuntime, port: int) -> Callable[..., Awaitable[Running]]:
    """Admits and launches one session of alice."""

    async def start(server: str = "one", *, body: Any = BODY, **changed: Any) -> Running:
        admitted = await runtime.admit(ALICE, server, body=body, session="")
        return await go(runtime, admitted, **{"port": port, **changed})

    return start


async def go(
    runtime: BaiRuntime,
    launch: Launch,
    *,
    report: Callable[[Step], None] = lambda _: None,
    **changed: Any,
) -> Running:
    def spec(mounts: tuple[FolderMount, ...], _: Mapping[str, str]) -> ContainerSpec:
        placing = Placing(hub=runtime.hub_id, network="none")
        return build_spec(launch.grant, launch.allocation, mounts, placing, environment={})

    asked: dict[str, Any] = {"path": "/api", "seconds": 5, **changed}
    start = Start(
        key=launch.key,
        allocation=launch.allocation.id,
        mounts=launch.mounts,
        make_folders=launch.make_folders,
        make_spec=spec,
        image=launch.grant.image,
        **asked,
    )
    return await runtime.lifecycle.start(start, report)


async def settled(runtime: BaiRuntime) -> None:
    """Until nothing is being cleared any more."""
    await asyncio.wait_for(runtime.clear(("alice", "one")), 5)


async def test_a_session_that_answers_holds_its_share(
    runtime: BaiRuntime, engine: FakeEngine, launch: Callable[..., Awaitable[Running]]
) -> None:
    steps: list[Step] = []
    running = await launch(report=steps.append)
    assert engine.containers[running.container].running
    assert runtime.ledger.usage("alice").cpu == 2
    assert steps == [Step.CHECKING, Step.CREATING, Step.STARTING, Step.ANSWERING]


@pytest.mark.parametrize("verb", ["create", "start", "inspect"])
async def test_a_failure_after_create_removes_the_container_and_names_the_cause(
    runtime: BaiRuntime,
    engine: FakeEngine,
    launch: Callable[..., Awaitable[Running]],
    verb: str,
) -> None:
    engine.fail[verb] = EngineError("port 8888 is taken")
    with pytest.raises(StartFailed, match="port 8888 is taken"):
        await launch()
    engine.fail.clear()
    await settled(runtime)
    assert engine.containers == {}
    assert len(runtime.ledger) == 0
    runtime.ledger.audit()


async def test_a_folder_that_cannot_be_made_fails_before_a_container_is(
    runtime: BaiRuntime,
    engine: FakeEngine,
    launch: Callable[..., Awaitable[Running]],
    tmp_path: Path,
) -> None:
    (tmp_path / "folders" / "users").mkdir(parents=True)
    (tmp_path / "folders" / "users" / "alice").write_text("a file")
    with pytest.raises(StartFailed, match="'data' cannot be used"):
        await launch(body={"mounts": [{"folder": "data"}]})
    await settled(runtime)
    assert "create" not in engine.calls
    assert not len(runtime.ledger)


async def test_when_the_clean_up_fails_too_the_first_error_is_shown_and_it_finishes_later(
    runtime: BaiRuntime, engine: FakeEngine, launch: Callable[..., Awaitable[Running]]
) -> None:
    engine.fail["start"] = EngineError("no such device")
    engine.fail["remove"] = EngineError("device or resource busy")
    with pytest.raises(StartFailed, match="no such device"):
        await launch()
    await asyncio.sleep(0.1)
    assert runtime.ledger.usage("alice").cpu == 2, "held as long as the container is there"
    engine.fail.clear()
    await settled(runtime)
    assert engine.containers == {}
    assert len(runtime.ledger) == 0


@pytest.mark.parametrize("verb", ["create", "start", "inspect"])
async def test_a_cancelled_start_ends_at_once_and_what_is_made_later_is_removed(
    runtime: BaiRuntime,
    engine: FakeEngine,
    launch: Callable[..., Awaitable[Running]],
    verb: str,
) -> None:
    engine.hold[verb] = asyncio.Event()
    starting = asyncio.create_task(launch())
    while verb not in engine.calls:  # noqa: ASYNC110 - a few turns of the loop
        await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(starting, 0.5)
    assert len(runtime.ledger) == 1
    engine.hold.pop(verb).set()
    await settled(runtime)
    assert engine.containers == {}
    assert len(runtime.ledger) == 0


async def test_a_start_that_was_cancelled_before_it_began_gives_back_its_share(
    runtime: BaiRuntime,
) -> None:
    await runtime.admit(ALICE, "one", body=BODY, session="")
    await settled(runtime)
    assert len(runtime.ledger) == 0


async def test_a_session_that_never_answers_is_ended_in_time_with_its_last_words(
    runtime: BaiRuntime, engine: FakeEngine, launch: Callable[..., Awaitable[Running]]
) -> None:
    with pytest.raises(StartFailed, match="did not answer in time") as caught:
        await launch(port=1, seconds=0.2)
    assert caught.value.reason is Reason.TIMEOUT
    assert caught.value.log == "last words of c1"
    await settled(runtime)
    assert engine.containers == {}


async def test_a_session_that_dies_is_noticed_long_before_the_deadline(
    engine: FakeEngine,
    launch: Callable[..., Awaitable[Running]],
) -> None:
    starting = asyncio.create_task(launch(port=1, seconds=60))
    async with asyncio.timeout(30):
        while not ((state := engine._find("c1")) and state.status == "running"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    engine._change("c1", status="exited", exit_code=137, oom_killed=True)
    with pytest.raises(StartFailed, match="more memory than it was granted"):
        await asyncio.wait_for(starting, 30)


async def test_a_missing_image_is_refused_at_once_and_pulled_only_when_allowed(
    engine: FakeEngine, launch: Callable[..., Awaitable[Running]]
) -> None:
    engine.fail["create"] = ImageMissing("image 'x' is not on the engine")
    with pytest.raises(ImageMissing):
        await launch()
    assert "pull" not in engine.calls
    with pytest.raises(ImageMissing):
        await launch(pull="missing")
    assert engine.calls.count("pull") == 1


async def test_another_port_is_tried_when_the_first_is_taken(
    runtime: BaiRuntime, engine: FakeEngine, launch: Callable[..., Awaitable[Running]]
) -> None:
    engine.fail["start"] = PortTaken("port is already allocated")
    told: list[int] = []

    def taken() -> None:
        told.append(1)
        if len(told) == 2:
            del engine.fail["start"]

    running = await launch(port_taken=taken)
    assert len(told) == 2
    assert engine.calls.count("create") == 3
    assert (await engine.inspect(running.container) or running).labels["bai.user"] == "alice"


async def test_a_session_whose_ports_are_all_taken_fails_and_holds_nothing(
    runtime: BaiRuntime, engine: FakeEngine, launch: Callable[..., Awaitable[Running]]
) -> None:
    engine.fail["start"] = PortTaken("port is already allocated")
    with pytest.raises(StartFailed, match="already allocated"):
        await launch()
    await settled(runtime)
    assert len(runtime.ledger) == 0
    assert engine.containers == {}


async def test_a_port_is_free_again_when_its_session_has_ended(
    runtime: BaiRuntime, launch: Callable[..., Awaitable[Running]]
) -> None:
    runtime.ports = Ports(range(2000, 2001))
    await launch()
    (held,) = runtime.ledger
    first = runtime.ssh(held.id)
    assert first
    assert (first.address, first.port) == ("0.0.0.0", 2000)
    other = await runtime.admit(ALICE, "two", body={}, session="")
    assert runtime.ssh(other.allocation.id) is None
    await runtime.lifecycle.end(held.key, grace=0)
    assert runtime.ssh(other.allocation.id) == first


async def test_ending_twice_or_what_is_gone_succeeds_and_gives_back_once(
    runtime: BaiRuntime, launch: Callable[..., Awaitable[Running]]
) -> None:
    await launch()
    for _ in range(2):
        await runtime.lifecycle.end(("alice", "one"), grace=0)
    await runtime.lifecycle.end(("alice", "never"), grace=0)
    assert len(runtime.ledger) == 0
    runtime.ledger.audit()


async def test_a_session_is_recorded_with_the_reason_for_which_it_was_ended(
    runtime: BaiRuntime, launch: Callable[..., Awaitable[Running]]
) -> None:
    await launch()
    (held,) = runtime.ledger
    why = End(Ending.IDLE, "2 h allowed")
    ends = (runtime.lifecycle.end(held.key, grace=None, why=one) for one in (why, End(Ending.USER)))
    await asyncio.gather(*ends)
    await runtime.history.settled()
    record = runtime.history._open().get(held.id)
    assert record
    assert record.end
    assert (record.end.ending, record.end.detail) == (why.ending, why.detail)


@pytest.mark.parametrize(
    ("listens", "reached"),
    [
        ("http://172.30.0.1:8002", "http://172.30.0.1:8002"),
        ("http://127.0.0.1:8002", ""),
        ("http://localhost:8002", ""),
        ("http://0.0.0.0:8002", ""),
        ("http://[::1]:8002", ""),
    ],
)
def test_sessions_are_told_of_a_service_that_they_can_reach_alone(
    listens: str, reached: str
) -> None:
    runtime = BaiRuntime(service_url=listens)
    assert runtime.service_connect_url == reached
    assert BaiRuntime(service_url=listens, service_connect_url="x").service_connect_url == "x"


@pytest.mark.parametrize(
    ("hub_ip", "listens"),
    [
        ("172.30.0.1", "http://172.30.0.1:8082"),
        ("fd00::1", "http://[fd00::1]:8082"),
        ("0.0.0.0", "http://127.0.0.1:8082"),
        ("", "http://127.0.0.1:8082"),
        (None, "http://127.0.0.1:8082"),
    ],
)
def test_the_service_listens_where_sessions_reach_the_hub(hub_ip: str | None, listens: str) -> None:
    config = Config()
    if hub_ip is not None:
        config.JupyterHub.hub_ip = hub_ip
    assert BaiRuntime(config=config).service_url == listens


async def test_an_end_while_the_engine_is_away_is_finished_when_it_is_back(
    runtime: BaiRuntime, engine: FakeEngine, launch: Callable[..., Awaitable[Running]]
) -> None:
    await launch()
    for verb in ("stop", "remove", "inspect"):
        engine.fail[verb] = EngineAway("away")
    ending = asyncio.create_task(runtime.lifecycle.end(("alice", "one"), grace=0))
    await asyncio.sleep(0.1)
    assert runtime.ledger.usage("alice").sessions == 1
    engine.fail.clear()
    await asyncio.wait_for(ending, 5)
    assert engine.containers == {}
    assert len(runtime.ledger) == 0


async def test_after_a_restart_the_ledger_equals_the_labels(
    runtime: BaiRuntime,
    engine: FakeEngine,
    launch: Callable[..., Awaitable[Running]],
    tmp_path: Path,
) -> None:
    await launch("one")
    exited = await launch("two", body={"resources": {"cpu": 1}})
    engine._change(exited.container, status="exited")
    fresh = BaiRuntime(catalog_file=str(SHIPPED_CATALOG), state_dir=str(tmp_path))
    fresh.engine = engine
    await fresh.open()
    assert [a.server for a in fresh.ledger] == ["one"], "an exited container holds nothing"
    await fresh.clear(("alice", "two"))
    assert exited.container not in engine.containers, "and is removed"
    used = fresh.ledger.usage("alice")
    assert (used.sessions, used.cpu, used.memory) == (1, 2, 4 * 1024**3)
    fresh.lifecycle.close()


async def test_an_engine_that_is_away_when_the_hub_starts_is_asked_again(
    runtime: BaiRuntime, engine: FakeEngine
) -> None:
    engine.fail["info"] = EngineAway("away")
    with pytest.raises(EngineAway):
        await runtime.open()
    offer = await runtime.offer(ALICE)
    assert [problem.path for problem in offer.problems] == ["engine"]
    engine.fail.clear()
    await runtime.open()
    assert (await runtime.offer(ALICE)).problems == ()


async def test_many_at_once_never_get_more_than_the_node_has(runtime: BaiRuntime) -> None:
    """8 GiB, 1 GiB each, forty users: exactly eight are admitted."""

    async def ask(number: int) -> bool:
        with contextlib.suppress(Refused):
            body = {"resources": {"memory": "1GiB"}}
            await runtime.admit(Subject(f"user{number}"), "one", body=body, session="")
            return True
        return False

    admitted = await asyncio.gather(*(ask(number) for number in range(40)))
    assert sum(admitted) == 8
    runtime.ledger.audit()


async def test_a_policy_that_was_lowered_refuses_the_next_start_and_ends_nothing(
    runtime: BaiRuntime, engine: FakeEngine, launch: Callable[..., Awaitable[Running]]
) -> None:
    await launch()
    catalog = runtime.catalog
    everyone = catalog.policies[-1]
    limits = everyone.limits.model_copy(update={"cpu": 1})
    lowered = everyone.model_copy(update={"limits": limits})
    runtime.catalog = catalog.model_copy(update={"policies": (*catalog.policies[:-1], lowered)})
    with pytest.raises(Refused, match="2 in use \\+ 1 asked > 1 allowed"):
        await launch("two", body={})
    assert len(engine.containers) == 1


async def test_a_session_without_a_folder_must_be_accepted_on_the_form(
    runtime: BaiRuntime,
) -> None:
    form = from_form({"environment": ["python"]})
    with pytest.raises(Refused, match="no folder is mounted"):
        await runtime.admit(ALICE, "one", body=form.body, session="", form=form)
    form = from_form({"environment": ["python"], "alone": ["on"]})
    admitted = await runtime.admit(ALICE, "one", body=form.body, session="", form=form)
    assert admitted.mounts == ()


def _several(sessions: int, **fields: str) -> FormRequest:
    asked = {"sessions": str(sessions), "alone": "on", "session_name": "run", **fields}
    return from_form({name: [value] for name, value in asked.items()})


async def _admit(runtime: BaiRuntime, form: FormRequest, server: str = "one") -> Launch:
    name = form.session_name
    return await runtime.admit(ALICE, server, body=form.body, session=name, form=form)


async def test_sessions_that_are_launched_together_are_reserved_and_recorded_at_once(
    runtime: BaiRuntime, port: int
) -> None:
    launch = await _admit(runtime, _several(3))
    together = [launch, *launch.others]
    assert [one.grant.session for one in together] == ["run1", "run2", "run3"]
    assert len({one.allocation.server for one in together}) == 3
    assert launch.key == ("alice", "one")
    assert runtime.ledger.usage("alice").sessions == 3
    records = runtime.history._open()
    found = records.page(runtime.hub_id, Query(user="alice")).sessions
    assert {r.facts.name for r in found} == {"run1", "run2", "run3"}
    other = launch.others[0]
    assert runtime.take(other.key) == other
    assert runtime.take(other.key) is None, "only the first asker has it"
    await go(runtime, other, port=port)
    assert runtime.ledger.is_confirmed(other.allocation.id)


@pytest.mark.parametrize(
    "asked",
    [{"sessions": 4}, {"sessions": 3, "preset": "", "cpu": "2"}],
    ids=["more than may live", "more than may be held"],
)
async def test_of_several_sessions_all_are_admitted_or_none(
    runtime: BaiRuntime, asked: dict[str, Any]
) -> None:
    """Q10."""
    with pytest.raises(Refused):
        await _admit(runtime, _several(**asked))
    assert len(runtime.ledger) == 0
    assert runtime.history._open().page(runtime.hub_id).total == 0
    assert runtime._waiting == {}


async def test_without_room_for_the_last_of_several_none_is_admitted(runtime: BaiRuntime) -> None:
    """Q10, on a node that has less than the policy allows."""
    catalog = runtime.catalog
    small = catalog.nodes["local"].model_copy(update={"cpu": 2, "overcommit": Overcommit(cpu=1)})
    runtime.catalog = catalog.model_copy(update={"nodes": {"local": small}})
    with pytest.raises(Refused, match="there is room for 2 of the 3 asked now"):
        await _admit(runtime, _several(3))
    assert len(runtime.ledger) == 0


async def test_one_of_several_that_the_hub_did_not_start_gives_back_its_share_and_says_why(
    runtime: BaiRuntime,
) -> None:
    launch = await _admit(runtime, _several(2))
    (other,) = launch.others
    why = of_failure(Reason.START, "the hub answered 429 Too many")
    assert runtime.give_up(other.key, why)
    assert not runtime.give_up(other.key, why), "given up already"
    await asyncio.wait_for(runtime.clear(other.key), 5)
    assert [held.server for held in runtime.ledger] == ["one"]
    await runtime.history.settled()
    record = runtime.history._open().get(other.allocation.id)
    assert record is not None
    assert record.end == why
    assert runtime.take(other.key) is None


async def test_one_of_several_that_is_being_started_is_not_given_up(runtime: BaiRuntime) -> None:
    (other,) = (await _admit(runtime, _several(2))).others
    runtime.take(other.key)
    assert not runtime.give_up(other.key, End(Ending.START))
    assert len(runtime.ledger) == 2


async def test_several_sessions_without_a_record_hold_nothing(
    runtime: BaiRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Facts) -> None:
        raise RecordsError("the database does not answer")

    monkeypatch.setattr(runtime.history, "begin", away)
    with pytest.raises(Refused, match="does not answer; nothing was started"):
        await _admit(runtime, _several(3))
    assert len(runtime.ledger) == 0
    assert runtime._waiting == {}


async def test_a_start_waits_for_the_rest_of_the_last_session_and_is_refused_if_that_stays(
    runtime: BaiRuntime,
    engine: FakeEngine,
    launch: Callable[..., Awaitable[Running]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else what clears up the old one would find the new one under its name, and end it."""
    monkeypatch.setattr("bai_spawner.runtime.CLEAR_SECONDS", 0.05)
    await launch()
    engine.fail["remove"] = EngineError("device or resource busy")
    await runtime.clear(("alice", "one"), seconds=0)
    with pytest.raises(Refused, match="still being removed"):
        await launch()
    engine.fail.clear()
    await settled(runtime)
    running = await launch()
    await asyncio.sleep(0.1)
    assert engine.containers[running.container].running


async def test_a_create_whose_answer_was_missed_is_looked_for(
    runtime: BaiRuntime,
    engine: FakeEngine,
    launch: Callable[..., Awaitable[Running]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bai_spawner.lifecycle.SETTLE_SECONDS", 0.3)
    late: list[asyncio.Task[str]] = []
    create = engine.create

    async def times_out(spec: ContainerSpec) -> str:
        async def later() -> str:
            await asyncio.sleep(0.1)
            return await create(spec)

        late.append(asyncio.create_task(later()))
        raise EngineAway("read timed out")

    monkeypatch.setattr(engine, "create", times_out)
    with pytest.raises(EngineAway):
        await launch()
    await asyncio.sleep(0.15)
    assert len(runtime.ledger) == 1, "it may still come"
    await settled(runtime)
    assert late[0].done()
    assert engine.containers == {}
    assert len(runtime.ledger) == 0


async def test_a_start_that_is_cancelled_while_its_image_is_fetched_holds_nothing(
    runtime: BaiRuntime, engine: FakeEngine, launch: Callable[..., Awaitable[Running]]
) -> None:
    engine.fail["create"] = ImageMissing("image 'x' is not on the engine")
    engine.hold["pull"] = asyncio.Event()
    starting = asyncio.create_task(launch(pull="missing"))
    while "pull" not in engine.calls:  # noqa: ASYNC110 - a few turns of the loop
        await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await settled(runtime)
    assert len(runtime.ledger) == 0
    assert engine.calls.count("create") == 1


async def test_a_server_that_accepts_and_does_not_answer_does_not_outlast_the_deadline(
    launch: Callable[..., Awaitable[Running]],
) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(StartFailed, match="did not answer in time"):
        await launch(port=port, seconds=0.5)
    assert loop.time() - began < 3, "and not the five seconds that one question may take"
    server.close()
    await server.wait_closed()


async def test_a_session_that_no_server_leads_to_is_ended_after_its_grace(
    runtime: BaiRuntime, engine: FakeEngine, launch: Callable[..., Awaitable[Running]]
) -> None:
    owned = await launch("owned", body={})
    stranger = await launch("stranger", body={})
    runtime.reconcile_interval, runtime.stranger_grace = 0.1, 0.3
    keeping = asyncio.create_task(runtime.keep_in_step(Hub(lambda: Servers({("alice", "owned")}))))
    await asyncio.sleep(0.15)
    assert stranger.container in engine.containers
    await asyncio.sleep(0.5)
    assert set(engine.containers) == {owned.container}
    assert runtime.ledger.usage("alice").sessions == 1
    keeping.cancel()


async def test_a_start_under_way_is_no_stranger(runtime: BaiRuntime, engine: FakeEngine) -> None:
    """Its allocation is not confirmed, and its container comes when it comes."""
    runtime.reconcile_interval, runtime.stranger_grace = 0.1, 0
    await runtime.admit(ALICE, "one", body=BODY, session="")
    keeping = asyncio.create_task(runtime.keep_in_step(Hub(Servers)))
    await asyncio.sleep(0.35)
    assert len(runtime.ledger) == 1
    keeping.cancel()


async def test_a_lost_gpu_is_marked_once_and_the_mark_goes_only_when_it_is_back(
    runtime: BaiRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    warned: list[tuple[str, str]] = []
    ledger = await runtime.open()
    monkeypatch.setattr(runtime.history, "warn", lambda *said: warned.append(said))
    monkeypatch.setattr(runtime.gpus, "look", devices := AsyncMock(return_value={}))
    for name in ("kept", "ended"):
        texts = ("hub", name, "alice", name, name, "e", "v", "default", "local", "p")
        ledger.restore(SessionLabels(*texts, 1, 1, 1, shares=(Share("GPU-a", 1, 2),)))
    told = "its GPU GPU-a is not there any more"
    await runtime.look_at_gpus()
    await runtime.look_at_gpus()
    assert sorted(warned) == [("ended", told), ("kept", told)], "once, and not at every look"
    warned.clear()
    ledger.release("ended")
    await runtime.look_at_gpus()
    assert warned == [], "why a session ended with its GPU stays in its record"
    devices.return_value = {"GPU-a": Slot(2)}
    await runtime.look_at_gpus()
    assert warned == [("kept", "")]


async def test_a_mark_that_an_earlier_hub_left_goes_when_the_gpu_is_there(
    runtime: BaiRuntime, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    warned: list[tuple[str, str]] = []
    share = (Share("GPU-a", 1, 2),)
    session = SessionLabels(runtime.hub_id, *["x"] * 9, 1, 1, 1, shares=share)
    engine.containers["c"] = ContainerState(
        "c", "c", "running", 0, False, "", "", labels.encode(session)
    )
    monkeypatch.setattr(runtime.history, "warn", lambda *said: warned.append(said))
    monkeypatch.setattr(runtime.gpus, "look", AsyncMock(return_value={"GPU-a": Slot(2)}))
    await runtime.open()
    assert warned == [("x", "")]
