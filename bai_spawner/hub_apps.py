"""Has the hub run the app proxy, and tell it at once when somebody's rights change.

Apps are served under a host name of their own: a page of an app's must be no page of the hub's.
Without one set, there is no proxy, and apps are reached within their sessions alone.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jupyterhub import orm
from jupyterhub.utils import url_path_join
from sqlalchemy import event
from sqlalchemy.orm import Session

from bai_spawner import handed, tunnel
from bai_spawner.app_proxy.client import Client, ProxyAway
from bai_spawner.app_proxy.settings import VARIABLE, AppProxySettings
from bai_spawner.errors import CatalogError
from bai_spawner.names import SERVICE
from bai_spawner.ports import parse_range
from bai_spawner.runtime import BaiRuntime
from bai_spawner.spawner import BaiSpawner

SESSION_PORT = 8888
"""Where a session's server listens unless told otherwise: DockerSpawner's ``port``."""
NAME = "apps"
"""Of the proxy, among the hub's services."""
ANY = frozenset({"", "0.0.0.0", "::", "*"})  # noqa: S104 - these are refused
SCHEMES = frozenset({"http", "https"})
KEYS = ("public_url", "bind_url", "base_url")
"""Settings of JupyterHub's that say what its address is."""


def add_app_proxy(c: Any, runtime: BaiRuntime) -> None:
    """Have the hub run the proxy, when it is set where apps are to be.

    Raises:
        CatalogError: a setting cannot be used; the message says which, and what can.
    """
    if not runtime.apps_url:
        return
    _check(runtime, _hub_url(c, runtime))
    c.JupyterHub.services.append(
        {
            "name": NAME,
            "command": [sys.executable, "-m", "bai_spawner.app_proxy"],
            "environment": handed.environment(VARIABLE, settings_file(runtime)),
            "display": False,
        }
    )


def begin_app_proxy(c: Any, runtime: BaiRuntime) -> None:
    """Write down what the proxy needs, and begin to tell it of changes."""
    if not runtime.apps_url:
        return
    hub = _hub_url(c, runtime)
    ports = parse_range(runtime.apps_ports, "BaiRuntime.apps_ports")
    state = Path(runtime.state_dir).absolute()
    secret = state / "tunnel_secret"
    tunnel.read_or_make_secret(secret)
    AppProxySettings(
        records_url=runtime.records_url,
        hub_id=runtime.hub_id,
        hub_pid=os.getpid(),
        apps=runtime.apps_url.rstrip("/"),
        hub=hub,
        service=url_path_join(hub, "services", SERVICE, "/"),
        address=runtime.apps_address,
        ports=(ports.start, ports.stop - 1),
        secret=str(secret),
        control=str(control_file(runtime)),
        session_port=_session_port(c),
        tls_certificate=runtime.apps_certificate,
        tls_key=runtime.apps_key,
        env=handed.of_database(),
    ).write(settings_file(runtime))
    _follow_rights(Client(control_file(runtime)), runtime)


def settings_file(runtime: BaiRuntime) -> Path:
    """What the proxy reads."""
    return Path(runtime.state_dir).absolute() / "app_proxy.json"


def control_file(runtime: BaiRuntime) -> Path:
    """The socket by which the proxy is asked."""
    return Path(runtime.state_dir).absolute() / "app_proxy.sock"


def _check(runtime: BaiRuntime, hub: str) -> None:
    apps = urlsplit(runtime.apps_url)
    if (
        apps.scheme not in SCHEMES
        or not apps.hostname
        or apps.netloc not in {apps.hostname, f"[{apps.hostname}]"}
        or apps.path not in {"", "/"}
        or apps.query
        or apps.fragment
    ):
        raise CatalogError(
            f"BaiRuntime.apps_url: {runtime.apps_url!r} is not accepted; write http:// or "
            "https:// and a host in lower case, without a port and a path, such as "
            "'https://apps.example.net'"
        )
    if apps.hostname == urlsplit(hub).hostname:
        raise CatalogError(
            f"BaiRuntime.apps_url: {apps.hostname!r} is the hub's own host; apps need another "
            "one, since browsers would send them the hub's cookies"
        )
    if apps.scheme == "https" and not runtime.apps_certificate:
        raise CatalogError(
            f"BaiRuntime.apps_certificate: nothing is set; {runtime.apps_url!r} needs the file "
            "with its certificate"
        )
    if not parse_range(runtime.apps_ports, "BaiRuntime.apps_ports"):
        raise CatalogError("BaiRuntime.apps_ports: '' is not accepted; write '30000-31000'")


def _hub_url(c: Any, runtime: BaiRuntime) -> str:
    """The hub's address as browsers have it, a slash at its end."""
    told = {name: c.JupyterHub[name] for name in KEYS if name in c.JupyterHub}
    found = str(runtime.hub_url or told.get("public_url") or told.get("bind_url") or "")
    if (urlsplit(found).hostname or "") in ANY:
        raise CatalogError(
            f"BaiRuntime.hub_url: nothing is set, and {found!r} names no host; apps that are "
            "private lead there to log in, so write it as browsers have it, such as "
            "'https://hub.example.org/'"
        )
    if urlsplit(found).path in {"", "/"}:
        found = str(url_path_join(found, told.get("base_url", "/")))
    return found if found.endswith("/") else f"{found}/"


def _session_port(c: Any) -> int:
    """Where a session's server listens, as the configuration says it."""
    for name in (one.__name__ for one in BaiSpawner.__mro__):
        if name in c and "port" in c[name]:
            return int(c[name].port)
    return SESSION_PORT


def _follow_rights(client: Client, runtime: BaiRuntime) -> None:
    """A login that ended, a share that was taken back: the proxy asks at once who still may."""
    changed = asyncio.Event()

    async def tell() -> None:
        while True:
            await changed.wait()
            changed.clear()
            try:
                await client.ask("POST", "/look")
            except ProxyAway:
                runtime.log.debug("The app proxy hears of no change of rights: it asks by itself")

    # what changed is in the database by the time that anybody asks: the hub's code that changes
    # it does not wait in between
    runtime.telling = asyncio.get_running_loop().create_task(tell())
    for model in (orm.APIToken, orm.Group, orm.Share, orm.User):
        event.listen(model, "after_delete", lambda *_: changed.set())
    for model in (orm.Share, orm.User):
        event.listen(model, "after_update", lambda *_: changed.set())
    # all shares of a session are taken back in one statement, which tells of no row
    event.listen(Session, "after_bulk_delete", lambda *_: changed.set())
