"""Calls that may never come back, made aside from the loop, one at a time.

A folder whose server hangs, or a driver, can block a thread for ever. Such a thread is given
up and never joined: it keeps neither an answer nor the server's end waiting, and there is one
of a kind at most.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Aside:
    """A place for one kind of call."""

    def __init__(self) -> None:
        self._last: Future[Any] | None = None

    async def ask(self, call: Callable[[], T], seconds: float) -> T:
        """What a call answers, or raises.

        Raises:
            TimeoutError: not within so many seconds, or the call before has not come back yet.
        """
        if self._last and not self._last.done():
            raise TimeoutError("the call before this one has not come back")
        answer: Future[T] = Future()
        answer.set_running_or_notify_cancel()
        self._last = answer
        threading.Thread(target=_answer, args=(answer, call), daemon=True).start()
        return await asyncio.wait_for(asyncio.wrap_future(answer), seconds)


def _answer(answer: "Future[T]", call: Callable[[], T]) -> None:
    try:
        answer.set_result(call())
    except Exception as error:  # noqa: BLE001 - it is raised where it was asked for
        answer.set_exception(error)
