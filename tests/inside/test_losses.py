"""What is deleted when the session ends."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path
from typing import Any

import pytest

from bai_spawner.server_extension import session
from bai_spawner.server_extension.mounts import Folder
from bai_spawner.server_extension.session.losses import Work
from tests.inside.conftest import Serve

PATH = "bai/api/losses"
TICK_NS = 20_000_000
"""More than a tick of any kernel's clock."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A work directory as an image brings it."""
    home = tmp_path / "home"
    (home / "examples/deep").mkdir(parents=True)
    (home / "examples/one.ipynb").write_text("an example")
    (home / "examples/deep/two.ipynb").write_text("another")
    (home / "readme.md").write_text("hello")
    (home / ".bashrc").write_text("alias ll='ls -l'")
    (home / "data").mkdir()
    return home


@pytest.fixture
def work(home: Path) -> Work:
    """A session that begins now."""
    tick(home)
    made = Work(home, lambda home: (Folder("data", home / "data", writable=True),))
    tick(home)
    return made


def tick(home: Path) -> None:
    """Wait until a new file has a later ctime than all before: the kernel's clock is coarse."""
    file = home / "tick"
    file.touch()
    first = latest = file.stat().st_ctime_ns
    while latest - first < TICK_NS:
        file.unlink()
        file.touch()
        latest = file.stat().st_ctime_ns
    file.unlink()


def lost(work: Work, **how: Any) -> dict[str, tuple[str, int, int]]:
    entries = work.losses(**how).entries
    return {entry.name: (entry.kind, entry.size, entry.files) for entry in entries}


def test_what_the_image_brought_is_not_lost(work: Work) -> None:
    assert lost(work) == {}
    assert work.losses().told() == {
        "total": 0,
        "files": 0,
        "complete": True,
        "entries": [],
        "others": {"entries": 0, "size": 0, "files": 0},
    }


def test_what_was_made_since_is(work: Work, home: Path) -> None:
    (home / "results/run").mkdir(parents=True)
    (home / "results/run/model.bin").write_bytes(bytes(1000))
    (home / "results/log.txt").write_bytes(bytes(10))
    (home / "a.ipynb").write_bytes(bytes(7))
    (home / "empty").mkdir()
    assert lost(work) == {
        "results": ("directory", 1010, 2),
        "a.ipynb": ("file", 7, 1),
        "empty": ("directory", 0, 0),
    }
    told = work.losses().told()
    assert (told["total"], told["files"], told["complete"]) == (1017, 3, True)
    assert told["entries"][0] == {
        "name": "results",
        "kind": "directory",
        "size": 1010,
        "files": 2,
        "hidden": False,
        "complete": True,
    }


def test_of_what_the_image_brought_only_what_was_changed_is(work: Work, home: Path) -> None:
    (home / "examples/deep/two.ipynb").write_text("changed since")
    (home / "readme.md").write_text("hello you")
    assert lost(work) == {"examples": ("directory", 13, 1), "readme.md": ("file", 9, 1)}


def test_an_old_mtime_hides_nothing(work: Work, home: Path) -> None:
    (home / "readme.md").write_text("unpacked from an archive")
    os.utime(home / "readme.md", (0, 0))
    assert lost(work) == {"readme.md": ("file", 24, 1)}


def test_a_brought_directory_under_another_name_is_all_lost(work: Work, home: Path) -> None:
    (home / "examples").rename(home / "mine")
    assert lost(work) == {"mine": ("directory", 17, 2)}


def test_keys_folders_and_jupyters_runtime_are_not(home: Path) -> None:
    runtime = home / ".local/share/jupyter/runtime"
    data = Folder("data", home / "data", writable=True)
    tick(home)
    work = Work(home, lambda _: (data,), apart=[runtime])
    runtime.mkdir(parents=True)
    (runtime / "kernel.json").write_text("{}")
    (home / "data/kept").write_text("kept")
    (home / ".ssh").mkdir()
    (home / ".ssh/authorized_keys").write_text("ssh-ed25519")
    (home / "id_container").write_text("secret")
    assert lost(work) == {".local": ("directory", 0, 0)}


def test_what_is_hidden_comes_last(work: Work, home: Path) -> None:
    (home / ".cache").mkdir()
    (home / ".cache/wheel").write_bytes(bytes(5000))
    (home / "small").write_bytes(bytes(1))
    (home / "big").write_bytes(bytes(2))
    found = [(entry.name, entry.hidden) for entry in work.losses().entries]
    assert found == [("big", False), ("small", False), (".cache", True)]


