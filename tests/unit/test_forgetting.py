"""Forgetting servers that an earlier hub stopped, in a database that may be locked."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from sqlalchemy.exc import OperationalError

from bai_spawner import hub

LOCKED = OperationalError("SELECT", {}, Exception("database is locked"))


async def test_a_locked_database_is_told_of_and_asked_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With this task all that keeps sessions in step would end."""
    app = Mock()
    answers: list[Any] = [{7}, LOCKED, set()]
    asked: list[set[int] | None] = []

    def forget(_: Any, leftovers: set[int] | None) -> set[int]:
        asked.append(leftovers)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return set(answer)

    monkeypatch.setattr(hub, "LEFTOVERS_PAUSE", 0)
    monkeypatch.setattr(hub, "_forget", forget)
    monkeypatch.setattr(hub.JupyterHub, "instance", lambda: app)
    runtime: Any = SimpleNamespace(log=logging.getLogger("hub"))
    await hub._forget_leftovers(runtime)
    assert asked == [None, {7}, {7}]
    app.db.rollback.assert_called_once()
    assert "database is locked" in caplog.text
