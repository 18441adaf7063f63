"""Every session has a true record: who, what was granted, how it went, why it ended."""

from __future__ import annotations

import concurrent.futures
import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bai_spawner import bulletin
from bai_spawner.catalog import load_catalog
from bai_spawner.reasons import Ending, Status, Tab
from bai_spawner.records import Query, Records, SessionRecord
from tests.deployment import Deployment, Visitor, eventually
from tests.images import FILL_SHM
from tests.session import Session

MIB = 2**20
SMALL = {"resources": {"cpu": 1, "memory": "600MiB", "shm": "64MiB"}}
HOG = "import sys; held = [b'x' * 2**20 for _ in range(2000)]"
"""Needs more memory than any session here has."""


@pytest.fixture(scope="module")
def records(deployment: Deployment) -> Iterator[Records]:
    """The hub's own records, read as another process may."""
    opened = Records(f"sqlite:///{deployment.state}/records.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def record(deployment: Deployment, records: Records, user: Visitor) -> Callable[..., SessionRecord]:
    """The user's newest record; waits until it has the status asked for."""

    def newest(status: Status | None = None) -> SessionRecord:
        def found() -> SessionRecord | None:
            page = records.page(deployment.hub_id, Query(user=user.user), limit=1)
            one = page.sessions[0] if page.sessions else None
            return one if one and (status is None or one.status is status) else None

        one = eventually(found, seconds=15)
        assert one, records.page(deployment.hub_id, Query(user=user.user))
        return records.get(one.facts.id) or one

    return newest


def ended_well(deployment: Deployment, user: Visitor, server: str = "one") -> bool:
    """No container, no server, no route: within a poll of the hub."""

    def gone() -> bool:
        mine = [c for c in deployment.containers() if c.labels["bai.user"] == user.user]
        return not mine and not user.servers().get(server, {}).get("ready")

    return bool(eventually(gone, seconds=15)) and (
        user.http.get(f"/user/{user.user}/{server}/api/").status_code != 200
    )


def test_a_session_is_recorded_from_its_start_to_its_end(
    deployment: Deployment, user: Visitor, record: Callable[..., SessionRecord], records: Records
) -> None:
    answer = user.start("one", {**SMALL, "mounts": [{"folder": "data"}]}, name="thesis")
    assert answer.status_code == 201, answer.text
    token = re.search(
        r"JUPYTERHUB_API_TOKEN=(\S+)",
        "\n".join(deployment.container(user.user, "one").attrs["Config"]["Env"]),
    )
    live = record(Status.RUNNING)
    assert live.end is None
    user.stop("one")
    ended = record(Status.TERMINATED)
    facts = ended.facts
    assert (facts.user, facts.server, facts.name) == (user.user, "one", "thesis")
    assert (facts.environment, facts.version, facts.group) == ("python", "3.13", "general")
    assert (facts.cpu, facts.memory, facts.shm) == (1, 600 * MIB, 64 * MIB)
    assert sorted(facts.folders) == [".local:rw", "data:rw"]
    assert [change.status for change in ended.changes] == [
        Status.PENDING,
        Status.PREPARING,
        Status.RUNNING,
        Status.TERMINATING,
        Status.TERMINATED,
    ]
    assert ended.end
    assert ended.end.ending is Ending.USER
    assert ended.elapsed
    log = records.log(facts.id)
    assert "Jupyter Server" in log or "jupyter" in log.lower()
    assert token
    assert token[1] not in log


def test_every_door_leads_to_the_records(
    user: Visitor, admin: Visitor, records: Records, deployment: Deployment
) -> None:
    user.post_form({"environment": "python", "mount:data": "rw", "session_name": "byform"}, "form")
    assert user.ready("form")
    admin.api("POST", f"/users/{user.user}/server")
    admin.api("DELETE", f"/users/{user.user}/server")
    user.stop("form")

    def found() -> bool:
        page = records.page(deployment.hub_id, Query(user=user.user, tab=Tab.FINISHED))
        return {r.facts.server for r in page.sessions} == {"form", ""}

    assert eventually(found), records.page(deployment.hub_id, Query(user=user.user))


def test_a_refused_launch_leaves_no_record(
    user: Visitor, records: Records, deployment: Deployment
) -> None:
    assert user.start("one", {"resources": {"cpu": 99}}).status_code == 400
    assert records.page(deployment.hub_id, Query(user=user.user)).total == 0


def test_a_cancelled_start_is_recorded_as_cancelled(
    deployment: Deployment, user: Visitor, record: Callable[..., SessionRecord]
) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(user.start, "one", {"environment": "never"})
        record(Status.PREPARING)
        user.api("DELETE", f"/users/{user.user}/servers/one")
    ended = record(Status.CANCELLED)
    assert ended.end
    assert ended.end.ending is Ending.CANCELLED
    assert ended.started is None


@pytest.mark.parametrize(
    ("environment", "ending", "log"),
    [("dies", Ending.START, "last words"), ("ghost", Ending.IMAGE, ""), ("bus", Ending.SHM, "")],
)
def test_a_start_that_fails_is_recorded_with_its_reason_and_log(
    user: Visitor,
    records: Records,
    record: Callable[..., SessionRecord],
    environment: str,
    ending: Ending,
    log: str,
) -> None:
    user.start("one", {"environment": environment})
    ended = record(Status.ERROR)
    assert ended.end
    assert ended.end.ending is ending, ended.end
    assert eventually(lambda: log in records.log(ended.facts.id))


def test_a_start_that_takes_too_long_keeps_the_end_of_its_log(
    deployment: Deployment, records: Records
) -> None:
    with deployment.login("hurried") as hurried:
        assert hurried.start("late", {"environment": "never"}).status_code == 500

        def recorded() -> SessionRecord | None:
            page = records.page(deployment.hub_id, Query(user="hurried", tab=Tab.OTHERS))
            return page.sessions[0] if page.sessions else None

        ended = eventually(recorded)
        assert ended.end.ending is Ending.START
        assert "did not answer in time" in ended.end.detail
        assert records.log(ended.facts.id).strip() == "still thinking"
        hurried.stop_all()


def remove(container: Any) -> None:
    container.remove(force=True)


def kill(container: Any) -> None:
    container.kill()


def stop(container: Any) -> None:
    container.stop(timeout=3)


@pytest.mark.parametrize("act", [remove, kill, stop])
def test_a_container_that_an_operator_ended_has_that_reason_within_one_poll(
    deployment: Deployment,
    user: Visitor,
    record: Callable[..., SessionRecord],
    act: Callable[[Any], None],
) -> None:
    user.start("one", SMALL)
    act(deployment.container(user.user, "one"))
    ended = record(Status.ERROR)
    assert ended.end
    assert ended.end.ending is Ending.REMOVED, ended.end
    assert ended_well(deployment, user)
    assert user.start("two", {"resources": {"cpu": 2, "memory": "3GiB"}}).status_code == 201


def test_a_session_that_exits_has_its_exit_code_kept(
    deployment: Deployment, user: Visitor, record: Callable[..., SessionRecord]
) -> None:
    user.start("one", SMALL)
    session = Session(deployment, user, "one")
    session.run("kill", "-TERM", session.processes("bin/bai-session")[-1])
    ended = record(Status.TERMINATED)
    assert ended.end
    assert ended.end.ending is Ending.EXITED
    assert ended.end.exit_code is not None
    assert ended_well(deployment, user)


def test_a_session_that_is_killed_for_memory_says_so_with_the_limit(
    deployment: Deployment, user: Visitor, record: Callable[..., SessionRecord]
) -> None:
    user.start("one", SMALL)
    session = Session(deployment, user, "one")
    server = session.processes("bin/bai-session")[-1]
    session.run("sh", "-c", f"echo 1000 > /proc/{server}/oom_score_adj")
    session.container.exec_run(["python3", "-c", HOG], detach=True)
    ended = record(Status.ERROR)
    assert ended.end
    assert (ended.end.ending, ended.end.exit_code) == (Ending.MEMORY, 137)
    assert "600 MiB" in ended.end.words
    assert ended_well(deployment, user)


def test_a_kernel_that_is_killed_for_memory_is_shown_in_its_cell_and_recorded(
    deployment: Deployment, user: Visitor, record: Callable[..., SessionRecord]
) -> None:
    user.start("one", SMALL)
    session = Session(deployment, user, "one")
    told = "".join(session.execute(HOG, until="restarting"))
    assert "needed more memory than the 600 MiB that this session was granted" in told
    assert user.servers()["one"]["ready"], "the session lives on"
    assert "needed more memory" in session.container.logs().decode()
    time.sleep(2)
    user.stop("one")
    assert eventually(lambda: record(Status.TERMINATED).peaks.oom_kills == 1, seconds=20)
    ended = record()
    assert ended.end
    assert ended.end.ending is Ending.USER, "and not out of memory"
    assert ended.peaks.memory > 50 * MIB


def test_a_kernel_that_fills_shared_memory_hears_of_it(
    deployment: Deployment, user: Visitor
) -> None:
    user.start("one", SMALL)
    told = "".join(Session(deployment, user, "one").execute(FILL_SHM, until="restarting"))
    assert "shared memory of 64 MiB (/dev/shm) is full" in told


def test_a_kernel_that_its_user_kills_is_told_nothing(
    deployment: Deployment, user: Visitor
) -> None:
    user.start("one", SMALL)
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert Session(deployment, user, "one").execute(code, until="restarting") == []


def test_a_session_that_died_while_the_hub_was_down_says_so_and_the_others_go_on(
    deployment: Deployment,
    newcomer: Callable[[], Visitor],
    records: Records,
) -> None:
    users = [newcomer() for _ in range(3)]
    for one in users:
        assert one.start("one", SMALL).status_code == 201
    kept = [deployment.container(one.user, "one").id for one in users[:2]]
    deployment.stop()
    deployment.container(users[2].user, "one").kill()
    deployment.start()
    for one in users[:2]:
        assert one.ready("one", seconds=30)
    assert [deployment.container(one.user, "one").id for one in users[:2]] == kept
    assert ended_well(deployment, users[2])
    (ended,) = records.page(deployment.hub_id, Query(user=users[2].user)).sessions
    assert ended.end
    assert (ended.end.ending, ended.end.exit_code) == (Ending.HUB_DOWN, 137)
    assert users[2].start("two", {"resources": {"cpu": 2, "memory": "3GiB"}}).status_code == 201
    for one in users[:2]:
        (live,) = records.page(deployment.hub_id, Query(user=one.user)).sessions
        assert live.status is Status.RUNNING


def test_stopping_twice_makes_one_end(
    user: Visitor, record: Callable[..., SessionRecord], records: Records, deployment: Deployment
) -> None:
    user.start("one", SMALL)
    path = f"/users/{user.user}/servers/one"
    answers = [user.api("DELETE", path).status_code for _ in range(2)]
    assert answers in ([204, 204], [204, 404])
    assert record(Status.TERMINATED).end
    assert records.page(deployment.hub_id, Query(user=user.user)).total == 1


def test_what_a_session_uses_and_what_is_free_are_published_with_their_age(
    deployment: Deployment, user: Visitor, records: Records, record: Callable[..., SessionRecord]
) -> None:
    user.start("one", SMALL)
    allocation = record(Status.RUNNING).facts.id

    def used() -> Any:
        found = records.published(deployment.hub_id, "statistics")
        return found and json.loads(found.body).get(allocation)

    assert eventually(used)["memory"] > 10 * MIB
    free = records.published(deployment.hub_id, "availability")
    assert free
    assert json.loads(free.body)["general"][0]["cpu"] < 40
    catalogue = records.published(deployment.hub_id, "catalogue")
    assert catalogue
    assert bulletin.read_catalogue(catalogue.body) == load_catalog(deployment.catalog)


def test_metrics_count_sessions_capacity_and_starts(
    deployment: Deployment, user: Visitor, admin: Visitor
) -> None:
    token = admin.api("POST", "/users/admin/tokens", json={"scopes": ["read:metrics"]})
    headers = {"Authorization": f"token {token.json()['token']}"}

    def metric(line: str) -> float:
        text = admin.http.get("/hub/metrics", headers=headers).text
        found = re.search(rf"^{re.escape(line)} (\S+)$", text, re.MULTILINE)
        assert found, f"{line} is not in {[x for x in text.splitlines() if 'bai_' in x]}"
        return float(found[1])

    running = 'bai_sessions{group="general",status="running"}'
    allocated = 'bai_node_allocated{node="local",resource="cpu"}'
    before, held = metric(running), metric(allocated)
    user.start("one", SMALL)
    user.start("two", {"resources": {"cpu": 3}})
    assert metric(running) == before + 1
    assert metric(allocated) == held + 1
    assert metric('bai_node_capacity{node="local",resource="cpu"}') == 40
    assert metric('bai_session_starts_total{reason="",result="started"}') > 0
    assert metric('bai_session_starts_total{reason="policy",result="refused"}') > 0
    assert metric("bai_session_start_seconds_count") > 0
    assert metric("bai_records_unwritten") == 0


def test_no_value_of_a_variable_and_no_token_is_in_the_records(
    deployment: Deployment, user: Visitor, record: Callable[..., SessionRecord]
) -> None:
    user.start("one", {**SMALL, "env": {"PASSWORD": "tell-nobody-4711"}})
    token = next(
        e for e in deployment.container(user.user, "one").attrs["Config"]["Env"] if "API_TOKEN" in e
    ).partition("=")[2]
    user.stop("one")
    record(Status.TERMINATED)
    for file in deployment.state.glob("records.sqlite*"):
        content = file.read_bytes()
        assert b"tell-nobody-4711" not in content
        assert token.encode() not in content
