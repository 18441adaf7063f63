"""An app as a user opens it: asked for a directory, seen to start, and gone to."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.deployment import Deployment, Visitor
from tests.session import Session

SLOW = 90_000
"""Milliseconds for TensorBoard to load, on a machine that does much else."""


@pytest.fixture
def session(deployment: Deployment) -> Iterator[Session]:
    """A session of the image that has TensorBoard, with a log directory."""
    visitor: Visitor = deployment.login("grace")
    options = {"environment": "numpy", "version": "2.4"}
    assert visitor.start("board", options).is_success
    assert visitor.ready("board")
    made = Session(deployment, visitor, "board")
    made.run("mkdir", "-p", "/home/work/logs/run-1")
    yield made
    made.http.close()
    visitor.stop_all()
    visitor.http.close()


def test_tensorboard_opens_on_a_directory_that_the_user_chose(
    session: Session,
    login: Callable[..., Page],
    axe: Callable[[Page], list[str]],
    shots: Callable[[Page, str], None],
) -> None:
    page = login("grace")
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    url = f"{session.http.base_url}bai/apps/tensorboard"
    page.goto(f"{url}?directory=lo")
    field = page.get_by_label("Directory")
    expect(field).to_have_value("lo")
    expect(field).to_be_focused()
    expect(page.locator("#directories option")).to_have_attribute("value", "logs")
    assert session.http.get("/bai/api/apps/tensorboard").json()["state"] == "stopped", (
        "an address starts nothing"
    )
    assert axe(page) == []

    field.press("Enter")
    expect(page.get_by_role("alert").first).to_contain_text("directory: 'lo' is not accepted")
    expect(field).to_have_value("lo")
    field.fill("logs")
    shots(page, "app-directory")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("status")).to_have_text("TensorBoard is starting.")
    page.wait_for_url("**/tensorboard/**", timeout=SLOW)
    expect(page.get_by_text("/home/work/logs")).to_be_visible(timeout=SLOW)
    shots(page, "tensorboard")
    assert not errors

    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 360, "height": 640})
    page.goto(url)
    expect(page.get_by_text("TensorBoard runs on logs.")).to_be_visible()
    assert axe(page) == []
    page.get_by_role("link", name="Open it").click()
    page.wait_for_url("**/tensorboard/**")

    # the app itself, not what keeps its output
    session.run("pkill", "-KILL", "-f", "^/usr/bin/python3 /usr/local/bin/tensorboard")
    page.goto(f"{session.http.base_url}tensorboard/")
    expect(page.get_by_role("alert").last).to_contain_text("ended with exit code 137 (SIGKILL)")
    assert axe(page) == []
    shots(page, "app-failed")
    page.get_by_role("button", name="Start").click()
    page.wait_for_url("**/tensorboard/**", timeout=SLOW)
