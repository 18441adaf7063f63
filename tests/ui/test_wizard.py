"""The launch form as four pages: turning them loses nothing, launches nothing by accident."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.deployment import Deployment
from tests.drawn import Drawn

Login = Callable[..., Page]
Open = Callable[..., Page]
Shots = Callable[[Page, str], None]
Axe = Callable[[Page], list[str]]
TITLES = ("Environment", "Data folders", "Resources", "Review")


def started(login: Login, user: str, **options: object) -> Page:
    """The launch form of a user of a real hub, on its first page."""
    page = login(user, **options)
    page.get_by_role("link", name="START").click()
    expect_page(page, "Environment")
    return page


def expect_page(page: Page, title: str) -> None:
    """One page is shown, and its step is the current one."""
    for other in TITLES:
        expect(page.get_by_role("group", name=other, exact=True)).to_have_count(int(other == title))
    expect(page.locator("#bai-pages [aria-current=step]")).to_have_text(re.compile(f"^{title}"))


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def block(page: Page, key: str) -> Locator:
    return page.locator(f"[data-bai-review={key}]")


def fill(page: Page) -> None:
    """Something on each page that is not its default; ends on the review."""
    page.get_by_label("Session name").fill("mine1")
    page.get_by_role("button", name="CONFIG").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name", exact=True).fill("TOKEN")
    dialog.get_by_label("Value", exact=True).fill("<b>hunter2</b>")
    dialog.get_by_role("button", name="SAVE").click()
    press(page, "Next")
    page.locator('[name="mount:data"]').select_option("ro")
    page.get_by_label("New folder").fill("results")
    press(page, "Next")
    page.get_by_role("radio", name="Custom allocation").check()
    page.locator("[name=cpu]").fill("2")
    page.locator("[name=memory]").fill("")
    press(page, "Next")
    expect_page(page, "Review")


@pytest.fixture
def form(opened: Open) -> Page:
    """The form, on its first page; what is sent is judged, and nothing starts."""
    page = opened()
    expect_page(page, "Environment")
    return page


def test_next_back_and_the_steps_turn_pages_and_keep_what_was_typed(form: Page) -> None:
    fill(form)
    address = form.url
    for title in ("Resources", "Data folders", "Environment"):
        press(form, "Back")
        expect_page(form, title)
    expect(form.get_by_role("button", name="Back")).to_be_hidden()
    expect(form.get_by_label("Session name")).to_have_value("mine1")
    form.get_by_role("link", name="Resources").click()
    expect_page(form, "Resources")
    expect(form.locator("[name=cpu]")).to_have_value("2")
    assert form.url == address


def test_the_browsers_back_and_forward_turn_pages_and_keep_what_was_typed(form: Page) -> None:
    fill(form)
    form.go_back()
    expect_page(form, "Resources")
    form.go_back()
    expect_page(form, "Data folders")
    expect(form.get_by_label("New folder")).to_have_value("results")
    press(form, "Back")
    expect_page(form, "Environment")
    form.go_forward()
    expect_page(form, "Data folders")
    form.go_back()
    form.go_back()
    form.wait_for_url("about:blank")


def test_arrows_turn_pages_unless_a_field_has_the_focus(form: Page) -> None:
    keys = form.keyboard
    keys.press("ArrowRight")
    expect_page(form, "Data folders")
    keys.press("Alt+ArrowRight")
    expect_page(form, "Resources")
    keys.press("ArrowLeft")
    expect_page(form, "Data folders")
    form.get_by_label("New folder").fill("abc")
    keys.press("ArrowLeft")
    keys.type("x")
    expect(form.get_by_label("New folder")).to_have_value("abxc")
    expect_page(form, "Data folders")


def test_enter_goes_on_and_launches_on_the_review_alone(
    login: Login, deployment: Deployment
) -> None:
    form = started(login, "judy")
    form.get_by_label("Session name").fill("entered1")
    form.keyboard.press("Enter")
    expect_page(form, "Data folders")
    expect(form.locator("#bai-mounts")).to_be_focused()
    form.keyboard.press("Tab")
    expect(form.locator('[name="mount:data"]')).to_be_focused()
    form.get_by_label("New folder").press("Enter")
    expect_page(form, "Resources")
    form.keyboard.press("Enter")
    expect_page(form, "Review")
    listed = deployment.login("judy").servers().values()
    assert not [server for server in listed if server["pending"] or server["ready"]]
    form.keyboard.press("Enter")
    form.wait_for_url(re.compile("/hub/spawn-pending/|/user/judy/"), wait_until="commit")
    visitor = deployment.login("judy")
    (server,) = visitor.servers()
    assert visitor.ready(server)["display_name"] == "entered1"
    visitor.stop_all()


def test_the_review_shows_what_was_chosen_and_masks_values(form: Page, shots: Shots) -> None:
    fill(form)
    shots(form, "review")
    expect(block(form, "environment")).to_contain_text("Python version 3.13")
    expect(block(form, "name")).to_contain_text("mine1")
    expect(block(form, "folders")).to_contain_text("data Read only")
    expect(block(form, "folders")).to_contain_text("results Made for you")
    expect(block(form, "resources")).to_contain_text("CPU 2 cores")
    expect(block(form, "resources")).to_contain_text("RAM the least that the environment needs")
    expect(block(form, "resources")).to_contain_text("× 1 session")
    expect(block(form, "group")).to_contain_text("General")
    variables = block(form, "variables")
    expect(variables).to_contain_text("TOKEN")
    expect(variables).not_to_contain_text("hunter2")
    form.get_by_role("switch", name="Show the values").check()
    expect(variables).to_contain_text("TOKEN <b>hunter2</b>")
    expect(variables.locator("b")).to_have_count(0)


def test_an_edit_link_leads_to_its_field_and_back_returns(form: Page) -> None:
    fill(form)
    form.get_by_role("link", name="Edit Environment variables").click()
    expect_page(form, "Environment")
    expect(form.get_by_role("button", name="CONFIG")).to_be_focused()
    form.keyboard.press("Enter")
    form.get_by_role("dialog").get_by_label("Name", exact=True).fill("OTHER")
    form.get_by_role("dialog").get_by_role("button", name="SAVE").click()
    form.go_back()
    expect_page(form, "Review")
    expect(block(form, "variables")).to_contain_text("OTHER")
    expect(block(form, "variables")).not_to_contain_text("TOKEN")


def test_an_invalid_number_is_marked_blocks_the_launch_and_is_led_to(
    form: Page, shots: Shots
) -> None:
    fill(form)
    form.get_by_role("link", name="Edit Resources").click()
    cpu = form.locator("[name=cpu]")
    cpu.fill("64")
    press(form, "Next")
    told = "CPU: must be at least 1 and at most 4"
    expect(block(form, "resources").locator(".bai-reason")).to_contain_text(told)
    shots(form, "review-wrong")
    press(form, "LAUNCH")
    expect_page(form, "Resources")
    expect(cpu).to_be_focused()
    expect(cpu).to_have_attribute("aria-invalid", "true")
    expect(form.get_by_role("alert")).to_contain_text(f"Not launched. {told}")
    shots(form, "blocked")
    cpu.fill("1")
    expect(form.get_by_role("alert")).to_be_hidden()
    expect(cpu).not_to_have_attribute("aria-invalid", "true")
    press(form, "Next")
    expect(block(form, "resources").locator(".bai-reason")).to_have_text("")


def test_boxes_that_do_not_count_block_nothing(form: Page) -> None:
    fill(form)
    form.get_by_role("link", name="Edit Resources").click()
    form.locator("[name=cpu]").fill("64")
    form.get_by_role("radio", name="Small").check()
    press(form, "Next")
    expect(block(form, "resources")).to_contain_text("Small 1 CPU · 1 GiB RAM")
    expect(block(form, "resources").locator(".bai-reason")).to_have_text("")


def test_the_review_names_every_session(form: Page) -> None:
    fill(form)
    form.get_by_role("link", name="Edit Resources").click()
    form.locator("[name=sessions]").fill("3")
    form.get_by_role("link", name="Review").click()
    expect(block(form, "name")).to_contain_text("mine11, mine12, mine13")
    expect(block(form, "resources")).to_contain_text("× 3 sessions")


def test_a_refusal_opens_the_page_of_its_first_problem_and_blocks_until_it_is_edited(
    form: Page, shots: Shots, drawn: Drawn
) -> None:
    drawn.unlucky = ("bad",)
    form.get_by_role("link", name="Data folders").click()
    folder = form.get_by_label("New folder")
    folder.fill("bad")
    press(form, "CONFIRM AND LAUNCH")
    expect(form.get_by_role("alert")).to_contain_text("The session was not launched")
    expect_page(form, "Data folders")
    expect(folder).to_be_focused()
    expect(folder).to_have_value("bad")
    shots(form, "refused")
    form.get_by_role("link", name="Review").click()
    expect(block(form, "folders").locator(".bai-reason")).to_contain_text("New folder")
    press(form, "LAUNCH")
    expect_page(form, "Data folders")
    expect(folder).to_be_focused()
    folder.fill("fine")
    expect(folder).not_to_have_attribute("aria-invalid", "true")
    form.get_by_role("link", name="Review").click()
    expect(block(form, "folders").locator(".bai-reason")).to_have_text("")


def test_a_refusal_of_what_no_page_has_opens_the_review(form: Page) -> None:
    form.evaluate(
        """() => {
            const strange = document.createElement("input");
            strange.type = "hidden";
            strange.name = "strange";
            strange.value = "1";
            document.getElementById("spawn_form").append(strange);
        }"""
    )
    form.locator('[name="mount:data"]').evaluate("select => { select.value = 'rw'; }")
    press(form, "CONFIRM AND LAUNCH")
    expect(form.get_by_role("alert")).to_contain_text("strange")
    expect_page(form, "Review")
    expect(form.locator("#bai-problems")).to_be_focused()


def test_the_browsers_back_from_a_refusal_keeps_what_was_sent(form: Page, drawn: Drawn) -> None:
    drawn.unlucky = ("bad",)
    form.get_by_label("Session name").fill("kept1")
    form.get_by_role("button", name="CONFIG").click()
    form.get_by_role("dialog").get_by_label("Name", exact=True).fill("KEPT")
    form.get_by_role("dialog").get_by_label("Value", exact=True).fill("yes")
    form.get_by_role("dialog").get_by_role("button", name="SAVE").click()
    press(form, "Next")
    form.get_by_label("New folder").fill("other")
    press(form, "Add")
    form.get_by_label("New folder").last.fill("bad")
    press(form, "CONFIRM AND LAUNCH")
    expect(form.get_by_role("alert")).to_contain_text("The session was not launched")
    form.go_back()
    expect_page(form, "Data folders")
    boxes = form.locator("[name=new_folder]")
    assert [one.input_value() for one in boxes.all()] == ["other", "bad"]
    form.go_back()
    expect_page(form, "Environment")
    expect(form.get_by_label("Session name")).to_have_value("kept1")
    expect(form.locator("[name=env]")).to_have_value("KEPT=yes")


def test_page_one_launches_at_once_with_the_defaults(login: Login, deployment: Deployment) -> None:
    page = started(login, "heidi")
    expect(page.get_by_text("pages not visited have their defaults")).to_be_visible()
    press(page, "CONFIRM AND LAUNCH")
    page.wait_for_url(re.compile("/hub/spawn-pending/|/user/heidi/"), wait_until="commit")
    visitor = deployment.login("heidi")
    (server,) = visitor.servers()
    assert "1 CPU" in visitor.ready(server)["user_options"]["profile"]
    visitor.stop_all()


def test_two_tabs_launch_what_each_of_them_holds(opened: Open, drawn: Drawn) -> None:
    first = opened()
    second = first.context.new_page()
    second.goto(drawn.url)
    second.locator("#spawn_form[data-bai-ready]").wait_for()
    for page, name in ((first, "left1"), (second, "right1")):
        page.get_by_label("Session name").fill(name)
        page.get_by_role("link", name="Data folders").click()
        page.get_by_label("New folder").fill(f"{name}data")
    for page in (first, second):
        press(page, "CONFIRM AND LAUNCH")
        expect(page.get_by_role("heading", name="launched")).to_be_visible()
    sent = [(fields["session_name"], fields["new_folder"]) for fields in drawn.sent]
    assert sent == [(["left1"], ["left1data"]), (["right1"], ["right1data"])]


def test_a_second_press_while_the_answer_is_awaited_sends_nothing(form: Page, drawn: Drawn) -> None:
    form.get_by_role("link", name="Data folders").click()
    form.locator('[name="mount:data"]').select_option("rw")
    form.evaluate(
        """() => {
            const button = document.getElementById("bai-launch-button");
            button.click();
            button.click();
        }"""
    )
    expect(form.get_by_role("heading", name="launched")).to_be_visible()
    assert len(drawn.sent) == 1


def test_while_the_answer_is_awaited_the_button_says_so_and_cannot_be_pressed(
    form: Page,
) -> None:
    form.get_by_role("link", name="Data folders").click()
    form.locator('[name="mount:data"]').select_option("rw")
    form.route("**/hub/spawn/**", lambda route: None)  # never answered
    shown = form.evaluate(
        """() => {
            const button = document.getElementById("bai-launch-button");
            button.click();
            return [button.textContent, button.disabled];
        }"""
    )
    assert shown == ["LAUNCHING…", True]


def test_a_launch_that_does_not_reach_the_hub_loses_nothing(form: Page, drawn: Drawn) -> None:
    fill(form)
    form.route("**/hub/spawn/**", lambda route: route.abort())
    press(form, "LAUNCH")
    form.wait_for_url("chrome-error://**")
    form.unroute("**/hub/spawn/**")
    form.go_back()
    form.locator("#spawn_form[data-bai-ready]").wait_for()
    expect_page(form, "Review")
    expect(block(form, "name")).to_contain_text("mine1")
    expect(block(form, "variables")).to_contain_text("TOKEN")
    expect(block(form, "folders")).to_contain_text("results Made for you")
    press(form, "LAUNCH")
    expect(form.get_by_role("heading", name="launched")).to_be_visible()
    (fields,) = drawn.sent
    assert fields["cpu"] == ["2"]


# ---- on a real hub


def test_an_open_form_asks_a_real_hubs_service_what_is_free(login: Login) -> None:
    page = started(login, "ivan")
    with page.expect_response("**/api/availability?user=ivan", timeout=25_000) as found:
        page.get_by_role("link", name="Resources").click()
    assert found.value.ok, found.value.text()
    expect(page.locator("#bai-age")).to_have_text(re.compile(r"Updated \d s ago"))
    expect(page.get_by_text("You hold 0 of 3 sessions")).to_be_visible()


def test_two_sessions_are_launched_from_one_form(login: Login, deployment: Deployment) -> None:
    page = started(login, "ivan")
    page.get_by_label("Session name").fill("pair")
    page.get_by_role("link", name="Resources").click()
    page.get_by_role("slider", name="Sessions, slider").press("ArrowRight")
    page.get_by_role("link", name="Review").click()
    expect(block(page, "name")).to_contain_text("pair1, pair2")
    press(page, "LAUNCH")
    visitor = deployment.login("ivan")
    page.wait_for_url("**/services/sessions/", timeout=60_000)
    found = [server["display_name"] for server in visitor.servers().values() if server["ready"]]
    assert sorted(found) == ["pair1", "pair2"]
    visitor.stop_all()


# ---- without the script, or the service


def test_without_javascript_it_is_one_page_that_launches(opened: Open, drawn: Drawn) -> None:
    page = opened(java_script_enabled=False)
    for title in TITLES[:-1]:
        expect(page.get_by_role("group", name=title, exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="CONFIG")).to_have_count(0)
    expect(page.get_by_role("slider")).to_have_count(0)
    page.locator("[name=env]").fill("A=1")
    page.get_by_label("New folder").fill("results")
    page.locator("[name=sessions]").fill("2")
    press(page, "LAUNCH")
    expect(page.get_by_role("heading", name="launched")).to_be_visible()
    (fields,) = drawn.sent
    assert (fields["env"], fields["new_folder"], fields["sessions"]) == (
        ["A=1"],
        ["results"],
        ["2"],
    )


def test_without_the_module_the_plain_page_appears_by_itself_and_launches(
    browser: Browser, drawn: Drawn
) -> None:
    with browser.new_context() as context:
        context.route("**/static/digest/**", lambda route: route.abort())
        page = context.new_page()
        page.goto(drawn.url)
        expect(page.get_by_role("group", name="Data folders")).to_be_visible(timeout=5_000)
        page.locator("[name=env]").fill("A=1")
        page.get_by_label("Launch without a folder").check()
        press(page, "LAUNCH")
        expect(page.get_by_role("heading", name="launched")).to_be_visible()


def test_a_module_that_comes_late_finds_the_form_and_keeps_what_was_typed(
    browser: Browser, drawn: Drawn
) -> None:
    with browser.new_context() as context:
        context.route(
            "**/static/digest/wizard.js", lambda route: (time.sleep(3), route.continue_())
        )
        page = context.new_page()
        page.goto(drawn.url, wait_until="commit")
        page.get_by_label("New folder").fill("early", timeout=6_000)
        page.locator("#spawn_form[data-bai-ready]").wait_for()
        expect_page(page, "Environment")
        expect(page.locator("[name=new_folder]")).to_have_value("early")


# ---- for everyone


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1100, 375])
def test_axe_finds_nothing_and_every_page_fits_the_screen(
    opened: Open, shots: Shots, axe: Axe, scheme: str, width: int
) -> None:
    size = {"width": width, "height": 800}
    # a colour that is still fading in is nobody's contrast
    page = opened(color_scheme=scheme, viewport=size, reduced_motion="reduce")

    def look(name: str) -> None:
        shots(page, f"wizard-{scheme}-{width}-{name}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert axe(page) == []

    look("1-environment")
    page.get_by_role("button", name="CONFIG").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name", exact=True).fill("GREETING")
    dialog.get_by_label("Value", exact=True).fill("hello world")
    dialog.get_by_role("button", name="Add a variable").click()
    dialog.get_by_label("Name", exact=True).last.fill("HOME")
    dialog.get_by_label("Value", exact=True).last.fill("/tmp")
    dialog.get_by_role("button", name="About").click()
    look("dialog-variables")
    page.keyboard.press("Escape")
    look("dialog-discard")
    page.get_by_role("button", name="Discard").click()
    page.get_by_label("Session name").fill("taken")
    expect(page.get_by_label("Session name")).to_have_attribute("aria-invalid", "true")
    look("1-taken")
    page.get_by_label("Session name").fill("study")
    press(page, "Next")
    page.get_by_label("New folder").fill("results")
    press(page, "Add")
    look("2-folders")
    press(page, "Remove results")
    press(page, "CONFIRM AND LAUNCH")
    look("dialog-alone")
    page.keyboard.press("Escape")
    page.get_by_label("New folder").fill("results")
    press(page, "Next")
    look("3-resources")
    page.get_by_role("radio", name="Custom allocation").check()
    page.locator("[name=shm]").fill("0.75")
    page.locator("[name=sessions]").fill("3")
    page.get_by_role("button", name="About Shared memory").click()
    look("3-custom")
    press(page, "Next")
    look("4-review")
    page.get_by_role("link", name="Edit Resources").click()
    page.locator("[name=cpu]").fill("64")
    press(page, "Next")
    press(page, "LAUNCH")
    look("3-blocked")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_a_refused_form_nor_without_the_script(
    opened: Open, drawn: Drawn, axe: Axe, shots: Shots, scheme: str
) -> None:
    drawn.unlucky = ("bad",)
    page = opened(color_scheme=scheme, reduced_motion="reduce")
    page.get_by_role("link", name="Data folders").click()
    page.get_by_label("New folder").fill("bad")
    press(page, "CONFIRM AND LAUNCH")
    expect(page.get_by_role("alert")).to_be_visible()
    shots(page, f"wizard-{scheme}-refused")
    assert axe(page) == []
    page.route("**/static/digest/**", lambda route: route.abort())
    page.goto(drawn.url)
    expect(page.locator("#spawn_form")).to_be_visible()
    shots(page, f"plain-{scheme}")
    assert axe(page) == []
