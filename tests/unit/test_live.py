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
from bai_spawner.gpu.placement import DeviceFree, place
from bai_spawner.policy import NodeFree, Subject, Usage
from bai_spawner.units import GIB
from tests.drawn import a_gpu, a_mig, a_simulated, closed
from tests.examples import SHIPPED_CATALOG, small_catalog

DEVICES = (DeviceFree("GPU-a", 3, 4), DeviceFree("GPU-b", 1, 4))
NODE = NodeFree("local", 6, 12 * GIB, DEVICES, 4)
TENTHS = {"fgpu_per_gpu": 5, "quantum": "0.5"}
"""A GPU is ten quanta, as the devices of `tests.drawn` are."""
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
                device_told("GPU-a", free="1.5", total="2"),
                device_told("GPU-b", free="0.5", total="2"),
            ],
        }
    ]


def device_told(device: str, **told: Any) -> dict[str, Any]:
    """A device of which nothing is known but its parts, with what is ``told``."""
    return {
        "device": device,
        "title": "",
        "size": None,
        "kind": "",
        "together": 1,
        "isolation": "",
        "enforcement": {"memory": "none", "compute": "none", "faults": "shared"},
        "verified": "never",
        "share": "",
        "note": "",
        **told,
    }


def test_each_device_says_what_is_in_force_and_where_that_was_seen() -> None:
    free = NodeFree("local", 6, 12 * GIB, (a_mig("MIG-a", 1), closed(a_gpu("GPU-b"), "closed")), 10)
    mig, shut = told(node=free)["groups"]["default"]["nodes"][0]["devices"]
    assert mig == device_told(
        "MIG-a",
        title="NVIDIA H100 80GB HBM3 MIG 1g.10gb",
        free="1",
        total="1",
        size="1",
        kind="MIG 1g",
        isolation="mig",
        enforcement={"memory": "session", "compute": "session", "faults": "isolated"},
        verified="615.71.05, 2026-09-30",
        share="parts of 1 fGPU, 10 GiB each",
    )
    assert (shut["note"], shut["free"], shut["share"]) == ("closed", "0", "")
    assert (shut["isolation"], shut["verified"]) == ("memcap", "never")


def test_a_device_that_is_not_there_says_so() -> None:
    free = NodeFree("local", 6, 12 * GIB, (a_simulated(),), 10)
    (device,) = told(node=free)["groups"]["default"]["nodes"][0]["devices"]
    assert device["title"].startswith("SIMULATED")
    assert device["share"] == "1 fGPU would be 15.79 GiB of its memory"


MIGS = (a_mig("MIG-a", 1), a_mig("MIG-b", 3), a_mig("MIG-c", 2, free=False))
THREE_GPUS = tuple(a_gpu(f"GPU-{n}") for n in range(3))


@pytest.mark.parametrize(
    ("devices", "who", "amounts", "words"),
    [
        ((), "root", None, None),
        ((a_gpu("GPU-a", 7),), "root", None, None),
        ((a_gpu("GPU-a", 0),), "root", None, None),
        (MIGS, "root", ["1", "3"], "1, 3"),
        (MIGS, "ada", ["1"], "1"),
        ((a_mig("MIG-b", 3),), "ada", [], "nothing"),
        ((*MIGS, a_gpu("GPU-a", 1)), "root", ["0.5", "1", "3"], "0.5, 1, 3"),
        (
            (a_gpu("GPU-a"), a_gpu("GPU-b")),
            "root",
            [*(f"{n / 2:g}" for n in range(1, 11)), "6", "7", "8", "9", "10"],
            "0.5 to 5, 6, 7, 8, 9, 10",
        ),
    ],
)
def test_amounts_are_listed_where_not_every_one_can_be_given(
    devices: tuple[DeviceFree, ...], who: str, amounts: list[str] | None, words: str | None
) -> None:
    """Ada's policy leaves her 2 fGPU, root's limits nothing."""
    free = NodeFree("local", 6, 12 * GIB, devices, 10)
    group = told(small_catalog(gpu=TENTHS), Subject(who), node=free)["groups"]["default"]
    assert group["fgpu"] == amounts
    assert group["fgpu_text"] == words


def test_the_amounts_are_those_that_the_ledger_would_give() -> None:
    free = NodeFree("local", 6, 12 * GIB, (*THREE_GPUS, *MIGS), 10)
    found = told(small_catalog(gpu=TENTHS), Subject("root"), node=free)["groups"]["default"]
    quanta = [q for q in range(1, free.quanta + 1) if place(free.devices, q, 10)]
    assert found["fgpu"] == [f"{q / 2:g}" for q in quanta]


def test_more_amounts_than_can_be_read_are_not_listed_and_cost_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = tuple(a_gpu(f"GPU-{n}", 500, 500, whole=500) for n in range(64))
    free = NodeFree("local", 6, 12 * GIB, many, 500)
    gpu = {"fgpu_per_gpu": 5, "quantum": "0.01"}
    placed: list[int] = []
    monkeypatch.setattr(NodeFree, "places", lambda _, quanta: placed.append(quanta) or True)
    group = told(small_catalog(gpu=gpu), Subject("root"), node=free)["groups"]["default"]
    assert group["fgpu"] is None
    assert len(placed) < 100, "of 32,000 amounts"


def test_a_gpu_whose_devices_are_all_closed_says_why_and_gives_nothing() -> None:
    shut = tuple(closed(a_gpu(f"GPU-{n}"), note) for n, note in enumerate(("drained", "no driver")))
    found = told(subject=Subject("root"), node=NodeFree("local", 6, 12 * GIB, shut, 10))
    assert found["presets"]["fast"]["gpu"] == ["no GPU is handed out: drained; no driver"]
    bounds_told = found["bounds"]["shapes"]["0"]["gpu"]["fgpu"]
    assert bounds_told["high"] == "0"
    assert "no GPU is handed out: drained" in bounds_told["text"]


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


LIMITED = {"idle": "90s", "lifetime": "3d", "extend": "36h", "warning": "90m", "extensions": 9}


@pytest.mark.parametrize(
    "catalog",
    [
        small_catalog(),
        small_catalog(policies=[{"name": "everyone", "time": LIMITED}]),
        load_catalog(SHIPPED_CATALOG),
    ],
    ids=str,
)
def test_a_published_catalogue_is_read_back_as_it_was(catalog: Catalog) -> None:
    assert bulletin.read_catalogue(bulletin.catalogue(catalog)) == catalog


def test_published_availability_is_read_back_as_it_was() -> None:
    shown = NodeFree("other", 0, 0, (a_gpu("GPU-a", 3), a_mig("MIG-a", 1), a_simulated()), 10)
    free = {"default": (NODE, shown, NodeFree("bare", 0, 0)), "gpu": ()}
    assert bulletin.read_availability(bulletin.availability(free)) == free


def test_a_catalogue_of_another_version_is_not_misread() -> None:
    with pytest.raises(ValueError, match="extra"):
        bulletin.read_catalogue(bulletin.catalogue(small_catalog())[:-1] + ', "extra": 1}')
