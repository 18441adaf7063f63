"""What is deleted goes, whatever sessions put into it, and nothing else does."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bai_spawner.folders import Trash, Tree, removing
from bai_spawner.folders.removing import DEPTH
from bai_spawner.folders.tree import opened


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "root", uid=os.geteuid(), gid=os.getegid())


@pytest.fixture
def trash(tree: Tree) -> Trash:
    return Trash(tree)


@pytest.fixture
def folder(tree: Tree) -> Path:
    """A user's folder."""
    with tree.holder("users", "ada", make=True) as home:
        tree.add(home, "old")
    return tree.root / "users" / "ada" / "old"


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """What must be there afterwards, as it is."""
    made = tmp_path / "outside"
    made.mkdir()
    (made / "file").write_text("kept")
    yield made
    assert {path.name for path in made.iterdir()} == {"file"}
    assert (made / "file").read_text() == "kept"
    assert made.stat().st_mode & 0o777 == 0o755


def condemned(trash: Trash) -> str:
    return trash.condemn(trash.take("ada", "old"))


def left(tree: Tree) -> list[str]:
    return [path.name for path in (tree.root / "trash").iterdir()]


def dig(folder: Path, depth: int) -> None:
    """Directories inside each other; too many for one path, so each is made from the one before."""
    at = os.open(folder, os.O_RDONLY)
    for number in range(depth):
        os.mkdir("d", dir_fd=at)
        os.close(os.open(f"f{number}", os.O_CREAT | os.O_WRONLY, dir_fd=at))
        inner = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    os.close(at)


def test_everything_in_a_folder_is_removed(trash: Trash, tree: Tree, folder: Path) -> None:
    for number in range(2_000):
        (folder / f"file{number}").touch()
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "file").write_text("x")
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(folder / "socket"))
    os.link(folder / "file0", folder / "a" / "again")
    (folder / os.fsdecode(b"\xff\n")).mkdir()
    trash.remove(condemned(trash))
    assert left(tree) == []
    assert not folder.exists()


def test_no_link_is_followed(trash: Trash, tree: Tree, folder: Path, outside: Path) -> None:
    (folder / "directory").symlink_to(outside)
    (folder / "file").symlink_to(outside / "file")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "up").symlink_to("../..")
    os.link(outside / "file", folder / "hard")
    trash.remove(condemned(trash))
    assert left(tree) == []


