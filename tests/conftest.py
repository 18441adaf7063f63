"""Settings of every test: property tests are bounded and the same in every run, and two workers
share the tests."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

REPO = Path(__file__).parent.parent
ENGINE = frozenset({"docker", "faults", "hub"})
"""Folders whose tests need a Docker engine."""
HUB = re.compile(r"\b(deployment|login|visitor): [A-Z]")
"""A test of a page that needs one asks for this."""

settings.register_profile(
    "bounded",
    deadline=None,
    max_examples=30,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("bounded")


class Engine(LoadScopeScheduling):
    """Lets one worker have all that needs the engine; of what is left a file is one worker's.

    A test there may stop the engine, or count what is on it. xdist's own groups are not told to
    the scheduler under pytest 9.2, which it asks for the names of tests alone.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "engine" if needs_engine(file) else file


@cache
def needs_engine(file: str) -> bool:
    """Whether a test of this file asks for an engine, or for a hub on one."""
    path = Path(file)
    return path.parts[1] in ENGINE or (
        path.parts[1] == "ui" and bool(HUB.search((REPO / path).read_text()))
    )


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Engine:
    """Share the tests so, wherever there is more than one worker."""
    return Engine(config, log)
