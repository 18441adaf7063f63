"""The Sessions page: the list as a user and a superadmin see it, and what they do with it.

Its service is `FakeSessions`; the page, its scripts and how a session is told are the shipped ones.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import APIResponse, Browser, Locator, Page, Route, expect

from bai_spawner.apps import App
from bai_spawner.enforcement import Enforcement, Faults, Level
from bai_spawner.labels import GpuCap
from bai_spawner.reasons import End, Ending, Status
from bai_spawner.records import Measure
from bai_spawner.service.model import instant
from bai_spawner.units import GIB
from tests.deployment import eventually
from tests.ui.fake_sessions import FakeSessions, ago

Axe = Callable[[Page], list[str]]
Shots = Callable[[Page, str], None]
Opened = Callable[..., Page]

MARKUP = "<img src=x onerror=\"document.title='evil'\">"
USER = End(Ending.USER)
MEMORY = End(Ending.MEMORY, "4 GiB granted")
SHARE = GpuCap("memcap", 16_384, 20, Enforcement(Level.SESSION, Level.NONE, Faults.CONTEXTS))


@pytest.fixture
def fake() -> Iterator[FakeSessions]:
    """The service of one user, who has no session."""
    made = FakeSessions()
    yield made
    made.close()


@pytest.fixture
def opened(browser: Browser, fake: FakeSessions) -> Iterator[Opened]:
    """Opens the page, in a browser of its own; fails where a script does."""
    contexts, errors = [], []

    def open_one(query: str = "", **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1400, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: errors.append(error.stack))
        page.goto(fake.url + query)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert errors == []


def row(page: Page, name: str) -> Locator:
    return page.locator("#bai-list tbody tr", has=page.get_by_role("rowheader", name=name))


def names(page: Page) -> list[str]:
    """What is listed, in order."""
    found = page.locator("#bai-list tbody th :is([data-part=open], [data-part=title])")
    return [text for text in found.all_inner_texts() if text]


def tab(page: Page, name: str) -> Locator:
    return page.get_by_role("navigation", name="Kinds of sessions").get_by_role("link", name=name)


def controls(page: Page, name: str) -> list[str]:
    """The controls of a session as they follow each other, by what they are called."""
    found = row(page, name).locator(".bai-controls :is(a, button):visible")
    return [one.get_attribute("aria-label") or "" for one in found.all()]


def badge(page: Page, name: str) -> Locator:
    """What says that apps of a session are open to the public."""
    return row(page, name).get_by_role("button", name=f"public: apps of {name}")


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def notice(page: Page) -> Locator:
    return page.locator(".bai-notice")


def reported(page: Page) -> Locator:
    """What a screen reader is told."""
    return page.locator("#bai-changes")


def a_due(why: str, minutes: float, *, left: int = 2, warned: bool = True) -> dict[str, Any]:
    """The time of a session that ends in so many minutes."""
    idle = {"since": instant(ago(111)), "timeout": 7200, "known": True}
    lifetime = {"ends": instant(ago(-minutes)), "limit": 259_200, "extend": 43_200, "left": left}
    limit = {"idle": idle, "lifetime": None} if why == "idle" else {"idle": None}
    return {
        "ends": instant(ago(-minutes)),
        "why": why,
        "warned": warned,
        "lifetime": lifetime,
        **limit,
    }


def test_a_session_that_runs_says_what_it_has_and_uses(fake: FakeSessions, opened: Opened) -> None:
    one = fake.add(
        "train",
        minutes=125.6,
        environment="torch",
        version="2.8",
        folders=("data:rw", "ml/corpus:ro"),
        quanta=4,
        per_gpu=10,
        devices=("GPU-0",),
        gpu=SHARE,
    )
    fake.use[one].update(memory=3 * GIB, gpu_memory={"GPU-0": 5 * GIB}, oom_kills=1)
    shown = row(opened(), "train")
    for text in (
        *("PyTorch 2.8", "General", "0.4 of 2", "3 of 4 GiB", "2 fGPU", "5 of 16 GiB"),
        *("data, ml/corpus (read only)", "2 h 5 min", "a process was killed for memory"),
    ):
        expect(shown).to_contain_text(text)
    filled = shown.locator("[data-part=memory] .bai-meter > span")
    expect(filled).to_have_attribute("style", "width: 75%;")
    expect(shown.locator("[data-part=status]")).to_have_text("Running")


def test_the_controls_of_every_status_stand_in_their_order(
    fake: FakeSessions, opened: Opened
) -> None:
    fake.add("runs")
    fake.add("waits", Status.PENDING)
    fake.add("starts", Status.PREPARING)
    fake.add("stops", Status.TERMINATING)
    fake.add("ended", Status.TERMINATED, end=USER)
    fake.add("never", Status.CANCELLED, minutes=70, end=End(Ending.CANCELLED))
    fake.add("eater", Status.ERROR, end=MEMORY, peaks=Measure(memory=4 * GIB, oom_kills=2))
    page = opened()
    assert eventually(lambda: len(names(page)) == 4)
    assert controls(page, "runs") == [
        "Open runs in a new window",
        "Apps of runs",
        "Terminal of runs in a new window",
        "Terminate runs",
        "Log of runs in a new window",
    ]
    for name in ("waits", "starts"):
        assert controls(page, name) == [f"Progress of {name}", f"Cancel the start of {name}"]
    assert controls(page, "stops") == []
    links = {
        "open": "/user/ada/s1/lab",
        "terminal": "/user/ada/s1/terminal/",
        "log": "/user/ada/s1/bai/log",
    }
    for part, href in links.items():
        expect(row(page, "runs").locator(f"[data-part={part}]")).to_have_attribute("href", href)
    tab(page, "FINISHED").click()
    assert eventually(lambda: names(page) == ["ended", "never"])
    assert controls(page, "ended") == ["Log of ended", "Relaunch ended"]
    expect(row(page, "ended")).to_contain_text("ended on request")
    tab(page, "OTHERS").click()
    assert eventually(lambda: names(page) == ["eater"])
    expect(row(page, "eater")).to_contain_text("needed more memory than it was granted")
    expect(row(page, "eater")).to_contain_text("2 processes were killed for memory")
    assert controls(page, "eater") == [
        "Log of eater",
        "Relaunch with 8 GiB: eater",
        "Relaunch eater",
    ]
    more = row(page, "eater").locator("[data-part=more]").get_attribute("href") or ""
    assert more.startswith("/services/sessions/launch#")
    assert "memory=8&" in more


def test_an_empty_list_says_what_to_do(fake: FakeSessions, opened: Opened, shots: Shots) -> None:
    page = opened()
    expect(page.get_by_text("No session is running.")).to_be_visible()
    expect(page.get_by_text("START opens the launch form")).to_be_visible()
    shots(page, "sessions-none")
    tab(page, "FINISHED").click()
    expect(page.get_by_text("No session has finished yet.")).to_be_visible()
    tab(page, "OTHERS").click()
    expect(page.get_by_text("Nothing went wrong.")).to_be_visible()
    page.get_by_role("searchbox", name="Search").fill("nowhere")
    expect(page.get_by_text("No session matches.")).to_be_visible()
    page.locator("#bai-nothing-clear").click()
    expect(page.get_by_text("Nothing went wrong.")).to_be_visible()


def test_what_is_asked_for_stands_in_the_address_and_back_leads_back(
    fake: FakeSessions, opened: Opened
) -> None:
    for number, name in enumerate(("alpha", "beta", "gamma")):
        torch = {"environment": "torch", "version": "2.8"} if name == "beta" else {}
        fake.add(name, Status.TERMINATED, minutes=60 + number, end=USER, cpu=number + 1, **torch)
    page = opened()
    tab(page, "FINISHED").click()
    expect(page).to_have_url(re.compile(r"\?tab=finished$"))
    assert eventually(lambda: names(page) == ["alpha", "beta", "gamma"])
    page.get_by_role("button", name="CPU").click()
    assert eventually(lambda: names(page) == ["gamma", "beta", "alpha"])
    expect(page.get_by_role("columnheader", name="CPU")).to_have_attribute(
        "aria-sort", "descending"
    )
    page.get_by_role("button", name="CPU").click()
    assert eventually(lambda: names(page) == ["alpha", "beta", "gamma"])
    page.get_by_role("searchbox", name="Search").press_sequentially("et", delay=350)
    assert eventually(lambda: names(page) == ["beta"])
    expect(page).to_have_url(re.compile("text=et"))
    page.go_back()
    assert eventually(lambda: len(names(page)) == 3)
    expect(page.get_by_role("searchbox", name="Search")).to_have_value("")
    page.get_by_label("Environment").select_option("PyTorch")
    assert eventually(lambda: names(page) == ["beta"])
    page.reload()
    assert eventually(lambda: names(page) == ["beta"])
    expect(page.get_by_label("Environment")).to_have_value("torch")
    page.get_by_role("button", name="Show all").click()
    assert eventually(lambda: len(names(page)) == 3)
    tab(page, "RUNNING").click()
    expect(page.get_by_text("No session is running.")).to_be_visible()
    expect(page).to_have_url(re.compile(r"\?sort=cpu&order=asc$"))


def test_fifty_sessions_are_on_a_page_and_the_table_has_them_all(
    fake: FakeSessions, opened: Opened
) -> None:
    for number in range(120):
        fake.add(f"job{number:03}", Status.TERMINATED, minutes=number + 1, end=USER)
    fake.add("=1+1", Status.TERMINATED, minutes=500, end=USER)
    page = opened("?tab=finished")
    expect(page.get_by_text("1–50 of 121 sessions")).to_be_visible()
    assert eventually(lambda: len(names(page)) == 50)
    page.get_by_role("link", name="Next page").click()
    expect(page.get_by_text("51–100 of 121 sessions")).to_be_visible()
    assert eventually(lambda: names(page)[0] == "job050")
    page.get_by_role("link", name="Last page").click()
    expect(page.get_by_text("Page 3 of 3")).to_be_visible()
    assert eventually(lambda: len(names(page)) == 21)
    expect(page).to_have_url(re.compile("page=3"))
    expect(page.locator("[data-page=next]")).to_have_attribute("aria-disabled", "true")
    with page.expect_download() as waiting:
        press(page, "CSV")
    assert waiting.value.suggested_filename == "sessions.csv"
    with Path(waiting.value.path()).open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["name"] for line in lines] == [*(f"job{n:03}" for n in range(120)), "'=1+1"]
    page.goto(f"{fake.url}?tab=finished&page=9")
    expect(page.get_by_text("Page 3 of 3")).to_be_visible()
    expect(page).to_have_url(re.compile("page=3"))


def test_a_superadmin_sees_everyones_sessions_and_a_user_nobody_elses(
    fake: FakeSessions, opened: Opened
) -> None:
    fake.add("mine")
    fake.add("theirs", user="grace")
    page = opened()
    assert eventually(lambda: names(page) == ["mine"])
    expect(page.get_by_label("Owner")).to_have_count(0)
    expect(page.locator("#bai-whole")).to_have_count(0)
    fake.is_admin = True
    page.reload()
    assert eventually(lambda: len(names(page)) == 2)
    expect(row(page, "theirs")).to_contain_text("of grace")
    page.get_by_label("Owner").select_option("grace")
    assert eventually(lambda: names(page) == ["theirs"])
    press(page, "Terminate theirs")
    expect(page.get_by_role("alertdialog")).to_contain_text("Terminate theirs of grace?")


def test_a_launched_session_comes_on_top_and_becomes_openable_there(
    fake: FakeSessions, opened: Opened
) -> None:
    fake.add("old")
    page = opened()
    assert eventually(lambda: names(page) == ["old"])
    with fake.changing():
        one = fake.add("new", Status.PENDING, minutes=0.1)
    assert eventually(lambda: names(page) == ["new", "old"])
    progress = row(page, "new").get_by_role("link", name="Progress of new")
    expect(progress).to_have_attribute("href", "/hub/spawn-pending/ada/s2")
    fake.become(one, Status.RUNNING)
    opening = row(page, "new").get_by_role("link", name="Open new in a new window")
    expect(opening).to_have_attribute("href", "/user/ada/s2/lab")
    expect(reported(page)).to_have_text("new: Running.")
    expect(tab(page, "RUNNING")).to_contain_text("2")


def test_usage_is_written_into_the_row_and_what_is_held_stays(
    fake: FakeSessions, opened: Opened
) -> None:
    one, two = fake.add("one"), fake.add("two", minutes=50)
    page = opened()
    row(page, "one").get_by_label("Select one").check()
    row(page, "one").get_by_role("button", name="Apps of one").focus()
    page.evaluate("window.kept = document.activeElement")
    asked = fake.calls.count("GET sessions")
    fake.measure(one, cpu=1.5)
    expect(row(page, "one")).to_contain_text("1.5 of 2")
    assert fake.calls.count("GET sessions") == asked
    fake.become(two, Status.TERMINATED, USER)
    assert eventually(lambda: names(page) == ["one"])
    assert page.evaluate("window.kept === document.activeElement")
    expect(row(page, "one").get_by_label("Select one")).to_be_checked()


def test_terminate_names_what_is_lost_and_does_nothing_before_okay(
    fake: FakeSessions, opened: Opened, shots: Shots, axe: Axe
) -> None:
    one = fake.add("train", minutes=125.6, folders=("data:rw", "ml/corpus:ro"))
    page = opened()
    power = row(page, "train").get_by_role("button", name="Terminate train")
    power.click()
    dialog = page.get_by_role("alertdialog")
    for text in (
        "Terminate train?",
        "for 2 h 5 min",
        "its files outside of mounted folders are deleted",
        "5 MiB in all",
        "Kept: what is in the mounted folders data, ml/corpus (read only).",
    ):
        expect(dialog).to_contain_text(text)
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    assert axe(page) == []
    shots(page, "sessions-terminate")
    page.keyboard.press("Escape")
    expect(power).to_be_focused()
    assert not any("DELETE" in call for call in fake.calls)
    power.press("Enter")
    press(page, "OKAY")
    expect(row(page, "train")).to_contain_text("Terminating")
    expect(notice(page)).to_contain_text("train is ending: then FINISHED has it.")
    assert f"DELETE sessions/{one}" in fake.calls
    # the icon is gone, and the focus is not lost with it
    expect(row(page, "train").get_by_role("button", name="All about train")).to_be_focused()
    fake.become(one, Status.TERMINATED, USER)
    expect(page.get_by_text("No session is running.")).to_be_visible()
    expect(reported(page)).to_have_text("train: Terminated, ended on request.")
    expect(tab(page, "FINISHED")).to_contain_text("1")


def test_a_start_is_cancelled_where_it_is_shown(fake: FakeSessions, opened: Opened) -> None:
    one = fake.add("slow", Status.PREPARING, minutes=0.2)
    page = opened()
    press(page, "Cancel the start of slow")
    dialog = page.get_by_role("alertdialog")
    expect(dialog).to_contain_text("Cancel the start of slow?")
    expect(dialog).to_contain_text("nothing in it is lost")
    press(page, "OKAY")
    assert eventually(lambda: f"DELETE sessions/{one}" in fake.calls)


def test_several_are_terminated_together_and_each_refusal_is_told(
    fake: FakeSessions, opened: Opened, shots: Shots
) -> None:
    ids = [fake.add(f"job{number}", minutes=10 + number) for number in range(4)]
    fake.add("starting", Status.PENDING, minutes=1)
    fake.add("stopping", Status.TERMINATING, minutes=5)
    fake.refusals[ids[1]] = (409, f"the hub has no server of it {MARKUP}")
    page = opened()
    expect(page.get_by_role("button", name="TERMINATE", exact=True)).to_be_disabled()
    page.get_by_label("Select all").check()
    press(page, "TERMINATE 5")
    dialog = page.get_by_role("alertdialog")
    expect(dialog).to_contain_text("Terminate 5 sessions?")
    expect(dialog.get_by_role("listitem")).to_have_count(5)
    expect(dialog).to_contain_text("starting: its start is cancelled")
    shots(page, "sessions-terminate-several")
    press(page, "Cancel")
    row(page, "job3").get_by_label("Select job3").uncheck()
    expect(page.get_by_label("Select all")).not_to_be_checked()
    press(page, "TERMINATE 4")
    press(page, "OKAY")
    expect(notice(page)).to_contain_text("3 of 4 sessions are ending.")
    expect(notice(page).get_by_role("listitem")).to_have_text(
        [f"job1: the hub has no server of it {MARKUP}"]
    )
    expect(row(page, "job0")).to_contain_text("Terminating")
    expect(row(page, "job1")).to_contain_text("Running")
    expect(row(page, "job3")).to_contain_text("Running")
    assert len([call for call in fake.calls if call.startswith("DELETE")]) == 4


def test_nothing_moves_under_the_pointer_while_a_dialog_asks(
    fake: FakeSessions, opened: Opened
) -> None:
    one = fake.add("one")
    page = opened()
    press(page, "Terminate one")
    with fake.changing():
        fake.add("two", minutes=1)
    fake.measure(one, cpu=1.5)
    expect(row(page, "one")).to_contain_text("1.5 of 2")
    assert names(page) == ["one"]
    page.keyboard.press("Escape")
    assert eventually(lambda: names(page) == ["two", "one"])


def test_the_time_that_is_left_is_told_and_can_be_prolonged(
    fake: FakeSessions, opened: Opened
) -> None:
    idle, old, last = fake.add("idle"), fake.add("old", minutes=70), fake.add("last", minutes=80)
    fake.time = {
        idle: a_due("idle", 9.5),
        old: a_due("lifetime", 5.5),
        last: a_due("lifetime", 100.5, left=0, warned=False),
    }
    page = opened()
    expect(row(page, "idle")).to_contain_text("ends in 9 min · nothing runs in it")
    expect(row(page, "old")).to_contain_text("ends in 5 min · its time is over then")
    expect(row(page, "last")).to_contain_text("ends in 1 h 40 min")
    expect(row(page, "last").locator("[data-part=prolong]")).to_be_hidden()
    more = page.get_by_role("button", name="Extend by 12 h: old", exact=True)
    more.evaluate("(button) => { button.click(); button.click(); }")  # it is one of two extensions
    expect(notice(page)).to_contain_text("old goes on. It ends at")
    fake.refusals[idle] = (409, "its time cannot be extended")
    press(page, "Keep it running: idle")
    expect(notice(page)).to_contain_text("idle was not prolonged.")
    expect(notice(page)).to_contain_text("its time cannot be extended")
    assert fake.bodies == [{"what": "lifetime"}, {"what": "idle"}]
    with fake.changing():
        fake.time[idle] = {**a_due("idle", 120), "ends": None, "why": None, "warned": None}
    expect(row(page, "idle").locator("[data-part=left]")).to_be_hidden()


def test_what_memory_ended_is_told_with_a_way_on(fake: FakeSessions, opened: Opened) -> None:
    one = fake.add("eater")
    page = opened()
    expect(row(page, "eater")).to_contain_text("Running")
    fake.become(one, Status.ERROR, MEMORY)
    expect(notice(page)).to_contain_text("eater: Error, killed because it needed more memory")
    more = notice(page).get_by_role("link", name="Relaunch with 8 GiB")
    expect(more).to_have_attribute("href", re.compile("/services/sessions/launch#.*memory=8"))
    notice(page).get_by_role("link", name="Show OTHERS").click()
    assert eventually(lambda: names(page) == ["eater"])


def test_all_that_ended_at_once_is_told(fake: FakeSessions, opened: Opened) -> None:
    one, two = fake.add("one"), fake.add("two", minutes=70)
    page = opened()
    expect(row(page, "two")).to_be_visible()
    with fake.changing():
        fake.become(one, Status.ERROR, MEMORY)
        fake.become(two, Status.ERROR, MEMORY)
    expect(notice(page)).to_contain_text("one: Error, killed because it needed more memory")
    expect(notice(page)).to_contain_text("two: Error, killed because it needed more memory")
    expect(notice(page).get_by_role("link", name="Show OTHERS")).to_have_count(1)
    expect(notice(page).get_by_role("link", name="Relaunch")).to_have_count(0)


def test_apps_open_in_a_window_of_their_own(
    fake: FakeSessions, opened: Opened, shots: Shots, axe: Axe
) -> None:
    one = fake.add("train")
    board = App("tensorboard", MARKUP, "/x/tb.svg", "Tools", command=("tb", "{port}"))
    fake.apps[one] = (board, App("code", "Editor", category="Tools", port=8080))
    page = opened()
    press(page, "Apps of train")
    dialog = page.get_by_role("dialog", name="Apps of train")
    links = dialog.get_by_role("link")
    expect(links).to_have_text(["JupyterLab", "Jupyter Notebook", "Terminal", MARKUP, "Editor"])
    assert [link.get_attribute("href") for link in links.all()] == [
        "/user/ada/s1/lab",
        "/user/ada/s1/tree",
        "/user/ada/s1/terminal/",
        "/user/ada/s1/bai/apps/tensorboard",
        "/user/ada/s1/bai/apps/code",
    ]
    assert axe(page) == []
    shots(page, "sessions-apps")
    expect(dialog.get_by_role("group", name="Options")).to_have_count(0)
    with page.context.expect_page() as another:
        links.first.click()
    assert another.value.url.endswith("/user/ada/s1/lab")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("button", name="Apps of train")).to_be_focused()


@pytest.mark.parametrize("which", ["public", "preferred_port"])
def test_of_the_options_for_apps_those_are_shown_that_the_policy_offers(
    fake: FakeSessions, opened: Opened, which: str
) -> None:
    """R51."""
    fake.apps[fake.add("train")] = (App("code", "Editor", category="Tools", port=8080),)
    fake.add("bare")
    fake.offers[which] = True
    page = opened()
    with page.expect_response("**/apps"):
        press(page, "Apps of bare")
    expect(page.get_by_role("group", name="Options")).to_have_count(0)
    page.keyboard.press("Escape")
    press(page, "Apps of train")
    options = page.get_by_role("group", name="Options")
    names = {"public": "Open app to public", "preferred_port": "Try preferred port"}
    for what, name in names.items():
        box = options.get_by_role("checkbox", name=name)
        expect(box).to_have_count(1 if what == which else 0)


def test_what_is_open_to_the_public_has_a_badge_that_comes_and_goes_by_itself(
    fake: FakeSessions, opened: Opened, axe: Axe
) -> None:
    one = fake.add("train")
    fake.add("private")
    page = opened()
    expect(row(page, "train")).to_contain_text("0.4 of 2")
    expect(badge(page, "train")).to_have_count(0)
    asked = fake.calls.count("GET sessions")
    fake.publish(one, 1)
    expect(badge(page, "train")).to_have_text("public")
    expect(badge(page, "train")).to_have_accessible_description(
        "Apps open to the public: close them under Apps"
    )
    expect(badge(page, "private")).to_have_count(0)
    assert axe(page) == []
    badge(page, "train").click()
    expect(page.get_by_role("dialog", name="Apps of train")).to_be_visible()
    fake.publish(one, 2)
    expect(page.locator("#bai-list [data-part=public]:visible")).to_have_text("2 public")
    press(page, "Close")
    expect(badge(page, "train")).to_be_focused()
    fake.publish(one, 0)
    expect(badge(page, "train")).to_have_count(0)
    expect(page.get_by_role("button", name="All about train")).to_be_focused()
    assert fake.calls.count("GET sessions") == asked, "it is no change of the list"


def test_the_list_itself_says_what_is_open_to_the_public_in_whosever_session(
    fake: FakeSessions, opened: Opened
) -> None:
    fake.is_admin, fake.streams = True, False
    hers = fake.add("hers", user="grace")
    over = fake.add("over", Status.TERMINATED, end=USER)
    fake.public |= {hers: 2, over: 1}
    page = opened()
    expect(badge(page, "hers")).to_have_text("2 public")
    tab(page, "FINISHED").click()
    expect(row(page, "over")).to_contain_text("Terminated")
    expect(badge(page, "over")).to_have_count(0)


def test_all_that_is_known_is_shown_with_the_end_of_the_log(
    fake: FakeSessions, opened: Opened, shots: Shots, axe: Axe
) -> None:
    one = fake.add(
        "eater",
        Status.ERROR,
        end=MEMORY,
        variables=("EPOCHS",),
        peaks=Measure(cpu=1.9, memory=4 * GIB, cpu_seconds=4000),
        quanta=4,
        per_gpu=10,
        devices=("GPU-0",),
        gpu=SHARE,
    )
    fake.logs[one] = "first\n" * 30 + f"\x1b[31mlast\x1b[0m {MARKUP}\n"
    page = opened("?tab=others")
    press(page, "All about eater")
    dialog = page.get_by_role("dialog", name="eater")
    for text in (
        *("needed more memory", "EPOCHS", "1.9 CPU, 4 GiB RAM", "1 h 6 min of CPU time", one),
        *("2 fGPU: 1 device by memcap, 16 GiB of memory each", "none", f"last {MARKUP}"),
    ):
        expect(dialog).to_contain_text(text)
    expect(dialog.get_by_role("listitem")).to_have_count(3)
    expect(dialog.get_by_role("listitem").last).to_contain_text("Error")
    shots(page, "sessions-details")
    assert axe(page) == []
    press(page, "Close")
    fake.logs.clear()
    press(page, "All about eater")
    expect(dialog).to_contain_text("None was kept.")
    press(page, "Close")
    fake.leave()
    press(page, "All about eater")
    expect(dialog).to_contain_text("This cannot be shown now: it does not answer.")
    expect(dialog).to_contain_text("It cannot be shown now: it does not answer.")


def test_a_drop_of_the_network_is_told_and_gone_by_itself(
    fake: FakeSessions, opened: Opened, shots: Shots, axe: Axe
) -> None:
    one = fake.add("one")
    page = opened()
    expect(page.get_by_text(re.compile("updated [3-9] s ago"))).to_be_visible()
    fake.leave()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Not connected to the sessions service: it does not answer.")
    expect(alert).to_contain_text(re.compile(r"Shown is what was known at \d\d:\d\d\."))
    assert names(page) == ["one"]
    assert axe(page) == []
    shots(page, "sessions-away")
    press(page, "Terminate one")
    press(page, "OKAY")
    expect(notice(page)).to_contain_text("one was not ended:", timeout=20_000)
    fake.come_back()
    fake.measure(one, cpu=1.2)
    expect(alert).to_be_hidden(timeout=20_000)
    expect(row(page, "one")).to_contain_text("1.2 of 2")
    expect(row(page, "one")).to_contain_text("Running")
    expect(page.get_by_text("updated")).to_be_visible()


def test_a_list_that_could_not_be_had_is_asked_for_until_it_is(
    fake: FakeSessions, opened: Opened
) -> None:
    fake.add("one")
    page = opened()
    expect(row(page, "one")).to_be_visible()
    listed = re.compile(r"/api/sessions\?")
    page.route(listed, lambda route: route.abort())
    with fake.changing():
        fake.add("two", minutes=1)
    expect(page.get_by_role("alert")).to_contain_text("Not connected")
    assert names(page) == ["one"]
    page.unroute(listed)  # the stream has said what it had to say, and goes on
    assert eventually(lambda: names(page) == ["two", "one"])
    expect(page.get_by_role("alert")).to_be_hidden()


def test_without_a_stream_it_asks_every_few_seconds(fake: FakeSessions, opened: Opened) -> None:
    fake.streams = False
    one = fake.add("one")
    page = opened()
    expect(row(page, "one")).to_contain_text("0.4 of 2")
    expect(page.get_by_role("alert")).to_be_hidden()
    fake.measure(one, cpu=1.2)
    expect(row(page, "one")).to_contain_text("1.2 of 2", timeout=15_000)
    fake.streams = True
    press_again = "window.dispatchEvent(new Event('online'))"
    page.evaluate(press_again)
    assert eventually(lambda: fake.calls.count("GET events") > 1)
    asked = fake.calls.count("GET sessions")
    fake.measure(one, cpu=1.3)
    expect(row(page, "one")).to_contain_text("1.3 of 2")
    assert fake.calls.count("GET sessions") <= asked + 1


def test_a_list_that_comes_late_keeps_what_was_measured_since_it_was_asked_for(
    fake: FakeSessions, opened: Opened
) -> None:
    one = fake.add("one")
    page = opened()
    expect(row(page, "one")).to_contain_text("0.4 of 2")
    held: list[tuple[Route, APIResponse]] = []
    listing = re.compile("/api/sessions[?]?[^/]*$")
    page.route(listing, lambda route: held.append((route, route.fetch())))
    with fake.changing():
        fake.add("two")
    assert eventually(lambda: page.wait_for_timeout(50) or held, every=0)
    fake.measure(one, cpu=1.3)
    expect(row(page, "one")).to_contain_text("1.3 of 2")
    ((route, late),) = held
    route.fulfill(response=late)
    expect(row(page, "two")).to_be_visible()
    expect(row(page, "one")).to_contain_text("1.3 of 2")


def test_who_logged_in_as_somebody_else_is_told_to_reload(
    fake: FakeSessions, opened: Opened
) -> None:
    fake.add("one")
    page = opened()
    assert eventually(lambda: names(page) == ["one"])
    fake.leave()
    fake.visitor = "grace"
    fake.come_back()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("you are logged in as grace now: reload the page")
    expect(page.get_by_role("button", name="Reload the page")).to_be_visible()


def test_a_page_that_nobody_sees_holds_no_stream(fake: FakeSessions, opened: Opened) -> None:
    fake.add("one")
    page = opened()
    hide = """(hidden) => {
        Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    expect(row(page, "one")).to_be_visible()
    with page.expect_event("requestfailed") as ended:
        page.evaluate(hide, True)
    assert "api/events" in ended.value.url
    with fake.changing():
        fake.add("two", minutes=1)
    page.evaluate(hide, False)
    assert eventually(lambda: names(page) == ["two", "one"])
    expect(page.get_by_role("alert")).to_be_hidden()


def test_what_cannot_be_asked_for_is_told_in_words(fake: FakeSessions, opened: Opened) -> None:
    fake.add("one")
    page = opened("?text=%09&sort=nothing&tab=what&page=-3")
    expect(notice(page)).to_contain_text("That cannot be asked for.")
    expect(notice(page)).to_contain_text("text: must be printable text")
    expect(page.get_by_role("alert")).to_be_hidden()
    page.get_by_role("button", name="Show all").click()
    assert eventually(lambda: names(page) == ["one"])


def test_what_users_wrote_is_text(fake: FakeSessions, opened: Opened) -> None:
    fake.is_admin = True
    fake.add(
        MARKUP,
        user=MARKUP,
        folders=(f"{MARKUP}:rw",),
        warning=MARKUP,
        environment=MARKUP,
        version=MARKUP,
        group=MARKUP,
    )
    page = opened()
    expect(page.locator("#bai-list tbody tr")).to_contain_text(MARKUP)
    press(page, f"Terminate {MARKUP}")
    expect(page.get_by_role("alertdialog")).to_contain_text(f"Terminate {MARKUP} of {MARKUP}?")
    press(page, "Cancel")
    press(page, f"Apps of {MARKUP}")
    press(page, "Close")
    press(page, f"All about {MARKUP}")
    expect(page.get_by_role("dialog")).to_contain_text("Course")
    expect(page.locator("#bai-sessions img")).to_have_count(0)
    expect(page).to_have_title("Sessions")


def test_start_leads_to_a_server_that_was_never_used(fake: FakeSessions, opened: Opened) -> None:
    page = opened()
    start = page.get_by_role("link", name="START")
    first = start.get_attribute("href") or ""
    assert re.search(r"/hub/spawn/ada/s[0-9a-f]{16}$", first)
    expect(page.get_by_role("link", name="Launch again")).to_have_attribute(
        "href", "/hub/home#bai-again"
    )
    start.click()
    page.wait_for_url("**/hub/spawn/**")
    page.go_back()
    assert eventually(lambda: page.get_by_role("link", name="START").get_attribute("href") != first)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 1000, 375])
