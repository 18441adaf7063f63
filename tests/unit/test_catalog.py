"""The administrator's file: what it offers, and how its mistakes are told."""

from __future__ import annotations

from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from bai_spawner.catalog import Catalog, load_catalog
from bai_spawner.errors import CatalogError
from bai_spawner.units import GIB, MIB
from tests.examples import SHIPPED_CATALOG, catalog_data

REMOVED = object()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "catalog.yaml"


@pytest.fixture
def shipped() -> Catalog:
    return load_catalog(SHIPPED_CATALOG)


def changed(path: str, value: Any) -> dict[str, Any]:
    """The small catalogue with the value at a path (parts joined by blanks) replaced."""
    data: dict[str, Any] = deepcopy(catalog_data())
    *parents, last = [int(part) if part.isdigit() else part for part in path.split()]
    inside: Any = data
    for parent in parents:
        inside = inside.setdefault(parent, {}) if isinstance(inside, dict) else inside[parent]
    if value is REMOVED:
        del inside[last]
    else:
        inside[last] = value
    return data


def refusal(file: Path, data: object) -> list[str]:
    """The lines with which a file is refused, without the file's name."""
    file.write_text(data if isinstance(data, str) else yaml.safe_dump(data, sort_keys=False))
    with pytest.raises(CatalogError) as refused:
        load_catalog(file)
    lines = str(refused.value).splitlines()
    assert lines[0].startswith(f"{file}: ")
    return [line.removeprefix(f"{file}: ") for line in lines]


# What is shipped


def test_the_shipped_catalogue_offers_three_environments_on_two_images(shipped: Catalog) -> None:
    images = {
        version.image.partition(":")[0]
        for environment in shipped.environments.values()
        for version in environment.versions.values()
    }
    assert len(shipped.environments) == 3
    assert images == {"bai-spawner/base", "bai-spawner/numpy"}
    assert [len(e.versions) for e in shipped.environments.values()] == [1, 2, 1]
    assert shipped.environments["numpy"].newest_first() == ["2.4", "2.3"]


def test_the_shipped_catalogue_offers_three_presets_two_groups_and_two_policies(
    shipped: Catalog,
) -> None:
    assert list(shipped.presets) == ["small", "medium", "large"]
    assert list(shipped.resource_groups) == ["general", "batch"]
    assert [policy.name for policy in shipped.policies] == ["staff", "everyone"]
    assert shipped.presets["large"].groups == ("batch",)


def test_the_shipped_catalogue_counts_a_fifth_of_a_gpu_as_one(shipped: Catalog) -> None:
    assert shipped.gpu.quanta_per_gpu == 5


def test_every_shipped_preset_suits_every_shipped_environment(shipped: Catalog) -> None:
    for preset in shipped.presets.values():
        for environment in shipped.environments.values():
            assert preset.cpu >= environment.minimum.cpu
            assert preset.memory >= environment.minimum.memory
            assert preset.shm >= environment.minimum.shm


def test_the_icons_of_the_shipped_environments_are_font_awesomes(shipped: Catalog) -> None:
    assert all(" fa-" in environment.icon for environment in shipped.environments.values())


# What is read


def test_a_file_reads_as_what_it_says(file: Path) -> None:
    file.write_text(yaml.safe_dump(catalog_data()))
    catalog = load_catalog(file)
    assert catalog.environments["torch"].minimum.memory == 4 * GIB
    assert catalog.presets["fast"].fgpu == Decimal("1.5")
    assert catalog.presets["small"].shm == 64 * MIB
    assert catalog.gpu.quanta_per_gpu == 4


def test_limits_of_time_are_read_in_seconds(file: Path) -> None:
    limits = {"idle": "2h", "lifetime": "3d", "extend": "12h", "extensions": 2}
    file.write_text(yaml.safe_dump(changed("policies 1 time", limits)))
    first, last = (policy.time for policy in load_catalog(file).policies)
    assert (last.idle, last.lifetime, last.extend, last.extensions) == (7200, 259200, 43200, 2)
    assert (first.idle, first.lifetime, first.extend, first.warning) == (None, None, None, 600)


def test_shared_memory_of_a_preset_may_equal_its_memory(file: Path) -> None:
    file.write_text(yaml.safe_dump(changed("presets small shm", "1GiB")))
    assert load_catalog(file).presets["small"].shm == GIB


def test_a_catalogue_cannot_be_changed_once_it_is_read(shipped: Catalog) -> None:
    with pytest.raises(ValueError, match="frozen"):
        shipped.gpu = shipped.gpu  # type: ignore[misc]


def test_versions_sort_by_their_numbers_newest_first(file: Path) -> None:
    versions = ["3.9", "3.13", "3.10.2", "3.10", "24.04-cuda12", "24.04-cuda9"]
    data = changed("environments python versions", {v: {"image": f"x:{v}"} for v in versions})
    file.write_text(yaml.safe_dump(data))
    newest = load_catalog(file).environments["python"].newest_first()
    assert newest == ["24.04-cuda12", "24.04-cuda9", "3.13", "3.10.2", "3.10", "3.9"]


# What is refused

