"""What a user needs to get in: where, the host key to expect, and the private key.

The key is for whom the server lets in, who could read it in the file browser as well.
"""

import os
from http import HTTPStatus
from typing import Any

from jupyter_server.auth.decorator import authorized
from tornado import web

from bai_spawner.server_extension.api import SessionHandler
from bai_spawner.server_extension.ssh.server import USER, SshServer


def port() -> int | None:
    """The host's port that leads here; ``None`` where SSH is not published."""
    told = os.environ.get("BAI_SSH_PORT", "")
    return int(told) if told.isdecimal() else None


class _OfServer(SessionHandler):
    """Knows the session's sshd."""

    def initialize(self, server: SshServer) -> None:
        """Take what the rule hands over."""
        self._server = server


class SshHandler(_OfServer):
    """``GET``: user, host (empty: that of the page), port, fingerprint, host_key, running."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Say how to get in."""
        self.options_of()
        answer: dict[str, Any] = {
            "user": USER,
            "host": os.environ.get("BAI_SSH_HOST", ""),
            "port": port(),
            "fingerprint": self._server.fingerprint,
            "host_key": self._server.host_key,
            "running": self._server.running,
        }
        self.set_header("Cache-Control", "no-store")
        self.finish(answer)


class KeyHandler(_OfServer):
    """``GET``: the private key, as a file to keep."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Hand over the key that this session made; what lies at its place now is not read."""
        self.options_of()
        if not self._server.private_key:
            self.refuse(HTTPStatus.NOT_FOUND, "this session has no SSH key; its log says why")
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Content-Disposition", 'attachment; filename="id_container"')
        self.set_header("Cache-Control", "no-store")
        self.finish(self._server.private_key)
