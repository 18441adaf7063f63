"""How large folders are, as it was counted last: one is counted at a time, aside.

Whoever looks at folders has those counted anew that were not for some minutes, and sees what
was counted before in the meantime. Users take turns, one folder each: who has many, or large
ones, makes nobody else wait for more than one. Nothing is counted for who does not look any
more.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bai_spawner.folders import Measured

FRESH_SECONDS = 300.0
"""For so long a count holds."""
ASKED_SECONDS = 60.0
"""For so long after they looked somebody's folders are counted."""
MOST_KEPT = 20_000
"""Counts that are kept, the newest; one takes some 500 bytes."""
log = logging.getLogger("bai_spawner.service")


@dataclass(frozen=True, slots=True)
class Size:
    """What was counted, and when; of a folder that cannot be counted there is no count."""

    measured: Measured | None
    at: datetime


@dataclass(frozen=True, slots=True)
class _Kept:
    """A count, and until when it holds."""

    size: Size
    until: float


@dataclass(slots=True)
class _Turn:
    """What somebody who looks has counted, and until when they count as looking."""

    folders: dict[Path, None]
    until: float


class Sizes:
    """Counts folders, and keeps what was counted.

    Args:
        measure: counts one; what it raises of `OSError` is that it cannot be counted.
        fresh: seconds for which a count holds.
    """

    def __init__(
        self, measure: Callable[[Path], Measured], *, fresh: float = FRESH_SECONDS
    ) -> None:
        self._measure, self._fresh = measure, fresh
        self._kept: OrderedDict[Path, _Kept] = OrderedDict()
        self._turns: OrderedDict[str, _Turn] = OrderedDict()
        self._counting: Path | None = None
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def of(self, folder: Path) -> Size | None:
        """What was counted last; ``None`` where nothing was."""
        with self._changed:
            kept = self._kept.get(folder)
            return kept.size if kept else None

    def want(self, user: str, folders: Iterable[Path]) -> None:
        """Have those counted that were not for some time; in place of what this user wanted."""
        now = time.monotonic()
        with self._changed:
            wanted = {one: None for one in folders if self._is_due(one, now)}
            if not wanted:
                self._turns.pop(user, None)
                return
            self._turns[user] = _Turn(wanted, now + ASKED_SECONDS)  # who waits keeps their turn
            self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="sizes", daemon=True)
                self._thread.start()

    def moved(self, folder: Path, now: Path) -> None:
        """A folder has another name; it is as large as it was."""
        with self._changed:
            kept = self._kept.pop(folder, None)
            self._leave(folder)
            if kept:
                self._kept[now] = kept

    def forget(self, folder: Path) -> None:
        """A folder is gone, or another one is in its place."""
        with self._changed:
            self._kept.pop(folder, None)
            self._leave(folder)

    def _leave(self, folder: Path) -> None:
        """What is counted of it at this moment is not kept."""
        if self._counting == folder:
            self._counting = None

    def _is_due(self, folder: Path, now: float) -> bool:
        kept = self._kept.get(folder)
        return folder != self._counting and (kept is None or kept.until <= now)

    def _work(self) -> None:
        while True:
            folder = self._next()
            size = self._counted(folder)
            with self._changed:
                if self._counting == folder:
                    self._keep(folder, size)
                self._counting = None

    def _counted(self, folder: Path) -> Size:
        measured = None
        try:
            measured = self._measure(folder)
        except OSError:
            pass
        except Exception:
            log.exception("Cannot count what is in a folder")
        return Size(measured, datetime.now(UTC))

    def _keep(self, folder: Path, size: Size) -> None:
        self._kept[folder] = _Kept(size, time.monotonic() + self._fresh)
        self._kept.move_to_end(folder)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)

    def _next(self) -> Path:
        """The next folder that is to be counted, once there is one."""
        with self._changed:
            while True:
                while not self._turns:
                    self._changed.wait()
                user, turn = self._turns.popitem(last=False)
                now = time.monotonic()
                turn.folders = {one: None for one in turn.folders if self._is_due(one, now)}
                if turn.until < now or not turn.folders:
                    continue
                self._counting, _ = turn.folders.popitem()
                self._turns[user] = turn  # behind everyone else's
                return self._counting
