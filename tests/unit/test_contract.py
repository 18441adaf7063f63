"""The contract over REST, as a property: one wrong key is refused, and that key is named."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bai_spawner.catalog import load_catalog
from bai_spawner.errors import Problem, Problems
from bai_spawner.options import SessionOptions, parse
from bai_spawner.policy import Grant, Subject, Usage, check
from bai_spawner.units import parse_fgpu, parse_size
from tests.examples import SHIPPED_CATALOG, small_catalog
from tests.strategies import KEYS, Case, Offer, valid_requests, wrong_requests

OFFERS = {
    "shipped, a plain user": Offer(load_catalog(SHIPPED_CATALOG), Subject("ada")),
    "shipped, staff": Offer(load_catalog(SHIPPED_CATALOG), Subject("admin")),
    "small, a plain user": Offer(
        small_catalog(), Subject("ada"), {"data": "rw", "ml-team/corpus": "ro", ".local": "rw"}
    ),
    "small, staff": Offer(small_catalog(), Subject("x", frozenset({"staff"}))),
}
LONGEST_LINE = 700


def judged(request: dict[str, Any], offer: Offer) -> tuple[list[Problem], Grant | None]:
    problems = Problems()
    options = parse(request["user_options"], problems)
    name = request.get("display_name", "")
    grants = check(options, name, offer.catalog, offer.subject, Usage(), problems)
    return problems.found, next(iter(grants), None)


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
def test_every_valid_request_is_granted_as_asked(offer: Offer) -> None:
    @given(valid_requests(offer))
    def granted(request: dict[str, Any]) -> None:
        problems, grant = judged(request, offer)
        assert problems == []
        assert grant is not None
        body = request["user_options"]
        for key in ("environment", "version", "preset"):
            if key in body:
                assert getattr(grant, key) == body[key]
        asked = body.get("resources", {})
        if "memory" in asked:
            assert grant.amounts.memory == parse_size(asked["memory"])
        if "fgpu" in asked:
            assert grant.amounts.quanta * grant.quantum == parse_fgpu(asked["fgpu"])
        assert grant.session == request.get("display_name") or not request.get("display_name")

    granted()


def test_one_wrong_key_is_refused_and_it_alone_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cases: Counter[str] = Counter()

    @settings(max_examples=15)
    @given(data=st.data())
    def refused(key: str, data: st.DataObject) -> None:
        offer = OFFERS[data.draw(st.sampled_from(list(OFFERS)))]
        case: Case = data.draw(wrong_requests(offer, key))
        cases[key] += 1
        problems, grant = judged(case.request, offer)
        assert grant is None
        assert problems
        for problem in problems:
            assert case.blames(problem.path), f"{problem} blames another key than {case.key}"
            assert "\n" not in str(problem)
            assert len(str(problem)) < LONGEST_LINE

    for key in KEYS:
        refused(key)
    with capsys.disabled():
        counted = ", ".join(f"{key} {count}" for key, count in cases.items())
        print(f"\n{cases.total()} requests with one wrong key, each refused at it: {counted}")  # noqa: T201


@settings(max_examples=15)
@given(st.data())
def test_two_wrong_keys_are_both_reported(data: st.DataObject) -> None:
    offer = OFFERS["small, a plain user"]
    request = data.draw(valid_requests(offer))
    request["user_options"]["environment"] = 7
    request["user_options"]["mounts"] = "data"
    request["display_name"] = "no name"
    problems, _ = judged(request, offer)
    assert {problem.path for problem in problems} == {"environment", "mounts", "display_name"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["environment", "preset", "resources", "cpu", "mounts", "folder", "env"]
            )
            | st.text(max_size=8),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(json_values)
def test_any_json_is_parsed_without_an_exception(body: Any) -> None:
    problems = Problems()
    assert isinstance(parse(body, problems), SessionOptions)
    assert all("\n" not in str(problem) for problem in problems)


@given(st.data())
def test_accepted_options_read_back_the_same_when_a_server_is_started_again(
    data: st.DataObject,
) -> None:
    offer = OFFERS["small, a plain user"]
    request = data.draw(valid_requests(offer))
    first, problems = parse(request["user_options"], Problems()), Problems()
    stored = json.loads(json.dumps(first.to_json("a profile")))
    assert parse(stored, problems) == first
    assert problems.found == []


SECRET = "correct-horse-battery"


@pytest.mark.parametrize("key", KEYS)
def test_no_message_repeats_the_value_of_a_variable(key: str) -> None:
    offer = OFFERS["small, a plain user"]

    @settings(max_examples=4)
    @given(wrong_requests(offer, key))
    def silent(case: Case) -> None:
        body = case.request["user_options"]
        if isinstance(body, dict):
            env = body.setdefault("env", {})
            if isinstance(env, dict):
                env.update(A_SECRET=SECRET, HOME=SECRET, BROKEN=f"{SECRET}\n", LONG=SECRET * 2000)
        problems, _ = judged(case.request, offer)
        assert problems
        assert all(SECRET not in str(problem) for problem in problems)

    silent()
