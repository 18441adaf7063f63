"""What the Data page says: its module that needs no page, run by Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest

from bai_spawner.assets import FOLDERS
from bai_spawner.units import GIB

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(not NODE, reason="needs Node, which the hub's proxy needs, too")
NOON = 1_772_280_000_000
"""In milliseconds."""
COUNTED = "2026-02-28T12:00:00Z"


def run(work: str) -> Any:
    """What an expression with the module's exports comes to, as JSON."""
    (module,) = (path for folder in FOLDERS for path in folder.glob("data_words.js"))
    program = f'const m = await import("{module.as_uri()}"); console.log(JSON.stringify({work}));'
    done = subprocess.run(
        [NODE or "", "--input-type=module", "-e", program],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env={"TZ": "UTC"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def a_folder(**changed: Any) -> str:
    """As the service tells of one, in JSON."""
    folder = {
        "name": "thesis",
        "kind": "user",
        "automatic": False,
        "exists": True,
        "size": 3 * GIB,
        "files": 1234,
        "more": False,
        "measured": COUNTED,
    }
    return json.dumps(folder | changed)


UNKNOWN = "How much is in it cannot be counted; all of it is deleted."
UNCOUNTED = {"size": None, "files": None, "measured": None}


def test_a_size_says_what_it_leaves_open() -> None:
    folders = [
        a_folder(),
        a_folder(size=0, files=1),
        a_folder(more=True),
        a_folder(**UNCOUNTED),
        a_folder(**UNCOUNTED, exists=False),
        a_folder(size=None, files=None),
    ]
    assert run(f"[{', '.join(folders)}].map(m.sizeOf)") == [
        ["3 GiB", "1,234 files"],
        ["0 B", "1 file"],
        ["at least 3 GiB", "at least 1,234 files"],
        ["being counted…", ""],
        ["–", ""],
        ["not known", ""],
    ]
    uncounted = [False, False, False, True, False, False]
    assert run(f"[{', '.join(folders)}].map(m.isUncounted)") == uncounted


@pytest.mark.parametrize(
    ("changed", "minutes", "told"),
    [
        ({}, 0, "3 GiB in 1,234 files are deleted."),
        ({"size": 4096, "files": 1}, 0, "4 KiB in 1 file is deleted."),
        ({}, 7, "3 GiB in 1,234 files, as counted at 12:00, are deleted."),
        ({"more": True}, 0, "At least 3 GiB in 1,234 files are deleted."),
        ({"size": 4096, "files": 0}, 0, "It has no files."),
        ({"size": 4096, "files": 0}, 7, "It had no files when it was counted at 12:00."),
        ({"files": 0, "more": True}, 0, "At least 3 GiB in 0 files are deleted."),
        ({"size": None, "files": None}, 0, UNKNOWN),
        (UNCOUNTED, 0, "How much is in it has not been counted yet; all of it is deleted."),
    ],
)
def test_what_is_lost_is_named_with_its_size_and_number(
    changed: dict[str, Any], minutes: int, told: str
) -> None:
    assert run(f"m.lossOf({a_folder(**changed)}, {NOON + minutes * 60_000})") == told


def test_a_folder_that_is_not_there_yet_says_when_it_will_be() -> None:
    folders = [
        a_folder(),
        a_folder(exists=False),
        a_folder(exists=False, kind="group"),
        a_folder(automatic=True),
        a_folder(automatic=True, exists=False),
    ]
    assert run(f"[{', '.join(folders)}].map(m.noteOf)") == [
        "",
        "made at your next launch",
        "made when it is first mounted",
        "mounted at every launch",
        "made and mounted at your next launch",
    ]


def test_a_refusal_is_a_sentence_without_the_field_that_it_stands_at() -> None:
    errors = ["name: 'a b' is no name for a folder", "you have 4 folders"]
    assert run(f"{json.dumps(errors)}.map((message) => m.wordOf({{message}}))") == [
        "'a b' is no name for a folder.",
        "You have 4 folders.",
    ]


def test_anothers_session_is_told_with_its_user() -> None:
    one = '{"name": "thesis", "user": "ada"}'
    assert run(f'[m.sessionOf({one}, "ada"), m.sessionOf({one}, "root")]') == [
        "thesis",
        "thesis of ada",
    ]
