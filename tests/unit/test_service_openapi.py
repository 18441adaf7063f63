"""The API's document: valid, of exactly the routes that there are, and of what is answered."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import ValidationError
from openapi_spec_validator import OpenAPIV31SpecValidator
from tornado.web import Application, RequestHandler

pytest.importorskip("jupyterhub")

from bai_spawner.limits import Why
from bai_spawner.reasons import Ending, Status, Tab
from bai_spawner.records import Sort
from bai_spawner.service.app import make_app
from bai_spawner.service.bars import LABELS, UNITS, WHOLE_GPUS
from bai_spawner.service.board import Board
from bai_spawner.service.feed import State, Viewer
from bai_spawner.service.model import Seen
from bai_spawner.service.openapi import document
from bai_spawner.service.templates import LONGEST_NAME
from tests.api_contract import assert_described, state_validator
from tests.recorded import a_facts, a_record, minutes
from tests.service import BASE, PREFIX, FakeHub, serving

ADDRESS = f"{PREFIX}api/openapi.json"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Application]:
    hub = FakeHub.instance()
    yield make_app(PREFIX, BASE, Board(f"sqlite:///{tmp_path}/records.sqlite", "hub"))
    hub.close()


def served(app: Application) -> set[tuple[str, str]]:
    """Every method of every address below ``api/``, without the names of its parameters."""
    found = set()
    for rule in app.wildcard_router.rules:
        address = rule.matcher.regex.pattern.rstrip("$").replace("\\", "")
        if not address.startswith(f"{PREFIX}api/"):
            continue
        path = "/" + address.removeprefix(PREFIX).replace("([^/]+)", "{}")
        for method in RequestHandler.SUPPORTED_METHODS:
            name = method.lower()
            if getattr(rule.target, name) is not getattr(RequestHandler, name):
                found.add((path, name))
    return found


def described() -> set[tuple[str, str]]:
    methods = {method.lower() for method in RequestHandler.SUPPORTED_METHODS}
    return {
        (re.sub(r"\{\w+\}", "{}", path), method)
        for path, item in document()["paths"].items()
        for method in item.keys() & methods
    }


def schema(name: str) -> Any:
    return document()["components"]["schemas"][name]


def test_the_document_is_valid() -> None:
    found = [str(error) for error in OpenAPIV31SpecValidator(document()).iter_errors()]
    assert found == []


def test_it_describes_what_is_served_and_nothing_else(app: Application) -> None:
    assert described() == served(app)
    assert len(described()) > 20


def test_every_operation_has_a_name_of_its_own_and_says_when_it_may_fail() -> None:
    operations = [
        operation
        for item in document()["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict)
    ]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    tags = {tag["name"] for tag in document()["tags"]}
    for operation in operations:
        assert set(operation["tags"]) <= tags
        assert operation["summary"]
        if operation.get("security") != []:
            assert "503" in operation["responses"], operation["operationId"]


def test_nothing_is_described_that_nobody_refers_to() -> None:
    text = json.dumps(document())
    for kind in ("schemas", "responses", "parameters", "requestBodies"):
        for name in document()["components"][kind]:
            if name != "State":  # the data of an event, of which OpenAPI 3.1 cannot say it
                assert f'"#/components/{kind}/{name}"' in text, name


def test_words_are_those_of_the_program() -> None:
    parameters = document()["components"]["parameters"]
    assert schema("Tab")["enum"] == list(Tab)
    assert schema("Status")["enum"] == list(Status)
    assert schema("Why")["enum"] == list(Why)
    assert schema("Ending")["enum"] == [ending.key for ending in Ending]
    assert parameters["Sort"]["schema"]["enum"] == list(Sort)
    resource = schema("Resource")["properties"]
    assert resource["key"]["enum"] == list(LABELS)
    assert resource["label"]["enum"] == [*LABELS.values(), WHOLE_GPUS]
    assert resource["unit"]["enum"] == [*UNITS.values(), WHOLE_GPUS]
    template = document()["paths"]["/api/templates/{name}"]["parameters"][0]
    assert f"1 to {LONGEST_NAME} " in template["description"]


def test_one_session_has_all_that_a_list_tells_of_it() -> None:
    listed, one = schema("Session"), schema("SessionDetail")
    assert set(one["required"]) == {*listed["required"], "changes"}
    assert set(one["properties"]) == set(one["required"])


async def test_it_is_answered_without_a_login_and_says_where_the_service_is(
    app: Application,
) -> None:
    async with serving(app) as url, httpx.AsyncClient(base_url=url) as client:
        answer = await client.get(ADDRESS)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("application/json")
    found = answer.json()
    assert found["servers"] == [{"url": PREFIX.rstrip("/")}]
    assert found["paths"] == json.loads(json.dumps(document()["paths"]))
    assert not list(OpenAPIV31SpecValidator(found).iter_errors())


def test_an_answer_that_is_not_described_is_noticed() -> None:
    """By what holds the answers of all tests to the document."""

    def answer(status: int, body: Any) -> httpx.Response:
        return httpx.Response(status, json=body)

    visit = {"user": "ada", "admin": False, "xsrf_token": "token"}
    assert_described("GET", "api/visit?x=y", answer(200, visit))
    assert_described("POST", "api/visit", answer(405, {"message": "Method Not Allowed"}))
    for wrong in ({**visit, "more": 1}, {"user": "ada"}, {**visit, "admin": "no"}):
        with pytest.raises(ValidationError):
            assert_described("GET", "api/visit", answer(200, wrong))
    for status in (201, 418):
        with pytest.raises(AssertionError, match="not described"):
            assert_described("GET", "api/visit", answer(status, visit))


def test_an_event_is_as_it_is_described() -> None:
    use = dict.fromkeys(("cpu", "memory", "disk", "processes", "oom_kills"), 0)
    seen = Seen(minutes(1), {"one": {**use, "gpu_memory": {"GPU-a": 5}}})
    viewer = Viewer("ada")
    told = State((a_record(facts=a_facts()),), seen, {viewer: "1"}, {"one": 2}).told(viewer)
    assert told
    assert told["public"] == {"one": 2}
    state_validator().validate(json.loads(json.dumps({**told, "age": 1.5})))
