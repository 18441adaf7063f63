"""Pages and watches in SQLite, and which of its indexes a page is read by."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import sqlite

from bai_spawner.reasons import Tab
from bai_spawner.records import Query, Records, Sort
from bai_spawner.records.asked import Asked

pytest.register_assert_rewrite("tests.records_contract", "tests.pages_contract")

from tests.pages_contract import PagesContract, WatchesContract, crowd, hub  # noqa: E402
from tests.records_contract import raw  # noqa: E402

__all__ = ["crowd", "hub"]
_NUMBERS = count()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('pages')}/records.sqlite"


@pytest.fixture
def fresh_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('fresh')}/{next(_NUMBERS)}.sqlite"


@pytest.fixture(scope="module")
def records(url: str) -> Iterator[Records]:
    made = Records(url)
    yield made
    made.close()


class TestPages(PagesContract):
    """Everything that is promised to pages, in one file."""


class TestWatches(WatchesContract):
    """Everything that is promised of watches, in one file."""


def plan(url: str, query: Query) -> tuple[str, ...]:
    """How SQLite would find out the order of a page, and count."""
    asked = Asked("hub", query, is_postgresql=False)
    lines = []
    for statement in (asked.places().limit(50), asked.count()):
        compiled = statement.compile(
            dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}
        )
        with raw(url) as connection:
            found = connection.execute(text(f"EXPLAIN QUERY PLAN {compiled}")).all()
        lines += [row.detail for row in found]
    return tuple(lines)


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (Query(), "sessions_by_age (hub=?)"),
        (Query(descending=False), "sessions_by_age (hub=?)"),
        (Query(tab=Tab.FINISHED), "sessions_by_tab (hub=? AND tab=?)"),
        (Query(user="ada"), "sessions_by_user (hub=? AND user=?)"),
        (Query(user="ada", tab=Tab.OTHERS), "sessions_by_user_tab (hub=? AND user=? AND tab=?)"),
    ],
)
def test_an_index_has_a_page_in_its_order(
    records: Records, url: str, query: Query, index: str
) -> None:
    order, counted = plan(url, query)
    assert order == f"SEARCH sessions USING COVERING INDEX {index}"
    assert "USING COVERING INDEX" in counted


@pytest.mark.parametrize(
    "query",
    [
        Query(user="ada", tab=Tab.FINISHED, text="a", sort=Sort.MEMORY),
        Query(user="ada", tab=Tab.FINISHED, group="gpu", environment="python"),
    ],
)
def test_of_one_users_sessions_no_others_are_read(records: Records, url: str, query: Query) -> None:
    order, *_, counted = plan(url, query)
    mine = "SEARCH sessions USING INDEX sessions_by_user_tab (hub=? AND user=? AND tab=?)"
    assert (order, counted) == (mine, mine)
