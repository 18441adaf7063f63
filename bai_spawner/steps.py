"""The steps of a start, as the pending page shows them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from enum import Enum


class Step(Enum):
    """A step: how far along it is, of 100, and what it says."""

    CHECKING = (10, "Checking the request and its folders")
    CREATING = (25, "Creating the container")
    IMAGE = (30, "Fetching the image; this can take minutes the first time")
    STARTING = (50, "Starting the container")
    ANSWERING = (70, "Waiting for Jupyter to answer")

    @property
    def progress(self) -> int:
        """Of 100."""
        return self.value[0]

    @property
    def message(self) -> str:
        """What is being done."""
        return self.value[1]


class Progress:
    """The steps of one start, for any number of viewers, each from the first step on."""

    def __init__(self) -> None:
        self._steps: list[Step] = []
        self._changed = asyncio.Event()

    def report(self, step: Step) -> None:
        """Note that a step has begun."""
        self._steps.append(step)
        self._changed.set()
        self._changed = asyncio.Event()

    async def follow(self) -> AsyncIterator[Step]:
        """Every step so far, then each as it begins; it never ends by itself."""
        seen = 0
        while True:
            changed = self._changed
            for step in self._steps[seen:]:
                seen += 1
                yield step
            await changed.wait()
