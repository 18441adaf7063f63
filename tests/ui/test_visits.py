"""A page's way to the service, past what the hub's login makes hard."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page

VISITS = """async () => {
  const { visit } = await import(`${document.getElementById("bai-home").dataset.static}service.js`);
  const visits = await Promise.allSettled([visit(), visit(), visit()]);
  return visits.map(({ value, reason }) => (value ? value.user : reason.message));
}"""


def test_several_first_visits_at_once_all_succeed(login: Callable[..., Page]) -> None:
    page = login("mona")
    page.wait_for_load_state("networkidle")  # the page's own visit is over
    for _ in range(3):
        page.context.clear_cookies(path="/services/sessions/")
        assert page.evaluate(VISITS) == ["mona"] * 3
