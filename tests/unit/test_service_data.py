"""The API of data folders by every door: who sees and changes which, and what is refused."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from tornado.web import Application, RequestHandler

pytest.importorskip("jupyterhub")

from bai_spawner import bulletin
from bai_spawner.catalog import Catalog
from bai_spawner.errors import FolderError, Problems
from bai_spawner.folders import FolderStore, NotChanged, Trash, Tree, Why
from bai_spawner.options import Mount
from bai_spawner.policy import Subject, select
from bai_spawner.reasons import End, Ending, Status
from bai_spawner.records import Records, RecordsError
from bai_spawner.service.app import make_app
from bai_spawner.service.board import Board
from bai_spawner.service.disk import Disk
from bai_spawner.service.feed import Viewer
from bai_spawner.service.shelf import Shelf, Whose
from tests.deployment import eventually
from tests.examples import small_catalog
from tests.recorded import a_facts
from tests.service import BASE, HUB, NO_CORS, PREFIX, FakeHub, Page, has_traceback, serving

NOW = datetime.now(UTC)
ODD = "ada/../gr ace?#%☃"
FOLDERS = {
    "user": {"create": ["data"], "automatic": [".local"], "most": 4},
    "group": {
        "ml-team": {
            "corpus": {"writers": {"users": ["grace"], "groups": ["curators"]}},
            "results": {"permission": "rw"},
        }
    },
}
FOLDER_KEYS = {
    *("name", "owner", "kind", "permission", "automatic", "exists", "size", "files", "more"),
    *("measured", "sessions", "may"),
}


class HubUsers(RequestHandler):
    """The hub's answer to who asks for a user: what `FakeHub.readable` says, by their token."""

    hub: FakeHub

    def get(self, _: str) -> None:
        token = self.request.headers["Authorization"].removeprefix("token ")
        path = self.request.path.partition("/users/")[2]
        found = self.hub.readable.get(token, {}).get(path)
        if found is None:
            self.set_status(404)
            self.finish({"status": 404, "message": "Not Found"})
        else:
            self.finish(found)


@pytest.fixture
async def hub() -> AsyncIterator[FakeHub]:
    made = FakeHub.instance()
    HubUsers.hub = made
    async with serving(Application([(r"/hub/api/users/(.+)", HubUsers)])) as url:
        made.api_url = f"{url}/hub/api"
        yield made
    made.close()


def offer(records: Records, catalog: Catalog) -> None:
    """Let the hub have published a catalogue."""
    body = bulletin.catalogue(catalog)
    records.publish(HUB, bulletin.CATALOGUE, body, at=datetime.now(UTC))


def a_catalog(sources: tuple[str, ...] = ("user", "group"), **folders: Any) -> Catalog:
    return small_catalog(
        folders={**FOLDERS, **folders}, policies=[{"name": "everyone", "folders": list(sources)}]
    )


@pytest.fixture
def records(url_of_records: str) -> Iterator[Records]:
    made = Records(url_of_records)
    offer(made, a_catalog())
    yield made
    made.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "folders"


@pytest.fixture
def shelf(url_of_records: str, root: Path) -> Iterator[Shelf]:
    board = Board(url_of_records, HUB)
    yield Shelf(board, root)
    board.records.close()


@pytest.fixture
async def url(hub: FakeHub, shelf: Shelf) -> AsyncIterator[str]:
    async with serving(make_app(PREFIX, BASE, shelf._board, shelf=shelf)) as found:
        yield found


@pytest.fixture
async def ada(login: Callable[..., Any], records: Records) -> Page:
    return await login("ada", groups=["ml-team"])


@pytest.fixture
async def superadmin(login: Callable[..., Any], hub: FakeHub, records: Records) -> Page:
    page = await login("root", admin=True)
    model = {"name": "ada", "groups": ["ml-team"]}
    odd = {"name": ODD, "groups": []}
    encoded = "ada%2F..%2Fgr%20ace%3F%23%25%E2%98%83"
    hub.readable[page.token] = {"ada": model, encoded: odd}
    return page


