"""Run the tests: `make test`. What it is given goes to pytest.

On two workers, first what needs no Docker engine, then what does: most of that waits. At the end,
one after the other, those that count what is free on the engine: hubs beside theirs take it.
"""

from __future__ import annotations

import subprocess
import sys

TWO = ("-n", "2", "--dist", "loadfile")
PARTS = (
    (*TWO, "-m", "not engine"),
    (*TWO, "-m", "engine and not alone"),
    ("-m", "engine and alone"),
)
NONE = 5
"""How pytest ends when it finds no test."""


def main() -> None:
    """Run all parts, whichever fails; fail if one does."""
    pytest = (sys.executable, "-m", "pytest")
    codes = [
        subprocess.run([*pytest, *part, *sys.argv[1:]], check=False).returncode for part in PARTS
    ]
    ran = [code for code in codes if code != NONE]
    sys.exit(max(ran, key=abs) if ran else NONE)


if __name__ == "__main__":
    main()
