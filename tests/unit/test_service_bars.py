"""The bars above a user's sessions: what they have, and what policy and nodes leave them (R23)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("jupyterhub")

from bai_spawner.catalog import Catalog
from bai_spawner.gpu.placement import DeviceFree, Terms
from bai_spawner.policy import Availability, NodeFree
from bai_spawner.records import Held
from bai_spawner.service.bars import Bars
from bai_spawner.units import GIB
from tests.examples import catalog_data, small_catalog

GROUPS = {
    "a": {"title": "Group A", "nodes": ["local"]},
    "b": {"title": "Group B", "nodes": ["local"]},
    "c": {"title": "Group C", "nodes": ["local"]},
}


def a_catalog(limits: dict[str, Any] | None = None, **changed: Any) -> Catalog:
    """Groups A and B are open to everyone, C is not."""
    policy = {"name": "everyone", "resource_groups": ["a", "b"], "limits": limits or {}}
    presets = {"small": catalog_data()["presets"]["small"]}
    made = {"resource_groups": GROUPS, "policies": [policy], "presets": presets}
    return small_catalog(**{**made, **changed})


def held(cpu: int = 1, memory: int = GIB, quanta: int = 0, sessions: int = 1) -> Held:
    return Held(sessions, cpu, memory, quanta, frozenset())


def a_node(*devices: DeviceFree, cpu: int = 16, memory: int = 64 * GIB) -> NodeFree:
    return NodeFree("local", cpu, memory, devices, per_gpu=4)


def a_device(free: int, device: str = "GPU-0", **terms: Any) -> DeviceFree:
    return DeviceFree(device, free, 4, Terms(**{"isolation": "memcap", "whole": 4, **terms}))


def told(
    group: str = "a",
    *,
    catalog: Catalog | None = None,
    has: dict[str, Held] | None = None,
    free: Availability | None = None,
) -> dict[str, Any]:
    catalog = catalog or a_catalog()
    free = free if free is not None else {key: (a_node(),) for key in catalog.resource_groups}
    bars = Bars(catalog, catalog.policies[-1], has or {}, free)
    found: dict[str, Any] = json.loads(json.dumps(bars.told(group, age=3.04)))
    return found


def resource(found: dict[str, Any], key: str) -> dict[str, Any]:
    return next(one for one in found["resources"] if one["key"] == key)


def lefts(found: dict[str, Any]) -> dict[str, Any]:
    return {one["key"]: one["texts"]["left"] for one in found["resources"]}


def test_the_example_of_the_rule_has_its_numbers() -> None:
    """R23: 2 cores in A, 1 in B, 5 still obtainable in A: 2 of 7, and 3 of 8."""
    has = {"a": held(cpu=2, memory=2 * GIB), "b": held(cpu=1)}
    found = told(catalog=a_catalog({"cpu": 8, "memory": "3GiB", "sessions": 5}), has=has)
    assert found == {
        "group": "a",
        "groups": [{"key": "a", "title": "Group A"}, {"key": "b", "title": "Group B"}],
        "sessions": {"used": 2, "limit": 5},
        "resources": [
            {
                "key": "cpu",
                "label": "CPU",
                "unit": "cores",
                "here": 2,
                "everywhere": 3,
                "left": 5,
                "upper": {"part": 2, "whole": 7},
                "lower": {"part": 3, "whole": 8},
                "texts": {"here": "2", "everywhere": "3", "left": "5"},
            },
            {
                "key": "memory",
                "label": "RAM",
                "unit": "bytes",
                "here": 2 * GIB,
                "everywhere": 3 * GIB,
                "left": 0,
                "upper": {"part": 2 * GIB, "whole": 2 * GIB},
                "lower": {"part": 3 * GIB, "whole": 3 * GIB},
                "texts": {"here": "2 GiB", "everywhere": "3 GiB", "left": "0 B"},
            },
        ],
        "age": 3.0,
    }


def test_each_group_has_what_its_own_nodes_leave() -> None:
    free = {"a": (a_node(cpu=3),), "b": (a_node(cpu=1), replace(a_node(cpu=6), node="other"))}
    has = {"a": held(cpu=2), "b": held(cpu=4)}
    here, there = (resource(told(g, has=has, free=free), "cpu") for g in ("a", "b"))
    assert (here["here"], here["everywhere"], here["left"]) == (2, 6, 3)
    assert (there["here"], there["everywhere"], there["left"]) == (4, 6, 7), "of its nodes in sum"
    assert here["upper"] == {"part": 2, "whole": 5}
    assert there["lower"] == {"part": 6, "whole": 13}


def test_without_limits_a_user_gets_what_is_free_and_no_more_than_a_limit_leaves() -> None:
    assert lefts(told()) == {"cpu": "16", "memory": "64 GiB"}
    assert told()["sessions"] == {"used": 0, "limit": None}
    limited = a_catalog({"cpu": 4, "memory": "2GiB"})
    assert lefts(told(catalog=limited)) == {"cpu": "4", "memory": "2 GiB"}
    has = {"b": held(cpu=9, memory=GIB)}
    found = told(catalog=limited, has=has)
    assert lefts(found) == {"cpu": "0", "memory": "1 GiB"}, "never less than none"
    assert resource(found, "cpu")["lower"] == {"part": 9, "whole": 9}


def test_what_one_session_may_have_does_not_bound_the_sum() -> None:
    catalog = a_catalog()
    policy = catalog.policies[-1].model_copy(
        update={"per_session": small_catalog().policies[-1].per_session}
    )
    bars = Bars(catalog, policy, {}, {"a": (a_node(),)})
    assert resource(bars.told("a"), "cpu")["left"] == 16


def test_a_group_that_is_not_open_still_counts_where_the_user_holds_something_of_it() -> None:
    found = told(has={"c": held(cpu=5), "gone": held(cpu=1)})
    assert resource(found, "cpu")["everywhere"] == 6
    assert found["sessions"]["used"] == 2


def test_shares_of_gpus_are_counted_exactly_in_fgpu() -> None:
    """Two fGPU are a GPU, of which half an fGPU is the least."""
    free = {
        "a": (a_node(a_device(3), a_device(4, "GPU-1"), a_device(0, "GPU-2", note="it failed")),),
        "b": (a_node(),),
    }
    gpu = resource(told(free=free, has={"a": held(quanta=1), "b": held(quanta=2)}), "fgpu")
    assert (gpu["label"], gpu["unit"]) == ("FGPU", "fGPU")
    assert gpu["texts"] == {"here": "0.5", "everywhere": "1.5", "left": "3.5"}
    assert gpu["upper"] == {"part": 0.5, "whole": 4.0}
    assert gpu["lower"] == {"part": 1.5, "whole": 5.0}
    limited = told(catalog=a_catalog({"fgpu": 3}), free=free, has={"b": held(quanta=2)})
    assert lefts(limited)["fgpu"] == "2"
    odd = told(catalog=a_catalog({"fgpu": "0.7"}), free=free)
    assert lefts(odd)["fgpu"] == "0.5", "no more than can be asked for"


def test_of_a_device_that_is_closed_nothing_can_be_got() -> None:
    closed = a_device(4, note="an administrator has closed it")
    gpu = resource(told(free={"a": (a_node(closed),)}), "fgpu")
    assert (gpu["label"], gpu["left"]) == ("FGPU", 0)


def test_where_only_whole_gpus_are_given_they_are_called_and_counted_so() -> None:
    whole = [a_device(4, f"GPU-{n}", isolation="whole", size=4) for n in range(3)]
    shared = a_device(2, "GPU-9")
    free = {"a": (a_node(*whole),), "b": (a_node(*whole, shared),)}
    has = {"a": held(quanta=4), "b": held(quanta=1)}
    gpu = resource(told(free=free, has=has), "fgpu")
    assert (gpu["label"], gpu["unit"]) == ("GPU", "GPU")
    assert gpu["texts"] == {"here": "1", "everywhere": "1.25", "left": "3"}
    assert resource(told("b", free=free, has=has), "fgpu")["label"] == "FGPU"
    limited = told(catalog=a_catalog({"fgpu": 5}), free=free, has=has)
    assert lefts(limited)["fgpu"] == "1", "a part of one is none"


@pytest.mark.parametrize(
    ("gpu", "label"),
    [
        ({"fgpu_per_gpu": 2, "quantum": "0.5", "isolation": "whole"}, "GPU"),
        ({"fgpu_per_gpu": 2, "quantum": 2}, "GPU"),
        ({"fgpu_per_gpu": 2, "quantum": "0.5"}, "FGPU"),
    ],
)
def test_a_group_without_a_gpu_calls_them_as_the_catalogue_says(
    gpu: dict[str, Any], label: str
) -> None:
    without = {"python": catalog_data()["environments"]["python"]}
    catalog = a_catalog(gpu=gpu, environments=without)
    assert resource(told(catalog=catalog, has={"b": held(quanta=1)}), "fgpu")["label"] == label


def test_gpus_are_left_out_where_there_are_none_to_see_and_none_are_held() -> None:
    assert set(lefts(told())) == {"cpu", "memory"}
    only_c = {"a": (a_node(),), "b": (a_node(),), "c": (a_node(a_device(4)),)}
    assert set(lefts(told(free=only_c))) == {"cpu", "memory"}, "it is not open to the user"
    in_b = {**only_c, "b": (a_node(a_device(4)),)}
    assert lefts(told(free=in_b))["fgpu"] == "0"
    assert lefts(told(has={"c": held(quanta=1)}))["fgpu"] == "0"


def test_without_a_group_there_is_nothing_to_get() -> None:
    catalog = a_catalog(policies=[{"name": "everyone", "resource_groups": []}])
    found = told("", catalog=catalog, has={"a": held()})
    assert (found["group"], found["groups"], found["resources"]) == ("", [], [])
    assert found["sessions"] == {"used": 1, "limit": None}


def test_a_group_of_which_nothing_is_known_has_nothing_left() -> None:
    assert lefts(told(free={})) == {"cpu": "0", "memory": "0 B"}
