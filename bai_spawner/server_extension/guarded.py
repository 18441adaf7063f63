"""What every proxied page of a session has in common: who may see it, and what it is not told.

jupyter-server-proxy asks who somebody is, and not what they may; and it hands everything on
that a browser sends, the credentials for the hub and for this session among it. What it leads
to may be anybody's program.
"""

import re
from typing import Any, TypeVar
from urllib.parse import unquote

from jupyter_server.auth.decorator import ws_authenticated
from jupyter_server.utils import ensure_async
from jupyter_server_proxy.handlers import ProxyHandler
from tornado.web import HTTPError

_SCHEMES = ("token ", "bearer ")
"""Of an ``Authorization`` by which JupyterHub and Jupyter Server know who asks."""
_COOKIES = ("jupyterhub-", "_xsrf=", "username-")
"""How their cookies begin."""
_TOKEN = re.compile(r"(?:^|(?<=&))(?:token|_xsrf)=[^&]*&?")
"""Their arguments in a query."""


Handler = TypeVar("Handler", bound=type[ProxyHandler])


def asked_first(handler: Handler) -> Handler:
    """Say where Jupyter Server looks for it that a handler lets in nobody unknown.

    Upstream's ``prepare`` asks who it is before any of these; they ask once more.
    """
    for method in ("get", "head", "post", "put", "patch", "delete", "options"):
        setattr(handler, method, ws_authenticated(getattr(handler, method)))
    return handler


class Guarded(ProxyHandler):
    """A base, before one of upstream's handlers."""

    auth_resource = "bai"

    async def let_in(self) -> None:
        """Go on for those who may use the session.

        Raises:
            HTTPError: 403 for others.
        """
        user, resource = self.current_user, self.auth_resource
        asked = self.authorizer.is_authorized(self, user, "execute", resource)
        if not await ensure_async(asked):
            raise HTTPError(403)

    def proxy_request_headers(self) -> Any:
        """What is handed on, without what opens the hub or this session."""
        headers = super().proxy_request_headers()
        if headers.get("Authorization", "").lower().startswith(_SCHEMES):
            del headers["Authorization"]
        cookies = [one.strip() for one in headers.get("Cookie", "").split(";")]
        kept = [one for one in cookies if one and not one.startswith(_COOKIES)]
        headers.pop("Cookie", None)
        if kept:
            headers["Cookie"] = "; ".join(kept)
        return headers

    def get_client_uri(self, protocol: str, host: str, port: int, proxied_path: str) -> str:
        """Where it is handed on to, without a token in its query."""
        address, mark, query = (
            super().get_client_uri(protocol, host, port, proxied_path).partition("?")
        )
        query = _TOKEN.sub("", query).rstrip("&")
        return f"{address}{mark}{query}" if query else str(address)

    def _get_context_path(self, host: str, port: int) -> str:
        """What an app is told of its address: upstream encodes it, encoded or not."""
        path: str = super()._get_context_path(host, port)
        return unquote(path) if self.absolute_url else path
