"""Notes reach the records in their order, whatever the database does, and nobody waits."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bai_spawner import history as module
from bai_spawner.history import History
from bai_spawner.reasons import End, Ending, Status
from bai_spawner.records import FIELDS_BYTES, Facts, Measure, Records, RecordsError, database

LOG = logging.getLogger("tests.history")
AGES = timedelta(days=9)


def facts(session: str = "one") -> Facts:
    names: dict[str, Any] = dict.fromkeys(
        ["server", "name", "environment", "version", "group", "node", "policy"], "a"
    )
    return Facts(id=session, hub="hub", user="ada", **names, cpu=1, memory=2, shm=3)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "records.sqlite"


@pytest.fixture
def history(file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[History]:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.01)
    made = History(f"sqlite:///{file}", "hub", LOG)
    yield made
    made.close()


@pytest.fixture
def records(file: Path) -> Iterator[Records]:
    made = Records(f"sqlite:///{file}")
    yield made
    made.close()


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Nobody can write meanwhile: to who tries, the database is away."""
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        holder.close()


def story(records: Records, session: str = "one") -> list[Status]:
    found = records.get(session)
    return [change.status for change in found.changes] if found else []


class Taken:
    """In place of `Records`: takes down what is asked of it; ``fails`` may raise."""

    def __init__(self, _: str) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.fails: Callable[[str], None] = lambda _: None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> None:
            self.fails(name)
            self.calls.append((name, *args, *kwargs.values()))

        return call


@pytest.fixture
def taken(history: History, monkeypatch: pytest.MonkeyPatch) -> Taken:
    made = Taken("")
    monkeypatch.setattr(module, "Records", lambda _: made)
    return made


async def test_a_session_is_recorded_from_its_launch_to_its_end(
    history: History, records: Records
) -> None:
    before = datetime.now(UTC)
    await history.begin(facts())
    history.note("one", Status.PREPARING)
    history.note("one", Status.RUNNING)
    history.measure({"one": Measure(cpu=0.5)})
    history.end("one", End(Ending.IDLE, "60 minutes"), "a log")
    history.end("one", End(Ending.USER))
    await history.settled()
    found = records.get("one")
    assert found
    assert found.end == End(Ending.IDLE, "60 minutes")
    assert found.peaks.cpu == 0.5
    times = [change.at for change in found.changes]
    times = [before, *times, datetime.now(UTC)]
    assert times == sorted(times)
    assert story(records) == ["pending", "preparing", "running", "terminated"]
    assert records.log("one") == "a log"
    assert history.unwritten == 0


