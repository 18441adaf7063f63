"""The web terminal's address: ttyd by way of jupyter-server-proxy, for who may use terminals."""

from typing import Any

from bai_spawner.server_extension.part import Part

NAME = "terminal"
COMMAND = ("/usr/local/bin/bai-terminal", "{unix_socket}")
SOCKET = "/run/bai-session/terminal.sock"
TIMEOUT = 10
"""Seconds that it may take to begin."""


def part(serverapp: Any) -> Part:  # noqa: ARG001 - every part is asked alike
    """It is started at the first use, and again whenever it ends."""
    from jupyter_server_proxy.config import ServerProcess  # noqa: PLC0415 - upstream is slow
    from jupyter_server_proxy.handlers import AddSlashHandler  # noqa: PLC0415 - to import

    from bai_spawner.server_extension.guarded import Guarded, asked_first  # noqa: PLC0415 - see above

    upstream: Any
    upstream, options = ServerProcess(
        name=NAME,
        command=list(COMMAND),
        unix_socket=SOCKET,
        timeout=TIMEOUT,
        # its pings, and a page that is merely open, are no sign of a user
        update_last_activity=False,
    ).make_proxy_handler()

    @asked_first
    class Terminal(Guarded, upstream):
        auth_resource = "terminals"

        async def prepare(self, *args: Any, **kwargs: Any) -> None:
            await super().prepare(*args, **kwargs)
            if not self._finished:
                await self.let_in()

    return Part(handlers=((rf"{NAME}/(.*)", Terminal, options), (NAME, AddSlashHandler, {})))
