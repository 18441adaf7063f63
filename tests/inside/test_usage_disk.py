"""How full folders are: what `du` says of real ones, within its time, and one hung among them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from bai_spawner.server_extension.aside import Aside
from bai_spawner.server_extension.mounts import Folder
from bai_spawner.server_extension.usage import disk
from bai_spawner.server_extension.usage.disk import Disk, Size, count

MIB = 2**20


def du(path: Path) -> int:
    done = subprocess.run(
        ["du", "-xs", "--block-size=1", path], capture_output=True, text=True, check=True
    )
    return int(done.stdout.split()[0])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A work directory in which nothing is usual."""
    made = tmp_path / "home"
    (made / "deep" / "er").mkdir(parents=True)
    (made / "notes.txt").write_bytes(b"x" * 100_000)
    (made / "deep" / "er" / "big").write_bytes(b"x" * MIB)
    os.link(made / "deep" / "er" / "big", made / "the same again")
    with (made / "sparse").open("wb") as file:
        file.truncate(1000 * MIB)
    (tmp_path / "elsewhere").write_bytes(b"x" * 8 * MIB)
    (made / "link").symlink_to(tmp_path / "elsewhere")
    (made / "loop").symlink_to(".")
    for name in ("-rf", "two\nlines", "--files0-from=x", "caf\xe9 \N{SNOWMAN}"):
        (made / name).write_bytes(b"x" * 5000)
    (made / os.fsdecode(b"not utf-8 \xff")).write_bytes(b"x" * 5000)
    (made / "data").mkdir()
    (made / "data" / "kept").write_bytes(b"x" * 3 * MIB)
    return made


def test_everything_is_counted_as_du_counts_it(home: Path) -> None:
    size = count(home)
    assert (size.used, size.complete) == (du(home), True)
    assert size.used is not None
    assert 4 * MIB < size.used < 6 * MIB, "a link, a hole or a second name counts nothing"


def test_folders_in_it_are_left_out(home: Path) -> None:
    assert count(home, {"data"}).used == du(home) - du(home / "data")


def test_an_empty_directory_is_known_to_be_empty(tmp_path: Path) -> None:
    assert (count(tmp_path).used, count(tmp_path).complete) == (0, True)
    (tmp_path / "data").mkdir()
    assert count(tmp_path, {"data"}).used == 0
    assert count(tmp_path).used == du(tmp_path)


def test_a_directory_of_very_many_entries_is_counted_in_one_piece(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "LISTED", 3)
    assert (count(home).used, count(home).complete) == (du(home), True)


