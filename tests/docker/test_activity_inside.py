"""Who uses a terminal of a session: Jupyter's own, tmux in ttyd, and SSH, in a real container.

Linux writes down when a terminal was typed into once in 8 seconds. So a terminal is first made
to have been used long ago; then whatever counts shows at once.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import docker
import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from bai_spawner.server_extension.activity.watch import JOB
from tests.deployment import eventually
from tests.images import BASE

TOKEN = "of-a-session-without-a-hub"
SERVER = ["/opt/bai/bin/jupyter-server", "--ip=0.0.0.0", f"--IdentityProvider.token={TOKEN}"]
LOGIN = (
    "mkfifo /tmp/keys && exec ssh -tt -p 2222 -i ~/id_container -o StrictHostKeyChecking=no"
    " -o UserKnownHostsFile=/dev/null work@127.0.0.1 <>/tmp/keys >/tmp/screen 2>&1"
)
"""A login without a terminal on the near side: what is written to a pipe is typed."""
REWIND = "touch -a -d 2001-01-01 /dev/pts/[0-9]*"


class Inside:
    """A session that no hub knows of."""

    def __init__(self, container: Any) -> None:
        self.container = container
        container.reload()
        self._address = f"127.0.0.1:{container.ports['8888/tcp'][0]['HostPort']}"
        headers = {"Authorization": f"token {TOKEN}"}
        self.http = httpx.Client(base_url=f"http://{self._address}", headers=headers, timeout=30)

    def up(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return self.http.get("/bai/api/activity").status_code == 200
        return False

    def connect(self, path: str, **how: Any) -> ClientConnection:
        headers = {"Authorization": f"token {TOKEN}"}
        url = f"ws://{self._address}{path}"
        return connect(url, additional_headers=headers, max_size=None, **how)

    def told(self) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get("/bai/api/activity").raise_for_status().json()
        return found

    def becomes(self, *, busy: bool) -> dict[str, Any]:
        """What is told once it is so, ten times in a row: programs start one after another."""
        seen: list[dict[str, Any]] = []

        def settled() -> bool:
            seen.append(self.told())
            return len(seen) >= 10 and all(one["busy"] is busy for one in seen[-10:])

        assert eventually(settled, every=0.02), seen[-1]
        return seen[-1]

    def run(self, command: str) -> str:
        result = self.container.exec_run(["sh", "-c", command])
        assert result.exit_code == 0, result.output
        return str(result.output.decode())

    def rest(self) -> str:
        """Have every terminal been typed into long ago; when the session was last used."""
        before = str(self.told()["last"])
        self.run(REWIND)
        return before

    def is_used(self, before: str, by: Callable[[], object]) -> bool:
        """Whether that is use. Linux tells whole seconds, so once may be in that of before."""

        def moves() -> bool:
            self.run(REWIND)
            by()
            return bool(eventually(lambda: self.told()["last"] > before, seconds=1, every=0.02))

        return bool(eventually(moves))


@pytest.fixture(scope="module")
def inside(client: docker.DockerClient) -> Iterator[Inside]:
    container = client.containers.run(
        BASE,
        entrypoint=SERVER,
        detach=True,
        init=True,
        ports={"8888/tcp": ("127.0.0.1", None)},
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
    )
    try:
        made = Inside(container)
        assert eventually(made.up, seconds=30), container.logs().decode()
        yield made
        made.http.close()
    finally:
        container.remove(force=True, v=True)


class Typist:
    """Somebody at a terminal: types, and reads what it shows.

    ``keys`` and ``size`` make messages of what is typed, and of another size.
    """

    def __init__(
        self, socket: ClientConnection, keys: Callable[[str], str | bytes], size: str | bytes
    ) -> None:
        self._socket, self._keys, self._size = socket, keys, size
        self._shown = ""

    def type(self, text: str) -> None:
        self._socket.send(self._keys(text))

    def resize(self) -> None:
        self._socket.send(self._size)

    def sees(self, pattern: str) -> str:
        """Wait until it shows that, and forget what it showed so far."""

        def found() -> re.Match[str] | None:
            with contextlib.suppress(TimeoutError):
                message = self._socket.recv(0.1)
                self._shown += message if isinstance(message, str) else message.decode()
            return re.search(pattern, self._shown)

        match = eventually(found, seconds=20, every=0)
        assert match, self._shown
        self._shown = ""
        return str(match[0])


@contextlib.contextmanager
def jupyters(inside: Inside) -> Iterator[Typist]:
    """A terminal of Jupyter's own, at its prompt."""
    name = inside.http.post("/api/terminals").raise_for_status().json()["name"]
    with inside.connect(f"/terminals/websocket/{name}") as socket:
        size = json.dumps(["set_size", 31, 91])
        typist = Typist(socket, lambda text: json.dumps(["stdin", text]), size)
        typist.sees(r"\$ ")
        yield typist


