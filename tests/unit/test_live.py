"""What an open form is told: the same forecast as the form itself, as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bai_spawner import bulletin, policy
from bai_spawner.catalog import Catalog, load_catalog
from bai_spawner.form import bounds
from bai_spawner.form.bounds import Room
from bai_spawner.form.live import live
from bai_spawner.policy import DeviceFree, NodeFree, Subject, Usage
from bai_spawner.units import GIB
from tests.examples import SHIPPED_CATALOG, small_catalog

DEVICES = (DeviceFree("GPU-a", 3, 4), DeviceFree("GPU-b", 1, 4))
NODE = NodeFree("local", 6, 12 * GIB, DEVICES)
HELD = Usage(1, 2, 3 * GIB, 2, frozenset({"mine"}))


def told(
    catalog: Catalog | None = None,
    subject: Subject | None = None,
    usage: Usage = HELD,
    node: NodeFree = NODE,
) -> dict[str, Any]:
    catalog = catalog or small_catalog()
    chosen = policy.select(catalog, subject or Subject("ada"))
    free = dict.fromkeys(catalog.resource_groups, (node,))
    found: dict[str, Any] = json.loads(json.dumps(live(Room(catalog, chosen, usage, free))))
    return found


def test_it_says_what_the_user_holds_and_may_hold() -> None:
    found = told()
    assert found["held"] == {"sessions": 1, "cpu": 2, "memory": 3 * GIB, "fgpu": "1"}
    assert found["limits"] == {"sessions": 2, "cpu": 4, "memory": 6 * GIB, "fgpu": "3"}
    assert found["held_text"] == "1 of 2 sessions, 2 of 4 CPU, 3 GiB of 6 GiB RAM, 1 of 3 fGPU"
    assert found["names"] == ["mine"]
    assert found["sessions"] == {"low": 1, "high": 1, "limit": "left of the 2 that you may have"}
    assert found["age"] == 0


def test_only_what_the_policy_offers_is_told() -> None:
    """S11: not even the names of the rest."""
    found = told()
    assert set(found["groups"]) == {"default"}
    assert set(found["presets"]) == {"small"}
    assert set(found["bounds"]["environments"]) == {"python"}
    everything = told(subject=Subject("root"))
    assert set(everything["groups"]) == {"default", "gpu"}
    assert set(everything["presets"]) == {"small", "fast"}


def test_without_a_limit_there_is_null_and_a_form_launches_a_hundred_at_most() -> None:
    found = told(subject=Subject("root"))
    assert found["limits"] == {"sessions": None, "cpu": None, "memory": None, "fgpu": None}
    assert found["sessions"]["high"] == 100
    assert found["held_text"] == "1 sessions, 2 CPU, 3 GiB RAM, 1 fGPU"


def test_what_is_free_is_told_by_node_and_device() -> None:
    group = told()["groups"]["default"]
    assert group["free"] == "6 CPU, 12 GiB RAM, 1.5 fGPU"
    assert group["nodes"] == [
        {
            "node": "local",
            "cpu": 6,
            "memory": 12 * GIB,
            "devices": [
                {"device": "GPU-a", "free": "1.5", "total": "2"},
                {"device": "GPU-b", "free": "0.5", "total": "2"},
            ],
        }
    ]


def test_a_preset_that_does_not_fit_says_why_for_each_group() -> None:
    crowded = told(subject=Subject("root"), node=NodeFree("local", 1, GIB, ()))
    assert crowded["presets"]["small"] == {"default": [], "gpu": []}
    assert "there is no GPU here" in crowded["presets"]["fast"]["gpu"]


@pytest.mark.parametrize("subject", [Subject("ada"), Subject("root")], ids=str)
def test_the_bounds_are_those_of_the_form_for_every_environment_and_group(subject: Subject) -> None:
    catalog = small_catalog()
    room = Room(catalog, policy.select(catalog, subject), HELD, {"default": (NODE,), "gpu": ()})
    found = live(room)["bounds"]
    for environment, shape in found["environments"].items():
        for group, told_bounds in found["shapes"][shape].items():
            expected = bounds.bounds(room, environment, group)
            assert {k: b["possible"] for k, b in told_bounds.items()} == {
                k: b.possible for k, b in expected.items()
            }


def test_environments_with_the_same_needs_share_their_bounds() -> None:
    python = small_catalog().environments["python"]
    alike = {f"e{n}": python for n in range(50)} | {
        "other": python.model_copy(update={"title": "Its own title is in its bounds"})
    }
    catalog = small_catalog().model_copy(update={"environments": alike})
    found = told(catalog, Subject("root"))["bounds"]
    assert len(found["environments"]) == 51
    assert len(found["shapes"]) == 2


@pytest.mark.parametrize("catalog", [small_catalog(), load_catalog(SHIPPED_CATALOG)], ids=str)
def test_a_published_catalogue_is_read_back_as_it_was(catalog: Catalog) -> None:
    assert bulletin.read_catalogue(bulletin.catalogue(catalog)) == catalog


def test_published_availability_is_read_back_as_it_was() -> None:
    free = {"default": (NODE, NodeFree("other", 0, 0)), "gpu": ()}
    assert bulletin.read_availability(bulletin.availability(free)) == free


def test_a_catalogue_of_another_version_is_not_misread() -> None:
    with pytest.raises(ValueError, match="extra"):
        bulletin.read_catalogue(bulletin.catalogue(small_catalog())[:-1] + ', "extra": 1}')
