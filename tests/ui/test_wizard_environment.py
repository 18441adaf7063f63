"""Page one: finding an environment among many, and the session's name."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.drawn import Drawn, form_catalog

Open = Callable[..., Page]
EVIL = "<img src=x onerror=\"document.title='owned'\">"


def many(count: int = 12) -> dict[str, object]:
    """Environments in two categories, each with a tag of its own."""
    return {
        f"env{n}": {
            "title": f"Kit {n}",
            "description": f"Tools number {n}.",
            "category": "Even" if n % 2 == 0 else "Odd",
            "tags": [f"tag{n}"],
            "versions": {f"{n}.5": {"image": f"kit:{n}"}},
        }
        for n in range(1, count + 1)
    }


def names_shown(page: Page) -> list[str]:
    cards = page.locator("#bai-environment .bai-card:visible label[for^=bai-environment]")
    return [text.strip() for text in cards.all_inner_texts()]


def test_a_few_environments_have_no_search_box(opened: Open, drawn: Drawn) -> None:
    drawn.catalog = form_catalog(environments=many(8))
    expect(opened().get_by_role("searchbox")).to_have_count(0)


def test_the_search_finds_by_title_description_tag_and_version_and_says_how_many(
    opened: Open, drawn: Drawn
) -> None:
    drawn.catalog = form_catalog(environments=many())
    page = opened()
    box = page.get_by_role("searchbox", name="Search")
    for text, number, found in (
        ("kit 7", 1, ["Kit 1", "Kit 7"]),
        ("NUMBER 12", 1, ["Kit 1", "Kit 12"]),
        ("tag3", 1, ["Kit 1", "Kit 3"]),
        ("tools odd", 6, ["Kit 1", "Kit 3", "Kit 5", "Kit 7", "Kit 9", "Kit 11"]),
        ("8.5", 1, ["Kit 1", "Kit 8"]),
        ("nothing", 0, ["Kit 1"]),
    ):
        box.fill(text)
        expect(page.locator("#bai-search\\:found")).to_have_text(f"{number} of 12 environments")
        assert names_shown(page) == found, text  # the chosen one, Kit 1, stays
    expect(page.get_by_role("group", name="Odd")).to_be_visible()
    box.fill("")
    assert len(names_shown(page)) == 12
    expect(page.get_by_role("radio", name="Kit 1", exact=True)).to_be_checked()


def test_enter_in_the_search_turns_no_page_and_the_search_is_not_sent(
    opened: Open, drawn: Drawn
) -> None:
    drawn.catalog = form_catalog(environments=many())
    page = opened()
    page.get_by_role("searchbox").fill("kit 7")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("group", name="Environment", exact=True)).to_be_visible()
    page.get_by_role("radio", name="Kit 7").check()
    page.get_by_role("button", name="CONFIRM AND LAUNCH").click()
    page.get_by_role("alertdialog").get_by_role("button", name="LAUNCH").click()
    expect(page.get_by_role("heading", name="launched")).to_be_visible()
    (fields,) = drawn.sent
    assert fields["environment"] == ["env7"]
    assert "kit 7" not in [value for values in fields.values() for value in values]


def test_a_name_that_a_live_session_has_is_told_while_it_is_typed(
    opened: Open, drawn: Drawn
) -> None:
    page = opened()
    box = page.get_by_label("Session name")
    box.fill("taken")
    expect(box).to_have_attribute("aria-invalid", "true")
    expect(box).to_have_accessible_description(re.compile("taken: the name of a live session"))
    box.fill("free1")
    expect(box).not_to_have_attribute("aria-invalid", "true")
    expect(page.get_by_text("free1 is free.")).to_be_visible()
    box.fill("no good!")
    expect(box).to_have_accessible_description(re.compile("nothing else.*nothing else"))
    page.get_by_role("button", name="CONFIRM AND LAUNCH").click()
    expect(page.get_by_role("alert")).to_contain_text("Not launched. Session name")
    assert drawn.sent == []


def test_half_a_name_is_not_scolded_at_once(opened: Open) -> None:
    box = opened().get_by_label("Session name")
    box.press_sequentially("wo")
    assert box.get_attribute("aria-invalid") is None
    box.press_sequentially("rkshop")
    expect(box).not_to_have_attribute("aria-invalid", "true")


def test_a_word_can_be_drawn_and_is_shown_before_the_launch(opened: Open, drawn: Drawn) -> None:
    page = opened()
    box = page.get_by_label("Session name")
    words = set()
    for _ in range(3):
        page.get_by_role("button", name="Draw a word").click()
        words.add(box.input_value())
        assert re.fullmatch("[A-Za-z0-9]{4,64}", box.input_value())
        expect(page.get_by_text(f"{box.input_value()} is free.")).to_be_visible()
    assert len(words) > 1
    page.get_by_role("link", name="Review").click()
    expect(page.locator("[data-bai-review=name]")).to_contain_text(box.input_value())


def test_the_names_of_several_sessions_are_shown_and_each_is_checked(opened: Open) -> None:
    page = opened()
    box = page.get_by_label("Session name")
    box.fill("study")
    page.locator("[name=sessions]").evaluate(
        "box => { box.value = '3'; box.dispatchEvent(new Event('input', {bubbles: true})); }"
    )
    expect(page.get_by_text("3 sessions: study1, study2, study3")).to_be_visible()
    box.fill("work")  # work2 lives
    expect(box).to_have_accessible_description(re.compile("work2: the name of a live session"))
    box.fill("w" * 64)
    expect(box).to_have_accessible_description(re.compile("has 65 characters; at most 64"))
    box.fill("")
    expect(page.get_by_text("3 sessions: the word and a number each.")).to_be_visible()


def test_markup_in_an_environments_words_stays_text(opened: Open, drawn: Drawn) -> None:
    evil = {"title": EVIL, "description": EVIL, "category": EVIL, "tags": [EVIL]}
    environments = {f"e{n}": {**evil, "versions": {"1": {"image": "x"}}} for n in range(9)}
    drawn.catalog = form_catalog(environments=environments)
    page = opened()
    page.get_by_label("Session name").fill(EVIL)
    page.get_by_role("searchbox").fill("img")
    expect(page.get_by_text("9 of 9 environments")).to_be_visible()
    for _ in range(3):
        page.get_by_role("button", name="Next").click()
    assert page.locator("#spawn_form img").count() == 0
    assert page.title() == "Launch a session"
