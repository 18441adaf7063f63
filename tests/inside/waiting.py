"""Waiting, in tests that share their loop with what they wait for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

PATIENCE = 30
"""Seconds; only what never happens takes so long."""


async def eventually(look: Callable[[], Awaitable[Any]]) -> Any:
    """What ``look`` finds, once it finds something."""
    end = time.monotonic() + PATIENCE
    while not (found := await look()):
        assert time.monotonic() < end, "it never happened"
        await asyncio.sleep(0.05)
    return found
