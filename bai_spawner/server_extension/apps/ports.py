"""The way to any port of the session, `/proxy/8000/`: shut unless the catalogue opens it.

jupyter-server-proxy brings it, for other hosts as well. Opened, it leads to ports of the
session itself and never elsewhere; shut, it leads nowhere. The way to apps and to the
terminal is another one, and always there.

A part of its own: it does not depend on whether the list of apps can be read.
"""

import os
from http import HTTPStatus
from typing import Any

from traitlets.config import Config

from bai_spawner.server_extension.api import SessionHandler
from bai_spawner.server_extension.part import Part

OPEN = "BAI_PORT_PROXY"
"""The variable that opens it, when it is ``1``."""
OWN_HOSTS = ["localhost", "127.0.0.1"]


def part(serverapp: Any) -> Part:
    """Shut what is not open; called before upstream adds its addresses, so that ours come first."""
    is_open = os.environ.get(OPEN) == "1"
    hosts = OWN_HOSTS if is_open else []
    serverapp.update_config(Config({"ServerProxy": {"host_allowlist": hosts}}))
    return Part() if is_open else Part(handlers=((r"proxy(?:/.*)?", Shut, {}),))


class Shut(SessionHandler):
    """Refuses, whatever the method, and WebSockets too."""

    async def prepare(self) -> None:  # type: ignore[override] # upstream says both
        """Refuse.

        Raises:
            HTTPError: 403, always.
        """
        await super().prepare()
        self.refuse(
            HTTPStatus.FORBIDDEN,
            "Ports of a session are not reachable here: the administrator has not opened them. "
            "Apps are, from the launcher.",
        )
