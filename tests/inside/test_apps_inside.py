"""The session's apps over HTTP, with real processes: states, failures, directories."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from jupyter_server.auth.authorizer import AllowAllAuthorizer
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.inside.conftest import BASE, TOKEN, Serve, Served
from tests.inside.waiting import eventually

pytestmark = pytest.mark.filterwarnings(
    # upstream's own addresses ask who it is in another way than Jupyter looks for
    r"ignore:Extension endpoints without[\s\S]*(RemoteProxyHandler|IconHandler)"
)

ECHO = str(Path(__file__).parent / "echo_app.py")
API = "bai/api/apps/board"


@dataclass
class Board:
    """A server whose image declares apps, and what they leave behind."""

    served: Served
    work: Path
    pids: Path

    @property
    def http(self) -> httpx.AsyncClient:
        return self.served.allowed

    async def ask(self, method: str, url: str, **more: Any) -> Any:
        answer = await self.http.request(method, url, **more)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def until(self, state: str, app: str = "board") -> Any:
        """The app, once it is no longer about to be something else."""

        async def look() -> Any:
            found = await self.ask("GET", f"bai/api/apps/{app}")
            return found if found["state"] != "starting" else None

        found = await eventually(look)
        assert found["state"] == state, found
        return found

    async def run(self, app: str = "board", **body: Any) -> Any:
        begun = await self.http.post(f"bai/api/apps/{app}", json=body)
        assert begun.status_code == 202, begun.text
        return await self.until("running", app)

    def started(self) -> list[int]:
        """Ids of all processes that ever began to be the app."""
        return [int(pid) for pid in self.pids.read_text().split()] if self.pids.exists() else []


def status(pid: int) -> list[str]:
    """State, parent, process group and more of a process; state "" when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return [""]


def lives(pid: int) -> bool:
    """Whether there is such a process, and not only what is left of one."""
    return status(pid)[0] not in {"", "Z"}


async def gone(pid: int) -> bool:
    return not lives(pid)


MakeBoard = Callable[..., Awaitable[Board]]


@pytest.fixture
def board(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: Any) -> MakeBoard:
    """A session with these apps: ``await board(board={"command": …})``.

    What is given of an app is all that is said of it beside its name and its title.
    """
    run = tmp_path / "run"
    keep = "from bai_spawner.server_extension.output import keep_app as k"
    program = (sys.executable, "-c", f"{keep}; raise SystemExit(k(folder={str(run)!r}))")
    monkeypatch.setattr("bai_spawner.server_extension.apps.runner.PROGRAM", program)
    monkeypatch.setattr("bai_spawner.server_extension.apps.runner.RUN", run / "apps")
    file = tmp_path / "apps.json"
    monkeypatch.setattr("bai_spawner.apps.APPS_FILE", file)
    pids = tmp_path / "pids"

    async def make(**apps: dict[str, Any]) -> Board:
        said = [{"name": n, "title": n.title(), **more} for n, more in apps.items()]
        file.write_text(json.dumps(said))
        served = await serve(
            "apps",
            "apps.ports",
            config={
                "ServerApp": {
                    "jpserver_extensions": {
                        "bai_spawner.server_extension": True,
                        "jupyter_server_proxy": True,
                    }
                }
            },
        )
        return Board(served, tmp_path / "work", pids)

    return make


def echo(tmp_path: Path, *more: str, where: str = "--port={port}") -> list[str]:
    """The command of an app that answers."""
    return [sys.executable, ECHO, f"--pid-file={tmp_path / 'pids'}", where, *more]


def shell(script: str) -> list[str]:
    """The command of an app that does this; it is told a port, as every app is."""
    return ["/bin/sh", "-c", script, "{port}"]


# --- which there are ---


