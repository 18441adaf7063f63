"""What a session asks of its hub: to be ended, and its own facts; nothing of others."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from bai_spawner.reasons import Ending
from bai_spawner.records import Query, Records
from tests.deployment import Deployment, Visitor, eventually
from tests.session import Session


@pytest.fixture
def session(deployment: Deployment, user: Visitor) -> Iterator[Session]:
    asked = {"mounts": [{"folder": "data"}], "resources": {"cpu": 1, "memory": "700MiB"}}
    assert user.start("one", asked, name="thesis").status_code == 201
    made = Session(deployment, user, "one")
    yield made
    made.http.close()


def test_a_session_knows_what_it_was_granted(session: Session, user: Visitor) -> None:
    told = session.http.get("/bai/api/session").json()
    assert (told["name"], told["user"], told["server"]) == ("thesis", user.user, "one")
    assert (told["resources"]["cpu"], told["resources"]["memory"]) == (1, 700 * 2**20)
    assert {"name": "data", "path": "data", "writable": True} in told["folders"]
    assert told["hub"] == "/hub/"


def test_what_would_be_lost_is_copied_into_a_folder_and_the_session_ends_as_on_request(
    deployment: Deployment, session: Session, user: Visitor
) -> None:
    session.run("sh", "-c", "echo kept >data/here.txt; echo saved >notes.txt")
    lost = session.http.get("/bai/api/losses").json()
    assert [entry["name"] for entry in lost["entries"] if not entry["hidden"]] == ["notes.txt"]
    asked = {"folder": "data", "names": ["notes.txt"]}
    answer = session.http.post("/bai/api/rescue", json=asked)
    assert answer.status_code == 202, answer.text
    assert eventually(lambda: session.http.get("/bai/api/rescue").json()["state"] == "done")
    assert session.http.post("/bai/api/terminate", json={}).status_code == 202
    assert eventually(lambda: not user.servers(), seconds=30)
    (copied,) = deployment.folder(user.user, "data").glob("thesis-*/notes.txt")
    assert copied.read_text() == "saved\n"
    records = Records(f"sqlite:///{deployment.state}/records.sqlite")

    def ended() -> bool:
        (record,) = records.page(deployment.hub_id, Query(user=user.user), limit=1).sessions
        return record.end is not None and record.end.ending is Ending.USER

    assert eventually(ended)
    records.close()


def test_a_sessions_token_may_end_its_own_server_and_no_other(
    deployment: Deployment, session: Session, user: Visitor
) -> None:
    assert user.start("two", {}).status_code == 201
    token = session.environ("1")["JUPYTERHUB_API_TOKEN"]
    headers = {"Authorization": f"token {token}"}

    def asked(method: str, path: str) -> int:
        url = f"{deployment.url}/hub/api{path}"
        return httpx.request(method, url, headers=headers).status_code

    scopes = httpx.get(f"{deployment.url}/hub/api/user", headers=headers).json()["scopes"]
    mine = f"!server={user.user}/one"
    assert {scope for scope in scopes if scope.startswith("delete:")} == {f"delete:servers{mine}"}
    assert asked("DELETE", f"/users/{user.user}/servers/two") in (403, 404)
    assert asked("DELETE", "/users/admin/server") in (403, 404)
    assert asked("POST", f"/users/{user.user}/servers/three") in (403, 404)
    assert asked("DELETE", f"/users/{user.user}") in (403, 404)
    assert set(user.servers()) == {"one", "two"}
    assert asked("DELETE", f"/users/{user.user}/servers/one") in (202, 204)
    assert eventually(lambda: set(user.servers()) == {"two"}, seconds=30)
