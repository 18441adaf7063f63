"""The deployment's own Python packages, in `.venv`: `python3 scripts/packages.py hub test`.

Runs with the system's Python and the standard library alone. A stamp tells what was
installed from which `pyproject.toml`: as long as it holds, nothing is done.
"""

import hashlib
import importlib.util
import json
import sys
import tomllib
from dataclasses import dataclass

from commands import run
from debian import install
from deployment import REPO, VENV
from progress import SetupError, fail

PYPROJECT = REPO / "pyproject.toml"
STAMP = VENV / "installed.json"
PYTHON = VENV / "bin" / "python"


@dataclass(frozen=True)
class Stamp:
    """What an environment was made from."""

    content: str
    python: str
    extras: frozenset[str]


def ensure_packages(extras: frozenset[str]) -> None:
    """See to it that the package is installed with these extras, from this `pyproject.toml`.

    Extras that were installed before stay.

    Raises:
        SetupError: Python lacks a part, or pip failed.
    """
    content = hashlib.sha256(PYPROJECT.read_bytes()).hexdigest()
    old = _stamp()
    if old and extras <= old.extras and (old.content, old.python) == (content, sys.version):
        return
    if not old or old.python != sys.version:
        _make_environment()
    wanted = extras | (old.extras if old else frozenset())
    _install(wanted)
    stamp = {"content": content, "python": sys.version, "extras": sorted(wanted)}
    STAMP.write_text(json.dumps(stamp))


def _stamp() -> Stamp | None:
    """What was installed last; None when that is not known."""
    try:
        kept = json.loads(STAMP.read_text())
        return Stamp(kept["content"], kept["python"], frozenset(kept["extras"]))
    except (OSError, ValueError, KeyError):
        return None


def _install(extras: frozenset[str]) -> None:
    """The package, editable, with its extras, and what builds it: a wheel goes into the images."""
    backend = tomllib.loads(PYPROJECT.read_text())["build-system"]["requires"]
    package = f"[{','.join(sorted(extras))}]"
    run(
        f"pip install bai-spawner{package}",
        [PYTHON, "-m", "pip", "install", "--quiet", "--no-input", *backend, "-e", f".{package}"],
        "pip needs an index that has these packages (PIP_INDEX_URL), and its CA (PIP_CERT)",
        # a hub shows no Lab: it needs neither the labextension nor the time that this takes
        {"SKIP_JUPYTER_BUILDER": "1"},
    )


def _make_environment() -> None:
    """A fresh virtual environment."""
    # Debian keeps this module in a package of its own
    if not importlib.util.find_spec("ensurepip") and not install("python3-venv"):
        raise SetupError("this Python cannot make virtual environments: install python3-venv")
    hint = "another Python, 3.11 or newer, is taken with PYTHON=/path/to/python3"
    run("virtual environment", [sys.executable, "-m", "venv", "--clear", VENV], hint)


if __name__ == "__main__":
    try:
        ensure_packages(frozenset(sys.argv[1:]))
    except SetupError as error:
        sys.exit(fail(error))
