"""A real PostgreSQL server, and no hub."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all; a test makes itself a database with ``create_database``."""
    with Postgres() as made:
        yield made
