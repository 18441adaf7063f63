"""What a list may be asked for, and how everything else is refused: by its name."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("jupyterhub")

from tornado.httputil import parse_qs_bytes
from tornado.web import HTTPError

from bai_spawner.reasons import Status, Tab
from bai_spawner.records import Query, Sort
from bai_spawner.service.question import PER_PAGE, Question, read


def asked(query: str, *, paged: bool = True) -> Question:
    """As tornado hands a query over."""
    return read(parse_qs_bytes(query, keep_blank_values=True), paged=paged)


def refusal(query: str, *, paged: bool = True) -> str:
    with pytest.raises(HTTPError) as caught:
        asked(query, paged=paged)
    assert caught.value.status_code == 400
    message = str(caught.value.log_message) % caught.value.args
    assert len(message) < 300
    assert message.isprintable()
    return message


def test_nothing_asks_for_the_newest_of_all() -> None:
    assert asked("") == Question(Query(), 1)
    empty = "tab=&user=&text=&status=&group=&environment=&sort=&order=&page="
    assert asked(empty) == Question(Query(), 1)


def test_every_key_is_read() -> None:
    query = (
        "tab=others&user=a%20b&text=50%25%20_&status=error&group=gpu&environment=py"
        "&sort=memory&order=asc&page=3"
    )
    assert asked(query) == Question(
        Query(Tab.OTHERS, "a b", "50% _", Status.ERROR, "gpu", "py", Sort.MEMORY, descending=False),
        page=3,
    )
    assert asked("page=3").offset == 2 * PER_PAGE


@pytest.mark.parametrize("name", ["☃", "<b>", "a/../b", "\N{NO-BREAK SPACE}", "x" * 255, "-1"])
def test_a_user_may_be_called_anything(name: str) -> None:
    assert asked(urlencode({"user": name})).query.user == name


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("tab=all", "tab"),
        ("tab=RUNNING", "tab"),
        ("status=dead", "status"),
        ("sort=nonsense", "sort"),
        ("sort=name;drop", "sort"),
        ("order=up", "order"),
        ("page=0", "page"),
        ("page=-1", "page"),
        ("page=1.5", "page"),
        ("page=1e3", "page"),
        ("page=%D9%A3", "page"),
        ("page=" + "1" + "0" * 30, "page"),
        ("text=" + "x" * 201, "text"),
        ("text=a%00b", "text"),
        ("text=a%1Fb", "text"),
        ("user=a%00b", "user"),
        ("user=" + "x" * 256, "user"),
        ("group=" + "x" * 256, "group"),
        ("environment=" + "x" * 256, "environment"),
        ("user=%FF", "user"),
        ("page=1&page=1", "page"),
        ("user=&user=", "user"),
        ("limit=9", "query"),
        ("Tab=running", "query"),
        ("%3Cb%3E%0A=1", "query"),
        ("token=x", "query"),
    ],
)
def test_what_is_not_accepted_is_refused_by_its_name(query: str, names: str) -> None:
    assert refusal(query).startswith(f"{names}: ")


def test_a_table_has_no_pages() -> None:
    assert refusal("page=1", paged=False).startswith("query: 'page' is not a known key")
    assert asked("tab=others", paged=False).query.tab is Tab.OTHERS


@given(st.text(), st.binary())
def test_whatever_is_asked_is_read_or_refused(name: str, value: bytes) -> None:
    with suppress(HTTPError):
        assert read({name: [value]}).page
