"""The two sides of the package tell one version, each as its registry spells it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from packaging.version import Version

from bai_spawner import __version__

FOLDER = Path(__file__).parents[2] / "labextension"
STAGES = {"a": "alpha", "b": "beta", "rc": "rc"}


def npm(version: str) -> str:
    """Semantic versioning's spelling of a Python version: ``0.1.0.dev0`` is ``0.1.0-dev.0``."""
    found = Version(version)
    parts = [f"{STAGES[found.pre[0]]}.{found.pre[1]}"] if found.pre else []
    parts += [] if found.dev is None else [f"dev.{found.dev}"]
    return "-".join([found.base_version, *([".".join(parts)] if parts else [])])


@pytest.mark.parametrize(
    ("python", "spelled"),
    [("1.2.0", "1.2.0"), ("1.2.0rc1", "1.2.0-rc.1"), ("1.2.0a0.dev3", "1.2.0-alpha.0.dev.3")],
)
def test_versions_are_spelled_as_npm_wants(python: str, spelled: str) -> None:
    assert npm(python) == spelled


def test_the_labextension_has_the_packages_version() -> None:
    package = json.loads((FOLDER / "package.json").read_text())
    lock = json.loads((FOLDER / "package-lock.json").read_text())
    assert package["version"] == npm(__version__)
    assert [lock["version"], lock["packages"][""]["version"]] == [package["version"]] * 2