NO_KEY = "a key has 1 to 64 letters, digits, '.', '_' or '-', no sign at its ends"
NO_FOLDER = "a folder's name has 1 to 64 letters, digits, '.', '_' or '-'"
NO_AMOUNT: list[Any] = [-1, "4 GiB", "lots", True, [], 1.5]

MISTAKES: list[tuple[str, Any, str, str]] = [
    # a path in the file, what stands there, the path in the message, a part of the message
    ("nodes", REMOVED, "nodes", "is missing"),
    ("nodes", {}, "nodes", "at least 1 item"),
    ("nodes", {"a": {}, "b": {}}, "nodes", "this release has one node"),
    ("nodes", {"no name": {}}, "nodes.no name", NO_KEY),
    ("nodes local gpus", 2, "nodes.local.gpus", "is not a key of the catalogue here"),
    ("nodes local cpu", 0, "nodes.local.cpu", "must be between 1 and"),
    ("nodes local cpu", "4", "nodes.local.cpu", "must be a whole number of cores"),
    *(("nodes local memory", v, "nodes.local.memory", "must be ") for v in NO_AMOUNT),
    ("nodes local overcommit cpu", 0, "nodes.local.overcommit.cpu", "greater than or equal to 0.1"),
    ("nodes local overcommit cpu", float("nan"), "nodes.local.overcommit.cpu", "or equal to"),
    ("nodes local overcommit memory", 11, "nodes.local.overcommit.memory", "less than or equal to"),
    ("resource_groups", {}, "resource_groups", "at least 1 item"),
    ("resource_groups gpu title", REMOVED, "resource_groups.gpu.title", "is missing"),
    ("resource_groups gpu title", "x" * 501, "resource_groups.gpu.title", "at most 500 characters"),
    ("resource_groups gpu nodes", [], "resource_groups.gpu.nodes", "at least 1 item"),
    ("resource_groups gpu nodes", "local", "resource_groups.gpu.nodes", "must be a list"),
    (
        *("resource_groups gpu nodes", ["local", "far"], "resource_groups.gpu.nodes[1]"),
        "'far' is not defined; defined: local",
    ),
    ("environments", {}, "environments", "at least 1 item"),
    ("environments python versions", {}, "environments.python.versions", "at least 1 item"),
    (
        "environments python versions 3.9",
        "py:3.9",
        "environments.python.versions.3.9",
        "must be keys",
    ),
    (
        *(
            "environments python versions",
            {3.9: {"image": "x"}},
            "environments.python.versions.3.9",
        ),
        "must be text",
    ),
    (
        *("environments python versions 3.9", {}, "environments.python.versions.3.9.image"),
        "is missing",
    ),
    (
        *("environments python versions 3.9", {"image": ""}),
        *("environments.python.versions.3.9.image", "at least 1 character"),
    ),
    ("environments python icon", "fa\n", "environments.python.icon", "pattern"),
    ("environments python icon", '"><script>', "environments.python.icon", "pattern"),
    ("environments python default_url", "lab", "environments.python.default_url", "pattern"),
    ("environments python tags", [1], "environments.python.tags[0]", "must be text"),
    *(
        ("policies 1 time idle", v, "policies[1].time.idle", "must be ")
        for v in (7200, "2 h", "0s")
    ),
    ("policies 1 time warning", None, "policies[1].time.warning", "'90s', '30m', '2h' or '3d'"),
    ("policies 1 time extend", "1h", "policies[1].time.extend", "without a lifetime"),
    ("policies 1 time extensions", 0, "policies[1].time.extensions", "or equal to 1"),
    ("environments python colour", "red", "environments.python.colour", "is not a key"),
    ("environments python minimum cpu", 0, "environments.python.minimum.cpu", "must be between 1"),
    (
        *("environments python minimum shm", "1GiB", "environments.python.minimum.shm"),
        "is more than memory (512 MiB), of which it is part",
    ),
    (
        *("environments python minimum fgpu", 0.3, "environments.python.minimum.fgpu"),
        "must be a multiple of 0.5",
    ),
    (
        *("environments torch maximum", {"cpu": 1}, "environments.torch.maximum.cpu"),
        "is less than the minimum",
    ),
    ("presets small cpu", REMOVED, "presets.small.cpu", "is missing"),
    *(("presets small memory", v, "presets.small.memory", "must be ") for v in NO_AMOUNT),
    ("presets small shm", "2GiB", "presets.small.shm", "is more than memory (1 GiB)"),
    ("presets small fgpu", 0.7, "presets.small.fgpu", "must be a multiple of 0.5"),
    ("presets small fgpu", -1, "presets.small.fgpu", "must be a number between 0 and"),
    ("presets small groups", ["far"], "presets.small.groups[0]", "defined: default, gpu"),
    ("gpu quantum", 0, "gpu.quantum", "must be more than 0"),
    ("gpu quantum", "0.3", "gpu.quantum", "must divide fgpu_per_gpu (2) without a remainder"),
    ("gpu fgpu_per_gpu", "many", "gpu.fgpu_per_gpu", "must be a number between 0 and"),
    ("folders user create", ["a/b"], "folders.user.create[0]", NO_FOLDER),
    ("folders user create", [".."], "folders.user.create[0]", NO_FOLDER),
    ("folders user create", ["x\n"], "folders.user.create[0]", NO_FOLDER),
    ("folders user create", ["ok", ".ssh"], "folders.user.create[1]", "belongs to the session"),
    ("folders user create", [".config"], "folders.user.create[0]", "only automatic folders"),
    ("folders user automatic", [".JUPYTER"], "folders.user.automatic[0]", "belongs to the session"),
    ("folders user most", 0, "folders.user.most", "greater than or equal to 1"),
    (
        *("folders group team", {".data": {}}, "folders.group.team..data"),
        "is reserved, or begins with '.'",
    ),
    ("folders group team", {"a b": {}}, "folders.group.team.a b", NO_FOLDER),
    (
        *("folders group team", {"data": {"permission": "rwx"}}),
        *("folders.group.team.data.permission", "'rw' or 'ro'"),
    ),
    ("policies", [], "policies", "at least 1 item"),
    ("policies 0 name", REMOVED, "policies[0].name", "is missing"),
    ("policies 0 name", "every one", "policies[0].name", NO_KEY),
    ("policies 1 name", "staff", "policies[1].name", "'staff' is the name of an earlier policy"),
    ("policies 0 match", REMOVED, "policies[0].match", "only the last policy matches everyone"),
    ("policies 1 match", {"users": ["x"]}, "policies[1].match", "must not be there"),
    ("policies 1 resource_groups", ["x"], "policies[1].resource_groups[0]", "'x' is not defined"),
    ("policies 1 environments", ["x"], "policies[1].environments[0]", "defined: python, torch"),
    ("policies 1 presets", ["small", "x"], "policies[1].presets[1]", "defined: small, fast"),
    ("policies 1 limits sessions", 0, "policies[1].limits.sessions", "greater than or equal to 1"),
    ("policies 1 limits sessions", "2", "policies[1].limits.sessions", "valid integer"),
    ("policies 1 limits shm", "1GiB", "policies[1].limits.shm", "is not a key"),
    ("policies 1 per_session memory", "1 GB", "policies[1].per_session.memory", "must be "),
    ("policies 1 folders", ["others"], "policies[1].folders[0]", "'user' or 'group'"),
    ("enviroments", {}, "enviroments", "is not a key of the catalogue here; check its spelling"),
]


