"""Launching again: the last launch and templates, with one click from home and in the form.

Hub, engine and service are real; what the service keeps is kept by the test.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.deployment import USER_PASSWORD, Deployment, Visitor, eventually
from tests.ui.fake_service import FakeService, Fields

Login = Callable[..., Page]
Shots = Callable[[Page, str], None]
Axe = Callable[[Page], list[str]]

SMALL: Fields = {
    "environment": ["python"],
    "version:python": ["3.13"],
    "resource_group": ["general"],
    "preset": [""],
    "cpu": ["1"],
    "memory": ["0.5"],
    "sessions": ["1"],
    "mount:data": ["rw"],
    "env": ["TOKEN=<b>kept</b>"],
}
MARKUP = "<img src=x onerror=\"document.title='evil'\">"
CALL = """async ([method, path, body]) => {
  const { visit } = await import(`${document.getElementById("bai-home").dataset.static}service.js`);
  return (await visit())[method](path, body);
}"""


@pytest.fixture
def visitor(deployment: Deployment) -> Iterator[Visitor]:
    """The owner of the sessions, over REST; starts and ends with nothing kept or running."""
    with deployment.login("lena") as made:
        yield made
        made.stop_all()


@pytest.fixture
def service() -> FakeService:
    """What the service keeps: all else of it is the real one."""
    return FakeService()


@pytest.fixture
def home(login: Login, visitor: Visitor, service: FakeService) -> Page:
    """Home, without a template."""
    page = login("lena")
    service.keep_for(page.context)
    for template in call(page, "get", "api/templates")["templates"]:
        call(page, "remove", f"api/templates/{quote(template['name'], safe='')}")
    page.reload()
    return page


def call(page: Page, method: str, path: str, body: Any = None) -> Any:
    """A call to the service as its pages make it, from the home page."""
    return page.evaluate(CALL, [method, path, body])


def save(page: Page, name: str, fields: Fields) -> None:
    call(page, "put", f"api/templates/{quote(name, safe='')}", {"fields": fields, "replace": True})
    page.reload()


def again(page: Page) -> Locator:
    return page.get_by_role("region", name="Launch again")


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def launched(visitor: Visitor) -> dict[str, Any]:
    """The only session, once it is ready."""
    assert eventually(visitor.servers, seconds=20)
    (server,) = visitor.servers()
    return visitor.ready(server)


def launching(page: Page) -> None:
    page.wait_for_url(re.compile("/hub/spawn-pending/|/user/lena/"), wait_until="commit")


def put(page: Page, name: str, fields: Fields) -> None:
    """Keep a template, and show it on the page."""
    save(page, name, fields)
    expect(again(page).get_by_role("button", name=f"Launch {name}", exact=True)).to_be_visible()


def nothing_is_launched(visitor: Visitor, page: Page) -> None:
    page.wait_for_timeout(500)
    assert not [s for s in visitor.servers().values() if s["pending"] or s["ready"]]


def settled(page: Page) -> None:
    """What changes its colour in a moment has the last one."""
    page.evaluate("Promise.allSettled(document.getAnimations().map((one) => one.finished))")


# ---- from home


def test_the_last_launch_is_offered_on_home_and_in_the_form(
    home: Page, visitor: Visitor, service: FakeService, shots: Shots
) -> None:
    fields = {**SMALL, "session_name": ["mine1"], "env": ["A=1\nB=two words"]}
    service.last = {"fields": fields, "at": "", "title": "python 3.13 · small"}
    home.reload()
    expect(again(home)).to_contain_text("Same as last time")
    expect(again(home)).to_contain_text("python 3.13 · small")
    home.get_by_role("link", name="START").click()
    home.get_by_role("button", name=re.compile("^Same as last time: python 3.13")).click()
    expect(home.get_by_label("Session name")).to_have_value("mine1")
    expect(home.locator("[name=env]")).to_have_value("A=1\nB=two words")
    shots(home, "form-same")
    home.goto(f"{visitor.deployment.url}/hub/home")
    press(home, "Launch the same as last time")
    launching(home)
    server = launched(visitor)
    assert server["display_name"] == "mine1"
    assert server["user_options"]["env"] == {"A": "1", "B": "two words"}


def test_a_template_is_saved_in_the_form_and_launched_from_home_in_one_click(
    home: Page, visitor: Visitor, shots: Shots
) -> None:
    home.get_by_role("link", name="START").click()
    home.locator("#bai-config").click()
    variables = home.get_by_role("dialog")
    variables.get_by_label("Name", exact=True).fill("TOKEN")
    variables.get_by_label("Value", exact=True).fill("<b>kept</b>")
    variables.get_by_role("button", name="SAVE").click()
    home.get_by_role("link", name="Review").click()
    press(home, "Save as template")
    shots(home, "form-save")
    home.get_by_role("dialog").get_by_label("Name").fill("Every day")
    home.keyboard.press("Enter")
    expect(home.get_by_role("status").first).to_contain_text("Saved as the template “Every day”.")
    shots(home, "form-saved")
    nothing_is_launched(visitor, home)
    home.goto(f"{visitor.deployment.url}/hub/home")
    press(home, "Launch Every day")
    launching(home)
    assert launched(visitor)["user_options"]["env"] == {"TOKEN": "<b>kept</b>"}


def test_several_sessions_are_launched_in_one_click_and_the_sessions_page_lists_them(
    home: Page, visitor: Visitor
) -> None:
    put(home, "pair", {**SMALL, "sessions": ["2"], "session_name": ["pair"]})
    home.reload()
    with home.expect_request("**/hub/spawn/lena/**") as sent:
        press(home, "Launch pair")
    assert "next=%2Fservices%2Fsessions%2F&" in f"{sent.value.url}&"
    home.wait_for_url("**/services/sessions/", timeout=60_000)
    for name in ("pair1", "pair2"):
        expect(home.get_by_role("link", name=f"Open {name}")).to_be_visible(timeout=60_000)


def test_a_template_is_renamed_and_deleted_from_its_menu_by_keyboard(home: Page) -> None:
    put(home, "old", SMALL)
    keys = home.keyboard
    home.get_by_role("button", name="Launch old", exact=True).focus()
    keys.press("Tab")
    expect(home.get_by_role("button", name="Change old")).to_be_focused()
    keys.press("Enter")
    keys.press("ArrowDown")
    expect(home.get_by_role("button", name="Rename")).to_be_focused()
    keys.press("Enter")
    keys.type("new")
    keys.press("Enter")
    expect(home.get_by_role("button", name="Change new")).to_be_focused()
    expect(home.get_by_role("button", name="Change old")).to_have_count(0)
    home.reload()
    home.get_by_role("button", name="Change new").press("Enter")
    keys.press("ArrowDown")
    keys.press("ArrowDown")
    keys.press("Enter")
    expect(again(home).get_by_role("status")).to_contain_text("Deleted the template “new”.")
    assert call(home, "get", "api/templates")["templates"] == []
    again(home).get_by_role("button", name="Undo").press("Enter")
    expect(home.get_by_role("button", name="Launch new")).to_be_visible()
    (back,) = call(home, "get", "api/templates")["templates"]
    assert back["fields"] == SMALL


def test_a_launch_that_is_refused_comes_back_as_the_form_with_everything_in_it(
    home: Page, visitor: Visitor, shots: Shots
) -> None:
    put(home, "withdrawn", {**SMALL, "environment": ["gone"], "version:gone": ["1"]})
    press(home, "Launch withdrawn")
    alert = home.get_by_role("alert").first
    expect(alert).to_contain_text("The session was not launched")
    expect(alert).to_contain_text("gone")
    expect(home.locator("[name=env]")).to_have_value("TOKEN=<b>kept</b>")
    shots(home, "again-refused")
    nothing_is_launched(visitor, home)


def test_a_launch_without_a_folder_is_asked_about_first(home: Page, visitor: Visitor) -> None:
    put(home, "bare", {**SMALL, "mount:data": [""], "alone": ["1"]})
    press(home, "Launch bare")
    question = home.get_by_role("alertdialog")
    expect(question).to_contain_text("No data folder is mounted")
    press(home, "Cancel")
    nothing_is_launched(visitor, home)
    press(home, "Launch bare")
    press(home, "LAUNCH")
    launching(home)
    assert "mounts" not in launched(visitor)["user_options"]


def test_two_presses_launch_one_session(home: Page, visitor: Visitor) -> None:
    put(home, "twice", SMALL)
    home.get_by_role("button", name="Launch twice").dblclick(no_wait_after=True)
    launching(home)
    launched(visitor)


def test_a_name_that_a_live_session_has_is_left_out(home: Page, visitor: Visitor) -> None:
    options = {"environment": "python", "mounts": [{"folder": "data"}]}
    assert visitor.start("one", options, name="taken").is_success
    put(home, "again", {**SMALL, "session_name": ["taken"]})
    press(home, "Launch again")
    launching(home)
    assert eventually(lambda: len(visitor.servers()) == 2, seconds=20)
    names = {server["display_name"] for server in visitor.servers().values()}
    assert len(names) == 2
    (other,) = set(visitor.servers()) - {"one"}
    assert visitor.ready(other)["display_name"] != "taken"


def test_markup_in_a_template_is_text_on_home(home: Page) -> None:
    put(home, MARKUP, {**SMALL, "env": [MARKUP], "environment": [MARKUP]})
    expect(again(home)).to_contain_text("<img src=x")
    home.get_by_role("button", name=f"Change {MARKUP}").click()
    home.get_by_role("button", name="Delete").click()
    expect(again(home).get_by_role("status")).to_contain_text("<img src=x")
    assert home.title() == "Sessions"
    assert home.locator("main img, #bai-home img").count() == 0


# ---- when the service is away


def test_without_the_service_home_lists_and_stops_and_says_so_quietly(
    home: Page, visitor: Visitor, shots: Shots
) -> None:
    assert visitor.start("one", {"environment": "python"}, name="first").is_success
    home.route("**/services/**", lambda route: route.abort())
    home.reload()
    expect(home.get_by_text("Your templates cannot be shown now.")).to_be_visible()
    expect(again(home)).to_be_hidden()
    expect(home.get_by_role("alert")).to_have_count(0)
    shots(home, "home-away")
    press(home, "Stop first")
    press(home, "STOP")
    expect(home.locator("tr[data-server-name=one]")).to_contain_text("Stopped", timeout=30_000)
    home.unroute("**/services/**")
    press(home, "Try again")
    expect(again(home)).to_be_visible()


def test_without_the_service_the_form_launches(home: Page, visitor: Visitor) -> None:
    home.route("**/services/**", lambda route: route.abort())
    home.get_by_role("link", name="START").click()
    home.locator("#bai-launch-button").click()
    launching(home)
    launched(visitor)


# ---- links


def test_a_link_leads_through_login_to_a_form_that_it_filled_and_launches_nothing(
    deployment: Deployment, home: Page, visitor: Visitor, shots: Shots
) -> None:
    fields = {"environment": "numpy", "version:numpy": "2.3", "preset": "", "cpu": "2"}
    home.goto("about:blank")  # a page that asks meanwhile would cross this login
    home.context.clear_cookies()
    home.goto(f"{deployment.url}/services/sessions/launch#{urlencode(fields)}")
    home.get_by_label("Username").fill("lena")
    home.get_by_label("Password").fill(USER_PASSWORD)
    press(home, "Sign in")
    expect(home).to_have_url(re.compile("/hub/spawn/lena/s[0-9a-f]{16}$"), timeout=30_000)
    expect(home.get_by_role("status").first).to_contain_text("Filled in from a link: check it")
    shots(home, "form-link")
    expect(home.get_by_role("radio", name="NumPy and Matplotlib")).to_be_checked()
    expect(home.locator("[name='version:numpy']")).to_have_value("2.3")
    expect(home.locator("[name=cpu]")).to_have_value("2")
    nothing_is_launched(visitor, home)
    home.reload()
    expect(home.get_by_role("status").first).to_be_empty()


def test_turning_pages_after_a_link_keeps_what_it_filled_in(
    deployment: Deployment, home: Page
) -> None:
    home.goto(f"{deployment.url}/services/sessions/launch#env=A%3D1&session_name=linked")
    expect(home.get_by_role("status").first).to_contain_text("Filled in from a link")
    press(home, "Next")
    home.go_back()
    expect(home.get_by_label("Session name")).to_have_value("linked")
    assert "#" not in home.url


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1100, 375])
def test_axe_finds_nothing_and_home_and_the_bar_fit_the_screen(
    home: Page, shots: Shots, axe: Axe, scheme: Any, width: int
) -> None:
    put(home, "Every day", SMALL)
    save(home, "w" * 64, SMALL)
    home.emulate_media(color_scheme=scheme)
    home.set_viewport_size({"width": width, "height": 800})
    home.reload()
    expect(again(home)).to_be_visible()
    assert axe(home) == []
    home.get_by_role("button", name="Change Every day").click()
    assert axe(home) == []
    shots(home, f"again-{scheme}-{width}")
    assert home.evaluate("document.documentElement.scrollWidth") <= width
    home.get_by_role("link", name="START").click()
    press(home, "Your templates (2)")
    settled(home)
    assert axe(home) == []
    shots(home, f"form-templates-{scheme}-{width}")
    assert home.evaluate("document.documentElement.scrollWidth") <= width
    press(home, "Fill in Every day")
    settled(home)
    assert axe(home) == []
    shots(home, f"form-filled-{scheme}-{width}")
    home.get_by_role("link", name="Go to the review").click()
    press(home, "Save as template")
    settled(home)
    assert axe(home) == []
    shots(home, f"form-save-{scheme}-{width}")
    assert home.evaluate("document.documentElement.scrollWidth") <= width
