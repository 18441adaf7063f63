"""What records promise to pages on every database: `PagesContract` and `WatchesContract`.

Whoever runs them has a fixture ``records`` with an open database and ``url`` with where it is;
each test has a hub of its own in it. What is expected is worked out in Python from the
sessions one by one, as `Records.get` has them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count, product
from typing import Any

import alembic.command
import alembic.config
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from bai_spawner.reasons import End, Ending, Status, Tab
from bai_spawner.records import (
    Choices,
    Facts,
    Measure,
    Query,
    Records,
    RecordsError,
    SessionRecord,
    Sort,
    Watch,
    listing,
)
from bai_spawner.records.database import MIGRATIONS
from bai_spawner.units import GIB
from tests.records_contract import NOON, facts, minutes, raw

_HUBS = count()
NOWHERE = [-(10**30), -1, 0, 1, 2**31, 2**63, 10**30]
USERS = ("ada", "Ada", "gr\N{LATIN SMALL LETTER A WITH DIAERESIS}ce", "100%", "a_b", "a\\b/c'd")
ODD = [
    "",
    "%",
    "_",
    "%%",
    "a_",
    "/",
    "\\",
    "'",
    "\\%",
    "100%",
    "ADA",
    "\N{SNOWMAN}",
    "\0",
    "\ud800",
]
SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]

questions = st.builds(
    Query,
    tab=st.none() | st.sampled_from(Tab),
    user=st.none() | st.sampled_from([*USERS, "nobody", "%", "\0", "\ud800"]),
    text=st.sampled_from(ODD) | st.text(max_size=3) | st.text(max_size=400),
    status=st.none() | st.sampled_from(Status),
    group=st.none() | st.sampled_from(["default", "gpu", "GPU", "_", "\0"]),
    environment=st.none() | st.sampled_from(["python", "R-studio", "%", "\ud800"]),
    sort=st.sampled_from(Sort),
    descending=st.booleans(),
)


@pytest.fixture
def hub() -> str:
    return f"hub{next(_HUBS)}"


@pytest.fixture(scope="module")
def crowd(records: Records) -> tuple[SessionRecord, ...]:
    """Sessions of one hub, of which many are alike in whatever they may be sorted by."""
    drawn, hub = random.Random(7), f"crowd{next(_HUBS)}"
    ids = []
    for number, status in enumerate([*Status] * 9):
        one = _drawn(f"{hub}-{number:04x}", hub, drawn)
        ids.append(one.id)
        at = minutes(drawn.choice([0, 1, 2, 500]))
        if status.is_live:
            records.begin(one, at=at, status=status)
            continue
        records.begin(one, at=at, status=drawn.choice([Status.PENDING, Status.RUNNING]))
        endings = [ending for ending in Ending if ending.status is status]
        records.end(one.id, End(drawn.choice(endings)), at=at + timedelta(minutes=number % 3))
    # what another hub has is never seen
    for user in USERS:
        records.begin(_drawn(f"other-{hub}-{user}", f"other-{hub}", drawn, user=user), at=NOON)
    found = [records.get(one) for one in ids]
    return tuple(one for one in found if one)


def _drawn(session: str, hub: str, drawn: random.Random, **changed: Any) -> Facts:
    one = facts(
        session,
        hub=hub,
        user=drawn.choice(USERS),
        server=drawn.choice(["s1", "S_2"]),
        name=drawn.choice(["work", "Work", "100%done", "a_b", "\N{SNOWMAN}"]),
        environment=drawn.choice(["python", "R-studio"]),
        version=drawn.choice(["3.13", "3x13"]),
        group=drawn.choice(["default", "gpu"]),
        cpu=drawn.choice([1, 2, 10]),
        memory=drawn.choice([GIB, 2 * GIB]),
        quanta=drawn.choice([0, 1, 2, 4]),
        per_gpu=drawn.choice([0, 4, 8]),
    )
    return replace(one, **changed)


def lowered(value: str) -> str:
    """Without regard to the case of ASCII letters."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in value)


