"""Users' folders are made, renamed and deleted, and whatever comes in between, none is lost."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bai_spawner.errors import FolderError, Problems
from bai_spawner.folders import FolderChanges, FolderMount, FolderStore, NotChanged, Trash, Why
from bai_spawner.options import Mount
from bai_spawner.policy import Subject, select
from tests.examples import small_catalog

ADA = Subject("ada", frozenset({"ml"}))
FOLDERS = {
    "user": {"create": ["data"], "automatic": [".local", "cache"], "most": 5},
    "group": {"ml": {"corpus": {}}},
    "reserved": ["Examples"],
}


def store_of(root: Path, subject: Subject = ADA, **folders: Any) -> FolderStore:
    return FolderStore(root, small_catalog(folders={**FOLDERS, **folders}), **owner())


def owner() -> dict[str, int]:
    """Who tests run as may not be root, and then gives folders to nobody else."""
    return {} if os.geteuid() == 0 else {"uid": os.geteuid(), "gid": os.getegid()}


def changes_of(store: FolderStore, sources: tuple[str, ...] = ("user", "group")) -> FolderChanges:
    catalog = small_catalog(policies=[{"name": "everyone", "folders": list(sources)}])
    return FolderChanges(store, ADA, select(catalog, ADA))


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return store_of(tmp_path / "root")


@pytest.fixture
def changes(store: FolderStore) -> FolderChanges:
    return changes_of(store)


@pytest.fixture
def home(store: FolderStore) -> Path:
    return store.home("ada")


def unused(_: str) -> list[str]:
    """No session mounts anything."""
    return []


def used_from(call: int, *names: str) -> Callable[[str], list[str]]:
    """From the so-manieth look on there are sessions that mount it."""
    looks = iter(range(1000))
    return lambda _: list(names) if next(looks) >= call else []


def fill(folder: Path, text: str = "kept") -> Path:
    """A file in a folder."""
    file = folder / "file"
    file.write_text(text)
    return file


def tree(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


@contextmanager
def refused(why: Why) -> Iterator[pytest.ExceptionInfo[NotChanged]]:
    with pytest.raises(NotChanged) as error:
        yield error
    assert error.value.why is why


# ---- make


def test_a_folder_that_is_made_belongs_to_sessions_whatever_the_umask(
    changes: FolderChanges, home: Path
) -> None:
    before = os.umask(0o077)
    try:
        changes.create("results")
    finally:
        os.umask(before)
    found = (home / "results").stat()
    assert stat.S_IMODE(found.st_mode) == 0o770
    assert found.st_uid == (1000 if os.geteuid() == 0 else os.geteuid())
    assert home.stat().st_uid == os.geteuid()
    assert stat.S_IMODE(home.stat().st_mode) & 0o066 == 0


NAMES = ["", ".", "..", "a/b", "../eve", "/etc", "a b", "a\n", "x\0y", "é", "٣", "a" * 65, ".hid"]
TAKEN = [".ssh", ".SSH", "ID_container", "examples", ".jupyter", ".bash_logout"]


@pytest.mark.parametrize("name", NAMES + TAKEN)
def test_a_name_that_breaks_the_rule_is_refused_for_a_new_folder_and_for_another_name(
    changes: FolderChanges, store: FolderStore, name: str
) -> None:
    changes.create("old")
    before = tree(store.tree.root)
    with refused(Why.NAME):
        changes.create(name)
    with refused(Why.NAME):
        changes.rename("old", name, unused)
    assert tree(store.tree.root) == before


@pytest.mark.parametrize("name", [*NAMES, "none", "ml/corpus", "corpus", "data"])
def test_what_is_no_folder_of_ones_own_is_neither_renamed_nor_deleted(
    changes: FolderChanges, store: FolderStore, name: str
) -> None:
    """That of a group is its administrator's; ``data`` is not made yet."""
    corpus = store.tree.root / "groups" / "ml" / "corpus"
    corpus.mkdir(parents=True)
    with refused(Why.UNKNOWN):
        changes.rename(name, "new", unused)
    with refused(Why.UNKNOWN):
        changes.delete(name, unused)
    assert corpus.is_dir()


def test_a_folder_that_everybody_has_may_be_made_before_the_first_launch(
    changes: FolderChanges, home: Path
) -> None:
    changes.create("data")
    assert (home / "data").is_dir()


@pytest.mark.parametrize("name", [".local", "cache"])
def test_what_is_mounted_at_every_launch_stays_as_it_is(
    changes: FolderChanges, store: FolderStore, home: Path, name: str
) -> None:
    changes.create("old")
    for _ in range(2):  # before it was made, and afterwards
        with refused(Why.TAKEN):
            changes.create(name)
        with refused(Why.TAKEN):
            changes.rename("old", name, unused)
        (home / name).mkdir(exist_ok=True)
    with refused(Why.AUTOMATIC):
        changes.rename(name, "new", unused)
    with refused(Why.AUTOMATIC):
        changes.delete(name, unused)
    assert {"old", name} == {path.name for path in home.iterdir()}