def launch(records: Records, session: str, *folders: str, **facts: Any) -> None:
    """A session that runs."""
    known = {"server": f"server-{session}", "name": f"name{session}", "folders": folders}
    records.begin(a_facts(session, **{**known, **facts}), at=NOW, status=Status.RUNNING)


async def listed(page: Page, query: str = "") -> dict[str, Any]:
    answer = await page.ask("GET", f"api/folders{query}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def rows(page: Page, query: str = "") -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in (await listed(page, query))["folders"]}


async def make(page: Page, name: str) -> httpx.Response:
    return await page.ask("POST", "api/folders", json={"name": name})


async def rename(page: Page, name: str, new: str) -> httpx.Response:
    return await page.ask("PATCH", f"api/folders/{name}", json={"name": new})


async def delete(page: Page, name: str) -> httpx.Response:
    return await page.ask("DELETE", f"api/folders/{name}")


def told(answer: httpx.Response) -> str:
    message: str = answer.json()["message"]
    return message


async def until(question: Callable[[], Any]) -> None:
    assert await asyncio.to_thread(eventually, question, every=0.02)


# ---- the list


async def test_a_user_sees_what_they_may_mount(ada: Page, root: Path) -> None:
    (root / "users" / "ada" / "thesis").mkdir(parents=True)
    (root / "users" / "eve" / "hers").mkdir(parents=True)
    found = await listed(ada)
    assert found.keys() == {"folders", "own", "most", "rule", "writable"}
    assert (found["own"], found["most"], found["writable"]) == (1, 4, True)
    assert "1 to 64 letters" in found["rule"]
    assert all(folder.keys() == FOLDER_KEYS for folder in found["folders"])
    assert [
        (f["name"], f["owner"], f["kind"], f["permission"], f["automatic"], f["exists"], f["may"])
        for f in found["folders"]
    ] == [
        (".local", "ada", "user", "rw", True, False, []),
        ("data", "ada", "user", "rw", False, False, []),
        ("thesis", "ada", "user", "rw", False, True, ["rename", "delete"]),
        ("ml-team/corpus", "ml-team", "group", "ro", False, False, []),
        ("ml-team/results", "ml-team", "group", "rw", False, False, []),
    ]


async def test_of_a_groups_members_some_may_write(login: Callable[..., Any], ada: Page) -> None:
    grace = await login("grace", groups=["ml-team"])
    curator = await login("carl", groups=["ml-team", "curators"])
    stranger = await login("grace2", groups=["curators"])
    found = {
        page: (await rows(page)).get("ml-team/corpus", {}).get("permission")
        for page in (ada, grace, curator, stranger)
    }
    assert list(found.values()) == ["ro", "rw", "rw", None]


async def test_the_policy_says_whose_folders_there_are(
    ada: Page, records: Records, root: Path
) -> None:
    (root / "users" / "ada" / "thesis").mkdir(parents=True)
    for sources, names in ((("user",), {".local", "data", "thesis"}), ((), set())):
        offer(records, a_catalog(sources))
        found = await listed(ada)
        assert {folder["name"] for folder in found["folders"]} == names
        assert found["writable"] is bool(names)
    assert found["own"] == 0
    for answer in (await make(ada, "x"), await rename(ada, "thesis", "x")):
        assert (answer.status_code, told(answer)) == (403, "you may not have folders of your own")
    assert (await delete(ada, "thesis")).status_code == 403
    assert (root / "users" / "ada" / "thesis").is_dir()


async def test_sizes_fill_in_as_they_are_counted(
    ada: Page, root: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = root / "users" / "ada" / "thesis"
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(b"x" * 10_000)
    go, count = threading.Event(), shelf._sizes._measure
    monkeypatch.setattr(shelf._sizes, "_measure", lambda one: go.wait() and count(one))
    first = (await rows(ada))["thesis"]
    assert (first["size"], first["files"], first["measured"]) == (None, None, None)
    go.set()
    await until(lambda: shelf._sizes.of(folder))
    found = (await rows(ada))["thesis"]
    assert (found["files"], found["more"]) == (1, False)
    assert found["size"] >= 10_000
    go.clear()
    renamed = (await rename(ada, "thesis", "book")).json()
    assert (renamed["size"], renamed["measured"]) == (found["size"], found["measured"])
    await delete(ada, "book")
    again = (await make(ada, "book")).json()
    assert (again["size"], again["files"], again["measured"]) == (None, None, None)
    go.set()


async def test_nothing_is_known_of_others_sessions_on_a_groups_folder(
    ada: Page, login: Callable[..., Any], records: Records, superadmin: Page
) -> None:
    """S17."""
    grace = await login("grace", groups=["ml-team"])
    launch(records, "1", "ml-team/corpus:ro", "thesis:rw")
    launch(records, "2", "ml-team/corpus:rw", "data:rw", user="grace")
    launch(records, "3", "ml-team/corpus:ro", hub="another")
    launch(records, "4", "ml-team/corpus:ro")
    records.end("4", End(Ending.USER), at=NOW)
    mine = {"id": "1", "name": "name1", "user": "ada"}
    hers = {"id": "2", "name": "name2", "user": "grace"}
    found = await rows(ada)
    assert found["ml-team/corpus"]["sessions"] == [mine]
    assert found["data"]["sessions"] == [], "of the same name, and another's"
    found = await rows(grace)
    assert found["ml-team/corpus"]["sessions"] == [hers]
    assert found["data"]["sessions"] == [hers]
    found = await rows(superadmin, "?user=ada")
    assert sorted(one["id"] for one in found["ml-team/corpus"]["sessions"]) == ["1", "2"]
    assert found["data"]["sessions"] == []


# ---- make, rename, delete


async def test_a_folder_is_made_renamed_and_deleted(ada: Page, root: Path, shelf: Shelf) -> None:
    answer = await make(ada, "thesis")
    assert answer.status_code == 201
    counted = {"size": None, "files": None, "measured": None}  # aside, at any moment
    assert answer.json() | counted == (await rows(ada))["thesis"] | counted
    folder = root / "users" / "ada" / "thesis"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "file").touch()
    answer = await rename(ada, "thesis", "book")
    assert answer.status_code == 200
    assert answer.json()["name"] == "book"
    assert (root / "users" / "ada" / "book" / "deep" / "file").exists()
    answer = await delete(ada, "book")
    assert (answer.status_code, answer.content) == (204, b"")
    assert "book" not in await rows(ada)
    await until(lambda: not list((root / "trash").iterdir()))
    assert (await delete(ada, "book")).status_code == 404


BODIES: list[tuple[Any, str]] = [
    ("{", "body: is not JSON"),
    ("[]", "body: must be an object, not a list"),
    ("null", "body: must be an object, not null"),
    ("{}", "name: is missing"),
    ('{"name": null}', "name: must be text, not null"),
    ('{"name": 5}', "name: must be text, not 5"),
    ('{"name": ["x"]}', "name: must be text, not a list"),
    ('{"name": "x", "path": "/etc"}', "body: 'path' is not a known key; known: name"),
    ('{"name": "a/b"}', "name: 'a/b' is no name for a folder: 1 to 64 letters"),
    ('{"name": ".."}', "name: '..' is no name for a folder"),
    ('{"name": ".ssh"}', "name: '.ssh' is no name for a folder"),
    ('{"name": "<b>"}', "name: '<b>' is no name for a folder"),
    ('{"name": "\\u0000"}', "name: '\\\\x00' is no name for a folder"),
    (json.dumps({"name": "%s%d{}"}), "name: '%s%d{}' is no name for a folder"),
    (json.dumps({"name": "x" * 10_000}), f"name: '{'x' * 80}… is no name for a folder"),
    ('{"name": "\\ud800"}', "name: '\\\\ud800' is no name for a folder"),
    ('{"name": ".local"}', "name: '.local' is mounted at every launch"),
    ('{"name": "thesis"}', "name: 'thesis' is the name of another folder of yours"),
]


@pytest.mark.parametrize(("body", "message"), BODIES)
async def test_a_bad_name_is_refused_with_the_field_and_the_rule(
    ada: Page, root: Path, body: str, message: str
) -> None:
    await make(ada, "thesis")
    for method, path in (("POST", ""), ("PATCH", "/thesis")):
        answer = await ada.ask(method, f"api/folders{path}", content=body)
        assert answer.status_code in {400, 409}
        assert told(answer).startswith(message.replace("\\\\", "\\"))
        assert not has_traceback(answer.text)
        assert len(answer.text) < 500
    assert [path.name for path in (root / "users" / "ada").iterdir()] == ["thesis"]


NOT_ONES_OWN = [
    *("data", "none", "ml-team%2Fcorpus", "..%2Feve%2Fhers", "..", "%2E%2E", "..%2F..%2Ftrash"),
    *("%00", "a%0Ab", "%2Fetc%2Fpasswd", "thesis%2F", "thesis%2F..%2Fthesis", "THESIS", "%25"),
]


@pytest.mark.parametrize("name", NOT_ONES_OWN)
async def test_what_is_not_ones_own_answers_like_what_is_not_there(
    ada: Page, root: Path, name: str
) -> None:
    for path in ("users/eve/hers", "users/ada/thesis", "groups/ml-team/corpus"):
        (root / path).mkdir(parents=True)
    for answer in (await rename(ada, name, "mine"), await delete(ada, name)):
        assert answer.status_code == 404, answer.text
        assert not has_traceback(answer.text)
    for path in ("users/eve/hers", "users/ada/thesis", "groups/ml-team/corpus"):
        assert (root / path).is_dir()
    assert not (root / "trash").exists() or not list((root / "trash").iterdir())


async def test_what_every_launch_mounts_is_neither_renamed_nor_deleted(
    ada: Page, root: Path
) -> None:
    (root / "users" / "ada" / ".local").mkdir(parents=True)
    for answer in (await rename(ada, ".local", "mine"), await delete(ada, ".local")):
        assert answer.status_code == 409
        assert told(answer) == "'.local' is mounted at every launch, so it stays as it is"


async def test_no_more_folders_are_made_than_the_catalogue_allows_however_many_ask_at_once(
    ada: Page, root: Path
) -> None:
    answers = await asyncio.gather(*(make(ada, f"f{number}") for number in range(12)))
    assert sorted(answer.status_code for answer in answers) == [201] * 4 + [409] * 8
    assert len(list((root / "users" / "ada").iterdir())) == 4
    refused = await make(ada, "one-more")
    assert told(refused) == "you have 4 folders, and may not have more: delete one first"


# ---- in use


async def test_what_a_live_session_mounts_is_not_changed_and_the_session_is_named(
    ada: Page, records: Records, root: Path
) -> None:
    await make(ada, "thesis")
    launch(records, "1", "thesis:ro", ".local:rw")
    launch(records, "2", "thesis:rw", user="grace", name="hersecret")
    for answer in (await delete(ada, "thesis"), await rename(ada, "thesis", "book")):
        assert answer.status_code == 409
        assert told(answer) == "'thesis' is mounted by name1: end what mounts it first"
    assert (root / "users" / "ada" / "thesis").is_dir()
    records.end("1", End(Ending.USER), at=NOW)
    assert (await rename(ada, "thesis", "book")).status_code == 200
    launch(records, "3", "book:rw", hub="another")
    assert (await delete(ada, "book")).status_code == 204


@pytest.mark.parametrize("status", [Status.PENDING, Status.PREPARING, Status.TERMINATING])
async def test_a_session_that_begins_or_ends_counts_as_live(
    ada: Page, records: Records, status: Status
) -> None:
    await make(ada, "thesis")
    records.begin(a_facts("1", folders=("thesis:rw",)), at=NOW, status=status)
    assert (await delete(ada, "thesis")).status_code == 409


@pytest.mark.parametrize("change", ["rename", "delete"])
async def test_a_session_that_comes_in_between_keeps_its_folder(
    ada: Page, records: Records, root: Path, shelf: Shelf, change: str, monkeypatch: Any
) -> None:
    await make(ada, "thesis")
    before = (root / "users" / "ada" / "thesis").stat().st_ino
    running = type(shelf._board.records).running
    looks = iter(range(100))

    def launching(self: Records, hub: str) -> Any:
        found = running(self, hub)
        if next(looks) == 0:  # they have just been looked at, and the folder is moved next
            launch(records, "1", "thesis:rw")
        return found

    monkeypatch.setattr(type(shelf._board.records), "running", launching)
    answer = await (rename(ada, "thesis", "book") if change == "rename" else delete(ada, "thesis"))
    assert (answer.status_code, "name1" in told(answer)) == (409, True)
    assert (root / "users" / "ada" / "thesis").stat().st_ino == before
    assert [path.name for path in (root / "users" / "ada").iterdir()] == ["thesis"]


def test_a_launch_and_a_deletion_at_once_never_lose_a_folder(
    records: Records, root: Path, shelf: Shelf
) -> None:
    """Whoever comes first: a session has the folder that it was to have, or it does not start."""
    subject = Subject("ada")
    catalog = a_catalog()
    store, policy = FolderStore(root, catalog), select(catalog, subject)
    whose = Whose(subject, Viewer("ada"))
    begun = threading.Barrier(2)

    def start(session: str) -> bool:
        problems = Problems()
        asked = store.resolve((Mount("thesis", "rw"),), subject, policy, problems)
        assert not problems.found
        begun.wait()
        time.sleep(number // 5 % 5 * 0.002)
        launch(records, session, "thesis:rw")
        try:
            pinned = store.prepare("ada", asked, defaults=True)
            store.verify(pinned)
        except FolderError:
            return False
        return True

    def remove() -> Why | None:
        begun.wait()
        time.sleep(number % 5 * 0.002)
        try:
            shelf.delete(whose, "thesis")
        except NotChanged as error:
            return error.why
        return None

    outcomes = set()
    with ThreadPoolExecutor(2) as threads:
        for number in range(50):
            folder = root / "users" / "ada" / "thesis"
            if not folder.exists():
                shelf.create(whose, "thesis")
            (folder / "file").write_text(str(number))
            started, deleted = threads.submit(start, f"s{number}"), threads.submit(remove)
            outcome = started.result(), deleted.result()
            outcomes.add(outcome[1])
            assert outcome != (True, None)
            there = (folder / "file").exists() and (folder / "file").read_text() == str(number)
            assert there is (outcome[1] is not None)
            records.end(f"s{number}", End(Ending.USER), at=NOW)
            assert {path.name for path in folder.parent.iterdir()} <= {"thesis", "data", ".local"}
    assert outcomes == {None, Why.IN_USE}, "each came first"


async def test_while_the_records_are_away_nothing_is_changed(
    ada: Page, root: Path, shelf: Shelf, monkeypatch: Any, caplog: Any
) -> None:
    await make(ada, "thesis")

    def away(*_: object) -> Any:
        raise RecordsError("Cannot read the records: a secret path")

    monkeypatch.setattr(type(shelf._board.records), "running", away)
    for answer in (
        await ada.ask("GET", "api/folders"),
        await delete(ada, "thesis"),
        await rename(ada, "thesis", "x"),
    ):
        assert answer.status_code == 503
        assert told(answer) == "the records cannot be read now; try again"
    assert [path.name for path in (root / "users" / "ada").iterdir()] == ["thesis"]


async def test_before_the_hub_published_what_it_offers_it_is_asked_to_wait(
    login: Callable[..., Any],
) -> None:
    page = await login("ada")
    for answer in (await page.ask("GET", "api/folders"), await make(page, "x")):
        assert answer.status_code == 503
        assert "only just begun" in told(answer)


# ---- the disk


async def test_a_disk_that_hangs_is_said_and_holds_up_nothing_else(
    ada: Page, shelf: Shelf, monkeypatch: Any
) -> None:
    shelf.disk = Disk(seconds=0.2)
    hang = threading.Event()
    monkeypatch.setattr(Shelf, "listing", lambda *_: hang.wait(10))
    try:
        answers = await asyncio.gather(*(ada.ask("GET", "api/folders") for _ in range(6)))
        assert {answer.status_code for answer in answers} == {503}
        assert "does not answer now" in told(answers[0])
        assert (await ada.ask("GET", "api/sessions")).status_code == 200
    finally:
        hang.set()


async def test_a_disk_that_refuses_is_said_without_a_path(
    ada: Page, root: Path, monkeypatch: Any, caplog: Any
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system", str(root))

    monkeypatch.setattr(os, "mkdir", refuse)
    answer = await make(ada, "thesis")
    assert answer.status_code == 503
    assert "refused it (Read-only file system)" in told(answer)
    assert str(root) not in answer.text


async def test_what_is_left_in_the_trash_is_settled_when_the_service_begins(
    ada: Page, root: Path, shelf: Shelf
) -> None:
    trash = Trash(Tree(root))
    for name in ("taken", "condemned"):
        await make(ada, name)
        (root / "users" / "ada" / name / "file").touch()
    trash.take("ada", "taken")
    trash.condemn(trash.take("ada", "condemned"))
    fresh = Shelf(shelf._board, root)
    fresh.begin()
    await until(lambda: not list((root / "trash").iterdir()))
    assert [path.name for path in (root / "users" / "ada").iterdir()] == ["taken"]
    assert (root / "users" / "ada" / "taken" / "file").exists()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the service logged, among the lines of others."""
    return [
        record.getMessage() for record in caplog.records if record.name == "bai_spawner.service"
    ]


async def test_what_cannot_be_removed_is_told_to_the_administrator_in_a_line(
    ada: Page, root: Path, shelf: Shelf, monkeypatch: Any, caplog: Any
) -> None:
    await make(ada, "thesis")
    (root / "users" / "ada" / "thesis" / "evil\nERROR all is lost").touch()

    def refuse(name: str, **_: object) -> None:
        raise PermissionError(1, "Operation not permitted", name)

    monkeypatch.setattr(os, "unlink", refuse)
    with caplog.at_level(logging.ERROR):
        assert (await delete(ada, "thesis")).status_code == 204
        await until(lambda: said(caplog))
    (line,) = said(caplog)
    assert "\n" not in line
    assert "Operation not permitted 'evil\\nERROR all is lost'" in line


# ---- who may ask


async def test_a_superadmin_looks_at_anothers_folders_and_changes_only_their_own(
    superadmin: Page, ada: Page, root: Path
) -> None:
    await make(ada, "thesis")
    found = await listed(superadmin, "?user=ada")
    assert found["writable"] is False
    assert found["own"] == 1
    assert {folder["name"] for folder in found["folders"]} >= {"thesis", "ml-team/corpus"}
    assert not any(folder["may"] for folder in found["folders"])
    assert (await rows(superadmin, "?user=ada"))["thesis"]["owner"] == "ada"
    for answer in (await delete(superadmin, "thesis"), await rename(superadmin, "thesis", "x")):
        assert answer.status_code == 404
    for method, path in (("DELETE", "/thesis"), ("PATCH", "/thesis"), ("POST", "")):
        answer = await superadmin.ask(method, f"api/folders{path}?user=ada", json={"name": "x"})
        assert (answer.status_code, told(answer)[:6]) == (400, "query:")
    assert [path.name for path in (root / "users").iterdir()] == ["ada"]


@pytest.mark.parametrize("user", [ODD, ""])
async def test_a_user_of_any_name_is_looked_at(superadmin: Page, user: str) -> None:
    answer = await superadmin.ask("GET", "api/folders", params={"user": user})
    assert answer.status_code == 200
    assert answer.json()["folders"][0]["owner"] == (user or "root")


async def test_who_does_not_exist_answers_like_who_may_not_be_seen(
    ada: Page, superadmin: Page, hub: FakeHub
) -> None:
    hub.readable[ada.token] = {"grace": {"name": "grace", "groups": []}}
    answers = [
        await ada.ask("GET", "api/folders", params={"user": user})
        for user in ("grace", "nobody", "root", "../ada", "ada ")
    ]
    answers.append(await superadmin.ask("GET", "api/folders", params={"user": "nobody"}))
    assert {(a.status_code, told(a)) for a in answers[:4]} == {
        (404, "user: there is no such user here")
    }
    assert answers[-1].status_code == 404


async def test_an_unknown_key_in_the_query_is_refused(ada: Page) -> None:
    answer = await ada.ask("GET", "api/folders?users=eve")
    assert (answer.status_code, told(answer)) == (
        400,
        "query: 'users' is not a known key; known: user",
    )


async def test_two_users_whose_names_look_alike_have_folders_of_their_own(
    login: Callable[..., Any], ada: Page, root: Path
) -> None:
    for name in ("Ada", "ada ", "../ada", ODD):
        page = await login(name)
        assert (await make(page, "thesis")).status_code == 201
        assert (await make(page, "thesis")).status_code == 409
    assert "thesis" not in await rows(ada)
    assert len(list((root / "users").iterdir())) == 4


ADDRESSES = [("GET", ""), ("POST", ""), ("PATCH", "/thesis"), ("DELETE", "/thesis")]


@pytest.mark.parametrize(("method", "path"), ADDRESSES)
async def test_who_is_no_visitor_is_refused_by_every_method(
    hub: FakeHub, url: str, ada: Page, root: Path, method: str, path: str
) -> None:
    """S14, S27."""
    await make(ada, "thesis")
    session = hub.add("a session", scopes=["access:servers!server=ada/one"])
    service = hub.add("a service", kind="service")
    for token in (session, service):
        hub.models[token]["name"] = "ada"
    doors: list[tuple[Page, dict[str, Any]]] = [
        (Page(url, ""), {}),
        (Page(url, ""), {"headers": {"Authorization": f"token {session}"}}),
        (Page(url, ""), {"headers": {"Authorization": f"token {service}"}}),
    ]
    if method != "GET":
        doors += [
            (ada, {"headers": {"X-XSRFToken": "wrong"}}),
            (ada, {"headers": {"X-XSRFToken": ""}}),
            (ada, {"headers": NO_CORS}),
        ]
    for page, options in doors:
        answer = await page.ask(method, f"api/folders{path}", json={"name": "x"}, **options)
        assert answer.status_code == 403, (options, answer.text)
        assert not has_traceback(answer.text)
    for page, _ in doors[:3]:
        await page.http.aclose()
    assert [one.name for one in (root / "users" / "ada").iterdir()] == ["thesis"]


@pytest.mark.parametrize("method", ["PUT", "HEAD", "OPTIONS"])
async def test_other_methods_are_none(ada: Page, method: str) -> None:
    for path in ("api/folders", "api/folders/thesis"):
        assert (await ada.ask(method, path)).status_code == 405
