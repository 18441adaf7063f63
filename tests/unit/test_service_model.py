"""A session as JSON: every key of it, where it leads, and what launches it again."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bai_spawner.apps import parse
from bai_spawner.enforcement import Enforcement, Faults, Level
from bai_spawner.errors import Problems
from bai_spawner.form import STATIC
from bai_spawner.labels import GpuCap
from bai_spawner.options import Mount, Resources, from_form
from bai_spawner.options import parse as parse_options
from bai_spawner.reasons import End, Ending, Status
from bai_spawner.records import Change, Facts, Measure, SessionRecord

pytest.importorskip("jupyterhub")

from bai_spawner.service.amounts import fgpu
from bai_spawner.service.links import Site
from bai_spawner.service.model import Scene, Seen, detail, session
from bai_spawner.units import GIB, MIB
from tests.examples import small_catalog
from tests.recorded import NOON, a_facts, a_record, minutes

SITE = Site("/", "/services/sessions/")
BOLD = "<b>bold</b>"
NODE = shutil.which("node")
CAP = GpuCap("memcap", 20 * 1024, 50, Enforcement(Level.SESSION, Level.NONE, Faults.CONTEXTS))
USE = {
    "cpu": 0.25,
    "memory": 300 * MIB,
    "disk": 5,
    "io_read": 1,
    "io_written": 2,
    "processes": 12,
    "oom_kills": 1,
    "gpu_memory": {"GPU-a": 3, "GPU-b": 4},
}
TIME = {"ends": None, "why": None, "warned": None, "idle": None, "lifetime": None}
APPS = parse(
    json.dumps(
        [
            {
                "name": "tensorboard",
                "title": "TensorBoard",
                "icon": "/usr/share/tb.svg",
                "category": "Other",
                "command": ["tensorboard", "{port}", "{directory}"],
                "asks": "directory",
            },
            {"name": "docs", "title": BOLD, "path": "/files/docs/"},
        ]
    )
)


def scene(**changed: Any) -> Scene:
    """Five minutes after a session ran."""
    return Scene(SITE, minutes(6), small_catalog(), **changed)


def told(record: SessionRecord, **changed: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(session(record, scene(**changed))))
    return found


def test_a_session_that_runs_is_told_with_all_that_a_page_shows() -> None:
    facts = a_facts(
        quanta=3,
        per_gpu=4,
        gpu=CAP,
        devices=("GPU-a", "GPU-b"),
        folders=("data:rw", "ml-team/corpus:ro"),
        variables=("PATH", "TOKEN"),
    )
    peaks = Measure(1.23456, 7, 8, 9.87654, 1, 2, 3)
    record = a_record(facts=facts, warning="its GPU is gone", peaks=peaks)
    seen = Seen(minutes(5), {"one": USE, "other": USE}, {"one": TIME}, {"one": APPS})
    found = told(record, seen=seen, public={"one": 2, "other": 1})
    apps = found.pop("apps")
    relaunch = found.pop("relaunch")
    assert found == {
        "id": "one",
        "user": "ada",
        "server": "s1",
        "name": "work",
        "environment": {
            "key": "python",
            "title": "Python",
            "icon": "fa-solid fa-cube",
            "version": "3.13",
        },
        "group": {"key": "default", "title": "Default"},
        "node": "local",
        "policy": "everyone",
        "status": "running",
        "tab": "running",
        "warning": "its GPU is gone",
        "reason": None,
        "created": "2026-02-28T12:00:00Z",
        "started": "2026-02-28T12:01:00Z",
        "ended": None,
        "elapsed": 300,
        "allocated": {
            "cpu": 2,
            "memory": 4 * GIB,
            "shm": 64 * MIB,
            "fgpu": "1.5",
            "gpu": {
                "isolation": "memcap",
                "memory": 20 * GIB,
                "enforcement": "memory: session, compute: none, faults: contexts",
                "devices": 2,
            },
        },
        "used": {
            "cpu": 0.25,
            "memory": 300 * MIB,
            "disk": 5,
            "processes": 12,
            "oom_kills": 1,
            "gpu_memory": 7,
        },
        "peak": {
            "cpu": 1.235,
            "memory": 300 * MIB,  # measured since the peaks were recorded
            "disk": 8,
            "cpu_seconds": 9.877,
            "oom_kills": 3,
        },
        "folders": [{"name": "data", "mode": "rw"}, {"name": "ml-team/corpus", "mode": "ro"}],
        "variables": ["PATH", "TOKEN"],
        "time": TIME,
        "public": 2,
        "links": {
            "open": "/user/ada/s1/lab",
            "lab": "/user/ada/s1/lab",
            "notebook": "/user/ada/s1/tree",
            "terminal": "/user/ada/s1/terminal/",
            "log": "/user/ada/s1/bai/log",
            "progress": None,
        },
    }
    assert [app["name"] for app in apps] == ["lab", "notebook", "terminal", "tensorboard", "docs"]
    assert apps[3] == {
        "name": "tensorboard",
        "title": "TensorBoard",
        "category": "Other",
        "icon": "/user/ada/s1/bai/apps/tensorboard/icon.svg",
        "asks": "directory",
        "url": "/user/ada/s1/bai/apps/tensorboard",
    }
    assert (apps[4]["url"], apps[4]["icon"]) == ("/user/ada/s1/files/docs/", None)
    assert relaunch["more_memory"] is None


def test_a_session_that_ended_says_why_and_leads_to_its_log_alone() -> None:
    end = End(Ending.MEMORY, "4 GiB granted", 137)
    record = a_record(Status.ERROR, ended=minutes(3), end=end)
    seen = Seen(minutes(5), {"one": USE}, {"one": TIME}, {"one": APPS})
    found = told(record, seen=seen, public={"one": 1})
    assert (found["status"], found["tab"]) == ("error", "others")
    assert found["reason"] == {"key": "out-of-memory", "words": end.words}
    assert (found["ended"], found["elapsed"]) == ("2026-02-28T12:03:00Z", 120)
    assert (found["used"], found["time"], found["apps"]) == (None, None, [])
    assert found["public"] == 0
    assert {name: link for name, link in found["links"].items() if link} == {
        "log": "/services/sessions/log/one"
    }


@pytest.mark.parametrize("status", [Status.PENDING, Status.PREPARING])
def test_a_session_that_starts_leads_to_its_progress(status: Status) -> None:
    found = told(a_record(status))
    assert (found["elapsed"], found["started"]) == (None, None)
    links = found["links"]
    assert {name: link for name, link in links.items() if link} == {
        "progress": "/hub/spawn-pending/ada/s1"
    }


def test_what_is_not_known_is_null() -> None:
    found = session(a_record(), Scene(SITE, minutes(6)))
    assert found["environment"]["title"] == "python"
    assert found["group"] == {"key": "default", "title": "default"}
    assert (found["used"], found["time"], found["public"]) == (None, None, 0)
    assert found["links"]["open"] == "/user/ada/s1/lab"
    assert Seen().age(NOON) is None


def test_the_age_is_in_seconds_and_never_less_than_none() -> None:
    """Two machines' clocks differ."""
    assert Seen(at=NOON).age(NOON + timedelta(seconds=1.26)) == 1.3
    assert Seen(at=minutes(5)).age(NOON) == 0


