"""Whom a question is about that may be about another user."""

from __future__ import annotations

from http import HTTPStatus

from tornado.web import HTTPError

from bai_spawner.policy import Subject
from bai_spawner.service.handlers import Known
from bai_spawner.service.hub_api import ask_hub


def no_user() -> HTTPError:
    """The answer about who does not exist, or may not be seen (S17)."""
    return HTTPError(404, "user: there is no such user here")


async def another(handler: Known, name: str) -> Subject:
    """Another user, as the hub tells the visitor's own token.

    Raises:
        HTTPError: 404, it tells nothing of them; 503, it does not answer.
    """
    told = await ask_hub(handler, "GET", "users", name)
    model = told.model if told.status == HTTPStatus.OK and isinstance(told.model, dict) else {}
    if model.get("name") != name or "groups" not in model:
        raise no_user()
    return Subject(name, frozenset(model["groups"]))
