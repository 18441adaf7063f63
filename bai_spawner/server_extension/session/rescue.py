"""Copying what would be lost into a mounted folder: one copy at a time, in the background.

It survives whoever asked for it, and ends with the server.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from logging import Logger
from typing import Any

from bai_spawner.server_extension.mounts import Folder
from bai_spawner.server_extension.session.copying import Copy, Failed
from bai_spawner.server_extension.session.losses import Work

GRACE = 5.0
"""Seconds in which a copy stops when the server does; a folder may hang."""
_SHOWN = 5


class State(StrEnum):
    """How a copy is."""

    IDLE = "idle"
    """There was none yet."""
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Running(Exception):
    """There is one already."""


class Rescue:
    """Copies of the work directory's entries.

    Args:
        work: the work directory.
        session: what targets are named after.
        log: the server's log.
    """

    def __init__(self, work: Work, session: str, log: Logger) -> None:
        self.log = log
        self._work, self._session = work, session
        self._task: asyncio.Task[None] | None = None
        self._copy: Copy | None = None
        self._message = self.target = ""
        self.state = State.IDLE

    def begin(self, folder: Folder, names: Sequence[str]) -> str:
        """Start copying; what it is copied to, below the work directory.

        Raises:
            Running: the one before has not ended.
        """
        if self.state is State.RUNNING:
            raise Running
        name = f"{self._session}-{datetime.now(UTC):%Y-%m-%d-%H%M%S}"
        copy = Copy(self._work.home, names, folder.path, name)
        self.target = f"{folder.path.relative_to(self._work.home)}/{name}"
        self.state, self._copy, self._message = State.RUNNING, copy, ""
        self._task = asyncio.ensure_future(self._run(copy))
        return self.target

    def told(self) -> dict[str, Any]:
        """As JSON; ``copied`` and ``total`` are bytes, ``skipped`` is how many were left out."""
        return {
            "state": self.state,
            "copied": self._copy.copied if self._copy else 0,
            "total": self._copy.total if self._copy else 0,
            "skipped": len(self._copy.skipped) if self._copy else 0,
            "target": self.target,
            "message": self._message,
        }

    def stop(self) -> None:
        """Have the copy end soon, when there is one."""
        if self._copy:
            self._copy.stop()

    async def serve(self) -> None:
        """Until cancelled; then the copy ends too."""
        try:
            await asyncio.Event().wait()
        finally:
            self.stop()
            if self._task:
                await asyncio.wait({self._task}, timeout=GRACE)

    async def _run(self, copy: Copy) -> None:
        try:
            await asyncio.to_thread(copy.run)
        except Failed as failed:
            kept = f" What was copied before is in {self.target}." if copy.files else ""
            self.state, self._message = State.FAILED, f"{failed}{kept}"
        except Exception:
            self.log.exception("Copying to %s failed", self.target)
            self.state = State.FAILED
            self._message = "The copy failed; the session's log says why."
        else:
            self.state, self._message = State.DONE, self._done(copy)

    def _done(self, copy: Copy) -> str:
        files = "1 file" if copy.files == 1 else f"{copy.files} files"
        told = f"Copied {files} to {self.target}."
        if not copy.skipped:
            return told
        shown = ", ".join(copy.skipped[:_SHOWN])
        more = f" and {len(copy.skipped) - _SHOWN} more" if copy.skipped[_SHOWN:] else ""
        return f"{told} Left out, as too deep or no file of this session: {shown}{more}."
