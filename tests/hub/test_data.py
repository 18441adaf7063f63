"""The service's API of data folders with a real hub: what is told is so, and what is done holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.deployment import Deployment, Visitor, eventually

SERVICE = "/services/sessions/"
CORPUS = "ml-team/corpus"
OPTIONS = {
    "resources": {"cpu": 1, "memory": "600MiB", "shm": "64MiB"},
    "mounts": [{"folder": "thesis", "mode": "rw"}, {"folder": CORPUS, "mode": "rw"}],
}


class Folders:
    """One visitor's way to their folders, as a page's script has it."""

    def __init__(self, visitor: Visitor) -> None:
        page = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "no-cors"}
        answer = visitor.http.get(f"{SERVICE}api/visit", headers=page)
        self.visitor, self.token = visitor, answer.json()["xsrf_token"]

    def ask(self, method: str, path: str = "", **kwargs: Any) -> httpx.Response:
        """What the service answers."""
        headers = {"X-XSRFToken": self.token, "Sec-Fetch-Site": "same-origin"}
        headers["Sec-Fetch-Mode"] = "cors"
        url = f"{SERVICE}api/folders{path}"
        return self.visitor.http.request(method, url, headers=headers, **kwargs)

    def rows(self, **query: str) -> dict[str, dict[str, Any]]:
        """What is listed, by name."""
        answer = self.ask("GET", params=query)
        assert answer.status_code == 200, answer.text
        return {row["name"]: row for row in answer.json()["folders"]}


@pytest.fixture(scope="module")
def enter(deployment: Deployment) -> Iterator[Callable[[str], Folders]]:
    """Logs a user in, once."""
    known: dict[str, Folders] = {}

    def login(user: str) -> Folders:
        if user not in known:
            known[user] = Folders(deployment.login(user))
        return known[user]

    yield login
    for folders in known.values():
        folders.visitor.stop_all()
        folders.visitor.http.close()


@pytest.fixture(scope="module")
def curator(enter: Callable[[str], Folders]) -> Folders:
    """Who may write to the group's folder, and has a session that mounts it."""
    made = enter("curator")
    assert made.ask("POST", json={"name": "thesis"}).status_code == 201
    answer = made.visitor.start("one", OPTIONS, name="writing")
    assert answer.status_code == 201, answer.text
    return made


@pytest.fixture
def reader(enter: Callable[[str], Folders]) -> Folders:
    """Who only reads it."""
    return enter("reader")


def names(row: dict[str, Any]) -> list[str]:
    return [session["name"] for session in row["sessions"]]


def test_a_folder_that_was_made_on_the_page_is_mounted_and_written_to(
    deployment: Deployment, curator: Folders
) -> None:
    folder = deployment.folder("curator", "thesis")
    assert (folder.stat().st_uid, folder.stat().st_mode & 0o777) == (1000, 0o770)
    written = deployment.container("curator", "one").exec_run(["touch", "thesis/chapter"])
    assert written.exit_code == 0, written.output
    row = eventually(lambda: (r := curator.rows()["thesis"])["measured"] and r)
    assert row["permission"] == "rw"
    assert row["may"] == ["rename", "delete"]
    assert names(row) == ["writing"]
    local = curator.rows()[".local"]
    assert (local["automatic"], local["exists"], local["may"]) == (True, True, [])


def test_a_groups_folder_is_written_to_by_one_member_and_read_by_another(
    deployment: Deployment, curator: Folders, reader: Folders
) -> None:
    written = deployment.container("curator", "one").exec_run(["touch", "corpus/file"])
    assert written.exit_code == 0, written.output
    assert curator.rows()[CORPUS]["permission"] == "rw"
    assert reader.rows()[CORPUS]["permission"] == "ro"
    refused = reader.visitor.start("one", {"mounts": [{"folder": CORPUS, "mode": "rw"}]})
    assert refused.status_code == 400
    assert "may only be mounted read-only" in refused.json()["message"]


def test_a_session_is_told_to_its_user_and_to_superadmins_alone(
    curator: Folders, reader: Folders, admin: Visitor
) -> None:
    """S17."""
    root = Folders(admin)
    assert names(curator.rows()[CORPUS]) == ["writing"]
    assert names(reader.rows()[CORPUS]) == []
    assert names(root.rows(user="curator")["thesis"]) == ["writing"]
    assert names(root.rows(user="reader")[CORPUS]) == ["writing"]
    for user in ("curator", "nobody-of-this-name"):
        answer = reader.ask("GET", params={"user": user})
        assert (answer.status_code, answer.json()["message"][:5]) == (404, "user:")
    assert root.ask("GET", params={"user": "nobody-of-this-name"}).status_code == 404


def test_anothers_folder_is_as_if_it_were_not(
    deployment: Deployment, curator: Folders, reader: Folders, admin: Visitor
) -> None:
    assert "thesis" in curator.rows()
    for folders in (reader, Folders(admin)):
        for path in ("/thesis", "/..%2Fcurator%2Fthesis", f"/{CORPUS.replace('/', '%2F')}"):
            assert folders.ask("DELETE", path).status_code == 404
            assert folders.ask("PATCH", path, json={"name": "mine"}).status_code == 404
    assert deployment.folder("curator", "thesis").is_dir()


def test_what_a_session_mounts_is_kept_until_it_ended_and_then_goes(
    deployment: Deployment, curator: Folders
) -> None:
    for method in ("DELETE", "PATCH"):
        answer = curator.ask(method, "/thesis", json={"name": "book"})
        assert answer.status_code == 409
        assert (
            answer.json()["message"] == "'thesis' is mounted by writing: end what mounts it first"
        )
    assert curator.ask("DELETE", "/.local").status_code == 409
    curator.visitor.stop("one")
    assert eventually(lambda: not names(curator.rows()["thesis"]))
    assert curator.ask("PATCH", "/thesis", json={"name": "book"}).status_code == 200
    assert (deployment.folder("curator", "book") / "chapter").exists()
    assert curator.ask("DELETE", "/book").status_code == 204
    assert {"thesis", "book"}.isdisjoint(curator.rows())
    trash = deployment.state / "folders" / "trash"
    assert eventually(lambda: not list(trash.iterdir()))
    refused = curator.visitor.start("two", {"mounts": [{"folder": "book"}]})
    assert "no folder of yours" in refused.json()["message"]
