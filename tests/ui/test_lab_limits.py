"""The time that a session has, as JupyterLab shows it.

What the session hears of it from the hub is in tests/inside; here it is told to the page, and
Lab is looked at. The session is a real one, which works all the while; the last test lets it
be idle.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, Route, ViewportSize, expect

from tests.deployment import Deployment, Visitor, eventually
from tests.session import Session

USER, SERVER, NAME = "tim", "limits", "deadline"
OPTIONS = {"environment": "python", "preset": "small"}
LATE = 20_000
"""Milliseconds that Lab may take to come up on a busy machine."""
SIZE: ViewportSize = {"width": 1280, "height": 800}
HOUR = 3600
AWAY = "The hub's service does not answer; try again in a while."
NOTHING_ENDS_IT: dict[str, Any] = {"ends": None, "why": None, "warned": False}


def iso(at: datetime) -> str:
    return at.isoformat()


class Time:
    """What the page is told of the session's time; ``now`` is what its clock shows."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)
        self.reported: str | None = iso(self.now)
        self.problem = ""
        self.told = 0
        """How often that was."""
        self.asked: list[Any] = []
        self.more: tuple[int, Any] = (200, {"time": None})
        """What is answered to who asks for more of it."""
        self.time: dict[str, Any] | None = None

    def after(self, **span: float) -> str:
        return iso(self.now + timedelta(**span))

    def idle(self, *, ends: float | None = None, warned: bool = False) -> dict[str, Any]:
        """Two hours without use are allowed; it ``ends`` in so many minutes."""
        since = None if ends is None else self.after(minutes=ends - 120)
        return {
            "ends": None if ends is None else self.after(minutes=ends),
            "why": None if ends is None else "idle",
            "warned": warned,
            "idle": {"since": since, "timeout": 2 * HOUR, "known": True},
            "lifetime": None,
        }

    def lifetime(self, *, minutes: float, warned: bool = False, left: int = 2) -> dict[str, Any]:
        """Three days are allowed, which are over in so many minutes."""
        ends = self.after(minutes=minutes)
        limit = {"ends": ends, "limit": 72 * HOUR, "extend": 12 * HOUR, "left": left}
        return {"ends": ends, "why": "lifetime", "warned": warned, "idle": None, "lifetime": limit}

    def tell(self, route: Route) -> None:
        self.told += 1
        told = {"time": self.time, "reported": self.reported, "problem": self.problem}
        route.fulfill(json={**told, "now": iso(self.now)})

    def extend(self, route: Route) -> None:
        self.asked.append(route.request.post_data_json)
        status, told = self.more
        if status == 200:
            self.time = told["time"]
        route.fulfill(status=status, json=told)