def test_a_name_is_given_once(changes: FolderChanges, home: Path) -> None:
    changes.create("one")
    file = fill(home / "one")
    with refused(Why.TAKEN):
        changes.create("one")
    (home / "file").write_text("of the administrator's")
    with refused(Why.TAKEN):
        changes.create("file")
    assert file.read_text() == "kept"


def test_no_more_folders_are_made_than_a_user_may_have(changes: FolderChanges, home: Path) -> None:
    for number in range(5):
        changes.create(f"f{number}")
    with refused(Why.FULL):
        changes.create("f5")
    changes.rename("f0", "g0", unused)
    changes.delete("f1", unused)
    changes.create("f5")
    assert len(list(home.iterdir())) == 5


def test_whose_policy_gives_no_folders_changes_none(store: FolderStore) -> None:
    changes_of(store).create("old")
    changes = changes_of(store, ("group",))
    with refused(Why.POLICY):
        changes.create("new")
    with refused(Why.POLICY):
        changes.rename("old", "new", unused)
    with refused(Why.POLICY):
        changes.delete("old", unused)


# ---- rename


def test_a_renamed_folder_is_the_same_one(changes: FolderChanges, home: Path) -> None:
    changes.create("old")
    fill(home / "old")
    before = (home / "old").stat().st_ino
    changes.rename("old", "new", unused)
    assert (home / "new").stat().st_ino == before
    assert tree(home) == {"new", "new/file"}


def test_a_rename_puts_no_folder_out_of_the_way_not_even_an_empty_one(
    changes: FolderChanges, home: Path
) -> None:
    """`rename` of the system would."""
    changes.create("old")
    changes.create("empty")
    fill(home / "old")
    for new in ("empty", "old"):
        with refused(Why.TAKEN):
            changes.rename("old", new, unused)
    assert tree(home) == {"old", "old/file", "empty"}


def test_a_folder_that_comes_to_have_the_name_meanwhile_keeps_it(
    changes: FolderChanges, home: Path
) -> None:
    changes.create("old")
    fill(home / "old")

    def making(_: str) -> list[str]:
        (home / "new").mkdir(exist_ok=True)
        return []

    with refused(Why.TAKEN):
        changes.rename("old", "new", making)
    assert tree(home) == {"old", "old/file", "new"}


def test_a_folder_that_goes_meanwhile_leaves_no_other_behind(
    changes: FolderChanges, home: Path
) -> None:
    changes.create("old")

    def going(_: str) -> list[str]:
        (home / "old").rmdir()
        return []

    with refused(Why.UNKNOWN):
        changes.rename("old", "new", going)
    assert tree(home) == set()


def test_of_two_folders_that_get_one_name_at_once_one_does_and_none_is_lost(
    store: FolderStore, home: Path
) -> None:
    begun = threading.Barrier(2)

    def rename(name: str) -> Why | None:
        begun.wait()
        try:
            changes_of(store).rename(name, "both", unused)
        except NotChanged as error:
            return error.why
        return None

    with ThreadPoolExecutor(2) as threads:
        for _ in range(50):
            for name in ("one", "two"):
                changes_of(store).create(name)
                fill(home / name, name)
            outcomes = list(threads.map(rename, ("one", "two")))
            assert sorted(map(str, outcomes)) == ["None", "taken"]
            texts = sorted(file.read_text() for file in home.glob("*/file"))
            assert texts == ["one", "two"]
            for folder in home.iterdir():
                changes_of(store).delete(folder.name, unused)


# ---- in use


@pytest.mark.parametrize("call", [0, 1, 2])
def test_a_folder_of_a_live_session_is_not_renamed(
    changes: FolderChanges, home: Path, call: int
) -> None:
    """Nor one of a session that came in between."""
    changes.create("old")
    fill(home / "old")
    before = (home / "old").stat().st_ino
    with refused(Why.IN_USE) as error:
        changes.rename("old", "new", used_from(call, "thesis", "other"))
    assert "mounted by other, thesis" in str(error.value)
    assert (home / "old").stat().st_ino == before
    assert tree(home) == {"old", "old/file"}


@pytest.mark.parametrize("call", [0, 1])
def test_a_folder_of_a_live_session_is_not_deleted(
    changes: FolderChanges, store: FolderStore, home: Path, call: int
) -> None:
    changes.create("old")
    fill(home / "old")
    before = (home / "old").stat().st_ino
    with refused(Why.IN_USE):
        changes.delete("old", used_from(call, "thesis"))
    assert (home / "old").stat().st_ino == before
    assert tree(home) == {"old", "old/file"}
    assert Trash(store.tree).condemned() == ()


