"""Page two: folders that are there, folders that are made, and a launch without any (R18)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from playwright.sync_api import Locator, Page, expect

from bai_spawner.form import FolderChoice
from tests.drawn import Drawn

Open = Callable[..., Page]


@pytest.fixture
def page(opened: Open) -> Page:
    """The page of data folders."""
    page = opened()
    page.get_by_role("link", name="Data folders").click()
    return page


def box(page: Page) -> Locator:
    """The box in which the name of a new folder is typed."""
    return page.locator("[name=new_folder]").last


def names(page: Page) -> list[str]:
    """The rows of new folders, without the box to type in."""
    boxes = page.locator("[name=new_folder]")
    return [boxes.nth(i).input_value() for i in range(boxes.count() - 1)]


def launch(page: Page) -> None:
    page.get_by_role("button", name="CONFIRM AND LAUNCH").click()


def test_add_puts_a_row_and_several_folders_are_sent(page: Page, drawn: Drawn) -> None:
    box(page).fill("results")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(box(page)).to_be_focused()
    expect(box(page)).to_have_value("")
    page.keyboard.type("plots")
    page.keyboard.press("Enter")
    assert names(page) == ["results", "plots"]
    expect(page.get_by_text("Made for you at launch, read and write.")).to_have_count(2)
    box(page).fill("typed")  # counts without Add, too
    page.get_by_role("link", name="Review").click()
    review = page.locator("[data-bai-review=folders]")
    for name in ("results", "plots", "typed"):
        expect(review).to_contain_text(f"{name} Made for you, read and write")
    page.get_by_role("button", name="LAUNCH", exact=True).click()
    expect(page.get_by_role("heading", name="launched")).to_be_visible()
    assert drawn.sent[0]["new_folder"] == ["results", "plots", "typed"]


def test_a_row_can_be_removed_by_key(page: Page, drawn: Drawn) -> None:
    for name in ("one", "two"):
        box(page).fill(name)
        box(page).press("Enter")
    page.get_by_role("button", name="Remove one").press("Enter")
    assert names(page) == ["two"]
    expect(box(page)).to_be_focused()
    launch(page)
    expect(page.get_by_role("heading", name="launched")).to_be_visible()
    assert drawn.sent[0]["new_folder"] == ["two", ""]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (".hidden", "not beginning with '.'"),
        ("a/b", "1 to 64 letters, digits"),
        ("..", "not beginning with '.'"),
        ("ID_container", "a name that the session itself uses"),
        ("data", "a folder of yours already"),
        ("x" * 65, "1 to 64 letters"),
        ("twice", "stands above already"),
    ],
)
def test_a_name_that_no_folder_may_have_is_told_and_not_added(
    page: Page, drawn: Drawn, name: str, reason: str
) -> None:
    box(page).fill("twice")
    box(page).press("Enter")
    box(page).fill(name)
    page.get_by_role("button", name="Add", exact=True).click()
    assert names(page) == ["twice"]
    expect(box(page)).to_have_attribute("aria-invalid", "true")
    expect(page.locator(".invalid-feedback:visible")).to_contain_text(reason)
    launch(page)
    expect(page.get_by_role("alert")).to_contain_text("Not launched. New folder")
    assert drawn.sent == []


def test_a_refused_folder_is_marked_among_all_the_others(page: Page, drawn: Drawn) -> None:
    drawn.unlucky = ("two",)
    for name in ("one", "two", "three"):
        box(page).fill(name)
        box(page).press("Enter")
    launch(page)
    expect(page.get_by_role("alert")).to_contain_text("The session was not launched")
    assert [*names(page), box(page).input_value()] == ["one", "two", "three"]
    bad = page.locator("[name=new_folder][aria-invalid=true]")
    expect(bad).to_have_value("two")
    expect(bad).to_be_focused()
    page.get_by_role("button", name="Remove two").click()
    launch(page)
    expect(page.get_by_role("heading", name="launched")).to_be_visible()
    assert drawn.sent[-1]["new_folder"] == ["one", "three"]


def test_rows_outlive_the_pages_turning_and_the_browsers_back_from_elsewhere(page: Page) -> None:
    box(page).fill("results")
    box(page).press("Enter")
    page.get_by_role("button", name="Next").click()
    page.go_back()
    assert names(page) == ["results"]
    page.goto(page.url.partition("/hub/")[0] + "/hub/home")
    page.go_back()
    page.locator("#spawn_form[data-bai-ready]").wait_for()
    assert names(page) == ["results"]


def test_without_a_folder_the_launch_asks_first_and_cancel_launches_nothing(
    page: Page, drawn: Drawn
) -> None:
    expect(page.locator("[name=alone]")).to_be_hidden()
    launch(page)
    question = page.get_by_role("alertdialog", name="No data folder is mounted")
    expect(question).to_contain_text("deleted when it ends")
    expect(question.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(question).to_be_hidden()
    expect(page.get_by_role("button", name="CONFIRM AND LAUNCH")).to_be_focused()
    assert drawn.sent == []
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="launched")).to_be_visible()
    (fields,) = drawn.sent
    assert fields["alone"] == ["1"]


def test_what_is_lost_without_a_folder_is_said_until_there_is_one(page: Page) -> None:
    note = page.get_by_text("every file of the session will be deleted when it ends")
    expect(note).to_be_visible()
    box(page).fill("results")
    expect(note).to_be_hidden()
    box(page).fill("")
    page.locator('[name="mount:data"]').select_option("rw")
    expect(note).to_be_hidden()
    page.locator('[name="mount:data"]').select_option("")
    expect(note).to_be_visible()


def test_folders_that_a_template_brings_replace_the_rows(page: Page) -> None:
    box(page).fill("mine")
    box(page).press("Enter")
    page.evaluate(
        """async () => {
            const at = document.querySelector("script[type=module]").src;
            const { setNewFolders } = await import(new URL("folders.js", at));
            setNewFolders(["one", " two "]);
        }"""
    )
    assert [*names(page), box(page).input_value()] == ["one", "two", ""]


@pytest.mark.parametrize("way", ["a folder", "a new folder"])
def test_with_a_folder_the_launch_asks_nothing(page: Page, drawn: Drawn, way: str) -> None:
    if way == "a folder":
        page.locator('[name="mount:data"]').select_option("ro")
    else:
        box(page).fill("results")
    launch(page)
    expect(page.get_by_role("heading", name="launched")).to_be_visible()
    assert "alone" not in drawn.sent[0]


def test_a_folder_that_is_mounted_automatically_counts_as_mounted(
    opened: Open, drawn: Drawn
) -> None:
    drawn.folders = (FolderChoice(".local", "rw", automatic=True),)
    page = opened()
    page.get_by_role("link", name="Data folders").click()
    expect(page.get_by_text("Mounted automatically: read and write")).to_be_visible()
    launch(page)
    expect(page.get_by_role("heading", name="launched")).to_be_visible()


def test_a_second_launch_without_a_folder_asks_again(page: Page, drawn: Drawn) -> None:
    launch(page)
    page.get_by_role("alertdialog").get_by_role("button", name="LAUNCH").click()
    expect(page.get_by_role("heading", name="launched")).to_be_visible()
    page.go_back()
    page.locator("#spawn_form[data-bai-ready]").wait_for()
    launch(page)
    expect(page.get_by_role("alertdialog")).to_be_visible()
    assert len(drawn.sent) == 1


def test_markup_in_a_folders_name_stays_text(opened: Open, drawn: Drawn) -> None:
    evil = "<img src=x onerror=\"document.title='owned'\">"
    drawn.folders = tuple(replace(folder, name=evil) for folder in drawn.folders[:1])
    page = opened()
    page.get_by_role("link", name="Data folders").click()
    page.get_by_label(f"Mount {evil}").select_option("rw")
    box(page).fill(evil)
    box(page).press("Enter")
    page.get_by_role("link", name="Review").click()
    expect(page.locator("[data-bai-review=folders]")).to_contain_text(evil)
    assert page.locator("#spawn_form img").count() == 0
    assert page.title() == "Launch a session"
