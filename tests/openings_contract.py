"""What records promise of openings on every database: `OpeningsContract`.

Whoever runs it has a fixture ``records`` with an open database and ``url`` with where it is;
each test has a hub of its own in it.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import fields, replace
from datetime import UTC, timedelta, timezone
from itertools import count
from typing import Any

import pytest
from sqlalchemy import text

from bai_spawner.reasons import End, Ending, Status, Tab
from bai_spawner.records import Begun, NotTaken, Opening, Records
from tests.records_contract import LIVE, NOON, facts, minutes, raw

_HUBS = count()
NOT_TEXT = ["\0", "\ud800"]
LARGEST = 2**63 - 1


@pytest.fixture
def hub() -> str:
    return f"openings{next(_HUBS)}"


def opening(session: str, app: str = "lab", **changed: Any) -> Opening:
    """An opening of an app of a session; its ID tells both."""
    one = Opening(
        id=f"{session}-{app}",
        session=session,
        app=app,
        port=31001,
        public=True,
        opened_at=NOON,
        opened_by="ada",
        opened_from="192.0.2.7",
    )
    return replace(one, **changed)


def known(records: Records, hub: str, one: str) -> Opening:
    """An opening that must be there."""
    found = records.openings.of(hub, one)
    assert found, one
    return found


def entered(records: Records, hub: str, *sessions: str, **changed: Any) -> None:
    """Sessions that run, each with the hub's name before its own."""
    every = [facts(f"{hub}{session}", hub=hub, **changed) for session in sessions]
    records.begin(*every, at=NOON, status=Status.RUNNING)


