"""The end of what an app wrote, as plain text for a page."""

import os
import re
import stat
from pathlib import Path

LINES = 20
_BYTES = 32 * 1024
_WIDEST = 400
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)", re.DOTALL)


def end_of(path: Path, lines: int = LINES) -> str:
    """The last lines of a file, without colours and control characters, each of 400 characters.

    Empty when there is no such file.
    """
    try:
        # whatever lies at its place: no link is followed, and no pipe's writer waited for
        how = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, how), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return ""
            file.seek(max(0, status.st_size - _BYTES))
            found = file.read(_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(plain(line)[:_WIDEST] for line in found.splitlines()[-lines:])


def plain(line: str) -> str:
    """A line as a terminal would leave it standing: what came after its last return."""
    text = _ESCAPE.sub("", line).rstrip("\r").rpartition("\r")[2]
    return "".join(c for c in text if c.isprintable() or c == "\t")
