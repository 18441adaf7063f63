"""Chromium against the shipped configuration."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from bai_spawner.form import FolderChoice
from bai_spawner.policy import Usage
from bai_spawner.units import GIB
from tests.deployment import ADMIN_PASSWORD, REPO, USER_PASSWORD, Deployment
from tests.drawn import Drawn, a_node, form_catalog
from tests.ui.without_netlink import command_for

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The shipped configuration and catalogue, on an engine that can be slowed down.

    Only tim's sessions are limited in time, for `test_lab_limits`.
    """
    told = yaml.safe_load((REPO / "catalog.yaml").read_text())
    time = {"idle": "30s", "warning": "15s"}
    told["policies"].insert(0, {"name": "brief", "match": {"users": ["tim"]}, "time": time})
    catalog = tmp_path_factory.mktemp("catalogue") / "catalog.yaml"
    catalog.write_text(yaml.safe_dump(told, sort_keys=False))
    config = REPO / "tests/hub/config.py"
    made = Deployment(tmp_path_factory.mktemp("hub"), catalog=catalog, config=config)
    try:
        made.start()
        yield made
    finally:
        made.clean()


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A command that starts Chromium, deaf to the networks that come and go beside it."""
    wanted = os.environ.get("BAI_CHROMIUM", "/usr/bin/chromium")
    return command_for(wanted, tmp_path_factory.mktemp("chromium"))


@pytest.fixture(scope="module")
def browser(chromium: Path) -> Iterator[Browser]:
    """Ended with the module: while Playwright's loop runs, no asynchronous test can."""
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield made
        made.close()


@pytest.fixture
def shots(request: pytest.FixtureRequest) -> Callable[[Page, str], None]:
    """Keeps a picture of a page where ``BAI_SHOTS`` says, for people to look at."""

    def keep(page: Page, name: str) -> None:
        if folder := os.environ.get("BAI_SHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=f"{folder}/{name}.png", full_page=True)

    return keep


@pytest.fixture
def drawn() -> Iterator[Drawn]:
    """The launch page of one user without a hub, to be drawn from any catalogue."""
    made = Drawn(
        form_catalog(),
        availability={"general": (a_node(),), "batch": (a_node(cpu=16),)},
        usage=Usage(1, 2, GIB, 0, frozenset({"taken", "work2"})),
        folders=(
            FolderChoice("data", "rw", automatic=False),
            FolderChoice("ml/corpus", "ro", automatic=False),
        ),
    )
    yield made
    made.close()


@pytest.fixture
def opened(browser: Browser, drawn: Drawn) -> Iterator[Callable[..., Page]]:
    """Opens the page that ``drawn`` shows, in a browser of its own, and waits for the wizard."""
    contexts: list[BrowserContext] = []

    def open_one(**options: object) -> Page:
        size = {"viewport": {"width": 1100, "height": 800}}
        context = browser.new_context(**{**size, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.goto(drawn.url)
        if options.get("java_script_enabled", True):
            page.locator("#spawn_form[data-bai-ready]").wait_for()
        return page

    yield open_one
    for context in contexts:
        context.close()


@pytest.fixture
def axe() -> Callable[[Page], list[str]]:
    """What axe-core finds wrong with a page, in words: nothing is what is wanted."""

    def check(page: Page) -> list[str]:
        # a colour that fades is neither the one nor the other
        page.evaluate(
            "Promise.allSettled(document.getAnimations()"
            ".filter((one) => one.effect.getTiming().iterations !== Infinity)"
            ".map((one) => one.finished))"
        )
        found = Axe().run(page).response["violations"]
        return [f"{v['id']}: {[n['target'] for n in v['nodes']]}" for v in found]

    return check


@pytest.fixture
def login(deployment: Deployment, browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a browser of its own for a user, logged in, at the hub's home page."""
    contexts: list[BrowserContext] = []

    def open_for(user: str, **options: object) -> Page:
        context = browser.new_context(viewport={"width": 1100, "height": 800}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.goto(f"{deployment.url}/hub/login?next=/hub/home")
        page.get_by_label("Username").fill(user)
        password = ADMIN_PASSWORD if user == "admin" else USER_PASSWORD
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/hub/home")
        return page

    yield open_for
    for context in contexts:
        context.close()
