"""What there is in all is published as the books and the last survey have it."""

from __future__ import annotations

import json

from bai_spawner import bulletin
from bai_spawner.gpu.device import Device, DeviceUse
from bai_spawner.gpu.fleet import Offered, Survey
from bai_spawner.gpu.isolation import Choice
from bai_spawner.gpu.placement import Terms
from bai_spawner.ledger import Capacity, Ledger
from bai_spawner.whole import whole


def offered(uuid: str, note: str = "") -> Offered:
    return Offered(
        device=Device(uuid, 0, "NVIDIA H100", 80 * 2**30),
        choice=Choice(None, None, note),
        total=0 if note else 10,
        terms=Terms(title="NVIDIA H100", isolation="memcap", note=note),
        groups=frozenset({"general", "batch"}),
    )


def test_nodes_are_told_with_their_devices_and_what_is_not_known_of_those_is_null() -> None:
    ledger = Ledger({"local": Capacity(64, 2**40)})
    survey = Survey(offers=(offered("GPU-a"), offered("GPU-b", "an administrator has closed it")))
    uses = {"GPU-a": DeviceUse("GPU-a", 7 * 2**30, 95)}
    (node,) = json.loads(bulletin.capacity(whole(ledger, survey, uses))).items()
    assert node[0] == "local"
    assert (node[1]["cpu"], node[1]["memory"]) == (64, 2**40)
    assert node[1]["devices"] == {
        "GPU-a": {
            "title": "NVIDIA H100",
            "total": 10,
            "groups": ["batch", "general"],
            "isolation": "memcap",
            "note": "",
            "memory": 80 * 2**30,
            "used_memory": 7 * 2**30,
            "utilization": 95,
        },
        "GPU-b": {
            "title": "NVIDIA H100",
            "total": 0,
            "groups": ["batch", "general"],
            "isolation": "memcap",
            "note": "an administrator has closed it",
            "memory": 80 * 2**30,
            "used_memory": None,
            "utilization": None,
        },
    }
