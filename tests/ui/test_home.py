"""The home page: what runs, opened and stopped from there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.deployment import Deployment, Visitor, eventually

Login = Callable[..., Page]
Shots = Callable[[Page, str], None]
Axe = Callable[[Page], list[str]]

OPTIONS = {
    "environment": "python",
    "resources": {"cpu": 1, "memory": "512MiB"},
    "mounts": [{"folder": "data", "mode": "rw"}],
}


@pytest.fixture
def visitor(deployment: Deployment) -> Iterator[Visitor]:
    """The owner of the sessions, over REST."""
    with deployment.login("kim") as made:
        yield made
        made.stop_all()


@pytest.fixture
def slow(deployment: Deployment) -> Iterator[Callable[[], None]]:
    """Starts take seven seconds more from when it is called."""
    fault = deployment.state / "faults" / "start"

    def slow_down() -> None:
        fault.write_text('{"delay": 7}')

    yield slow_down
    fault.unlink(missing_ok=True)


START = """([server, body]) => {
  const { base_url, user, xsrf_token } = window.jhdata;
  fetch(`${base_url}api/users/${user}/servers/${server}`, {
    method: "POST",
    headers: { "X-XSRFToken": xsrf_token, "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}"""


def begin(page: Page, server: str, name: str) -> None:
    """Ask for a session, and wait for nothing."""
    page.evaluate(START, [server, {"display_name": name, "user_options": OPTIONS}])


def row(page: Page, title: str) -> Locator:
    return page.locator("#bai-sessions tbody tr", has=page.get_by_role("rowheader", name=title))


def dialog(page: Page) -> Locator:
    return page.get_by_role("alertdialog")


def test_home_follows_a_session_from_start_to_stop_without_a_reload(
    login: Login, visitor: Visitor, slow: Callable[[], None], shots: Shots
) -> None:
    page = login("kim")
    expect(page.get_by_text("No session is running.")).to_be_visible()
    shots(page, "home-none")
    page.evaluate("window.kept = true")
    slow()
    begin(page, "one", "first")
    expect(row(page, "first")).to_contain_text("Starting", timeout=10_000)
    expect(row(page, "first").get_by_role("link", name="Progress of first")).to_be_visible()
    expect(page.get_by_text("No session is running.")).to_be_hidden()
    expect(row(page, "first")).to_contain_text("Running", timeout=30_000)
    expect(row(page, "first")).to_contain_text("python 3.13")
    expect(row(page, "first")).to_contain_text("1 CPU, 512 MiB RAM")
    expect(row(page, "first")).to_contain_text("just now")
    opening = row(page, "first").get_by_role("link", name="Open first")
    expect(opening).to_have_attribute("href", "/user/kim/one/")
    shots(page, "home-one")
    row(page, "first").get_by_role("button", name="Stop first").click()
    page.get_by_role("button", name="STOP", exact=True).click()
    expect(row(page, "first")).to_contain_text("Stopping")
    expect(row(page, "first")).to_contain_text("Stopped", timeout=30_000)
    expect(row(page, "first").get_by_role("button")).to_have_count(0)
    assert page.evaluate("window.kept") is True


def test_stop_asks_says_what_is_kept_and_stops_the_right_one(
    login: Login, visitor: Visitor, deployment: Deployment, shots: Shots, axe: Axe
) -> None:
    assert visitor.start("one", OPTIONS, name="first").is_success
    assert visitor.start("two", {**OPTIONS, "mounts": []}, name="second").is_success
    page = login("kim")
    row(page, "second").get_by_role("button", name="Stop second").click()
    expect(dialog(page)).to_contain_text("Stop second?")
    expect(dialog(page)).to_contain_text("No folder is mounted: none of its files is kept.")
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog(page)).to_have_count(0)
    expect(row(page, "second").get_by_role("button", name="Stop second")).to_be_focused()
    row(page, "first").get_by_role("button", name="Stop first").press("Enter")
    expect(dialog(page)).to_contain_text("files outside of mounted folders are deleted")
    expect(dialog(page)).to_contain_text("Kept: what is in the mounted folder data.")
    assert axe(page) == []
    shots(page, "home-stop")
    page.get_by_role("button", name="Cancel").click()
    assert len(deployment.containers()) == 2
    row(page, "first").get_by_role("button", name="Stop first").click()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(row(page, "first")).to_contain_text("Stopped", timeout=30_000)
    expect(row(page, "second")).to_contain_text("Running")
    assert eventually(lambda: len(deployment.containers()) == 1)
    (left,) = deployment.containers()
    assert left.labels["bai.server"] == "two"


def test_a_stop_that_fails_says_why_and_the_session_goes_on(login: Login, visitor: Visitor) -> None:
    assert visitor.start("one", OPTIONS, name="first").is_success
    page = login("kim")
    page.route(
        "**/servers/one",
        lambda route: route.fulfill(status=500, body='{"message": "the <b>engine</b> is away"}'),
    )
    row(page, "first").get_by_role("button", name="Stop first").click()
    page.get_by_role("button", name="STOP", exact=True).click()
    alert = page.locator("#bai-trouble")
    expect(alert).to_have_text("first was not stopped: the <b>engine</b> is away. Try again.")
    expect(row(page, "first")).to_contain_text("Running")


def test_a_hub_that_does_not_answer_is_told_and_its_return_noticed(login: Login) -> None:
    page = login("kim")
    page.clock.install()
    page.route("**/hub/api/users/kim", lambda route: route.abort())
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.clock.run_for(30_000)
    expect(page.locator("#bai-trouble")).to_contain_text("The hub does not answer")
    page.unroute("**/hub/api/users/kim")
    page.clock.run_for(60_000)
    page.wait_for_timeout(500)
    page.clock.run_for(60_000)
    expect(page.locator("#bai-trouble")).to_be_hidden()


def test_without_javascript_a_session_is_opened_and_stop_is_not_offered(
    login: Login, visitor: Visitor
) -> None:
    assert visitor.start("one", OPTIONS, name="first").is_success
    page = login("kim", java_script_enabled=False)
    expect(page.get_by_text("Without JavaScript sessions can be opened here")).to_be_visible()
    expect(page.get_by_role("button", name="Stop first")).to_be_hidden()
    expect(row(page, "first")).to_contain_text("Running")
    row(page, "first").get_by_role("link", name="Open first").click()
    page.wait_for_url(re.compile("/user/kim/one/"), wait_until="commit")


def test_back_to_home_starts_another_session_and_not_the_same_again(login: Login) -> None:
    page = login("kim")
    first = page.get_by_role("link", name="START").get_attribute("href")
    page.get_by_role("link", name="START").click()
    page.wait_for_url("**/hub/spawn/**")
    page.go_back()
    start = page.get_by_role("link", name="START")
    assert eventually(lambda: start.get_attribute("href") != first)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1100, 375])
def test_axe_finds_nothing_and_home_fits_the_screen(
    login: Login, visitor: Visitor, shots: Shots, axe: Axe, scheme: str, width: int
) -> None:
    for server, name in (("one", "first"), ("two", "m" * 64)):
        assert visitor.start(server, OPTIONS, name=name).is_success
    page = login("kim", color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    expect(row(page, "first")).to_contain_text("Running")
    assert axe(page) == []
    shots(page, f"home-{scheme}-{width}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
