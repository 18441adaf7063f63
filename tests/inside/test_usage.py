"""The account of a session: who is told, what is used now and was before, when memory is short."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bai_spawner.server_extension.usage.account import Account
from bai_spawner.server_extension.usage.gpu import Gpus, GpuUse, Share
from bai_spawner.server_extension.usage.history import History, Point
from bai_spawner.server_extension.usage.largest import Process
from bai_spawner.server_extension.usage.limits import Allocation, allocation
from bai_spawner.server_extension.usage.pressure import Pressure, words
from tests.inside.account import URL, eventually, put_in, told
from tests.inside.conftest import Serve
from tests.own_cgroup import MIB, FakeCgroup

GIB = 1024 * MIB


@pytest.fixture(params=[1, 2], ids=["v1", "v2"])
def cgroup(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> FakeCgroup:
    return put_in(request.param, tmp_path, monkeypatch)


async def test_who_is_let_in_is_told_what_is_used(serve: Serve, cgroup: FakeCgroup) -> None:
    served = await serve("usage")
    answer = await served.allowed.get(URL)
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["cache-control"] == "no-store"
    found = answer.json()
    assert abs(found["at"] - time.time()) < 60
    assert found["interval"] == 5
    assert found["cpu"] == {"used": 0.0, "limit": 2.0}
    assert found["memory"] == {"used": 60 * MIB, "limit": 1024 * MIB}
    assert 0 <= found["shm"]["used"] <= found["shm"]["limit"]
    assert found["processes"] == {"used": 3, "limit": 200}
    assert found["disk"]["folders"] == []
    assert found["gpu"] is None
    assert found["history"] == {"at": [], "cpu": [], "memory": [], "gpu": []}
    assert found["warning"] is None
    assert found["killed"] == {"count": 0, "message": ""}


METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@pytest.mark.parametrize("method", METHODS)
async def test_nobody_else_is(serve: Serve, cgroup: FakeCgroup, method: str) -> None:
    served = await serve("usage")
    assert (await served.stranger.request(method, URL)).status_code == 403
    served.forbidden()
    refused = (await served.allowed.request(method, URL)).status_code
    assert refused == (403 if method == "GET" else 405)


@pytest.mark.parametrize("method", METHODS[1:])
async def test_there_is_nothing_to_change(serve: Serve, cgroup: FakeCgroup, method: str) -> None:
    served = await serve("usage")
    assert (await served.allowed.request(method, URL, json={})).status_code == 405


async def test_an_option_is_refused_by_name(serve: Serve, cgroup: FakeCgroup) -> None:
    served = await serve("usage")
    answer = await served.allowed.get(URL, params={"lines": "3"})
    assert (answer.status_code, answer.json()["field"]) == (400, "option")
    assert (await served.allowed.get(f"{URL}/more")).status_code == 404


async def test_to_look_is_no_activity(serve: Serve, cgroup: FakeCgroup) -> None:
    served = await serve("usage")
    before = served.app.web_app.last_activity()
    await told(served)
    assert served.app.web_app.last_activity() == before


async def test_a_session_with_a_share_and_no_driver_is_told_so(
    serve: Serve, cgroup: FakeCgroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NVIDIA_VISIBLE_DEVICES", "GPU-a")
    served = await serve("usage")
    assert (await told(served))["gpu"] == []


async def test_every_answer_is_of_its_moment(serve: Serve, cgroup: FakeCgroup) -> None:
    served = await serve("usage")
    await told(served)
    cgroup.usage, cgroup.processes = 300 * MIB, 17
    cgroup.write()
    found = await told(served)
    assert (found["memory"]["used"], found["processes"]["used"]) == (260 * MIB, 17)


async def test_where_there_are_no_control_groups_the_machine_is_the_limit(
    serve: Serve, cgroup: FakeCgroup
) -> None:
    cgroup.root = cgroup.root / "nothing"
    served = await serve("usage")
    found = await told(served)
    assert found["memory"]["used"] == 0
    assert found["memory"]["limit"] == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, Allocation(2.0, GIB, 200)),
        ({"CPU_LIMIT": "3", "MEM_LIMIT": "17"}, Allocation(3.0, GIB, 200)),
        ({"CPU_LIMIT": "1.5"}, Allocation(1.5, GIB, 200)),
        *(({"CPU_LIMIT": odd}, Allocation(2.0, GIB, 200)) for odd in ("", "-1", "1e9", "٣", "nan")),
    ],
)
def test_cores_are_what_was_granted_and_memory_what_is_enforced(
    cgroup: FakeCgroup, environ: dict[str, str], expected: Allocation
) -> None:
    assert allocation(cgroup.own(), environ) == expected


def test_memory_that_nothing_enforces_is_what_was_granted(cgroup: FakeCgroup) -> None:
    cgroup.memory = cgroup.most = None
    own = cgroup.write().own()
    assert allocation(own, {"MEM_LIMIT": "17"}) == Allocation(2.0, 17, None)


class Moved:
    """An account of a session whose time a test moves on."""

    def __init__(self, cgroup: FakeCgroup, app: Any, home: Path) -> None:
        self.cgroup, self.now = cgroup, 1000.0
        self.account = Account(app, cgroup.own(), home)

    async def after(self, seconds: float, cpu: float) -> None:
        """Look again so many seconds later, with so many more seconds of CPU time used."""
        self.now += seconds
        self.cgroup.cpu_seconds += cpu
        self.cgroup.write()
        await self.account.look()


@pytest.fixture
async def moved(
    serve: Serve, cgroup: FakeCgroup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Moved]:
    served = await serve()
    made = Moved(cgroup, served.app, tmp_path)
    monkeypatch.setattr("bai_spawner.statistics.time", SimpleNamespace(monotonic=lambda: made.now))
    yield made
    await made.account._disk.close()


async def test_cores_are_what_was_used_between_two_looks(moved: Moved) -> None:
    await moved.after(0, 0)
    await moved.after(5, 2.5)
    await moved.after(5, 10)
    assert (await moved.account.told())["history"]["cpu"] == [0.5, 2.0]


async def test_cores_of_now_are_since_the_last_look_that_is_a_second_old(moved: Moved) -> None:
    await moved.after(0, 0)
    await moved.after(5, 5)
    moved.now += 0.5
    assert (await moved.account.told())["cpu"]["used"] == pytest.approx(5 / 5.5, abs=0.001)
    moved.now += 1.5
    moved.cgroup.cpu_seconds += 3
    moved.cgroup.write()
    assert (await moved.account.told())["cpu"]["used"] == 1.5


async def test_a_counter_that_went_back_is_no_use(moved: Moved) -> None:
    await moved.after(0, 0)
    await moved.after(5, -1)
    assert (await moved.account.told())["history"]["cpu"] == [0.0]


async def test_the_memory_of_all_gpus_has_a_history(
    moved: Moved, monkeypatch: pytest.MonkeyPatch
) -> None:
    uses = tuple(GpuUse("A", uuid, 3 * GIB, 9 * GIB, 5, 20, own=True) for uuid in ("a", "b"))
    moved.account._gpus = Gpus(Share())
    monkeypatch.setattr(moved.account._gpus, "read", lambda: uses)
    await moved.after(0, 0)
    await moved.after(5, 0)
    found = await moved.account.told()
    assert found["gpu"] == [use.told() for use in uses]
    assert found["history"]["gpu"] == [6 * GIB]


async def test_nothing_that_looking_at_gpus_raises_ends_the_account(
    moved: Moved, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    moved.account._app.log.addHandler(caplog.handler)
    moved.account._gpus = Gpus(Share())
    monkeypatch.setattr(moved.account._gpus, "read", lambda: 1 // 0)
    for _ in range(3):
        await moved.after(5, 0)
    found = await moved.account.told()
    assert (found["gpu"], found["history"]["gpu"]) == ([], [None, None])
    assert caplog.text.count("goes on without looking at its GPUs") == 1


async def test_a_driver_that_hangs_holds_up_nobody(
    moved: Moved, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bai_spawner.server_extension.usage.account.GPU_SECONDS", 0.05)
    back = threading.Event()
    moved.account._gpus = Gpus(Share())
    monkeypatch.setattr(moved.account._gpus, "read", lambda: (back.wait(), ())[1])
    for _ in range(3):
        await moved.after(5, 1)
    found = await moved.account.told()
    assert (found["gpu"], found["history"]["cpu"]) == ([], [0.2, 0.2])
    back.set()


def test_ten_minutes_are_kept_oldest_first() -> None:
    history = History()
    for second in range(0, 1000, 5):
        history.add(Point(at=second, cpu=0.5, memory=second, gpu=None))
    kept = history.told()
    assert kept["at"] == kept["memory"] == list(range(400, 1000, 5))
    assert {len(kept[thing]) for thing in ("at", "cpu", "memory", "gpu")} == {120}


async def test_looking_goes_on_by_itself(
    serve: Serve, cgroup: FakeCgroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bai_spawner.server_extension.usage.account.INTERVAL", 0.01)
    served = await serve("usage")

    async def three() -> Any:
        history = (await told(served))["history"]
        return history if len(history["at"]) > 2 else None

    history = await eventually(three)
    assert history["at"] == sorted(history["at"])
    assert set(history["memory"]) == {60 * MIB}


@given(st.lists(st.sampled_from((0, 84, 85, 86, 89, 90, 91, 100)), max_size=40))
def test_a_warning_begins_at_ninety_percent_and_ends_below_eighty_five(
    shares: list[int],
) -> None:
    pressure = Pressure()
    for at, share in enumerate(shares):
        before = pressure.short
        began = pressure.look(share, 100)
        # as in words: it is short when since the last 90 there was nothing below 85
        since = next((n for n, s in enumerate(reversed(shares[: at + 1])) if s < 85), at + 1)
        recent = shares[at + 1 - since : at + 1]
        assert pressure.short == any(s >= 90 for s in recent)
        assert began == (pressure.short and not before)


async def test_one_episode_is_one_warning_in_the_log(
    serve: Serve, cgroup: FakeCgroup, caplog: pytest.LogCaptureFixture
) -> None:
    served = await serve("usage")
    served.app.log.addHandler(caplog.handler)
    warned = []
    for percent in (89, 91, 86, 95, 84, 89, 90):
        cgroup.usage = cgroup.inactive + GIB * percent // 100 + 1
        cgroup.active = 0
        cgroup.write()
        warned.append(bool((await told(served))["warning"]))
    assert warned == [False, True, True, True, False, False, True]
    lines = [r.getMessage() for r in caplog.records if "of this session's memory" in r.getMessage()]
    assert [line[:4] for line in lines] == ["91 %", "90 %"]
    assert all(r.levelno == logging.WARNING for r in caplog.records if r.getMessage() in lines)


async def test_files_that_linux_would_give_up_first_are_no_reason_to_warn(
    serve: Serve, cgroup: FakeCgroup
) -> None:
    cgroup.usage, cgroup.inactive, cgroup.active = 1000 * MIB, 0, 300 * MIB
    cgroup.write()
    served = await serve("usage")
    found = await told(served)
    assert found["memory"]["used"] == 1000 * MIB
    assert found["warning"] is None


def test_a_warning_names_the_process_to_look_at() -> None:
    process = Process(42, "the kernel of big.ipynb", 780 * MIB)
    assert words(int(0.925 * GIB), GIB, process) == (
        "92 % of this session's memory of 1 GiB is used; the largest process is the kernel of "
        "big.ipynb (pid 42, 780 MiB). When it is all used, Linux ends a process without a word."
    )
    assert words(2 * GIB, 1020 * MIB, None) == (
        "100 % of this session's memory of 1020 MiB is used."
        " When it is all used, Linux ends a process without a word."
    )
