"""How an engine is asked for GPUs, by what it can: CDI, or the driver ``nvidia``.

Docker knows the Container Device Interface from version 25 on, where its configuration
switches it on, and from 28.2 on by itself; such an engine lists what it discovered, from
API 1.50 on. Before, and where nothing of NVIDIA's was discovered, the driver ``nvidia`` is
asked, which the engine has when nvidia-container-toolkit is installed as it starts.

Source: moby, daemon/devices.go, daemon/cdi.go and daemon/nvidia_linux.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from docker.types import DeviceRequest

VISIBLE = "NVIDIA_VISIBLE_DEVICES"
KIND = "nvidia.com/gpu"
"""NVIDIA's kind of device in CDI; ``nvidia.com/gpu=<uuid>`` is one of them."""
TELLS = (28, 2)
"""Docker from this version on lists the devices that it discovered."""

_VERSION = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})\b", re.ASCII)
_WORDS = {
    "could not select device driver": (
        "the engine knows no NVIDIA GPUs: install nvidia-container-toolkit and restart Docker"
        " (bai-spawner gpu probe says what is missing)"
    ),
    "unresolvable CDI devices": (
        "the engine's CDI files do not name this GPU: nvidia-ctk cdi generate"
    ),
    "unknown device": "the GPU is not there any more, or is called otherwise now",
    "driver/library version mismatch": (
        "NVIDIA's driver was updated while it was in use: the host must be restarted"
    ),
    "unsatisfied condition": "the image needs a newer NVIDIA driver than the host has",
}
"""What engines and the toolkit say, in part, and what that means."""


def request(devices: Sequence[str], info: Mapping[str, Any]) -> list[DeviceRequest]:
    """The ``DeviceRequests`` for devices by uuid, for an engine that says this of itself."""
    if not devices:
        return []
    names = [f"{KIND}={device}" for device in devices]
    if _has_cdi(names, info):
        return [DeviceRequest(driver="cdi", device_ids=names)]
    capabilities = [["gpu", "compute", "utility"]]
    return [DeviceRequest(driver="nvidia", device_ids=list(devices), capabilities=capabilities)]


def _has_cdi(names: Sequence[str], info: Mapping[str, Any]) -> bool:
    discovered = info.get("DiscoveredDevices")
    if discovered is not None:
        there = {one.get("ID") for one in discovered if one.get("Source") == "cdi"}
        return there.issuperset(names)
    # the list is left out where it is empty, too
    if _version(info) >= TELLS:
        return False
    # an engine that cannot tell what it discovered has CDI only when somebody switched it on
    return bool(info.get("CDISpecDirs"))


def _version(info: Mapping[str, Any]) -> tuple[int, ...]:
    match = _VERSION.match(str(info.get("ServerVersion")))
    return tuple(map(int, match.groups())) if match else ()


def requested(host_config: Mapping[str, Any]) -> tuple[str, ...]:
    """The devices that a container was made with, by uuid."""
    return tuple(
        device.removeprefix(f"{KIND}=")
        for wanted in host_config.get("DeviceRequests") or ()
        for device in wanted.get("DeviceIDs") or ()
    )


def visible(environment: Iterable[str]) -> str:
    """What a container's environment says of GPUs; the last word counts."""
    said = [line.partition("=")[2] for line in environment if line.startswith(f"{VISIBLE}=")]
    return said[-1] if said else ""


def worded(message: str) -> str:
    """What an engine said of a start, with what it means in front where that is known."""
    meaning = next((words for part, words in _WORDS.items() if part in message), "")
    return f"{meaning} ({message})" if meaning else message
