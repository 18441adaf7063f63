"""Make everything ready and run the hub in the foreground: `make up`.

A second run finds everything ready and takes seconds. Stopping the hub leaves the
sessions running; the next `make up` finds them again.
"""

import os
import sys
from pathlib import Path

from deployment import HUB_PID, REPO, STATE, environment, hub_id, private_folder
from engine import ensure_engine
from hub import serve
from images import ensure_images
from network import ensure_network
from passwords import ensure_passwords
from processes import running
from progress import SetupError, fail
from proxy import ensure_proxy

DEFAULT_PORT = "8000"


def prepare() -> dict[str, str]:
    """All that the hub needs; the environment that tells it where that is.

    Raises:
        SetupError: something is missing that cannot be had here.
    """
    private_folder(STATE)
    ensure_proxy()
    client = ensure_engine()
    network = ensure_network(client, hub_id())
    ensure_images(client)
    ensure_passwords()
    return {
        **environment(),
        "BAI_STATE": str(STATE),
        "BAI_HUB_ID": hub_id(),
        "BAI_NETWORK": network.name,
        "BAI_HUB_IP": network.gateway,
        "BAI_PORT": os.environ.get("BAI_PORT") or DEFAULT_PORT,
        # the hub runs in its state folder: a path is meant from here
        "BAI_CATALOG": str(Path(os.environ.get("BAI_CATALOG") or REPO / "catalog.yaml").absolute()),
    }


def _refuse_second_hub() -> None:
    """Two hubs would fight over the same sessions."""
    if pid := running(HUB_PID, "jupyterhub"):
        raise SetupError(f"this deployment's hub runs already, as process {pid}: `make down`")


def main() -> int:
    """The hub's exit status, or 1 when it could not be started."""
    try:
        _refuse_second_hub()
        return serve(prepare())
    except SetupError as error:
        return fail(error)


if __name__ == "__main__":
    sys.exit(main())
