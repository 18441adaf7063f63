"""Make everything ready that tests against real parts need, and become the given program.

.venv/bin/python scripts/testbed.py pytest tests
"""

import os
import sys
from typing import NoReturn

from browser import ensure_browser
from database import ensure_postgres
from programs import ensure_programs
from progress import SetupError, fail
from up import prepare


def main(command: list[str]) -> NoReturn:
    """Become `command`, or end with the sentence that says what is missing."""
    try:
        env = prepare()
        env["BAI_CHROMIUM"] = ensure_browser()
        env["BAI_POSTGRES"] = str(ensure_postgres())
        ensure_programs()
    except SetupError as error:
        sys.exit(fail(error))
    sys.stdout.flush()
    os.execvpe(command[0], command, env)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
