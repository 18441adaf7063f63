"""Settings of every test: property tests are bounded and the same in every run, and two workers
share the tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

TESTS = Path(__file__).parent
ENGINE = frozenset({"docker", "faults", "hub"})
"""Folders whose tests need a Docker engine; those of others that need one ask for a hub."""

settings.register_profile(
    "bounded",
    deadline=None,
    max_examples=30,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("bounded")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let all that needs the engine be one worker's: of two, the other has everything else.

    A test there may stop the engine, or count what is on it. Elsewhere a file is one worker's,
    for what its tests share.
    """
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        needs_engine = folder in ENGINE or "deployment" in getattr(item, "fixturenames", ())
        group = "engine" if needs_engine else str(item.path.relative_to(TESTS))
        item.add_marker(pytest.mark.xdist_group(group))
