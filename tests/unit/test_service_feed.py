"""What viewers are told as it changes: one look for all of them, and nothing of others."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import pytest

from bai_spawner.reasons import Status, Tab
from bai_spawner.records import Measure, RecordsError

pytest.importorskip("jupyterhub")

from bai_spawner.service.feed import MOST_VIEWS, Feed, State, TooMany, View, Viewer, own_version
from bai_spawner.service.model import Seen
from tests.recorded import a_facts, a_record, minutes

ADA, GRACE, ROOT = Viewer("ada"), Viewer("grace"), Viewer("root", sees_all=True)
EVERY = 0.01
USE = {
    "cpu": 0.5,
    "memory": 1,
    "disk": 2,
    "processes": 3,
    "oom_kills": 0,
    "gpu_memory": {"GPU-a": 4},
}
USED = {"cpu": 0.5, "memory": 1, "disk": 2, "processes": 3, "oom_kills": 0, "gpu_memory": 4}
LIVE = (
    a_record(facts=a_facts("a1", user="ada")),
    a_record(Status.PENDING, facts=a_facts("g1", user="grace")),
)
SEEN = Seen(minutes(5), {"a1": USE, "g1": USE, "gone": USE}, {"a1": {"why": "idle"}, "gone": {}})


class Books:
    """The records, as a feed reads them; ``looks`` counts how often."""

    def __init__(self) -> None:
        self.state = State(LIVE, SEEN)
        self.looks = 0
        self.viewers: Collection[Viewer] = ()
        self.trouble: Exception | None = None
        self.threads: set[int] = set()

    def __call__(self, viewers: Collection[Viewer]) -> State:
        self.looks += 1
        self.viewers = viewers
        self.threads.add(threading.get_ident())
        if self.trouble:
            raise self.trouble
        return replace(self.state, versions={viewer: viewer.user for viewer in viewers})


async def first(view: View) -> dict[str, Any]:
    """What a viewer is told first."""
    while (told := view.told()) is None:
        await view.news(1)
    return told


async def until(question: Callable[[], Any]) -> None:
    async with asyncio.timeout(5):
        while not question():  # noqa: ASYNC110 - what it waits for tells nobody
            await asyncio.sleep(EVERY)


def test_a_viewer_is_told_of_their_own_sessions_and_a_superadmin_of_all() -> None:
    state = State(LIVE, SEEN, {ADA: "1", GRACE: "2", ROOT: "3"})
    assert state.told(ADA) == {
        "version": "1",
        "at": "2026-02-28T12:05:00Z",
        "used": {"a1": USED},
        "status": {"a1": "running"},
        "time": {"a1": {"why": "idle"}},
        "public": {},
    }
    grace, root = state.told(GRACE), state.told(ROOT)
    assert grace is not None
    assert root is not None
    assert (grace["status"], grace["time"]) == ({"g1": "pending"}, {"g1": None})
    assert root["status"] == {"a1": "running", "g1": "pending"}
    assert set(root["used"]) == {"a1", "g1"}, "of what lives alone"


def test_what_is_open_to_the_public_is_told_of_ones_own_live_sessions() -> None:
    public = {"a1": 2, "g1": 1, "gone": 1}
    state = State(LIVE, SEEN, {ADA: "1", GRACE: "2", ROOT: "3"}, public)
    told = [state.told(viewer) for viewer in (ADA, GRACE, ROOT)]
    assert [one and one["public"] for one in told] == [{"a1": 2}, {"g1": 1}, {"a1": 2, "g1": 1}]


def test_what_was_read_before_a_viewer_came_is_not_told_to_them() -> None:
    assert State(LIVE, SEEN, {ADA: "1"}).told(GRACE) is None
    assert State().told(ADA) is None


def test_without_statistics_the_statuses_are_told() -> None:
    told = State(LIVE, Seen(), {ADA: "1"}).told(ADA)
    assert told is not None
    assert (told["at"], told["used"], told["status"]) == (None, {}, {"a1": "running"})


def test_a_users_list_changes_with_their_own_sessions_and_for_nothing_else() -> None:
    counts = {Tab.RUNNING: 1, Tab.FINISHED: 5, Tab.OTHERS: 0}
    live = [LIVE[0]]
    seen = {own_version(counts, live)}
    assert own_version(dict(reversed(counts.items())), live) in seen
    for changed in (
        own_version({**counts, Tab.FINISHED: 6}, live),
        own_version(counts, []),
        own_version(counts, [replace(LIVE[0], status=Status.TERMINATING)]),
        own_version(counts, [replace(LIVE[0], warning="ill")]),
        own_version(counts, [replace(LIVE[0], peaks=Measure(oom_kills=1))]),
        own_version(counts, [a_record(facts=a_facts("a2"))]),
    ):
        assert changed not in seen
        seen.add(changed)


async def test_the_records_are_looked_at_while_somebody_looks_and_never_else() -> None:
    books = Books()
    feed = Feed(books, every=EVERY)
    await asyncio.sleep(5 * EVERY)
    assert books.looks == 0
    with feed.open(ADA) as view:
        assert (await first(view))["version"] == "ada"
        await until(lambda: books.looks > 3)
    looks = books.looks
    await asyncio.sleep(5 * EVERY)
    assert books.looks <= looks + 1, "one may have been under way"
    assert threading.get_ident() not in books.threads, "off the loop"


async def test_one_look_serves_every_viewer() -> None:
    books = Books()
    feed = Feed(books, every=30)
    views = [feed.open(viewer) for viewer in (ADA, GRACE, ROOT, ADA)]
    async with asyncio.timeout(5):
        found = await asyncio.gather(*(first(view) for view in views))
    assert [told["version"] for told in found] == ["ada", "grace", "root", "ada"]
    assert books.looks == 1
    assert set(books.viewers) == {ADA, GRACE, ROOT}
    for view in views:
        feed.leave(view)


async def test_whoever_comes_later_does_not_wait_for_the_next_look() -> None:
    feed = Feed(Books(), every=30)
    with feed.open(ADA) as early:
        await first(early)
        with feed.open(GRACE) as late:
            async with asyncio.timeout(5):
                assert (await first(late))["version"] == "grace"


async def test_what_changes_is_told() -> None:
    books = Books()
    feed = Feed(books, every=EVERY)
    with feed.open(ADA) as view:
        await first(view)
        books.state = State((), SEEN)
        await until(lambda: (view.told() or {}).get("status") == {})


async def test_who_does_not_listen_is_told_the_newest_once_and_holds_nothing_up() -> None:
    books = Books()
    feed = Feed(books, every=EVERY)
    with feed.open(ADA) as slow:
        await until(lambda: books.looks > 5)
        books.state = State((), SEEN)
        await until(lambda: (slow.told() or {}).get("status") == {})
        await slow.news(1)
        assert not slow._news.is_set(), "many looks are one piece of news"


async def test_one_visitor_looks_in_a_bounded_number_of_places_and_others_do_not_count() -> None:
    feed = Feed(Books(), every=EVERY)
    views = [feed.open(ADA) for _ in range(MOST_VIEWS)]
    with pytest.raises(TooMany):
        feed.open(ADA)
    views.append(feed.open(GRACE))
    feed.leave(views.pop(0))
    views.append(feed.open(ADA))
    for view in views:
        feed.leave(view)


async def test_records_that_are_away_are_said_once_and_read_when_they_are_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    books = Books()
    books.trouble = RecordsError("cannot read the records: away")
    feed = Feed(books, every=EVERY)
    with caplog.at_level(logging.ERROR), feed.open(ADA) as view:
        await until(lambda: books.looks > 3)
        assert view.told() is None
        books.trouble = None
        assert await first(view)
    (said,) = caplog.records
    assert said.getMessage().endswith("cannot read the records: away")
    assert not said.exc_info


async def test_a_mistake_of_ours_does_not_end_the_looking(
    caplog: pytest.LogCaptureFixture,
) -> None:
    books = Books()
    books.trouble = KeyError("apps")
    feed = Feed(books, every=EVERY)
    with caplog.at_level(logging.ERROR), feed.open(ADA) as view:
        await until(lambda: books.looks > 3)
        books.trouble = None
        assert await first(view)
    assert caplog.text.count("KeyError: 'apps'") == 1


async def test_a_view_that_is_closed_is_woken() -> None:
    feed = Feed(Books(), every=30)
    with feed.open(ADA) as view:
        await first(view)
        await view.news(0)
        waiting = asyncio.create_task(view.news(30))
        await asyncio.sleep(0)
        view.close()
        async with asyncio.timeout(5):
            await waiting
        assert view.is_closed
