"""The dialog for environment variables (R6), from CONFIG to what is sent."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.drawn import Drawn

Open = Callable[..., Page]


@pytest.fixture
def page(opened: Open) -> Page:
    return opened()


def config(page: Page) -> Locator:
    page.get_by_role("button", name="CONFIG").click()
    return page.get_by_role("dialog", name="Environment variables")


def rows(dialog: Locator) -> list[tuple[str, str]]:
    """What stands in the dialog, line by line."""
    names = dialog.get_by_label("Name", exact=True)
    values = dialog.get_by_label("Value", exact=True)
    return [(names.nth(i).input_value(), values.nth(i).input_value()) for i in range(names.count())]


def write(dialog: Locator, row: int, name: str, value: str) -> None:
    dialog.get_by_label("Name", exact=True).nth(row).fill(name)
    dialog.get_by_label("Value", exact=True).nth(row).fill(value)


def press(where: Page | Locator, name: str) -> None:
    where.get_by_role("button", name=name, exact=True).click()


def saved(page: Page) -> str:
    return page.locator("[name=env]").input_value()


def set_two(page: Page) -> None:
    dialog = config(page)
    write(dialog, 0, "GREETING", "hello world")
    press(dialog, "Add a variable")
    write(dialog, 1, "PATH", "/opt/bin:/usr/bin")
    press(dialog, "SAVE")
    expect(dialog).to_be_hidden()


def test_the_box_is_a_button_with_what_is_set_beside_it(page: Page) -> None:
    expect(page.locator("[name=env]")).to_be_hidden()
    expect(page.get_by_text("No variable is set.")).to_be_visible()
    set_two(page)
    expect(page.get_by_text("2 variables set: GREETING, PATH")).to_be_visible()
    expect(page.get_by_role("button", name="CONFIG")).to_be_focused()
    assert saved(page) == "GREETING=hello world\nPATH=/opt/bin:/usr/bin"


def test_plus_on_the_first_row_adds_a_row_and_minus_removes_its_own(page: Page) -> None:
    set_two(page)
    dialog = config(page)
    press(dialog, "Add a variable")
    write(dialog, 2, "THIRD", "3")
    assert [name for name, _ in rows(dialog)] == ["GREETING", "PATH", "THIRD"]
    dialog.get_by_role("button", name="Remove this variable").first.click()
    assert [name for name, _ in rows(dialog)] == ["GREETING", "THIRD"]
    expect(dialog.get_by_label("Name", exact=True).first).to_be_focused()
    press(dialog, "SAVE")
    assert saved(page) == "GREETING=hello world\nTHIRD=3"


def test_delete_all_empties_the_dialog_and_counts_once_it_is_saved(page: Page) -> None:
    set_two(page)
    dialog = config(page)
    press(dialog, "DELETE ALL")
    assert rows(dialog) == [("", "")]
    assert "GREETING" in saved(page)
    press(dialog, "SAVE")
    assert saved(page) == ""
    expect(page.get_by_text("No variable is set.")).to_be_visible()


@pytest.mark.parametrize("way", ["Escape", "Close"])
def test_closing_with_unsaved_edits_asks_and_discards_when_that_is_confirmed(
    page: Page, way: str
) -> None:
    set_two(page)
    dialog = config(page)
    write(dialog, 0, "GREETING", "changed")

    def leave() -> None:
        if way == "Escape":
            page.keyboard.press("Escape")
        else:
            press(dialog, "Close")

    leave()
    question = page.get_by_role("alertdialog", name="Discard your changes?")
    expect(question.get_by_role("button", name="Keep editing")).to_be_focused()
    page.keyboard.press("Escape")
    expect(question).to_be_hidden()
    expect(dialog).to_be_visible()
    assert rows(dialog)[0] == ("GREETING", "changed")
    leave()
    press(question, "Discard")
    expect(dialog).to_be_hidden()
    assert saved(page).startswith("GREETING=hello world")
    assert rows(config(page))[0] == ("GREETING", "hello world")


def test_closing_without_edits_asks_nothing(page: Page) -> None:
    set_two(page)
    dialog = config(page)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("alertdialog")).to_have_count(0)
    expect(page.get_by_role("button", name="CONFIG")).to_be_focused()


def test_a_row_without_a_name_or_a_value_is_ignored_and_the_dialog_says_so(page: Page) -> None:
    dialog = config(page)
    write(dialog, 0, "KEPT", "1")
    press(dialog, "Add a variable")
    write(dialog, 1, "EMPTY", "")
    expect(dialog.get_by_role("status")).to_have_text("1 row without a name or a value is ignored.")
    press(dialog, "Add a variable")
    write(dialog, 2, "", "nameless")
    expect(dialog.get_by_role("status")).to_have_text(
        "2 rows without a name or a value are ignored."
    )
    press(dialog, "SAVE")
    assert saved(page) == "KEPT=1"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("9LIVES", "no digit first"),
        ("MY-NAME", "Letters, digits and '_' alone"),
        ("jupyterhub_api_token", "Set by the platform"),
        ("HOME", "Set by the platform"),
        ("N" * 129, "At most 128 characters"),
        ("FIRST", "FIRST stands above, too"),
    ],
)
def test_a_name_that_is_not_accepted_is_an_error_on_its_row_and_nothing_is_saved(
    page: Page, name: str, reason: str
) -> None:
    dialog = config(page)
    write(dialog, 0, "FIRST", "1")
    press(dialog, "Add a variable")
    write(dialog, 1, name, "2")
    press(dialog, "SAVE")
    expect(dialog).to_be_visible()
    box = dialog.get_by_label("Name", exact=True).nth(1)
    expect(box).to_be_focused()
    expect(box).to_have_attribute("aria-invalid", "true")
    expect(box).to_have_accessible_description(re.compile(re.escape(reason)))
    assert saved(page) == ""
    box.fill("OTHER")
    expect(box).not_to_have_attribute("aria-invalid", "true")
    press(dialog, "SAVE")
    assert saved(page) == "FIRST=1\nOTHER=2"


def test_the_i_button_explains_and_names_what_the_platform_sets(page: Page) -> None:
    dialog = config(page)
    info = dialog.get_by_role("button", name="About environment variables")
    expect(dialog.get_by_text("no place for secrets")).to_be_hidden()
    info.press("Enter")
    expect(info).to_have_attribute("aria-expanded", "true")
    expect(dialog.get_by_text("no place for secrets")).to_be_visible()
    for name in ("JUPYTERHUB_…", "NVIDIA_…", "CUDA_VISIBLE_DEVICES", "HOME"):
        expect(dialog.locator("#bai-variables\\:names")).to_contain_text(name)
    info.press("Enter")
    expect(dialog.get_by_text("no place for secrets")).to_be_hidden()


def test_by_keyboard_alone_variables_are_set_and_kept(page: Page, drawn: Drawn) -> None:
    page.get_by_role("button", name="CONFIG").focus()
    keys = page.keyboard
    keys.press("Enter")
    keys.type("ONE")
    keys.press("Tab")
    keys.type("1")
    keys.press("Enter")  # from the last box on to a new row
    keys.type("TWO")
    keys.press("Enter")
    keys.type("a=b ArrowRight")
    for _ in range(10):
        if page.evaluate("document.activeElement.textContent") == "SAVE":
            break
        keys.press("Tab")
    keys.press("Space")
    expect(page.get_by_text("2 variables set: ONE, TWO")).to_be_visible()
    press(page, "CONFIRM AND LAUNCH")
    press(page.get_by_role("alertdialog"), "LAUNCH")
    expect(page.get_by_role("heading", name="launched")).to_be_visible()
    assert drawn.sent[0]["env"] == ["ONE=1\r\nTWO=a=b ArrowRight"]


def test_tab_stays_inside_the_dialog(page: Page) -> None:
    dialog = config(page)
    for _ in range(12):
        page.keyboard.press("Tab")
        inside = (
            "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
        )
        assert page.evaluate(inside)
    expect(dialog).to_be_visible()


def test_a_refused_variable_is_told_at_config_and_on_its_row(opened: Open, drawn: Drawn) -> None:
    page = opened()
    # as a plain page, an old template or a script would have sent it
    page.locator("[name=env]").evaluate("box => { box.value = 'GOOD=1\\nHOME=/tmp'; }")
    press(page, "CONFIRM AND LAUNCH")
    press(page.get_by_role("alertdialog"), "LAUNCH")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("HOME is set by the platform")
    button = page.get_by_role("button", name="CONFIG")
    expect(button).to_be_focused()
    expect(button).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_text("2 variables set: GOOD, HOME")).to_be_visible()
    button.press("Enter")
    dialog = page.get_by_role("dialog", name="Environment variables")
    assert rows(dialog) == [("GOOD", "1"), ("HOME", "/tmp")]
    bad = dialog.get_by_label("Name", exact=True).nth(1)
    expect(bad).to_be_focused()
    expect(bad).to_have_attribute("aria-invalid", "true")
    bad.fill("HOUSE")
    press(dialog, "SAVE")
    expect(button).not_to_have_attribute("aria-invalid", "true")
    press(page, "CONFIRM AND LAUNCH")
    press(page.get_by_role("alertdialog"), "LAUNCH")
    expect(page.get_by_role("heading", name="launched")).to_be_visible()
    assert drawn.sent[-1]["env"] == ["GOOD=1\r\nHOUSE=/tmp"]


def test_markup_in_names_and_values_stays_text(page: Page) -> None:
    evil = "<img src=x onerror=\"document.title='owned'\">"
    page.locator("[name=env]").evaluate(
        "(box, evil) => { box.value = `A=${evil}\\n${evil}=1`;"
        " box.dispatchEvent(new Event('input', {bubbles: true})); }",
        evil,
    )
    dialog = config(page)
    assert rows(dialog)[0] == ("A", evil)
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Review").click()
    page.get_by_role("switch", name="Show the values").check()
    expect(page.locator("[data-bai-review=variables]")).to_contain_text(evil)
    assert page.locator("#spawn_form img, dialog img").count() == 0
    assert page.title() == "Launch a session"
