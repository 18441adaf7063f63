"""The Data page: folders are listed, made, renamed and deleted, and what is in use stays.

Hub, engine and service are real, and one session is. What takes long to come about is told by
the test in the service's place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.deployment import Deployment, Visitor, eventually

Login = Callable[..., Page]
Axe = Callable[[Page], list[str]]
Shots = Callable[[Page, str], None]

USER = "dana"
PATH = "/services/sessions/data"
CORPUS = "ml-team/corpus"
NARROW = {"width": 390, "height": 800}


@pytest.fixture(scope="module")
def visitor(deployment: Deployment) -> Iterator[Visitor]:
    """The owner of the folders, over REST, with a session that mounts one of them."""
    with deployment.login(USER) as made:
        options = {"mounts": [{"folder": "busy", "mode": "rw", "create": True}]}
        answer = made.start("one", options, name="training")
        assert answer.status_code == 201, answer.text
        yield made
        made.stop_all()


@pytest.fixture
def opened(login: Login, visitor: Visitor, deployment: Deployment) -> Callable[..., Page]:
    """Opens the page for a user."""

    def open_for(user: str = USER, query: str = "", **options: Any) -> Page:
        page = login(user, **options)
        page.goto(f"{deployment.url}{PATH}{query}")
        expect(page.locator("#bai-nothing-first")).not_to_have_text(re.compile("asked for"))
        return page

    return open_for


@pytest.fixture
def data(opened: Callable[..., Page]) -> Page:
    """The page of the owner."""
    return opened()


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(
        has=page.locator(".bai-folder-name", has_text=re.compile(f"^{re.escape(name)}$"))
    )


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def create(page: Page, name: str) -> None:
    press(page, "CREATE")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill(name)
    page.keyboard.press("Enter")


def notice(page: Page) -> Locator:
    return page.locator(".bai-notice")


def told(page: Page, **changed: Any) -> None:
    """Answer in the service's place."""
    answer = {"folders": [], "own": 0, "most": 50, "rule": "A rule.", "writable": True, **changed}

    def fulfil(route: Route) -> None:
        route.fulfill(status=200, content_type="application/json", body=json.dumps(answer))

    page.route(re.compile("/api/folders"), fulfil)


def a_folder(name: str, **changed: Any) -> dict[str, Any]:
    return {
        "name": name,
        "owner": USER,
        "kind": "user",
        "permission": "rw",
        "automatic": False,
        "exists": True,
        "size": 3 * 2**30,
        "files": 1234,
        "more": False,
        "measured": "2026-02-28T12:00:00Z",
        "sessions": [],
        "may": ["rename", "delete"],
        **changed,
    }


def test_a_folder_is_created_renamed_and_deleted(
    data: Page, deployment: Deployment, shots: Shots
) -> None:
    create(data, "thesis")
    expect(notice(data)).to_contain_text("Created “thesis”. Mount it when you launch a session.")
    expect(row(data, "thesis")).to_contain_text("read and write")
    expect(row(data, "thesis")).to_contain_text("0 files")
    launch = notice(data).get_by_role("link", name="Launch a session with it")
    expect(launch).to_have_attribute("href", re.compile(r"launch#mount%3Athesis=rw$"))
    (deployment.folder(USER, "thesis") / "chapter").write_bytes(b"x" * 5000)

    press(data, "Rename thesis")
    box = data.get_by_role("dialog").get_by_label("Name")
    expect(box).to_have_value("thesis")
    box.fill("book")
    data.keyboard.press("Enter")
    expect(notice(data)).to_contain_text("“thesis” is now called “book”.")
    expect(row(data, "thesis")).to_have_count(0)
    expect(data.get_by_role("button", name="Rename book")).to_be_focused()
    assert (deployment.folder(USER, "book") / "chapter").exists()

    press(data, "Delete book")
    question = data.get_by_role("alertdialog", name="Delete “book”?")
    expect(question).to_contain_text("There is no way back.")
    expect(question.get_by_role("button", name="Cancel")).to_be_focused()
    shots(data, "data-delete")
    data.keyboard.press("Enter")
    expect(row(data, "book")).to_be_visible()
    press(data, "Delete book")
    press(data, "DELETE")
    expect(notice(data)).to_contain_text("Deleted “book”.")
    expect(row(data, "book")).to_have_count(0)
    expect(data.locator("#bai-folders")).to_be_focused()
    assert not deployment.folder(USER, "book").exists()


