"""The browser that the tests drive, and a font for it to write with."""

import os
import shutil
from pathlib import Path

from debian import install
from progress import SetupError

DEFAULT = "/usr/bin/chromium"


def ensure_browser() -> str:
    """The path of a Chromium.

    Raises:
        SetupError: none is there and none can be installed.
    """
    path = os.environ.get("BAI_CHROMIUM") or DEFAULT
    if shutil.which(path):
        return path
    packages = ["chromium"]
    if not any(Path("/usr/share/fonts").rglob("*.ttf")):
        packages.append("fonts-dejavu-core")
    if path != DEFAULT or not install(*packages):
        raise SetupError(
            f"{path} is not there: install Chromium and a font (on Debian: apt-get install "
            "chromium fonts-dejavu-core), or set BAI_CHROMIUM"
        )
    return path
