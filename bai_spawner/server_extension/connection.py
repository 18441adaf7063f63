"""The connection between a kernel and who uses it: it says why a kernel died.

Upstream says that a kernel restarts, and never why. The words are sent as standard error
of the cell that was running, so that every client shows them where the user looks.

In the image's Jupyter configuration: `ServerApp.kernel_websocket_connection_class`.
"""

import json
from typing import Any

from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

V1 = "v1.kernel.websocket.jupyter.org"


class TellingConnection(ZMQChannelsWebsocketConnection):
    """Remembers which cell ran last, and tells it when its kernel was killed."""

    _running: dict[str, Any] | None = None

    def handle_incoming_message(self, incoming_msg: Any) -> None:
        """Hand it on; of a request to execute, keep the header."""
        header = self._header(incoming_msg)
        if header.get("msg_type") == "execute_request":
            self._running = header
        super().handle_incoming_message(incoming_msg)

    def _header(self, message: Any) -> dict[str, Any]:
        """A message's header; empty when it has none that can be read."""
        try:
            if self.subprotocol == V1:
                _, parts = deserialize_msg_from_ws_v1(message)
                found = json.loads(parts[0])
            elif isinstance(message, str):
                found = json.loads(message)["header"]
            else:
                return {}
        except (ValueError, LookupError, TypeError):
            return {}
        return found if isinstance(found, dict) else {}

    def on_kernel_restarted(self) -> None:
        """Say why it died, and that it restarts."""
        self._tell()
        super().on_kernel_restarted()

    def on_restart_failed(self) -> None:
        """Say why it died, and that it does not come back."""
        self._tell()
        super().on_restart_failed()

    def _tell(self) -> None:
        told = getattr(self.kernel_manager, "death", None)
        if told and self._running:
            self.write_stderr(told, self._running)
