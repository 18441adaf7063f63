"""What a list of sessions is asked for, read strictly from an address's query.

    tab, status, group, environment, user, text     which sessions; see `bai_spawner.records.Query`
    sort, order                                     in which order: asc or desc
    page                                            which part of them, from 1

Every key may be left out, or be empty, which is the same. What is no such key, is there twice
or says anything that is not accepted is refused, by its name: a question that was misread
would look answered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from tornado.web import HTTPError

from bai_spawner.errors import shown
from bai_spawner.reasons import Status, Tab
from bai_spawner.records import Query, Sort

PER_PAGE = 50
"""Sessions of one page (R24)."""
MOST_PAGES = 1_000_000
LONGEST_TEXT = 200
"""Characters."""
LONGEST_NAME = 255
"""Of a user, a group or an environment, as the records keep them."""
FILTERS = ("tab", "user", "text", "status", "group", "environment", "sort", "order")
ORDERS = ("asc", "desc")

_NUMBER = re.compile(r"[0-9]{1,7}", re.ASCII)
Choice = TypeVar("Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Question:
    """Which sessions, and which page of them."""

    query: Query
    page: int = 1

    @property
    def offset(self) -> int:
        """How many sessions stand before the page."""
        return (self.page - 1) * PER_PAGE


def read(arguments: Mapping[str, Sequence[bytes]], *, paged: bool = True) -> Question:
    """Read a query.

    Args:
        arguments: of the query, as tornado hands them over.
        paged: whether a page can be asked for.

    Raises:
        HTTPError: 400, with the key that is wrong, what was got and what is accepted.
    """
    known = (*FILTERS, "page") if paged else FILTERS
    given = {name: single(name, values, known) for name, values in arguments.items()}
    found = {name: text for name, text in given.items() if text}
    plain = {
        name: found[name] for name in ("user", "group", "environment", "text") if name in found
    }
    for name, text in plain.items():
        _check(name, text, LONGEST_TEXT if name == "text" else LONGEST_NAME)
    order = found.get("order", "desc")
    if order not in ORDERS:
        raise _wrong("order", order, f"one of {', '.join(ORDERS)}")
    query = Query(
        tab=_choice("tab", found, Tab),
        status=_choice("status", found, Status),
        sort=_choice("sort", found, Sort) or Sort.CREATED,
        descending=order == "desc",
        **plain,
    )
    return Question(query, _page(found.get("page", "1")))


def single(name: str, values: Sequence[bytes], known: Sequence[str]) -> str:
    """The one text of a key of a query.

    Raises:
        HTTPError: 400, it is none of the known keys, is there twice, or is no text.
    """
    if name not in known:
        told = f"{shown(name)} is not a known key; known: {', '.join(known)}"
        raise HTTPError(400, "%s", f"query: {told}")
    if len(values) != 1:
        raise HTTPError(400, "%s", f"{name}: is there {len(values)} times; give it once")
    try:
        return values[0].decode()
    except UnicodeDecodeError:
        raise HTTPError(400, "%s", f"{name}: is not UTF-8") from None


def _check(name: str, text: str, longest: int) -> None:
    if len(text) > longest:
        told = f"at most {longest} characters, not {len(text):,}"
        raise HTTPError(400, "%s", f"{name}: must have {told}")
    if "\0" in text or (name == "text" and not text.isprintable()):
        raise _wrong(name, text, "printable text")


def _choice(name: str, found: Mapping[str, str], kind: type[Choice]) -> Choice | None:
    """One of a fixed set; ``None`` where it was not asked for."""
    text = found.get(name)
    if text is None:
        return None
    try:
        return kind(text)
    except ValueError:
        raise _wrong(name, text, f"one of {', '.join(kind)}") from None


def _page(text: str) -> int:
    page = int(text) if _NUMBER.fullmatch(text) else 0
    if not 1 <= page <= MOST_PAGES:
        raise _wrong("page", text, f"a whole number from 1 to {MOST_PAGES}")
    return page


def _wrong(name: str, got: str, accepted: str) -> HTTPError:
    return HTTPError(400, "%s", f"{name}: must be {accepted}, not {shown(got)}")
