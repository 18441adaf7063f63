"""The last ten minutes, a point every five seconds, in as much memory as they take."""

from collections import deque
from dataclasses import dataclass

INTERVAL = 5.0
"""Seconds between two points."""
SECONDS = 600.0
"""What is kept."""


@dataclass(frozen=True, slots=True)
class Point:
    """What was used at a moment.

    Args:
        at: seconds since the epoch.
        cpu: cores, on average since the point before.
        memory: bytes.
        gpu: bytes of device memory on all devices together; ``None`` where there is none, or
            it is not known.
    """

    at: float
    cpu: float
    memory: int
    gpu: int | None


class History:
    """Points, oldest first; the oldest make room."""

    def __init__(self, most: int = int(SECONDS / INTERVAL)) -> None:
        self._points: deque[Point] = deque(maxlen=most)

    def add(self, point: Point) -> None:
        """Keep one more."""
        self._points.append(point)

    def told(self) -> dict[str, list[float | None]]:
        """One list for each thing, all of one length."""
        return {
            "at": [point.at for point in self._points],
            "cpu": [point.cpu for point in self._points],
            "memory": [point.memory for point in self._points],
            "gpu": [point.gpu for point in self._points],
        }
