"""The whole, for superadmins: groups, nodes and devices add up, whatever sessions hold."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("jupyterhub")

from bai_spawner import bulletin
from bai_spawner.bulletin import DeviceWhole, Whole
from bai_spawner.gpu.placement import DeviceFree, Terms
from bai_spawner.policy import Availability, NodeFree
from bai_spawner.records import Facts
from bai_spawner.service.whole import GONE, NOBODYS, Cluster
from bai_spawner.units import GIB
from tests.examples import small_catalog
from tests.recorded import a_facts

H100 = "NVIDIA H100 80GB HBM3"


def a_whole(title: str = H100, **changed: Any) -> DeviceWhole:
    values: dict[str, Any] = {
        "title": title,
        "total": 4,
        "groups": ("gpu",),
        "isolation": "memcap",
        "note": "",
        "memory": 80 * GIB,
        "used_memory": 12 * GIB,
        "utilization": 43,
    }
    return DeviceWhole(**{**values, **changed})


def a_free(device: str, free: int, **terms: Any) -> DeviceFree:
    return DeviceFree(device, free, 4, Terms(**{"title": H100, "isolation": "memcap", **terms}))


def free(*devices: DeviceFree, cpu: int = 11, memory: int = 52 * GIB) -> Availability:
    node = NodeFree("local", cpu, memory, (), per_gpu=4)
    return {"default": (node,), "gpu": (replace(node, devices=devices),)}


def on_gpus(session: str, *devices: str, quanta: int, **changed: Any) -> Facts:
    values: dict[str, Any] = {"name": session, "group": "gpu", "quanta": quanta, "per_gpu": 4}
    return a_facts(session, devices=devices, **{**values, **changed})


def told(
    *live: Facts,
    devices: dict[str, DeviceWhole] | None = None,
    available: Availability | None = None,
    **catalog: Any,
) -> dict[str, Any]:
    capacity = {"local": Whole(16, 64 * GIB, devices or {})}
    available = available if available is not None else free()
    cluster = Cluster(small_catalog(**catalog), capacity, available, live)
    found: dict[str, Any] = json.loads(json.dumps(cluster.told(age=2.96)))
    return found


def test_what_sessions_hold_and_what_is_free_is_told_of_node_groups_and_device() -> None:
    found = told(
        a_facts("plain", cpu=1, memory=2 * GIB),
        on_gpus("train", "GPU-0", quanta=1, user="ada"),
        on_gpus("tune", "GPU-0", quanta=2, user="grace"),
        devices={"GPU-0": a_whole()},
        available=free(a_free("GPU-0", 1)),
    )
    assert found == {
        "nodes": [
            {
                "node": "local",
                "cpu": {"total": 16, "allocated": 5, "free": 11},
                "memory": {"total": 64 * GIB, "allocated": 10 * GIB, "free": 52 * GIB},
                "sessions": 3,
                "devices": [
                    {
                        "device": "GPU-0",
                        "title": H100,
                        "isolation": "memcap",
                        "note": "",
                        "total": "2",
                        "allocated": "1.5",
                        "free": "0.5",
                        "largest": "0.5",
                        "memory": 80 * GIB,
                        "used_memory": 12 * GIB,
                        "utilization": 43,
                        "sessions": [
                            {"id": "train", "name": "train", "user": "ada", "fgpu": "0.5"},
                            {"id": "tune", "name": "tune", "user": "grace", "fgpu": "1"},
                        ],
                    }
                ],
            }
        ],
        "groups": [
            {
                "key": "default",
                "title": "Default",
                "nodes": ["local"],
                "sessions": 1,
                "cpu": {"allocated": 1, "free": 11},
                "memory": {"allocated": 2 * GIB, "free": 52 * GIB},
                "fgpu": {"allocated": "0", "free": "0", "largest": "0"},
            },
            {
                "key": "gpu",
                "title": "GPU",
                "nodes": ["local"],
                "sessions": 2,
                "cpu": {"allocated": 4, "free": 11},
                "memory": {"allocated": 8 * GIB, "free": 52 * GIB},
                "fgpu": {"allocated": "1.5", "free": "0.5", "largest": "0.5"},
            },
        ],
        "age": 3.0,
    }


def test_a_session_of_several_devices_has_its_part_of_each() -> None:
    found = told(
        on_gpus("wide", "GPU-0", "GPU-1", quanta=6),
        devices={"GPU-0": a_whole(), "GPU-1": a_whole()},
        available=free(a_free("GPU-0", 1, together=2), a_free("GPU-1", 1, together=2)),
    )
    devices = found["nodes"][0]["devices"]
    assert [one["allocated"] for one in devices] == ["1.5", "1.5"]
    assert [one["sessions"][0]["fgpu"] for one in devices] == ["1.5", "1.5"]
    assert found["groups"][1]["fgpu"] == {"allocated": "3", "free": "1", "largest": "0.5"}


def test_shares_of_other_units_count_as_the_books_count_them() -> None:
    """A third of a device is, in quarters, two of them."""
    old = on_gpus("old", "GPU-0", quanta=1, per_gpu=3)
    found = told(old, devices={"GPU-0": a_whole()}, available=free(a_free("GPU-0", 2)))
    assert found["nodes"][0]["devices"][0]["allocated"] == "1"
    assert found["groups"][1]["fgpu"]["allocated"] == "1"


def test_the_largest_share_is_no_sum() -> None:
    found = told(
        devices={"GPU-0": a_whole(), "GPU-1": a_whole(isolation="mig")},
        available=free(a_free("GPU-0", 3), a_free("GPU-1", 4, isolation="mig", size=2)),
    )
    devices = found["nodes"][0]["devices"]
    assert [one["largest"] for one in devices] == ["1.5", "1"]
    assert found["groups"][1]["fgpu"] == {"allocated": "0", "free": "3.5", "largest": "1.5"}


def test_of_a_device_that_is_closed_nothing_is_free_and_why_is_said() -> None:
    """By the inventory, or by the books for as long as others are on it."""
    found = told(
        devices={"GPU-0": a_whole(note="it failed"), "GPU-1": a_whole(), "GPU-2": a_whole()},
        available=free(
            a_free("GPU-0", 0, note="it failed"), a_free("GPU-1", 0, note="others are on it")
        ),
    )
    devices = found["nodes"][0]["devices"]
    assert [one["note"] for one in devices] == ["it failed", "others are on it", ""]
    assert [(one["free"], one["largest"]) for one in devices[:2]] == [("0", "0")] * 2
    assert found["groups"][1]["fgpu"]["free"] == "0"
    nobodys = told(devices={"GPU-0": a_whole(groups=())})["nodes"][0]["devices"][0]
    assert (nobodys["note"], nobodys["free"]) == (NOBODYS, "0")


def test_a_device_that_is_gone_is_told_of_while_sessions_hold_it() -> None:
    found = told(on_gpus("left", "GPU-9", quanta=2), devices={"GPU-0": a_whole()})
    here, gone = found["nodes"][0]["devices"]
    assert (here["device"], here["sessions"]) == ("GPU-0", [])
    assert (gone["device"], gone["note"], gone["total"]) == ("GPU-9", GONE, "0")
    assert (gone["allocated"], gone["sessions"][0]["name"]) == ("1", "left")


def test_a_group_that_is_offered_no_more_and_a_node_that_was_renamed_still_count() -> None:
    found = told(a_facts("old", group="retired", node="before", cpu=3))
    assert found["nodes"][0]["sessions"] == 1
    assert found["nodes"][0]["cpu"]["allocated"] == 3
    retired = found["groups"][-1]
    assert (retired["key"], retired["title"]) == ("retired", "retired")
    assert (retired["nodes"], retired["cpu"]) == (["local"], {"allocated": 3, "free": 0})


def test_a_node_of_no_group_is_free_as_far_as_nobody_has_it() -> None:
    found = told(a_facts("one", cpu=20, memory=GIB), available={})
    assert found["nodes"][0]["cpu"] == {"total": 16, "allocated": 20, "free": 0}
    assert found["nodes"][0]["memory"]["free"] == 63 * GIB


def test_what_the_hub_published_is_read_as_it_was() -> None:
    nodes = {
        "local": Whole(16, 64 * GIB, {"GPU-0": a_whole(used_memory=None)}),
        "bare": Whole(1, 2),
    }
    assert bulletin.read_capacity(bulletin.capacity(nodes)) == nodes
