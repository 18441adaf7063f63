"""End what a deployment runs: hub, proxy, sessions, network: `make down`.

Its files stay, and so does everything that does not carry its mark.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import docker
from docker.errors import APIError, NotFound

from deployment import ENGINE_PID, HUB_ID, HUB_LABEL, HUB_PID, PROXY_PID
from engine import connect
from network import network_name
from processes import end, running
from progress import SetupError, fail, phase

_AT_ONCE = 8


def main() -> int:
    """0 unless something of ours could not be ended."""
    end(HUB_PID, "jupyterhub")
    end(PROXY_PID, "configurable-http-proxy")
    if not HUB_ID.exists():
        return 0
    client = connect()
    if client is None:
        return fail(SetupError("no Docker engine answers: sessions, if there are any, are left"))
    try:
        _remove_all(client, HUB_ID.read_text().strip())
    except APIError as error:
        return fail(SetupError(f"the engine refused: {error.explanation}"))
    if pid := running(ENGINE_PID, "dockerd"):
        print(f"the Docker engine started here goes on, as process {pid}")
    return 0


def _remove_all(client: docker.APIClient, hub_id: str) -> None:
    """Remove every container and the network that carry this deployment's label."""
    mine = {"label": f"{HUB_LABEL}={hub_id}"}
    found = [one["Id"] for one in client.containers(all=True, filters=mine)]
    if found:
        with phase(f"remove {len(found)} containers"), ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda container: _remove(client, container), found))
    if client.networks(names=[network_name(hub_id)], filters=mine):
        with phase(f"remove network {network_name(hub_id)}"):
            client.remove_network(network_name(hub_id))


def _remove(client: docker.APIClient, container: str) -> None:
    """Remove one container, running or not; one that is gone already is removed."""
    try:
        client.remove_container(container, force=True, v=True)
    except NotFound:
        return
    except APIError as error:
        if "already in progress" not in str(error.explanation):
            raise


if __name__ == "__main__":
    sys.exit(main())