def test_what_was_counted_before_time_ran_out_is_the_least(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = ("/bin/sh", "-c", r"printf '4096\t/a\0'; exec sleep 60")
    monkeypatch.setattr(disk, "_COMMAND", slow)
    size = count(home, seconds=0.5)
    assert (size.used, size.complete) == (4096 + home.stat().st_blocks * 512, False)


def test_what_cannot_be_counted_is_not_known(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "_COMMAND", ("/bin/false",))
    assert (count(home).used, count(home).complete) == (None, False)
    with pytest.raises(OSError, match="nowhere"):
        count(home / "nowhere")


class Counting:
    """The real count, and how often it was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[Path] = []
        monkeypatch.setattr(disk, "count", self.count)

    def count(self, path: Path, *args: object) -> Size:
        self.asked.append(path)
        return count(path, *args)  # type: ignore[arg-type]


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    return Counting(monkeypatch)


async def counted(kept: Disk) -> None:
    assert kept._task
    await kept._task


def at(path: Path) -> tuple[Folder, ...]:
    return (Folder(path.name, path, writable=True),)


async def test_the_work_directory_and_its_folders_are_told_apart(
    home: Path, counting: Counting
) -> None:
    kept = Disk(home, lambda: at(home / "data"))
    first = await kept.told()
    (folder,) = first["folders"]
    assert folder["name"] == "data"
    assert 0 <= folder["free"] <= folder["total"]
    await counted(kept)
    told = await kept.told()
    assert told["work"]["used"] == du(home) - du(home / "data")
    assert told["work"]["complete"]
    assert told["work"]["at"] > 0
    (folder,) = told["folders"]
    assert (folder["used"], folder["complete"]) == (du(home / "data"), True)
    assert counting.asked == [home, home / "data"]


async def test_nothing_is_known_before_it_was_counted(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def waiting(*_: object) -> Size:
        go_on.wait()
        return Size(1, complete=True, at=1.0)

    monkeypatch.setattr(disk, "count", waiting)
    kept = Disk(home, lambda: at(home / "data"))
    told = await kept.told()
    assert told["work"] == {"used": 0, "complete": False, "at": None}
    assert (told["folders"][0]["used"], told["folders"][0]["complete"]) == (None, False)
    go_on.set()
    await kept.close()


async def test_it_is_counted_again_after_a_pause_and_when_somebody_asks(
    home: Path, counting: Counting
) -> None:
    kept = Disk(home, tuple)
    for _ in range(3):
        await kept.told()
        await counted(kept)
    assert counting.asked == [home]
    kept._next = 0.0
    await asyncio.sleep(0)
    assert counting.asked == [home], "nobody asked"
    await kept.told()
    await counted(kept)
    assert counting.asked == [home, home]


@pytest.mark.parametrize(("took", "pause"), [(1.0, 60.0), (20.0, 200.0)])
async def test_what_takes_long_is_counted_less_often(
    home: Path, monkeypatch: pytest.MonkeyPatch, took: float, pause: float
) -> None:
    now = [1000.0]

    def lasting(*_: object) -> Size:
        now[0] += took
        return Size()

    monkeypatch.setattr(disk, "count", lasting)
    monkeypatch.setattr(disk, "time", SimpleNamespace(monotonic=lambda: now[0]))
    kept = Disk(home, tuple)
    await kept.told()
    await counted(kept)
    assert kept._next == 1000.0 + took + pause


@pytest.fixture
def hung(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A folder called "hung" whose file system never answers, until the event is set."""
    back, real = threading.Event(), disk.space

    def space(path: Path) -> disk.Space:
        if path.name == "hung":
            back.wait()
        return real(path)

    monkeypatch.setattr(disk, "space", space)
    monkeypatch.setattr(disk, "SPACE_SECONDS", 0.05)
    yield back
    back.set()


async def test_a_folder_that_hangs_keeps_nobody_waiting(home: Path, hung: threading.Event) -> None:
    (home / "hung").mkdir()
    kept = Disk(home, lambda: (*at(home / "hung"), *at(home / "data")))
    await kept.told()
    await counted(kept)
    stuck, data = (await kept.told())["folders"]
    assert stuck == {
        "name": "hung",
        "used": None,
        "complete": False,
        "free": None,
        "total": None,
    }
    assert data["used"] == du(home / "data")
    assert data["total"] > 0


async def test_a_call_that_does_not_come_back_is_given_up_and_not_made_twice() -> None:
    back, began = threading.Event(), []

    def hangs() -> int:
        began.append(1)
        back.wait()
        return 1

    aside = Aside()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await aside.ask(hangs, 0.05)
    assert began == [1]
    back.set()
    assert aside._last
    await asyncio.wrap_future(aside._last)
    assert await aside.ask(lambda: 2, 10) == 2


async def test_without_a_thread_to_have_a_call_fails_and_the_next_one_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As at the limit of processes."""

    def full(_: object) -> None:
        raise RuntimeError("can't start new thread")

    aside = Aside()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", full)
        with pytest.raises(TimeoutError, match="new thread"):
            await aside.ask(lambda: 1, 5)
    assert await aside.ask(lambda: 2, 5) == 2


async def test_what_a_call_raises_is_raised_where_it_was_asked_for() -> None:
    with pytest.raises(FileNotFoundError):
        await Aside().ask(lambda: os.statvfs("/there/is/no/such/path"), 10)