def test_links_are_not_followed(work: Work, home: Path) -> None:
    outside = home.parent / "outside"
    outside.mkdir()
    (outside / "big").write_bytes(bytes(9999))
    (home / "to directory").symlink_to(outside)
    (home / "loop").mkdir()
    (home / "loop/self").symlink_to(home / "loop")
    own = len(os.fsencode(outside))
    assert lost(work)["to directory"] == ("file", own, 1)
    assert lost(work)["loop"] == ("directory", len(os.fsencode(home / "loop")), 1)


def test_other_file_systems_are_not_entered() -> None:
    """Memory that is shared is a file system of its own, below one for devices."""
    devices = Work(Path("/dev"), lambda _: ())
    devices._brought = frozenset()
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        file.write(bytes(1000))
        file.flush()
        assert lost(devices)["shm"] == ("directory", 0, 0)


def test_sockets_and_pipes_hold_nothing(work: Work, home: Path) -> None:
    (home / "run").mkdir()
    os.mkfifo(home / "run/pipe")
    os.mkfifo(home / "pipe")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(home / "run/socket"))
    listening.close()
    assert lost(work) == {"run": ("directory", 0, 0)}


def test_out_of_time_it_says_so(work: Work, home: Path) -> None:
    (home / "results").mkdir()
    (home / "results/model.bin").write_bytes(bytes(1000))
    (home / "a.txt").write_bytes(bytes(7))
    told = work.losses(seconds=-1).told()
    assert not told["complete"]
    by_name = {entry["name"]: entry for entry in told["entries"]}
    assert (by_name["a.txt"]["size"], by_name["a.txt"]["complete"]) == (7, True)
    assert not by_name["results"]["complete"]


def test_what_cannot_be_read_is_not_taken_for_empty(work: Work, home: Path) -> None:
    deep = home / "deep"
    deep.mkdir()
    at = os.open(deep, os.O_RDONLY)
    for _ in range(30):  # deeper than a path may be long
        os.mkdir("x" * 200, dir_fd=at)
        at, before = os.open("x" * 200, os.O_RDONLY, dir_fd=at), at
        os.close(before)
    os.close(at)
    assert not work.losses().told()["complete"]


def test_many_are_summed_up(work: Work, home: Path) -> None:
    for number in range(250):
        (home / f"{number:03}.txt").write_bytes(bytes(number))
    told = work.losses().told()
    assert (told["files"], told["total"]) == (250, sum(range(250)))
    assert len(told["entries"]) == 200
    assert told["entries"][0]["name"] == "249.txt"
    assert told["others"] == {"entries": 50, "size": sum(range(50)), "files": 50}


def test_a_name_need_not_be_text(work: Work, home: Path) -> None:
    Path(os.fsdecode(os.fsencode(home) + b"/\xff\n")).write_bytes(bytes(3))
    assert lost(work) == {"\udcff\n": ("file", 3, 1)}


async def test_who_is_let_in_is_told(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Folder("data", tmp_path / "work/data", writable=True)
    monkeypatch.setattr(session, "folders", lambda home: (data,))
    (tmp_path / "work/data").mkdir()
    (tmp_path / "work/brought.txt").write_text("by the image")
    tick(tmp_path / "work")
    served = await serve("session")
    (tmp_path / "work/data/kept.txt").write_text("kept")
    (tmp_path / "work/a.txt").write_text("lost")
    answer = await served.allowed.get(PATH)
    assert answer.status_code == 200
    found = [entry for entry in answer.json()["entries"] if not entry["hidden"]]
    assert [entry["name"] for entry in found] == ["a.txt"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_nobody_else_is(serve: Serve, method: str) -> None:
    served = await serve("session")
    assert (await served.stranger.request(method, PATH)).status_code in {403, 405}
    if method != "GET":
        assert (await served.allowed.request(method, PATH)).status_code == 405
    assert (await served.stranger.get(PATH)).status_code == 403
    served.forbidden()
    assert (await served.allowed.get(PATH)).status_code == 403


async def test_it_takes_no_path(serve: Serve) -> None:
    served = await serve("session")
    answer = await served.allowed.get(PATH, params={"path": "/etc"})
    assert (answer.status_code, answer.json()["field"]) == (400, "option")


async def test_when_the_work_directory_is_gone_it_says_so(serve: Serve, tmp_path: Path) -> None:
    served = await serve("session")
    (tmp_path / "work").rename(tmp_path / "gone")
    answer = await served.allowed.get(PATH)
    assert answer.status_code == 500
    assert "the work directory cannot be read" in answer.json()["message"]
