"""Why a session ended: each ending has a status, a tab and words, and deaths are told apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bai_spawner.errors import Reason
from bai_spawner.reasons import (
    LIVE,
    MOST_DETAIL,
    Death,
    End,
    Ending,
    Status,
    Tab,
    of_death,
    of_failure,
)
from bai_spawner.units import GIB, MIB


@pytest.mark.parametrize("ending", Ending)
def test_an_ending_has_an_ended_status_and_words_and_is_found_by_its_name(ending: Ending) -> None:
    assert not ending.status.is_live
    assert ending.words
    assert ending.words == ending.words.strip()
    assert Ending.of(ending.key) is ending
    assert len(ending.key) <= 32  # the column's width
    assert End(ending).words == ending.words
    assert End(ending, "why").words == f"{ending.words} (why)"


def test_no_two_endings_are_kept_under_one_name_or_in_one_wording() -> None:
    assert len({ending.key for ending in Ending}) == len(Ending)
    assert len({ending.words for ending in Ending}) == len(Ending)


def test_an_ending_of_an_unknown_name_is_none() -> None:
    with pytest.raises(KeyError):
        Ending.of("")


def test_every_status_has_the_tab_of_the_product() -> None:
    assert {status: status.tab for status in Status} == {
        Status.PENDING: Tab.RUNNING,
        Status.PREPARING: Tab.RUNNING,
        Status.RUNNING: Tab.RUNNING,
        Status.TERMINATING: Tab.RUNNING,
        Status.TERMINATED: Tab.FINISHED,
        Status.CANCELLED: Tab.FINISHED,
        Status.ERROR: Tab.OTHERS,
    }
    assert {status for status in Status if status.is_live} == LIVE


def test_whoever_lives_ranks_below_whoever_ended() -> None:
    ended = [status.rank for status in Status if not status.is_live]
    assert max(status.rank for status in LIVE) < min(ended)
    assert len({status.rank for status in Status}) == len(Status)


@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize(
    ("code", "oom", "ending", "detail"),
    [
        (137, True, Ending.MEMORY, "4 GiB granted"),
        (135, False, Ending.SHM, "64 MiB granted"),
        (135, True, Ending.SHM, "64 MiB granted"),
        (137, False, None, "exit code 137, SIGKILL"),
        (0, False, None, "exit code 0"),
        (0, True, None, "exit code 0"),
        (1, True, None, "exit code 1"),
        (128, False, None, "exit code 128"),
        (143, False, None, "exit code 143, SIGTERM"),
        (139, True, None, "exit code 139, SIGSEGV"),
        (255, False, None, "exit code 255"),
        (-1, False, None, "exit code -1"),
    ],
)
def test_a_death_is_explained_by_its_exit_code(
    code: int, *, oom: bool, ending: Ending | None, detail: str, outside: bool
) -> None:
    end = of_death(Death(code, oom_killed=oom, memory=4 * GIB, shm=64 * MIB, from_outside=outside))
    if outside:
        assert (end.ending, end.exit_code) == (Ending.REMOVED, code)
    else:
        assert end == End(ending or Ending.EXITED, detail, code)


@pytest.mark.parametrize(
    ("reason", "ending"),
    [
        (Reason.IMAGE, Ending.IMAGE),
        (Reason.ENGINE, Ending.ENGINE),
        (Reason.START, Ending.START),
        (Reason.TIMEOUT, Ending.START),
        (Reason.CAPACITY, Ending.START),
    ],
)
def test_a_failed_start_is_recorded_with_its_reason(reason: Reason, ending: Ending) -> None:
    assert of_failure(reason, "no  such\n image") == End(ending, "no such image")


@given(message=st.text() | st.text(st.characters(codec=None), max_size=30))
def test_what_an_engine_says_is_one_bounded_line_that_every_database_takes(message: str) -> None:
    end = of_failure(Reason.ENGINE, message * 40)
    assert len(end.detail) <= MOST_DETAIL
    assert end.detail.isprintable()
    end.detail.encode()
