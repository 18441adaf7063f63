"""Apps opened on ports of the host, from the Sessions page and from JupyterLab: public, private,
closed again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Error, Locator, Page, expect

from tests.deployment import Deployment, Visitor, eventually
from tests.session import Session

SLOW = 90_000
"""Milliseconds for TensorBoard to load, on a machine that does much else."""


@pytest.fixture(scope="module")
def session(deployment: Deployment) -> Iterator[Session]:
    """A session in which TensorBoard runs."""
    visitor: Visitor = deployment.login("olga")
    options = {"environment": "numpy", "version": "2.4"}
    assert visitor.start("board", options, name="thesis").is_success
    assert visitor.ready("board")
    made = Session(deployment, visitor, "board")
    made.run("mkdir", "-p", "/home/work/logs/run-1")
    asked = made.http.post("/bai/api/apps/tensorboard", json={"directory": "logs"})
    assert asked.status_code == 202, asked.text
    url = "/bai/api/apps/tensorboard"
    assert eventually(lambda: made.http.get(url).json()["state"] == "running", seconds=90)
    yield made
    made.http.close()
    visitor.stop_all()
    visitor.http.close()


@pytest.fixture
def nobody(browser: Browser) -> Iterator[BrowserContext]:
    """A browser that is logged in nowhere."""
    made = browser.new_context()
    yield made
    made.close()


@pytest.fixture
def dialog(deployment: Deployment, session: Session, login: Callable[..., Page]) -> Locator:
    """The session's apps, on the Sessions page."""
    page = login("olga")
    page.goto(f"{deployment.url}/services/sessions/")
    row = page.get_by_role("row").filter(has_text="thesis")
    row.get_by_role("button", name=re.compile("Apps")).click()
    return page.get_by_role("dialog", name="Apps of thesis")


def opened(dialog: Locator) -> str:
    """Open TensorBoard with what was chosen; its address."""
    with dialog.page.expect_popup() as popup:
        dialog.get_by_role("link", name=re.compile("TensorBoard")).first.click()
    popup.value.close()
    link = dialog.locator(".bai-openings a")
    expect(link).to_have_count(1)
    return str(link.get_attribute("href"))


def closed(dialog: Locator, nobody: BrowserContext, url: str) -> None:
    dialog.get_by_role("button", name=re.compile("Close TensorBoard")).click()
    expect(dialog.locator(".bai-openings li")).to_have_count(0)
    expect(dialog.get_by_role("status")).to_contain_text("nobody reaches")
    with pytest.raises(Error, match="ERR_CONNECTION_REFUSED"):
        nobody.new_page().goto(url)


def test_a_public_app_is_seen_without_a_login_until_it_is_closed(
    dialog: Locator,
    nobody: BrowserContext,
    axe: Callable[[Page], list[str]],
    shots: Callable[[Page, str], None],
) -> None:
    dialog.get_by_label("Open app to public").check()
    expect(dialog.get_by_text("Whoever has its address gets in")).to_be_visible()
    assert axe(dialog.page) == []
    shots(dialog.page, "apps-options")
    url = opened(dialog)
    assert re.fullmatch(r"http://localhost:\d+/", url)
    expect(dialog.locator(".badge")).to_have_text("public")
    badge = dialog.page.locator("#bai-list [data-part=public]")
    expect(badge).to_have_text("public")
    expect(badge).to_be_visible()
    assert axe(dialog.page) == []
    shots(dialog.page, "apps-open")
    stranger = nobody.new_page()
    stranger.goto(url)
    expect(stranger.get_by_text("/home/work/logs")).to_be_visible(timeout=SLOW)
    closed(dialog, nobody, url)
    expect(badge).to_be_hidden()


def test_a_private_app_on_its_preferred_port_lets_its_user_in_by_the_hubs_login(
    deployment: Deployment, dialog: Locator, nobody: BrowserContext
) -> None:
    port = deployment.app_ports.start + 3
    dialog.get_by_label("Try preferred port").check()
    dialog.get_by_label("Preferred port", exact=True).fill(str(port))
    url = opened(dialog)
    assert url == f"http://localhost:{port}/"
    expect(dialog.get_by_text("Private: its user")).to_be_visible()
    mine = dialog.page.context.new_page()
    mine.goto(url)
    assert mine.url == f"{url}", "seen at its own address, after the way over the hub"
    expect(mine.get_by_text("/home/work/logs")).to_be_visible(timeout=SLOW)
    stranger = nobody.new_page()
    stranger.goto(url)
    expect(stranger).to_have_url(re.compile(r"127\.0\.0\.1:\d+/hub/login"))
    closed(dialog, nobody, url)


