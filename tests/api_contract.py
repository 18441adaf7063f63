"""Holds answers of the service to its OpenAPI document, key by key."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from bai_spawner.service.openapi import document

JSON = "application/json"
NOT_SERVED = {403, 404, 405}
"""What an address may answer to a method that it does not have."""


def closed(schema: Any) -> Any:
    """The same, where an object has no key that is not described."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(one) for key, one in schema.items()}
    if isinstance(schema.get("properties"), dict):
        found.setdefault("additionalProperties", False)
    return found


def template_of(path: str) -> str | None:
    """The described path that an address below the service's is one of."""
    for template in document()["paths"]:
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, path):
            return str(template)
    return None


def resolved(described: dict[str, Any]) -> dict[str, Any]:
    """What a reference leads to; anything else is itself."""
    if "$ref" not in described:
        return described
    found: Any = document()
    for part in described["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return dict(found)


@cache
def validator(template: str, method: str, status: int) -> Draft202012Validator:
    """Of the JSON with which an operation answers."""
    answers = document()["paths"][template][method]["responses"]
    schema = resolved(answers[str(status)])["content"][JSON]["schema"]
    whole = {**closed(schema), "components": closed(document()["components"])}
    return Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)


def state_validator() -> Draft202012Validator:
    """Of the data of an event."""
    whole = {"$ref": "#/components/schemas/State", "components": closed(document()["components"])}
    return Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)


def assert_described(method: str, path: str, answer: httpx.Response) -> None:
    """Fail where an answer is not as the document says."""
    template = template_of("/" + path.partition("?")[0])
    if template is None:
        return
    operation = document()["paths"][template].get(method.lower())
    if operation is None:
        assert answer.status_code in NOT_SERVED | {503}, (method, path, answer.status_code)
        return
    described = operation["responses"].get(str(answer.status_code))
    assert described, f"{method} {template} answers {answer.status_code}, which is not described"
    content = resolved(described).get("content")
    if content is None:
        assert not answer.content
        return
    kind = answer.headers["Content-Type"].partition(";")[0]
    assert kind in content, (method, template, kind)
    if kind == JSON:
        validator(template, method.lower(), answer.status_code).validate(answer.json())


async def hold(answer: httpx.Response) -> None:
    """Have a client of a test's own hold every answer to the document, as its hook."""
    await answer.aread()
    path = answer.url.raw_path.decode().partition("/services/sessions/")[2]
    assert_described(answer.request.method, path, answer)
