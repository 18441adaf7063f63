"""Lab opens apps on ports by way of this server, which asks the hub's service."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bai_spawner.server_extension import openings
from tests.inside.conftest import Serve
from tests.inside.service import KEY, Service

APPS, BOARD = "api/own/apps", "api/own/apps/my board"
ONE = "api/own/openings/one"
OPENING = {"id": "one", "url": "http://apps.example.net:30001/", "public": True}
OFFER = {"offered": True, "public": True, "preferred_port": True, "open": [OPENING]}
PATH = "bai/api/openings"


@pytest.fixture
async def its_service(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    """The service of a session of alice's."""
    made = Service()
    made.answers = {
        APPS: (200, json.dumps(OFFER)),
        BOARD: (201, json.dumps(OPENING)),
        ONE: (204, ""),
    }
    monkeypatch.setenv("BAI_SERVICE_URL", made.url)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", KEY)
    yield made
    await made.close()


async def test_many_tabs_ask_the_service_once(serve: Serve, its_service: Service) -> None:
    served = await serve("openings")
    for _ in range(20):
        answer = await served.allowed.get(PATH)
        assert answer.json() == OFFER
    assert its_service.asked == [(APPS, "GET")]


async def test_an_app_is_opened_as_it_was_asked_for_and_looked_at_anew(
    serve: Serve, its_service: Service
) -> None:
    served = await serve("openings")
    await served.allowed.get(PATH)
    how = {"public": True, "port": 30001, "allowed": ["192.0.2.7"], "password": "long enough"}
    answer = await served.allowed.post(PATH, json={"app": "my board", **how})
    assert (answer.status_code, answer.json()) == (201, OPENING)
    await served.allowed.get(PATH)
    assert its_service.asked == [(APPS, "GET"), (BOARD, how), (APPS, "GET")]


async def test_what_is_closed_is_looked_at_anew(serve: Serve, its_service: Service) -> None:
    served = await serve("openings")
    await served.allowed.get(PATH)
    assert (await served.allowed.delete(f"{PATH}/one")).status_code == 204
    its_service.answers[APPS] = (200, json.dumps({**OFFER, "open": []}))
    assert (await served.allowed.get(PATH)).json()["open"] == []
    assert its_service.asked == [(APPS, "GET"), (ONE, "DELETE"), (APPS, "GET")]


@pytest.mark.parametrize(
    ("refusal", "status", "words"),
    [
        ((400, '{"message": "port: must be"}'), 400, "port: must be"),
        ((409, '{"message": "public: not allowed"}'), 409, "public: not allowed"),
        ((429, '{"message": "at most 60"}'), 429, "at most 60"),
        ((403, '{"message": "no"}'), 502, "The hub's service refuses (403 Forbidden): no"),
        ((201, "[]"), 502, "The answer of the hub's service cannot be read."),
        ((201, "<html>"), 502, "The answer of the hub's service cannot be read."),
        ((500, "<html>"), 502, "The hub's service refuses (500 Internal Server Error)"),
    ],
)
async def test_a_refusal_is_told_in_the_services_words(
    serve: Serve, its_service: Service, refusal: tuple[int, str], status: int, words: str
) -> None:
    its_service.answers[BOARD] = refusal
    served = await serve("openings")
    answer = await served.allowed.post(PATH, json={"app": "my board"})
    assert (answer.status_code, answer.json()["message"]) == (status, words)


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({}, "app"),
        ({"app": 5}, "app"),
        ({"app": "a\u0007"}, "app"),
        ({"app": "a", "port": "1"}, "port"),
        ({"x": 1}, "body"),
    ],
)
async def test_what_has_another_shape_asks_nobody(
    serve: Serve, its_service: Service, sent: Any, field: str
) -> None:
    served = await serve("openings")
    answer = await served.allowed.post(PATH, json=sent)
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert its_service.asked == []


async def test_whom_the_session_is_shared_with_opens_and_sees_nothing(
    serve: Serve, its_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTERHUB_USER", "somebody-else")
    served = await serve("openings")
    assert (await served.allowed.get(PATH)).json() == openings.NOT_OFFERED
    assert (await served.allowed.post(PATH, json={"app": "my board"})).status_code == 403
    assert (await served.allowed.delete(f"{PATH}/one")).status_code == 403
    assert its_service.asked == []


async def test_without_a_service_nothing_is_offered(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BAI_SERVICE_URL", raising=False)
    served = await serve("openings")
    assert (await served.allowed.get(PATH)).json() == openings.NOT_OFFERED
    answer = await served.allowed.post(PATH, json={"app": "my board"})
    assert answer.status_code == 503
    assert "does not know where the hub's service is" in answer.json()["message"]


async def test_one_that_does_not_answer_is_not_asked_by_every_tab(
    serve: Serve, its_service: Service
) -> None:
    its_service.answers[APPS] = (503, '{"message": "the records cannot be read now"}')
    served = await serve("openings")
    for _ in range(6):
        answer = await served.allowed.get(PATH)
        assert answer.status_code == 503
        assert answer.json()["message"] == "the records cannot be read now"
    assert len(its_service.asked) == 1
