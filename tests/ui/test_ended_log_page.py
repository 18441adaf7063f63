"""The log of a session that has ended: read, searched, kept, and never taken for an empty one.

The page is the shipped one, on `FakeSessions`, and its viewer that of a session's own log page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from bai_spawner.reasons import End, Ending, Status
from bai_spawner.units import GIB
from tests.ui.fake_sessions import FakeSessions

Axe = Callable[[Page], list[str]]
Shots = Callable[[Page, str], None]
Opened = Callable[..., Page]

MARKUP = "<img src=x onerror=\"document.title='evil'\">"
MEMORY = End(Ending.MEMORY, "4 GiB granted")
EXITED = End(Ending.EXITED, "exit code 137, SIGKILL", 137)


@pytest.fixture
def fake() -> Iterator[FakeSessions]:
    made = FakeSessions()
    yield made
    made.close()


@pytest.fixture
def opened(browser: Browser, fake: FakeSessions) -> Iterator[Opened]:
    """Opens the page of a session's log, in a browser of its own; fails where a script does."""
    contexts, errors = [], []

    def open_one(session: str, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1100, "height": 700}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: errors.append(error.stack))
        page.goto(f"{fake.url}log/{session}")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def ended(fake: FakeSessions) -> str:
    """A session that ended by itself, and printed a little."""
    one = fake.add("train", Status.TERMINATED, end=EXITED, minutes=120)
    fake.logs[one] = "begun\n\x1b[31mred\x1b[0m and a needle\nlast\n"
    return one


def shown(page: Page) -> list[str]:
    return page.locator("#log > div").all_inner_texts()


def test_the_log_is_shown_with_what_became_of_the_session(
    ended: str, opened: Opened, shots: Shots
) -> None:
    page = opened(ended)
    expect(page).to_have_title("Log of train")
    expect(page.get_by_role("heading", name="Log of train")).to_be_visible()
    expect(page.get_by_text("last", exact=True)).to_be_in_viewport()
    assert shown(page) == ["begun", "red and a needle", "last"]
    red = page.locator("#log span", has_text=re.compile("^red$"))
    expect(red).to_have_css("color", "rgb(179, 38, 30)")
    about = page.locator("#bai-about")
    expect(about).to_contain_text("Terminated ended by itself (exit code 137, SIGKILL).")
    expect(about).to_contain_text(re.compile(r"It ended: .*\d\d:\d\d, after 59 min\."))
    expect(page.get_by_role("link", name="RELAUNCH", exact=True)).to_have_attribute(
        "href", re.compile("/services/sessions/launch#environment=python")
    )
    expect(page.locator("main").get_by_role("link", name="Sessions")).to_have_attribute(
        "href", re.compile(r"/services/sessions/\?tab=finished$")
    )
    expect(page.locator("nav [aria-current=page]")).to_have_text("Sessions")
    expect(page.get_by_role("alert")).to_be_empty()
    shots(page, "ended-log")


def test_it_is_searched_and_kept_like_a_log_that_goes_on(
    fake: FakeSessions, opened: Opened
) -> None:
    one = fake.add("train", Status.TERMINATED, end=EXITED)
    fake.logs[one] = "".join(f"line {n}\n" for n in range(300)) + "\x1b[31mnee\x1b[0mdle ☃\nend\n"
    page = opened(one)
    expect(page.get_by_text("end", exact=True)).to_be_in_viewport()
    page.get_by_label("Search").fill("NEEDLE")
    expect(page.locator("#hits")).to_have_text("1 hit")
    page.keyboard.press("Enter")
    expect(page.locator("#hits")).to_have_text("1 of 1")
    page.get_by_label("Search").fill("line 7")
    page.get_by_role("button", name="Previous").click()
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("line 7", exact=True)).to_be_in_viewport()
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download").click()
    assert waiting.value.suggested_filename == "train.log"
    assert Path(waiting.value.path()).read_text() == fake.logs[one]


def test_what_memory_ended_is_launched_again_with_more(fake: FakeSessions, opened: Opened) -> None:
    one = fake.add("eater", Status.ERROR, end=MEMORY, memory=4 * GIB)
    fake.logs[one] = "x\n"
    page = opened(one)
    expect(page.locator("#bai-about")).to_contain_text("(4 GiB granted)")
    more = page.get_by_role("link", name="RELAUNCH WITH 8 GiB")
    expect(more).to_have_attribute("href", re.compile("memory=8"))
    expect(page.locator("main").get_by_role("link", name="Sessions")).to_have_attribute(
        "href", re.compile(r"/services/sessions/\?tab=others$")
    )


