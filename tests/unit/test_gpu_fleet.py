"""What a host's GPUs are offered as, and how the catalogue says so."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from bai_spawner.bulletin import catalogue, read_catalogue
from bai_spawner.catalog import Catalog, load_catalog, matches
from bai_spawner.enforcement import Enforcement, Faults, Level
from bai_spawner.errors import CatalogError
from bai_spawner.gpu.device import Device, Inventory, Kind
from bai_spawner.gpu.fleet import DRAINED, Fleet, Offered
from bai_spawner.units import GIB, MIB
from tests import nvidia
from tests.examples import catalog_data

ENVIRONMENTS = {"e": {"title": "e", "versions": {"1": {"image": "x"}}}}
POLICIES = [{"name": "everyone"}]
OTHERS: dict[str, Any] = {"presets": {}, "environments": ENVIRONMENTS, "policies": POLICIES}
MODEL = "NVIDIA H100 80GB HBM3"
GPU_A = Device("GPU-a", 0, MODEL, 80 * GIB)
GPU_B = Device("GPU-b", 1, "NVIDIA L4", 24 * GIB)
MIG = Device("MIG-c", 2, MODEL, 9984 * MIB, Kind.MIG, parent="GPU-c", profile="1g.10gb")


class FakeNvml:
    """Has the devices of a test."""

    def __init__(self, *devices: Device, **known: Any) -> None:
        self.inventory = Inventory(devices, **{"driver": "615.71.05", **known})
        self.reads = 0

    def read(self) -> Inventory:
        self.reads += 1
        return self.inventory


@pytest.fixture(autouse=True)
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host without any program of NVIDIA's."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def catalog(gpu: dict[str, Any] | None = None, **groups: Any) -> Catalog:
    """One that a file would give, with these keys of ``gpu`` and these groups' devices."""
    made = {
        name: {"title": name, "nodes": ["local"]}
        | ({} if devices is None else {"devices": devices})
        for name, devices in (groups or {"all": None}).items()
    }
    return Catalog.model_validate(
        {
            "nodes": {"local": {}},
            "resource_groups": made,
            "environments": ENVIRONMENTS,
            "gpu": {"fgpu_per_gpu": 5, "isolation": "timeslice"} | (gpu or {}),
            "policies": POLICIES,
        }
    )


def offers(
    nvml: FakeNvml, gpu: dict[str, Any] | None = None, cgroup: str = "2", **groups: Any
) -> dict[str, Offered]:
    fleet = Fleet(catalog(gpu, **groups), nvml)  # type: ignore[arg-type]
    return {offer.device.uuid: offer for offer in fleet.survey(cgroup).offers}


# ---- what is offered ------------------------------------------------------------------


def test_a_gpu_is_offered_on_the_terms_of_its_strategy() -> None:
    offer = offers(FakeNvml(GPU_A))["GPU-a"]
    terms = offer.terms
    assert (offer.total, terms.whole, terms.usable, terms.size) == (5, 5, 79 * 1024, None)
    assert (terms.isolation, terms.title, terms.note) == ("timeslice", MODEL, "")
    assert terms.enforcement == Enforcement(Level.NONE, Level.NONE, Faults.CONTEXTS)
    assert terms.verified == "never"
    assert terms.together == 64
    assert terms.memory(2) == 79 * 1024 * 2 // 5


def test_what_cannot_be_handed_out_is_seen_with_its_reason_and_gives_nothing() -> None:
    found = offers(FakeNvml(GPU_A, MIG), {"isolation": "mig", "mig": {"1g.10gb": 1}})
    assert "MIG is off" in found["GPU-a"].terms.note
    assert found["GPU-a"].total == 0
    assert (found["MIG-c"].total, found["MIG-c"].terms.note) == (1, "")


