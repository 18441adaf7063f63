"""Which folders a user's sessions have without being asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bai_spawner.folders import FolderStore
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
