"""Where a session's pages are: absolute paths, for whoever may open them.

A link is ``None`` while it leads nowhere: a session that only starts has no JupyterLab yet,
one that ended has no terminal any more. Whatever a user or a server is called, a link stays
below the hub's own address.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jupyterhub.utils import url_escape_path, url_path_join

from bai_spawner.apps import BUILT_IN, App
from bai_spawner.reasons import Status
from bai_spawner.records import Facts, SessionRecord

OWN_PAGES = {app.name: app.path for app in BUILT_IN}
LOG = "bai/log"
"""The page of a session's own log, below the session."""
DEFAULT_URL = "/lab"
STARTING = frozenset({Status.PENDING, Status.PREPARING})


@dataclass(frozen=True, slots=True)
class Site:
    """Where the hub and the service are, such as ``/`` and ``/services/sessions/``."""

    hub: str = "/"
    service: str = "/services/sessions/"


def server(site: Site, facts: Facts) -> str:
    """A session's own address, with a slash at its end."""
    return str(url_path_join(site.hub, "user", *_path(facts), "/"))


def links(record: SessionRecord, site: Site, default_url: str = DEFAULT_URL) -> dict[str, Any]:
    """Every page of a session that there can be.

    Args:
        record: the session.
        site: where everything is.
        default_url: the page that its environment opens with.
    """
    facts = record.facts
    runs = record.status is Status.RUNNING
    own = server(site, facts)
    pages = {"open": default_url, **OWN_PAGES, "log": LOG}
    found = {name: url_path_join(own, path) if runs else None for name, path in pages.items()}
    if not record.status.is_live:
        found["log"] = url_path_join(site.service, "log", url_escape_path(facts.id))
    pending = url_path_join(site.hub, "hub/spawn-pending", *_path(facts))
    return found | {"progress": pending if record.status in STARTING else None}


def apps(record: SessionRecord, site: Site, declared: Sequence[App]) -> list[dict[str, Any]]:
    """What can be opened in a session that runs: the apps of every one, then its image's.

    An app is led to by the page that starts it, and to its own page where it has one.
    """
    if record.status is not Status.RUNNING:
        return []
    own = server(site, record.facts)
    return [_app(own, app) for app in (*BUILT_IN, *declared)]


def _app(own: str, app: App) -> dict[str, Any]:
    page = f"bai/apps/{app.name}"
    return {
        "name": app.name,
        "title": app.title,
        "category": app.category,
        "icon": url_path_join(own, page, "icon.svg") if app.icon else None,
        "asks": app.asks or None,
        "url": url_path_join(own, app.path or page),
    }


def _path(facts: Facts) -> list[str]:
    """A server as addresses name it; the default one has no name."""
    return [url_escape_path(part) for part in (facts.user, facts.server) if part]
