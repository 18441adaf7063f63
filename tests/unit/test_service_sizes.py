"""Folders are counted one at a time, in turns, for whoever looks, and not oftener than needed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest

from bai_spawner.folders import Measured
from bai_spawner.service import sizes as module
from bai_spawner.service.sizes import Sizes
from tests.deployment import eventually

A, B, C = (Path(f"/root/users/ada/{name}") for name in "abc")


class Counter:
    """Counts as many files in a folder as a test lets it, when a test lets it."""

    def __init__(self) -> None:
        self.begun: SimpleQueue[Path] = SimpleQueue()
        self.go = threading.Semaphore(0)
        self.found: dict[Path, Measured | Exception] = {}
        self.at_once = self.most_at_once = 0

    def __call__(self, folder: Path) -> Measured:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.begun.put(folder)
        assert self.go.acquire(timeout=10)
        self.at_once -= 1
        found = self.found.get(folder, Measured(512, 1))
        if isinstance(found, Exception):
            raise found
        return found

    def next(self) -> Path:
        """The next folder, which is let go."""
        folder = self.begun.get(timeout=5)
        self.go.release()
        return folder

    @property
    def rests(self) -> bool:
        return self.begun.empty() and not self.at_once


@pytest.fixture
def counter() -> Iterator[Counter]:
    made = Counter()
    yield made
    made.go.release(1000)


@pytest.fixture
def sizes(counter: Counter) -> Sizes:
    return Sizes(counter)


def counted(sizes: Sizes, folder: Path) -> Measured:
    assert eventually(lambda: sizes.of(folder), every=0.01)
    size = sizes.of(folder)
    assert size
    assert size.measured
    return size.measured


def test_a_folder_is_counted_when_somebody_looks_and_then_kept(
    counter: Counter, sizes: Sizes
) -> None:
    assert sizes.of(A) is None
    assert counter.rests
    sizes.want("ada", [A])
    assert counter.next() == A
    assert counted(sizes, A) == Measured(512, 1)
    sizes.want("ada", [A])
    sizes.want("eve", [A])
    sizes.want("ada", [A, B])
    assert counter.next() == B
    counted(sizes, B)
    assert counter.rests


def test_what_was_counted_some_time_ago_is_shown_until_it_was_counted_anew(
    counter: Counter,
) -> None:
    sizes = Sizes(counter, fresh=0)
    sizes.want("ada", [A])
    counter.next()
    first = counted(sizes, A)
    counter.found[A] = Measured(1024, 2)
    sizes.want("ada", [A])
    assert counted(sizes, A) == first
    counter.next()
    assert eventually(lambda: counted(sizes, A) == Measured(1024, 2), every=0.01)


def test_users_take_turns_and_one_folder_is_counted_at_a_time(
    counter: Counter, sizes: Sizes
) -> None:
    many = [Path(f"/root/users/ada/{number}") for number in range(50)]
    sizes.want("ada", many)
    assert counter.begun.get(timeout=5) in many
    sizes.want("eve", [B])
    sizes.want("ada", many)  # who asks again keeps their turn, and takes no other's
    sizes.want("bob", [C])
    counter.go.release()
    order = [counter.next() for _ in range(51)]
    assert {order.index(B), order.index(C)} <= {0, 1, 2}
    assert counter.most_at_once == 1
    assert len(set(order)) == 51


def test_a_folder_is_counted_once_for_all_who_look(counter: Counter, sizes: Sizes) -> None:
    for user in ("ada", "eve", "bob"):
        sizes.want(user, [A])
    counter.next()
    counted(sizes, A)
    sizes.want("last", [B])
    assert counter.next() == B


def test_a_folder_that_is_being_counted_is_not_wanted_again(counter: Counter, sizes: Sizes) -> None:
    sizes.want("ada", [A])
    folder = counter.begun.get(timeout=5)
    for _ in range(5):
        sizes.want("ada", [A])
    counter.go.release()
    counted(sizes, folder)
    sizes.want("ada", [A, B])
    assert counter.next() == B


def test_nothing_is_counted_for_who_does_not_look_any_more(
    counter: Counter, sizes: Sizes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ASKED_SECONDS", -1.0)
    sizes.want("ada", [A])
    monkeypatch.undo()
    sizes.want("eve", [B])
    assert counter.next() == B
    counted(sizes, B)
    assert counter.rests


def test_a_folder_that_got_another_name_is_as_large_as_it_was(
    counter: Counter, sizes: Sizes
) -> None:
    sizes.want("ada", [A])
    counter.next()
    before = counted(sizes, A)
    sizes.moved(A, B)
    assert sizes.of(A) is None
    assert counted(sizes, B) == before


@pytest.mark.parametrize("change", ["forget", "moved"])
def test_what_is_counted_while_it_goes_is_not_kept(
    counter: Counter, sizes: Sizes, change: str
) -> None:
    sizes.want("ada", [A])
    counter.begun.get(timeout=5)
    if change == "forget":
        sizes.forget(A)
    else:
        sizes.moved(A, B)
    counter.go.release()
    sizes.want("ada", [C])
    counter.next()
    counted(sizes, C)
    assert sizes.of(A) is None
    assert sizes.of(B) is None


def test_what_cannot_be_counted_has_no_size_and_is_not_tried_all_the_time(
    counter: Counter, sizes: Sizes, caplog: pytest.LogCaptureFixture
) -> None:
    counter.found[A] = PermissionError("no")
    counter.found[B] = ValueError("a mistake of ours")
    with caplog.at_level(logging.ERROR):
        sizes.want("ada", [A])
        counter.next()
        sizes.want("ada", [A, B])
        counter.next()
        sizes.want("ada", [A, B, C])
        assert counter.next() == C
    counted(sizes, C)
    for folder in (A, B):
        size = sizes.of(folder)
        assert size
        assert size.measured is None
    assert [record.message for record in caplog.records] == ["Cannot count what is in a folder"]


def test_no_more_is_kept_than_so_much(
    counter: Counter, sizes: Sizes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_KEPT", 2)
    counter.go.release(3)
    for folder in (A, B, C):
        sizes.want("ada", [folder])
        counted(sizes, folder)
    assert sizes.of(A) is None
    assert sizes.of(B)