def test_a_log_that_nobody_kept_is_said_to_be_none(
    fake: FakeSessions, opened: Opened, axe: Axe
) -> None:
    one = fake.add("train", Status.CANCELLED, end=End(Ending.CANCELLED))
    page = opened(one)
    expect(page.get_by_text("No log was kept")).to_be_visible()
    expect(page.locator("#bai-about")).to_contain_text("Cancelled cancelled before it ran.")
    expect(page.locator("#log")).to_be_hidden()
    expect(page.get_by_label("Search")).to_be_hidden()
    expect(page.get_by_role("link", name="Download")).to_be_hidden()
    assert axe(page) == []


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (503, '{"message": "the records cannot be read now; try again"}', "the records cannot"),
        (404, '{"message": "there is no <b>such</b> session"}', "there is no <b>such</b> session"),
        (502, "<html>a proxy's page</html>", "its answer cannot be read"),
    ],
)
def test_a_log_that_cannot_be_read_never_looks_like_an_empty_one(
    ended: str, opened: Opened, fake: FakeSessions, status: int, body: str, words: str
) -> None:
    def refuse(route: Route) -> None:
        route.fulfill(status=status, body=body)

    fake.logs[ended] = "begun\n"
    page = opened(ended)
    page.route("**/api/sessions/*/log", refuse)
    page.reload()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text(f"The log cannot be read: {words}")
    expect(page.locator("#log")).to_be_hidden()
    expect(page.get_by_text("No log was kept")).to_have_count(0)
    page.unroute("**/api/sessions/*/log")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("begun")).to_be_visible()
    expect(alert).to_be_empty()


def test_a_page_of_which_a_part_does_not_come_is_loaded_again_and_then_says_so(
    ended: str, opened: Opened, axe: Axe
) -> None:
    page = opened(ended)
    page.route("**/viewer/search.js", lambda route: route.abort(), times=1)
    page.reload()
    expect(page.get_by_text("begun")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_empty()
    page.route("**/viewer/search.js", lambda route: route.abort())
    page.reload()
    words = page.get_by_role("alert").filter(has_text="A part of this page did not come.")
    expect(words).to_be_visible()
    assert axe(page) == []
    page.unroute("**/viewer/search.js")
    words.get_by_role("link", name="Load it again").click()
    expect(page.get_by_text("begun")).to_be_visible()


def test_more_lines_than_a_page_has_room_for_are_said_to_be_missing(
    fake: FakeSessions, opened: Opened
) -> None:
    one = fake.add("train", Status.TERMINATED, end=EXITED)
    fake.logs[one] = "".join(f"{n}\n" for n in range(6000))
    page = opened(one)
    expect(
        page.get_by_text("Older lines are not shown: the page has room for 5,000")
    ).to_be_visible()
    assert shown(page)[::4999] == ["1000", "5999"]


def test_what_users_and_programs_wrote_is_text(fake: FakeSessions, opened: Opened) -> None:
    fake.is_admin = True
    one = fake.add(MARKUP, Status.ERROR, user=MARKUP, end=End(Ending.START, MARKUP))
    fake.logs[one] = f"{MARKUP}\n\x1b[31m{MARKUP}\x1b[0m\n"
    page = opened(one)
    expect(page).to_have_title(f"Log of {MARKUP}")
    expect(page.get_by_role("heading", name="Log of")).to_have_text(f"Log of {MARKUP}")
    expect(page.locator("main")).to_contain_text(f"of {MARKUP}")
    expect(page.locator("#bai-about")).to_contain_text(f"failed to start ({MARKUP})")
    expect(page.locator("#log > div")).to_have_text([MARKUP, MARKUP])
    expect(page.locator("main img")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1100, 400])
def test_axe_finds_nothing_and_the_page_fits_the_screen(
    fake: FakeSessions,
    opened: Opened,
    shots: Shots,
    axe: Axe,
    scheme: str,
    width: int,
) -> None:
    one = fake.add("m" * 64, Status.ERROR, end=MEMORY, memory=4 * GIB)
    colours = "".join(
        f"\x1b[{30 + n}mcolour {n}\x1b[0m \x1b[{100 + n}mground\x1b[0m " for n in range(8)
    )
    fake.logs[one] = "line\n" * 60 + f"{colours}\n" + "x" * 300 + "\n"
    page = opened(one, viewport={"width": width, "height": 700}, color_scheme=scheme)
    expect(page.get_by_text("colour 7")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#log").evaluate("(box) => box.scrollWidth <= box.clientWidth")
    page.get_by_label("Search").fill("colour")
    page.keyboard.press("Enter")
    expect(page.locator("#hits")).to_have_text("8 of 8")
    assert axe(page) == []
    shots(page, f"ended-log-{scheme}-{width}")
    page.route("**/api/sessions/*/log", lambda route: route.fulfill(status=503, body="{}"))
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("The log cannot be read")
    assert axe(page) == []
    shots(page, f"ended-log-failed-{scheme}-{width}")