@pytest.mark.parametrize("change", ["rename", "delete"])
@pytest.mark.parametrize("call", [0, 1])
def test_while_it_is_not_known_who_mounts_a_folder_it_stays(
    changes: FolderChanges, home: Path, change: str, call: int
) -> None:
    changes.create("old")
    fill(home / "old")
    looks = iter(range(10))

    def away(_: str) -> list[str]:
        if next(looks) >= call:
            raise RuntimeError("the records cannot be read")
        return []

    with pytest.raises(RuntimeError):
        changes.rename("old", "new", away) if change == "rename" else changes.delete("old", away)
    assert tree(home) == {"old", "old/file"}


def test_what_a_launch_made_in_the_place_of_a_folder_gives_way_to_it(
    changes: FolderChanges, home: Path
) -> None:
    changes.create("old")
    fill(home / "old")
    looks = iter(range(10))

    def launching(_: str) -> list[str]:
        if next(looks) == 0:
            return []
        (home / "old").mkdir()
        return ["thesis"]

    with refused(Why.IN_USE):
        changes.delete("old", launching)
    assert tree(home) == {"old", "old/file"}


def test_what_a_session_wrote_in_the_place_of_a_folder_stays_beside_it(
    changes: FolderChanges, home: Path
) -> None:
    changes.create("old")
    fill(home / "old", "of before")
    looks = iter(range(10))

    def writing(_: str) -> list[str]:
        if next(looks) == 0:
            return []
        (home / "old").mkdir()
        fill(home / "old", "of the session")
        return ["thesis"]

    with refused(Why.IN_USE):
        changes.delete("old", writing)
    assert (home / "old" / "file").read_text() == "of the session"
    (other,) = home.glob("old-*/file")
    assert other.read_text() == "of before"


# ---- links


def test_a_link_among_folders_is_none(changes: FolderChanges, home: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    file = fill(secret)
    changes.create("real")
    (home / "link").symlink_to(secret)
    with refused(Why.UNKNOWN):
        changes.rename("link", "new", unused)
    with refused(Why.UNKNOWN):
        changes.delete("link", unused)
    with refused(Why.TAKEN):
        changes.create("link")
    with refused(Why.TAKEN):
        changes.rename("real", "link", unused)
    assert file.read_text() == "kept"
    assert (home / "real").is_dir()


@pytest.mark.parametrize("place", ["root", "root/users", "root/users/ada", "root/trash"])
def test_no_link_on_the_way_is_followed(tmp_path: Path, place: str) -> None:
    """None but the administrator could put one there."""
    secret = tmp_path / "secret"
    secret.mkdir()
    changes = changes_of(store_of(tmp_path / "root"))
    changes.create("old")
    moved = tmp_path / place
    if moved.exists():
        moved.rename(tmp_path / "moved")
    moved.symlink_to(secret)
    (secret / "old").mkdir()
    with pytest.raises((OSError, NotChanged)):
        changes.delete("old", unused)
    if place != "root/trash":
        with pytest.raises((OSError, NotChanged)):
            changes.create("new")
    assert tree(secret) == {"old"}


# ---- a launch meanwhile


def mounts_of(store: FolderStore, *mounts: Mount) -> tuple[FolderMount, ...]:
    problems = Problems()
    policy = select(small_catalog(policies=[{"name": "everyone"}]), ADA)
    found = store.resolve(mounts, ADA, policy, problems)
    problems.raise_any()
    return found


@pytest.mark.parametrize("change", ["rename", "delete"])
def test_a_launch_finds_that_its_folder_went_and_gets_no_empty_one(
    store: FolderStore, changes: FolderChanges, home: Path, change: str
) -> None:
    changes.create("thesis")
    asked = mounts_of(store, Mount("thesis", "rw"))
    if change == "rename":
        changes.rename("thesis", "other", unused)
    else:
        changes.delete("thesis", unused)
    with pytest.raises(FolderError, match="'thesis' was deleted or renamed"):
        store.prepare("ada", asked, defaults=True)
    assert not (home / "thesis").exists()


def test_a_launch_that_pinned_its_folder_is_ended_by_another_in_its_place(
    store: FolderStore, changes: FolderChanges
) -> None:
    changes.create("thesis")
    asked = mounts_of(store, Mount("thesis", "rw"))
    pinned = store.prepare("ada", asked, defaults=True)
    store.verify(pinned)
    changes.delete("thesis", unused)
    changes.create("thesis")
    with pytest.raises(FolderError, match="'thesis' was replaced"):
        store.verify(pinned)


def test_what_is_not_there_yet_is_made_at_the_launch(store: FolderStore, home: Path) -> None:
    asked = mounts_of(store, Mount("new", "rw", create=True), Mount("ml/corpus", "ro"))
    store.verify(store.prepare("ada", asked, defaults=True))
    assert {path.name for path in home.iterdir()} == {"new", "data", ".local", "cache"}
