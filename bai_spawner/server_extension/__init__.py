"""What runs inside a session's container.

Nothing here imports the hub's side of the package, and importing this module
imports nothing else: the server starts in the time that its imports take.
"""

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Where Jupyter Server finds the extension."""
    return [{"module": "bai_spawner.server_extension"}]


def _load_jupyter_server_extension(serverapp: Any) -> None:
    """Start what runs beside the notebooks, once the server answers."""

    async def start() -> None:
        from bai_spawner.server_extension.ssh import SshServer  # noqa: PLC0415 - off the way up

        await SshServer(serverapp.log).serve()

    serverapp.io_loop.add_callback(start)
