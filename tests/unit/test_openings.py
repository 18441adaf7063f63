"""Openings in SQLite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bai_spawner.records import Records

pytest.register_assert_rewrite("tests.records_contract", "tests.openings_contract")

from tests.openings_contract import OpeningsContract, hub  # noqa: E402

__all__ = ["hub"]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('openings')}/records.sqlite"


@pytest.fixture(scope="module")
def records(url: str) -> Iterator[Records]:
    made = Records(url)
    yield made
    made.close()


class TestOpenings(OpeningsContract):
    """Everything that is promised of openings, in one file."""
