"""What the hub tells its service: in a file of its own, since a URL may hold a password.

JupyterHub keeps the environment of its services in its database.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from bai_spawner import handed

VARIABLE = "BAI_SERVICE_SETTINGS"
"""Names the file in the service's environment."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the records are, whose they are, and which process is the hub.

    ``env`` are variables of the hub's that the database's driver reads; ``template_paths``
    is where the hub finds its templates, an administrator's own among them; ``folders_root``
    holds everybody's data folders; ``app_proxy`` is the app proxy's socket, where there is
    one, and ``apps_url`` where its apps are.
    """

    records_url: str
    hub_id: str
    hub_pid: int
    env: dict[str, str] = field(default_factory=dict)
    template_paths: tuple[str, ...] = ()
    folders_root: str = ""
    app_proxy: str = ""
    apps_url: str = ""

    def write(self, path: Path) -> None:
        """Put them in a file that nobody else can read at any moment."""
        handed.write(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> Settings:
        """Read what a hub wrote."""
        found = handed.read(path)
        return cls(**{**found, "template_paths": tuple(found["template_paths"])})
