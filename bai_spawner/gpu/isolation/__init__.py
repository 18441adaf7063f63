"""What keeps sessions to their shares: one file a strategy, behind one protocol."""

from bai_spawner.gpu.isolation.choice import Choice, choose
from bai_spawner.gpu.isolation.strategy import (
    VOID,
    Attachment,
    Bind,
    Fit,
    Injection,
    Started,
    Strategy,
    Unfit,
    Units,
)

__all__ = [
    "VOID",
    "Attachment",
    "Bind",
    "Choice",
    "Fit",
    "Injection",
    "Started",
    "Strategy",
    "Unfit",
    "Units",
    "choose",
]
