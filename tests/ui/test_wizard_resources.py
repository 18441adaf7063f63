"""Page three: groups, presets, sliders and boxes that agree, and how many sessions."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from bai_spawner.policy import NodeFree, Usage
from bai_spawner.units import GIB
from tests.deployment import eventually
from tests.drawn import Drawn, a_node, form_catalog

Open = Callable[..., Page]


def resources(page: Page, *, custom: bool = False) -> Page:
    page.get_by_role("link", name=re.compile("^Resources")).click()
    if custom:
        page.get_by_role("radio", name="Custom allocation").check()
    return page


@pytest.fixture
def page(opened: Open) -> Page:
    return resources(opened(), custom=True)


def box(page: Page, name: str) -> Locator:
    return page.locator(f"[name={name}]")


def slider(page: Page, label: str) -> Locator:
    return page.get_by_role("slider", name=f"{label}, slider")


def choose(page: Page, environment: str) -> None:
    page.get_by_role("link", name=re.compile("^Environment")).click()
    page.get_by_role("radio", name=environment).check()
    page.get_by_role("link", name=re.compile("^Resources")).click()


@pytest.mark.parametrize(
    ("name", "label", "low", "high", "unit"),
    [
        ("cpu", "CPU", "1", "4", " cores"),
        ("memory", "RAM", "1", "11", " GiB"),
        ("shm", "Shared memory", "0.0625", "11", " GiB"),
        ("fgpu", "fGPU", "0", "4", " fGPU"),
        ("sessions", "Sessions", "1", "4", ""),
    ],
)
def test_slider_and_box_agree_from_bound_to_bound(
    page: Page, name: str, label: str, low: str, high: str, unit: str
) -> None:
    hand, number = slider(page, label), box(page, name)
    hand.press("End")
    expect(number).to_have_value(high)
    expect(hand).to_have_attribute("aria-valuetext", f"{high}{unit}")
    hand.press("Home")
    expect(number).to_have_value(low)
    hand.press("ArrowRight")
    assert float(number.input_value()) > float(low)
    at = hand.input_value()
    number.fill(high)
    expect(hand).to_have_value(hand.get_attribute("max") or "")
    number.fill(low)
    expect(hand).to_have_value("0")
    assert at != "0"


def test_the_gpus_slider_goes_in_steps_of_the_quantum(page: Page) -> None:
    hand = slider(page, "fGPU")
    hand.press("Home")
    for wanted in ("0.5", "1", "1.5"):
        hand.press("ArrowRight")
        expect(box(page, "fgpu")).to_have_value(wanted)
    box(page, "fgpu").fill("0.7")
    expect(box(page, "fgpu")).to_have_accessible_description(re.compile("goes in steps of 0.5"))


def test_a_slider_turns_no_page_and_is_not_sent(page: Page, drawn: Drawn) -> None:
    slider(page, "CPU").press("ArrowRight")
    slider(page, "CPU").press("ArrowRight")
    expect(page.get_by_role("group", name="Resources", exact=True)).to_be_visible()
    page.get_by_role("button", name="CONFIRM AND LAUNCH").click()
    page.get_by_role("alertdialog").get_by_role("button", name="LAUNCH").click()
    expect(page.get_by_role("heading", name="launched")).to_be_visible()
    assert drawn.sent[0]["cpu"] == ["3"]
    assert drawn.sent[0].keys() <= {
        *("environment", "version:python", "version:torch", "session_name", "env", "mount:data"),
        *("mount:ml/corpus", "new_folder", "alone", "resource_group", "preset", "sessions"),
        *("cpu", "memory", "shm", "fgpu"),
    }


def test_only_the_bounds_of_what_is_chosen_are_shown(page: Page) -> None:
    cpu = page.locator("[data-bai-box=cpu] .bai-bound")
    expect(cpu).to_have_text("1 to 4 cores (allowed for one session)")
    choose(page, "PyTorch")
    expect(cpu).to_have_text("2 to 3 cores (the most that PyTorch takes)")
    expect(box(page, "cpu")).to_have_attribute("max", "3")
    expect(box(page, "cpu")).to_have_value("1")  # what was there stays, and is marked
    page.get_by_role("button", name="CONFIRM AND LAUNCH").click()
    expect(page.get_by_role("alert")).to_contain_text("CPU: must be at least 2 and at most 3")


def test_changing_the_group_changes_presets_bounds_and_what_is_free(
    opened: Open, drawn: Drawn
) -> None:
    drawn.availability = {"general": (a_node(cpu=1, gpus=()),), "batch": (a_node(cpu=3),)}
    page = resources(opened(), custom=True)
    night, medium = (
        page.get_by_role("radio", name="Night"),
        page.get_by_role("radio", name="Medium"),
    )
    expect(night).to_be_disabled()
    expect(night).to_have_accessible_description(re.compile(r"Not in General\."))
    expect(medium).to_be_disabled()
    expect(medium).to_have_accessible_description(re.compile("CPU: 1 free on one node now"))
    expect(box(page, "fgpu")).to_be_disabled()
    page.get_by_role("radio", name="Long jobs").check()
    expect(night).to_be_enabled()
    expect(medium).to_be_enabled()
    expect(page.locator("[data-bai-box=cpu] .bai-bound")).to_contain_text("1 to 3 cores")
    expect(box(page, "fgpu")).to_be_enabled()


def test_a_preset_that_the_environment_cannot_use_is_marked_and_not_dropped(
    opened: Open, drawn: Drawn
) -> None:
    page = resources(opened())
    expect(page.get_by_role("radio", name="Small")).to_be_checked()
    choose(page, "PyTorch")
    small = page.get_by_role("radio", name="Small")
    expect(small).to_be_checked()
    expect(small).to_be_enabled()
    expect(small).to_have_accessible_description(re.compile(r"Not for PyTorch\."))
    page.get_by_role("button", name="CONFIRM AND LAUNCH").click()
    expect(page.get_by_role("alert")).to_contain_text("Small: Not for PyTorch.")
    assert drawn.sent == []
    page.get_by_role("radio", name="Medium").check()
    expect(page.get_by_role("alert")).to_be_hidden()


def test_shared_memory_over_ram_is_told_and_from_half_of_it_on_there_is_a_warning(
    page: Page,
) -> None:
    warning = page.get_by_text("Half of the RAM or more")
    box(page, "memory").fill("4")
    box(page, "shm").fill("1.99")
    expect(warning).to_be_hidden()
    box(page, "shm").fill("2")
    expect(warning).to_be_visible()
    box(page, "shm").fill("4")
    expect(warning).to_be_visible()
    expect(box(page, "shm")).not_to_have_attribute("aria-invalid", "true")
    box(page, "memory").fill("3")
    page.get_by_role("button", name="CONFIRM AND LAUNCH").click()
    expect(page.get_by_role("alert")).to_contain_text("is part of RAM: at most 3 GiB")
    expect(box(page, "shm")).to_be_focused()


@pytest.mark.parametrize("label", ["CPU", "RAM", "Shared memory", "fGPU", "Sessions"])
def test_an_i_button_explains_each_resource(page: Page, label: str) -> None:
    info = page.get_by_role("button", name=f"About {label}")
    about = page.locator(f"[id='{info.get_attribute('aria-controls')}']")
    expect(about).to_be_hidden()
    info.press("Enter")
    expect(info).to_have_attribute("aria-expanded", "true")
    expect(about).to_be_visible()
    assert len(about.inner_text()) > 20
    info.press("Escape")
    expect(about).to_be_hidden()
    info.click()
    info.click()
    expect(about).to_be_hidden()


def test_the_totals_of_several_sessions_are_shown(page: Page) -> None:
    box(page, "cpu").fill("2")
    box(page, "memory").fill("1.5")
    expect(page.locator("#bai-total")).to_have_text(
        "Together 2 of 6 CPU, 1.5 of 11 GiB RAM that are left to you."
    )
    box(page, "sessions").fill("3")
    expect(page.locator("#bai-total")).to_have_text(
        "Together 3 × 2 = 6 of 6 CPU, 3 × 1.5 = 4.5 of 11 GiB RAM that are left to you."
    )
    page.get_by_role("link", name="Review").click()
    expect(page.locator("[data-bai-review=resources]")).to_contain_text("× 3 sessions")


def test_more_than_may_be_held_is_told_before_it_is_sent(page: Page, drawn: Drawn) -> None:
    box(page, "cpu").fill("3")
    box(page, "sessions").fill("3")
    told = "CPU: 3 × 3 > 6 left of the 8 that you may hold"
    expect(box(page, "sessions")).to_have_accessible_description(re.compile(re.escape(told)))
    page.get_by_role("button", name="CONFIRM AND LAUNCH").click()
    expect(page.get_by_role("alert")).to_contain_text(f"Not launched. Sessions: {told}")
    assert drawn.sent == []
    box(page, "sessions").fill("2")
    expect(box(page, "sessions")).not_to_have_attribute("aria-invalid", "true")


def test_more_than_there_is_room_for_is_told_and_left_to_the_server(
    opened: Open, drawn: Drawn
) -> None:
    drawn.availability = {"general": (a_node(cpu=2),), "batch": ()}
    page = resources(opened())
    box(page, "sessions").fill("3")
    expect(box(page, "sessions")).to_have_accessible_description(
        re.compile("room for 2 of this size now, not for 3")
    )
    page.get_by_role("button", name="CONFIRM AND LAUNCH").click()
    expect(page.get_by_role("alertdialog")).to_be_visible()


def test_more_sessions_than_the_policy_leaves_are_told(page: Page) -> None:
    expect(page.locator("[data-bai-box=sessions] .bai-bound")).to_have_text(
        "1 to 4 (left of the 5 that you may have)"
    )
    box(page, "sessions").fill("5")
    expect(box(page, "sessions")).to_have_accessible_description(
        re.compile("must be at least 1 and at most 4")
    )


def test_a_huge_number_of_sessions_is_told_and_hangs_nothing(page: Page) -> None:
    page.get_by_role("link", name=re.compile("^Environment")).click()
    page.get_by_label("Session name").fill("much")
    page.get_by_role("link", name=re.compile("^Resources")).click()
    box(page, "sessions").fill("999999999")
    expect(box(page, "sessions")).to_have_accessible_description(re.compile("at most 4"))


def test_a_policy_that_limits_nothing_and_one_group_alone(opened: Open, drawn: Drawn) -> None:
    drawn.catalog = form_catalog(policies=[{"name": "all", "resource_groups": ["batch"]}])
    page = resources(opened())
    expect(page.get_by_text("Long jobs", exact=True)).to_be_visible()
    expect(page.get_by_role("radio", name="Long jobs")).to_have_count(0)
    slider(page, "Sessions").press("End")
    expect(box(page, "sessions")).to_have_value("100")
    expect(box(page, "sessions")).to_have_accessible_description(
        re.compile("room for 16 of this size now, not for 100")
    )
    box(page, "sessions").fill("2")
    expect(page.locator("#bai-total")).to_have_text("Together 2 × 1 = 2 CPU, 2 × 1 = 2 GiB RAM.")


def test_a_user_to_whom_nothing_is_offered_sees_the_pages_all_the_same(
    opened: Open, drawn: Drawn
) -> None:
    drawn.catalog = form_catalog(
        policies=[{"name": "none", "environments": [], "resource_groups": []}]
    )
    page = opened()
    expect(page.get_by_text("No environment is offered to you")).to_be_visible()
    resources(page)
    expect(page.get_by_text("No resource group is offered to you")).to_be_visible()
    page.get_by_role("link", name="Review").click()
    expect(page.locator("[data-bai-review=environment]")).to_contain_text("None is chosen.")


def test_each_node_and_device_says_what_it_has_free(
    opened: Open, drawn: Drawn, axe: Callable[[Page], list[str]]
) -> None:
    drawn.availability = {
        "general": (a_node(gpus=(3, 10)), NodeFree("<b>other</b>", 2, 4 * GIB)),
        "batch": (NodeFree("plain", 1, GIB),),
    }
    page = resources(opened())
    listed = page.get_by_role("list", name="Free now")
    expect(listed).to_have_count(1)  # one node without a GPU has nothing to add
    expect(listed).to_contain_text("local: 8 CPU, 16 GiB RAM")
    expect(listed).to_contain_text("<b>other</b>: 2 CPU, 4 GiB RAM")
    expect(listed).to_contain_text("GPU-0: 1.5 of 5 fGPU")
    expect(page.get_by_role("meter", name="Free of GPU-0")).to_have_attribute("value", "1.5")
    expect(page.get_by_role("meter", name="Free of GPU-1")).to_have_attribute("value", "5")
    assert axe(page) == []


def test_a_key_changes_as_little_of_the_page_with_a_thousand_environments_as_with_two(
    opened: Open, drawn: Drawn
) -> None:
    """What a key costs must not grow with the catalogue."""
    key = """() => new Promise((told) => {
        let changed = 0;
        const watch = new MutationObserver((found) => { changed += found.length; });
        watch.observe(document.body, { subtree: true, childList: true, attributes: true });
        const box = document.querySelector("[name=cpu]");
        box.dispatchEvent(new Event("input", { bubbles: true }));
        setTimeout(() => { watch.disconnect(); told(changed); }, 200);
    })"""
    few = resources(opened(), custom=True).evaluate(key)
    drawn.catalog = form_catalog(
        environments={
            f"kit{n}": {"title": f"Kit {n}", "versions": {"1": {"image": "x"}}} for n in range(1000)
        }
    )
    many = resources(opened(), custom=True).evaluate(key)
    assert many <= few + 5


def test_after_several_sessions_the_hub_leads_home_and_after_one_it_opens_it(
    page: Page, drawn: Drawn
) -> None:
    drawn.unlucky = ("bad",)
    box(page, "sessions").fill("2")
    page.get_by_role("link", name="Data folders").click()
    page.get_by_label("New folder").fill("bad")
    page.get_by_role("button", name="CONFIRM AND LAUNCH").click()
    expect(page.get_by_role("alert")).to_contain_text("The session was not launched")
    page.get_by_label("New folder").fill("good")
    page.get_by_role("link", name=re.compile("^Resources")).click()
    box(page, "sessions").fill("1")
    page.get_by_role("button", name="CONFIRM AND LAUNCH").click()
    expect(page.get_by_role("heading", name="launched")).to_be_visible()
    several, one = drawn.queries
    assert several == {"next": "/services/sessions/", "_xsrf": "token"}
    assert one == {"_xsrf": "token"}


def test_several_sessions_are_sent_as_one_form(page: Page, drawn: Drawn) -> None:
    slider(page, "Sessions").press("ArrowRight")
    page.get_by_role("button", name="CONFIRM AND LAUNCH").click()
    page.get_by_role("alertdialog").get_by_role("button", name="LAUNCH").click()
    expect(page.get_by_role("heading", name="launched")).to_be_visible()
    assert drawn.sent[0]["sessions"] == ["2"]


# ---- what is live


@pytest.fixture
def watched(opened: Open) -> Page:
    """The resources page, with a clock that the test turns."""
    page = opened()
    page.clock.install()
    page.reload()
    page.locator("#spawn_form[data-bai-ready]").wait_for()
    return resources(page)


def asked(drawn: Drawn) -> int:
    return sum(call.startswith("api/availability") for call in drawn.calls)


def turn(page: Page, seconds: int) -> None:
    """Let time pass, a second at a time, and what it sets off be answered."""
    for _ in range(seconds):
        page.clock.run_for(1000)
    page.wait_for_timeout(150)


def test_what_is_free_is_asked_again_every_ten_seconds_and_its_age_is_shown(
    watched: Page, drawn: Drawn
) -> None:
    age = watched.locator("#bai-age")
    expect(age).to_have_attribute("aria-live", "off")
    turn(watched, 7)
    expect(age).to_have_text(re.compile(r"Updated [78] s ago\."))
    assert asked(drawn) == 0
    drawn.usage = Usage(4, 6, 4 * GIB, 0, frozenset({"fresh"}))
    drawn.availability = {"general": (a_node(cpu=1),), "batch": ()}
    turn(watched, 4)
    expect(watched.get_by_text("You hold 4 of 5 sessions, 6 of 8 CPU")).to_be_visible()
    expect(watched.locator("[data-bai-free=general]")).to_contain_text("1 CPU")
    expect(watched.get_by_role("radio", name="Medium")).to_be_disabled()
    expect(box(watched, "sessions")).to_have_attribute("max", "1")
    assert drawn.calls[-1] == "api/availability?user=alice"
    assert asked(drawn) == 1
    expect(age).to_have_text(re.compile(r"Updated [0-2] s ago\."))
    turn(watched, 11)
    assert asked(drawn) == 2


def test_a_refresh_changes_nothing_that_was_chosen_or_typed_and_moves_no_focus(
    watched: Page, drawn: Drawn
) -> None:
    watched.get_by_role("radio", name="Medium").check()
    box(watched, "sessions").fill("4")
    drawn.availability = {"general": (a_node(cpu=1),), "batch": ()}
    drawn.usage = Usage(3, 2, GIB)
    turn(watched, 11)
    medium = watched.get_by_role("radio", name="Medium")
    expect(medium).to_have_accessible_description(re.compile("Does not fit now: CPU: 1 free"))
    expect(medium).to_be_checked()
    expect(medium).to_be_enabled()
    expect(box(watched, "sessions")).to_have_value("4")
    expect(box(watched, "sessions")).to_be_focused()
    watched.get_by_role("link", name="Review").click()
    expect(watched.locator("[data-bai-review=resources] .bai-reason")).to_contain_text(
        "Medium: Does not fit now"
    )


def test_a_name_that_is_taken_meanwhile_is_told(watched: Page, drawn: Drawn) -> None:
    watched.get_by_role("link", name="Environment", exact=True).click()
    watched.get_by_label("Session name").fill("fresh")
    drawn.usage = Usage(names=frozenset({"fresh"}))
    turn(watched, 11)
    watched.get_by_role("link", name="Review").click()
    expect(watched.locator("[data-bai-review=name] .bai-reason")).to_contain_text(
        "fresh: the name of a live session"
    )


def test_a_service_that_fails_is_asked_less_often_and_the_page_says_how_old_it_is(
    watched: Page, drawn: Drawn
) -> None:
    tries: list[str] = []
    watched.route("**/api/visit", lambda route: (tries.append("visit"), route.abort()))
    turn(watched, 11)
    age = watched.locator("#bai-age")
    expect(age).to_have_text(
        re.compile(r"Could not be refreshed for 1\d s: the numbers may be old")
    )
    assert len(tries) == 1
    turn(watched, 15)
    assert len(tries) == 1
    turn(watched, 10)
    assert len(tries) == 2
    expect(watched.get_by_role("radio", name="Medium")).to_be_enabled()
    watched.unroute("**/api/visit")
    turn(watched, 41)
    expect(age).to_have_text(re.compile(r"Updated \d s ago"))


def test_numbers_that_are_old_advise_and_do_not_block(watched: Page, drawn: Drawn) -> None:
    watched.route("**/api/**", lambda route: route.abort())
    watched.get_by_role("radio", name="Medium").check()
    box(watched, "sessions").fill("4")
    watched.get_by_role("button", name="CONFIRM AND LAUNCH").click()
    expect(watched.get_by_role("alert")).to_contain_text("CPU: 4 × 2 > 6 left")
    turn(watched, 45)
    watched.get_by_role("button", name="CONFIRM AND LAUNCH").click()
    watched.get_by_role("alertdialog").get_by_role("button", name="LAUNCH").click()
    expect(watched.get_by_role("alert")).to_contain_text("4 × 2 asked > 8 allowed")
    assert len(drawn.sent) == 1


def test_a_page_that_nobody_looks_at_asks_nothing(watched: Page, drawn: Drawn) -> None:
    hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true})"
    watched.evaluate(hide % "true")
    turn(watched, 40)
    assert asked(drawn) == 0
    watched.evaluate(hide % "false")
    watched.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    assert eventually(lambda: asked(drawn) == 1)


def test_an_answer_that_is_no_availability_is_a_failure_and_breaks_nothing(
    watched: Page, drawn: Drawn
) -> None:
    watched.route("**/api/availability*", lambda route: route.fulfill(json={"strange": 1}))
    turn(watched, 11)
    expect(watched.locator("#bai-age")).to_contain_text("Could not be refreshed")
    watched.get_by_role("radio", name="Medium").check()
    watched.get_by_role("link", name="Review").click()
    expect(watched.locator("[data-bai-review=resources]")).to_contain_text("Medium 2 CPU")