class OpeningsContract:
    """Every promise that concerns openings."""

    # ---- entering ---------------------------------------------------------------

    def test_what_was_opened_comes_back_with_the_facts_of_its_session(
        self, records: Records, hub: str
    ) -> None:
        entered(records, hub, "", user="gr\u00e4ce", server="s\u2603", name="thesis")
        given = opening(
            hub,
            "tensorboard",
            public=False,
            expires=minutes(60),
            allowed=("192.0.2.0/24", "2001:db8::/32"),
            password="a hash",
            wanted=31005,
            told="31005 is taken \u2603",
        )
        assert records.openings.begin(given) is Begun.ADDED
        found = known(records, hub, given.id)
        assert found == replace(given, user="gr\u00e4ce", server="s\u2603", name="thesis")
        assert found.password == "a hash"
        assert found.alive
        assert records.openings.open(hub) == (found,)

    def test_what_nobody_limits_comes_back_so(self, records: Records, hub: str) -> None:
        entered(records, hub, "")
        records.openings.begin(opening(hub))
        found = known(records, hub, f"{hub}-lab")
        assert (found.expires, found.allowed, found.password, found.wanted) == (None, (), "", None)
        assert (found.last_used, found.bytes_in, found.bytes_out) == (None, 0, 0)
        assert (found.closed_at, found.closed_by, found.why) == (None, "", "")

    def test_an_opening_begins_unused_and_open_whatever_it_says(
        self, records: Records, hub: str
    ) -> None:
        entered(records, hub, "")
        later = {"last_used": NOON, "bytes_in": 1, "bytes_out": 2}
        closed = {"closed_at": NOON, "closed_by": "eve", "why": "so"}
        foreign = {"user": "eve", "server": "s9", "name": "hers", "alive": False}
        records.openings.begin(opening(hub, **later, **closed, **foreign))
        expected = opening(hub, user="ada", server="s1", name="work")
        assert records.openings.open(hub) == (expected,)

    @pytest.mark.parametrize(
        "value", ["<script>alert(1)</script>", "'; DROP TABLE openings; --\"\\%_", "☃🧪ä́\t\n"]
    )
    def test_markup_quotes_and_letters_of_all_kinds_stay_as_they_are(
        self, records: Records, hub: str, value: str
    ) -> None:
        entered(records, hub, "")
        odd = opening(hub, opened_by=value, told=value, password=value, allowed=(value, ""))
        records.openings.begin(odd)
        records.openings.end(odd.id, at=NOON, by=value, why=value)
        found = known(records, hub, odd.id)
        assert (found.opened_by, found.told, found.password) == (value,) * 3
        assert (found.allowed, found.closed_by, found.why) == ((value, ""), value, value)

    @pytest.mark.parametrize("status", LIVE)
    def test_an_app_may_be_opened_as_long_as_its_session_has_not_ended(
        self, records: Records, hub: str, status: Status
    ) -> None:
        records.begin(facts(hub, hub=hub), at=NOON, status=status)
        assert records.openings.begin(opening(hub)) is Begun.ADDED

    @pytest.mark.parametrize("ending", [Ending.USER, Ending.CANCELLED, Ending.MEMORY])
    def test_no_app_is_opened_of_a_session_that_has_ended_or_never_was(
        self, records: Records, hub: str, ending: Ending
    ) -> None:
        entered(records, hub, "")
        records.end(hub, End(ending), at=NOON)
        assert records.openings.begin(opening(hub)) is Begun.ENDED
        assert records.openings.begin(opening(f"{hub}-nobody")) is Begun.ENDED
        assert records.openings.open(hub) == records.openings.ended(hub) == ()

    def test_of_one_app_of_one_session_one_opening_is_open(
        self, records: Records, hub: str
    ) -> None:
        entered(records, hub, "a", "b")
        a, b = f"{hub}a", f"{hub}b"
        for begun, expected in (
            (opening(a), Begun.ADDED),
            (opening(a, id=f"{hub}2", port=31002), Begun.TAKEN),
            (opening(a, "Lab"), Begun.ADDED),
            (opening(b), Begun.ADDED),
        ):
            assert records.openings.begin(begun) is expected
        assert {one.id for one in records.openings.open(hub)} == {
            f"{a}-lab",
            f"{a}-Lab",
            f"{b}-lab",
        }
        records.openings.end(f"{a}-lab", at=minutes(1), by="ada", why="")
        assert records.openings.begin(opening(a, id=f"{hub}2")) is Begun.ADDED

    def test_an_opening_that_is_entered_again_is_there_once_as_it_was(
        self, records: Records, hub: str
    ) -> None:
        entered(records, hub, "")
        records.openings.begin(opening(hub))
        before = records.openings.open(hub)
        assert records.openings.begin(opening(hub, port=31009)) is Begun.ADDED
        assert records.openings.open(hub) == before

    def test_an_id_that_another_opening_has_is_not_taken(self, records: Records, hub: str) -> None:
        entered(records, hub, "a", "b")
        records.openings.begin(opening(f"{hub}a", id=hub))
        before = records.openings.open(hub)
        with pytest.raises(NotTaken):
            records.openings.begin(opening(f"{hub}b", id=hub))
        assert records.openings.open(hub) == before

    def test_of_many_who_open_an_app_at_once_one_does(
        self, records: Records, url: str, hub: str
    ) -> None:
        entered(records, hub, "")
        gate = threading.Barrier(4)

        def begin(number: int) -> Begun:
            own = Records(url)
            gate.wait(30)
            begun = own.openings.begin(opening(hub, id=f"{hub}-{number}"))
            own.close()
            return begun

        with ThreadPoolExecutor(4) as pool:
            begun = list(pool.map(begin, range(4)))
        assert sorted(begun, key=lambda one: one.name) == [Begun.ADDED] + [Begun.TAKEN] * 3
        assert len(records.openings.open(hub)) == 1

    def test_who_opens_an_app_while_its_session_ends_waits_for_that(
        self, records: Records, url: str, hub: str
    ) -> None:
        entered(records, hub, "")
        ends = text(f"UPDATE sessions SET tab = '{Tab.FINISHED}' WHERE id = '{hub}'")
        with ThreadPoolExecutor(1) as pool:
            with raw(url) as connection:
                connection.execute(ends)
                begun = pool.submit(records.openings.begin, opening(hub))
                wait([begun], timeout=0.3)  # who did not wait would be done by now
            assert begun.result(30) is Begun.ENDED
        assert records.openings.open(hub) == ()

    # ---- use and ends -------------------------------------------------------------

    def test_an_end_is_noted_once_and_the_first_stays(self, records: Records, hub: str) -> None:
        entered(records, hub, "")
        records.openings.begin(opening(hub))
        one = f"{hub}-lab"
        assert records.openings.end(one, at=minutes(1), by="grace", why="no more \u2603")
        assert not records.openings.end(one, at=minutes(2), by="eve", why="mine")
        found = known(records, hub, one)
        assert (found.closed_at, found.closed_by, found.why) == (
            minutes(1),
            "grace",
            "no more \u2603",
        )
        assert records.openings.open(hub) == ()
        assert records.openings.ended(hub) == (found,)

    @pytest.mark.parametrize("one", ["nobody", "", *NOT_TEXT])
    def test_what_is_not_there_has_no_end(self, records: Records, one: str) -> None:
        assert not records.openings.end(one, at=NOON, by="ada", why="")

    def test_of_many_who_close_it_at_once_one_does(
        self, records: Records, url: str, hub: str
    ) -> None:
        entered(records, hub, "")
        records.openings.begin(opening(hub))
        gate = threading.Barrier(4)

        def end(number: int) -> str:
            own = Records(url)
            gate.wait(30)
            closed = own.openings.end(f"{hub}-lab", at=NOON, by=f"{number}", why="")
            own.close()
            return f"{number}" if closed else ""

        with ThreadPoolExecutor(4) as pool:
            (closed_by,) = filter(None, pool.map(end, range(4)))
        assert known(records, hub, f"{hub}-lab").closed_by == closed_by

    def test_how_much_it_was_used_takes_the_place_of_what_was_noted(
        self, records: Records, hub: str
    ) -> None:
        entered(records, hub, "")
        a, b, c = (f"{hub}-{app}" for app in "abc")
        for app in "abc":
            records.openings.begin(opening(hub, app))

        def noted() -> list[Any]:
            every = (known(records, hub, one) for one in (a, b, c))
            return [(one.last_used, one.bytes_in, one.bytes_out) for one in every]

        records.openings.use({b: (minutes(1), 5, 6), a: (None, 7, LARGEST), "nobody": (NOON, 1, 1)})
        records.openings.use({})
        assert noted() == [(None, 7, LARGEST), (minutes(1), 5, 6), (None, 0, 0)]
        records.openings.end(b, at=minutes(2), by="ada", why="")
        records.openings.use({b: (minutes(2), 4, 9)})
        assert noted() == [(None, 7, LARGEST), (minutes(2), 4, 9), (None, 0, 0)]

    def test_of_uses_that_are_noted_together_all_are_or_none_is(
        self, records: Records, hub: str
    ) -> None:
        entered(records, hub, "")
        nothing: Any = None
        for app in "ab":
            records.openings.begin(opening(hub, app))
        before = records.openings.open(hub)
        for wrong in (NOON.replace(tzinfo=None), 5, 6), (NOON, nothing, 6):
            with pytest.raises(NotTaken):
                records.openings.use({f"{hub}-a": (NOON, 1, 2), f"{hub}-b": wrong})
        assert records.openings.open(hub) == before

    # ---- reading ------------------------------------------------------------------

    def test_those_that_are_open_come_the_newest_first_each_users_or_everyones(
        self, records: Records, hub: str
    ) -> None:
        entered(records, hub, "a")
        entered(records, hub, "b", user="Ada")
        entered(records, f"{hub}other", "c")
        for number, (session, app) in enumerate([("a", "x"), ("b", "y"), ("a", "z"), ("a", "w")]):
            at = minutes(-number)
            records.openings.begin(opening(f"{hub}{session}", app, opened_at=at))
        records.openings.begin(opening(f"{hub}otherc"))
        records.openings.end(f"{hub}a-z", at=NOON, by="ada", why="")

        def apps(user: str | None = None) -> list[str]:
            return [one.app for one in records.openings.open(hub, user)]

        assert apps() == ["x", "y", "w"]
        assert apps("ada") == ["x", "w"]
        assert apps("Ada") == ["y"]
        for nobody in ("nobody", "", "%", *NOT_TEXT):
            assert apps(nobody) == []

    def test_those_whose_session_has_ended_are_open_until_they_are_closed(
        self, records: Records, hub: str
    ) -> None:
        entered(records, hub, "a", "b")
        for session in "ab":
            records.openings.begin(opening(f"{hub}{session}"))
        records.end(f"{hub}a", End(Ending.IDLE), at=NOON)
        alive = {one.session: one.alive for one in records.openings.open(hub)}
        assert alive == {f"{hub}a": False, f"{hub}b": True}
        assert not known(records, hub, f"{hub}a-lab").alive
        assert records.openings.end(f"{hub}a-lab", at=NOON, by="", why="its session ended")
        assert [one.session for one in records.openings.open(hub)] == [f"{hub}b"]
        assert not records.openings.ended(hub)[0].alive

    def test_those_that_are_public_are_counted_by_session_while_they_are_open(
        self, records: Records, hub: str
    ) -> None:
        entered(records, hub, "a", "private", "over")
        entered(records, hub, "b", user="Ada")
        entered(records, f"{hub}other", "c")
        for session, app in (("a", "x"), ("a", "y"), ("a", "z"), ("b", "x"), ("over", "x")):
            records.openings.begin(opening(f"{hub}{session}", app))
        records.openings.begin(opening(f"{hub}a", "mine", public=False))
        records.openings.begin(opening(f"{hub}private", public=False))
        records.openings.begin(opening(f"{hub}otherc"))
        records.openings.end(f"{hub}a-z", at=NOON, by="ada", why="")
        records.end(f"{hub}over", End(Ending.USER), at=NOON)
        assert records.openings.public(hub) == {f"{hub}a": 2, f"{hub}b": 1}
        assert records.openings.public(hub, "ada") == {f"{hub}a": 2}
        for nobody in ("nobody", "", "%", *NOT_TEXT):
            assert records.openings.public(hub, nobody) == {}
        for app in "xy":
            records.openings.end(f"{hub}a-{app}", at=NOON, by="ada", why="")
        assert records.openings.public(hub, "ada") == {}

    def test_those_that_were_closed_come_the_last_first_and_no_more_than_asked(
        self, records: Records, hub: str
    ) -> None:
        entered(records, hub, "a")
        entered(records, hub, "b", user="grace")
        entered(records, f"{hub}other", "c")
        for session, app, closed in (
            *(("a", "u", 3), ("a", "v", 1), ("b", "w", 2)),
            *(("otherc", "x", 9), ("a", "open", None)),
        ):
            one = opening(f"{hub}{session}", app)
            records.openings.begin(one)
            if closed:
                records.openings.end(one.id, at=minutes(closed), by="ada", why="")

        def apps(user: str | None = None, **asked: Any) -> list[str]:
            return [one.app for one in records.openings.ended(hub, user, **asked)]

        assert apps() == ["u", "w", "v"]
        assert apps("ada") == ["u", "v"]
        assert apps("\0") == []
        assert apps(limit=2) == ["u", "w"]
        assert apps("ada", limit=1) == ["u"]
        assert apps(limit=0) == apps(limit=-1) == []
        assert apps(limit=10**30) == apps()

    def test_those_of_one_moment_keep_one_order(self, records: Records, hub: str) -> None:
        entered(records, hub, "")
        ids = [f"{hub}-{number}" for number in (2, 0, 1)]
        for one in ids:
            records.openings.begin(opening(hub, one[-1], id=one))
        newest = sorted(ids, reverse=True)
        assert [one.id for one in records.openings.open(hub)] == newest
        for one in ids:
            records.openings.end(one, at=NOON, by="", why="")
        assert [one.id for one in records.openings.ended(hub)] == newest

    def test_one_is_found_in_its_hub_and_in_no_other(self, records: Records, hub: str) -> None:
        entered(records, hub, "")
        records.openings.begin(opening(hub))
        assert records.openings.of(hub, f"{hub}-lab")
        assert records.openings.of(f"{hub}other", f"{hub}-lab") is None
        for nobody in ("nobody", "", "%", *NOT_TEXT):
            assert records.openings.of(hub, nobody) is None

    def test_times_of_openings_come_back_in_utc(self, records: Records, hub: str) -> None:
        there = NOON.astimezone(timezone(timedelta(hours=-9)))
        entered(records, hub, "")
        records.openings.begin(opening(hub, opened_at=there, expires=there))
        records.openings.use({f"{hub}-lab": (there, 0, 0)})
        records.openings.end(f"{hub}-lab", at=there, by="", why="")
        found = known(records, hub, f"{hub}-lab")
        times = [found.opened_at, found.expires, found.last_used, found.closed_at]
        assert times == [NOON] * 4
        assert {time.tzinfo for time in times if time} == {UTC}

    def test_a_time_of_an_opening_without_a_zone_is_refused(
        self, records: Records, hub: str
    ) -> None:
        entered(records, hub, "")
        naive = NOON.replace(tzinfo=None)
        with pytest.raises(NotTaken, match="no time zone"):
            records.openings.begin(opening(hub, opened_at=naive))
        assert records.openings.open(hub) == ()

    # ---- passwords and forgetting ---------------------------------------------------

    def test_a_password_is_not_shown_with_its_opening(self, records: Records, hub: str) -> None:
        entered(records, hub, "")
        records.openings.begin(opening(hub, password="tell-nobody"))
        (found,) = records.openings.open(hub)
        assert found.password == "tell-nobody"
        assert "tell-nobody" not in f"{found} {found!r}"
        shown = {one.name for one in fields(Opening) if one.repr}
        assert shown == {one.name for one in fields(Opening)} - {"password"}

    def test_openings_go_with_their_session(self, records: Records, url: str, hub: str) -> None:
        entered(records, hub, "a", "b")
        for session in "ab":
            for app in ("x", "y"):
                records.openings.begin(opening(f"{hub}{session}", app))
        records.openings.end(f"{hub}a-x", at=NOON, by="ada", why="")
        records.end(f"{hub}a", End(Ending.USER), at=NOON)
        asked = text(f"SELECT count(*) FROM openings WHERE session = '{hub}a'")
        for left in (2, 0):
            with raw(url) as connection:
                assert connection.scalar(asked) == left
            records.purge(hub, before=minutes(1))
        assert {one.id for one in records.openings.open(hub)} == {f"{hub}b-x", f"{hub}b-y"}
        assert records.openings.ended(hub) == ()
        assert not records.openings.end(f"{hub}a-y", at=NOON, by="", why="")