def test_what_is_wrong_with_a_name_is_said_at_the_field_and_what_was_typed_stays(
    data: Page, axe: Axe, shots: Shots
) -> None:
    press(data, "CREATE")
    dialog = data.get_by_role("dialog", name="Create a folder")
    box = dialog.get_by_label("Name")
    expect(dialog).to_contain_text("A name has 1 to 64 letters, digits")
    for name, problem in {
        "": "A name is needed.",
        "a b": "'a b' is no name for a folder: 1 to 64 letters",
        ".ssh": "'.ssh' is no name for a folder",
        "<img src=x onerror=alert(1)>": "is no name for a folder",
        "busy": "'busy' is the name of another folder of yours.",
    }.items():
        box.fill(name)
        data.keyboard.press("Enter")
        expect(dialog.get_by_role("alert")).to_contain_text(problem)
        expect(box).to_have_value(name)
        expect(box).to_be_focused()
    assert axe(data) == []
    shots(data, "data-create")
    data.keyboard.press("Escape")
    expect(data.get_by_role("button", name="CREATE")).to_be_focused()


def test_what_a_session_mounts_is_neither_renamed_nor_deleted_and_the_session_is_named(
    data: Page, deployment: Deployment, axe: Axe, shots: Shots
) -> None:
    mounted = row(data, "busy").get_by_role("link", name="training")
    expect(mounted).to_have_attribute("href", "/services/sessions/?text=training")
    for act, what in (("Delete", "deleted"), ("Rename", "renamed")):
        press(data, f"{act} busy")
        expect(notice(data)).to_contain_text(f"“busy” cannot be {what} while a session mounts it.")
        expect(notice(data)).to_contain_text("It is mounted by training.")
        expect(data.get_by_role("dialog")).to_have_count(0)
    assert axe(data) == []
    shots(data, "data-used")
    assert deployment.folder(USER, "busy").is_dir()


def test_a_session_that_came_meanwhile_keeps_its_folder(data: Page, deployment: Deployment) -> None:
    """The page knew nothing of it: the service says so."""
    own = [a_folder("busy")]
    told(data, folders=own)
    data.reload()
    press(data, "Delete busy")
    data.unroute(re.compile("/api/folders"))
    press(data, "DELETE")
    expect(notice(data)).to_contain_text("“busy” was not deleted.")
    expect(notice(data)).to_contain_text("is mounted by training: end what mounts it first.")
    press(data, "Rename busy")
    expect(row(data, "busy").get_by_role("link", name="training")).to_be_visible()
    assert deployment.folder(USER, "busy").is_dir()


def test_a_groups_folder_is_read_by_one_member_and_written_to_by_another(
    opened: Callable[..., Page], shots: Shots
) -> None:
    for user, permission in (("reader", "read only"), ("member", "read and write")):
        page = opened(user)
        corpus = row(page, CORPUS)
        expect(corpus).to_contain_text(permission)
        expect(corpus.locator(".bai-owner")).to_contain_text("ml-team")
        expect(corpus.get_by_role("button")).to_have_count(0)
    shots(page, "data-group")


def test_a_superadmin_looks_at_anothers_folders_and_changes_none(
    opened: Callable[..., Page], axe: Axe, shots: Shots
) -> None:
    page = opened("admin")
    box = page.get_by_role("combobox", name="Folders of")
    box.fill("nobody-of-this-name")
    page.keyboard.press("Enter")
    expect(page.locator("#bai-user-problem")).to_have_text("There is no such user here.")
    assert axe(page) == []
    box.fill(USER)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=f"Data of {USER}")).to_be_visible()
    expect(row(page, "busy").get_by_role("link", name=f"training of {USER}")).to_be_visible()
    expect(row(page, "busy").get_by_role("button")).to_have_count(0)
    expect(page.get_by_role("button", name="CREATE")).to_be_hidden()
    shots(page, "data-superadmin")
    page.reload()
    expect(box).to_have_value(USER)
    page.go_back()
    page.go_back()
    expect(page.get_by_role("heading", name="Data", exact=True)).to_be_visible()


def test_a_user_has_no_field_for_others(data: Page) -> None:
    expect(data.get_by_role("combobox")).to_have_count(0)


