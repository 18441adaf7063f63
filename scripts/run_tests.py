"""Run the tests: `make test`. What it is given goes to pytest.

First, on two workers, what needs no Docker engine; then, one after the other, what does: a test
there may stop the engine's sessions, and many wait for what a busy machine does late.
"""

from __future__ import annotations

import subprocess
import sys

PARTS = (("-n", "2", "--dist", "loadfile", "-m", "not engine"), ("-m", "engine"))
NONE = 5
"""How pytest ends when it finds no test."""


def main() -> None:
    """Run both parts, the second also after a failure; fail if either does."""
    pytest = (sys.executable, "-m", "pytest")
    codes = [
        subprocess.run([*pytest, *part, *sys.argv[1:]], check=False).returncode for part in PARTS
    ]
    ran = [code for code in codes if code != NONE]
    sys.exit(max(ran, key=abs) if ran else NONE)


if __name__ == "__main__":
    main()
