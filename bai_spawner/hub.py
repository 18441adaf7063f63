"""What every hub with this spawner needs, in one call at the end of its configuration."""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import prometheus_client
from jupyterhub import orm
from jupyterhub.app import JupyterHub
from jupyterhub.utils import url_path_join
from sqlalchemy import event, inspect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import selectinload
from traitlets.config.loader import LazyConfigValue

from bai_spawner import handed
from bai_spawner.assets import digest
from bai_spawner.errors import BaiError
from bai_spawner.form import TEMPLATES
from bai_spawner.hub_apps import add_app_proxy, begin_app_proxy, control_file
from bai_spawner.keeper import Hub, Servers
from bai_spawner.labels import Key
from bai_spawner.names import SERVICE, new_server_name
from bai_spawner.runtime import BaiRuntime
from bai_spawner.service.settings import VARIABLE, Settings
from bai_spawner.spawner import BaiSpawner

ACCESS = f"access:services!service={SERVICE}"
LISTENING_PAUSE = 0.1
"""Seconds between two looks whether the hub listens yet."""
LEFTOVERS_PAUSE = 1.0
"""Seconds between two looks whether a server that an earlier hub left can be forgotten."""


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
        add_app_proxy(c, runtime)
    except BaiError as error:
        raise SystemExit(f"The hub cannot start:\n{error}") from None
    BaiSpawner.share(runtime)

    c.JupyterHub.spawner_class = BaiSpawner
    c.JupyterHub.allow_named_servers = True
    # Sessions outlive the hub.
    c.JupyterHub.cleanup_servers = False
    c.JupyterHub.template_paths.insert(0, str(TEMPLATES))
    if "default_url" not in c.JupyterHub:
        c.JupyterHub.default_url = lambda _handler: _service_path()
    # JupyterHub calls a variable with the user at every page: a fresh name for each START
    c.JupyterHub.template_vars.update(
        {
            "new_server_name": lambda _user: new_server_name(),
            "bai_service": lambda _user: _service_path(),
            "bai_apps": bool(runtime.apps_url),
            "bai_static": lambda _user: f"{_service_path()}static/{digest()}/",
        }
    )
    _add_service(c, runtime)
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return runtime
    _settings(runtime, _template_paths(c)).write(_settings_file(runtime))
    begin_app_proxy(c, runtime)
    _follow_users(runtime)
    runtime.keeping = loop.create_task(_keep(runtime))
    return runtime


def _follow_users(runtime: BaiRuntime) -> None:
    """What users keep goes by their names: it goes with them, and follows to a new name."""

    @event.listens_for(orm.User, "after_delete")
    def deleted(_mapper: object, _connection: object, user: orm.User) -> None:
        runtime.history.forget_user(user.name)

    @event.listens_for(orm.User, "after_update")
    def renamed(_mapper: object, _connection: object, user: orm.User) -> None:
        was = inspect(user).attrs.name.history.deleted
        if was:
            runtime.history.rename_user(was[0], user.name)


def _add_service(c: Any, runtime: BaiRuntime) -> None:
    """Have the hub run the service, which acts with nothing but its visitors' own tokens."""
    c.JupyterHub.services.append(
        {
            "name": SERVICE,
            "url": runtime.service_url,
            "command": [sys.executable, "-m", "bai_spawner.service"],
            "environment": handed.environment(VARIABLE, _settings_file(runtime)),
            # of these, what the visitor may: a user with what is theirs, an administrator with all
            "oauth_client_allowed_scopes": [
                "read:users:name",
                "read:users:groups",
                "delete:servers",
                # a visitor's right to a session is the right to its private apps
                *(["access:servers", "read:users:shares"] if runtime.apps_url else []),
            ],
            "oauth_no_confirm": True,
            "display": False,
        }
    )
    c.JupyterHub.extra_user_scopes.update({ACCESS})
    # where an administrator replaced the role of users, JupyterHub ignores extra scopes
    roles = c.JupyterHub.load_roles if isinstance(c.JupyterHub.load_roles, list) else []
    for role in roles:
        if role["name"] == "user" and "scopes" in role:
            role["scopes"] = [*role["scopes"], ACCESS]


