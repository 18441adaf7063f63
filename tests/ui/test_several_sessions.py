"""Several sessions of one form, as a user sees them start (R5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.deployment import Deployment, Visitor, eventually

Login = Callable[..., Page]
Shots = Callable[[Page, str], None]


@pytest.fixture
def slow(deployment: Deployment) -> Iterator[Path]:
    """The engine takes its time until the file is gone."""
    fault = deployment.state / "faults" / "create"
    fault.write_text('{"delay": 4}')
    yield fault
    fault.unlink(missing_ok=True)


def launch(page: Page, name: str, sessions: int) -> None:
    """Ask for so many small sessions, and launch them from the page of the resources."""
    page.get_by_role("link", name="START").click()
    page.get_by_label("Session name").fill(name)
    page.get_by_role("link", name="Resources").click()
    page.locator("[name=sessions]").fill(str(sessions))
    page.get_by_role("link", name="Review").click()
    page.get_by_role("button", name="LAUNCH", exact=True).click()


def names(visitor: Visitor) -> list[str]:
    return sorted(m["display_name"] for m in visitor.servers().values() if m["ready"])


def test_several_show_their_progress_and_sessions_follows_when_all_are_ready(
    deployment: Deployment, login: Login, slow: Path, shots: Shots
) -> None:
    page = login("olivia")
    launch(page, "run", 3)
    expect(page.get_by_role("heading", name="Starting 3 sessions")).to_be_visible()
    for name in ("run1", "run2", "run3"):
        expect(page.get_by_role("progressbar", name=f"Start of {name}")).to_be_visible()
        expect(page.get_by_role("button", name=f"Stop {name}")).to_be_visible()
    expect(page.locator(".bai-steps li")).not_to_have_count(0)
    shots(page, "starting-several")
    page.wait_for_url("**/services/sessions/", timeout=60_000)
    for name in ("run1", "run2", "run3"):
        expect(page.get_by_role("link", name=f"Open {name}")).to_be_visible(timeout=20_000)
    visitor = deployment.login("olivia")
    assert names(visitor) == ["run1", "run2", "run3"]
    visitor.stop_all()


def test_stop_of_one_of_several_stops_that_one_alone(
    deployment: Deployment, login: Login, slow: Path
) -> None:
    page = login("peggy")
    launch(page, "run", 2)
    page.get_by_role("button", name="Stop run2").click()
    expect(page.get_by_text("Stopped.")).to_be_visible()
    page.wait_for_url("**/services/sessions/", timeout=60_000)
    visitor = deployment.login("peggy")
    assert eventually(lambda: names(visitor) == ["run1"], seconds=30)
    visitor.stop_all()


def test_one_that_fails_says_why_while_the_others_can_be_opened(
    deployment: Deployment, login: Login, shots: Shots
) -> None:
    page = login("quentin")
    fault = deployment.state / "faults" / "start"
    page.get_by_role("link", name="START").click()
    page.get_by_label("Session name").fill("run")
    page.get_by_role("link", name="Resources").click()
    page.locator("[name=sessions]").fill("2")
    page.get_by_role("link", name="Review").click()
    fault.write_text('{"delay": 2, "error": "no such device", "once": true}')
    page.get_by_role("button", name="LAUNCH", exact=True).click()
    expect(page.get_by_role("heading", name="1 of 2 sessions started")).to_be_visible(
        timeout=60_000
    )
    expect(page.get_by_role("alert").filter(has_text="no such device")).to_have_count(1)
    expect(page.get_by_role("link", name=re.compile("^Open run"))).to_have_count(1)
    shots(page, "started-some")
    deployment.login("quentin").stop_all()
