"""What the scripts say: a line for each thing done, nothing for what was there already."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class SetupError(Exception):
    """A step cannot be done; the text is one line: what is missing, and how to get it."""


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Print `name` when the block begins and the seconds when it ends.

    One line on a terminal. Elsewhere too: a log that stops in mid-line names the phase
    that hangs.
    """
    began = time.monotonic()
    print(f"{name} ... ", end="", flush=True)
    try:
        yield
    except BaseException:
        print("failed", flush=True)
        raise
    print(f"{time.monotonic() - began:.1f} s", flush=True)


def fail(error: SetupError) -> int:
    """Print the error; the exit status that goes with it."""
    print(f"error: {error}", file=sys.stderr, flush=True)
    return 1
