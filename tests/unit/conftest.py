"""What tests of the service have in common: records, a hub, the service, and who visits it.

A test that needs another of them has its own of the same name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bai_spawner.records import Records
from bai_spawner.service.app import make_app
from bai_spawner.service.board import Board
from tests.service import BASE, HUB, PREFIX, FakeHub, Page, serving


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    made = FakeHub.instance()
    yield made
    made.close()


@pytest.fixture
def url_of_records(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/records.sqlite"


@pytest.fixture
def records(url_of_records: str) -> Iterator[Records]:
    made = Records(url_of_records)
    yield made
    made.close()


@pytest.fixture
async def url(hub: FakeHub, url_of_records: str) -> AsyncIterator[str]:
    board = Board(url_of_records, HUB)
    async with serving(make_app(PREFIX, BASE, board)) as found:
        yield found
    board.records.close()


@pytest.fixture
async def login(hub: FakeHub, url: str) -> AsyncIterator[Callable[..., Any]]:
    """Brings in a user of the hub."""
    pages: list[Page] = []

    async def enter(name: str, **model: Any) -> Page:
        page = Page(url, hub.add(name, **model))
        pages.append(page)
        await page.visit()
        return page

    yield enter
    for page in pages:
        await page.http.aclose()


@pytest.fixture
async def ada(login: Callable[..., Any]) -> Page:
    return await login("ada")
