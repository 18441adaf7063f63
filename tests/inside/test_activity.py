"""When a session was last used: asked of a real server, with a real kernel."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from bai_spawner.server_extension.activity import terminals
from bai_spawner.server_extension.activity.terminals import Terminals
from bai_spawner.server_extension.activity.watch import JOB, KERNEL, Watch
from tests.inside.conftest import Serve, Served

PATH = "bai/api/activity"


@pytest.fixture(autouse=True)
def no_terminals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of this machine are none of a session's."""
    monkeypatch.setattr(terminals, "PTS", tmp_path / "pts")


async def told(served: Served) -> dict[str, Any]:
    answer = await served.allowed.get(PATH)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def until(question: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await question():  # noqa: ASYNC110 - what is waited for is in other processes
            await asyncio.sleep(0.02)


async def test_a_server_was_used_when_it_was_started(serve: Serve) -> None:
    served = await serve("activity")
    found = await told(served)
    assert found == {
        "last": found["last"],
        "busy": False,
        "because": "",
        "kernels": None,
        "terminals": None,
    }
    assert datetime.fromisoformat(found["last"]).utcoffset() is not None


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_only_who_is_let_in_is_told(serve: Serve, method: str) -> None:
    served = await serve("activity")
    assert (await served.stranger.request(method, PATH)).status_code in {403, 405}
    if method != "GET":
        assert (await served.allowed.request(method, PATH)).status_code == 405
    served.forbidden()
    assert (await served.allowed.get(PATH)).status_code == 403
    assert (await served.stranger.get(PATH)).status_code == 403


async def test_there_are_no_options(serve: Serve) -> None:
    served = await serve("activity")
    answer = await served.allowed.get(PATH, params={"since": "1"})
    assert (answer.status_code, answer.json()["field"]) == (400, "option")


async def test_what_an_open_tab_asks_by_itself_is_no_use(serve: Serve) -> None:
    served = await serve("activity")
    before = (await told(served))["last"]
    for path in ("api/contents", "api/sessions", "api/kernels", "api/kernelspecs", "api/status"):
        assert (await served.allowed.get(path)).status_code == 200
    assert (await told(served))["last"] == before


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "api/contents/a.txt", {"type": "file", "format": "text", "content": "new"}),
        ("PUT", "api/contents/new", {"type": "directory"}),
        ("POST", "api/contents", {"type": "notebook"}),
        ("POST", "api/contents", {"copy_from": "a.txt"}),
        ("PATCH", "api/contents/a.txt", {"path": "b.txt"}),
        ("DELETE", "api/contents/a.txt", None),
    ],
)
async def test_a_change_to_files_is_use(
    serve: Serve, tmp_path: Path, method: str, path: str, body: Any
) -> None:
    served = await serve("activity")
    (tmp_path / "work/a.txt").write_text("old")
    before = (await told(served))["last"]
    answer = await served.allowed.request(method, path, json=body)
    assert answer.status_code < 300, answer.text
    assert (await told(served))["last"] > before


async def test_the_hub_is_told_the_same(serve: Serve) -> None:
    """`last_activity` is what JupyterHub's extension sends; upstream's moves with each request."""
    served = await serve("activity")
    before = served.app.web_app.last_activity()
    await served.allowed.get("api/contents")
    assert served.app.web_app.last_activity() == before
    status = (await served.allowed.get("api/status")).json()
    assert datetime.fromisoformat(status["last_activity"]) == before
    await served.allowed.put("api/contents/new", json={"type": "directory"})
    assert served.app.web_app.last_activity() > before


