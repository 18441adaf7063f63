"""What records promise on every database: `RecordsContract`, run on SQLite and PostgreSQL.

Whoever runs it has a fixture ``records`` with an open, empty database, and a fixture
``url`` with one that nobody opened yet.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import count, pairwise, product
from typing import Any

import alembic.command
import alembic.config
import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from bai_spawner.enforcement import Enforcement, Faults, Level
from bai_spawner.labels import GpuCap
from bai_spawner.reasons import End, Ending, Status, Tab
from bai_spawner.records import (
    LAST,
    MOST_TEMPLATES,
    Facts,
    Held,
    KeptLaunch,
    Measure,
    NotTaken,
    Outcome,
    Query,
    Records,
    RecordsError,
)
from bai_spawner.records import records as module
from bai_spawner.records.database import MIGRATIONS
from bai_spawner.records.tables import metadata
from bai_spawner.units import GIB
from tests.deployment import REPO

NOON = datetime(2026, 2, 28, 12, 0, 0, 123456, tzinfo=UTC)
LIVE = [status for status in Status if status.is_live]
EXAMPLES = count()


def minutes(number: float) -> datetime:
    """A time, so many minutes after noon."""
    return NOON + timedelta(minutes=number)


def facts(session: str = "one", **changed: Any) -> Facts:
    """A session."""
    one = Facts(
        id=session,
        hub="hub",
        user="ada",
        server="s1",
        name="work",
        environment="python",
        version="3.13",
        group="default",
        node="local",
        policy="everyone",
        cpu=2,
        memory=4 * GIB,
        shm=GIB,
        quanta=3,
        per_gpu=4,
        folders=("data", "home"),
    )
    return replace(one, **changed)


def launch(name: str = "gpu", *, at: datetime = NOON, **changed: Any) -> KeptLaunch:
    """A launch that somebody keeps."""
    fields = {"environment": ["python"], "new_folder": ["a", "b"], "env": ["A=1\r\nB=2"]}
    return KeptLaunch(name, "python · small", fields | changed, at)


def known(records: Records, session: str = "one") -> Any:
    """A session that must be there."""
    found = records.get(session)
    assert found, session
    return found


@contextmanager
def raw(url: str) -> Iterator[Connection]:
    """The database, past the records; what is changed stays."""
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        yield connection


class RecordsContract:
    """Every promise of the records."""

    # ---- entering ---------------------------------------------------------------

    def test_what_is_entered_comes_back_as_it_was(self, records: Records) -> None:
        records.begin(facts(), at=NOON)
        found = known(records)
        assert (found.facts, found.status, found.created) == (facts(), Status.PENDING, NOON)
        assert (found.started, found.ended, found.end, found.elapsed) == (None, None, None, None)
        assert found.peaks == Measure()
        assert [(change.status, change.at) for change in found.changes] == [(Status.PENDING, NOON)]

    def test_a_session_that_is_entered_twice_is_there_once_as_it_was_first(
        self, records: Records
    ) -> None:
        records.begin(facts(), at=NOON)
        records.advance("one", Status.PREPARING, at=minutes(1))
        before = known(records)
        records.begin(facts(user="eve"), at=minutes(2))
        records.enter([(facts(), minutes(3)), (facts("two"), minutes(3))], status=Status.RUNNING)
        assert known(records) == before
        assert known(records, "two").started == minutes(3)
        assert records.page("hub").total == 2

    def test_a_session_that_is_found_twice_at_once_is_there_once(self, records: Records) -> None:
        records.enter([(facts(), NOON), (facts(), NOON)], status=Status.RUNNING)
        assert records.page("hub").total == 1

    def test_entering_nothing_changes_nothing(self, records: Records) -> None:
        records.enter([], status=Status.RUNNING)
        assert records.page("hub").total == 0

    def test_many_are_entered_at_once_each_with_its_time(self, records: Records) -> None:
        each = [(facts(f"s{n}"), minutes(n)) for n in range(2500)]
        records.enter(each, status=Status.RUNNING)
        assert records.page("hub", limit=1).total == 2500
        one = known(records, "s2499")
        assert (one.created, one.started, one.changes[0].at) == (minutes(2499),) * 3

    @pytest.mark.parametrize(
        "value", ["<script>alert(1)</script>&amp;", "'; DROP TABLE sessions; --\"\\%_", "☃🧪ä́\t\n"]
    )
    def test_markup_quotes_and_letters_of_all_kinds_stay_what_they_are(
        self, records: Records, value: str
    ) -> None:
        odd = facts(user=value, server=value, name=value, environment=value, folders=(value, ""))
        records.begin(odd, at=NOON)
        records.end("one", End(Ending.START, value), value, at=NOON)
        found = known(records)
        assert (found.facts, found.end.detail, records.log("one")) == (odd, value, value)
        assert records.page("hub", Query(user=value)).sessions[0].facts == odd
        records.publish("hub", value, value, at=NOON)
        news = records.published("hub", value)
        assert news
        assert news.body == value

    @pytest.mark.parametrize("letter", ["x", "🧪"])
    def test_names_of_255_characters_are_kept_whole(self, records: Records, letter: str) -> None:
        long = letter * 255
        names = dict.fromkeys(["hub", "user", "server", "name", "environment", "version"], long)
        one = facts("i" * 64, **names, group=long, node=long, policy=long)
        records.begin(one, at=NOON)
        assert records.page(long, Query(user=long)).sessions[0].facts == one

    def test_the_largest_amounts_are_kept(self, records: Records) -> None:
        most = facts(cpu=65_536, memory=2**63 - 1, shm=2**63 - 1, quanta=2**31 - 1)
        records.begin(most, at=NOON)
        used = Measure(65_536.5, 2**63 - 1, 2**63 - 1, 1e15, 2**63 - 1, 2**63 - 1, 2**31 - 1)
        records.measure({"one": used})
        found = known(records)
        assert (found.facts, found.peaks) == (most, used)

    # ---- statuses and ends --------------------------------------------------------

    def test_a_status_never_goes_back(self, records: Records) -> None:
        records.begin(facts(), at=NOON)
        records.advance("one", Status.RUNNING, at=minutes(2))
        records.advance("one", Status.PREPARING, at=minutes(3))
        records.advance("one", Status.RUNNING, at=minutes(4))
        found = known(records)
        assert (found.status, found.started) == (Status.RUNNING, minutes(2))
        assert [change.status for change in found.changes] == [Status.PENDING, Status.RUNNING]

    def test_a_session_does_not_come_to_its_end_without_a_reason(self, records: Records) -> None:
        records.begin(facts(), at=NOON)
        for status in set(Status) - set(LIVE):
            with pytest.raises(ValueError, match="with a reason"):
                records.advance("one", status, at=NOON)
        assert known(records).status is Status.PENDING

    def test_an_end_is_one_change_and_the_first_reason_stays(self, records: Records) -> None:
        records.begin(facts(), at=NOON)
        records.advance("one", Status.RUNNING, at=minutes(1))
        records.end("one", End(Ending.MEMORY, "4 GiB granted", 137), at=minutes(3))
        first = known(records)
        records.end("one", End(Ending.USER), at=minutes(4))
        records.advance("one", Status.TERMINATING, at=minutes(5))
        assert known(records) == first
        assert first.end == End(Ending.MEMORY, "4 GiB granted", 137)
        assert (first.status, first.ended) == (Status.ERROR, minutes(3))
        assert first.elapsed == timedelta(minutes=2)
        assert [c.status for c in first.changes] == [Status.PENDING, Status.RUNNING, Status.ERROR]
        assert records.page("hub").total == 1

    def test_every_ending_is_kept(self, records: Records) -> None:
        for ending in Ending:
            records.begin(facts(ending.key), at=NOON)
            records.end(ending.key, End(ending), at=NOON)
            found = known(records, ending.key)
            assert (found.end, found.status) == (End(ending), ending.status)

    @settings(
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.differing_executors,
            HealthCheck.too_slow,
        ]
    )
    @given(calls=st.lists(st.sampled_from([*LIVE, *Ending]), max_size=8))
    def test_whatever_is_noted_in_whatever_order_a_session_has_one_story(
        self, records: Records, calls: list[Status | Ending]
    ) -> None:
        one = f"example{next(EXAMPLES)}"
        records.begin(facts(one), at=NOON)
        expected = [(Status.PENDING, NOON)]
        end: Ending | None = None
        for number, call in enumerate(calls, 1):
            if isinstance(call, Ending):
                records.end(one, End(call), at=minutes(number))
                if end is None:
                    end = call
                    expected.append((call.status, minutes(number)))
            else:
                records.advance(one, call, at=minutes(number))
                if end is None and call.rank > expected[-1][0].rank:
                    expected.append((call, minutes(number)))
        found = known(records, one)
        assert [(change.status, change.at) for change in found.changes] == expected
        assert all(a.status.rank < b.status.rank for a, b in pairwise(found.changes))
        assert found.status is expected[-1][0]
        assert found.started == dict(expected).get(Status.RUNNING)
        assert (found.end.ending if found.end else None) is end
        assert (found.ended is None) is (end is None)

    def test_what_is_noted_of_nobody_is_ignored(self, records: Records) -> None:
        records.begin(facts(), at=NOON)
        records.advance("nobody", Status.RUNNING, at=NOON)
        records.end("nobody", End(Ending.USER), "a log", at=NOON)
        records.measure({"nobody": Measure(1, 2, 3)})
        assert records.get("nobody") is None
        assert records.log("nobody") == ""
        assert records.page("hub").total == 1

    # ---- logs -----------------------------------------------------------------------

    def test_the_first_log_stays_and_may_come_after_the_end(self, records: Records) -> None:
        records.begin(facts(), at=NOON)
        records.end("one", End(Ending.EXITED), at=NOON)
        assert records.log("one") == ""
        records.end("one", End(Ending.EXITED), "first", at=NOON)
        records.end("one", End(Ending.EXITED), "second", at=NOON)
        assert records.log("one") == "first"

    def test_of_a_long_log_the_end_is_kept_and_takes_little_room(
        self, records: Records, url: str
    ) -> None:
        records.begin(facts(), at=NOON)
        records.end("one", End(Ending.EXITED), "x" * module.LOG_BYTES + "the end\n", at=NOON)
        kept = records.log("one")
        assert len(kept) == module.LOG_BYTES
        assert kept.endswith("xthe end\n")
        with raw(url) as connection:
            packed = bytes(connection.scalar(text("SELECT content FROM logs")))
        assert len(packed) < module.LOG_BYTES / 100
        assert zlib.decompress(packed).decode() == kept

    def test_a_log_is_cut_between_characters(self, records: Records) -> None:
        for letter, over in product(["ä", "€", "🧪"], range(4)):
            one = f"{letter}{over}"
            log = letter * module.LOG_BYTES + "." * over
            records.begin(facts(one), at=NOON)
            records.end(one, End(Ending.EXITED), log, at=NOON)
            kept = records.log(one)
            assert log.endswith(kept)
            missing = module.LOG_BYTES - len(kept.encode())
            assert 0 <= missing < len(letter.encode())

    def test_what_a_session_prints_survives_whatever_it_is(self, records: Records) -> None:
        printed = "\0 NUL \x1b[31mred\x1b[0m 🧪\r\n\x00"
        records.begin(facts(), at=NOON)
        records.end("one", End(Ending.EXITED), f"{printed}\ud800", at=NOON)
        assert records.log("one") == f"{printed}?"

    # ---- peaks and news -------------------------------------------------------------

    def test_of_each_value_the_larger_one_stays(self, records: Records) -> None:
        records.enter([(facts("one"), NOON), (facts("two"), NOON)], status=Status.RUNNING)
        records.measure({"one": Measure(1.5, 2**40, 30, 4.5, 50, 60, 7), "two": Measure()})
        records.measure({"one": Measure(0.5, 2**41, 20, 5.5, 0, 61, 6)})
        records.measure({})
        assert known(records).peaks == Measure(1.5, 2**41, 30, 5.5, 50, 61, 7)
        assert known(records, "two").peaks == Measure()

    def test_what_a_user_holds_is_what_their_live_sessions_were_granted(
        self, records: Records
    ) -> None:
        assert records.held("hub", "ada", 4) == Held(0, 0, 0, 0, frozenset())
        one = replace(facts("one"), user="ada", cpu=1, memory=GIB, quanta=2, name="first")
        records.begin(one, replace(one, id="two", name="second", cpu=3), at=NOON)
        records.begin(replace(one, id="ended", name="ended"), at=NOON)
        records.end("ended", End(Ending.USER), at=minutes(1))
        records.begin(replace(one, id="theirs", user="grace"), at=NOON)
        records.begin(replace(one, id="elsewhere", hub="another hub"), at=NOON)
        records.advance("two", Status.RUNNING, at=minutes(1))
        names = frozenset({"first", "second"})
        assert records.held("hub", "ada", 4) == Held(2, 4, 2 * GIB, 4, names)

    def test_what_a_user_holds_is_known_of_each_resource_group(self, records: Records) -> None:
        assert records.held_by_group("hub", "ada", 4) == {}
        one = replace(facts("one"), user="ada", group="a", cpu=1, memory=GIB, quanta=2, per_gpu=4)
        records.begin(one, replace(one, id="two", name="second", cpu=3), at=NOON)
        records.begin(replace(one, id="other", name="third", group="b", quanta=0), at=NOON)
        records.begin(replace(one, id="ended", group="c"), at=NOON)
        records.end("ended", End(Ending.USER), at=minutes(1))
        records.begin(replace(one, id="theirs", user="grace"), at=NOON)
        records.begin(replace(one, id="elsewhere", hub="another hub"), at=NOON)
        assert records.held_by_group("hub", "ada", 8) == {
            "a": Held(2, 4, 2 * GIB, 8, frozenset({one.name, "second"})),
            "b": Held(1, 1, GIB, 0, frozenset({"third"})),
        }

    def test_what_is_held_counts_in_the_units_of_now_rounded_up_on_each_device(
        self, records: Records
    ) -> None:
        one = replace(facts("one"), user="ada", quanta=1, per_gpu=4, devices=("GPU-a",))
        two = replace(one, id="two", name="second", quanta=2, devices=("GPU-a", "GPU-b"))
        records.begin(one, two, at=NOON)
        assert records.held("hub", "ada", 4).quanta == 3
        assert records.held("hub", "ada", 8).quanta == 6
        assert records.held("hub", "ada", 3).quanta == 3, "3/4 of a unit is one of each"
        assert records.held("hub", "ada", 1).quanta == 3

    def test_what_a_session_has_of_its_gpus_and_what_is_wrong_with_it_come_back(
        self, records: Records
    ) -> None:
        cap = GpuCap("memcap", 16179, 20, Enforcement(Level.SESSION, Level.NONE, Faults.CONTEXTS))
        asked = replace(facts("one"), quanta=1, per_gpu=5, gpu=cap, devices=("GPU-a",))
        records.begin(asked, at=NOON)
        assert known(records).facts == asked
        records.warn("one", "its GPU is gone")
        assert known(records).warning == "its GPU is gone"
        records.warn("one", "")
        assert known(records).warning == ""

    def test_what_is_published_takes_the_place_of_what_was(self, records: Records) -> None:
        assert records.published("hub", "news") is None
        records.publish("hub", "news", "{}", at=NOON)
        records.publish("hub", "other", "other", at=NOON)
        records.publish("another hub", "news", "another", at=NOON)
        records.publish("hub", "news", '{"☃": 1}', at=minutes(1))
        news = records.published("hub", "news")
        assert news
        assert (news.body, news.at) == ('{"☃": 1}', minutes(1))

    # ---- times ------------------------------------------------------------------------

    def test_times_come_back_in_utc(self, records: Records) -> None:
        there = NOON.astimezone(timezone(timedelta(hours=5, minutes=45)))
        records.begin(facts(), at=there)
        records.advance("one", Status.RUNNING, at=there)
        records.end("one", End(Ending.USER), at=there)
        records.publish("hub", "news", "", at=there)
        found = known(records)
        news = records.published("hub", "news")
        assert news
        times = [found.created, found.started, found.ended, found.changes[0].at, news.at]
        assert times == [NOON] * 5
        assert {time.tzinfo for time in times} == {UTC}

    def test_a_time_without_a_zone_is_refused(self, records: Records) -> None:
        naive = NOON.replace(tzinfo=None)
        with pytest.raises(NotTaken, match="no time zone"):
            records.begin(facts(), at=naive)
        assert records.get("one") is None

    # ---- transactions -----------------------------------------------------------------

    def test_no_row_is_half_written(
        self, records: Records, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        records.begin(facts(), at=NOON)
        before = known(records)

        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(Records, "_note", fail)
            with pytest.raises(RecordsError, match=r"cannot write the records.*No space left"):
                records.advance("one", Status.RUNNING, at=NOON)
            with pytest.raises(RecordsError):
                records.end("one", End(Ending.USER), "a log", at=NOON)
        with monkeypatch.context() as patch:
            patch.setattr(module, "_packed", fail)
            with pytest.raises(RecordsError):
                records.end("one", End(Ending.USER), "a log", at=NOON)
        nothing: Any = None
        with pytest.raises(NotTaken):
            records.enter([(facts("a"), NOON), (facts(nothing), NOON)], status=Status.RUNNING)
        assert known(records) == before
        assert records.log("one") == ""
        assert records.get("a") is None

    # ---- reading ------------------------------------------------------------------------

    def test_live_are_those_that_have_not_ended_of_this_hub_from_before(
        self, records: Records
    ) -> None:
        for number, status in enumerate(LIVE):
            records.begin(facts(status), at=minutes(number), status=status)
        records.begin(facts("ended"), at=NOON)
        records.end("ended", End(Ending.USER), at=NOON)
        records.begin(facts("other", hub="another hub"), at=NOON)
        assert records.live("hub", before=minutes(99)) == frozenset(LIVE)
        assert records.live("hub", before=minutes(1)) == {"pending"}
        assert records.live("hub", before=NOON) == frozenset()

    def test_a_page_shows_the_newest_first(self, records: Records) -> None:
        for number in (3, 1, 2, 5, 4):
            records.begin(facts(f"s{number}"), at=minutes(number))
        records.begin(facts("unseen", hub="another hub"), at=minutes(9))

        def page(**asked: Any) -> tuple[list[str], int]:
            found = records.page("hub", **asked)
            return [one.facts.id for one in found.sessions], found.total

        assert page() == (["s5", "s4", "s3", "s2", "s1"], 5)
        assert page(limit=2) == (["s5", "s4"], 5)
        assert page(offset=2, limit=2) == (["s3", "s2"], 5)
        assert page(offset=4, limit=2) == (["s1"], 5)
        assert page(offset=5, limit=2) == ([], 5)
        assert page(limit=0) == ([], 5)

    def test_pages_hold_everyone_once_also_of_one_moment(self, records: Records) -> None:
        each = {f"s{number}" for number in range(23)}
        records.enter([(facts(one), NOON) for one in sorted(each)], status=Status.RUNNING)
        pages = [records.page("hub", offset=offset, limit=5) for offset in range(0, 23, 5)]
        seen = [one.facts.id for page in pages for one in page.sessions]
        assert (len(seen), set(seen)) == (23, each)

    def test_a_page_is_of_one_user_and_one_tab_when_asked(self, records: Records) -> None:
        for user in ("ada", "Ada", "grace"):
            records.begin(facts(f"{user}-live", user=user), at=NOON)
            for number, ending in enumerate((Ending.USER, Ending.CANCELLED, Ending.MEMORY)):
                records.begin(facts(f"{user}{ending.key}", user=user), at=minutes(number))
                records.end(f"{user}{ending.key}", End(ending), at=minutes(9))

        def ids(**asked: Any) -> set[str]:
            found = records.page("hub", Query(**asked))
            assert found.total == len(found.sessions)
            return {one.facts.id for one in found.sessions}

        assert ids(user="nobody") == set()
        mine = {"ada-live", "adauser", "adacancelled", "adaout-of-memory"}
        assert ids(user="ada") == mine
        assert ids(tab=Tab.RUNNING) == {"ada-live", "Ada-live", "grace-live"}
        assert ids(user="ada", tab=Tab.FINISHED) == {"adauser", "adacancelled"}
        assert ids(user="ada", tab=Tab.OTHERS) == {"adaout-of-memory"}
        assert sum(len(ids(tab=tab)) for tab in Tab) == len(ids())

    # ---- launches that are kept ---------------------------------------------------------

    def test_a_template_comes_back_as_it_was_kept(self, records: Records) -> None:
        there = NOON.astimezone(timezone(timedelta(hours=-9)))
        assert records.launches.of("hub", "ada") == ()
        kept = records.launches.put("hub", "ada", launch(at=there), replace=False)
        assert kept is Outcome.ADDED
        assert records.launches.of("hub", "ada") == (launch(),)

    @pytest.mark.parametrize(
        "value",
        ["<script>alert(1)</script>", "'; DROP TABLE launches; --\"\\%_{0}", "☃🧪ä́\t\n\0\ud800"],
        ids=["markup", "quotes", "letters"],
    )
    def test_fields_hold_whatever_was_typed(self, records: Records, value: str) -> None:
        odd = launch(env=[value, ""], **{f"mount:{value}": [value], "alone": []})
        records.launches.put("hub", "ada", odd, replace=False)
        assert records.launches.of("hub", "ada") == (odd,)

    def test_of_the_last_launches_one_is_kept_beside_the_templates(self, records: Records) -> None:
        records.launches.put("hub", "ada", launch("A"), replace=False)
        for number in range(3):
            last = launch("whatever", at=minutes(number), cpu=[f"{number}"])
            records.launches.remember("hub", "ada", last)
        first, *templates = records.launches.of("hub", "ada")
        assert (first.name, first.at, first.fields["cpu"]) == (LAST, minutes(2), ["2"])
        assert templates == [launch("A")]

    def test_a_template_gives_way_only_when_it_may(self, records: Records) -> None:
        first, second = launch(), launch(at=minutes(1), cpu=["2"])
        for kept, may, outcome in (
            (first, True, Outcome.ADDED),
            (second, False, Outcome.TAKEN),
            (second, True, Outcome.REPLACED),
            (second, True, Outcome.REPLACED),
        ):
            before = records.launches.of("hub", "ada")
            assert records.launches.put("hub", "ada", kept, replace=may) is outcome
            expected = before if outcome is Outcome.TAKEN else (kept,)
            assert records.launches.of("hub", "ada") == expected

    def test_a_template_gets_another_name_that_is_free(self, records: Records) -> None:
        for name in ("a", "b"):
            records.launches.put("hub", "ada", launch(name), replace=False)
        records.launches.remember("hub", "ada", launch())
        for name, new, outcome in (
            ("a", "b", Outcome.TAKEN),
            ("c", "d", Outcome.UNKNOWN),
            ("a", "a", Outcome.RENAMED),
            ("a", "A", Outcome.RENAMED),
        ):
            assert records.launches.rename("hub", "ada", name, new) is outcome
        assert records.launches.of("hub", "ada")[1:] == (launch("A"), launch("b"))

    def test_what_is_deleted_is_gone_and_nothing_else(self, records: Records) -> None:
        for name in ("a", "b"):
            records.launches.put("hub", "ada", launch(name), replace=False)
        assert records.launches.delete("hub", "ada", "a")
        assert not records.launches.delete("hub", "ada", "a")
        assert records.launches.of("hub", "ada") == (launch("b"),)

    def test_one_more_template_than_there_may_be_is_refused(self, records: Records) -> None:
        records.launches.remember("hub", "ada", launch())
        for number in range(MOST_TEMPLATES):
            kept = records.launches.put("hub", "ada", launch(f"{number}"), replace=False)
            assert kept is Outcome.ADDED
        assert records.launches.put("hub", "ada", launch("x"), replace=True) is Outcome.FULL
        assert records.launches.put("hub", "ada", launch("7"), replace=True) is Outcome.REPLACED
        assert records.launches.put("hub", "eve", launch("x"), replace=False) is Outcome.ADDED
        assert len(records.launches.of("hub", "ada")) == MOST_TEMPLATES + 1

    def test_many_at_once_do_not_get_past_the_most(self, records: Records, url: str) -> None:
        for number in range(MOST_TEMPLATES - 1):
            records.launches.put("hub", "ada", launch(f"{number}"), replace=False)
        gate = threading.Barrier(4)

        def put(number: int) -> Outcome:
            own = Records(url)
            gate.wait(30)
            outcome = own.launches.put("hub", "ada", launch(f"new{number}"), replace=False)
            own.close()
            return outcome

        with ThreadPoolExecutor(4) as pool:
            outcomes = list(pool.map(put, range(4)))
        assert sorted(outcomes, key=lambda one: one.name) == [Outcome.ADDED] + [Outcome.FULL] * 3

    def test_nobody_reaches_what_another_keeps(self, records: Records) -> None:
        mine = launch("mine")
        records.launches.put("hub", "ada", mine, replace=False)
        for hub, user in (("hub", "Ada"), ("hub", ""), ("another hub", "ada"), ("hub", "%")):
            assert records.launches.of(hub, user) == ()
            assert not records.launches.delete(hub, user, "mine")
            assert records.launches.rename(hub, user, "mine", "x") is Outcome.UNKNOWN
            records.launches.put(hub, user, launch("mine", cpu=["9"]), replace=True)
            records.launches.remember(hub, user, launch())
        assert records.launches.of("hub", "ada") == (mine,)

    def test_what_a_user_kept_goes_with_them_and_follows_a_new_name(self, records: Records) -> None:
        mine = launch("mine")
        for user in ("ada", "eve"):
            records.launches.put("hub", user, mine, replace=False)
            records.launches.remember("hub", user, launch())
        records.launches.put("another hub", "ada", mine, replace=False)
        records.launches.move("hub", "eve", "evelyn")
        records.launches.forget("hub", "ada")
        assert records.launches.of("hub", "ada") == records.launches.of("hub", "eve") == ()
        assert [kept.name for kept in records.launches.of("hub", "evelyn")] == ["", "mine"]
        assert records.launches.of("another hub", "ada") == (mine,)

    # ---- forgetting ---------------------------------------------------------------------

    def test_only_what_ended_long_ago_is_forgotten_with_all_that_belongs_to_it(
        self, records: Records, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "PURGE_ROWS", 3)
        for number in range(7):
            records.begin(facts(f"old{number}"), at=NOON)
            records.end(f"old{number}", End(Ending.USER), "a log", at=minutes(1))
        records.begin(facts("new"), at=NOON)
        records.end("new", End(Ending.USER), "a log", at=minutes(3))
        records.begin(facts("live"), at=NOON)
        records.begin(facts("other", hub="another hub"), at=NOON)
        records.end("other", End(Ending.USER), at=minutes(1))
        begun: list[None] = []
        monkeypatch.setattr(
            records._database, "writing", _counted(records._database.writing, begun)
        )
        assert records.purge("hub", before=minutes(2)) == 7
        assert len(begun) == 3
        assert records.purge("hub", before=minutes(2)) == 0
        assert {one.facts.id for one in records.page("hub").sessions} == {"new", "live"}
        assert records.log("new") == "a log"
        assert records.get("other")
        with raw(url) as connection:
            for table in ("changes", "logs"):
                left = set(connection.scalars(text(f"SELECT session FROM {table}")))
                assert left <= {"new", "live", "other"}

    # ---- the schema -----------------------------------------------------------------------

    def test_from_nothing_the_migrations_make_the_tables(self, records: Records, url: str) -> None:
        with raw(url) as connection:
            options = {"version_table": "bai_version", "compare_server_default": True}
            context = MigrationContext.configure(connection, opts=options)
            assert compare_metadata(context, metadata) == []

    def test_the_migrations_lead_back_to_nothing_and_forth_again(self, url: str) -> None:
        Records(url).close()
        config = alembic.config.Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with raw(url) as connection:
            config.attributes["connection"] = connection
            alembic.command.downgrade(config, "base")
        with raw(url) as connection:
            assert sqlalchemy.inspect(connection).get_table_names() == ["bai_version"]
        again = Records(url)
        again.begin(facts(), at=NOON)
        again.close()

    def test_opening_again_changes_nothing(self, records: Records, url: str) -> None:
        records.begin(facts(), at=NOON)
        for _ in range(2):
            another = Records(url)
            assert another.get("one") == known(records)
            another.close()

    def test_a_database_of_a_newer_version_is_refused_and_left_alone(self, url: str) -> None:
        Records(url).close()
        with raw(url) as connection:
            connection.execute(text("UPDATE bai_version SET version_num = '9999'"))
        with pytest.raises(RecordsError, match=r"newer version of bai-spawner.*9999"):
            Records(url)
        with raw(url) as connection:
            assert connection.scalar(text("SELECT version_num FROM bai_version")) == "9999"

    def test_two_processes_that_open_an_empty_database_at_once_both_can(self, url: str) -> None:
        open_at_once([url])
        Records(url).close()


def open_at_once(urls: Sequence[str]) -> None:
    """Let two processes open each of these databases at the same moment."""
    program = """
import sys
from bai_spawner.records import Records
print("ready", flush=True)
for url in sys.stdin:
    Records(url.strip()).close()
    print("done", flush=True)
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=REPO,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for url in [*urls, ""]:
        answers = [process.stdout.readline() for process in processes if process.stdout]
        if answers not in (["ready\n"] * 2, ["done\n"] * 2):
            break
        for process in processes:
            if url and process.stdin:
                process.stdin.write(f"{url}\n")
                process.stdin.flush()
    said = [process.communicate(timeout=60)[1] for process in processes]
    assert said == ["", ""]


def _counted(writing: Any, begun: list[None]) -> Any:
    """The same, noting each time."""

    def counting() -> Any:
        begun.append(None)
        return writing()

    return counting
