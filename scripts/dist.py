"""The package as files to hand on: a wheel and a source archive, in `dist`, by `make dist`.

A build by itself takes the compiled labextension as it lies there, so that whoever installs
from the source archive needs no Node.js. In a checkout that is worked in, it may be older than
its sources: here it is made first.
"""

import sys

import labextension
from commands import run
from deployment import REPO
from progress import SetupError, fail

DIST = REPO / "dist"


def build() -> None:
    """Make both.

    Raises:
        SetupError: the labextension cannot be compiled, or the build failed.
    """
    labextension.built()
    run(
        "wheel and source archive",
        [sys.executable, "-m", "hatchling", "build", "-d", DIST],
        "what hatchling says above is wrong with pyproject.toml or the sources",
    )


if __name__ == "__main__":
    try:
        build()
    except SetupError as error:
        sys.exit(fail(error))