def test_a_directory_that_becomes_a_link_is_notentered(
    trash: Trash,
    tree: Tree,
    folder: Path,
    outside: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a container that still has the folder may do at the very moment."""
    (folder / "innocent").mkdir()
    entering = removing.entered

    def swap(name: str, parent: int) -> object:
        if name == "innocent":
            os.rmdir(name, dir_fd=parent)
            os.symlink(outside, name, dir_fd=parent)
        return entering(name, parent)

    monkeypatch.setattr(removing, "entered", swap)
    with pytest.raises(NotADirectoryError):
        trash.remove(condemned(trash))


@pytest.mark.parametrize("unlock", [removing._unlock, lambda *a: removing.entered(*a).__enter__()])
def test_the_mode_of_what_a_link_leads_to_is_not_changed(
    tree: Tree, folder: Path, outside: Path, unlock: object
) -> None:
    (folder / "link").symlink_to(outside)
    outside.chmod(0o755)
    with opened(folder) as parent, pytest.raises(OSError):
        unlock("link", parent)  # type: ignore[operator]


def test_a_folder_of_any_depth_is_removed_with_few_descriptors(
    trash: Trash, tree: Tree, folder: Path
) -> None:
    dig(folder, 20 * DEPTH + 3)
    name = condemned(trash)
    used = len(list(Path("/proc/self/fd").iterdir()))
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 2 * DEPTH + 20, before[1]))
    try:
        trash.remove(name)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert left(tree) == []


@pytest.mark.parametrize("mode", [0o000, 0o500, 0o300, 0o070])
def test_a_directory_that_its_owner_locked_is_removed(
    trash: Trash, tree: Tree, folder: Path, mode: int
) -> None:
    inner = folder / "locked" / "inner"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    inner.chmod(mode)
    inner.parent.chmod(mode)
    folder.chmod(mode)
    trash.remove(condemned(trash))
    assert left(tree) == []


def test_what_cannot_be_removed_keeps_nothing_else_from_it(
    trash: Trash, tree: Tree, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        (folder / name).mkdir()
        (folder / name / "file").touch()
        (folder / name / "stuck").touch()
    unlink = os.unlink

    def refuse(name: str, **at: int) -> None:
        if name == "stuck":
            raise PermissionError(1, "Operation not permitted", name)
        unlink(name, **at)

    monkeypatch.setattr(os, "unlink", refuse)
    name = condemned(trash)
    with pytest.raises(PermissionError, match="stuck"):
        trash.remove(name)
    there = {str(path.relative_to(tree.root / "trash" / name)) for path in folder_of(tree, name)}
    assert there == {"a", "a/stuck", "b", "b/stuck", "c", "c/stuck"}
    assert trash.condemned() == (name,), "the next start tries it again"


def folder_of(tree: Tree, name: str) -> list[Path]:
    return list((tree.root / "trash" / name).rglob("*"))


def test_what_is_gone_already_is_no_error(trash: Trash, tree: Tree, folder: Path) -> None:
    name = condemned(trash)
    trash.remove(name)
    trash.remove(name)


def test_nobody_else_reaches_what_was_deleted(trash: Trash, tree: Tree, folder: Path) -> None:
    trash.take("ada", "old")
    assert (tree.root / "trash").stat().st_mode & 0o777 == 0o700


# ---- after a kill


def test_what_was_only_taken_when_the_process_was_killed_is_put_back(
    trash: Trash, tree: Tree, folder: Path
) -> None:
    (folder / "file").write_text("kept")
    trash.take("ada", "old")
    assert not folder.exists()
    Trash(tree).settle()
    assert (folder / "file").read_text() == "kept"
    assert left(tree) == []


def test_what_was_condemned_is_still_to_be_removed(trash: Trash, tree: Tree, folder: Path) -> None:
    name = condemned(trash)
    Trash(tree).settle()
    assert Trash(tree).condemned() == (name,)


def test_what_was_too_deep_when_the_process_was_killed_is_removed_too(
    trash: Trash, tree: Tree, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dig(folder, DEPTH + 10)
    name = condemned(trash)
    monkeypatch.setattr(removing._Removal, "all_of", _only_the_first)
    trash.remove(name)
    assert len(trash.condemned()) == 1
    assert name not in trash.condemned()
    monkeypatch.undo()
    for one in trash.condemned():
        trash.remove(one)
    assert left(tree) == []


def _only_the_first(self: removing._Removal, name: str) -> None:
    self._directory(self._trash, name, DEPTH)


def test_what_is_not_ours_stays_in_the_trash(trash: Trash, tree: Tree, folder: Path) -> None:
    trash.take("ada", "old")
    others = ["notes", "0" * 31, "0" * 33, "A" * 32, f"{'0' * 32},ada,a b", f"{'0' * 32},ada"]
    for name in others:
        (tree.root / "trash" / name).mkdir()
    trash.settle()
    assert trash.condemned() == ()
    assert sorted(left(tree)) == sorted(others)


def test_one_folder_that_cannot_be_put_back_does_not_keep_the_others(
    trash: Trash, tree: Tree, folder: Path
) -> None:
    trash.take("ada", "old")
    with tree.holder("users", "eve", make=True) as home:
        tree.add(home, "hers")
    trash.take("eve", "hers")
    (tree.root / "users" / "eve").rmdir()
    (tree.root / "users" / "eve").write_text("in the way")
    with pytest.raises(OSError):
        trash.settle()
    assert folder.is_dir()
    assert len(left(tree)) == 1


def test_where_nothing_was_ever_deleted_nothing_is_made(tmp_path: Path) -> None:
    trash = Trash(Tree(tmp_path / "root"))
    trash.settle()
    assert trash.condemned() == ()
    assert list(tmp_path.iterdir()) == []