@pytest.mark.parametrize(
    ("drain", "closed"),
    [
        ([], set()),
        (["GPU-a"], {"GPU-a"}),
        (["GPU-*"], {"GPU-a", "GPU-b", "MIG-c"}),
        ([MODEL], {"GPU-a", "MIG-c"}),
        (["NVIDIA H100*"], {"GPU-a", "MIG-c"}),
        (["* L4"], {"GPU-b"}),
        (["GPU-c"], {"MIG-c"}),
        (["MIG-c"], {"MIG-c"}),
        (["* MIG 1g.10gb"], {"MIG-c"}),
        (["*"], {"GPU-a", "GPU-b", "MIG-c"}),
        (["gpu-a", "NVIDIA", "H100", "a"], set()),
        (["x", "GPU-b"], {"GPU-b"}),
    ],
)
def test_an_administrator_closes_devices_by_uuid_by_name_and_with_their_gpu(
    drain: list[str], closed: set[str]
) -> None:
    gpu = {"isolation": "auto", "fgpu_per_gpu": 1, "mig": {"1g.10gb": 1}, "drain": drain}
    found = offers(FakeNvml(GPU_A, GPU_B, MIG), gpu)
    assert {uuid for uuid, offer in found.items() if offer.terms.note == DRAINED} == closed
    assert all(offer.total for offer in found.values()), "what it holds goes on and counts"


def test_what_is_closed_and_cannot_be_handed_out_says_why_it_cannot() -> None:
    found = offers(FakeNvml(replace(GPU_A, exclusive=True)), {"drain": ["*"]})
    assert "EXCLUSIVE_PROCESS" in found["GPU-a"].terms.note


def test_a_groups_devices_are_those_of_its_patterns_and_all_without() -> None:
    found = offers(
        FakeNvml(GPU_A, GPU_B, MIG),
        everything=None,
        nothing=[],
        first=["GPU-a"],
        large=["NVIDIA H100*"],
        parts=["GPU-c"],
        several=["GPU-b", "MIG-*"],
    )
    assert {uuid: offer.groups for uuid, offer in found.items()} == {
        "GPU-a": {"everything", "first", "large"},
        "GPU-b": {"everything", "several"},
        "MIG-c": {"everything", "large", "parts", "several"},
    }


def test_devices_that_are_not_there_are_in_the_place_of_those_that_are_and_say_so() -> None:
    nvml = FakeNvml(GPU_A)
    simulated = [{"model": "H100", "memory": "80GiB", "count": 2}, {"memory": "24GiB"}]
    found = offers(nvml, {"simulated": simulated, "isolation": "mps-v2"})
    assert [(uuid, o.terms.title, o.terms.isolation, o.total) for uuid, o in found.items()] == [
        ("SIMULATED-0", "SIMULATED H100", "simulated", 5),
        ("SIMULATED-1", "SIMULATED H100", "simulated", 5),
        ("SIMULATED-2", "SIMULATED GPU", "simulated", 5),
    ]
    assert all(o.terms.enforcement == Enforcement() for o in found.values())
    assert nvml.reads == 0, "what is there is not even asked for"


def test_those_of_one_kind_alone_are_given_together() -> None:
    simulated = [{"model": "A", "count": 2}, {"model": "A", "memory": "40GiB"}, {"model": "B"}]
    found = offers(FakeNvml(), {"simulated": simulated})
    kinds = [offer.terms.kind for offer in found.values()]
    assert kinds[0] == kinds[1]
    assert len(set(kinds)) == 3


@pytest.mark.parametrize(
    ("worth", "per_gpu", "profile", "total", "told"),
    [
        ({}, 7, "1g.10gb", 1, ""),
        ({}, 7, "7g.80gb", 7, ""),
        ({"1g.10gb": "0.5"}, 5, "1g.10gb", 1, ""),
        ({"1g.10gb": 2}, 5, "1g.10gb", 4, ""),
        ({"1g.10gb+me": 1}, 5, "1g.10gb+me", 2, ""),
        ({"1g.10gb": 2}, 5, "1g.10gb+me", 0, "under gpu.mig.1g.10gb+me"),
        ({}, 5, "1g.10gb", 0, "a 1g.10gb is no whole number of steps"),
        ({}, 5, "1g.24gb-me", 0, "under gpu.mig.1g.24gb-me"),
    ],
)
def test_a_mig_device_is_worth_what_the_catalogue_says_or_its_slices(
    worth: dict[str, Any], per_gpu: int, profile: str, total: int, told: str
) -> None:
    gpu = {"isolation": "mig", "mig": worth, "fgpu_per_gpu": per_gpu}
    gpu["quantum"] = "0.5" if per_gpu == 5 else 1
    offer = offers(FakeNvml(replace(MIG, profile=profile, slices=7)), gpu)["MIG-c"]
    assert offer.total == total
    assert told in offer.terms.note
    assert bool(offer.terms.note) == bool(told)
    if total:
        assert (offer.terms.size, offer.terms.whole, offer.terms.together) == (total, total, 1)
        assert offer.terms.usable == 9984, "it comes with all of its memory"


