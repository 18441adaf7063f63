"""Inputs that once got through, were answered untruly, or cost too much."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from bai_spawner import labels, units
from bai_spawner.catalog import Catalog, load_catalog
from bai_spawner.errors import CatalogError, LabelError, Problems, Reason, Refused, shown
from bai_spawner.labels import SessionLabels
from bai_spawner.ledger import Capacity, Ledger, Slot
from bai_spawner.options import from_form, parse
from bai_spawner.policy import Subject, Usage, check
from bai_spawner.units import GIB
from tests.examples import a_grant, catalog_data, small_catalog


def told(body: Any, *, usage: Usage | None = None, catalog: Catalog | None = None) -> list[str]:
    """Every problem of a plain user's request."""
    problems = Problems()
    options = parse(body, problems)
    check(options, "work", catalog or small_catalog(), Subject("ada"), usage or Usage(), problems)
    return [str(problem) for problem in problems]


@pytest.mark.parametrize(
    "body",
    [
        {"env": "TOKEN=hunter2"},
        {"env": ["TOKEN=hunter2"]},
        [{"env": {"A": "hunter2"}}],
        {"resources": [{"env": {"A": "hunter2"}}]},
    ],
)
def test_a_variable_in_the_wrong_place_is_not_repeated_either(body: Any) -> None:
    assert told(body)
    assert not any("hunter2" in line for line in told(body))


@pytest.mark.parametrize("size", [513 * units.MIB, 1001 * units.MIB, 10**9, 1])
def test_what_a_number_box_shows_is_read_back_the_same(size: int) -> None:
    assert units.parse_size(f"{units.gib(size)}GiB") == size


def test_a_byte_too_many_is_told_to_the_byte() -> None:
    (line,) = told({"resources": {"memory": 4 * GIB + 1}})
    assert line == "resources.memory: 4294967297 B asked > 4294967296 B allowed for one session"


@pytest.mark.parametrize(
    "text",
    ["nodes:\n  {{ name }}: {}\n", "? [a]\n: b\n", "a: 2026-02-30\n", "[" * 3000, "a: !!int x\n"],
)
def test_yaml_that_cannot_be_read_names_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "offer.yaml"
    path.write_text(text)
    with pytest.raises(CatalogError, match=r"offer\.yaml"):
        load_catalog(path)


def test_a_catalogue_may_use_anchors_and_merge_keys(tmp_path: Path) -> None:
    data = catalog_data()
    presets = "presets:\n  small: &a {title: A, cpu: 1, memory: 1GiB}\n  b: {<<: *a, title: B}\n"
    path = tmp_path / "offer.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in data.items() if k != "presets"}) + presets)
    assert load_catalog(path).presets["b"].cpu == 1


def test_one_wrong_resource_does_not_hide_another() -> None:
    lines = told({"resources": {"cpu": 99, "memory": "x"}})
    assert any(line.startswith("resources.cpu") for line in lines)
    assert any(line.startswith("resources.memory") for line in lines)


def test_an_unknown_environment_does_not_hide_what_is_over_policy() -> None:
    lines = told({"environment": "x", "resources": {"cpu": 99}})
    assert {line.partition(":")[0] for line in lines} == {"environment", "resources.cpu"}


def test_what_can_never_fit_is_not_told_to_try_again() -> None:
    ledger = Ledger({"local": Capacity(8, 16 * GIB, {"G": Slot(4)})}, 4)
    with pytest.raises(Refused) as refused:
        ledger.reserve(a_grant(quanta=5), "s")
    assert "try again" not in str(refused.value)


def test_every_resource_that_is_short_is_told() -> None:
    ledger = Ledger({"local": Capacity(1, GIB)})
    with pytest.raises(Refused) as refused:
        ledger.reserve(a_grant(cpu=9, quanta=1), "s")
    assert [p.path for p in refused.value.problems] == ["resources.cpu", "resources.fgpu"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cpu", "-5"),
        ("cpu", "٣"),
        ("cpu", " 1_0 "),
        ("shares", '[["d",1.9,5]]'),
        ("shares", '{"a12":0}'),
        ("shares", '[["d",-3,5]]'),
        ("shares", "[" * 5000),
        ("shares", '[["d",1e400,1]]'),
        ("shares", "[[1,2,3]]"),
        ("shares", '[["d",true,1]]'),
        ("folders", '"abc"'),
    ],
)
def test_labels_that_we_did_not_write_are_not_read(key: str, value: str) -> None:
    encoded = labels.encode(SessionLabels(*["x"] * 10, 1, 2, 3))
    with pytest.raises(LabelError):
        labels.decode({**encoded, f"bai.{key}": value})