def test_a_superadmin_sees_what_is_open_and_was_and_closes_it(
    deployment: Deployment,
    dialog: Locator,
    login: Callable[..., Page],
    nobody: BrowserContext,
    axe: Callable[[Page], list[str]],
    shots: Callable[[Page, str], None],
) -> None:
    dialog.get_by_label("Open app to public").check()
    url = opened(dialog)
    page = login("admin")
    page.get_by_role("link", name="Apps", exact=True).click()
    item = page.get_by_role("list", name="Open apps").get_by_role("listitem")
    expect(item).to_have_count(1, timeout=20_000)
    expect(item).to_contain_text("tensorboard of thesis, olga")
    expect(item).to_contain_text(re.compile(r"Opened \d\d:\d\d by olga from 127"))
    expect(item.get_by_role("link")).to_have_attribute("href", url)
    assert axe(page) == []
    shots(page, "open-apps")
    page.set_viewport_size({"width": 360, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    shots(page, "open-apps-narrow")
    item.get_by_role("button", name="Close tensorboard of thesis").click()
    page.get_by_role("alertdialog").get_by_role("button", name="CLOSE").click()
    expect(page.get_by_text("No app is open.")).to_be_visible()
    closed_one = page.get_by_role("region", name="Closed").get_by_role("listitem").first
    expect(closed_one).to_contain_text("closed by an administrator")
    assert axe(page) == []
    with pytest.raises(Error, match="ERR_CONNECTION_REFUSED"):
        nobody.new_page().goto(url)


# ---- JupyterLab


@pytest.fixture
def lab(deployment: Deployment, session: Session, login: Callable[..., Page]) -> Page:
    """The session's JupyterLab, as it comes up for the first time."""
    del session
    page = login("olga")
    page.goto(f"{deployment.url}/user/olga/board/lab?reset")
    expect(page.locator(".jp-LauncherCard", has_text="Apps on Ports")).to_be_visible(timeout=SLOW)
    return page


def ports(lab: Page) -> Locator:
    """The dialog that opens apps."""
    lab.locator(".jp-LauncherCard", has_text="Apps on Ports").click()
    found = lab.locator(".jp-Dialog-content")
    expect(found.get_by_role("combobox", name="App")).to_be_enabled()
    return found


def faults(page: Page) -> list[str]:
    """What axe-core finds wrong with the dialog; the rest of the page is Lab's."""
    found = Axe().run(page, context=".jp-Dialog").response["violations"]
    return [f"{v['id']}: {[n['target'] for n in v['nodes']]}" for v in found]


def test_lab_opens_an_app_to_the_public_wears_a_badge_and_closes_it(
    lab: Page, nobody: BrowserContext, shots: Callable[[Page, str], None]
) -> None:
    dialog = ports(lab)
    dialog.get_by_role("combobox", name="App").select_option(label="TensorBoard")
    dialog.get_by_label("Open app to public").check()
    expect(dialog.get_by_text("Whoever has its address gets in")).to_be_visible()
    assert faults(lab) == []
    shots(lab, "lab-ports-options")
    with lab.expect_popup() as popup:
        dialog.get_by_role("button", name="Open", exact=True).click()
    link = dialog.locator(".bai-openings a")
    expect(link).to_have_count(1)
    url = str(link.get_attribute("href"))
    popup.value.wait_for_url(f"{url}**")
    popup.value.close()
    badge = lab.get_by_role("button", name="Public: 1 app")
    expect(badge).to_be_visible()
    assert faults(lab) == []
    shots(lab, "lab-ports-open")
    stranger = nobody.new_page()
    stranger.goto(url)
    expect(stranger.get_by_text("/home/work/logs")).to_be_visible(timeout=SLOW)
    dialog.get_by_role("button", name=f"Close TensorBoard at {url}").press("Enter")
    expect(dialog.get_by_role("combobox", name="App")).to_be_focused()
    expect(dialog.get_by_role("status")).to_contain_text("nobody reaches")
    expect(badge).to_be_hidden()
    with pytest.raises(Error, match="ERR_CONNECTION_REFUSED"):
        nobody.new_page().goto(url)


def test_lab_says_why_an_app_was_not_opened_and_leaves_no_tab(lab: Page) -> None:
    dialog = ports(lab)
    dialog.get_by_role("combobox", name="App").select_option(label="TensorBoard")
    dialog.get_by_label("Try preferred port").check()
    port = dialog.get_by_label("Preferred port", exact=True)
    port.press_sequentially("8-")
    assert port.evaluate("it => it.validity.badInput")
    port.press("Enter")
    expect(dialog.get_by_role("status")).to_be_empty()
    port.fill("80")
    with lab.expect_popup() as popup:
        port.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("port: must be a whole number from 1024")
    expect(dialog.locator(".bai-openings a")).to_have_count(0)
    assert eventually(lambda: lab.wait_for_timeout(50) or popup.value.is_closed(), every=0)
    lab.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    lab.get_by_role("tab", name="This session", exact=True).click()
    panel = lab.get_by_role("region", name="This session")
    panel.get_by_role("button", name="Apps on ports").click()
    expect(dialog.get_by_role("combobox", name="App")).to_be_focused()
    dialog.get_by_role("button", name="Done").click()
    expect(dialog).to_have_count(0)