def is_meant(one: SessionRecord, query: Query) -> bool:
    """Whether a query asks for a session."""
    its = one.facts
    exact = [
        (query.tab, one.status.tab),
        (query.user, its.user),
        (query.status, one.status),
        (query.group, its.group),
        (query.environment, its.environment),
    ]
    texts = [its.name, its.environment, its.version, its.group, its.user, its.server]
    looked = any(lowered(query.text) in lowered(one) for one in texts)
    return looked and all(asked in {None, value} for asked, value in exact)


def expected(crowd: tuple[SessionRecord, ...], query: Query) -> list[str]:
    """The IDs of the sessions that are meant, in their order."""
    now = datetime.now(UTC)
    keys: dict[Sort, Any] = {
        Sort.NAME: lambda one: lowered(one.facts.name),
        Sort.USER: lambda one: lowered(one.facts.user),
        Sort.ENVIRONMENT: lambda one: lowered(one.facts.environment),
        Sort.GROUP: lambda one: one.facts.group,
        Sort.STATUS: lambda one: one.status.rank,
        Sort.STARTED: lambda one: one.started,
        Sort.ENDED: lambda one: one.ended,
        Sort.ELAPSED: lambda one: one.started and (one.ended or now) - one.started,
        Sort.CPU: lambda one: one.facts.cpu,
        Sort.MEMORY: lambda one: one.facts.memory,
        Sort.GPU: lambda one: one.facts.quanta / (one.facts.per_gpu or float("inf")),
    }
    meant = [one for one in crowd if is_meant(one, query)]
    is_newest_first = query.descending or query.sort is not Sort.CREATED
    meant.sort(key=lambda one: (one.created, one.facts.id), reverse=is_newest_first)
    if key := keys.get(query.sort):
        there, missing = (
            [one for one in meant if (key(one) is None) is no] for no in (False, True)
        )
        there.sort(key=key, reverse=query.descending)  # those that are alike keep their order
        meant = there + missing
    return [one.facts.id for one in meant]


def ids(found: Any) -> list[str]:
    return [one.facts.id for one in found]