def test_what_a_mig_device_is_told_to_be_given_in_the_catalogue_can_be_given_there() -> None:
    """NVIDIA has ``-me`` beside ``+me``: RTX PRO 6000 Blackwell has 1g.24gb-me and 2g.48gb-me."""
    gpu = {"isolation": "mig", "mig": {"1g.24gb-me": 1}}
    offer = offers(FakeNvml(replace(MIG, profile="1g.24gb-me")), gpu)["MIG-c"]
    assert (offer.total, offer.terms.note) == (1, "")


def test_a_reserve_that_leaves_nothing_of_a_device_leaves_nothing_to_hand_out() -> None:
    found = offers(FakeNvml(GPU_A, GPU_B), {"reserve": "24GiB"})
    assert (found["GPU-a"].total, found["GPU-a"].terms.usable) == (5, 56 * 1024)
    assert found["GPU-b"].total == 0, "a share of no memory is none"
    assert "reserve" in found["GPU-b"].terms.note


def test_what_a_host_can_is_found_out_anew_at_each_look(programs: Path) -> None:
    nvml = FakeNvml(GPU_A, memory_limits=True)
    fleet = Fleet(catalog({"isolation": "memcap"}), nvml)  # type: ignore[arg-type]

    def look() -> str:
        return fleet.survey("2").offers[0].terms.note

    assert look() == "nvidia-container-toolkit 1.20.1 is needed, found none"
    nvidia.toolkit(programs)
    assert look() == ""
    nvml.inventory = replace(nvml.inventory, memory_limits=False)
    assert "driver 615 or newer is needed" in look()
    assert (fleet.host().driver, fleet.host().toolkit) == ("615.71.05", (1, 20, 1))


def test_a_host_without_a_driver_offers_nothing_and_says_why() -> None:
    nvml = FakeNvml(problem="no NVIDIA driver is installed here")
    survey = Fleet(catalog(), nvml).survey("2")  # type: ignore[arg-type]
    assert survey.offers == ()
    assert survey.inventory.problem == "no NVIDIA driver is installed here"


@pytest.mark.parametrize("model", ["", "A\nB", '<b>"\x00', "é\N{SNOWMAN}", "[a]", "x" * 10**5])
def test_whatever_a_device_is_called_it_is_matched_and_offered(model: str) -> None:
    found = offers(FakeNvml(replace(GPU_A, model=model)), {"drain": ["*"]})
    assert found["GPU-a"].terms.note == DRAINED
    assert found["GPU-a"].terms.title == model


def test_no_pattern_takes_for_ever_whatever_the_name() -> None:
    """One that is matched by trying every way would not end here."""
    for pattern in ("*a" * 47, "*" * 95, "a*" * 47 + "b"):
        matches([pattern], ["a" * 5000, "ab" * 5000])


@pytest.mark.parametrize(
    ("fgpu_per_gpu", "quantum"), [(65536, "0.000000001"), (1000, "0.001"), (65536, 1)]
)
def test_a_gpu_is_not_cut_into_more_steps_than_anything_can_count_through(
    tmp_path: Path, fgpu_per_gpu: int, quantum: object
) -> None:
    """Books, form and MPS go through all steps of a GPU, and no percentage is below one."""
    gpu = {"fgpu_per_gpu": fgpu_per_gpu, "quantum": quantum}
    line = refusal(tmp_path, catalog_data(gpu=gpu, **OTHERS))
    assert line.startswith("gpu.quantum: ")
    assert "steps" in line


# ---- the catalogue --------------------------------------------------------------------