async def test_nobody_waits_while_the_database_is_away_and_it_gets_all_in_order_with_its_times(
    history: History, records: Records, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await history.begin(facts())
    with locked(file):
        began = time.perf_counter()
        history.note("one", Status.PREPARING)
        history.note("one", Status.RUNNING)
        history.end("one", End(Ending.MEMORY))
        history.end("one", End(Ending.USER))
        assert time.perf_counter() - began < 0.1
        noted = datetime.now(UTC)
        await history.settled()
        assert history.unwritten == 4
        with pytest.raises(RecordsError):
            await history.begin(facts("two"))
        history.retry()
        await history.settled()
        assert history.unwritten == 4
    history.retry()
    await history.settled()
    assert history.unwritten == 0
    assert story(records) == ["pending", "preparing", "running", "error"]
    found = records.get("one")
    assert found
    assert found.end == End(Ending.MEMORY)
    assert max(change.at for change in found.changes) <= noted
    assert records.get("two") is None
    await history.begin(facts("two"))
    assert story(records, "two") == ["pending"]
    said = [record.getMessage() for record in caplog.records if record.name == LOG.name]
    assert len(said) == 1, said
    assert "database is locked" in said[0]


async def test_a_launch_comes_after_what_was_noted_before_it(
    history: History, records: Records, file: Path
) -> None:
    await history.begin(facts())
    with locked(file):
        history.end("one", End(Ending.USER))
        await history.settled()
    await history.begin(facts("two"))
    assert story(records) == ["pending", "terminated"]
    assert history.unwritten == 0


async def test_a_database_that_cannot_be_opened_at_first_is_opened_later(
    history: History, file: Path
) -> None:
    await asyncio.to_thread(file.mkdir)
    with pytest.raises(RecordsError, match="cannot open"):
        await history.begin(facts())
    history.found([(facts("two"), datetime.now(UTC))], asked=datetime.now(UTC))
    await history.settled()
    assert history.unwritten == 1
    await asyncio.to_thread(file.rmdir)
    history.retry()
    await history.settled()
    assert history.unwritten == 0
    records = Records(f"sqlite:///{file}")
    assert story(records, "two") == ["running"]
    records.close()


async def test_what_is_read_of_the_engine_enters_strangers_and_ends_the_lost(
    history: History, records: Records
) -> None:
    for session in ("lost", "known", "starting", "ended"):
        await history.begin(facts(session))
    history.note("known", Status.RUNNING)
    history.end("ended", End(Ending.USER))
    asked = datetime.now(UTC)
    made = asked - AGES
    await history.begin(facts("young"))
    there = [(facts(session), made) for session in ("known", "starting", "stranger", "ended")]
    history.found(there, asked=asked)
    await history.settled()
    assert story(records, "known") == ["pending", "running"]
    assert story(records, "starting") == ["pending", "running"]
    assert story(records, "ended") == ["pending", "terminated"]
    assert story(records, "young") == ["pending"]
    stranger, lost, starting = (records.get(one) for one in ("stranger", "lost", "starting"))
    assert stranger
    assert (stranger.status, stranger.created, stranger.started) == (Status.RUNNING, made, made)
    assert lost
    assert (lost.end, lost.ended) == (End(Ending.HUB_DOWN), asked)
    assert starting
    assert (starting.status, starting.started) == (Status.RUNNING, starting.created)


async def test_another_hubs_sessions_are_not_lost(history: History, records: Records) -> None:
    theirs = replace(facts("theirs"), hub="another")
    records.begin(theirs, at=datetime.now(UTC) - AGES)
    history.found([], asked=datetime.now(UTC))
    await history.settled()
    assert story(records, "theirs") == ["pending"]


async def test_only_what_ended_so_many_days_ago_is_purged(
    history: History, records: Records
) -> None:
    for session, days in (("old", 8), ("new", 6)):
        then = datetime.now(UTC) - timedelta(days=days)
        records.begin(facts(session), at=then)
        records.end(session, End(Ending.USER), at=then)
    history.purge(7)
    await history.settled()
    assert [one.facts.id for one in records.page("hub").sessions] == ["new"]


async def test_a_mistake_of_ours_does_not_block_what_follows(
    history: History, taken: Taken, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(name: str) -> None:
        if name == "advance":
            raise ZeroDivisionError

    taken.fails = fails
    history.note("one", Status.RUNNING)
    history.end("one", End(Ending.USER))
    await history.settled()
    assert [call[0] for call in taken.calls] == ["end"]
    assert history.unwritten == 0
    assert "ZeroDivisionError" in caplog.text


async def test_what_the_database_never_takes_does_not_block_what_follows(
    history: History, records: Records, caplog: pytest.LogCaptureFixture
) -> None:
    await history.begin(facts())
    nothing: Any = None
    history.end("one", End(Ending.USER, nothing))
    history.note("one", Status.RUNNING)
    history.note("one", Status.TERMINATED)
    await history.begin(facts("two"))
    assert history.unwritten == 0
    assert story(records) == ["pending", "running"]
    assert "left out" in caplog.text


async def test_a_question_is_answered_behind_what_was_noted_before(history: History) -> None:
    await history.begin(facts("one"))
    history.note("one", Status.RUNNING)
    found = await history.ask(lambda records: records.get("one"))
    assert found
    assert found.status is Status.RUNNING


async def test_a_question_to_a_database_that_is_away_is_told_as_such() -> None:
    history = History("sqlite:////dev/null/none", "hub", logging.getLogger("tests"))
    with pytest.raises(RecordsError):
        await history.ask(lambda records: records.get("one"))
    history.close()


async def test_what_is_published_is_there_with_its_time(history: History, records: Records) -> None:
    before = datetime.now(UTC)
    history.publish("news", "{}")
    await history.settled()
    news = records.published("hub", "news")
    assert news
    assert news.body == "{}"
    assert before <= news.at <= datetime.now(UTC)


async def test_of_each_kind_only_the_newest_waits_while_the_database_is_slow(
    history: History, taken: Taken
) -> None:
    slow = threading.Event()
    taken.fails = lambda _: assert_true(slow.wait(10))
    history.note("one", Status.RUNNING)
    for number in range(1000):
        history.publish("news", f"{number}")
        history.publish("more", f"{number}")
        history.note("one", Status.TERMINATING)
    assert history._executor._work_queue.qsize() <= 2
    slow.set()
    await history.settled()
    published = [call[2:4] for call in taken.calls if call[0] == "publish"]
    assert published == [("news", "999"), ("more", "999")]
    assert len(taken.calls) == 1003


def assert_true(value: object) -> None:
    assert value


async def test_what_could_not_be_published_is_published_later_unless_it_is_out_of_date(
    history: History, records: Records, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    history.publish("once", "at the start")
    await history.settled()
    with locked(file):
        history.publish("once", "again")
        for number in range(5):
            history.publish("news", f"{number}")
            await history.settled()
        history.measure({"one": Measure(1)})
        assert history.unwritten == 0
    history.retry()
    await history.settled()
    once, news = records.published("hub", "once"), records.published("hub", "news")
    assert once
    assert news
    assert (once.body, news.body) == ("again", "4")
    assert caplog.text.count("database is locked") == 1


async def test_the_last_launch_is_remembered_also_when_the_database_comes_back_later(
    history: History, records: Records, file: Path
) -> None:
    before = datetime.now(UTC)
    with locked(file):
        history.remember("ada", "first", {"cpu": ["1"]})
        history.remember("ada", "second", {"cpu": ["2"]})
        await history.settled()
        assert records.launches.of("hub", "ada") == ()
    history.retry()
    await history.settled()
    (last,) = records.launches.of("hub", "ada")
    assert (last.name, last.title, last.fields) == ("", "second", {"cpu": ["2"]})
    assert before <= last.at <= datetime.now(UTC)


async def test_a_form_that_is_too_large_is_not_remembered(
    history: History, records: Records
) -> None:
    history.remember("ada", "small", {"env": ["A=1"]})
    history.remember("ada", "large", {"env": ["x" * FIELDS_BYTES]})
    await history.settled()
    (last,) = records.launches.of("hub", "ada")
    assert last.title == "small"


async def test_no_value_of_a_field_is_in_what_is_said_of_a_database_that_is_away(
    history: History, records: Records, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert records.launches.of("hub", "ada") == ()
    with locked(file):
        history.remember("ada", "title", {"env": ["PASSWORD=tell-nobody"]})
        await history.settled()
    assert "tried again" in caplog.text
    assert "tell-nobody" not in caplog.text


async def test_measures_are_not_kept_while_the_database_is_away(
    history: History, records: Records, file: Path
) -> None:
    await history.begin(facts())
    with locked(file):
        history.note("one", Status.RUNNING)
        await history.settled()
        for _ in range(100):
            history.measure({"one": Measure(cpu=1)})
        assert history.unwritten == 1
    history.retry()
    await history.settled()
    history.measure({"one": Measure(cpu=2)})
    await history.settled()
    found = records.get("one")
    assert found
    assert found.peaks.cpu == 2


async def test_a_launch_that_is_given_up_while_it_waits_leaves_no_live_record(
    history: History, records: Records
) -> None:
    gate = threading.Event()
    history._executor.submit(gate.wait, 10)
    launch = asyncio.create_task(history.begin(facts()))
    await asyncio.sleep(0)
    launch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await launch
    history.end("one", End(Ending.CANCELLED))
    gate.set()
    await history.settled()
    assert records.live("hub", before=datetime.now(UTC)) == frozenset()


async def test_what_is_lost_at_the_end_is_said(
    file: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.01)
    history = History(f"sqlite:///{file}", "hub", LOG)
    await history.begin(facts())
    with locked(file):
        history.end("one", End(Ending.USER))
        history.close()
    assert "1 notes are lost" in caplog.text
