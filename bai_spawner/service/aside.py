"""Where the service reads and writes the records: on threads of their own.

A database that is slow, or that another process holds, holds up these threads and what asks
the records; the loop's own threads, which find the hub's address for every call to it, stay
free. With those of `disk` there are fewer than the database has connections: nobody waits for one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

THREADS = 10
Answer = TypeVar("Answer")
_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="records")


async def aside(work: Callable[..., Answer], *args: Any) -> Answer:
    """Have something done there; what it raises is raised here."""
    return await asyncio.get_running_loop().run_in_executor(_threads, work, *args)
