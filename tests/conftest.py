"""Settings of every test: property tests are bounded and the same in every run, and what needs
an engine is marked."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

TESTS = Path(__file__).parent
ENGINE = frozenset({"docker", "faults", "hub"})
"""Folders whose tests need a Docker engine."""

settings.register_profile(
    "bounded",
    deadline=None,
    max_examples=30,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("bounded")


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs an engine: a folder of such tests, or a test that asks for a hub."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in ENGINE or "deployment" in getattr(item, "fixturenames", ()):
            item.add_marker("engine")