@pytest.mark.parametrize(("path", "value", "told_path", "told"), MISTAKES)
def test_a_mistake_is_told_with_the_path_of_its_key(
    file: Path, path: str, value: Any, told_path: str, told: str
) -> None:
    lines = refusal(file, changed(path, value))
    assert lines[0].startswith(f"{told_path}: ")
    assert told in lines[0]
    assert all(line.startswith(told_path) for line in lines)


def test_several_mistakes_are_told_at_once(file: Path) -> None:
    data = changed("policies 0 match", REMOVED)
    data["presets"]["small"]["groups"] = ["far"]
    data["environments"]["python"]["minimum"]["shm"] = "1GiB"
    assert [line.partition(": ")[0] for line in refusal(file, data)] == [
        "presets.small.groups[0]",
        "environments.python.minimum.shm",
        "policies[0].match",
    ]


def test_one_node_is_all_that_this_release_has(file: Path) -> None:
    (line,) = refusal(file, changed("nodes far", {}))
    assert line.startswith("nodes: ")


@pytest.mark.parametrize("text", ["", "[]", "just text", "7"])
def test_a_file_that_is_no_mapping_is_refused(file: Path, text: str) -> None:
    (line,) = refusal(file, text)
    assert line.startswith("the file: ")


@pytest.mark.parametrize(
    "text", ["nodes: [", "a: b: c", "\t- x", "nodes: *nowhere", "a: 1\n---\nb: 2"]
)
def test_a_file_that_is_no_yaml_is_refused_with_the_place(file: Path, text: str) -> None:
    lines = refusal(file, text)
    assert lines[0].startswith("is not YAML: ")
    assert "line" in " ".join(lines)


def test_a_file_that_is_no_text_is_refused(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CatalogError, match="is not YAML"):
        load_catalog(file)


def test_yaml_that_would_run_code_is_refused(file: Path) -> None:
    lines = refusal(file, "nodes: !!python/object/apply:os.system ['true']")
    assert lines[0].startswith("is not YAML: could not determine a constructor")


@pytest.mark.parametrize("text", ["gpu: {}\nnodes: {}\ngpu: {}\n", "nodes: {local: {}, local: {}}"])
def test_a_key_that_stands_twice_is_refused_with_its_line(file: Path, text: str) -> None:
    lines = refusal(file, text)
    assert "stands here twice" in lines[0]
    assert "line" in lines[1]


def test_a_file_that_is_not_there_is_refused_by_name(file: Path) -> None:
    with pytest.raises(CatalogError, match=r"catalog\.yaml: cannot be read: No such file"):
        load_catalog(file)


def test_a_folder_in_the_place_of_the_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="cannot be read: Is a directory"):
        load_catalog(tmp_path)
