"""Where apps are, as browsers name it, and where the hub is."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

_DEFAULT = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Site:
    """The addresses of a deployment.

    Args:
        apps: of all apps, without a port: ``http://localhost``.
        hub: of the hub, with its base: ``http://127.0.0.1:8000/``.
        service: of the Sessions service: ``http://127.0.0.1:8000/services/sessions/``.
    """

    apps: str
    hub: str
    service: str

    @property
    def scheme(self) -> str:
        """``http`` or ``https``, of apps."""
        return urlsplit(self.apps).scheme

    def host(self, port: int) -> str:
        """What a browser sends as the host of the app at a port."""
        name = urlsplit(self.apps).netloc
        return name if _DEFAULT[self.scheme] == port else f"{name}:{port}"

    def origin(self, port: int) -> str:
        """The origin of the app at a port."""
        return f"{self.scheme}://{self.host(port)}"

    def enter(self, opening: str, nonce: str, path: str) -> str:
        """Where a visitor of a private app is known; it leads back to ``path``."""
        asked = urlencode({"opening": opening, "nonce": nonce, "next": path})
        return f"{self.service}enter?{asked}"

    def starter(self, user: str, server: str, app: str) -> str:
        """The page of a session that starts an app; names are as the hub's addresses have them."""
        return f"{self.hub}user/{user}/{server}/bai/apps/{app}".replace("//bai", "/bai")
