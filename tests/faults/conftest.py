"""A hub of their own for the tests of each file: it is killed again and again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deployment import Deployment, Visitor
from tests.faults.invariants import Witness
from tests.faults.soak import deployed, log_end


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with deployed(tmp_path_factory.mktemp("hub")) as made:
        yield made


@pytest.fixture(scope="module")
def admin(deployment: Deployment) -> Iterator[Visitor]:
    with deployment.login("admin") as visitor:
        yield visitor


@pytest.fixture(scope="module")
def witness(deployment: Deployment, admin: Visitor) -> Iterator[Witness]:
    with Witness(deployment, admin) as made:
        yield made


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show the end of the hub's log below a test that failed."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    made = getattr(item, "funcargs", {}).get("deployment")
    if report.failed and isinstance(made, Deployment):
        report.sections.append(("hub", log_end(made)))
