"""Calls that may never come back, made aside from the loop, one at a time.

A folder whose server hangs, or a driver, can block a thread for ever. Such a thread is given
up and never joined: it keeps neither an answer nor the server's end waiting, and there is one
of a kind at most.
"""

import asyncio
import threading
import time
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
            TimeoutError: not within so many seconds, the wait for the call before included; or
                there can be no more threads now.
        """
        until = time.monotonic() + seconds
        while self._last and not self._last.done():  # mostly it is just about to come back
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError("the call before this one has not come back")
            await asyncio.wait([asyncio.wrap_future(self._last)], timeout=left)
        answer: Future[T] = Future()
        answer.set_running_or_notify_cancel()
        try:
            threading.Thread(target=_answer, args=(answer, call), daemon=True).start()
        except RuntimeError as error:  # the session has as many processes as it may have
            raise TimeoutError(str(error)) from error
        self._last = answer
        return await asyncio.wait_for(asyncio.wrap_future(answer), seconds)


def _answer(answer: "Future[T]", call: Callable[[], T]) -> None:
    try:
        answer.set_result(call())
    except Exception as error:  # noqa: BLE001 - it is raised where it was asked for
        answer.set_exception(error)
