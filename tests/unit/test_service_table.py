"""The list as a file: what a spreadsheet shows, and what it never computes."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bai_spawner.reasons import End, Ending, Status
from bai_spawner.records import Measure, SessionRecord

pytest.importorskip("jupyterhub")

from bai_spawner.service import table
from bai_spawner.units import GIB, MIB
from tests.examples import small_catalog
from tests.recorded import a_facts, a_record, minutes


def rows(*records: SessionRecord) -> list[dict[str, str]]:
    """As a spreadsheet reads the file."""
    text = table.heading() + table.lines(records, small_catalog())
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def test_a_line_says_all_that_is_known_of_a_session() -> None:
    facts = a_facts(quanta=3, per_gpu=4, folders=("data:rw", "team/corpus:ro"), variables=("A",))
    ended = a_record(
        Status.ERROR,
        facts=facts,
        ended=minutes(2.5),
        end=End(Ending.MEMORY, "4 GiB granted", 137),
        peaks=Measure(1.23456, 7, 8, 9.87654, 1, 2, 3),
    )
    (line,) = rows(ended)
    assert line == {
        "id": "one",
        "user": "ada",
        "server": "s1",
        "name": "work",
        "environment": "python",
        "version": "3.13",
        "group": "default",
        "node": "local",
        "policy": "everyone",
        "status": "error",
        "reason": "out-of-memory",
        "why": "killed because it needed more memory than it was granted; launch it with more"
        " (4 GiB granted)",
        "created": "2026-02-28T12:00:00Z",
        "started": "2026-02-28T12:01:00Z",
        "ended": "2026-02-28T12:02:30Z",
        "elapsed_seconds": "90",
        "cpu_cores": "2",
        "memory_bytes": str(4 * GIB),
        "shm_bytes": str(64 * MIB),
        "fgpu": "1.5",
        "cpu_peak_cores": "1.235",
        "memory_peak_bytes": "7",
        "disk_peak_bytes": "8",
        "cpu_seconds": "9.877",
        "oom_kills": "3",
        "folders": "data:rw team/corpus:ro",
    }


def test_what_has_not_come_is_empty_and_a_warning_is_told() -> None:
    starting, running = rows(a_record(Status.PENDING), a_record(warning="its GPU is gone"))
    assert (starting["started"], starting["ended"], starting["elapsed_seconds"]) == ("", "", "")
    assert (running["reason"], running["why"]) == ("", "its GPU is gone")
    assert running["fgpu"] == "0"


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠1"]


@pytest.mark.parametrize("text", FORMULAS)
@pytest.mark.parametrize("cell", ["user", "name", "environment", "group", "server", "folders"])
def test_no_cell_is_a_formula(text: str, cell: str) -> None:
    value: Any = (text,) if cell == "folders" else text
    (line,) = rows(a_record(facts=a_facts(**{cell: value})))
    assert line[cell] == f"'{text}"


@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_cell_holds_any_text_and_nothing_beside_it(text: str) -> None:
    (line,) = rows(a_record(facts=a_facts(user=text)))
    assert line["user"].removeprefix("'") == text.removeprefix("'")
    assert line["name"] == "work"
    assert len(line) == len(table.COLUMNS)


def test_a_table_of_nothing_has_a_heading() -> None:
    assert table.heading().strip().split(",") == [f'"{name}"' for name in table.COLUMNS]
    assert table.lines([], None) == ""