@contextlib.contextmanager
def tmux(inside: Inside) -> Iterator[Typist]:
    """The web terminal in a tab, at its prompt."""
    inside.http.get("/terminal/").raise_for_status()
    size = json.dumps({"AuthToken": "", "columns": 90, "rows": 30})
    with inside.connect("/terminal/ws", subprotocols=["tty"]) as socket:
        socket.send(size.encode())
        typist = Typist(socket, lambda text: b"0" + text.encode(), b'1{"columns": 80, "rows": 25}')
        typist.sees(r"\$ ")
        yield typist


@pytest.mark.parametrize("opened", [jupyters, tmux])
def test_an_idle_shell_is_not_in_use_and_a_job_in_front_is(
    inside: Inside, opened: Callable[[Inside], Any]
) -> None:
    with opened(inside) as typist:
        idle = inside.becomes(busy=False)
        assert idle["last"] >= idle["terminals"]

        # output of the background, another size, an open tab's requests
        typist.type("(sleep 1; echo over$((20 + 3))) &\r")
        typist.sees(r"\$ ")
        before = inside.rest()
        typist.resize()
        typist.sees("over23")
        for path in ("/api/contents", "/api/terminals", "/api/kernels", "/api/status"):
            inside.http.get(path).raise_for_status()
        assert inside.told()["last"] == before

        assert inside.is_used(before, lambda: typist.type("x"))
        typist.type("\x15sleep 600\r")
        busy = inside.becomes(busy=True)
        assert (busy["because"], busy["last"]) == (JOB, busy["terminals"])
        typist.type("\x03")
        over = inside.becomes(busy=False)
        assert (over["because"], over["last"] >= busy["last"]) == ("", True)


def test_tmux_that_draws_its_status_line_is_not_in_use(inside: Inside) -> None:
    with tmux(inside) as typist:
        typist.type("tmux set status-interval 1 \\; set status-right 'now %H:%M:%S'\r")
        first = typist.sees(r"now \d\d:\d\d:\d\d")
        inside.becomes(busy=False)
        before = inside.rest()
        for _ in range(3):
            assert eventually(lambda: typist.sees(r"now \d\d:\d\d:\d\d") != first)
        found = inside.told()
        assert (found["last"], found["busy"]) == (before, False)


def test_a_tab_that_connects_again_is_not_in_use(inside: Inside) -> None:
    """Its tmux asks the new terminal what it can do, and the answers are no typing."""
    with tmux(inside):
        pass
    inside.becomes(busy=False)
    before = inside.rest()
    with tmux(inside) as typist:
        typist.resize()
        # what a terminal answers to tmux's questions
        typist.type("\x1b[?1;2c\x1b[>41;390;0c\x1b[I")
        inside.becomes(busy=False)
        assert inside.told()["last"] == before


def test_a_login_by_ssh_is_in_use_by_what_is_typed_and_run_there(inside: Inside) -> None:
    inside.container.exec_run(["sh", "-c", LOGIN], detach=True)
    assert eventually(lambda: "$ " in inside.run("cat /tmp/screen 2>&1 || true"), seconds=20)
    inside.becomes(busy=False)
    before = inside.rest()
    assert inside.is_used(before, lambda: inside.run("printf x >/tmp/keys"))
    inside.becomes(busy=False)
    inside.run(r"printf '\025sleep 600\r' >/tmp/keys")
    assert inside.becomes(busy=True)["because"] == JOB
    inside.run(r"printf '\003exit\r' >/tmp/keys")
    inside.becomes(busy=False)
