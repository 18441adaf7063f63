"""A disk without room: what cannot be recorded is refused, and no row is half written."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bai_spawner.history import History
from bai_spawner.reasons import End, Ending, Status
from bai_spawner.records import Records, RecordsError

pytest.register_assert_rewrite("tests.records_contract")

from tests.records_contract import NOON, facts, known  # noqa: E402

BYTES = 1024 * 1024
FULL = "database or disk is full"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own that is soon full."""
    path = tmp_path / "disk"
    path.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={BYTES}", "bai-tests", str(path)]
    made = subprocess.run(mounting, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {made.stderr.strip()}")
    yield path
    subprocess.run(["umount", str(path)], check=True)


def fill(disk: Path) -> Path:
    """Take all the room there is."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    assert os.statvfs(disk).f_bavail == 0
    return ballast


def test_on_a_full_disk_a_write_is_refused_and_leaves_nothing_half_done(disk: Path) -> None:
    records = Records(f"sqlite:///{disk}/records.sqlite")
    records.begin(facts(), at=NOON)
    before = known(records)
    ballast = fill(disk)
    written = []
    with pytest.raises(RecordsError, match=f"cannot write the records: .*{FULL}"):  # noqa: PT012
        for number in range(10_000):
            one = facts(f"s{number}")
            records.begin(one, at=NOON)
            written.append(one)
    refused = f"s{len(written)}"
    many = [(facts(f"m{number}"), NOON) for number in range(1000)]
    with pytest.raises(RecordsError, match=FULL):
        records.enter(many, status=Status.RUNNING)
    with pytest.raises(RecordsError, match=FULL):
        records.end("one", End(Ending.USER), os.urandom(200_000).hex(), at=NOON)
    assert known(records) == before
    assert records.log("one") == ""
    assert records.page("hub").total == len(written) + 1
    assert all(known(records, one.id).facts == one for one in written)
    assert records.get(refused) is None

    ballast.unlink()
    records.begin(facts(refused), at=NOON)
    records.end("one", End(Ending.USER), "a log", at=NOON)
    assert known(records, refused).status is Status.PENDING
    assert records.log("one") == "a log"
    records.close()
    assert whole(disk)


def whole(disk: Path) -> bool:
    """Whether SQLite finds nothing wrong with the file."""
    connection = sqlite3.connect(disk / "records.sqlite")
    found = connection.execute("PRAGMA integrity_check").fetchall()
    strays = connection.execute("PRAGMA foreign_key_check").fetchall()
    connection.close()
    return found == [("ok",)] and strays == []


def test_records_that_do_not_fit_on_the_disk_are_not_opened_and_later_they_are(
    disk: Path,
) -> None:
    url = f"sqlite:///{disk}/records.sqlite"
    ballast = fill(disk)
    with pytest.raises(RecordsError, match="cannot open the records: "):
        Records(url)
    ballast.unlink()
    records = Records(url)
    records.begin(facts(), at=NOON)
    assert known(records).facts == facts()
    records.close()


async def test_on_a_full_disk_a_launch_is_refused_with_the_reason_and_the_rest_is_kept(
    disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    history = History(f"sqlite:///{disk}/records.sqlite", "hub", logging.getLogger("tests"))
    await history.begin(facts())
    ballast = fill(disk)
    launched = 0
    with pytest.raises(RecordsError, match=FULL):  # noqa: PT012
        while True:
            await history.begin(replace(facts(), id=f"s{launched}"))
            launched += 1
    history.end("one", End(Ending.EXITED), os.urandom(200_000).hex())
    await history.settled()
    assert history.unwritten == 1
    with pytest.raises(RecordsError):
        await history.begin(facts("refused"))
    ballast.unlink()
    history.retry()
    await history.settled()
    assert history.unwritten == 0
    await history.begin(facts("later"))
    history.close()
    assert whole(disk)
    assert caplog.text.count(FULL) == 1