def test_a_size_fills_in_as_it_is_counted(data: Page) -> None:
    uncounted = {"size": None, "files": None, "measured": None}
    told(data, folders=[a_folder("large", **uncounted)], own=1)
    data.reload()
    expect(row(data, "large")).to_contain_text("being counted…")
    data.get_by_role("button", name="Rename large").focus()
    data.unroute(re.compile("/api/folders"))
    told(data, folders=[a_folder("large", more=True)], own=1)
    expect(row(data, "large")).to_contain_text("at least 3 GiB")
    expect(row(data, "large")).to_contain_text("at least 1,234 files")
    expect(data.get_by_role("button", name="Rename large")).to_be_focused()


def test_an_empty_page_says_what_folders_are_for(data: Page, axe: Axe, shots: Shots) -> None:
    told(data)
    data.reload()
    expect(data.get_by_text("No folder yet.")).to_be_visible()
    expect(data.get_by_text("A folder keeps what is in it when a session ends.")).to_be_visible()
    expect(data.get_by_text("CREATE makes one.")).to_be_visible()
    assert axe(data) == []
    shots(data, "data-none")


def test_who_has_as_many_folders_as_they_may_is_told_so_at_once(data: Page) -> None:
    told(data, folders=[a_folder("one"), a_folder("two")], own=2, most=2)
    data.reload()
    expect(row(data, "two")).to_be_visible()
    press(data, "CREATE")
    expect(notice(data)).to_contain_text("You have 2 folders, and may not have more.")
    expect(data.get_by_role("dialog")).to_have_count(0)


def test_a_button_that_is_pressed_twice_asks_once(data: Page) -> None:
    told(data, folders=[a_folder("thesis")], own=1)
    data.reload()
    delete = data.get_by_role("button", name="Delete thesis", exact=True)
    delete.evaluate("(button) => { button.focus(); button.click(); button.click(); }")
    expect(data.get_by_role("alertdialog")).to_have_count(1)
    data.keyboard.press("Escape")
    expect(data.get_by_role("alertdialog")).to_have_count(0)
    expect(delete).to_be_focused()


def test_while_the_service_is_away_the_list_stays_and_it_is_said(data: Page) -> None:
    expect(row(data, "busy")).to_be_visible()
    data.route(re.compile("/services/sessions/api/"), lambda route: route.abort())
    press(data, "Delete busy")
    bar = data.get_by_role("alert").filter(has_text="The folders cannot be shown now")
    expect(bar).to_be_visible()
    expect(row(data, "busy")).to_be_visible()
    data.unroute(re.compile("/services/sessions/api/"))
    press(data, "Try again now")
    expect(bar).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_clean_and_fits_on_a_phone(
    opened: Callable[..., Page], axe: Axe, shots: Shots, scheme: str
) -> None:
    page = opened(color_scheme=scheme)
    session = {"id": "1", "name": "training", "user": USER}
    told(
        page,
        folders=[
            a_folder(".local", automatic=True, may=[], sessions=[session]),
            a_folder("a" * 64, more=True),
            a_folder("busy", sessions=[session, session, session, session]),
            a_folder("data", exists=False, size=None, files=None, measured=None, may=[]),
            a_folder(CORPUS, owner="ml-team", kind="group", permission="ro", may=[]),
        ],
        own=4,
    )
    page.reload()
    for size in ({"width": 1280, "height": 800}, {"width": 800, "height": 800}, NARROW):
        page.set_viewport_size(size)
        expect(row(page, "busy")).to_contain_text("and 1 more")
        assert axe(page) == []
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(overflow) == 0
        shots(page, f"data-{scheme}-{size['width']}")


def test_the_page_is_used_by_keyboard_alone(data: Page, deployment: Deployment) -> None:
    data.get_by_role("button", name="CREATE").focus()
    data.keyboard.press("Enter")
    data.keyboard.type("keys")
    data.keyboard.press("Enter")
    expect(data.get_by_role("button", name="Rename keys")).to_be_focused()
    data.keyboard.press("Tab")
    expect(data.get_by_role("button", name="Delete keys")).to_be_focused()
    data.keyboard.press("Enter")
    expect(data.get_by_role("alertdialog")).to_be_visible()
    data.keyboard.press("Tab")
    data.keyboard.press("Enter")
    expect(row(data, "keys")).to_have_count(0)
    assert eventually(lambda: not deployment.folder(USER, "keys").exists())
