"""Folders as the kernel lists them: whatever they are called, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bai_spawner.server_extension.mounts import Folder, folders

HOME = Path("/home/work")
PLATFORM = """\
84 59 0:39 / / rw,relatime master:2 - overlay overlay rw,lowerdir=/l/A:/l/B,workdir=/work
85 84 0:42 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
93 89 0:32 /docker/89ed /sys/fs/cgroup/memory ro,nosuid,relatime - cgroup cgroup rw,memory
100 86 0:47 / /dev/shm rw,nosuid,nodev,noexec,relatime - tmpfs shm rw,size=32768k
102 84 254:0 /docker/89ed/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/vda rw,discard
"""
"""What every container has beside its folders."""
_PARTS = st.one_of(st.binary(max_size=8), st.text(max_size=8).map(str.encode))
NAMES = (
    st.lists(_PARTS, max_size=4)
    .map(b"".join)
    .filter(lambda name: name not in {b"", b".", b".."} and not {0, ord("/")} & {*name})
)
"""Whatever the kernel takes."""


def escaped(name: bytes) -> bytes:
    """A name as the kernel writes it."""
    for letter in b"\\ \t\n#":
        name = name.replace(bytes((letter,)), b"\\%03o" % letter)
    return name


def mount(
    point: bytes, options: str = "rw,relatime", system: str = "rw", optional: str = ""
) -> bytes:
    return b"105 84 254:0 /srv/x %s %s %s- ext4 /dev/vda %s\n" % (
        point,
        options.encode(),
        optional.encode(),
        system.encode(),
    )


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    return tmp_path / "mountinfo"


def names(listed: Path, *mounts: bytes) -> list[str]:
    listed.write_bytes(PLATFORM.encode() + b"".join(mounts))
    return [folder.name for folder in folders(HOME, listed)]


def test_folders_are_found_among_the_platforms_mounts(listed: Path) -> None:
    assert names(listed, mount(b"/home/work/data"), mount(b"/home/work/corpus")) == [
        "corpus",
        "data",
    ]
    assert folders(HOME, listed)[0] == Folder("corpus", HOME / "corpus", writable=True)


@pytest.mark.parametrize(
    ("options", "system", "writable"),
    [("rw", "rw", True), ("ro,relatime", "rw", False), ("rw,relatime", "ro,discard", False)],
)
def test_a_folder_says_whether_it_can_be_written_to(
    listed: Path, options: str, system: str, writable: bool
) -> None:
    names(listed, mount(b"/home/work/data", options, system, "shared:4 master:2 "))
    assert folders(HOME, listed) == (Folder("data", HOME / "data", writable),)


def test_what_is_no_folder_of_the_session_is_none(listed: Path) -> None:
    others = (b"/home/work", b"/home/work/data/inner", b"/home/worker/x", b"/data", b"/")
    assert names(listed, *map(mount, others)) == []


def test_of_two_mounts_at_one_place_the_upper_counts(listed: Path) -> None:
    names(listed, mount(b"/home/work/data", "ro"), mount(b"/home/work/data", "rw"))
    assert folders(HOME, listed) == (Folder("data", HOME / "data", writable=True),)


@given(st.lists(NAMES, max_size=5, unique=True))
def test_any_name_is_read_as_it_was_given(
    tmp_path_factory: pytest.TempPathFactory, given_names: list[bytes]
) -> None:
    listed = tmp_path_factory.getbasetemp() / "mountinfo"
    assert names(listed, *(mount(b"/home/work/" + escaped(name)) for name in given_names)) == (
        sorted(map(os.fsdecode, given_names))
    )


@given(st.binary(max_size=300))
def test_no_line_is_an_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    listed = tmp_path_factory.getbasetemp() / "mountinfo"
    assert "data" in names(listed, content, b"\n", mount(b"/home/work/data"))


def test_where_the_list_cannot_be_read_there_are_no_folders(tmp_path: Path) -> None:
    assert folders(HOME, tmp_path / "missing") == ()


def test_the_kernels_own_list_is_understood() -> None:
    assert {"proc", "sys"} <= {folder.name for folder in folders(Path("/"))}
