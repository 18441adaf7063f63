"""The C compiler with which the tests make stubs of NVIDIA's libraries."""

import shutil

from debian import install
from progress import SetupError


def ensure_compiler() -> None:
    """See that `cc` is there.

    Raises:
        SetupError: it is not, and cannot be installed.
    """
    if not shutil.which("cc") and not install("gcc", "libc6-dev"):
        raise SetupError("`cc` is not there: install a C compiler (on Debian: gcc, libc6-dev)")
