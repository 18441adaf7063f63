"""Runs the service; the hub starts it, and its environment names a file with all that it needs."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from jupyterhub.services.auth import HubOAuth
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from bai_spawner.app_proxy.client import Client
from bai_spawner.parent import end_with
from bai_spawner.service.app import make_app
from bai_spawner.service.board import Board
from bai_spawner.service.settings import VARIABLE, Settings
from bai_spawner.service.shelf import Shelf

KNOWN_SECONDS = 30
"""How long the hub's answer about a visitor holds: so long until a change of groups, or a
token that was revoked, is seen."""
PORT_SECONDS = 10.0
"""How long the port may be taken, by the service of a hub that just ended: without its
service the next hub does not start."""
LIMITS = {
    "max_body_size": 256 * 1024,
    "max_header_size": 32 * 1024,
    "body_timeout": 10.0,
    "idle_connection_timeout": 120.0,
}
"""Of one request: bytes and seconds."""


def bind(host: str, port: int, *, seconds: float = PORT_SECONDS) -> list[socket.socket]:
    """Sockets to listen with.

    Raises:
        OSError: the port cannot be had in time.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            return bind_sockets(port, host)
        except OSError:
            if time.monotonic() > until:
                raise
        time.sleep(0.1)


async def serve(settings: Settings, sockets: list[socket.socket]) -> None:
    """Answer until ended."""
    HubOAuth.instance(cache_max_age=KNOWN_SECONDS)
    board = Board(settings.records_url, settings.hub_id)
    shelf = Shelf(board, Path(settings.folders_root))
    app = make_app(
        os.environ["JUPYTERHUB_SERVICE_PREFIX"],
        os.environ["JUPYTERHUB_BASE_URL"],
        board,
        template_paths=settings.template_paths,
        shelf=shelf,
        app_proxy=Client(Path(settings.app_proxy)) if settings.app_proxy else None,
        apps_url=settings.apps_url,
    )
    shelf.begin()
    # the hub's proxy says who asks, and whether by HTTPS
    server = HTTPServer(app, xheaders=True, **LIMITS)
    server.add_sockets(sockets)
    ended = asyncio.Event()
    for told in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(told, ended.set)
    await ended.wait()


def main() -> None:
    """Begin."""
    form = "[%(levelname)1.1s %(asctime)s sessions] %(message)s"
    logging.basicConfig(level=logging.WARNING, format=form)
    # JupyterHub warns there of each login that has ended, and repeats what was sent
    logging.getLogger("tornado.application").setLevel(logging.ERROR)
    settings = Settings.read(Path(os.environ[VARIABLE]))
    end_with(settings.hub_pid)
    os.environ.update(settings.env)
    url = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
    host, port = url.hostname or "127.0.0.1", url.port or 80
    try:
        sockets = bind(host, port)
    except OSError as error:
        sys.exit(f"The service cannot listen on {host}:{port} ({error.strerror}): set service_url")
    asyncio.run(serve(settings, sockets))


if __name__ == "__main__":
    main()
