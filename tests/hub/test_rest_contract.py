"""The contract over REST, against the real hub: one wrong key is refused, and that key is named."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from bai_spawner.catalog import load_catalog
from bai_spawner.policy import Subject
from bai_spawner.units import GIB
from tests.deployment import REPO, Deployment, Visitor
from tests.strategies import KEYS, Case, Offer, valid_requests, wrong_requests

OFFER = Offer(
    load_catalog(REPO / "tests/hub/catalog.yaml"),
    Subject("plain"),
    room={"cpu": 2, "memory": 3 * GIB, "shm": 3 * GIB, "fgpu": Decimal(0)},
)
WORKING = {None, "python", "numpy"}
"""The environments of that catalogue whose image is there and answers."""
BY_THE_HUB = ("display_name", "user_options")
"""Keys whose type JupyterHub checks itself, in words of its own."""


def works(request: dict[str, Any]) -> bool:
    options = request["user_options"]
    return options.get("environment") in WORKING and options.get("preset") != "accelerated"


def post(user: Visitor, request: dict[str, Any]) -> Any:
    return user.api("POST", f"/users/{user.user}/servers/one", content=json.dumps(request))


def test_every_valid_request_starts_a_session(
    deployment: Deployment, newcomer: Callable[[], Visitor]
) -> None:
    user = newcomer()

    @settings(max_examples=8, phases=[Phase.generate])
    @given(valid_requests(OFFER).filter(works))
    def started(request: dict[str, Any]) -> None:
        answer = post(user, request)
        assert answer.status_code == 201, (request, answer.text)
        user.stop("one")

    with deployment.clean_log():
        started()


def test_one_wrong_key_is_refused_and_it_alone_is_named(
    deployment: Deployment, newcomer: Callable[[], Visitor], capsys: pytest.CaptureFixture[str]
) -> None:
    user = newcomer()
    cases: Counter[str] = Counter()

    @settings(max_examples=8, phases=[Phase.generate])
    @given(data=st.data())
    def refused(key: str, data: st.DataObject) -> None:
        case: Case = data.draw(wrong_requests(OFFER, key))
        cases[key] += 1
        answer = post(user, case.request)
        assert answer.status_code == 400, (case, answer.status_code, answer.text)
        message = answer.json()["message"]
        if key in BY_THE_HUB and ": " not in message:
            assert key in message
            return
        for line in message.split("\n"):
            assert case.blames(line.partition(": ")[0]) or key in line, (case, line)

    with deployment.clean_log():
        for key in KEYS:
            refused(key)
    assert not [c for c in deployment.containers() if c.labels["bai.user"] == user.user]
    with capsys.disabled():
        counted = ", ".join(f"{key} {count}" for key, count in cases.items())
        print(f"\n{cases.total()} requests with one wrong key, each refused at it: {counted}")  # noqa: T201
