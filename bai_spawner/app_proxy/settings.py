"""What the hub tells its app proxy: in a file of its own, since a URL may hold a password."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from bai_spawner import handed

VARIABLE = "BAI_APP_PROXY_SETTINGS"
"""Names the file in the proxy's environment."""


@dataclass(frozen=True, slots=True)
class AppProxySettings:
    """Where the records are, whose they are, and where apps are to be.

    ``apps``, ``hub`` and ``service`` are addresses as browsers have them; ``address`` and
    ``ports`` are where apps listen, ``secret`` and ``control`` files; ``session_port`` is that
    of sessions' own servers, and ``env`` what the database's driver reads.
    """

    records_url: str
    hub_id: str
    hub_pid: int
    apps: str
    hub: str
    service: str
    address: str
    ports: tuple[int, int]
    secret: str
    control: str
    session_port: int
    tls_certificate: str = ""
    tls_key: str = ""
    env: dict[str, str] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Put them in a file that nobody else can read at any moment."""
        handed.write(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> AppProxySettings:
        """Read what a hub wrote."""
        found = handed.read(path)
        return cls(**{**found, "ports": tuple(found["ports"])})
