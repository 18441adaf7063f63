"""A served account of a session whose cgroup a test writes, and how it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.inside.conftest import Served
from tests.own_cgroup import FakeCgroup

URL = "bai/api/usage"


def put_in(version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCgroup:
    """Make this the own cgroup of the server and of its kernels' managers."""
    made = FakeCgroup(tmp_path / "cgroup", version).write()
    monkeypatch.setattr("bai_spawner.statistics.OwnCgroup", made.own)
    monkeypatch.setattr("bai_spawner.server_extension.deaths.OwnCgroup", made.own)
    for variable in ("CPU_LIMIT", "MEM_LIMIT", "NVIDIA_VISIBLE_DEVICES"):
        monkeypatch.delenv(variable, raising=False)
    return made


async def told(served: Served) -> dict[str, Any]:
    """What is used, as the server's user is told."""
    answer = await served.allowed.get(URL)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def eventually(look: Callable[[], Awaitable[Any]], *, attempts: int = 300) -> Any:
    """The first thing that a look finds."""
    for _ in range(attempts):
        if found := await look():
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"not within {attempts} looks")
