"""What a user has and can still get, and the whole that a superadmin sees, above the list.

The page is the shipped one, on `FakeSessions`; the numbers are a test's own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from bai_spawner.units import GIB
from tests.ui.fake_sessions import FakeSessions

Axe = Callable[[Page], list[str]]
Shots = Callable[[Page, str], None]
Opened = Callable[..., Page]

MARKUP = "<img src=x onerror=\"document.title='evil'\">"
GROUPS = [{"key": "general", "title": "General"}, {"key": "batch", "title": "Long jobs"}]


def a_resource(key: str, label: str, numbers: tuple[float, float, float], *texts: str) -> Any:
    """One resource: what there is of it here, everywhere, and left, as numbers and as texts."""
    here, everywhere, left = numbers
    return {
        "key": key,
        "label": label,
        "unit": {"cpu": "cores", "memory": "bytes", "fgpu": "fGPU"}[key],
        "here": here,
        "everywhere": everywhere,
        "left": left,
        "upper": {"part": here, "whole": here + left},
        "lower": {"part": everywhere, "whole": everywhere + left},
        "texts": dict(zip(("here", "everywhere", "left"), texts, strict=True)),
    }


def statistics(group: str = "general", **changed: Any) -> dict[str, Any]:
    """The example of R23: 2 cores in one group, 1 in another, 5 still obtainable in the first."""
    return {
        "group": group,
        "groups": GROUPS,
        "sessions": {"used": 2, "limit": 5},
        "resources": [
            a_resource("cpu", "CPU", (2, 3, 5), "2", "3", "5"),
            a_resource("memory", "RAM", (2 * GIB, 3 * GIB, 0), "2 GiB", "3 GiB", "0 B"),
            a_resource("fgpu", "FGPU", (1.5, 1.5, 2.5), "1.5", "1.5", "2.5"),
        ],
        "age": 3.0,
        **changed,
    }


def a_device(number: int, **changed: Any) -> dict[str, Any]:
    return {
        "device": f"GPU-{number}",
        "title": "NVIDIA H100 80GB HBM3",
        "total": "5",
        "free": "3",
        "allocated": "2",
        "largest": "3",
        "isolation": "memcap",
        "note": "",
        "memory": 80 * GIB,
        "used_memory": 12 * GIB,
        "utilization": 43,
        "sessions": [
            {"id": "id-1", "name": "train", "user": "ada", "fgpu": "1.5"},
            {"id": "id-2", "name": "tune", "user": "grace", "fgpu": "0.5"},
        ],
        **changed,
    }


def the_whole(*devices: dict[str, Any]) -> dict[str, Any]:
    """One node with these devices."""
    return {
        "nodes": [
            {
                "node": "local",
                "cpu": {"total": 16, "allocated": 5, "free": 11},
                "memory": {"total": 64 * GIB, "allocated": 12 * GIB, "free": 52 * GIB},
                "sessions": 3,
                "devices": list(devices),
            }
        ],
        "groups": [
            {
                "key": "general",
                "title": "General",
                "nodes": ["local"],
                "sessions": 3,
                "cpu": {"allocated": 5, "free": 11},
                "memory": {"allocated": 12 * GIB, "free": 52 * GIB},
                "fgpu": {"allocated": "2", "free": "3", "largest": "3"},
            },
            {
                "key": "batch",
                "title": "Long jobs",
                "nodes": ["local"],
                "sessions": 0,
                "cpu": {"allocated": 0, "free": 11},
                "memory": {"allocated": 0, "free": 52 * GIB},
                "fgpu": {"allocated": "0", "free": "0", "largest": "0"},
            },
        ],
        "age": 3.0,
    }


@dataclass
class Numbers:
    """What the service answers; a status other than 200 goes with a message."""

    statistics: dict[str, dict[str, Any]] = field(default_factory=lambda: {"": statistics()})
    whole: dict[str, Any] = field(default_factory=the_whole)
    status: int = 200
    asked: list[str] = field(default_factory=list)

    def answer(self, route: Route) -> None:
        """Answer one request."""
        address = urlsplit(route.request.url)
        self.asked.append(f"{address.path.rpartition('/')[2]}?{address.query}")
        told: Any = self.whole
        status = self.status
        if address.path.endswith("statistics"):
            told = self.statistics.get(dict(parse_qsl(address.query)).get("group", ""))
            status = status if told else 400
        body = told if status == 200 else {"message": "the records cannot be read now"}
        route.fulfill(status=status, body=json.dumps(body), content_type="application/json")


@pytest.fixture
def fake() -> Iterator[FakeSessions]:
    made = FakeSessions()
    yield made
    made.close()


@pytest.fixture
def numbers() -> Numbers:
    return Numbers()


@pytest.fixture
def opened(browser: Browser, fake: FakeSessions, numbers: Numbers) -> Iterator[Opened]:
    """Opens the page, in a browser of its own; fails where a script does."""
    contexts, errors = [], []

    def open_one(**options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1400, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: errors.append(error.stack))
        for part in ("statistics", "whole"):
            context.route(f"**/services/sessions/api/{part}**", numbers.answer)
        page.goto(fake.url)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert errors == []


def bar(page: Page, name: str) -> Locator:
    return page.get_by_role("meter", name=name, exact=True)


def filled(element: Locator) -> float:
    """How much of a bar is drawn as taken, of 1."""
    return float(
        element.evaluate(
            """(bar) => [...bar.children].reduce((sum, one) => sum + one.offsetWidth, 0)
                / bar.clientWidth"""
        )
    )


def ask_again(fake: FakeSessions) -> None:
    """Have the page hear that something changed."""
    with fake.changing():
        pass


def test_both_bars_of_each_resource_are_drawn_and_told_in_words(opened: Opened) -> None:
    page = opened()
    panel = page.get_by_role("region", name="Resource statistics")
    upper, lower = bar(page, "CPU in General"), bar(page, "CPU in all groups")
    expect(upper).to_have_attribute("aria-valuetext", "2 cores · 5 left")
    assert filled(upper) == pytest.approx(2 / 7, abs=0.02)
    assert filled(lower) == pytest.approx(3 / 8, abs=0.02)
    assert filled(bar(page, "RAM in General")) == pytest.approx(1, abs=0.02)
    assert [h.inner_text() for h in panel.get_by_role("heading").all()] == [
        *("CPU", "RAM", "FGPU", "Sessions"),
    ]
    for words in (
        *("2 cores · 5 left", "3 cores", "2 GiB · none left", "3 GiB"),
        *("1.5 · 2.5 left", "2 of 5 sessions"),
    ):
        expect(panel.get_by_text(words, exact=True)).to_be_visible()


def test_the_group_is_chosen_and_remembered_for_each_user(
    opened: Opened, fake: FakeSessions, numbers: Numbers
) -> None:
    numbers.statistics["batch"] = statistics(
        "batch", resources=[a_resource("cpu", "CPU", (1, 3, 1), "1", "3", "1")]
    )
    page = opened()
    page.get_by_label("Resource group").select_option("Long jobs")
    expect(bar(page, "CPU in Long jobs")).to_have_attribute("aria-valuetext", "1 core · 1 left")
    expect(bar(page, "RAM in General")).to_have_count(0)
    page.reload()
    expect(page.get_by_label("Resource group")).to_have_value("batch")
    expect(bar(page, "CPU in Long jobs")).to_be_visible()
    del numbers.statistics["batch"]
    page.reload()
    expect(page.get_by_label("Resource group")).to_have_value("general")
    fake.user = "grace"
    numbers.statistics["batch"] = statistics("batch")
    page.reload()
    expect(page.get_by_label("Resource group")).to_have_value("general")


def test_one_group_is_shown_and_not_changeable(opened: Opened, numbers: Numbers) -> None:
    numbers.statistics[""] = statistics(
        groups=[{"key": "general", "title": MARKUP}], sessions={"used": 1, "limit": None}
    )
    page = opened()
    panel = page.get_by_role("region", name="Resource statistics")
    expect(panel.locator(".bai-statistics-alone")).to_have_text(MARKUP)
    expect(panel.get_by_role("combobox")).to_be_hidden()
    expect(panel).to_contain_text("1, as many as there is room for")
    expect(page.locator("#bai-statistics img")).to_have_count(0)


def test_no_group_is_said_to_be_none(opened: Opened, numbers: Numbers) -> None:
    numbers.statistics[""] = statistics("", groups=[], resources=[])
    panel = opened().get_by_role("region", name="Resource statistics")
    expect(panel.get_by_text("No resource group is open to you")).to_be_visible()
    expect(panel.get_by_role("meter")).to_have_count(0)


def test_the_i_explains_both_bars(opened: Opened) -> None:
    page = opened()
    about = page.get_by_role("button", name="About these bars")
    sentence = page.get_by_text("Upper bar: what you have in this group")
    expect(sentence).to_be_hidden()
    about.click()
    expect(about).to_have_attribute("aria-expanded", "true")
    expect(sentence).to_contain_text("Lower bar: what you have in all groups")
    page.keyboard.press("Escape")
    expect(sentence).to_be_hidden()


def test_numbers_follow_and_a_chosen_group_keeps_the_focus(
    opened: Opened, fake: FakeSessions, numbers: Numbers
) -> None:
    page = opened()
    page.get_by_label("Resource group").focus()
    cpu = a_resource("cpu", "CPU", (4, 5, 3), "4", "5", "3")
    numbers.statistics[""] = numbers.statistics["general"] = statistics(resources=[cpu])
    ask_again(fake)
    expect(bar(page, "CPU in General")).to_have_attribute("aria-valuetext", "4 cores · 3 left")
    expect(page.get_by_label("Resource group")).to_be_focused()


def test_numbers_that_cannot_be_had_are_never_none(
    opened: Opened, fake: FakeSessions, numbers: Numbers
) -> None:
    numbers.status = 503
    page = opened()
    panel = page.get_by_role("region", name="Resource statistics")
    words = "What you can still get cannot be shown now: the records cannot be read now."
    expect(panel.get_by_text(words)).to_be_visible()
    expect(panel.get_by_role("meter")).to_have_count(0)
    numbers.status = 200
    ask_again(fake)
    expect(bar(page, "CPU in General")).to_be_visible()
    expect(panel.get_by_text(words)).to_be_hidden()
    numbers.status = 503
    ask_again(fake)
    expect(panel).to_contain_text("These numbers may be old: the records cannot be read now.")
    expect(bar(page, "CPU in General")).to_be_visible()


def open_whole(page: Page) -> Locator:
    """Open the panel."""
    panel = page.get_by_role("region", name="The whole cluster")
    panel.get_by_text("The whole", exact=True).click()
    return panel


def test_the_whole_is_for_superadmins_and_asked_for_while_it_is_open(
    opened: Opened, fake: FakeSessions, numbers: Numbers
) -> None:
    page = opened()
    expect(bar(page, "CPU in General")).to_be_visible()
    expect(page.get_by_text("The whole", exact=True)).to_have_count(0)
    fake.is_admin = True
    page.reload()
    expect(page.get_by_text("The whole", exact=True)).to_be_visible()
    expect(bar(page, "CPU in General")).to_be_visible()
    assert "whole?" not in numbers.asked
    panel = open_whole(page)
    expect(panel.get_by_role("heading", name="Node local")).to_be_visible()
    page.reload()
    expect(panel.get_by_role("heading", name="Node local")).to_be_visible()


def test_groups_nodes_and_devices_are_shown_with_what_is_on_them(
    opened: Opened, fake: FakeSessions, numbers: Numbers
) -> None:
    fake.is_admin = True
    idle = {"allocated": "0", "free": "5", "largest": "5", "sessions": [], "utilization": None}
    closed = {"free": "0", "largest": "0", "note": f"its driver failed {MARKUP}"}
    numbers.whole = the_whole(
        a_device(0), a_device(1, **idle, used_memory=None), a_device(2, **closed)
    )
    page = opened()
    panel = open_whole(page)
    groups = [panel.get_by_role("listitem").filter(has_text=name) for name in ("General", "Long")]
    for words in (
        *("local · 3 sessions", "5 cores allocated · 11 cores free"),
        *("12 GiB allocated · 52 GiB free", "2 allocated · 3 free", "Largest free share: 3 fGPU"),
    ):
        expect(groups[0]).to_contain_text(words)
    expect(groups[1]).not_to_contain_text("fGPU")
    node = panel.get_by_role("region", name="Node local")
    expect(node).to_contain_text("3 sessions · 3 devices")
    used, free, failed = (
        node.get_by_role("listitem").filter(has_text=f"GPU-{n}").first for n in range(3)
    )
    for words in (
        *("NVIDIA H100 80GB HBM3", "memcap", "2 of 5 allocated · 3 free"),
        *("Largest free share: 3 fGPU", "12 GiB used · 68 GiB free", "Utilisation 43 %"),
        *("train of ada · 1.5 fGPU", "tune of grace · 0.5 fGPU"),
    ):
        expect(used).to_contain_text(words)
    parts = used.get_by_role("meter").first.locator("span")
    expect(parts).to_have_count(2)
    assert filled(used.get_by_role("meter").first) == pytest.approx(2 / 5, abs=0.02)
    for words in (
        *("No session is on it.", "Utilisation not measured", "80 GiB, use not measured"),
    ):
        expect(free).to_contain_text(words)
    expect(failed).to_contain_text(f"Nothing is handed out: its driver failed {MARKUP}")
    expect(page.locator("#bai-whole img")).to_have_count(0)
    expect(used.get_by_role("link", name="train")).to_have_attribute(
        "href", "?tab=running&user=ada&text=train"
    )


def test_the_whole_follows_and_keeps_the_focus(
    opened: Opened, fake: FakeSessions, numbers: Numbers
) -> None:
    fake.is_admin = True
    numbers.whole = the_whole(a_device(0))
    page = opened()
    panel = open_whole(page)
    panel.get_by_role("link", name="tune").focus()
    numbers.whole = the_whole(a_device(0, utilization=99), a_device(1, sessions=[]))
    ask_again(fake)
    expect(panel).to_contain_text("Utilisation 99 %")
    expect(panel.get_by_role("link", name="tune")).to_be_focused()
    numbers.status = 503
    ask_again(fake)
    expect(panel).to_contain_text("These numbers may be old: the records cannot be read now.")
    expect(panel).to_contain_text("Utilisation 99 %")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 400])
def test_axe_finds_nothing_and_the_panels_fit_the_screen(
    opened: Opened,
    fake: FakeSessions,
    numbers: Numbers,
    shots: Shots,
    axe: Axe,
    scheme: str,
    width: int,
) -> None:
    fake.is_admin = True
    fake.add("train")
    groups = [*GROUPS, {"key": "long", "title": "m" * 64}]
    numbers.statistics[""] = statistics(groups=groups)
    closed = {"free": "0", "largest": "0", "note": "its driver failed"}
    numbers.whole = the_whole(a_device(0), a_device(1, **closed))
    page = opened(color_scheme=scheme, viewport={"width": width, "height": 800})
    expect(bar(page, "CPU in General")).to_be_visible()
    page.get_by_role("button", name="About these bars").click()
    assert axe(page) == []
    shots(page, f"statistics-{scheme}-{width}")
    expect(open_whole(page)).to_contain_text("Node local")
    assert axe(page) == []
    shots(page, f"whole-{scheme}-{width}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