async def test_a_job_in_a_terminal_is_use_up_to_its_end(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is seen there is in test_terminals_in_use."""
    served = await serve("activity")
    monkeypatch.setattr(terminals, "look", lambda: Terminals(0.0, busy=True))
    first, second = await told(served), await told(served)
    assert (second["busy"], second["because"]) == (True, JOB)
    assert first["last"] < second["last"] == second["terminals"]
    monkeypatch.setattr(terminals, "look", lambda: Terminals(0.0, busy=False))
    third = await told(served)
    assert (third["busy"], third["because"]) == (False, "")
    assert third["last"] == second["last"]


async def test_it_looks_by_itself_and_goes_on_when_it_cannot_see(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = await serve()
    looks = iter([OSError("no /proc"), Terminals(0.0, busy=True)])
    seen = asyncio.Event()

    def look() -> Terminals:
        found = next(looks, None)
        if isinstance(found, OSError):
            raise found
        served.app.io_loop.add_callback(seen.set)
        return found or Terminals(0.0, busy=False)

    monkeypatch.setattr(terminals, "look", look)
    watch = Watch(served.app, every=0.001)
    before = watch.last()
    watching = asyncio.ensure_future(watch.run())
    async with asyncio.timeout(10):
        await seen.wait()
        while watch.last() == before:  # noqa: ASYNC110 - it has no event to wait for
            await asyncio.sleep(0.001)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


class Kernel:
    """A kernel, and the socket by which a tab is connected to it."""

    def __init__(self, served: Served, number: str) -> None:
        self._served, self.number = served, number
        self._socket: ClientConnection | None = None
        self._asked = 0

    async def connect(self) -> None:
        if self._socket:
            await self._socket.close()
        base = str(self._served.allowed.base_url).replace("http", "ws", 1)
        headers = dict(self._served.allowed.headers)
        self._socket = await connect(
            f"{base}api/kernels/{self.number}/channels", additional_headers=headers, max_size=None
        )

    async def close(self) -> None:
        if self._socket:
            await self._socket.close()

    async def ask(self, kind: str, reply: str, **content: Any) -> None:
        """Ask, and wait for a message of a kind that answers it."""
        assert self._socket
        self._asked += 1
        number = str(self._asked)
        header = {"msg_id": number, "msg_type": kind, "session": "s", "username": "", "date": ""}
        message = {
            "header": {**header, "version": "5.3"},
            "parent_header": {},
            "metadata": {},
            "channel": "shell",
            "content": content,
            "buffers": [],
        }
        await self._socket.send(json.dumps(message))
        await self.hears(reply)

    async def hears(self, reply: str) -> None:
        """Wait for a message of a kind, about what was asked last."""
        assert self._socket
        async with asyncio.timeout(30):
            while True:
                message = json.loads(await self._socket.recv())
                about = (message["parent_header"] or {}).get("msg_id")
                if (message["msg_type"], about) == (reply, str(self._asked)):
                    return


async def started(served: Served) -> Kernel:
    answer = await served.allowed.post("api/kernels", json={})
    assert answer.status_code == 201, answer.text
    kernel = Kernel(served, answer.json()["id"])
    await kernel.connect()
    await kernel.ask("kernel_info_request", "kernel_info_reply")
    return kernel


async def test_a_kernel_that_runs_is_use_and_what_a_tab_asks_of_it_is_none(serve: Serve) -> None:
    served = await serve("activity")
    kernel = await started(served)
    new = await told(served)
    assert new["last"] == new["kernels"]

    await kernel.connect()
    await kernel.ask("kernel_info_request", "kernel_info_reply")
    await kernel.ask("comm_info_request", "comm_info_reply")
    idle = await told(served)
    assert (idle["busy"], idle["last"]) == (False, new["last"])

    await kernel.ask("execute_request", "execute_input", code="input()", allow_stdin=True)
    await until(lambda: _is_busy(served, busy=True))
    busy = await told(served)
    assert (busy["because"], busy["kernels"]) == (KERNEL, busy["last"])
    assert busy["last"] > idle["last"]

    await served.allowed.post(f"api/kernels/{kernel.number}/interrupt")
    await until(lambda: _is_busy(served, busy=False))
    over = await told(served)
    assert over["last"] == over["kernels"] >= busy["last"]
    assert (await told(served))["last"] == over["last"]
    await kernel.close()


async def test_output_of_a_thread_that_a_cell_left_behind_is_no_use(serve: Serve) -> None:
    served = await serve("activity")
    kernel = await started(served)
    code = (
        "import sys, threading\n"
        "def later():\n    go.wait(); print('late', flush=True)\n"
        "go = threading.Event(); threading.Thread(target=later).start()\n"
        "threading.Timer(0.5, go.set).start()"
    )
    new = await told(served)

    async def is_over() -> bool:
        found = await told(served)
        return bool(found["kernels"] > new["kernels"] and not found["busy"])

    async def moves_upstream() -> bool:
        found = (await served.allowed.get(f"api/kernels/{kernel.number}")).json()
        return datetime.fromisoformat(found["last_activity"]) > datetime.fromisoformat(before)

    await kernel.ask("execute_request", "execute_reply", code=code, silent=False)
    await until(is_over)
    before = (await told(served))["last"]
    await kernel.hears("stream")
    await until(moves_upstream)
    assert (await told(served))["last"] == before
    await kernel.close()


async def _is_busy(served: Served, *, busy: bool) -> bool:
    return (await told(served))["busy"] is busy
