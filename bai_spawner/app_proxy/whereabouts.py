"""Where a session and its apps are, and how they may be opened, as the hub published it.

Synchronous: use it off the loop. All of it raises `RecordsError` where nothing can be read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from bai_spawner import apps, bulletin
from bai_spawner.apps import App
from bai_spawner.catalog import AppRules, Catalog
from bai_spawner.errors import BaiError
from bai_spawner.reasons import Status
from bai_spawner.records import Records

SAFE = "@~"
"""Characters that the hub's addresses have as they are."""


class NotThere(BaiError):
    """It cannot be said where an app is. The message says why; ``field`` names what is missing."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Behind:
    """What is behind a door.

    Attributes:
        user: whose session it is.
        server: its name at the hub.
        status: of the session.
        url: of the session's own server.
        base: the path that the app is told it is at; else ``/``.
        title: what people call the app.
        rules: how it may be opened.
    """

    user: str
    server: str
    status: Status
    url: str
    base: str
    title: str
    rules: AppRules


class Whereabouts:
    """Reads what the hub published.

    Args:
        records: where it stands.
        hub: the deployment's identity.
        hub_base: the hub's path, ``/``.
        session_port: where a session's server listens.
    """

    def __init__(self, records: Records, hub: str, hub_base: str, session_port: int) -> None:
        self._records, self._hub = records, hub
        self._base, self._port = hub_base, session_port
        self._catalogue: tuple[datetime, Catalog] | None = None

    def behind(self, session: str, app: str) -> Behind:
        """What is behind an app's door.

        Raises:
            NotThere: there is no such app, or it is not known yet where it is.
        """
        record = self._records.get(session)
        if record is None or record.end is not None:
            raise NotThere("session", "it is over")
        told = self._told().get(session)
        if told is None or not told.get("address"):
            raise NotThere("session", "it is not known yet where it is; try again in a moment")
        facts, found = record.facts, _app(told, app)
        path = "/".join(quote(part, safe=SAFE) for part in (facts.user, facts.server) if part)
        base = f"{self._base}user/{path}/"
        return Behind(
            user=facts.user,
            server=facts.server,
            status=record.status,
            url=f"http://{told['address']}:{self._port}{base}",
            base=f"{base}{app}/" if found.uses("base_url") else "/",
            title=found.title,
            rules=self._catalog().app_rules(facts.policy),
        )

    def rules(self) -> dict[str, AppRules]:
        """How apps of each session that runs may be opened."""
        found, catalog = self._records.running(self._hub), self._catalog()
        return {it.facts.id: catalog.app_rules(it.facts.policy) for it in found}

    def _told(self) -> dict[str, dict[str, object]]:
        found = self._records.published(self._hub, bulletin.SESSIONS)
        return json.loads(found.body) if found else {}

    def _catalog(self) -> Catalog:
        found = self._records.published(self._hub, bulletin.CATALOGUE)
        if found is None:
            raise NotThere("session", "the hub has only just begun; try again in a moment")
        if self._catalogue is None or self._catalogue[0] != found.at:
            try:
                self._catalogue = found.at, bulletin.read_catalogue(found.body)
            except ValueError:
                told = "the hub is of another version than its app proxy: restart the hub"
                raise NotThere("session", told) from None
        return self._catalogue[1]


def _app(told: dict[str, object], name: str) -> App:
    """An app of a session's image."""
    if name in {app.name for app in apps.BUILT_IN}:
        raise NotThere(
            "app",
            "it is a page of the session itself, and opens all of it: whoever you share the "
            "session with in JupyterHub can use it, and nobody else",
        )
    for app in apps.parse(json.dumps(told["apps"])):
        if app.name == name and not app.path:
            return app
    raise NotThere("app", "this session has no such app")
