"""The network that a deployment's sessions are on, alone and apart from each other."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import docker
from docker.errors import NotFound

from deployment import HUB_LABEL
from progress import SetupError, phase

_ID_LETTERS = 12


@dataclass(frozen=True)
class Network:
    """Its name, and the host's address on it, where the hub listens."""

    name: str
    gateway: str


def network_name(hub_id: str) -> str:
    """The name of the network of the deployment with this id."""
    return f"bai-{hub_id[:_ID_LETTERS]}"


def ensure_network(client: docker.APIClient, hub_id: str) -> Network:
    """The deployment's network, made if it is missing.

    Raises:
        SetupError: a network of that name is someone else's.
    """
    name = network_name(hub_id)
    try:
        found = client.inspect_network(name)
    except NotFound:
        with phase(f"network {name}"):
            _create(client, name, hub_id)
            found = client.inspect_network(name)
    if (found.get("Labels") or {}).get(HUB_LABEL) != hub_id:
        raise SetupError(f"the network {name} is not this deployment's: remove or rename it")
    return Network(name, _gateway(found))


def _create(client: docker.APIClient, name: str, hub_id: str) -> None:
    """A bridge on which containers reach the host and the world, and not each other."""
    client.create_network(
        name,
        driver="bridge",
        options={"com.docker.network.bridge.enable_icc": "false"},
        labels={HUB_LABEL: hub_id},
        check_duplicate=True,
    )


def _gateway(found: Mapping[str, Any]) -> str:
    """The IPv4 gateway: what the engine says, else the subnet's first address."""
    for config in found["IPAM"]["Config"]:
        subnet = ipaddress.ip_network(config["Subnet"])
        if subnet.version == ipaddress.IPv4Network(0).version:
            return str(config.get("Gateway") or next(subnet.hosts())).split("/")[0]
    raise SetupError(f"the network {found['Name']} has no IPv4 subnet")