def test_a_session_of_what_is_withdrawn_is_called_by_its_keys() -> None:
    found = told(a_record(facts=a_facts(environment="gone", group="gone")))
    assert found["environment"]["title"] == found["group"]["title"] == "gone"


def test_the_page_that_an_environment_opens_with_is_led_to() -> None:
    catalog = small_catalog()
    python = catalog.environments["python"].model_copy(update={"default_url": "/tree?a=b"})
    changed = catalog.model_copy(update={"environments": {"python": python}})
    found = session(a_record(), Scene(SITE, minutes(6), changed))
    assert found["links"]["open"] == "/user/ada/s1/tree?a=b"


@given(user=st.text(min_size=1), server=st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True))
def test_a_link_stays_below_the_hub_whatever_a_user_is_called(user: str, server: str) -> None:
    """And is ASCII, without a blank, a quote or a character of markup."""
    record = a_record(facts=a_facts(user=user, server=server))
    try:
        links = session(record, scene())["links"]
    except UnicodeEncodeError:
        assert any(0xD800 <= ord(c) < 0xE000 for c in user), "half a character is in no database"
        return
    for link in filter(None, links.values()):
        _, first, whose, which, *_ = link.split("/")
        assert (first, unquote(whose), which) == ("user", user, server)
        assert link.isascii()
        assert not set(link) & set(" <>\"'\\?#\r\n")


def test_the_default_server_has_no_name_in_any_address() -> None:
    running = told(a_record(facts=a_facts(server="")))
    assert running["links"]["terminal"] == "/user/ada/terminal/"
    pending = told(a_record(Status.PENDING, facts=a_facts(server="")))
    assert pending["links"]["progress"] == "/hub/spawn-pending/ada"


def test_a_hub_below_a_path_is_led_to_there() -> None:
    site = Site("/my%20base/", "/my%20base/services/sessions/")
    found = session(a_record(facts=a_facts(user="a b")), Scene(site, minutes(6)))
    assert found["links"]["lab"] == "/my%20base/user/a%20b/s1/lab"
    assert found["relaunch"]["same"].startswith("/my%20base/services/sessions/launch#")


