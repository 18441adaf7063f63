"""Which folders a user's sessions have without being asked for, and who may write to them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bai_spawner.catalog.catalog import Inconsistent
from bai_spawner.errors import Problems
from bai_spawner.folders import FolderStore
from bai_spawner.options import Mount
from bai_spawner.policy import Subject, select
from tests.examples import small_catalog

FOLDERS = {
    "user": {"create": ["data"], "automatic": [".local"]},
    "group": {
        "ml": {"corpus": {"automatic": True}, "raw": {}},
        "other": {"x": {"automatic": True}},
    },
}


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["user", "group"], (".local", "ml/corpus")),
        (["user"], (".local",)),
        (["group"], ("ml/corpus",)),
        ([], ()),
    ],
)
def test_automatic_folders_are_those_that_the_policy_and_the_users_groups_give(
    tmp_path: Path, sources: list[str], expected: tuple[str, ...]
) -> None:
    policies: list[dict[str, Any]] = [{"name": "everyone", "folders": sources}]
    catalog = small_catalog(folders=FOLDERS, policies=policies)
    subject = Subject("ada", frozenset({"ml", "unknown"}))
    folders = FolderStore(tmp_path, catalog)
    policy = select(catalog, subject)
    assert folders.automatic(subject, policy) == expected
    offered = folders.offered(subject, policy)
    assert {folder.name for folder in offered if folder.automatic} == set(expected)


WRITERS = {"users": ["ada"], "groups": ["curators"]}


@pytest.mark.parametrize(
    ("user", "groups", "permission"),
    [
        ("ada", {"ml"}, "rw"),
        ("bob", {"ml", "curators"}, "rw"),
        ("bob", {"ml"}, "ro"),
        ("curators", {"ml"}, "ro"),
        ("bob", {"ml", "ada"}, "ro"),
        ("ada", {"curators"}, None),
    ],
)
def test_writers_write_to_a_groups_folder_that_its_other_members_read(
    tmp_path: Path, user: str, groups: set[str], permission: str | None
) -> None:
    catalog = small_catalog(folders={"group": {"ml": {"corpus": {"writers": WRITERS}}}})
    subject = Subject(user, frozenset(groups))
    offered = FolderStore(tmp_path, catalog).offered(subject, select(catalog, subject))
    assert [folder.permission for folder in offered] == ([permission] if permission else [])


@pytest.mark.parametrize("mode", ["ro", "rw"])
def test_a_launch_keeps_to_who_may_write(tmp_path: Path, mode: str) -> None:
    catalog = small_catalog(folders={"group": {"ml": {"corpus": {"writers": WRITERS}}}})
    store = FolderStore(tmp_path, catalog)
    told = {}
    for user in ("ada", "bob"):
        subject, problems = Subject(user, frozenset({"ml"})), Problems()
        asked = (Mount("ml/corpus", mode),)  # type: ignore[arg-type]
        mounts = store.resolve(asked, subject, select(catalog, subject), problems)
        told[user] = ([mount.label for mount in mounts], [str(problem) for problem in problems])
    refused = "mounts[0].mode: 'ml/corpus' may only be mounted read-only ('ro')"
    assert told["ada"] == ([f"ml/corpus:{mode}"], [])
    assert told["bob"] == (([], [refused]) if mode == "rw" else (["ml/corpus:ro"], []))


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ({"permission": "rw", "writers": {"users": ["ada"]}}, "is of no use where every member"),
        ({"writers": ["ada"]}, "valid dictionary or instance of Writers"),
        ({"writers": {"users": "ada"}}, "valid tuple"),
        ({"writers": {"groups": [5]}}, "valid string"),
        ({"writers": {"members": ["ada"]}}, "Extra inputs are not permitted"),
    ],
)
def test_writers_that_mean_nothing_are_refused(folder: dict[str, Any], told: str) -> None:
    with pytest.raises((ValidationError, Inconsistent), match=told):
        small_catalog(folders={"group": {"ml": {"corpus": folder}}})


def test_a_folder_that_goes_while_folders_are_listed_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = small_catalog()
    store, subject = FolderStore(tmp_path, catalog), Subject("ada")
    for name in ("one", "two"):
        (store.home("ada") / name).mkdir(parents=True)
    scandir = os.scandir

    @contextmanager
    def going(path: Path) -> Iterator[list[os.DirEntry[str]]]:
        with scandir(path) as entries:
            found = list(entries)
        (path / "one").rmdir()
        yield found

    monkeypatch.setattr(os, "scandir", going)
    assert "two" in [folder.name for folder in store.offered(subject, select(catalog, subject))]
