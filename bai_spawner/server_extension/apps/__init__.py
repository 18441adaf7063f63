"""The session's apps: one click away, started at the first use, with words when they fail.

Apps are those of every session and those that the image's label declares, which the hub hands
over as a file. A damaged file costs the apps of the image, and the session nothing else. Who
has the session's key, another file of the hub's, reaches them by tunnels as well.
"""

import asyncio
from logging import Logger
from pathlib import Path
from typing import Any

from jupyter_server.utils import url_path_join

from bai_spawner import apps
from bai_spawner.server_extension.apps import handlers, pages, proxy, runner, tunnel
from bai_spawner.server_extension.part import Part


def part(serverapp: Any) -> Part:
    """What answers for the apps; they end with the server."""
    work = Path(serverapp.root_dir)
    runners = {
        app.name: runner.Runner(
            app,
            address=url_path_join(serverapp.base_url, app.name),
            work=work,
            log=serverapp.log,
            run=runner.RUN,
            program=runner.PROGRAM,
        )
        for app in (*apps.BUILT_IN, *declared(serverapp.log))
    }

    tunnels = tunnel.Tunnels()

    async def run() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await tunnels.close()
            await asyncio.gather(*(one.stop() for one in runners.values()))

    ways = (rule for one in runners.values() for rule in proxy.rules(one))
    return Part(
        handlers=(
            *handlers.rules(runners, work),
            *pages.rules(runners),
            *tunnel.rules(runners, tunnel.key(serverapp.log), tunnels),
            *ways,
        ),
        run=run,
    )


def declared(log: Logger) -> tuple[apps.App, ...]:
    """The apps that the image declares; none when the file is not as the hub writes it."""
    try:
        return apps.read(apps.APPS_FILE)
    except apps.AppsError as error:
        log.warning("This session goes on without the apps of its image: %s", error)
        return ()
