"""Programs that tests need: a compiler for stubs of NVIDIA's libraries, clients of SSH."""

import shutil

from debian import install
from progress import SetupError

PROGRAMS = (
    ("cc", "a C compiler", ("gcc", "libc6-dev")),
    ("ssh", "OpenSSH's clients", ("openssh-client",)),
    ("sftp", "OpenSSH's clients", ("openssh-client",)),
)
"""The program, what it is, and Debian's packages that have it."""


def ensure_programs() -> None:
    """See that they are there.

    Raises:
        SetupError: one is not, and cannot be installed.
    """
    for program, kind, packages in PROGRAMS:
        if not shutil.which(program) and not install(*packages):
            raise SetupError(
                f"`{program}` is not there: install {kind} (on Debian: {', '.join(packages)})"
            )