def test_one_session_is_told_with_its_history() -> None:
    changes = (Change(Status.PENDING, NOON), Change(Status.RUNNING, minutes(1)))
    found = detail(a_record(changes=changes), scene())
    assert found["changes"] == [
        {"status": "pending", "at": "2026-02-28T12:00:00Z"},
        {"status": "running", "at": "2026-02-28T12:01:00Z"},
    ]


@pytest.mark.parametrize(
    ("quanta", "per_gpu", "per_device", "said"),
    [
        (0, 0, 2, None),
        (4, 4, 2, "2"),
        (3, 4, 2, "1.5"),
        (3, 4, 5, "3.75"),
        (1, 3, 1, "0.333333333"),
        (1, 1, 500, "500"),
    ],
)
def test_quanta_of_any_time_are_told_as_the_fgpu_of_today(
    quanta: int, per_gpu: int, per_device: int, said: str | None
) -> None:
    catalog = small_catalog(
        gpu={"fgpu_per_gpu": per_device, "quantum": 1},
        environments={"python": {"title": "Python", "versions": {"1": {"image": "a"}}}},
        presets={},
        policies=[{"name": "everyone"}],
    )
    assert fgpu(a_facts(quanta=quanta, per_gpu=per_gpu), catalog) == said


# ---- launched again


FOLDERS = small_catalog(
    folders={
        "user": {"automatic": [".local"]},
        "group": {"ml/team": {"corpus": {}, "tools": {"automatic": True}}},
    }
)


def launched(record: SessionRecord, kind: str = "same") -> Any:
    """What the form would send that was filled by a link, as REST would have it."""
    link = session(record, Scene(SITE, minutes(6), FOLDERS))["relaunch"][kind]
    base, _, fragment = link.partition("#")
    assert base == "/services/sessions/launch"
    request = from_form(parse_qs(fragment, keep_blank_values=True, strict_parsing=True))
    assert not request.problems
    return request


def whole() -> Facts:
    return a_facts(
        shm=100 * MIB + 1,
        quanta=3,
        per_gpu=4,
        folders=(
            *(".local:rw", "data:rw", "Übung & mehr:ro"),
            *("ml/team/corpus:ro", "ml/team/tools:ro"),
        ),
        variables=("A", "B_2"),
    )


def test_a_link_asks_for_what_was_granted() -> None:
    problems = Problems()
    request = launched(a_record(facts=whole()))
    options = parse_options(request.body, problems)
    assert not list(problems)
    assert (options.environment, options.version) == ("python", "3.13")
    assert (options.resource_group, options.preset) == ("default", None)
    assert options.resources == Resources(2, 4 * GIB, 100 * MIB + 1, Decimal("1.5"))
    assert options.mounts == (
        Mount("data", "rw"),
        Mount("Übung & mehr", "ro"),
        Mount("ml/team/corpus", "ro"),
    ), "what is mounted by itself is not asked for"
    assert options.env == (), "names alone: the form drops what has no value"
    assert request.fields["env"] == ["A=\nB_2="]
    assert request.session_name == "", "the old one may be taken"


@pytest.mark.parametrize("ending", list(Ending))
def test_more_memory_is_offered_to_what_memory_ended_and_is_twice_as_much(ending: Ending) -> None:
    record = a_record(ending.status, ended=minutes(3), end=End(ending), facts=whole())
    if ending is not Ending.MEMORY:
        assert told(record)["relaunch"]["more_memory"] is None
        return
    same, more = launched(record), launched(record, "more_memory")
    assert more.body["resources"].pop("memory") == "8GiB"
    assert same.body["resources"].pop("memory") == "4GiB"
    assert more.body == same.body


@pytest.mark.skipif(not NODE, reason="needs Node")
def test_the_form_reads_a_link_as_it_is_meant() -> None:
    record = a_record(facts=replace(whole(), environment="x"))
    link = session(record, Scene(SITE, minutes(6), FOLDERS))["relaunch"]["same"]
    program = (
        f"const {{fromFragment}} = await import({json.dumps((STATIC / 'fields.js').as_uri())});"
        f"console.log(JSON.stringify(fromFragment({json.dumps('#' + link.partition('#')[2])})));"
    )
    ran = subprocess.run(
        [str(NODE), "--input-type=module", "-e", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert json.loads(ran.stdout) == {
        "environment": ["x"],
        "version:x": ["3.13"],
        "resource_group": ["default"],
        "preset": [""],
        "cpu": ["2"],
        "memory": ["4"],
        "shm": ["0.097656250931322574615478515625"],
        "fgpu": ["1.5"],
        "mount:data": ["rw"],
        "mount:Übung & mehr": ["ro"],
        "mount:ml/team/corpus": ["ro"],
        "env": ["A=\nB_2="],
    }
