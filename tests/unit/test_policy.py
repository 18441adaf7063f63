"""What is allowed, and with which numbers a refusal says that it is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bai_spawner import names, policy
from bai_spawner.catalog import Catalog
from bai_spawner.errors import Problem, Problems, Reason
from bai_spawner.options import parse
from bai_spawner.policy import Grant, Subject, Usage, check
from bai_spawner.units import GIB, MIB
from tests.examples import catalog_data, small_catalog

ADA = Subject("ada")
STAFF = Subject("grace", frozenset({"staff"}))
NOTHING = Usage()


@pytest.fixture
def catalog() -> Catalog:
    return small_catalog()


def judge(
    catalog: Catalog,
    body: dict[str, Any],
    subject: Subject = ADA,
    usage: Usage = NOTHING,
    session: str = "work",
    sessions: int = 1,
) -> tuple[list[Problem], tuple[Grant, ...]]:
    problems = Problems()
    options = parse(body, problems)
    grants = check(options, session, catalog, subject, usage, problems, sessions=sessions)
    assert len(grants) == (0 if problems.found else sessions)
    return problems.found, grants


def told(catalog: Catalog, body: dict[str, Any], **circumstances: Any) -> list[str]:
    return [str(problem) for problem in judge(catalog, body, **circumstances)[0]]


def granted(catalog: Catalog, body: dict[str, Any], **circumstances: Any) -> Grant:
    problems, grants = judge(catalog, body, **circumstances)
    assert problems == []
    return grants[0]


def lowered(**limits: Any) -> Catalog:
    """The catalogue with other limits for everyone."""
    data = catalog_data()
    data["policies"][-1]["limits"] = limits
    data["policies"][-1]["per_session"] = {}
    return Catalog.model_validate(data)


# Defaults


def test_an_empty_request_gets_the_first_of_everything_and_the_minimum(catalog: Catalog) -> None:
    grant = granted(catalog, {}, session="")
    assert (grant.environment, grant.version, grant.image) == ("python", "3.13", "py:3.13")
    assert (grant.group, grant.nodes, grant.policy) == ("default", ("local",), "everyone")
    assert (grant.amounts.cpu, grant.amounts.memory) == (1, 512 * MIB)
    assert (grant.amounts.shm, grant.amounts.quanta) == (64 * MIB, 0)
    assert grant.session in names.words()


def test_the_newest_version_is_the_default_by_number_and_not_by_letter(catalog: Catalog) -> None:
    assert catalog.environments["python"].newest_first() == ["3.13", "3.9"]


def test_a_missing_part_of_resources_is_the_minimum_of_the_environment(catalog: Catalog) -> None:
    body = {"environment": "torch", "resource_group": "gpu", "resources": {"cpu": 3}}
    amounts = granted(catalog, body, subject=STAFF).amounts
    assert (amounts.cpu, amounts.memory, amounts.shm, amounts.quanta) == (3, 4 * GIB, GIB, 2)


def test_a_preset_gives_exactly_what_it_says(catalog: Catalog) -> None:
    body = {"preset": "fast", "resource_group": "gpu"}
    amounts = granted(catalog, body, subject=STAFF).amounts
    assert (amounts.cpu, amounts.memory, amounts.shm, amounts.quanta) == (2, 8 * GIB, GIB, 3)


def test_the_profile_says_what_was_chosen_in_a_line(catalog: Catalog) -> None:
    body = {"preset": "fast", "resource_group": "gpu"}
    grant = granted(catalog, body, subject=STAFF)
    assert grant.profile == "python 3.13 · gpu · 2 CPU, 8 GiB RAM, 1.5 fGPU"


# Who may do what


def test_the_first_policy_that_matches_applies(catalog: Catalog) -> None:
    assert policy.select(catalog, Subject("root")).name == "staff"
    assert policy.select(catalog, STAFF).name == "staff"
    assert policy.select(catalog, ADA).name == "everyone"
    assert policy.select(catalog, Subject("staff", frozenset({"root"}))).name == "everyone"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"environment": "torch"}, "environment: 'torch' is not offered to you; offered: python"),
        ({"environment": "nosuch"}, "environment: 'nosuch' is not offered to you; offered: python"),
        ({"version": "3.10"}, "version: '3.10' is not offered to you; offered: 3.13, 3.9"),
        (
            {"resource_group": "gpu"},
            "resource_group: 'gpu' is not offered to you; offered: default",
        ),
        ({"resource_group": "x"}, "resource_group: 'x' is not offered to you; offered: default"),
        ({"preset": "fast"}, "preset: 'fast' is not offered to you; offered: small"),
    ],
)
def test_what_is_forbidden_is_refused_like_what_does_not_exist(
    catalog: Catalog, body: dict[str, Any], expected: str
) -> None:
    assert told(catalog, body) == [expected]


def test_a_preset_of_another_resource_group_is_refused(catalog: Catalog) -> None:
    body = {"preset": "fast", "resource_group": "default"}
    assert told(catalog, body, subject=STAFF) == [
        "preset: 'fast' is not offered to you; offered: small"
    ]


@pytest.mark.parametrize("environment", ["PYTHON", "python ", "python\n", "<b>python</b>", "ру"])
def test_a_choice_is_compared_whole_and_shown_on_one_line(
    catalog: Catalog, environment: str
) -> None:
    (line,) = told(catalog, {"environment": environment})
    assert line.startswith("environment: ")
    assert "\n" not in line


# R52: with the numbers


@pytest.mark.parametrize(
    ("resources", "usage", "expected"),
    [
        ({"fgpu": 2}, Usage(quanta=4), "resources.fgpu: 2 in use + 2 asked > 3 allowed"),
        ({"fgpu": 0.5}, Usage(quanta=6), "resources.fgpu: 3 in use + 0.5 asked > 3 allowed"),
        ({"cpu": 2}, Usage(cpu=3), "resources.cpu: 3 in use + 2 asked > 4 allowed"),
        (
            {"memory": "2.5GiB"},
            Usage(memory=4 * GIB),
            "resources.memory: 4 GiB in use + 2.5 GiB asked > 6 GiB allowed",
        ),
    ],
)
def test_over_the_total_is_refused_with_the_numbers(
    catalog: Catalog, resources: dict[str, Any], usage: Usage, expected: str
) -> None:
    problems, _ = judge(catalog, {"resources": resources}, usage=usage)
    assert [str(problem) for problem in problems] == [expected]
    assert problems[0].reason is Reason.POLICY


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({"cpu": 4}, "resources.cpu: 4 asked > 3 allowed for one session"),
        ({"memory": "5GiB"}, "resources.memory: 5 GiB asked > 4 GiB allowed for one session"),
        ({"fgpu": "2.5"}, "resources.fgpu: 2.5 asked > 2 allowed for one session"),
        (
            {"memory": "4GiB", "shm": "3.5GiB"},
            "resources.shm: 3.5 GiB asked > 3 GiB allowed for one session",
        ),
    ],
)
def test_over_one_session_is_refused_with_the_numbers(
    catalog: Catalog, resources: dict[str, Any], expected: str
) -> None:
    problems, _ = judge(catalog, {"resources": resources})
    assert [str(problem) for problem in problems] == [expected]
    assert problems[0].reason is Reason.POLICY


def test_exactly_what_is_allowed_is_granted(catalog: Catalog) -> None:
    resources = {"cpu": 3, "memory": "4GiB", "shm": "3GiB", "fgpu": 2}
    usage = Usage(sessions=1, cpu=1, memory=2 * GIB, quanta=2)
    assert granted(catalog, {"resources": resources}, usage=usage).amounts.quanta == 4


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({"cpu": 1}, "resources.cpu: 1 asked < 2 needed by the environment"),
        ({"memory": "3GiB"}, "resources.memory: 3 GiB asked < 4 GiB needed by the environment"),
        ({"shm": "512MiB"}, "resources.shm: 512 MiB asked < 1 GiB needed by the environment"),
        ({"fgpu": 0.5}, "resources.fgpu: 0.5 asked < 1 needed by the environment"),
    ],
)
def test_less_than_the_environment_needs_is_refused(
    catalog: Catalog, resources: dict[str, Any], expected: str
) -> None:
    body = {"environment": "torch", "resource_group": "gpu", "resources": resources}
    assert told(catalog, body, subject=STAFF) == [expected]


def test_more_than_the_image_can_use_is_refused(catalog: Catalog) -> None:
    assert told(catalog, {"resources": {"cpu": 17, "memory": "33GiB"}}, subject=STAFF) == [
        "resources.cpu: 17 asked > 16 of the environment",
        "resources.memory: 33 GiB asked > 32 GiB of the environment",
    ]


def test_shared_memory_may_equal_memory_and_no_more(catalog: Catalog) -> None:
    granted(catalog, {"resources": {"memory": "2GiB", "shm": "2GiB"}})
    assert told(catalog, {"resources": {"memory": "2GiB", "shm": "2.5GiB"}}) == [
        "resources.shm: 2.5 GiB asked > 2 GiB RAM, of which it is part"
    ]


@pytest.mark.parametrize("fgpu", [0.25, "0.3", 1.75])
def test_fgpu_between_two_quanta_is_refused_with_the_quantum(catalog: Catalog, fgpu: Any) -> None:
    assert told(catalog, {"resources": {"fgpu": fgpu}}) == [
        f"resources.fgpu: must be a multiple of 0.5, not {fgpu}"
    ]


def test_a_preset_over_policy_is_refused_at_the_preset_with_the_resource(catalog: Catalog) -> None:
    usage = Usage(cpu=4, memory=6 * GIB)
    assert told(catalog, {"preset": "small"}, usage=usage) == [
        "preset: CPU: 4 in use + 1 asked > 4 allowed",
        "preset: RAM: 6 GiB in use + 1 GiB asked > 6 GiB allowed",
    ]


def test_one_session_too_many_is_refused_with_the_numbers(catalog: Catalog) -> None:
    assert told(catalog, {}, usage=Usage(sessions=2)) == [
        "sessions: 2 in use + 1 asked > 2 allowed; end one first"
    ]


def test_everything_wrong_is_reported_at_once(catalog: Catalog) -> None:
    body = {
        "version": "2.7",
        "resource_group": "gpu",
        "resources": {"cpu": 9, "memory": "9GiB", "shm": "10GiB", "fgpu": 9},
        "mounts": "all",
        "env": {"HOME": "/"},
        "privileged": True,
    }
    usage = Usage(sessions=2, cpu=1, memory=GIB, quanta=1)
    problems, _ = judge(catalog, body, usage=usage, session="no!")
    assert {problem.path for problem in problems} == {
        *("version", "resource_group", "mounts", "env.HOME", "privileged"),
        *("resources.cpu", "resources.memory", "resources.shm", "resources.fgpu"),
        *("sessions", "display_name"),
    }


# Q7: the policy was lowered under a running session


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"sessions": 1}, "sessions: 3 in use + 1 asked > 1 allowed; end one first"),
        ({"cpu": 2}, "resources.cpu: 6 in use + 1 asked > 2 allowed"),
        ({"memory": "1GiB"}, "resources.memory: 5 GiB in use + 512 MiB asked > 1 GiB allowed"),
    ],
)
def test_after_the_policy_was_lowered_the_next_start_is_refused_with_the_numbers(
    limits: dict[str, Any], expected: str
) -> None:
    usage = Usage(sessions=3, cpu=6, memory=5 * GIB, quanta=8)
    assert told(lowered(**limits), {}, usage=usage) == [expected]


def test_after_the_gpu_limit_was_lowered_asking_for_gpu_is_refused_with_the_numbers() -> None:
    assert told(lowered(fgpu=1), {"resources": {"fgpu": 0.5}}, usage=Usage(quanta=8)) == [
        "resources.fgpu: 4 in use + 0.5 asked > 1 allowed"
    ]


def test_without_limits_any_use_is_allowed() -> None:
    usage = Usage(sessions=999, cpu=999, memory=999 * GIB, quanta=999)
    granted(lowered(), {"resources": {"cpu": 16, "memory": "32GiB", "fgpu": 100}}, usage=usage)


# R4: names


@pytest.mark.parametrize("name", ["abc", "a" * 65, "na-me", "name\n", "näme", "name٣", "<b>hi</b>"])
def test_a_bad_session_name_is_refused_with_the_rule(catalog: Catalog, name: str) -> None:
    (line,) = told(catalog, {}, session=name)
    assert line.startswith("display_name: must be 4 to 64 letters (A-Z, a-z) and digits")
    assert "\n" not in line


def test_a_name_of_a_live_session_of_the_user_is_refused(catalog: Catalog) -> None:
    usage = Usage(sessions=1, names=frozenset({"work"}))
    assert told(catalog, {}, usage=usage) == [
        "display_name: 'work' is the name of a live session of yours"
    ]
    granted(catalog, {}, usage=usage, session="Work")


def test_a_drawn_name_is_none_of_a_live_session(catalog: Catalog) -> None:
    *taken, free = names.words()
    assert granted(catalog, {}, usage=Usage(names=frozenset(taken)), session="").session == free


# R5: several sessions


def test_several_sessions_are_granted_alike_under_numbered_names(catalog: Catalog) -> None:
    problems, grants = judge(catalog, {"resources": {"cpu": 1}}, session="run", sessions=2)
    assert problems == []
    assert [grant.session for grant in grants] == ["run1", "run2"]
    assert replace(grants[1], session="run1") == grants[0]


def test_several_unnamed_sessions_share_a_word(catalog: Catalog) -> None:
    _, grants = judge(catalog, {}, session="", sessions=2)
    assert [g.session[-1] for g in grants] == ["1", "2"]
    assert len({g.session[:-1] for g in grants} & set(names.words())) == 1


def test_what_several_sessions_need_together_counts_against_the_total() -> None:
    catalog = lowered(cpu=8)
    asked = {"resources": {"cpu": 2}}
    assert told(catalog, asked, usage=Usage(sessions=1, cpu=3), sessions=3) == [
        "resources.cpu: 3 in use + 3 × 2 asked > 8 allowed"
    ]
    granted(catalog, asked, usage=Usage(sessions=1, cpu=2), sessions=3)


def test_more_sessions_than_may_live_are_refused_with_the_numbers() -> None:
    catalog = lowered(sessions=3)
    assert told(catalog, {}, usage=Usage(sessions=1), sessions=3) == [
        "sessions: 1 in use + 3 asked > 3 allowed; ask for fewer, or end one first"
    ]
    granted(catalog, {}, usage=Usage(sessions=1), sessions=2)


def test_the_number_behind_a_name_counts_for_its_length(catalog: Catalog) -> None:
    granted(catalog, {}, session="abc", sessions=2)
    granted(catalog, {}, session="a" * 63, sessions=2)
    (line,) = told(catalog, {}, session="a" * 64, sessions=2)
    assert line.startswith("display_name: must be 4 to 64 letters (A-Z, a-z) and digits")
    assert "with its number behind" in line


def test_a_numbered_name_of_a_live_session_is_refused() -> None:
    usage = Usage(sessions=1, names=frozenset({"run2"}))
    assert told(lowered(), {}, usage=usage, session="run", sessions=2) == [
        "display_name: 'run2' is the name of a live session of yours"
    ]


def test_ports_are_open_where_the_environment_says_so_alone() -> None:
    data = catalog_data()
    first, second = list(data["environments"])[:2]
    data["environments"][second]["port_proxy"] = True
    catalog = Catalog.model_validate(data)
    assert not granted(catalog, {"environment": first}).port_proxy
    assert granted(catalog, {"environment": second}, subject=STAFF).port_proxy
