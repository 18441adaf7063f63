"""JupyterHub's own admin panel: sessions are known there, and the books stay right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.deployment import Deployment, Visitor, eventually

USER = "bob"
SERVICE = "/services/sessions/"
MIB = 1024**2


def held(visitor: Visitor) -> Any:
    """What the user's sessions hold, as the hub publishes it."""
    page = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "no-cors"}
    token = visitor.http.get(f"{SERVICE}api/visit", headers=page).json()["xsrf_token"]
    script = {**page, "Sec-Fetch-Mode": "cors", "X-XSRFToken": token}
    return visitor.http.get(f"{SERVICE}api/availability", headers=script).json()["held"]


def of_the_list(page: Page, deployment: Deployment, tab: str) -> Locator:
    """The user's one session on a tab of the Sessions page."""
    page.goto(f"{deployment.url}{SERVICE}?tab={tab}&user={USER}")
    row = page.locator("#bai-list tbody tr")
    expect(row).to_have_count(1, timeout=15_000)
    return row


def test_a_session_is_started_known_and_stopped_there_and_nothing_stays_held(
    deployment: Deployment, login: Callable[..., Page], shots: Callable[[Page, str], None]
) -> None:
    visitor = deployment.login(USER)
    page = login("admin")
    page.goto(f"{deployment.url}/hub/admin")
    panel = page.locator("tr.user-row", has_text=USER)
    panel.get_by_role("button", name="Start Server").click()
    assert eventually(deployment.containers, seconds=20)
    assert deployment.container(USER, "").labels["bai.memory"] == str(512 * MIB)
    model = visitor.api("GET", f"/users/{USER}").json()["servers"][""]
    name, profile = model["display_name"], model["user_options"]["profile"]
    row = of_the_list(page, deployment, "running")
    expect(row).to_contain_text(name)
    expect(row).to_contain_text(f"of {USER}")
    expect(row).to_contain_text("Running", timeout=30_000)
    assert held(visitor)["memory"] == 512 * MIB
    shots(page, "admin-sessions")

    page.goto(f"{deployment.url}/hub/admin")
    expect(panel).to_contain_text(profile)
    panel.get_by_role("button").first.click()
    expect(page.locator("#bob-collapse, [data-testid=bob-collapse]")).to_contain_text(name)
    shots(page, "admin-panel")
    panel.get_by_role("button", name="Stop Server").click()
    assert eventually(lambda: not deployment.containers(), seconds=30)
    expect(panel.get_by_role("button", name="Start Server")).to_be_visible()

    row = of_the_list(page, deployment, "finished")
    expect(row).to_contain_text(name)
    expect(row).to_contain_text("ended on request")
    assert eventually(lambda: held(visitor)["memory"] == 0, seconds=20)
    row.get_by_role("link", name=f"Log of {name}").click()
    expect(page.get_by_role("heading", name=f"Log of {name}")).to_be_visible()
    expect(page.locator("#bai-about")).to_contain_text("ended on request")
    expect(page.locator("#log")).to_contain_text("jupyter")
    shots(page, "admin-log")
    visitor.http.close()
