"""What the Sessions page says and asks for: its modules that need no page, run by Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bai_spawner import service
from bai_spawner.reasons import Status, Tab
from bai_spawner.units import GIB, KIB, MIB, format_duration, format_size

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(not NODE, reason="needs Node, which the hub's proxy needs, too")
STATIC = Path(service.__file__).parent / "static"
NOW = 1_772_280_000_000
"""A Saturday in 2026, in milliseconds."""


def run(module: str, work: str) -> Any:
    """What an expression with a module's exports comes to, as JSON."""
    address = (STATIC / f"{module}.js").as_uri()
    program = f'const m = await import("{address}"); console.log(JSON.stringify({work}));'
    done = subprocess.run(
        [NODE or "", "--input-type=module", "-e", program],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env={"TZ": "UTC"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_sizes_are_those_of_every_other_page() -> None:
    sizes = [0, 1, 1023, KIB, 1536, MIB - 1, MIB, 5 * MIB + 11, GIB, int(2.999 * GIB), 2**40]
    assert run("sessions_words", f"{sizes}.map(m.size)") == [format_size(size) for size in sizes]


def test_durations_are_those_of_every_other_page_without_the_seconds_of_a_minute() -> None:
    spans = [0, 59, 60, 3599, 3600, 5400, 86_399, 86_400, 93_600, 10**7]
    told = run("sessions_words", f"{spans}.map(m.duration)")
    assert told == [format_duration(s - s % 60 if s >= 60 else s) for s in spans]


def test_amounts_have_bounded_digits() -> None:
    work = f"""[m.numberOf(0.437, 2), m.numberOf(1.96, 2), m.numberOf(0, 64),
        m.sizeOf({3 * GIB}, {4 * GIB}), m.sizeOf({MIB * 412}, {2 * GIB}), m.counted(1, "session"),
        m.counted(12345, "session"), m.several(["a", "b", "c", "d"], 2)]"""
    assert run("sessions_words", work) == [
        *("0.4 of 2", "2 of 2", "0 of 64", "3 of 4 GiB", "412 MiB of 2 GiB"),
        *("1 session", "12,345 sessions", "a, b and 2 more"),
    ]


def test_moments_have_their_day_unless_it_is_today() -> None:
    moments = ["2026-02-28T11:58:00Z", "2026-02-27T23:59:00Z", "2024-12-31T08:00:00Z"]
    told = run("sessions_words", f"{moments}.map((one) => m.moment(one, {NOW}))")
    assert told == ["11:58", "27 Feb 23:59", "31 Dec 2024 08:00"]


def test_every_status_and_tab_has_its_words() -> None:
    assert run("sessions_words", "Object.keys(m.STATUSES)") == [str(one) for one in Status]
    assert run("sessions_words", "Object.keys(m.TABS)") == [str(one) for one in Tab]


@pytest.mark.parametrize(
    ("search", "address"),
    [
        ("", ""),
        ("?tab=finished&page=3", "?tab=finished&page=3"),
        ("?text=a%26b&group=g&environment=e&user=u", "?text=a%26b&group=g&environment=e&user=u"),
        ("?tab=running&order=desc&sort=created&page=1", ""),
        ("?tab=nothing&status=what&sort=id&order=up&page=-1", ""),
        ("?page=1.5&page=2&other=1&text=", ""),
        (f"?text={'x' * 201}", ""),
        ("?__proto__=x&tab=constructor&constructor=1", ""),
    ],
)
def test_an_address_says_what_is_asked_for_and_nothing_else(search: str, address: str) -> None:
    told = run("sessions_question", f"m.toAddress(m.read({json.dumps(search)}))")
    assert told == address


def test_a_change_begins_at_the_first_page_and_another_tab_with_its_own_statuses() -> None:
    work = """[
        m.changed(m.read("?tab=finished&status=cancelled&page=3&group=g"), {text: "a"}),
        m.changed(m.read("?tab=finished&status=cancelled&sort=ended&order=asc"), {tab: "running"}),
        m.unfiltered(m.read("?tab=others&text=a&group=g&sort=name&order=asc")),
    ].map(m.toAddress)"""
    assert run("sessions_question", work) == [
        "?tab=finished&text=a&status=cancelled&group=g",
        "",
        "?tab=others&sort=name&order=asc",
    ]


def test_the_table_is_asked_for_without_a_page() -> None:
    work = 'm.toService(m.read("?tab=finished&page=3&text=a"), {whole: true})'
    assert run("sessions_question", work) == "?tab=finished&text=a&sort=created&order=desc"
    work = 'm.toService(m.read("?tab=finished&page=3"))'
    assert run("sessions_question", work) == "?tab=finished&sort=created&order=desc&page=3"
