"""Copying what would be lost into a folder."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bai_spawner.server_extension import session
from bai_spawner.server_extension.mounts import Folder
from bai_spawner.server_extension.session import copying
from bai_spawner.server_extension.session.copying import CHUNK, DEEPEST, Copy, Failed
from bai_spawner.server_extension.session.losses import LISTED
from tests.inside.conftest import Serve, Served

PATH = "bai/api/rescue"
LONG_AGO = 1_000_000_000


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    made.mkdir()
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir()
    return made


def copy(home: Path, folder: Path, *names: str) -> Copy:
    made = Copy(home, names, folder, "copy")
    made.run()
    return made


def tree(root: Path) -> dict[str, Any]:
    """All that is below a directory: kind, mode, time, content."""
    found = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content: object = None
        if path.is_symlink():
            content = path.readlink()
        elif path.is_file():
            content = path.read_bytes()
        told = (stat.filemode(status.st_mode), status.st_mtime_ns, content)
        found[str(path.relative_to(root))] = told
    return found


def test_everything_arrives_as_it_was(home: Path, folder: Path) -> None:
    (home / "results/run").mkdir(parents=True)
    (home / "results/model.bin").write_bytes(os.urandom(3 * CHUNK + 17))
    (home / "results/empty").touch()
    (home / "results/run.sh").write_text("#!/bin/sh")
    (home / "results/run.sh").chmod(0o750)
    (home / "results/run/secret").write_text("x")
    (home / "results/run/secret").chmod(0o400)
    (home / "results/link").symlink_to("run/secret")
    (home / "results/broken").symlink_to("/nowhere")
    (home / "results/run").chmod(0o555)
    (home / "a.ipynb").write_text("{}")
    for path in [*home.rglob("*")]:
        os.utime(path, (LONG_AGO, LONG_AGO), follow_symlinks=False)
    made = copy(home, folder, "results", "a.ipynb")
    (home / "results/run").chmod(0o755)
    (folder / "copy/results/run").chmod(0o755)
    assert tree(folder / "copy") == tree(home)
    assert made.copied == made.total == 3 * CHUNK + 17 + len("#!/bin/sh") + 1 + 2
    assert (made.files, made.skipped) == (7, [])


def test_what_was_not_chosen_does_not(home: Path, folder: Path) -> None:
    (home / "a").write_text("a")
    (home / "b").write_text("b")
    copy(home, folder, "b")
    assert list(tree(folder / "copy")) == ["b"]


def test_holes_stay_holes(home: Path, folder: Path) -> None:
    with (home / "sparse").open("wb") as file:
        file.truncate(2**40)
        file.seek(2**39)
        file.write(b"in the middle")
    made = copy(home, folder, "sparse")
    arrived = (folder / "copy/sparse").stat()
    assert made.copied == made.total == arrived.st_size == 2**40
    assert arrived.st_blocks <= (home / "sparse").stat().st_blocks
    with (folder / "copy/sparse").open("rb") as file:
        file.seek(2**39)
        assert file.read(13) == b"in the middle"


def test_where_a_file_system_cannot_tell_holes_all_is_copied(
    home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*_: object) -> int:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "lseek", cannot)
    (home / "a").write_bytes(os.urandom(CHUNK + 1))
    copy(home, folder, "a")
    assert (folder / "copy/a").read_bytes() == (home / "a").read_bytes()


def test_set_id_bits_stay_behind(home: Path, folder: Path) -> None:
    (home / "program").touch()
    (home / "program").chmod(0o6755)
    copy(home, folder, "program")
    assert stat.S_IMODE((folder / "copy/program").stat().st_mode) == 0o755


def test_what_is_no_file_is_left_out_and_told(home: Path, folder: Path) -> None:
    (home / "run").mkdir()
    os.mkfifo(home / "run/pipe")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(home / "run/socket"))
    listening.close()
    (home / "run/a").write_text("a")
    made = copy(home, folder, "run")
    assert made.skipped == ["run/pipe", "run/socket"]
    assert list(tree(folder / "copy")) == ["run", "run/a"]


def test_another_file_system_is_not_entered(home: Path, folder: Path) -> None:
    made = Copy(Path("/"), ["proc"], folder, "copy")
    made.run()
    assert (made.skipped, made.total) == (["proc"], 0)


def test_what_lies_too_deep_is_told(home: Path, folder: Path) -> None:
    deep = "/".join(["x"] * (DEEPEST + 2))
    (home / deep).mkdir(parents=True)
    assert copy(home, folder, "x").skipped == ["/".join(["x"] * (DEEPEST + 1))]


def test_what_is_gone_when_its_turn_comes_is_no_failure(home: Path, folder: Path) -> None:
    (home / "a").write_text("a")
    assert copy(home, folder, "gone", "a").skipped == []
    assert list(tree(folder / "copy")) == ["a"]


def test_a_target_that_is_there_is_left_alone(home: Path, folder: Path) -> None:
    (folder / "copy").mkdir()
    (folder / "copy/kept").write_text("kept")
    (home / "a").write_text("a")
    with pytest.raises(Failed, match="data/copy could not be made: File exists"):
        copy(home, folder, "a")
    assert list(tree(folder)) == ["copy", "copy/kept"]


def test_a_target_that_is_a_link_is_not_followed(home: Path, folder: Path, tmp_path: Path) -> None:
    (folder / "copy").symlink_to(tmp_path)
    (home / "a").write_text("a")
    with pytest.raises(Failed):
        copy(home, folder, "a")
    assert not (tmp_path / "a").exists()


def test_a_folder_that_is_a_link_is_not_followed(home: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    with pytest.raises(Failed):
        copy(home, tmp_path / "link", "a")
    assert tree(tmp_path / "elsewhere") == {}


@pytest.fixture
def swapped(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], None]], None]:
    """Do something between the moment that a name is looked at and that it is opened."""

    def prepare(name: str, swap: Callable[[], None]) -> None:
        looked = copying._status

        def look(asked: str, within: int) -> os.stat_result:
            found = looked(asked, within)
            if asked == name and (Path(f"/proc/self/fd/{within}").resolve() / name).exists():
                swap()
            return found

        monkeypatch.setattr(copying, "_status", look)
        # it is looked at twice, and only the second time is the copy's
        monkeypatch.setattr(Copy, "_measure", lambda *_: 0)

    return prepare


def test_a_file_that_is_swapped_for_a_link_is_not_followed(
    home: Path, folder: Path, tmp_path: Path, swapped: Callable[[str, Callable[[], None]], None]
) -> None:
    (tmp_path / "secret").write_text("secret")
    (home / "a").write_text("a")

    def swap() -> None:
        (home / "a").unlink()
        (home / "a").symlink_to(tmp_path / "secret")

    swapped("a", swap)
    with pytest.raises(Failed, match="a could not be copied: something else took its place"):
        copy(home, folder, "a")
    assert tree(folder / "copy") == {}


def test_a_directory_that_is_swapped_for_a_link_is_not_entered(
    home: Path, folder: Path, tmp_path: Path, swapped: Callable[[str, Callable[[], None]], None]
) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/key").write_text("secret")
    (home / "d").mkdir()

    def swap() -> None:
        (home / "d").rmdir()
        (home / "d").symlink_to(tmp_path / "secrets")

    swapped("d", swap)
    with pytest.raises(Failed, match="d could not be copied: something else took its place"):
        copy(home, folder, "d")
    assert tree(folder / "copy") == {}


def test_a_file_that_is_swapped_for_a_pipe_does_not_hang(
    home: Path, folder: Path, swapped: Callable[[str, Callable[[], None]], None]
) -> None:
    (home / "a").write_text("a")

    def swap() -> None:
        (home / "a").unlink()
        os.mkfifo(home / "a")

    swapped("a", swap)
    assert copy(home, folder, "a").skipped == ["a"]


def test_a_target_that_is_removed_meanwhile_is_a_failure(
    home: Path, folder: Path, swapped: Callable[[str, Callable[[], None]], None]
) -> None:
    (home / "a").write_text("a")
    swapped("a", (folder / "copy").rmdir)
    with pytest.raises(Failed, match="a could not be copied: No such file"):
        copy(home, folder, "a")


def test_a_file_that_cannot_be_read_is_named(
    home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever runs the tests may read everything, so the system's refusal is put in place."""
    (home / "d").mkdir()
    (home / "d/secret").write_text("secret")
    (home / "d/a").write_text("a")
    real = os.open

    def denied(path: str, flags: int, *more: Any, **how: Any) -> int:
        if path == "secret":
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, flags, *more, **how)

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(Failed, match=r"^d/secret could not be copied: Permission denied\.$"):
        copy(home, folder, "d")
    assert list(tree(folder / "copy")) == ["d", "d/a"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_when_the_folder_fills_up_no_half_file_stays(
    home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    (home / "a").write_text("a")
    (home / "b").write_bytes(bytes(2 * CHUNK))
    real, written = os.pwrite, []

    def full(file: int, content: bytes, at: int) -> int:
        if at >= CHUNK:
            raise OSError(number, "No space")
        written.append(at)
        return real(file, content, at)

    monkeypatch.setattr(os, "pwrite", full)
    (home / "b").write_bytes(os.urandom(2 * CHUNK))
    with pytest.raises(Failed, match="The folder is full: b could not be copied"):
        copy(home, folder, "a", "b")
    assert list(tree(folder / "copy")) == ["a"]
    assert len(written) == 2


def test_what_the_folder_has_no_room_for_is_not_begun(
    home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fstatvfs

    def little(file: int) -> Any:
        found = list(real(file))
        found[4] = 1  # f_bavail
        return os.statvfs_result(found)

    monkeypatch.setattr(os, "fstatvfs", little)
    (home / "big").write_bytes(os.urandom(CHUNK))
    with pytest.raises(Failed, match=r"The folder data has .* left, and 1 MiB are needed"):
        copy(home, folder, "big")
    assert tree(folder) == {}


def test_a_write_may_be_short(home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, content, at: real(file, content[:1000], at))
    (home / "a").write_bytes(os.urandom(5500))
    copy(home, folder, "a")
    assert (folder / "copy/a").read_bytes() == (home / "a").read_bytes()


def test_a_file_that_becomes_shorter_is_copied_as_it_is_then(
    home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(3 * CHUNK)
    (home / "a").write_bytes(content)
    real = os.pread

    def shrinks(file: int, length: int, at: int) -> bytes:
        os.truncate(home / "a", CHUNK)
        return real(file, length, at)

    monkeypatch.setattr(os, "pread", shrinks)
    made = copy(home, folder, "a")
    assert (folder / "copy/a").read_bytes() == content[:CHUNK]
    assert made.copied == made.total


@given(pieces=st.lists(st.tuples(st.integers(0, 2**18), st.binary(max_size=50)), max_size=5))
def test_any_file_arrives_whole(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[int, bytes]]
) -> None:
    root = tmp_path_factory.mktemp("any")
    (root / "home").mkdir()
    (root / "data").mkdir()
    with (root / "home/a").open("wb") as file:
        for at, piece in pieces:
            file.seek(at)
            file.write(piece)
    copy(root / "home", root / "data", "a")
    assert (root / "data/copy/a").read_bytes() == (root / "home/a").read_bytes()


class Gate:
    """Holds up every copy's first read, until it is opened or the copy is to stop."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._open = threading.Event()
        self._reached = threading.Event()
        real = os.pread

        def read(file: int, length: int, at: int) -> bytes:
            self._reached.set()
            assert self._open.wait(30)
            return real(file, length, at)

        monkeypatch.setattr(os, "pread", read)
        stop = Copy.stop

        def stopped(copy: Copy) -> None:
            stop(copy)
            self.open()

        monkeypatch.setattr(Copy, "stop", stopped)

    async def reached(self) -> None:
        assert await asyncio.to_thread(self._reached.wait, 30)

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = Gate(monkeypatch)
    yield made
    made.open()


@pytest.fixture
async def served(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Served:
    """A session with a folder, one that cannot be written to, and some files."""
    work = tmp_path / "work"

    def folders(home: Path) -> tuple[Folder, ...]:
        data = Folder("data", home / "data", writable=True)
        return data, Folder("models", home / "models", writable=False)

    monkeypatch.setattr(session, "folders", folders)
    monkeypatch.setenv("BAI_SESSION_NAME", "brave-otter")
    for name in ("data", "models", "results", ".ssh"):
        (work / name).mkdir()
    (work / "results/model.bin").write_bytes(bytes(1000) + b"end")
    (work / "a.ipynb").write_text("{}")
    (work / "id_container").write_text("secret")
    made: Served = await serve("session")
    return made


async def state(served: Served, wanted: str) -> dict[str, Any]:
    """What is told once it is in that state."""
    async with asyncio.timeout(20):
        while True:
            answer = await served.allowed.get(PATH)
            found: dict[str, Any] = answer.json()
            if found["state"] == wanted:
                return found
            assert found["state"] == "running", found


async def test_chosen_entries_are_copied_into_the_folder(served: Served, tmp_path: Path) -> None:
    nothing = {"state": "idle", "copied": 0, "total": 0, "skipped": 0, "target": "", "message": ""}
    assert (await served.allowed.get(PATH)).json() == nothing
    body = {"folder": "data", "names": ["results", "a.ipynb"]}
    answer = await served.allowed.post(PATH, json=body)
    assert answer.status_code == 202, answer.text
    target = answer.json()["target"]
    assert re.fullmatch(r"data/brave-otter-\d{4}-\d\d-\d\d-\d{6}", target)
    assert await state(served, "done") == {
        "state": "done",
        "copied": 1005,
        "total": 1005,
        "skipped": 0,
        "target": target,
        "message": f"Copied 2 files to {target}.",
    }
    work = tmp_path / "work"
    assert (work / target / "results/model.bin").read_bytes() == bytes(1000) + b"end"
    assert (work / "results/model.bin").exists()


async def test_without_names_all_that_would_be_lost_is_copied(
    served: Served, tmp_path: Path
) -> None:
    """More of it than is listed one by one; not keys, folders, and what the image brought."""
    work = tmp_path / "work"
    made = {f"{number:03}.txt" for number in range(LISTED + 50)} | {".config"}
    for name in made:
        (work / name).write_text(name)
    (work / "data/kept").write_text("kept")
    answer = await served.allowed.post(PATH, json={"folder": "data"})
    assert answer.status_code == 202, answer.text
    await state(served, "done")
    copied = {path.name for path in (work / answer.json()["target"]).iterdir()}
    assert made <= copied
    assert not copied & {".ssh", "id_container", "data", "models", "kept", "a.ipynb", "results"}


async def test_without_names_it_has_to_be_readable(served: Served, tmp_path: Path) -> None:
    (tmp_path / "work").rename(tmp_path / "gone")
    answer = await served.allowed.post(PATH, json={"folder": "data"})
    assert answer.status_code == 500
    assert "the work directory cannot be read" in answer.json()["message"]


async def test_one_runs_at_a_time_and_the_next_after_it(
    served: Served, gate: Gate, tmp_path: Path
) -> None:
    body = {"folder": "data", "names": ["results"]}
    first = (await served.allowed.post(PATH, json=body)).json()["target"]
    await gate.reached()
    again = await served.allowed.post(PATH, json=body)
    assert again.status_code == 409
    assert first in again.json()["message"]
    gate.open()
    await state(served, "done")
    (tmp_path / "work" / first).rename(tmp_path / "work/data/kept")
    assert (await served.allowed.post(PATH, json=body)).status_code == 202
    await state(served, "done")


async def test_a_copy_can_be_stopped_and_no_half_file_stays(
    served: Served, gate: Gate, tmp_path: Path
) -> None:
    (tmp_path / "work/results/model.bin").write_bytes(os.urandom(3 * CHUNK))
    body = {"folder": "data", "names": ["a.ipynb", "results"]}
    (tmp_path / "work/a.ipynb").write_text("")  # an empty file is not read, so not held up
    target = (await served.allowed.post(PATH, json=body)).json()["target"]
    await gate.reached()
    assert (await served.allowed.delete(PATH)).status_code == 204
    found = await state(served, "failed")
    assert found["message"] == (f"The copy was stopped. What was copied before is in {target}.")
    assert list(tree(tmp_path / "work" / target)) == ["a.ipynb", "results"]


async def test_a_failure_is_told(served: Served, tmp_path: Path) -> None:
    (tmp_path / "work/data").rmdir()
    body = {"folder": "data", "names": ["a.ipynb"]}
    target = (await served.allowed.post(PATH, json=body)).json()["target"]
    found = await state(served, "failed")
    assert found["message"] == f"{target} could not be made: No such file or directory."


async def test_what_was_left_out_is_told(served: Served, tmp_path: Path) -> None:
    for number in range(7):
        os.mkfifo(tmp_path / f"work/results/pipe{number}")
    body = {"folder": "data", "names": ["results"]}
    await served.allowed.post(PATH, json=body)
    found = await state(served, "done")
    assert found["skipped"] == 7
    assert found["message"].endswith(
        "results/pipe0, results/pipe1, results/pipe2, results/pipe3, results/pipe4 and 2 more."
    )


async def test_what_nobody_foresaw_is_a_failure_too(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Copy) -> None:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr(Copy, "run", broken)
    await served.allowed.post(PATH, json={"folder": "data", "names": ["a.ipynb"]})
    assert (await state(served, "failed"))["message"] == (
        "The copy failed; the session's log says why."
    )


async def test_a_copy_ends_with_the_server(served: Served, gate: Gate, tmp_path: Path) -> None:
    (tmp_path / "work/results/model.bin").write_bytes(os.urandom(3 * CHUNK))
    body = {"folder": "data", "names": ["results"]}
    target = (await served.allowed.post(PATH, json=body)).json()["target"]
    await gate.reached()
    await served.app._cleanup()
    assert list(tree(tmp_path / "work" / target)) == ["results"]


async def test_stopping_nothing_does_nothing(served: Served) -> None:
    assert (await served.allowed.delete(PATH)).status_code == 204
    assert (await served.allowed.get(PATH)).json()["state"] == "idle"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", "body"),
        (b"[]", "body"),
        (b'{"folder": "data", "names": ["a.ipynb"], "force": true}', "body"),
        (b"{}", "folder"),
        (b'{"names": ["a.ipynb"]}', "folder"),
        (b'{"folder": "models", "names": ["a.ipynb"]}', "folder"),
        (b'{"folder": "results", "names": ["a.ipynb"]}', "folder"),
        (b'{"folder": "../data", "names": ["a.ipynb"]}', "folder"),
        (b'{"folder": "", "names": ["a.ipynb"]}', "folder"),
        (b'{"folder": 1, "names": ["a.ipynb"]}', "folder"),
        (b'{"folder": "data", "names": null}', "names"),
        (b'{"folder": "data", "names": []}', "names"),
        (b'{"folder": "data", "names": "a.ipynb"}', "names"),
        (b'{"folder": "data", "names": [1]}', "names"),
        (b'{"folder": "data", "names": [["a.ipynb"]]}', "names"),
        (b'{"folder": "data", "names": [null]}', "names"),
        (b'{"folder": "data", "names": [""]}', "names"),
        (b'{"folder": "data", "names": ["."]}', "names"),
        (b'{"folder": "data", "names": [".."]}', "names"),
        (b'{"folder": "data", "names": ["../work/a.ipynb"]}', "names"),
        (b'{"folder": "data", "names": ["results/model.bin"]}', "names"),
        (b'{"folder": "data", "names": ["/etc/passwd"]}', "names"),
        (b'{"folder": "data", "names": ["a.ipynb\\u0000"]}', "names"),
        (b'{"folder": "data", "names": ["missing"]}', "names"),
        (b'{"folder": "data", "names": ["models"]}', "names"),
        (b'{"folder": "data", "names": ["id_container"]}', "names"),
        (b'{"folder": "data", "names": [".ssh"]}', "names"),
        (b'{"folder": "data", "names": ["a.ipynb", "a.ipynb"]}', "names"),
    ],
)
async def test_what_cannot_be_copied_is_refused_by_name(
    served: Served, tmp_path: Path, body: bytes, field: str
) -> None:
    answer = await served.allowed.post(PATH, content=body)
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert tree(tmp_path / "work/data") == {}


async def test_where_nothing_can_be_written_that_is_said(
    served: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(session.Work, "folders", lambda _: ())
    answer = await served.allowed.post(PATH, json={"folder": "data", "names": ["a.ipynb"]})
    assert answer.status_code == 400
    assert "no folder can be written to" in answer.json()["message"]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_nobody_else_may(served: Served, tmp_path: Path, method: str) -> None:
    body = {"folder": "data", "names": ["a.ipynb"]}
    assert (await served.stranger.request(method, PATH, json=body)).status_code == 403
    served.forbidden()
    assert (await served.allowed.request(method, PATH, json=body)).status_code == 403
    assert tree(tmp_path / "work/data") == {}


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_there_are_no_options(served: Served, method: str) -> None:
    answer = await served.allowed.request(method, PATH, params={"target": "/etc"})
    assert (answer.status_code, answer.json()["field"]) == (400, "option")


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_there_is_no_other_way(served: Served, method: str) -> None:
    assert (await served.allowed.request(method, PATH)).status_code == 405
