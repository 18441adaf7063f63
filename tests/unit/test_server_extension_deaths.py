"""Why a kernel died, told to the cell that was running."""

import json
import signal
from typing import Any

import pytest
from jupyter_server.services.kernels.connection.base import serialize_msg_to_ws_v1
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

from bai_spawner.server_extension import deaths
from bai_spawner.server_extension.connection import V1, TellingConnection

GIB = 2**30


def why(returncode: int | None, kills: int = 0) -> str:
    return deaths.why(returncode, kills=kills, shm=GIB // 16, memory=2 * GIB) or ""


def test_a_kernel_that_was_killed_for_memory_hears_the_limit() -> None:
    assert "more memory than the 2 GiB that this session was granted" in why(-signal.SIGKILL, 1)


def test_a_kernel_whose_shared_memory_was_full_hears_its_size() -> None:
    assert "shared memory of 64 MiB (/dev/shm)" in why(-signal.SIGBUS)


@pytest.mark.parametrize(
    ("returncode", "kills"),
    [(-signal.SIGKILL, 0), (-signal.SIGSEGV, 1), (-signal.SIGTERM, 0), (0, 1), (1, 0), (None, 0)],
)
def test_of_any_other_death_nothing_is_claimed(returncode: int | None, kills: int) -> None:
    assert why(returncode, kills) == ""


class Told(TellingConnection):
    """A connection whose two ends are lists."""

    def __init__(self, subprotocol: str | None) -> None:
        self._subprotocol = subprotocol
        self.told: list[tuple[str, Any]] = []

    @property
    def subprotocol(self) -> str | None:
        return self._subprotocol

    @property
    def kernel_manager(self) -> Any:
        return type("Manager", (), {"death": "it was the memory"})

    def write_stderr(self, error_message: str, parent_header: Any) -> None:
        self.told.append((error_message, parent_header))


@pytest.fixture(autouse=True)
def no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("handle_incoming_message", "on_kernel_restarted", "on_restart_failed"):
        monkeypatch.setattr(ZMQChannelsWebsocketConnection, name, lambda *_: None)


def message(kind: str, subprotocol: str | None) -> Any:
    whole = {"header": {"msg_type": kind}, "parent_header": {}, "metadata": {}, "content": {}}
    if subprotocol is None:
        return json.dumps({**whole, "channel": "shell", "buffers": []})
    return serialize_msg_to_ws_v1(whole, "shell", lambda part: json.dumps(part).encode())


@pytest.mark.parametrize("subprotocol", [V1, None])
def test_the_cell_that_ran_last_is_told(subprotocol: str | None) -> None:
    connection = Told(subprotocol)
    connection.handle_incoming_message(message("execute_request", subprotocol))
    connection.handle_incoming_message(message("complete_request", subprotocol))
    connection.on_kernel_restarted()
    connection.on_restart_failed()
    assert connection.told == [("it was the memory", {"msg_type": "execute_request"})] * 2


@pytest.mark.parametrize("odd", [b"", b"\x00" * 7, "[]", "null", '{"header": 3}', "{"])
def test_a_message_that_cannot_be_read_is_left_to_upstream(odd: Any) -> None:
    for subprotocol in (V1, None):
        connection = Told(subprotocol)
        connection.handle_incoming_message(odd)
        connection.on_kernel_restarted()
        assert connection.told == []
