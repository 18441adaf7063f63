"""What is in a folder is counted as `du` counts it, within bounds, and without a link followed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from bai_spawner.folders import Measured, measure, measuring


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "root" / "users" / "ada" / "data"
    made.mkdir(parents=True)
    return made


def counted(folder: Path, **bounds: float) -> Measured:
    return measure(folder, folder.parents[2], **bounds)  # type: ignore[arg-type]


def du(folder: Path) -> int:
    found = subprocess.run(["du", "-xsB1", str(folder)], check=True, capture_output=True, text=True)
    return int(found.stdout.split()[0])


def test_a_folder_is_as_large_as_du_says(folder: Path) -> None:
    (folder / "a" / "b").mkdir(parents=True)
    for number in range(20):
        (folder / "a" / f"file{number}").write_bytes(b"x" * number * 1000)
    with (folder / "sparse").open("wb") as sparse:
        sparse.truncate(10**12)
    os.link(folder / "a" / "file19", folder / "again")
    os.mkfifo(folder / "pipe")
    found = counted(folder)
    assert found == Measured(du(folder), 23)
    assert found.size < 10**7


def test_an_empty_folder_has_no_files(folder: Path) -> None:
    assert counted(folder) == Measured(du(folder), 0)


def test_no_link_is_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "file").write_bytes(b"x" * 10**6)
    (folder / "directory").symlink_to(tmp_path / "large")
    (folder / "file").symlink_to(tmp_path / "large" / "file")
    (folder / "up").symlink_to("..")
    found = counted(folder)
    assert (found.files, found.more) == (3, False)
    assert found.size < 10**5


@pytest.mark.parametrize("place", ["", "users", "users/ada", "users/ada/data"])
def test_a_folder_is_not_reached_over_a_link(folder: Path, tmp_path: Path, place: str) -> None:
    linked = tmp_path / "root" / place
    linked.rename(tmp_path / "moved")
    linked.symlink_to(tmp_path / "moved")
    with pytest.raises(OSError):
        counted(folder)


def test_counting_ends_at_a_number_and_says_so(folder: Path) -> None:
    for number in range(50):
        (folder / f"file{number}").touch()
    assert counted(folder, entries=50) == Measured(du(folder), 50)
    assert counted(folder, entries=49).files == 49
    assert counted(folder, entries=49).more


def test_counting_ends_in_time_and_says_so(folder: Path) -> None:
    for number in range(50):
        (folder / f"file{number}").touch()
    found = counted(folder, seconds=-1)
    assert (found.files, found.more) == (0, True)


def test_what_is_too_deep_is_left_out_and_it_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "DEPTH", 3)
    deep = folder / "1" / "2" / "3"
    deep.mkdir(parents=True)
    (deep.parent / "file").touch()
    assert counted(folder).more
    deep.rmdir()
    assert counted(folder) == Measured(du(folder), 1)


def test_what_goes_meanwhile_is_no_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "gone").mkdir()
    (folder / "stays").touch()
    opened = measuring.opened

    def vanish(name: str | Path, parent: int | None = None) -> object:
        if name == "gone":
            os.rmdir(name, dir_fd=parent)
        return opened(name, parent)

    monkeypatch.setattr(measuring, "opened", vanish)
    found = counted(folder)
    assert (found.files, found.more) == (1, False)


def test_a_directory_that_becomes_a_link_is_not_entered(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "swapped").mkdir()
    (tmp_path / "file").touch()
    opened = measuring.opened

    def swap(name: str | Path, parent: int | None = None) -> object:
        if name == "swapped":
            os.rmdir(name, dir_fd=parent)
            os.symlink(tmp_path, name, dir_fd=parent)
        return opened(name, parent)

    monkeypatch.setattr(measuring, "opened", swap)
    found = counted(folder)
    assert (found.files, found.more) == (0, True)


def test_what_is_not_there_cannot_be_counted(folder: Path) -> None:
    folder.rmdir()
    with pytest.raises(FileNotFoundError):
        counted(folder)