async def test_a_session_has_its_own_apps_and_those_of_its_image(board: MakeBoard) -> None:
    made = await board(
        board={"command": ["board", "{port}"], "icon": "/board.svg", "category": "Plots"},
        files={"path": "/lab/tree/data", "name": "data-tree"},
        other={"command": ["x", "{port}", "{directory}"], "asks": "directory"},
    )
    apps = {app["name"]: app for app in (await made.ask("GET", "bai/api/apps"))["apps"]}
    assert list(apps) == ["lab", "notebook", "terminal", "board", "data-tree", "other"]
    assert apps["board"] == {
        "name": "board",
        "title": "Board",
        "icon": "bai/apps/board/icon.svg",
        "category": "Plots",
        "url": "bai/apps/board",
        "asks": None,
        "state": "stopped",
        "message": "",
        "directory": "",
    }
    assert apps["lab"]["url"] == "lab"
    assert apps["terminal"]["url"] == "terminal/"
    assert apps["data-tree"] | {"title": ""} == {
        "name": "data-tree",
        "title": "",
        "icon": "",
        "category": "Other",
        "url": "lab/tree/data",
        "asks": None,
        "state": "running",
        "message": "",
        "directory": "",
    }
    assert apps["other"]["asks"] == "directory"
    assert await made.ask("GET", API) == apps["board"]