def _template_paths(c: Any) -> tuple[str, ...]:
    """Where the hub will look for its templates, its own last: it has not read this yet."""
    own = str(Path(JupyterHub.instance().data_files_path) / "templates")
    found = c.JupyterHub.template_paths
    return (*(found.get_value([]) if isinstance(found, LazyConfigValue) else found), own)


def _settings(runtime: BaiRuntime, template_paths: tuple[str, ...]) -> Settings:
    """What the service is told; the driver of PostgreSQL reads variables of its own."""
    return Settings(
        records_url=runtime.records_url,
        hub_id=runtime.hub_id,
        hub_pid=os.getpid(),
        env=handed.of_database(),
        template_paths=template_paths,
        folders_root=str(Path(runtime.folders_root).absolute()),
        app_proxy=str(control_file(runtime)) if runtime.apps_url else "",
        apps_url=runtime.apps_url.rstrip("/"),
    )


def _settings_file(runtime: BaiRuntime) -> Path:
    return Path(runtime.state_dir).absolute() / "service.json"


def _service_path() -> str:
    return str(url_path_join(JupyterHub.instance().base_url, "services", SERVICE, "/"))


async def _keep(runtime: BaiRuntime) -> None:
    """Everything that a runtime does by itself, once the configuration is complete."""
    atexit.register(runtime.history.close)  # what is noted at the very end is written, too
    runtime.show_metrics(prometheus_client.REGISTRY)
    while not JupyterHub.instance().http_server:  # noqa: ASYNC110 - before, it has no database
        await asyncio.sleep(LISTENING_PAUSE)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_forget_leftovers(runtime))
        tasks.create_task(runtime.keep_in_step(Hub(_servers, _look)))


async def _forget_leftovers(runtime: BaiRuntime) -> None:
    """Forget the servers that an earlier hub stopped and did not live to forget (R4).

    One that still holds something is kept so long: it tells that its session is to be
    ended at once.
    """
    leftovers: set[int] | None = None
    while leftovers is None or leftovers:
        await asyncio.sleep(LEFTOVERS_PAUSE)
        try:
            leftovers = _forget(runtime, leftovers)
        except SQLAlchemyError as error:  # tried again: all that keeps sessions ends with this
            JupyterHub.instance().db.rollback()
            runtime.log.warning("The hub's database does not let servers be forgotten: %s", error)


def _forget(runtime: BaiRuntime, leftovers: set[int] | None) -> set[int]:
    """Forget those that hold nothing any more; which of them there were still."""
    app = JupyterHub.instance()
    stopped = {found.id: found for found in _spawners() if found.name and not found.server_id}
    found = stopped.keys() & (stopped.keys() if leftovers is None else leftovers)
    for leftover in [stopped[number] for number in found]:
        if runtime.holds_nothing(_key(leftover)):
            app.users[leftover.user].spawners[leftover.name].forget()
    return found


def _servers() -> Servers:
    """Users and servers as their containers are named: which are started, which are not.

    Asked from the database and not from the Spawner objects: the hub makes those only for
    users who are about.
    """
    started: set[Key] = set()
    stopped: set[Key] = set()
    for spawner in _spawners():
        (started if spawner.server_id else stopped).add(_key(spawner))
    return Servers(started, stopped - started)


def _look(key: Key) -> None:
    """Let the hub see now that a session ended, and not when it polls it next."""
    users = JupyterHub.instance().users
    for spawner in _spawners():
        if _key(spawner) == key and spawner.server_id:
            found = users[spawner.user].spawners.get(spawner.name)
            if found and found.ready:
                task = asyncio.ensure_future(found.poll_and_notify())
                _looking.add(task)
                task.add_done_callback(_looking.discard)


_looking: set[asyncio.Task[None]] = set()
"""A task that nobody keeps may be collected before it has run."""


def _spawners() -> Iterable[orm.Spawner]:
    query = JupyterHub.instance().db.query(orm.Spawner)
    return list(query.options(selectinload(orm.Spawner.user)))


def _key(spawner: orm.Spawner) -> Key:
    user, server = (spawner.state or {}).get("key") or (spawner.user.name, spawner.name)
    return user, server
