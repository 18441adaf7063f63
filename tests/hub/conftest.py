"""One hub for all tests of this folder; each test has users of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.deployment import REPO, Deployment, Visitor
from tests.images import ensure_apps_image, ensure_failing_images

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The shipped configuration with the tests' catalogue, steerable faults and short times."""
    made = Deployment(
        tmp_path_factory.mktemp("hub"),
        catalog=REPO / "tests/hub/catalog.yaml",
        config=REPO / "tests/hub/config.py",
    )
    try:
        ensure_failing_images(made.docker)
        ensure_apps_image(made.docker)
        made.start()
        yield made
    finally:
        made.clean()


@pytest.fixture
def newcomer(deployment: Deployment) -> Iterator[Callable[[], Visitor]]:
    """Logs in a user whom no other test knows; ends their sessions afterwards."""
    with ExitStack() as stack:

        def login(prefix: str = "user") -> Visitor:
            visitor = stack.enter_context(deployment.login(f"{prefix}{next(_numbers)}"))
            stack.callback(visitor.stop_all)
            return visitor

        yield login


@pytest.fixture
def user(newcomer: Callable[[], Visitor]) -> Visitor:
    """A new user, logged in."""
    return newcomer()


@pytest.fixture
def admin(deployment: Deployment) -> Iterator[Visitor]:
    """The administrator, logged in."""
    with deployment.login("admin") as visitor:
        yield visitor


@pytest.fixture(autouse=True)
def no_faults(deployment: Deployment) -> Iterator[None]:
    """Whatever a test broke works again afterwards."""
    yield
    for fault in (deployment.state / "faults").glob("*"):
        fault.unlink()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show the end of the hub's log below a test that failed."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    made = getattr(item, "funcargs", {}).get("deployment")
    if report.failed and isinstance(made, Deployment):
        report.sections.append(("hub", made.log.read_text()[-6000:]))
