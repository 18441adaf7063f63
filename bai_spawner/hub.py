"""What every hub with this spawner needs, in one call at the end of its configuration."""

from __future__ import annotations

import asyncio
from typing import Any

from bai_spawner.errors import BaiError, EngineError
from bai_spawner.form import TEMPLATES
from bai_spawner.names import new_server_name
from bai_spawner.runtime import BaiRuntime
from bai_spawner.spawner import BaiSpawner

ENGINE_PAUSE = 5.0
"""Seconds between two attempts to reach an engine that is away when the hub starts."""


def install(c: Any) -> BaiRuntime:
    """Complete a JupyterHub configuration; call it last in ``jupyterhub_config.py``.

    Reads the catalogue: a bad one ends the hub here, with a line for each bad key.
    Inside a starting hub (not in its sub-commands) it also opens the runtime.

    Args:
        c: the configuration object that JupyterHub gives its configuration file.
    """
    runtime = BaiRuntime(config=c)
    try:
        runtime.check()
    except BaiError as error:
        raise SystemExit(f"The hub cannot start:\n{error}") from None
    BaiSpawner.share(runtime)

    c.JupyterHub.spawner_class = BaiSpawner
    c.JupyterHub.allow_named_servers = True
    # A start waits for its turn in the runtime; the hub's own limit would answer 429 instead.
    c.JupyterHub.concurrent_spawn_limit = 0
    # Sessions outlive the hub.
    c.JupyterHub.cleanup_servers = False
    c.JupyterHub.template_paths.insert(0, str(TEMPLATES))
    # JupyterHub calls a variable with the user at every page: a fresh name for each START
    c.JupyterHub.template_vars.update({"new_server_name": lambda _user: new_server_name()})
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return runtime
    runtime.opening = loop.create_task(_open(runtime))
    return runtime


async def _open(runtime: BaiRuntime) -> None:
    while True:
        try:
            await runtime.open()
        except EngineError as error:
            runtime.log.warning("%s; trying again in %g s", error, ENGINE_PAUSE)
            await asyncio.sleep(ENGINE_PAUSE)
        else:
            return
