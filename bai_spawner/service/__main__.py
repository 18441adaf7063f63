"""Runs the service; the hub starts it, with all that it needs in the environment."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from urllib.parse import urlsplit

from bai_spawner.service.app import make_app
from bai_spawner.service.board import Board
from bai_spawner.service.parent import end_with_parent

MOST_BYTES = 256 * 1024
"""Of one request's body."""


async def serve() -> None:
    """Answer until ended."""
    url = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
    app = make_app(
        os.environ["JUPYTERHUB_SERVICE_PREFIX"],
        os.environ["JUPYTERHUB_BASE_URL"],
        Board(os.environ["BAI_RECORDS_URL"], os.environ["BAI_HUB_ID"]),
    )
    try:
        app.listen(url.port or 80, url.hostname or "127.0.0.1", max_body_size=MOST_BYTES)
    except OSError as error:
        where = f"{url.hostname}:{url.port}"
        sys.exit(f"The service cannot listen on {where} ({error.strerror}): set service_url")
    ended = asyncio.Event()
    for told in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(told, ended.set)
    await ended.wait()


if __name__ == "__main__":
    end_with_parent()
    asyncio.run(serve())
