"""The records are asked aside, and nothing else of the service waits for them."""

from __future__ import annotations

import asyncio
import threading

import pytest

pytest.importorskip("jupyterhub")

from bai_spawner.records import RecordsError
from bai_spawner.service.aside import THREADS, aside


async def test_records_that_do_not_answer_leave_the_loops_own_threads_free() -> None:
    let_go = threading.Event()
    asked = [asyncio.create_task(aside(let_go.wait, 60)) for _ in range(4 * THREADS)]
    try:
        await asyncio.sleep(0)
        # every call to the hub asks for an address in this way
        assert await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80)
        assert not any(one.done() for one in asked)
    finally:
        let_go.set()
    assert all(await asyncio.gather(*asked))


async def test_what_goes_wrong_aside_is_raised_to_who_asked() -> None:
    def fail(message: str) -> None:
        raise RecordsError(message)

    with pytest.raises(RecordsError, match="they are away"):
        await aside(fail, "they are away")