NO_DEVICE = "a device is a uuid, or a product name; '*' stands for anything"
NO_PROFILE = "a MIG profile is like '1g.10gb' or '1g.10gb+me'"
LEVELS = "must be one of none, cooperative, process, session"
FAULTS = "must be one of shared, partial, contexts, isolated"
MISTAKES: list[tuple[Any, str, str]] = [
    # what stands under gpu, the path in the message, a part of the message
    ({"isolation": "magic"}, "gpu.isolation", "'whole', 'mig', 'memcap', 'mps-v2' or 'timeslice'"),
    ({"isolation": "MIG"}, "gpu.isolation", "'auto'"),
    ({"isolation": None}, "gpu.isolation", "'auto'"),
    ({"isolation": "simulated"}, "gpu.isolation", "'auto'"),
    ({"require_enforcement": "all"}, "gpu.require_enforcement", "must be keys with values"),
    *(
        ({"require_enforcement": {key: value}}, f"gpu.require_enforcement.{key}", LEVELS)
        for key in ("memory", "compute")
        for value in ("most", "SESSION", "shared", 9, True, 1.5, None, [], "ſession")
    ),
    *(
        ({"require_enforcement": {"faults": v}}, "gpu.require_enforcement.faults", FAULTS)
        for v in ("none", "session", "Isolated", 3.0, None, {})
    ),
    ({"require_enforcement": {"disk": "session"}}, "gpu.require_enforcement.disk", "is not a key"),
    ({"reserve": "1 GB"}, "gpu.reserve", "must be "),
    ({"reserve": -1}, "gpu.reserve", "must be between 0 and"),
    ({"reserve": True}, "gpu.reserve", "must be "),
    ({"mig": ["1g.10gb"]}, "gpu.mig", "must be keys with values"),
    ({"mig": {"1g": 1}}, "gpu.mig.1g", NO_PROFILE),
    ({"mig": {"8g.10gb": 1}}, "gpu.mig.8g.10gb", NO_PROFILE),
    ({"mig": {"0g.10gb": 1}}, "gpu.mig.0g.10gb", NO_PROFILE),
    ({"mig": {"1c.2g.20gb": 1}}, "gpu.mig.1c.2g.20gb", NO_PROFILE),
    ({"mig": {"1g.10gb\n": 1}}, "gpu.mig.1g.10gb", NO_PROFILE),
    ({"mig": {"1G.10GB": 1}}, "gpu.mig.1G.10GB", NO_PROFILE),
    ({"mig": {1: 1}}, "gpu.mig", "must be text"),
    ({"mig": {"1g.10gb": 0}}, "gpu.mig.1g.10gb", "must be more than 0"),
    ({"mig": {"1g.10gb": "some"}}, "gpu.mig.1g.10gb", "must be a number between 0 and"),
    ({"mig": {"1g.10gb": float("nan")}}, "gpu.mig.1g.10gb", "must be a number between 0 and"),
    ({"mig": {"1g.10gb": 0.3}}, "gpu.mig.1g.10gb", "must be a multiple of 0.5"),
    ({"mig": {"7g.80gb": 2.5}}, "gpu.mig.7g.80gb", "is more than the 2 that a whole GPU is"),
    ({"drain": "GPU-a"}, "gpu.drain", "must be a list"),
    ({"drain": [1]}, "gpu.drain[0]", "must be text"),
    *(
        ({"drain": ["ok", value]}, "gpu.drain[1]", NO_DEVICE)
        for value in ("", " a", "[ab]", "a?", "a\n", "\N{SNOWMAN}", "x" * 96, "a;b", "-a")
    ),
    ({"mps_directory": "run/mps"}, "gpu.mps_directory", "pattern"),
    ({"mps_directory": "/"}, "gpu.mps_directory", "pattern"),
    ({"mps_directory": "/a b"}, "gpu.mps_directory", "pattern"),
    ({"mps_directory": "/a$(id)"}, "gpu.mps_directory", "pattern"),
    ({"mps_directory": "/a\n"}, "gpu.mps_directory", "pattern"),
    ({"mps_directory": "/%i"}, "gpu.mps_directory", "pattern"),
    ({"mps_directory": "/" + "x" * 40}, "gpu.mps_directory", "at most 40"),
    ({"mps_directory": "/a/../b"}, "gpu.mps_directory", "pattern"),
    ({"mps_directory": None}, "gpu.mps_directory", "must be text"),
    ({"simulated": {"count": 1}}, "gpu.simulated", "must be a list"),
    ({"simulated": ["H100"]}, "gpu.simulated[0]", "must be keys with values"),
    ({"simulated": [{"count": 0}]}, "gpu.simulated[0].count", "greater than or equal to 1"),
    ({"simulated": [{"count": 1025}]}, "gpu.simulated[0].count", "less than or equal to 1024"),
    ({"simulated": [{"count": "2"}]}, "gpu.simulated[0].count", "valid integer"),
    ({"simulated": [{"model": ""}]}, "gpu.simulated[0].model", "at least 1 character"),
    ({"simulated": [{"model": "x" * 501}]}, "gpu.simulated[0].model", "at most 500 characters"),
    ({"simulated": [{}, {"memory": "80 GB"}]}, "gpu.simulated[1].memory", "must be "),
    ({"simulated": [{"name": "a"}]}, "gpu.simulated[0].name", "is not a key"),
    ({"fgpu_per_gpu": 0}, "gpu.fgpu_per_gpu", "must be more than 0"),
    ({"gpus": 1}, "gpu.gpus", "is not a key"),
]


