"""The shape of a request: what is read, and what is refused with its key."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bai_spawner import options
from bai_spawner.errors import Problems
from bai_spawner.options import Mount, Resources, SessionOptions, is_platform_variable, parse
from bai_spawner.units import GIB
from tests.strategies import PLATFORM_VARIABLES, PRIVILEGED_KEYS, deep


def problems_of(body: object) -> list[str]:
    problems = Problems()
    parse(body, problems)
    return [str(problem) for problem in problems]


def env_problems(**env: Any) -> list[str]:
    return problems_of({"env": env})


def test_the_documented_body_is_read_as_documented() -> None:
    problems = Problems()
    body = {
        "environment": "python",
        "version": "3.13",
        "resource_group": "default",
        "resources": {"cpu": 2, "memory": "4GiB", "shm": "1GiB", "fgpu": 2},
        "mounts": [{"folder": "data", "mode": "rw"}, {"folder": "ml-team/corpus", "mode": "ro"}],
        "env": {"NAME": "value"},
    }
    assert parse(body, problems) == SessionOptions(
        environment="python",
        version="3.13",
        resource_group="default",
        resources=Resources(2, 4 * GIB, GIB, Decimal(2)),
        mounts=(Mount("data", "rw"), Mount("ml-team/corpus", "ro")),
        env=(("NAME", "value"),),
    )
    assert not problems.found


@pytest.mark.parametrize("body", [None, {}, {"profile": "anything"}, {"env": {}}, {"mounts": []}])
def test_all_keys_are_optional(body: object) -> None:
    assert problems_of(body) == []
    assert parse(body, Problems()) == SessionOptions()


@pytest.mark.parametrize("body", [[], "", 0, False, 1.5, [{}], "{}", deep(80)])
def test_a_body_that_is_no_object_is_refused(body: object) -> None:
    (told,) = problems_of(body)
    assert told.startswith("user_options: must be an object")


def test_a_preset_and_resources_exclude_each_other() -> None:
    body = {"preset": "small", "resources": {"cpu": 1}}
    assert problems_of(body) == ["preset: excludes resources: send one of them"]


# S10: nothing but the contract's keys gets in


@pytest.mark.parametrize("key", PRIVILEGED_KEYS)
@pytest.mark.parametrize("value", [True, "host", ["ALL"], {"privileged": True}, None])
def test_a_key_outside_the_contract_is_refused_by_name(key: str, value: object) -> None:
    (told,) = problems_of({key: value})
    assert told.startswith(f"{key}: is not a known key; known: environment, version,")


@pytest.mark.parametrize("key", PRIVILEGED_KEYS)
def test_such_a_key_is_refused_inside_resources_and_mounts_as_well(key: str) -> None:
    (told,) = problems_of({"resources": {key: True}})
    assert told.startswith(f"resources.{key}: is not a known key; known: cpu, memory, shm, fgpu")
    (told,) = problems_of({"mounts": [{"folder": "data", key: "/"}]})
    assert told.startswith(f"mounts[0].{key}: is not a known key; known: folder, mode")


def test_a_request_of_unknown_keys_alone_asks_for_nothing() -> None:
    assert parse(dict.fromkeys(PRIVILEGED_KEYS, True), Problems()) == SessionOptions()


def test_of_many_unknown_keys_a_few_are_named_and_the_rest_counted() -> None:
    told = problems_of({f"key{n}": n for n in range(5_000)})
    assert len(told) == options.MAX_SHOWN_KEYS + 1
    assert told[-1] == "user_options: has 4995 more unknown keys"


def test_a_hostile_key_is_quoted_bounded_and_on_one_line() -> None:
    told = problems_of({"a\nb": 1, "<script>": 1, "x" * 9_999: 1, "\ud800": 1})
    assert [line.partition(": ")[0][:12] for line in told] == [
        r"'a\nb'",
        "'<script>'",
        "'xxxxxxxxxxx",
        r"'\ud800'",
    ]
    assert all(len(line) < 300 for line in told)


# Q4, Q5: numbers


@pytest.mark.parametrize("key", ["cpu", "memory", "shm", "fgpu"])
@pytest.mark.parametrize("value", [True, False, [], [2], {}, {"cpu": 2}, "", "two", "1e3", "+1"])
@pytest.mark.parametrize("mixed_with", [{}, {"cpu": 1}])
def test_what_is_no_amount_is_refused_at_its_resource(
    key: str, value: object, mixed_with: dict[str, Any]
) -> None:
    (told,) = problems_of({"resources": {**mixed_with, key: value}})
    assert told.startswith(f"resources.{key}: must be ")


@pytest.mark.parametrize("value", ["2", 2.0, 0, -1])
def test_cores_are_a_json_integer_above_zero(value: object) -> None:
    (told,) = problems_of({"resources": {"cpu": value}})
    assert told.startswith("resources.cpu: must be ")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.5, "NaN", "٣", "1,5"])
def test_fgpu_is_finite_and_of_ascii_digits(value: object) -> None:
    (told,) = problems_of({"resources": {"fgpu": value}})
    assert told.startswith("resources.fgpu: must be a number between 0 and 65536")


def test_every_wrong_amount_is_reported_at_once() -> None:
    resources = {"cpu": "2", "memory": [], "shm": "1 GiB", "fgpu": True}
    paths = [told.partition(":")[0] for told in problems_of({"resources": resources})]
    assert paths == ["resources.cpu", "resources.memory", "resources.shm", "resources.fgpu"]


# S1, S3: variables


@pytest.mark.parametrize("case", [str.upper, str.lower, str.title, str.swapcase])
@pytest.mark.parametrize(
    "name",
    [*PLATFORM_VARIABLES, "JUPYTERHUB_", "jupyter_x", "NVIDIA_DRIVER_CAPABILITIES", "BAI_ANYTHING"],
)
def test_a_variable_that_the_platform_sets_is_refused_in_any_case(name: str, case: Any) -> None:
    name = case(name)
    assert env_problems(**{name: "x"}) == [
        f"env.{name}: is set by the platform and cannot be changed"
    ]


@pytest.mark.parametrize(
    "name",
    ["PATH", "LD_LIBRARY_PATH", "CUDA_LAUNCH_BLOCKING", "HOMEPAGE", "USERS", "MY_HOME", "_", "BAI"],
)
def test_any_other_variable_may_be_set(name: str) -> None:
    assert env_problems(**{name: "x"}) == []
    assert not is_platform_variable(name)


def test_each_refused_variable_is_named_in_a_line_of_its_own() -> None:
    told = env_problems(HOME="x", fine="x", Nvidia_Visible_Devices="all", jpy_x="y")
    assert [line.partition(":")[0] for line in told] == [
        "env.HOME",
        "env.Nvidia_Visible_Devices",
        "env.jpy_x",
    ]


@pytest.mark.parametrize(
    "name",
    ["", "1A", "A=B", "A-B", "A B", "A\n", "\nA", "A\0", "A.B", "Á", "A٣", "{A}", "$A", "\ud800"],
)
def test_what_is_no_name_of_a_variable_is_refused(name: str) -> None:
    (told,) = env_problems(**{name: "x"})
    assert told.startswith("env")
    assert "is no variable's name: letters, digits and '_', no digit first" in told
    assert "\n" not in told


def test_a_long_name_is_refused_with_the_bound() -> None:
    (told,) = env_problems(**{"A" * 5_000: "x"})
    assert "is longer than 128 characters" in told
    assert env_problems(**{"A" * 128: "x"}) == []


@pytest.mark.parametrize("value", ["a\0b", "a\nb", "a\rb", "\n", "\ud800"])
def test_a_value_of_several_lines_or_with_a_nul_is_refused(value: str) -> None:
    (told,) = env_problems(A=value)
    assert told.startswith("env.A: has a value with a NUL, a line break or half a character")


@pytest.mark.parametrize("value", [1, 1.5, True, None, [], ["x"], {}, deep(80)])
def test_a_value_that_is_no_text_is_refused_with_what_to_write(value: object) -> None:
    assert env_problems(A=value) == ["env.A: must have a text as its value; write a number as '1'"]


@pytest.mark.parametrize("value", ["x" * (16 * 1024 + 1), "日" * 6_000, "x" * 10**6])
def test_a_huge_value_is_refused_with_the_bound(value: str) -> None:
    (told,) = env_problems(A=value)
    assert told == f"env.A: has a value of {len(value):,} characters; at most 16 KiB is accepted"


def test_thousands_of_variables_are_refused_with_the_bound() -> None:
    told = env_problems(**{f"V{n}": "x" for n in range(5_000)})
    assert told == ["env: has 5000 variables; at most 200 are accepted"]


def test_large_values_together_are_refused_with_the_bound() -> None:
    told = env_problems(**{f"V{n}": "x" * 16 * 1024 for n in range(9)})
    assert told == ["env: is 144.01 KiB together; at most 128 KiB is accepted"]


def test_one_wrong_variable_leaves_none_in_force() -> None:
    assert parse({"env": {"GOOD": "x", "HOME": "y"}}, Problems()).env == ()


def test_variables_keep_their_order_and_empty_ones_are_dropped() -> None:
    env = parse({"env": {"Z": "1", "EMPTY": "", "A": "2"}}, Problems()).env
    assert env == (("Z", "1"), ("A", "2"))


@pytest.mark.parametrize(
    "value", ["{0}", "{x.__class__}", "$HOME ${A}", "`id`", "%s %(x)s", "a=b", " "]
)
def test_a_value_is_taken_literally(value: str) -> None:
    assert parse({"env": {"A": value}}, Problems()).env == (("A", value),)


# S6, S8: the shape of mounts


@pytest.mark.parametrize("mounts", [{}, "data", 1, True, {"folder": "data"}])
def test_mounts_are_a_list(mounts: object) -> None:
    (told,) = problems_of({"mounts": mounts})
    assert told.startswith("mounts: must be a list")


@pytest.mark.parametrize("mount", ["data", "/etc:/home/work", ["data", "rw"], 1, None, []])
def test_a_mount_is_an_object_with_a_folder(mount: object) -> None:
    (told,) = problems_of({"mounts": [{"folder": "data"}, mount]})
    assert told == 'mounts[1]: must be an object such as {"folder": "data", "mode": "rw"}'


@pytest.mark.parametrize("folder", [None, 1, True, [], ["data"], {"path": "/"}])
def test_a_folder_is_text(folder: object) -> None:
    (told,) = problems_of({"mounts": [{"folder": folder}]})
    assert told.startswith("mounts[0].folder: must be a folder's name")


@pytest.mark.parametrize("key", ["target", "source", "type", "propagation", "read_only", "path"])
def test_neither_source_nor_target_of_a_mount_can_be_named(key: str) -> None:
    (told,) = problems_of({"mounts": [{"folder": "data", key: "/etc"}]})
    assert told.startswith(f"mounts[0].{key}: is not a known key")


@pytest.mark.parametrize("mode", ["", "w", "RW", "ro,rw", "rw\n", 1, True, [], ["rw"]])
def test_a_mode_is_rw_or_ro(mode: object) -> None:
    (told,) = problems_of({"mounts": [{"folder": "data", "mode": mode}]})
    assert told.startswith("mounts[0].mode: must be 'rw' or 'ro'")


def test_a_mount_without_a_mode_may_be_written_to() -> None:
    assert parse({"mounts": [{"folder": "data"}]}, Problems()).mounts == (Mount("data", "rw"),)


def test_read_only_stays_read_only() -> None:
    mounts = parse({"mounts": [{"folder": "data", "mode": "ro"}]}, Problems()).mounts
    assert mounts == (Mount("data", "ro"),)


def test_thousands_of_mounts_are_refused_with_the_bound() -> None:
    told = problems_of({"mounts": [{"folder": "data"}] * 5_000})
    assert told == ["mounts: has 5000 entries; at most 50 are accepted"]


# to_json


def test_a_stored_request_carries_the_recomputed_profile_and_no_absent_key() -> None:
    asked = {"environment": "python", "profile": "forged"}
    stored = parse(asked, Problems()).to_json("python 3.13")
    assert stored == {"profile": "python 3.13", "environment": "python"}


def test_none_of_our_keys_is_one_that_dockerspawner_acts_on() -> None:
    assert "image" not in options.KEYS
