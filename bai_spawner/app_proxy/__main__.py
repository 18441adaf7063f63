"""Runs the app proxy; the hub starts it, and its environment names a file with all it needs."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import ssl
import sys
from pathlib import Path

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from bai_spawner import tunnel
from bai_spawner.app_proxy.asking import HubUsers
from bai_spawner.app_proxy.client import Short
from bai_spawner.app_proxy.control import make_control
from bai_spawner.app_proxy.keeper import AppKeeper
from bai_spawner.app_proxy.pool import Pool
from bai_spawner.app_proxy.settings import VARIABLE, AppProxySettings
from bai_spawner.app_proxy.site import Site
from bai_spawner.app_proxy.visitors import Visitors
from bai_spawner.errors import BaiError
from bai_spawner.parent import end_with
from bai_spawner.records import Records


async def serve(settings: AppProxySettings) -> None:
    """Answer until ended."""
    users = HubUsers(os.environ["JUPYTERHUB_API_URL"])
    visitors = Visitors(users.ask)
    first, last = settings.ports
    keeper = AppKeeper(
        Records(settings.records_url),
        settings.hub_id,
        pool=Pool(settings.address, range(first, last + 1)),
        site=Site(settings.apps, settings.hub, settings.service),
        visitors=visitors,
        secret=tunnel.read_or_make_secret(Path(settings.secret)),
        session_port=settings.session_port,
        tls=_tls(settings),
    )
    runner = web.AppRunner(make_control(keeper, visitors), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    control = Path(settings.control)
    with Short(control) as short:
        before = os.umask(0o177)  # nobody else may connect, at no moment
        try:
            await web.UnixSite(runner, short).start()
        finally:
            os.umask(before)
        ended = asyncio.Event()
        for told in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(told, ended.set)
        keeping = asyncio.create_task(keeper.run())
        await ended.wait()
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await runner.cleanup()
        await users.close()


def _tls(settings: AppProxySettings) -> ssl.SSLContext | None:
    if not settings.tls_certificate:
        return None
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.load_cert_chain(settings.tls_certificate, settings.tls_key or None)
    return made


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether an error is one of this program's: what a stranger sends is no event."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | ConnectionError)


def main() -> None:
    """Begin."""
    form = "[%(levelname)1.1s %(asctime)s apps] %(message)s"
    logging.basicConfig(level=logging.WARNING, format=form)
    logging.getLogger("aiohttp.server").addFilter(_is_ours)
    logging.getLogger("aiohttp.websocket").setLevel(logging.CRITICAL)
    settings = AppProxySettings.read(Path(os.environ[VARIABLE]))
    end_with(settings.hub_pid)
    os.environ.update(settings.env)
    Path(settings.control).unlink(missing_ok=True)  # of one that was killed
    # a connection takes two descriptors; what an administrator set as the most is the most
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        asyncio.run(serve(settings))
    except (BaiError, OSError, ValueError) as error:
        sys.exit(f"The app proxy cannot start: {error}")


if __name__ == "__main__":
    main()