def labelled(allocation: str, server: str, session: str) -> SessionLabels:
    return SessionLabels(
        "hub", allocation, "ada", server, session, "e", "v", "g", "local", "p", 1, 1, 0
    )


def test_of_two_containers_of_one_server_the_other_is_still_held() -> None:
    ledger = Ledger({"local": Capacity(8, 99)})
    ledger.restore(labelled("a", "one", "name"))
    ledger.restore(labelled("b", "one", "name"))
    ledger.release("b")
    held = ledger.of_server("ada", "one")
    assert held is not None
    assert held.id == "a"
    assert ledger.usage("ada").names == {"name"}
    ledger.audit()


def test_a_live_sessions_name_is_not_given_twice() -> None:
    ledger = Ledger({"local": Capacity(8, 99 * GIB)})
    ledger.reserve(a_grant(session="same"), "one")
    with pytest.raises(Refused, match="display_name: 'same'"):
        ledger.reserve(a_grant(session="same"), "two")


def test_devices_of_two_nodes_are_two_even_under_one_id() -> None:
    node = Capacity(8, 99 * GIB, {"0": Slot(4)})
    ledger = Ledger({"a": node, "b": node}, 4)
    ledger.reserve(a_grant(nodes=("a",), quanta=4), "one")
    ledger.reserve(a_grant(session="other", nodes=("b",), quanta=4), "two")
    ledger.audit()


def test_reserved_folder_names_hold_in_any_case() -> None:
    data = catalog_data(folders={"reserved": ["Examples"], "user": {"create": ["examples"]}})
    with pytest.raises(Exception, match=r"folders\.user\.create\[0\]"):
        Catalog.model_validate(data)


def test_a_huge_or_deep_value_costs_nothing_to_show() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    for value in ("x" * 10**7, [1.5] * 10**6, deep, 10**5000):
        assert len(shown(value)) < 100
    assert told({"resources": {"cpu": 10**5000}, "environment": "x" * 10**7})
    while deep:  # freed level by level: the interpreter would recurse
        deep = deep.pop()


def test_accepted_options_keep_that_a_folder_is_to_be_made() -> None:
    body = {"mounts": [{"folder": "x", "mode": "rw", "create": True}]}
    options = parse(body, Problems())
    assert parse(options.to_json("p"), Problems()) == options


def test_null_means_absent_everywhere() -> None:
    assert told({"mounts": [{"folder": "x", "mode": None, "create": None}], "env": None}) == []


def test_too_little_memory_does_not_blame_the_shared_memory_that_nobody_asked_for() -> None:
    (line,) = told({"resources": {"memory": "32MiB"}})
    assert line.startswith("resources.memory")


def test_nothing_offered_is_said_so() -> None:
    data = catalog_data()
    data["policies"][-1]["environments"] = []
    (line,) = told({}, catalog=Catalog.model_validate(data))
    assert line == "environment: nothing is offered to you; ask an administrator"


def test_a_session_without_a_gpu_is_no_matter_of_the_gpu_limit() -> None:
    assert told({}, usage=Usage(quanta=99)) == []


def test_a_refusal_without_problems_still_has_a_reason() -> None:
    assert Refused(()).reason is Reason.INVALID


def test_a_form_line_without_a_name_is_ignored() -> None:
    request = from_form({"env": ["=value\nA=1"]})
    assert request.problems == ()
    assert request.body["env"] == {"A": "1"}


def test_an_empty_value_is_dropped_whatever_the_name() -> None:
    assert told({"env": {"HOME": "", "": ""}}) == []


def test_a_json_number_may_be_small() -> None:
    assert units.parse_fgpu(0.00001) == Decimal("0.00001")


def test_yes_is_no_factor() -> None:
    with pytest.raises(ValidationError, match="must be a number"):
        Catalog.model_validate(catalog_data(nodes={"local": {"overcommit": {"cpu": True}}}))