async def test_a_damaged_file_costs_the_images_apps_alone(
    board: MakeBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await board(board={"port": 1})
    apps = (await made.ask("GET", "bai/api/apps"))["apps"]
    assert [app["name"] for app in apps] == ["lab", "notebook", "terminal"]


# --- who may ---

RULES = [
    ("GET", "bai/api/apps", None),
    ("GET", API, None),
    ("POST", API, {"directory": "."}),
    ("DELETE", API, None),
    ("GET", f"{API}/output", None),
    ("GET", f"{API}/directories", None),
]


@pytest.mark.parametrize(("method", "url", "body"), RULES)
async def test_only_who_may_use_the_session_is_answered(
    board: MakeBoard, tmp_path: Path, method: str, url: str, body: Any
) -> None:
    made = await board(
        board={"command": echo(tmp_path, "{directory}"), "asks": "directory"},
    )
    refused = await made.served.stranger.request(method, url, json=body)
    assert refused.status_code == 403
    assert "apps" not in refused.json()
    allowed = await made.http.request(method, url, json=body)
    assert allowed.is_success, allowed.text
    made.served.forbidden()
    refused = await made.http.request(method, url, json=body)
    assert refused.status_code == 403
    assert "apps" not in refused.json()


async def test_a_stranger_starts_nothing_and_reaches_no_app(
    board: MakeBoard, tmp_path: Path
) -> None:
    made = await board(board={"command": echo(tmp_path)})
    stranger = made.served.stranger
    assert (await stranger.post(API, json={})).status_code == 403
    assert not made.started()
    await made.run()
    for method in ("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"):
        answer = await stranger.request(method, "board/")
        assert answer.status_code == 403, method
    url = str(made.http.base_url).replace("http", "ws", 1)
    with pytest.raises(InvalidStatus, match="403"):
        await connect(f"{url}board/ws")
    made.served.forbidden()
    assert (await made.http.get("board/")).status_code == 403
    with pytest.raises(InvalidStatus, match="403"):
        await connect(f"{url}board/ws", additional_headers={"Authorization": f"token {TOKEN}"})


async def test_a_page_of_another_origin_opens_no_websocket(
    board: MakeBoard, tmp_path: Path
) -> None:
    made = await board(board={"command": echo(tmp_path)})
    await made.run()
    url = str(made.http.base_url).replace("http", "ws", 1)
    async with httpx.AsyncClient(base_url=made.http.base_url) as browser:
        await browser.get("api/status", params={"token": TOKEN})
        cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    async with connect(f"{url}board/ws", additional_headers={"Cookie": cookie}) as socket:
        await socket.send("hello")
        assert await socket.recv() == "again: 'hello'"
    elsewhere: Any = "https://elsewhere.example"
    with pytest.raises(InvalidStatus, match="403"):
        await connect(f"{url}board/ws", origin=elsewhere, additional_headers={"Cookie": cookie})


@pytest.mark.parametrize(
    ("method", "url", "body", "status", "field"),
    [
        ("GET", "bai/api/apps?other=1", None, 400, "option"),
        ("GET", f"{API}?other=1", None, 400, "option"),
        ("GET", f"{API}/output?lines=0", None, 400, "lines"),
        ("GET", f"{API}/output?lines=201", None, 400, "lines"),
        ("GET", f"{API}/output?lines=1e1", None, 400, "lines"),
        ("GET", f"{API}/output?lines=0000000010000", None, 400, "lines"),
        ("GET", f"{API}/output?lines=%C2%B2", None, 400, "lines"),
        ("GET", f"{API}/output?lines={'9' * 9999}", None, 400, "lines"),
        ("GET", f"{API}/output?path=/etc/passwd", None, 400, "option"),
        ("GET", f"{API}/directories?below=a&below=b", None, 400, "below"),
        ("POST", API, {"directory": "."}, 400, "directory"),
        ("POST", API, {"directory": 1}, 400, "directory"),
        ("POST", API, {"command": ["sh"]}, 400, "body"),
        ("POST", API, [], 400, "body"),
        ("GET", "bai/api/apps/other", None, 404, None),
        ("POST", "bai/api/apps/other", {}, 404, None),
        ("DELETE", "bai/api/apps/other", None, 404, None),
        ("GET", "bai/api/apps/..%2F..%2Fetc/output", None, 404, None),
        ("GET", "bai/api/apps/other/directories", None, 404, None),
        ("DELETE", "bai/api/apps/lab", None, 409, None),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_is_done(
    board: MakeBoard,
    tmp_path: Path,
    method: str,
    url: str,
    body: Any,
    status: int,
    field: str | None,
) -> None:
    made = await board(board={"command": echo(tmp_path)})
    answer = await made.http.request(method, url, json=body)
    assert answer.status_code == status, answer.text
    assert answer.json().get("field") == field
    assert answer.json()["message"]
    assert len(answer.content) < 500
    assert (await made.ask("GET", API))["state"] == "stopped"


# --- how they live ---


async def test_an_app_starts_answers_and_stops(board: MakeBoard, tmp_path: Path) -> None:
    made = await board(board={"command": echo(tmp_path, "{base_url}")[:-1]})
    begun = await made.http.post(API, json={})
    assert (begun.status_code, begun.json()["state"]) == (202, "starting")
    await made.until("running")
    asked = await made.ask("GET", "board/some/where?a=%2F")
    assert (asked["path"], asked["query"]) == ("/some/where", "a=%2F")
    assert asked["directory"] == str(made.work)
    url = str(made.http.base_url).replace("http", "ws", 1)
    headers = {"Authorization": f"token {TOKEN}"}
    async with connect(f"{url}board/ws", additional_headers=headers) as socket:
        await socket.send("hello")
        assert await socket.recv() == "again: 'hello'"
    (pid,) = made.started()
    assert (await made.http.delete(API)).status_code == 204
    assert not lives(pid)
    assert (await made.ask("GET", API))["state"] == "stopped"
    assert (await made.http.get("board/")).status_code == 503


async def test_an_app_may_listen_on_a_socket_that_nobody_else_may_open(
    board: MakeBoard, tmp_path: Path
) -> None:
    made = await board(board={"command": echo(tmp_path, where="--socket={unix_socket}")})
    await made.run()
    assert (await made.ask("GET", "board/x"))["path"] == "/x"
    assert (tmp_path / "run/apps").stat().st_mode & 0o777 == 0o700
    url = str(made.http.base_url).replace("http", "ws", 1)
    headers = {"Authorization": f"token {TOKEN}"}
    async with connect(f"{url}board/ws", additional_headers=headers) as socket:
        await socket.send("hello")
        assert await socket.recv() == "again: 'hello'"


async def test_an_app_that_is_told_its_address_is_asked_by_it(
    board: MakeBoard, tmp_path: Path
) -> None:
    made = await board(board={"command": echo(tmp_path, "{base_url}")})
    await made.run()
    asked = await made.ask("GET", "board/some/where")
    assert asked["words"] == [f"{BASE}board"]
    assert asked["path"] == f"{BASE}board/some/where"


async def test_many_who_open_an_app_at_once_start_one_process(
    board: MakeBoard, tmp_path: Path
) -> None:
    made = await board(board={"command": echo(tmp_path)})
    answers = await asyncio.gather(*(made.http.post(API, json={}) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {202}
    await made.until("running")
    assert (await made.http.post(API, json={})).json()["state"] == "running"
    assert len(made.started()) == 1


async def test_an_app_that_ends_at_once_says_its_exit_code_and_what_it_wrote(
    board: MakeBoard,
) -> None:
    script = (
        "for i in $(seq 50); do echo line $i; done; echo '\033[31mno licence\033[0m' >&2; exit 3"
    )
    made = await board(board={"command": shell(script)})
    assert (await made.http.post(API, json={})).status_code == 202
    failed = await made.until("failed")
    first, *rest = failed["message"].splitlines()
    assert first == "Board ended with exit code 3 before it was ready"
    assert rest[-1] == "no licence"
    assert rest[-2] == "line 50"
    assert len(rest) == 20
    output = await made.http.get(f"{API}/output?lines=2")
    assert output.text == "line 50\nno licence"
    assert output.headers["content-type"] == "text/plain; charset=utf-8"
    assert output.headers["x-content-type-options"] == "nosniff"
    assert output.headers["cache-control"] == "no-store"


async def test_what_an_app_wrote_the_last_time_does_not_explain_this_time(
    board: MakeBoard, tmp_path: Path
) -> None:
    once = tmp_path / "once"
    script = f"[ -e {once} ] && exit 4; touch {once}; echo the first time; exit 3"
    made = await board(board={"command": shell(script)})
    await made.http.post(API, json={})
    assert "the first time" in (await made.until("failed"))["message"]
    await made.http.post(API, json={})
    assert (await made.until("failed"))["message"] == (
        "Board ended with exit code 4 before it was ready"
    )


async def test_an_app_that_never_listens_is_ended_and_says_so(
    board: MakeBoard, tmp_path: Path
) -> None:
    script = f"echo $$ >> {tmp_path / 'pids'}; echo thinking; sleep 1000"
    made = await board(board={"command": shell(script), "timeout": 1})
    await made.http.post(API, json={})
    failed = await made.until("failed")
    first, *rest = failed["message"].splitlines()
    assert first.startswith("Board did not listen on port ")
    assert first.endswith(" in 1 seconds")
    assert rest == ["thinking"]
    (pid,) = made.started()
    # the server ends while the app is being ended
    await made.served.app._cleanup()
    assert not lives(pid)


async def test_an_app_that_is_not_there_says_so(board: MakeBoard) -> None:
    made = await board(board={"command": ["/no/such/program", "{port}"]})
    await made.http.post(API, json={})
    message = (await made.until("failed"))["message"]
    assert message.startswith("Board ended with exit code 127 before it was ready")
    assert "/no/such/program: No such file or directory" in message


async def test_an_app_that_is_killed_says_so_and_starts_again(
    board: MakeBoard, tmp_path: Path
) -> None:
    made = await board(board={"command": echo(tmp_path)})
    await made.run()
    os.kill(made.started()[0], signal.SIGKILL)
    await eventually(lambda: is_state(made, "failed"))
    message = (await made.ask("GET", API))["message"]
    assert message.splitlines()[0] == "Board ended with exit code 137 (SIGKILL)"
    assert (await made.http.get("board/")).status_code == 503
    await made.run()
    assert (await made.ask("GET", "board/"))["path"] == "/"
    assert len(made.started()) == 2


async def test_an_app_whose_keeper_is_killed_leaves_nothing_behind(
    board: MakeBoard, tmp_path: Path
) -> None:
    made = await board(board={"command": echo(tmp_path)})
    await made.run()
    (pid,) = made.started()
    keeper = int(status(pid)[1])
    assert keeper != os.getpid()
    os.kill(keeper, signal.SIGKILL)
    await eventually(lambda: is_state(made, "failed"))
    await eventually(lambda: gone(pid))
    await made.run()


async def is_state(made: Board, state: str) -> bool:
    return bool((await made.ask("GET", API))["state"] == state)


@pytest.mark.parametrize(("code", "state"), [("0", "stopped"), ("5", "failed")])
async def test_an_app_that_ends_after_it_ran_says_how(
    board: MakeBoard, tmp_path: Path, code: str, state: str
) -> None:
    made = await board(board={"command": echo(tmp_path)})
    await made.run()
    await made.http.post("board/exit", content=code)
    await eventually(lambda: is_state(made, state))
    message = (await made.ask("GET", API))["message"].splitlines()
    assert message[0] == (
        "Board ended by itself" if code == "0" else "Board ended with exit code 5"
    )
    await made.run()


async def test_what_does_not_end_when_asked_is_ended(
    board: MakeBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bai_spawner.server_extension.apps.runner.GRACE", 0.5)
    script = f"trap '' TERM; echo $$ >> {tmp_path / 'pids'}; while :; do sleep 1; done"
    made = await board(board={"command": shell(script)})
    await made.http.post(API, json={})

    async def began() -> bool:
        return bool(made.started())

    await eventually(began)
    assert (await made.http.delete(API)).status_code == 204
    assert (await made.ask("GET", API))["state"] == "stopped"
    await eventually(lambda: gone(made.started()[0]))


async def test_apps_end_with_the_server(board: MakeBoard, tmp_path: Path) -> None:
    made = await board(board={"command": echo(tmp_path)})
    await made.run()
    (pid,) = made.started()
    await made.served.app._cleanup()
    assert not lives(pid)


async def test_stopping_while_it_starts_leaves_nothing_behind(
    board: MakeBoard, tmp_path: Path
) -> None:
    made = await board(board={"command": echo(tmp_path)})
    for _ in range(5):
        await asyncio.gather(
            made.http.post(API, json={}), made.http.delete(API), made.http.post(API, json={})
        )
    await made.http.delete(API)
    assert (await made.ask("GET", API))["state"] == "stopped"
    for pid in made.started():
        await eventually(lambda pid=pid: gone(pid))


async def test_what_listens_by_itself_is_found_when_it_does(
    board: MakeBoard, tmp_path: Path, unused_tcp_port: int
) -> None:
    made = await board(other={"port": unused_tcp_port})
    assert (await made.ask("GET", "bai/api/apps/other"))["state"] == "stopped"
    assert (await made.http.get("other/")).status_code == 503
    process = await asyncio.create_subprocess_exec(
        sys.executable, ECHO, f"--port={unused_tcp_port}"
    )
    try:
        await made.run("other")
        assert (await made.ask("GET", "other/x"))["path"] == "/x"
        assert (await made.http.delete("bai/api/apps/other")).status_code == 409
    finally:
        process.kill()
        await process.wait()
    assert (await made.ask("GET", "bai/api/apps/other"))["state"] == "stopped"


async def test_an_open_page_that_asks_for_news_is_no_activity(
    board: MakeBoard, tmp_path: Path
) -> None:
    made = await board(board={"command": echo(tmp_path)})
    await made.run()
    before = made.served.app.web_app.last_activity()
    await made.ask("GET", "board/data")
    await made.ask("GET", "bai/api/apps")
    url = str(made.http.base_url).replace("http", "ws", 1)
    headers = {"Authorization": f"token {TOKEN}"}
    async with connect(f"{url}board/ws", additional_headers=headers) as socket:
        await socket.send("hello")
        await socket.recv()
    assert made.served.app.web_app.last_activity() == before


# --- where they start ---


async def test_a_directory_is_where_an_app_starts_and_another_one_starts_it_again(
    board: MakeBoard, tmp_path: Path
) -> None:
    made = await board(board={"command": echo(tmp_path, "{directory}"), "asks": "directory"})
    for name in ("logs", "a {port} {0} $HOME"):
        (made.work / name).mkdir()
        assert (await made.run(directory=name))["directory"] == name
        asked = await made.ask("GET", "board/")
        assert asked["words"] == [str(made.work / name)]
        assert asked["directory"] == str(made.work / name)
    assert len(made.started()) == 2
    assert not lives(made.started()[0])
    # the same directory by another name is the same
    await made.run(directory="./logs/../a {port} {0} $HOME/")
    await made.run(directory=str(made.work / "a {port} {0} $HOME"))
    assert len(made.started()) == 2
    assert (await made.run(directory="."))["directory"] == "."


@pytest.mark.parametrize(
    "directory",
    [
        None,
        "",
        " ",
        "missing",
        "a-file",
        "..",
        "../run",
        "logs/../..",
        "/",
        "/etc",
        "//etc",
        "leaves",
        "leaves/etc",
        "loop",
        "a\0b",
        "\ud800",
        "x" * 5000,
        "logs/" * 900,
        "~",
        "$HOME",
        "--port=1",
    ],
)
async def test_a_directory_that_is_none_or_is_elsewhere_is_refused(
    board: MakeBoard, tmp_path: Path, directory: str | None
) -> None:
    made = await board(board={"command": echo(tmp_path, "{directory}"), "asks": "directory"})
    (made.work / "logs").mkdir()
    (made.work / "a-file").touch()
    (made.work / "leaves").symlink_to("/")
    (made.work / "loop").symlink_to("loop")
    body = {} if directory is None else {"directory": directory}
    answer = await made.http.post(API, content=json.dumps(body))
    assert answer.status_code == 400, answer.text
    assert answer.json()["field"] == "directory"
    assert len(answer.json()["message"]) < 400
    assert not made.started()


async def test_directories_are_suggested_as_they_are_typed(board: MakeBoard) -> None:
    made = await board()
    for name in ("logs/run1/deep", "logs/run2", "logs/other", ".hidden", "data", "näh"):
        (made.work / name).mkdir(parents=True)
    (made.work / "logs/run3").touch()
    (made.work / "leaves").symlink_to("/")
    (made.work / "stays").symlink_to("data")
    (made.work / os.fsdecode(b"d\xff")).mkdir()
    (made.work / "dtwo\nlines").mkdir()

    async def suggested(below: str) -> list[str]:
        url = "bai/api/apps/lab/directories"
        found = await made.ask("GET", url, params={"below": below})
        assert found["complete"] is True
        return list(found["directories"])

    assert await suggested("") == ["data", "logs", "näh", "stays"]
    assert await suggested("d") == ["data"]
    assert await suggested("logs/ru") == ["logs/run1", "logs/run2"]
    assert await suggested("logs/run1/") == ["logs/run1/deep"]
    assert await suggested(".") == [".hidden"]
    for nothing in ("/", "/etc/", "../", "leaves/", "missing/", "logs/run3/", "a\0/", "x" * 5000):
        assert await suggested(nothing) == [], nothing


async def test_suggestions_of_a_huge_directory_are_bounded(
    board: MakeBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await board()
    for i in range(150):
        (made.work / f"run{i:03}").mkdir()
    url = "bai/api/apps/lab/directories?below=ru"
    found = await made.ask("GET", url)
    assert (len(found["directories"]), found["complete"]) == (100, False)
    monkeypatch.setattr("bai_spawner.server_extension.apps.directories.MOST_SEEN", 10)
    found = await made.ask("GET", url)
    assert (len(found["directories"]), found["complete"]) == (10, False)


# --- what an app is not told ---


async def test_an_app_is_handed_nothing_that_opens_the_hub_or_the_session(
    board: MakeBoard,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "of-the-hub")
    made = await board(board={"command": echo(tmp_path)})
    await made.run()
    cookies = "jupyterhub-user-alice=hub; _xsrf=form; theme=dark; username-127-0-0-1-80=local"
    query = f"?a=1&token={TOKEN}&b=2&_xsrf=form"
    told = await made.ask("GET", f"board/x{query}", headers={"Cookie": cookies})
    assert (told["query"], told["token"]) == ("a=1&b=2", "")
    assert "Authorization" not in told["headers"]
    assert told["headers"]["Cookie"] == "theme=dark"
    other = await made.ask("GET", "board/x?token=", headers={"Authorization": f"token {TOKEN}"})
    assert other["query"] == ""
    url = str(made.http.base_url).replace("http", "ws", 1)
    async with connect(f"{url}board/ws?token={TOKEN}") as socket:
        await socket.send("x")
        assert "x" in str(await socket.recv())
    assert TOKEN not in capfd.readouterr().err


async def test_an_app_that_is_told_its_address_is_asked_for_it_whatever_its_users_name(
    board: MakeBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.inside.conftest.BASE", "/user/a@b%20c/one/")
    made = await board(board={"command": echo(tmp_path, "{base_url}")})
    await made.run()
    told = await made.ask("GET", "board/plain")
    assert told["path"] == f"{told['words'][0]}/plain"


async def test_an_authorizer_that_takes_its_time_is_waited_for(
    board: MakeBoard, tmp_path: Path
) -> None:
    made = await board(board={"command": echo(tmp_path)})
    await made.run()

    class Later(AllowAllAuthorizer):
        async def is_authorized(self, *_: Any) -> bool:  # type: ignore[override]
            await asyncio.sleep(0)
            return False

    made.served.app.web_app.settings["authorizer"] = Later(parent=made.served.app)
    assert (await made.http.get("board/")).status_code == 403


async def test_a_pipe_in_the_place_of_an_apps_output_holds_up_nobody(
    board: MakeBoard, tmp_path: Path
) -> None:
    output = tmp_path / "run/apps/board.log"
    script = f"rm -f {output}; mkfifo {output}; exit 3"
    made = await board(board={"command": shell(script)})
    assert (await made.http.post(API, json={})).status_code == 202
    assert "exit code 3" in (await made.until("failed"))["message"]
    answers = await asyncio.gather(*(made.http.get(f"{API}/output") for _ in range(10)))
    assert {answer.text for answer in answers} == {""}
