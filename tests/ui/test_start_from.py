"""Filling the launch form from what was kept or from a link: it fills, tells, and undoes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.ui.fake_service import FakeService, Fields

KEPT: Fields = {
    "environment": ["python"],
    "version:python": ["3.9"],
    "resource_group": ["gpu"],
    "preset": [""],
    "cpu": ["3"],
    "memory": ["2.5"],
    "mount:data": ["ro"],
    "new_folder": ["first", "second"],
    "env": ["A=1\nB=<b>two</b>"],
    "session_name": ["work"],
}
MARKUP = "<img src=x onerror=\"document.title='evil'\">"


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def opened(browser: Browser, service: FakeService) -> Iterator[Callable[..., Page]]:
    pages: list[Page] = []

    def open_form(fragment: str = "") -> Page:
        pages.append(service.open(browser, fragment))
        return pages[-1]

    yield open_form
    for page in pages:
        page.close()


def held(page: Page) -> Fields:
    """What the form would post."""
    found: Fields = page.evaluate("fields.read(document.getElementById('spawn_form'))")
    return found


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def notice(page: Page) -> Any:
    return page.get_by_role("status").first


def dialog(page: Page) -> Any:
    return page.get_by_role("dialog")


# ---- the bar


def test_same_as_last_time_fills_every_field_and_undo_puts_back_what_was_typed(
    service: FakeService, opened: Callable[..., Page]
) -> None:
    service.last = {"fields": KEPT, "at": "", "title": "python 3.9"}
    page = opened()
    page.get_by_label("Session name").fill("typed")
    before = held(page)
    press(page, "Same as last time: python 3.9")
    found = held(page)
    assert {name: found[name] for name in KEPT} == KEPT
    expect(notice(page)).to_contain_text("Filled in: the same as last time.")
    assert {"environment", "version:python", "cpu", "env"} & set(page.evaluate("events"))
    press(page, "Undo")
    assert held(page) == before
    expect(notice(page)).to_contain_text("typed before is back")


def test_what_a_template_does_not_name_goes_back_to_its_default(
    service: FakeService, opened: Callable[..., Page]
) -> None:
    service.templates["plain"] = {"environment": ["python"], "preset": ["small"]}
    page = opened()
    fresh = held(page)
    page.locator("[name=env]").fill("OLD=1")
    page.locator('[name="mount:data"]').select_option("rw")
    press(page, "Your templates (1)")
    press(page, "Fill in plain")
    assert held(page) == fresh


def test_without_anything_kept_there_is_no_bar(opened: Callable[..., Page]) -> None:
    page = opened()
    expect(page.get_by_role("group", name="Start from")).to_be_hidden()


def test_without_the_service_the_form_is_whole_and_the_link_can_be_copied(
    service: FakeService, opened: Callable[..., Page]
) -> None:
    service.away = True
    page = opened()
    expect(page.get_by_role("group", name="Start from")).to_have_count(0)
    page.evaluate("document.getElementById('bai-review').hidden = false")
    expect(page.get_by_role("button", name="Save as template")).to_have_count(0)
    expect(page.get_by_role("button", name="Copy a link")).to_be_visible()
    expect(notice(page)).to_be_empty()


@pytest.mark.parametrize(
    ("name", "value", "told", "left"),
    [
        ("environment", "gone", "Environment: “gone” is not offered any more", "python"),
        ("environment", "torch", "Environment: “PyTorch” cannot be chosen now", "python"),
        ("version:python", "2.7", "Version of Python: “2.7” is not offered any more", "3.13"),
        ("resource_group", "gone", "Resource group: “gone” is not offered any more", "default"),
        ("preset", "gone", "Preset: “gone” is not offered any more", "small"),
        ("mount:ml/corpus", "rw", "Mount ml/corpus: “rw” is not offered any more", ""),
        ("mount:gone", "rw", "Folder “gone”: is not offered any more", None),
        ("cpu", "many", "CPU: “many” is not accepted there", ""),
    ],
)
def test_what_is_not_offered_any_more_is_told_and_left_at_its_default(
    service: FakeService,
    opened: Callable[..., Page],
    name: str,
    value: str,
    told: str,
    left: str | None,
) -> None:
    service.templates["old"] = {**KEPT, name: [value]}
    page = opened()
    press(page, "Your templates (1)")
    press(page, "Fill in old")
    expect(notice(page).get_by_role("listitem")).to_have_count(1)
    expect(notice(page)).to_contain_text(told)
    assert held(page).get(name) == (None if left is None else [left])


def test_a_new_folder_that_exists_by_now_is_mounted(
    service: FakeService, opened: Callable[..., Page]
) -> None:
    service.templates["first"] = {**KEPT, "mount:data": [""], "new_folder": ["data", "other"]}
    page = opened()
    press(page, "Your templates (1)")
    press(page, "Fill in first")
    found = held(page)
    assert (found["mount:data"], found["new_folder"]) == (["rw"], ["other"])


@pytest.mark.parametrize(
    ("live", "count", "left"),
    [("work", "1", ""), ("work2", "2", ""), ("works", "1", "work"), ("work2", "1", "work")],
)
def test_a_session_name_that_is_taken_is_left_empty(
    service: FakeService, opened: Callable[..., Page], live: str, count: str, left: str
) -> None:
    service.names = [live]
    service.last = {"fields": {**KEPT, "sessions": [count]}, "at": "", "title": "last"}
    page = opened()
    press(page, "Same as last time: last")
    assert held(page)["session_name"] == [left]


# ---- templates


def review(page: Page) -> None:
    page.evaluate("document.getElementById('bai-review').hidden = false")


def test_a_template_is_saved_and_can_replace_another(
    service: FakeService, opened: Callable[..., Page]
) -> None:
    service.templates["first"] = {"environment": ["python"]}
    page = opened()
    page.locator("[name=env]").fill("A=1")
    review(page)
    press(page, "Save as template")
    dialog(page).get_by_label("Name").fill(" second ")
    page.keyboard.press("Enter")
    expect(notice(page)).to_contain_text("Saved as the template “second”.")
    assert service.templates["second"]["env"] == ["A=1"]
    assert "_xsrf" not in service.templates["second"]
    expect(page.get_by_role("button", name="Your templates (2)")).to_be_visible()

    press(page, "Save as template")
    dialog(page).get_by_label("Name").fill("first")
    press(page, "SAVE")
    expect(dialog(page).get_by_role("alert")).to_contain_text("Replace it, or choose another")
    assert service.templates["first"] == {"environment": ["python"]}
    press(page, "REPLACE")
    expect(dialog(page)).to_have_count(0)
    assert service.templates["first"]["env"] == ["A=1"]


def test_another_name_after_a_clash_replaces_nothing(
    service: FakeService, opened: Callable[..., Page]
) -> None:
    service.templates = {"one": {"cpu": ["1"]}, "two": {"cpu": ["2"]}}
    page = opened()
    review(page)
    press(page, "Save as template")
    dialog(page).get_by_label("Name").fill("one")
    press(page, "SAVE")
    expect(page.get_by_role("button", name="REPLACE")).to_be_focused()
    dialog(page).get_by_label("Name").fill("two")
    press(page, "SAVE")
    expect(dialog(page).get_by_role("alert")).to_contain_text("“two” already")
    page.keyboard.press("Escape")
    expect(dialog(page)).to_have_count(0)
    assert service.templates == {"one": {"cpu": ["1"]}, "two": {"cpu": ["2"]}}


def test_a_template_is_renamed_deleted_and_brought_back(
    service: FakeService, opened: Callable[..., Page]
) -> None:
    service.templates = {"one": {"cpu": ["1"]}, "two": {"cpu": ["2"]}}
    page = opened()
    press(page, "Your templates (2)")
    page.locator(".dropdown-item", has_text="Rename").first.dispatch_event("click")
    box = dialog(page).get_by_label("Name")
    expect(box).to_have_value("one")
    box.fill("two")
    press(page, "RENAME")
    expect(dialog(page).get_by_role("alert")).to_contain_text("“two” already")
    box.fill("three")
    press(page, "RENAME")
    expect(page.get_by_role("button", name="Change three")).to_be_focused()
    assert service.templates == {"two": {"cpu": ["2"]}, "three": {"cpu": ["1"]}}

    page.locator(".dropdown-item", has_text="Delete").first.dispatch_event("click")
    expect(notice(page)).to_contain_text("Deleted the template “three”.")
    assert service.templates == {"two": {"cpu": ["2"]}}
    press(page, "Undo")
    expect(notice(page)).to_contain_text("“three” is back.")
    assert service.templates["three"] == {"cpu": ["1"]}


def test_a_failed_change_says_so_and_changes_nothing(
    service: FakeService, opened: Callable[..., Page]
) -> None:
    service.templates = {"one": {"cpu": ["1"]}}
    page = opened()
    service.away = True
    press(page, "Your templates (1)")
    page.locator(".dropdown-item", has_text="Delete").dispatch_event("click")
    expect(notice(page)).to_contain_text("“one” was not deleted.")
    expect(page.get_by_role("button", name="Fill in one")).to_be_visible()
    review(page)
    press(page, "Save as template")
    dialog(page).get_by_label("Name").fill("new")
    press(page, "SAVE")
    expect(dialog(page).get_by_role("alert")).to_have_text("away")


def test_markup_in_a_templates_name_title_and_fields_is_text(
    service: FakeService, opened: Callable[..., Page]
) -> None:
    fields = {name: [MARKUP] for name in [*KEPT, "mount:" + MARKUP, "__proto__", "constructor"]}
    service.templates[MARKUP] = fields
    service.last = {"fields": fields, "at": "", "title": MARKUP}
    page = opened()
    press(page, f"Same as last time: {MARKUP}")
    expect(notice(page)).to_contain_text("<img src=x")
    press(page, "Your templates (1)")
    press(page, f"Fill in {MARKUP}")
    page.locator(".dropdown-item", has_text="Rename").dispatch_event("click")
    expect(dialog(page).get_by_label("Name")).to_have_value(MARKUP)
    assert page.title() == "Launch a session"
    assert page.locator("img").count() == 0


# ---- links


def test_a_link_fills_in_what_it_names_and_launches_nothing(
    service: FakeService, opened: Callable[..., Page]
) -> None:
    link = {"environment": "python", "version:python": "3.9", "preset": "", "cpu": "2"}
    page = opened("#" + urlencode(link))
    expect(notice(page)).to_contain_text("Filled in from a link: check it before you launch.")
    found = held(page)
    assert {name: found[name] for name in link} == {name: [value] for name, value in link.items()}
    assert "#" not in page.url
    assert [call for call in service.calls if not call.startswith("GET")] == []
    press(page, "Undo")
    assert held(page)["version:python"] == ["3.13"]


def test_a_link_leaves_what_it_does_not_name(opened: Callable[..., Page]) -> None:
    untouched = held(opened())
    found = held(opened("#env=A%3D1"))
    assert found == {**untouched, "env": ["A=1"]}


@pytest.mark.parametrize(
    "fragment",
    [
        "#" + urlencode({"environment": MARKUP, "env": MARKUP, "mount:" + MARKUP: "rw"}),
        "#environment=%zz%ff%&preset=%E0%A4",
        "#mount:" + "x" * 10_000 + "=rw",
        "#environment=javascript:document.title='evil'",
        "#version:python=" + quote(MARKUP),
    ],
)
def test_an_evil_link_is_inert_text(opened: Callable[..., Page], fragment: str) -> None:
    page = opened(fragment)
    expect(notice(page)).to_contain_text("Filled in from a link")
    assert page.title() == "Launch a session"
    assert page.locator("img").count() == 0
    assert held(page)["environment"] == ["python"]


@pytest.mark.parametrize(
    "fragment",
    ["", "#", "#bai-review", "#_xsrf=1&alone=1&__proto__=x&constructor=y&action=/evil&unknown=1"],
)
def test_a_fragment_without_a_field_changes_and_says_nothing(
    opened: Callable[..., Page], fragment: str
) -> None:
    page = opened(fragment)
    expect(notice(page)).to_be_empty()
    assert held(page) == held(opened())
    assert not page.locator("[name=alone]").is_checked()


def test_a_link_of_100_kb_fills_in_nothing_and_says_so(opened: Callable[..., Page]) -> None:
    page = opened("#env=" + "x" * 100_000)
    expect(notice(page)).to_contain_text("Nothing was filled in: the link is too long.")
    assert "#" not in page.url
    assert held(page)["env"] == [""]


def test_a_copied_link_has_no_name_no_values_and_fills_in_the_rest(
    service: FakeService, opened: Callable[..., Page]
) -> None:
    service.last = {"fields": KEPT, "at": "", "title": "last"}
    page = opened()
    press(page, "Same as last time: last")
    review(page)
    press(page, "Copy a link to this form")
    box = page.get_by_label("Link to this form")  # this page may not write to the clipboard
    expect(box).to_be_focused()
    link = box.input_value()
    assert link.startswith("http://hub.test/services/sessions/launch#")
    assert "work" not in link.partition("#")[2]
    assert "two" not in link
    found = held(opened("#" + link.partition("#")[2]))
    assert found["env"] == ["A=\nB="]
    same = {name: values for name, values in KEPT.items() if name not in ("env", "session_name")}
    assert {name: found[name] for name in same} == same