def refusal(tmp_path: Path, data: dict[str, Any]) -> str:
    file = tmp_path / "catalog.yaml"
    file.write_text(yaml.safe_dump(data))
    with pytest.raises(CatalogError) as refused:
        load_catalog(file)
    return str(refused.value).removeprefix(f"{file}: ")


@pytest.mark.parametrize(("gpu", "path", "told"), MISTAKES)
def test_a_mistake_under_gpu_is_told_with_the_path_of_its_key(
    tmp_path: Path, gpu: dict[str, Any], path: str, told: str
) -> None:
    line = refusal(tmp_path, catalog_data(gpu={"fgpu_per_gpu": 2, "quantum": "0.5"} | gpu))
    assert line.startswith(path)
    assert told in line.replace("\n", "")


@pytest.mark.parametrize(
    ("devices", "path", "told"),
    [
        ("GPU-a", "resource_groups.gpu.devices", "must be a list"),
        ({}, "resource_groups.gpu.devices", "must be a list"),
        (["GPU-a", "[x]"], "resource_groups.gpu.devices[1]", NO_DEVICE),
        ([0], "resource_groups.gpu.devices[0]", "must be text"),
    ],
)
def test_a_mistake_in_a_groups_devices_is_told_with_its_path(
    tmp_path: Path, devices: Any, path: str, told: str
) -> None:
    data = catalog_data()
    data["resource_groups"]["gpu"]["devices"] = devices
    line = refusal(tmp_path, data)
    assert line.startswith(f"{path}: ")
    assert told in line


EVERYTHING = {
    "fgpu_per_gpu": 7,
    "quantum": "0.1",
    "isolation": "mig",
    "require_enforcement": {"memory": "session", "compute": "process", "faults": "contexts"},
    "reserve": "1.5GiB",
    "mig": {"1g.10gb": "0.7", "1g.10gb+me": 1, "3g.40gb": 3},
    "drain": ["GPU-a", "NVIDIA L4*"],
    "mps_directory": "/run/mps",
    "simulated": [{"model": 'H100 "<é>', "memory": "80GiB", "count": 8}],
}


@pytest.mark.parametrize(
    "gpu",
    [
        {},
        EVERYTHING,
        {"quantum": "0.000001", "fgpu_per_gpu": "0.000001"},
        {"quantum": "0.0000005", "fgpu_per_gpu": "0.000001"},
        {"quantum": "0.000000001", "fgpu_per_gpu": "0.000000001"},
        {"quantum": 65536, "fgpu_per_gpu": 65536},
        {"quantum": "1.000", "fgpu_per_gpu": "5.00"},
    ],
)
def test_what_the_hub_tells_the_service_is_the_catalogue_itself(gpu: dict[str, Any]) -> None:
    made = catalog(gpu, every=None, none=[], some=["GPU-a", "NVIDIA*"])
    assert read_catalogue(catalogue(made)) == made


def test_what_stands_under_gpu_is_what_is_read() -> None:
    gpu = catalog(EVERYTHING).gpu
    assert gpu.quanta_per_gpu == 70
    assert gpu.require_enforcement.enforcement == Enforcement(
        Level.SESSION, Level.PROCESS, Faults.CONTEXTS
    )
    assert gpu.reserve == 1536 * MIB
    assert gpu.mig["1g.10gb"] == Decimal("0.7")
    assert gpu.simulated[0].count == 8


def test_without_a_word_nothing_is_simulated_closed_or_required() -> None:
    gpu = Catalog.model_validate(catalog_data()).gpu
    assert (gpu.isolation, gpu.drain, gpu.simulated, gpu.mig) == ("auto", (), (), {})
    assert gpu.require_enforcement.enforcement == Enforcement()
    assert (gpu.reserve, gpu.mps_directory) == (GIB, "/run/bai-mps")
