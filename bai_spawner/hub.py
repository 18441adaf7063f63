"""What every hub with this spawner needs, in one call at the end of its configuration."""

from __future__ import annotations

import asyncio
from typing import Any

from jupyterhub import orm
from jupyterhub.app import JupyterHub
from sqlalchemy.orm import selectinload

from bai_spawner.errors import BaiError
from bai_spawner.form import TEMPLATES
from bai_spawner.lifecycle import Key
from bai_spawner.names import new_server_name
from bai_spawner.runtime import BaiRuntime
from bai_spawner.spawner import BaiSpawner


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
    # Sessions outlive the hub.
    c.JupyterHub.cleanup_servers = False
    c.JupyterHub.template_paths.insert(0, str(TEMPLATES))
    # JupyterHub calls a variable with the user at every page: a fresh name for each START
    c.JupyterHub.template_vars.update({"new_server_name": lambda _user: new_server_name()})
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return runtime
    runtime.keeping = loop.create_task(runtime.keep_in_step(_owners))
    return runtime


def _owners() -> set[Key]:
    """Users and servers that the hub knows as started, as their containers are named.

    Asked from the database and not from the Spawner objects: the hub makes those only for
    users who are about.
    """
    query = JupyterHub.instance().db.query(orm.Spawner).options(selectinload(orm.Spawner.user))
    started = query.filter(orm.Spawner.server_id.is_not(None))
    return {_key(spawner) for spawner in started}


def _key(spawner: orm.Spawner) -> Key:
    user, server = (spawner.state or {}).get("key") or (spawner.user.name, spawner.name)
    return user, server
