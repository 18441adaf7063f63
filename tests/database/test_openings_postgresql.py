"""Openings in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bai_spawner.records import NotTaken, Opening, Records
from tests.postgres import Postgres

pytest.register_assert_rewrite("tests.records_contract", "tests.openings_contract")

from tests.openings_contract import OpeningsContract, entered, hub, opening  # noqa: E402

__all__ = ["hub"]


@pytest.fixture(scope="module")
def url(postgres: Postgres) -> str:
    return postgres.create_database("openings")


@pytest.fixture(scope="module")
def records(url: str) -> Iterator[Records]:
    made = Records(url)
    yield made
    made.close()


class TestOpenings(OpeningsContract):
    """Everything that is promised of openings, on a server."""


@pytest.mark.parametrize(
    "changed",
    [{"app": "x" * 33}, {"opened_from": "x" * 65}, {"told": "\0"}, {"port": 2**31}],
    ids=["app", "address", "text", "port"],
)
def test_what_the_server_never_takes_is_said_without_the_password(
    records: Records, hub: str, changed: dict[str, object]
) -> None:
    entered(records, hub, "")
    refused: Opening = opening(hub, id=hub, password="tell-nobody", **changed)
    with pytest.raises(NotTaken) as caught:
        records.openings.begin(refused)
    assert "tell-nobody" not in str(caught.value)
    assert records.openings.open(hub) == ()