def test_axe_finds_nothing_and_the_list_fits_the_screen(
    fake: FakeSessions, opened: Opened, shots: Shots, axe: Axe, scheme: str, width: int
) -> None:
    train = fake.add("train", folders=("data:rw", "ml/corpus:ro"), warning="its GPU fails")
    fake.use[train].update(memory=int(3.9 * GIB), oom_kills=2)
    fake.time[train] = a_due("idle", 5.5)
    fake.public[train] = 2
    for name, status in (
        ("waits", Status.PENDING),
        ("m" * 64, Status.PREPARING),
        ("stops", Status.TERMINATING),
    ):
        fake.add(name, status, minutes=5)
    fake.add("eater", Status.ERROR, end=MEMORY, peaks=Measure(cpu=1, memory=4 * GIB))
    fake.is_admin = width == 1000
    page = opened(color_scheme=scheme, viewport={"width": width, "height": 800})
    expect(row(page, "train")).to_contain_text("Running")
    expect(badge(page, "train")).to_have_text("2 public")
    for name in ("RUNNING", "OTHERS"):
        tab(page, name).click()
        expect(tab(page, name)).to_have_attribute("aria-current", "page")
        expect(page.locator("#bai-list:not([aria-busy])")).to_be_visible()
        assert axe(page) == []
        shots(page, f"sessions-{name.lower()}-{scheme}-{width}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
