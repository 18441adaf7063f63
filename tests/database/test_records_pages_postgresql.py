"""Pages and watches in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from bai_spawner.records import Records
from tests.postgres import Postgres

pytest.register_assert_rewrite("tests.records_contract", "tests.pages_contract")

from tests.pages_contract import PagesContract, WatchesContract, crowd, hub  # noqa: E402

__all__ = ["crowd", "hub"]
_NUMBERS = count()


@pytest.fixture(scope="module")
def url(postgres: Postgres) -> str:
    return postgres.create_database("pages")


@pytest.fixture
def fresh_url(postgres: Postgres) -> str:
    return postgres.create_database(f"pages-{next(_NUMBERS)}")


@pytest.fixture(scope="module")
def records(url: str) -> Iterator[Records]:
    made = Records(url)
    yield made
    made.close()


class TestPages(PagesContract):
    """Everything that is promised to pages, on a server."""


class TestWatches(WatchesContract):
    """Everything that is promised of watches, on a server."""
