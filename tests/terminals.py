"""The terminals of a session as a browser's page talks to them, without the page.

Both send what was typed and receive what a screen shows. ``WebTerminal`` is the web terminal,
ttyd's protocol: a byte that says what follows, then the bytes. ``LabTerminal`` is Jupyter's
own: JSON lists.

Sources: ttyd's html/src/components/terminal/xterm/index.ts; terminado's websocket.py.
"""

from __future__ import annotations

import json
import time
from typing import Any, Self

import httpx
from websockets.sync.client import ClientConnection, connect

ROWS, COLUMNS = 30, 100
_KEPT = 20_000
"""Characters of what was received that are looked through: several screens."""


class Terminal:
    """A terminal to connect to: ``with WebTerminal(session.http) as terminal``.

    Args:
        http: the session's API, its address and how it is let in.
        path: of the websocket, below the session's address.
    """

    socket: ClientConnection

    def __init__(self, http: httpx.Client, path: str, **options: Any) -> None:
        base = str(http.base_url).rstrip("/").replace("http", "ws", 1)
        self._connecting = connect(
            f"{base}/{path}",
            additional_headers=dict(http.headers),
            max_size=None,
            compression=None,
            **options,
        )
        self.received = 0
        """Characters for the screen so far."""

    def __enter__(self) -> Self:
        self.socket = self._connecting.__enter__()
        self.socket.send(self._opening())
        return self

    def __exit__(self, *error: object) -> None:
        self._connecting.__exit__(*error)

    def _opening(self) -> str | bytes:
        """What a page says first: how large it is."""
        raise NotImplementedError

    def type(self, text: str) -> None:
        """Type it; Enter is ``\\r``."""
        raise NotImplementedError

    def _shown(self, message: str | bytes) -> str:
        """What a message puts on the screen."""
        raise NotImplementedError

    def until(self, text: str, *, seconds: float = 30) -> str:
        """Receive until the text has been shown in one piece; the end of what was shown.

        Raises:
            TimeoutError: it was not, in time.
        """
        shown = ""
        deadline = time.monotonic() + seconds
        while text not in shown:
            try:
                more = self._shown(self.socket.recv(max(0.01, deadline - time.monotonic())))
            except TimeoutError:
                raise TimeoutError(f"no {text!r} in: {shown!r}") from None
            self.received += len(more)
            shown = (shown + more)[-_KEPT:]
        return shown

    def says(self, command: str, text: str) -> None:
        """Run a command, and wait until the screen shows the text."""
        self.type(f"{command}\r")
        self.until(text)


class WebTerminal(Terminal):
    """The web terminal. Each connection shows the same tmux session."""

    def __init__(self, http: httpx.Client) -> None:
        super().__init__(http, "terminal/ws", subprotocols=["tty"])

    def _opening(self) -> bytes:
        return json.dumps({"AuthToken": "", "columns": COLUMNS, "rows": ROWS}).encode()

    def type(self, text: str) -> None:
        self.socket.send(b"0" + text.encode())

    def _shown(self, message: str | bytes) -> str:
        data = message.encode() if isinstance(message, str) else message
        return data[1:].decode("utf-8", "replace") if data[:1] == b"0" else ""


class LabTerminal(Terminal):
    """One of Jupyter's terminals: a new one, or the one of that name."""

    def __init__(self, http: httpx.Client, name: str = "") -> None:
        self.name = name or http.post("/api/terminals", json={}).raise_for_status().json()["name"]
        super().__init__(http, f"terminals/websocket/{self.name}")

    def _opening(self) -> str:
        return json.dumps(["set_size", ROWS, COLUMNS])

    def type(self, text: str) -> None:
        self.socket.send(json.dumps(["stdin", text]))

    def _shown(self, message: str | bytes) -> str:
        kind, *content = json.loads(message)
        return str(content[0]) if kind == "stdout" else ""