class Lab:
    """Lab in a page, which is told of its session's time what a test says."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url, self.its = page, url, Time()

    def open(self) -> None:
        """Load it, with a job in a terminal: that keeps the session, whatever the page is told."""
        self.page.goto(f"{self.url}lab?reset")
        card = self.page.locator(".jp-LauncherCard[data-category='Session']")
        card.filter(has_text="Terminal").first.click(timeout=LATE)
        self.job(runs=True)

    def job(self, *, runs: bool) -> None:
        """Start or end one in the terminal."""
        screen = self.page.frame_locator("iframe[title='Terminal']").locator(".xterm-screen")

        def done() -> bool:
            screen.click(timeout=LATE)
            if runs:
                self.page.keyboard.type("sleep 600\n")
            else:
                self.page.keyboard.press("Control+C")
            return self.ask("activity")["busy"] is runs

        assert eventually(done, every=0.5)

    def ask(self, what: str) -> Any:
        """What the session says itself."""
        answer = self.page.request.get(f"{self.url}bai/api/{what}")
        assert answer.ok, answer.text()
        return answer.json()

    def pretend(self) -> None:
        """From now on the page is told what a test says; nothing, to begin with."""
        self.its = Time()
        self.page.route("**/bai/api/limits", self.its.tell)
        self.page.route("**/bai/api/limits/extend", self.its.extend)

    def clear(self) -> None:
        """Be as at the beginning."""
        self.page.set_viewport_size(SIZE)
        self.page.emulate_media(color_scheme="light")
        self.see(None)
        hide = self.toast().get_by_role("button", name="Hide notification")
        hide.evaluate_all("all => all.forEach((one) => one.click())")
        expect(self.toast()).to_have_count(0)

    def look(self) -> None:
        """Have the page ask again, as when somebody comes back to it."""
        self.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    def see(self, time: dict[str, Any] | None, problem: str = "") -> None:
        """Have the page hear this."""
        self.its.time, self.its.problem = time, problem
        before = self.its.told
        while self.its.told == before:  # it is no new question while another is not answered
            self.look()
            self.page.wait_for_timeout(20)

    @property
    def status(self) -> Locator:
        """Its place in the status bar."""
        return self.page.locator(".bai-time-left button")

    @property
    def panel(self) -> Locator:
        return self.page.locator("#bai-session")

    def toast(self, text: str = "") -> Locator:
        return self.page.locator(".Toastify__toast", has_text=text)

    def settle(self) -> None:
        """Wait until a notification has slid in."""
        self.page.wait_for_function(
            "document.getAnimations().every((one) => one.playState !== 'running'"
            " || one.effect.getTiming().iterations === Infinity)"
        )


@pytest.fixture(scope="module")
def visitor(deployment: Deployment) -> Iterator[Visitor]:
    """A user whose session may be idle for half a minute."""
    with deployment.login(USER) as made:
        assert made.start(SERVER, OPTIONS, name=NAME).is_success
        assert made.ready(SERVER)
        yield made
        made.stop_all()


@pytest.fixture(scope="module")
def opened(deployment: Deployment, visitor: Visitor, browser: Browser) -> Iterator[Lab]:
    context = browser.new_context(viewport=SIZE)
    cookies = [
        {"name": one.name, "value": one.value or "", "domain": one.domain, "path": one.path}
        for one in visitor.http.cookies.jar
    ]
    context.add_cookies(cookies)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(30_000)
    made = Lab(page, f"{deployment.url}/user/{USER}/{SERVER}/")
    made.open()
    yield made
    context.close()


@pytest.fixture
def lab(opened: Lab) -> Iterator[Lab]:
    opened.pretend()
    opened.clear()
    yield opened
    opened.page.unroute_all()


def wrong(page: Page, selector: str) -> list[str]:
    """What axe-core finds wrong with what a selector chooses."""
    found = Axe().run(page, context=selector).response["violations"]
    return [f"{v['id']}: {[n['target'] for n in v['nodes']]}" for v in found]


def test_the_hub_hears_of_the_use_of_a_session(lab: Lab) -> None:
    def told() -> Any:
        found = lab.ask("limits")
        return found if found["reported"] else None

    found = eventually(told, seconds=60, every=0.5)
    assert found["problem"] == ""
    assert found["time"]["idle"]["timeout"] == 30


def test_where_no_limit_applies_nothing_is_said(lab: Lab) -> None:
    for time, problem in ((None, ""), (None, AWAY), (lab.its.idle(), "")):
        lab.see(time, problem)
        expect(lab.status).to_have_count(0)
        expect(lab.toast()).to_have_count(0)


def test_where_nobody_can_tell_that_is_said(lab: Lab) -> None:
    lab.its.reported = None
    lab.see(None, AWAY)
    expect(lab.status).to_have_text("Time left unknown")
    expect(lab.status).to_have_attribute("title", AWAY)
    lab.its.reported = iso(lab.its.now)
    lab.see(lab.its.idle(ends=9.5, warned=True), AWAY)
    expect(lab.status).to_have_text("Time left unknown")
    expect(lab.toast("This session ends")).to_be_visible()
    # that time is over, and the session runs on
    lab.see(lab.its.idle(ends=-1, warned=True), AWAY)
    expect(lab.toast()).to_have_count(0)
    # the hub ends this one by itself
    lab.see(lab.its.lifetime(minutes=9.5, warned=True), AWAY)
    expect(lab.status).to_have_text("⚠ 9 min left")
    expect(lab.status).to_have_class(re.compile("bai-mod-old"))
    expect(lab.toast("even if it is used")).to_be_visible()


def test_the_time_left_is_in_the_status_bar_and_leads_to_all_that_is_known(
    lab: Lab, shots: Callable[[Page, str], None]
) -> None:
    # the clock of the session counts, not the browser's
    lab.its.now -= timedelta(days=30)
    both = {**lab.its.lifetime(minutes=51 * 60 + 5.5), "idle": lab.its.idle()["idle"]}
    lab.see(both)
    expect(lab.status).to_have_text("2 d 3 h left")
    lab.status.click()
    expect(lab.panel).to_contain_text("Something runs in it now.")
    expect(lab.panel).to_contain_text("in 2 d 3 h, even if it is used.")
    expect(lab.panel).to_contain_text("That can be put off by 12 h, 2 more times.")
    expect(lab.panel.get_by_role("button", name="Keep it running")).not_to_be_visible()
    assert not wrong(lab.page, "#bai-session")
    assert not wrong(lab.page, ".bai-time-left")
    shots(lab.page, "lab-limits-panel")

    lab.see(lab.its.idle(ends=85.5))
    expect(lab.status).to_have_text("Not used: 1 h 25 min left")
    expect(lab.panel).to_contain_text("in 1 h 25 min.")
    expect(lab.panel.get_by_role("button", name="Extend by 12 h")).not_to_be_visible()
    keep = lab.panel.get_by_role("button", name="Keep it running")
    keep.focus()
    lab.see(lab.its.idle(ends=84.5))
    expect(lab.status).to_have_text("Not used: 1 h 24 min left")
    expect(keep).to_be_focused()

    lab.see(lab.its.time, AWAY)
    expect(lab.status).to_have_class("bai-mod-old")
    expect(lab.panel).to_contain_text("This may have changed since. The hub's service does not")
    unknown = {**lab.its.idle()["idle"], "known": False}
    lab.see({**NOTHING_ENDS_IT, "idle": unknown, "lifetime": None})
    expect(lab.panel).to_contain_text("When it was last used is not known now, so it goes on.")
    expect(lab.status).to_have_count(0)


def test_an_unused_session_is_warned_of_once_and_kept_by_a_button(
    lab: Lab, shots: Callable[[Page, str], None]
) -> None:
    lab.see(lab.its.idle(ends=9.5, warned=True))
    warning = lab.toast("This session ends")
    expect(warning).to_contain_text("What is outside folders is deleted then.")
    expect(lab.status).to_have_text("⚠ Not used: 9 min left")
    expect(lab.status).to_have_class("bai-mod-warning")
    assert warning.get_attribute("role") == "alert" or warning.locator("[role=alert]").count()
    lab.settle()
    assert not wrong(lab.page, ".Toastify__toast")
    shots(lab.page, "lab-limits")
    for _ in range(3):
        lab.see(lab.its.time)
    expect(lab.toast()).to_have_count(1)

    lab.its.more = (503, {"message": AWAY})
    keep = warning.get_by_role("button", name="Keep it running")
    keep.click()
    failed = lab.toast("There is no more time now")
    expect(failed).to_contain_text("The hub's service does not answer")
    expect(warning).to_be_visible()
    lab.settle()
    shots(lab.page, "lab-limits-failed")
    failed.get_by_role("button", name="Hide notification").click()

    lab.its.more = (200, {"time": lab.its.idle(ends=120.5)})
    keep.click()
    expect(warning).to_have_count(0)
    expect(lab.toast("This session runs on: it ends")).to_be_visible()
    expect(lab.status).to_have_text("Not used: 2 h left")
    assert lab.its.asked == [{"what": "idle"}, {"what": "idle"}]


def test_a_lifetime_is_extended_as_long_as_it_can_be(
    lab: Lab, shots: Callable[[Page, str], None]
) -> None:
    lab.see(lab.its.lifetime(minutes=9.5, warned=True, left=1))
    warning = lab.toast("even if it is used")
    lab.its.more = (200, {"time": lab.its.lifetime(minutes=12 * 60 + 9.5, left=0)})
    warning.get_by_role("button", name="Extend by 12 h").click()
    expect(warning).to_have_count(0)
    expect(lab.toast("This session may run on: it ends")).to_be_visible()
    expect(lab.status).to_have_text("12 h 9 min left")
    assert lab.its.asked == [{"what": "lifetime"}]

    lab.see(lab.its.lifetime(minutes=0.5, warned=True, left=0))
    expect(warning).to_be_visible()
    expect(warning.get_by_role("button", name="Extend")).to_have_count(0)
    expect(lab.status).to_have_text("⚠ less than a minute left")
    lab.status.click()
    expect(lab.panel).to_contain_text("That cannot be put off again.")
    lab.page.set_viewport_size({"width": 420, "height": 800})
    lab.settle()
    shots(lab.page, "lab-limits-narrow")


def test_a_warning_that_was_closed_stays_so_until_there_is_another(
    lab: Lab, shots: Callable[[Page, str], None]
) -> None:
    lab.page.emulate_media(color_scheme="dark")
    body = lab.page.locator("body")
    expect(body).to_have_attribute("data-jp-theme-light", "false", timeout=LATE)
    lab.see(lab.its.idle(ends=9, warned=True))
    expect(lab.toast("it was last used")).to_be_visible()
    lab.status.click()
    lab.settle()
    assert not wrong(lab.page, ".Toastify__toast")
    shots(lab.page, "lab-limits-dark")
    assert not wrong(lab.page, "#bai-session")
    assert not wrong(lab.page, ".bai-time-left")
    lab.toast().get_by_role("button", name="Hide notification").click()
    expect(lab.toast()).to_have_count(0)
    lab.see(lab.its.time)
    expect(lab.toast()).to_have_count(0)
    lab.see(lab.its.lifetime(minutes=5, warned=True))
    expect(lab.toast("even if it is used")).to_be_visible()
    expect(lab.toast()).to_have_count(1)
    # it was prolonged elsewhere, or used
    lab.see(lab.its.idle())
    expect(lab.toast()).to_have_count(0)


def test_notebook_7_warns_too(opened: Lab, shots: Callable[[Page, str], None]) -> None:
    said: list[str] = []
    with opened.page.context.new_page() as page:
        page.on("console", lambda message: said.append(message.text))
        notebook = Lab(page, opened.url)
        notebook.pretend()
        notebook.its.time = notebook.its.idle(ends=9.5, warned=True)
        notebook.its.more = (200, {"time": notebook.its.idle()})
        page.goto(f"{opened.url}tree")
        warning = notebook.toast("This session ends")
        expect(warning).to_be_visible(timeout=LATE)
        notebook.settle()
        shots(page, "notebook-limits")
        warning.get_by_role("button", name="Keep it running").click()
        expect(warning).to_have_count(0)
    assert not [text for text in said if "bai-spawner" in text]


def test_with_lab_and_a_terminal_open_an_unused_session_ends_and_a_silent_cell_keeps_another(
    opened: Lab, visitor: Visitor, deployment: Deployment
) -> None:
    """R53. It is told the truth here: nothing pretends, and nobody looks at the other one."""
    assert visitor.start("cell", OPTIONS).is_success
    other = Session(deployment, visitor, "cell")
    other.execute("import time; time.sleep(600)", until="busy")
    opened.page.bring_to_front()
    assert opened.ask("limits")["time"]["idle"] == {"since": None, "timeout": 30, "known": True}
    opened.job(runs=False)

    def warned() -> bool:
        opened.look()
        return opened.toast("it was last used").is_visible()

    assert eventually(warned, seconds=60, every=0.5)
    assert SERVER in visitor.servers()
    assert eventually(lambda: SERVER not in visitor.servers(), seconds=60, every=0.5)
    told = other.http.get("/bai/api/limits").json()["time"]
    assert (told["ends"], told["idle"]["known"]) == (None, True)
    other.http.close()
