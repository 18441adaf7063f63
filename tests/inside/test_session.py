"""What a session says of itself."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bai_spawner.server_extension import session
from bai_spawner.server_extension.mounts import Folder
from bai_spawner.server_extension.session.facts import facts
from tests.inside.conftest import Serve

PATH = "bai/api/session"
STARTED = datetime(2026, 11, 26, 1, 52, tzinfo=UTC)
HOME = Path("/home/work")
FOLDERS = (
    Folder("data", HOME / "data", writable=True),
    Folder("shared models", HOME / "shared models", writable=False),
)
TOLD = {
    "BAI_SESSION_NAME": "brave-otter",
    "JUPYTERHUB_USER": "alice",
    "JUPYTERHUB_SERVER_NAME": "one",
    "JUPYTERHUB_BASE_URL": "/jupyter/",
    "BAI_ENVIRONMENT": "pytorch",
    "BAI_VERSION": "2.9",
    "BAI_RESOURCE_GROUP": "default",
    "CPU_LIMIT": "4",
    "MEM_LIMIT": "8589934592",
    "BAI_SHM_LIMIT": "67108864",
    "BAI_FGPU": "1.5",
    "BAI_GPU_MEMORY_MIB": "61440",
    "BAI_GPU_ISOLATION": "mps",
    "BAI_GPU_ENFORCEMENT": "cooperative",
}


def test_it_tells_what_the_hub_told() -> None:
    assert facts(TOLD, FOLDERS, HOME, STARTED) == {
        "name": "brave-otter",
        "user": "alice",
        "server": "one",
        "environment": "pytorch",
        "version": "2.9",
        "group": "default",
        "started": "2026-11-26T01:52:00+00:00",
        "resources": {
            "cpu": 4,
            "memory": 8 * 2**30,
            "shm": 64 * 2**20,
            "gpu": {
                "fgpu": "1.5",
                "memory": 60 * 2**30,
                "isolation": "mps",
                "enforcement": "cooperative",
            },
        },
        "folders": [
            {"name": "data", "path": "data", "writable": True},
            {"name": "shared models", "path": "shared models", "writable": False},
        ],
        "hub": "/jupyter/hub/",
    }


@pytest.mark.parametrize("missing", sorted(TOLD))
def test_what_the_hub_did_not_tell_is_empty(missing: str) -> None:
    environ = {name: value for name, value in TOLD.items() if name != missing}
    found = facts(environ, FOLDERS, HOME, STARTED)
    assert found != facts(TOLD, FOLDERS, HOME, STARTED)
    assert found["resources"]["gpu"] is None or missing != "BAI_FGPU"


def test_where_users_have_hosts_of_their_own_the_hub_is_on_another() -> None:
    environ = {**TOLD, "JUPYTERHUB_HOST": "https://hub.example.org"}
    assert facts(environ, (), HOME, STARTED)["hub"] == "https://hub.example.org/jupyter/hub/"


def test_outside_a_hub_it_knows_its_folders_alone() -> None:
    found = facts({}, FOLDERS, HOME, STARTED)
    assert found["resources"] == {"cpu": None, "memory": None, "shm": None, "gpu": None}
    assert (found["name"], found["hub"], len(found["folders"])) == ("", "/hub/", 2)


@pytest.mark.parametrize("value", ["", "lots", "-1", "1e3", "٣"])
def test_what_is_no_number_is_not_told_as_one(value: str) -> None:
    found = facts({**TOLD, "MEM_LIMIT": value}, (), HOME, STARTED)
    assert found["resources"]["memory"] is None


async def test_who_is_let_in_is_told(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in TOLD.items():
        monkeypatch.setenv(name, value)
    mounted = Folder("data", tmp_path / "work/data", writable=True)
    monkeypatch.setattr(session, "folders", lambda home: (mounted,))
    served = await serve("session")
    found = (await served.allowed.get(PATH)).json()
    started = served.app.web_app.settings["started"]
    assert found == facts(TOLD, (mounted,), tmp_path / "work", started)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_nobody_else_is(serve: Serve, method: str) -> None:
    served = await serve("session")
    assert (await served.stranger.request(method, PATH)).status_code in {403, 405}
    if method != "GET":
        assert (await served.allowed.request(method, PATH)).status_code == 405
    assert (await served.stranger.get(PATH)).status_code == 403
    served.forbidden()
    assert (await served.allowed.get(PATH)).status_code == 403


@pytest.mark.parametrize(("params", "field"), [({"user": "bob"}, "option"), ({"": "x"}, "option")])
async def test_there_are_no_options(serve: Serve, params: dict[str, Any], field: str) -> None:
    served = await serve("session")
    answer = await served.allowed.get(PATH, params=params)
    assert (answer.status_code, answer.json()["field"]) == (400, field)
