"""Records in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from sqlalchemy.engine import make_url

from bai_spawner.reasons import End, Ending
from bai_spawner.records import NotTaken, Records, RecordsError
from tests.postgres import Postgres

pytest.register_assert_rewrite("tests.records_contract")

from tests.records_contract import NOON, RecordsContract, facts, raw  # noqa: E402

_NUMBERS = count()


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.create_database(f"records-{next(_NUMBERS)}")


@pytest.fixture
def records(url: str) -> Iterator[Records]:
    made = Records(url)
    yield made
    made.close()


class TestPostgresql(RecordsContract):
    """Everything that records promise, on a server."""


def test_a_wrong_password_is_not_shown(postgres: Postgres) -> None:
    wrong = make_url(postgres.url).set(password="my-secret")
    with pytest.raises(RecordsError, match="cannot open the records: ") as caught:
        Records(wrong.render_as_string(hide_password=False))
    assert "my-secret" not in str(caught.value)


def test_times_do_not_depend_on_the_servers_zone(url: str) -> None:
    name = make_url(url).database
    with raw(url) as connection:
        connection.exec_driver_sql(f"ALTER DATABASE \"{name}\" SET timezone TO 'Asia/Kathmandu'")
    records = Records(url)
    records.begin(facts(), at=NOON)
    found = records.get("one")
    records.close()
    assert found
    assert found.created.isoformat() == NOON.isoformat()


def test_what_the_server_never_takes_is_told_from_a_server_that_is_away(
    records: Records, postgres: Postgres
) -> None:
    records.begin(facts(), at=NOON)
    with pytest.raises(NotTaken):
        records.begin(facts("two", user="x" * 256), at=NOON)
    with pytest.raises(NotTaken):
        records.end("one", End(Ending.START, "\0"), at=NOON)
    postgres.kill()
    try:
        with pytest.raises(RecordsError) as caught:
            records.begin(facts("three"), at=NOON)
        assert not isinstance(caught.value, NotTaken)
        assert "INSERT" not in str(caught.value)
    finally:
        postgres.start()
    records.begin(facts("four"), at=NOON)
    assert records.page("hub").total == 2