class PagesContract:
    """Every promise that concerns pages."""

    # ---- which, and in which order --------------------------------------------------

    @pytest.mark.parametrize("sort", Sort)
    def test_pages_hold_every_session_once_and_in_order_however_many_are_alike(
        self, records: Records, crowd: tuple[SessionRecord, ...], sort: Sort
    ) -> None:
        hub = crowd[0].facts.hub
        for descending, tab in product((True, False), (None, *Tab)):
            query = Query(sort=sort, descending=descending, tab=tab)
            whole = expected(crowd, query)
            for size in (7, 64):
                seen = []
                for offset in range(0, len(whole) + size, size):
                    page = records.page(hub, query, offset=offset, limit=size)
                    assert page.total == len(whole)
                    seen += ids(page.sessions)
                assert seen == whole, query
            assert ids(records.each(hub, query)) == whole

    @settings(suppress_health_check=SHARED, max_examples=150)
    @given(query=questions, offset=st.sampled_from([0, 1, 5]), limit=st.sampled_from([0, 1, 6, 50]))
    def test_whatever_is_asked_exactly_that_is_found(
        self,
        records: Records,
        crowd: tuple[SessionRecord, ...],
        query: Query,
        offset: int,
        limit: int,
    ) -> None:
        hub, whole = crowd[0].facts.hub, expected(crowd, query)
        page = records.page(hub, query, offset=offset, limit=limit)
        assert page.total == len(whole)
        assert ids(page.sessions) == whole[offset : offset + limit]
        assert ids(records.each(hub, query)) == whole

    @settings(suppress_health_check=SHARED, max_examples=60)
    @given(query=questions, user=st.sampled_from([*USERS, "nobody", "", "%", "\0"]))
    def test_a_question_for_one_user_never_finds_anothers(
        self, records: Records, crowd: tuple[SessionRecord, ...], query: Query, user: str
    ) -> None:
        hub = crowd[0].facts.hub
        asked = replace(query, user=user)
        found = [*records.page(hub, asked, limit=1000).sessions, *records.each(hub, asked)]
        assert {(one.facts.hub, one.facts.user) for one in found} <= {(hub, user)}
        assert set(records.choices(hub, user).users) <= {user}
        mine = [one for one in crowd if one.facts.user == user]
        assert sum(records.counts(hub, user).values()) == len(mine)

    @pytest.mark.parametrize("character", ["%", "_", "/", "\\", "'", '"', "*", "?", "[", "\n"])
    def test_no_character_of_a_text_has_a_meaning(
        self, records: Records, hub: str, character: str
    ) -> None:
        records.begin(facts(f"{hub}-a", hub=hub, name=f"be{character}fore"), at=NOON)
        records.begin(facts(f"{hub}-b", hub=hub, name="beXfore"), at=NOON)
        for asked in (character, f"be{character}f", f"E{character}FO"):
            assert ids(records.page(hub, Query(text=asked)).sessions) == [f"{hub}-a"], asked
        assert records.page(hub, Query(text=character * 2)).total == 0

    @pytest.mark.parametrize("name", ["name", "environment", "version", "group", "user", "server"])
    def test_each_of_six_texts_is_looked_in_and_nothing_else(
        self, records: Records, hub: str, name: str
    ) -> None:
        one = facts(f"{hub}-a", hub=hub, **{name: "a Needle in it"})
        other = facts(f"{hub}-b", hub=hub, node="needle", policy="needle", folders=("needle",))
        records.begin(one, replace(other, variables=("needle",), devices=("needle",)), at=NOON)
        assert ids(records.page(hub, Query(text="NEEDLE")).sessions) == [f"{hub}-a"]
        assert records.page(hub, Query(text="needle in its")).total == 0

    def test_letters_beyond_ascii_are_looked_for_as_they_are(
        self, records: Records, hub: str
    ) -> None:
        name = "GR\N{LATIN CAPITAL LETTER A WITH DIAERESIS}CE"
        records.begin(facts(hub, hub=hub, name=name), at=NOON)
        assert records.page(hub, Query(text=f"gr{name[2]}ce")).total == 1
        assert records.page(hub, Query(text=name.lower())).total == 0

    def test_a_text_longer_than_any_value_is_nowhere(self, records: Records, hub: str) -> None:
        records.begin(facts(hub, hub=hub, name="x" * 255), at=NOON)
        for length, total in ((255, 1), (256, 0), (100_000, 0)):
            assert records.page(hub, Query(text="x" * length)).total == total

    @pytest.mark.parametrize("offset", NOWHERE)
    @pytest.mark.parametrize("limit", NOWHERE)
    def test_an_offset_or_a_limit_may_be_any_number(
        self, records: Records, crowd: tuple[SessionRecord, ...], offset: int, limit: int
    ) -> None:
        whole = expected(crowd, Query())
        page = records.page(crowd[0].facts.hub, offset=offset, limit=limit)
        assert page.total == len(whole)
        first = max(0, offset)
        assert ids(page.sessions) == whole[first : first + max(0, limit)]

    @pytest.mark.parametrize("session", ["", "\0", "a\0b", "\ud800", "%", "x" * 100_000])
    def test_an_id_may_be_any_text(self, records: Records, session: str) -> None:
        assert records.get(session) is None
        assert records.log(session) == ""

    # ---- all of them -----------------------------------------------------------------

    def test_all_are_read_some_at_a_time_and_nothing_waits_meanwhile(
        self,
        records: Records,
        crowd: tuple[SessionRecord, ...],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        open_now = []
        reading = records._database.reading

        @contextmanager
        def counted() -> Iterator[Any]:
            open_now.append(None)
            with reading() as connection:
                yield connection
            open_now.pop()

        monkeypatch.setattr(records._database, "reading", counted)
        monkeypatch.setattr(listing, "PLACES", 6)
        monkeypatch.setattr(listing, "BATCH", 2)
        for sort, descending in product(Sort, (True, False)):
            query = Query(sort=sort, descending=descending)
            seen = []
            for one in records.each(crowd[0].facts.hub, query):
                assert not open_now
                seen.append(one.facts.id)
            assert seen == expected(crowd, query)

    def test_what_changes_while_all_are_read_is_there_once_and_what_went_is_left_out(
        self, records: Records, hub: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(listing, "PLACES", 4)
        monkeypatch.setattr(listing, "BATCH", 2)
        for number in range(20):
            records.begin(facts(f"{hub}-{number:02}", hub=hub), at=minutes(number // 3))
        records.end(f"{hub}-16", End(Ending.USER), at=minutes(50))
        seen = []
        for one in records.each(hub):
            seen.append(one.facts.id)
            if len(seen) == 2:  # the place of the fourth is known already
                records.purge(hub, before=minutes(60))
                records.end(f"{hub}-05", End(Ending.USER), at=minutes(70))
                records.begin(facts(f"{hub}-new", hub=hub), at=minutes(80))
        assert seen == [f"{hub}-{number:02}" for number in reversed(range(20)) if number != 16]

    # ---- how many, and whose -----------------------------------------------------------

    def test_every_tab_is_counted_for_a_user_and_for_everyone(
        self, records: Records, crowd: tuple[SessionRecord, ...], hub: str
    ) -> None:
        for user in (None, *USERS):
            of = {tab: len(expected(crowd, Query(tab=tab, user=user))) for tab in Tab}
            assert records.counts(crowd[0].facts.hub, user) == of
        assert records.counts(hub, None) == dict.fromkeys(Tab, 0)
        assert records.counts(hub, "\0") == dict.fromkeys(Tab, 0)

    def test_there_is_to_choose_what_there_is_in_the_order_of_the_alphabet(
        self, records: Records, crowd: tuple[SessionRecord, ...], hub: str
    ) -> None:
        there = crowd[0].facts.hub
        users = tuple(sorted(USERS, key=lambda user: (user.casefold(), user)))
        assert users[-3:-1] == ("Ada", "ada")
        both = ("default", "gpu"), ("python", "R-studio")
        assert records.choices(there, None) == Choices(users, *both)
        assert records.choices(there, "100%").users == ("100%",)
        assert records.choices(there, "nobody") == Choices((), (), ())
        assert records.choices(hub, None) == Choices((), (), ())

    def test_no_more_is_there_to_choose_than_can_be_shown(
        self, records: Records, hub: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(listing, "MOST_CHOICES", 3)
        for letter in "dbeac":
            same = dict.fromkeys(["user", "group", "environment"], letter)
            records.begin(facts(f"{hub}-{letter}", hub=hub, **same), at=NOON)
        assert records.choices(hub, None) == Choices(*[("a", "b", "c")] * 3)

    # ---- those that live -----------------------------------------------------------------

    def test_all_that_live_are_told_the_newest_first(
        self, records: Records, crowd: tuple[SessionRecord, ...], hub: str
    ) -> None:
        found = records.running(crowd[0].facts.hub)
        assert ids(found) == expected(crowd, Query(tab=Tab.RUNNING))
        assert {one.status for one in found} == {s for s in Status if s.is_live}
        assert records.running(hub) == ()

    def test_a_servers_session_is_the_one_that_lives(self, records: Records, hub: str) -> None:
        for number, (user, server) in enumerate(product(("ada", "eve"), ("s1", "s2"))):
            one = facts(f"{hub}-{number}", hub=hub, user=user, server=server)
            records.begin(one, replace(one, id=f"{hub}-{number}-before"), at=NOON)
            records.end(f"{hub}-{number}-before", End(Ending.USER), at=NOON)
        records.begin(facts(f"{hub}-other", hub=f"other-{hub}", server="s3"), at=NOON)
        found = records.live_of(hub, "ada", "s2")
        assert found
        assert found.facts.id == f"{hub}-1"
        for user, server in (("ada", "s3"), ("Ada", "s1"), ("%", "s1"), ("ada", "\0")):
            assert records.live_of(hub, user, server) is None
        records.end(f"{hub}-1", End(Ending.USER), at=NOON)
        assert records.live_of(hub, "ada", "s2") is None

    def test_names_of_variables_come_back(self, records: Records, hub: str) -> None:
        one = facts(hub, hub=hub, variables=("TOKEN", "a_b"))
        records.begin(one, at=NOON)
        assert records.page(hub).sessions[0].facts == one

    # ---- versions ------------------------------------------------------------------------

    def test_each_change_that_a_page_shows_makes_another_version(
        self, records: Records, hub: str
    ) -> None:
        one = facts(f"{hub}-a", hub=hub)
        changes: list[Any] = [
            lambda: records.begin(one, at=NOON),
            lambda: records.advance(one.id, Status.RUNNING, at=NOON),
            lambda: records.warn(one.id, "its GPU is gone"),
            lambda: records.warn(one.id, ""),
            lambda: records.measure({one.id: Measure(oom_kills=1)}),
            lambda: records.measure({one.id: Measure(oom_kills=3)}),
            lambda: records.end(one.id, End(Ending.USER), at=NOON),
            lambda: records.purge(hub, before=minutes(1)),
            lambda: records.enter([(one, NOON)], status=Status.RUNNING),
        ]
        seen = [records.version(hub)]
        for change in changes:
            change()
            seen.append(records.version(hub))
            assert seen[-1] == records.version(hub)
        assert len(set(seen)) == len(seen)
        assert sorted(seen[1:]) == seen[1:]

    def test_what_no_page_shows_makes_no_other_version(self, records: Records, hub: str) -> None:
        one, other = facts(f"{hub}-a", hub=hub), facts(f"{hub}-b", hub=f"other-{hub}")
        records.begin(one, other, at=NOON)
        records.advance(one.id, Status.RUNNING, at=NOON)
        records.measure({one.id: Measure(oom_kills=2)})
        before = records.version(hub)
        records.begin(one, at=NOON)
        records.advance(one.id, Status.PREPARING, at=NOON)
        records.warn(one.id, "")
        records.measure({one.id: Measure(1.5, 2, 3, oom_kills=1), other.id: Measure(oom_kills=9)})
        records.report(one.id, at=NOON, last=NOON, busy=True, because="a cell")
        records.publish(hub, "news", "{}", at=NOON)
        records.end(other.id, End(Ending.USER), at=NOON)
        records.end("nobody", End(Ending.USER), at=NOON)
        records.purge(hub, before=NOON)
        assert records.version(hub) == before

    def test_a_change_that_fails_makes_no_other_version(
        self, records: Records, hub: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        records.begin(facts(hub, hub=hub), at=NOON)
        before = records.version(hub)

        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(Records, "_note", fail)
            with pytest.raises(RecordsError):
                records.advance(hub, Status.RUNNING, at=NOON)
        assert records.version(hub) == before

    def test_a_database_that_was_lost_or_restored_comes_to_no_version_again(
        self, records: Records, url: str, hub: str
    ) -> None:
        records.begin(facts(hub, hub=hub), at=NOON)

        def changed() -> str:
            before = records.get(hub)
            records.warn(hub, f"{before and before.warning}!")
            return records.version(hub)

        seen = {changed() for _ in range(5)}
        for was in ("number = number - 3", f"hub = 'lost-{hub}'"):
            with raw(url) as connection:
                connection.execute(text(f"UPDATE revisions SET {was} WHERE hub = '{hub}'"))
            time.sleep(0.002)  # the number is of milliseconds
            again = {changed() for _ in range(5)}
            assert not again & seen
            seen |= again

    def test_who_changes_at_once_sees_another_version_each(
        self, records: Records, url: str, hub: str
    ) -> None:
        for number in range(4):
            records.begin(facts(f"{hub}-{number}", hub=hub), at=NOON)

        def change(number: int) -> bool:
            own = Records(url)
            grew = []
            for turn in range(10):
                before = int(own.version(hub))
                own.warn(f"{hub}-{number}", f"{turn}")
                grew.append(int(own.version(hub)) > before)
            own.close()
            return all(grew)

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(change, range(4)))

    # ---- sessions from before --------------------------------------------------------------

    def test_sessions_from_before_are_on_their_tabs(self, fresh_url: str) -> None:
        before = Records(fresh_url)
        for status in Status:
            if status.is_live:
                before.begin(facts(status), at=NOON, status=status)
        for ending in Ending:
            before.begin(facts(ending.key), at=NOON)
            before.end(ending.key, End(ending), at=NOON)
        counts, running = before.counts("hub", None), before.running("hub")
        before.close()
        config = alembic.config.Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with raw(fresh_url) as connection:
            config.attributes["connection"] = connection
            alembic.command.downgrade(config, "0003")
        after = Records(fresh_url)
        assert (after.counts("hub", None), after.running("hub")) == (counts, running)
        assert all(counts.values())
        assert after.version("hub") == "0"
        after.close()


class WatchesContract:
    """Every promise that concerns watches."""

    def test_a_report_takes_the_place_of_the_one_before(self, records: Records, hub: str) -> None:
        records.begin(facts(hub, hub=hub), at=NOON)
        assert records.watches(hub) == {}
        records.report(hub, at=NOON, last=None, busy=False, because="")
        assert records.watches(hub) == {hub: Watch(hub, reported=NOON)}
        records.report(hub, at=minutes(2), last=minutes(1), busy=True, because="a cell runs \u2603")
        said = Watch(hub, minutes(2), minutes(1), busy=True, because="a cell runs \u2603")
        assert records.watches(hub) == {hub: said}

    def test_what_a_session_and_what_its_user_say_stand_beside_each_other(
        self, records: Records, hub: str
    ) -> None:
        records.begin(facts(hub, hub=hub), at=NOON)
        records.keep(hub, at=minutes(1))
        assert records.extend(hub, most=2)
        assert records.watches(hub) == {hub: Watch(hub, kept=minutes(1), extensions=1)}
        records.report(hub, at=minutes(2), last=NOON, busy=True, because="a job")
        records.keep(hub, at=minutes(3))
        assert records.extend(hub, most=2)
        said = Watch(hub, minutes(2), NOON, True, "a job", kept=minutes(3), extensions=2)
        assert records.watches(hub) == {hub: said}

    def test_only_sessions_that_live_are_watched(self, records: Records, hub: str) -> None:
        for session, whose in (("a", hub), ("b", hub), ("c", f"other-{hub}")):
            records.begin(facts(f"{hub}-{session}", hub=whose), at=NOON)
            records.keep(f"{hub}-{session}", at=NOON)
        records.end(f"{hub}-b", End(Ending.IDLE), at=NOON)
        for gone in (f"{hub}-b", "nobody"):
            records.report(gone, at=minutes(9), last=None, busy=True, because="")
            records.keep(gone, at=minutes(9))
            assert not records.extend(gone, most=9)
        assert set(records.watches(hub)) == {f"{hub}-a"}
        assert set(records.watches(f"other-{hub}")) == {f"{hub}-c"}
        assert records.watch(f"{hub}-a") == records.watches(hub)[f"{hub}-a"]
        assert records.watch(f"{hub}-b") is None
        assert records.watch("nobody") is None

    def test_a_watch_goes_with_its_session(self, records: Records, url: str, hub: str) -> None:
        records.begin(facts(hub, hub=hub), at=NOON)
        records.keep(hub, at=NOON)
        records.end(hub, End(Ending.IDLE), at=NOON)
        asked = text(f"SELECT count(*) FROM watches WHERE session = '{hub}'")
        for left in (1, 0):
            with raw(url) as connection:
                assert connection.scalar(asked) == left
            records.purge(hub, before=minutes(1))

    def test_no_more_extensions_are_given_than_there_are(self, records: Records, hub: str) -> None:
        records.begin(facts(hub, hub=hub), at=NOON)
        assert not records.extend(hub, most=0)
        assert records.watches(hub) == {}
        given_out = [records.extend(hub, most=most) for most in (1, 1, 3, 3, 3, 1, 0)]
        assert given_out == [True, False, True, True, False, False, False]
        assert records.watches(hub)[hub].extensions == 3

    def test_who_asks_at_once_is_given_no_more(self, records: Records, url: str, hub: str) -> None:
        records.begin(facts(hub, hub=hub), at=NOON)

        def ask(_: int) -> int:
            own = Records(url)
            given_out = sum(own.extend(hub, most=5) for _ in range(3))
            own.close()
            return given_out

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(ask, range(4))) == 5
        assert records.watches(hub)[hub].extensions == 5
