"""Records in SQLite, and what is said of a database that cannot be opened."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bai_spawner.records import Records, RecordsError
from bai_spawner.records.database import Database

pytest.register_assert_rewrite("tests.records_contract")

from tests.records_contract import NOON, RecordsContract, facts, open_at_once  # noqa: E402


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state/records.sqlite"


@pytest.fixture
def records(url: str) -> Iterator[Records]:
    made = Records(url)
    yield made
    made.close()


class TestSqlite(RecordsContract):
    """Everything that records promise, in one file."""

    def test_two_processes_that_open_an_empty_database_at_once_both_can(self, url: str) -> None:
        # to write ahead is agreed on in a moment that both seldom meet
        open_at_once([url, *(f"{url}{number}" for number in range(7))])


def test_who_reads_does_not_hold_up_who_writes(records: Records, url: str) -> None:
    records.begin(facts(), at=NOON)
    reader = Database(url)
    with reader.reading() as connection:
        before = connection.exec_driver_sql("SELECT count(*) FROM sessions").scalar()
        records.begin(facts("two"), at=NOON)
        after = connection.exec_driver_sql("SELECT count(*) FROM sessions").scalar()
    reader.close()
    assert before == after == 1


def test_threads_may_open_databases_at_once(tmp_path: Path) -> None:
    failed: list[BaseException] = []
    gate = threading.Barrier(4)

    def work(number: int) -> None:
        try:
            gate.wait(10)
            Records(f"sqlite:///{tmp_path}/{number}.sqlite").close()
        except BaseException as error:  # noqa: BLE001 - a thread's own end is not seen
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failed == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("secret", "no URL of a database"),
        ("postgresql+psycopg://ada:secret@127.0.0.1:port/records", "no URL of a database"),
        ("postgresql+psycopg://ada:my@secret@127.0.0.1/records", "%40"),
        ("mysql://ada:secret@127.0.0.1/records", "SQLite or PostgreSQL"),
        ("postgresql+none://ada:secret@127.0.0.1/records", "cannot open the records"),
        ("postgresql+psycopg://ada:secret@127.0.0.1:1/records", "cannot open the records: conn"),
        ("postgresql+psycopg://127.0.0.1:1/records?password=secret", "cannot open the records: c"),
        ("sqlite:////proc/nowhere/records.sqlite", "cannot open the records: .*nowhere"),
        ("sqlite:////proc/version", "cannot open the records: "),
    ],
)
def test_a_database_that_cannot_be_opened_is_refused_without_its_password(
    url: str, said: str
) -> None:
    with pytest.raises(RecordsError, match=said) as caught:
        Records(url)
    error: BaseException | None = caught.value
    while error:
        assert "secret" not in f"{error} {error!r}"
        error = error.__cause__
    assert "\n" not in str(caught.value)


def test_a_driver_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    with pytest.raises(RecordsError, match=r"cannot open the records: .*psycopg2"):
        Records("postgresql+psycopg2://ada@127.0.0.1/records")


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    path.write_text("My notes.\n" * 1000)
    with pytest.raises(RecordsError, match="not a database"):
        Records(f"sqlite:///{path}")
    assert path.read_text() == "My notes.\n" * 1000
