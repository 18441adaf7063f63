"""Databases that are lost or away, a catalogue that changed, a proxy that is gone."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bai_spawner.reasons import Ending, Status
from bai_spawner.records import Query, Records, SessionRecord
from tests.deployment import REPO, Deployment, eventually
from tests.postgres import Postgres

SMALL = {"resources": {"cpu": 1, "memory": "600MiB"}, "mounts": [{"folder": "data"}]}
CATALOG = REPO / "tests/hub/catalog.yaml"


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Deployment]]:
    """Makes and starts a deployment of the test's own, with short times."""
    made: list[Deployment] = []

    def start(**changed: Any) -> Deployment:
        changed = {"catalog": CATALOG, **changed}
        one = Deployment(tmp_path / "hub", config=REPO / "tests/hub/config.py", **changed)
        made.append(one)
        one.start()
        return one

    yield start
    for one in made:
        one.clean()


def recorded(deployment: Deployment, user: str, url: str = "") -> list[SessionRecord]:
    """The user's records, the newest first."""
    records = Records(url or f"sqlite:///{deployment.state}/records.sqlite")
    try:
        return list(records.page(deployment.hub_id, Query(user=user)).sessions)
    finally:
        records.close()


def forget(deployment: Deployment, *databases: str) -> None:
    for name in databases:
        for file in deployment.state.glob(f"{name}.sqlite*"):
            file.unlink()


def test_sessions_of_a_lost_database_end_after_the_grace_and_are_recorded(
    make: Callable[..., Deployment],
) -> None:
    deployment = make(env={"BAI_GRACE": "6"})
    with deployment.login("ada") as ada:
        assert ada.start("one", SMALL, name="thesis").status_code == 201
        deployment.container("ada", "one").exec_run(["sh", "-c", "echo kept > data/file"])
    deployment.stop()
    forget(deployment, "jupyterhub", "records")
    deployment.start()
    time.sleep(2)
    assert deployment.container("ada", "one").status == "running", "in its grace"
    (live,) = recorded(deployment, "ada")
    assert (live.facts.name, live.status) == ("thesis", Status.RUNNING)
    assert eventually(lambda: not deployment.containers(), seconds=30)
    (ended,) = recorded(deployment, "ada")
    assert ended.end
    assert ended.end.ending is Ending.STRANGER
    assert deployment.folder("ada", "data").joinpath("file").read_text() == "kept\n"
    with deployment.login("ada") as ada:
        assert ada.start("two", {"resources": {"cpu": 2}}).status_code == 201
        ada.stop_all()


def test_sessions_outlive_the_loss_of_the_records(make: Callable[..., Deployment]) -> None:
    deployment = make()
    with deployment.login("ada") as ada:
        assert ada.start("one", SMALL, name="thesis").status_code == 201
        deployment.stop()
        forget(deployment, "records")
        deployment.start()
        assert ada.ready("one", seconds=30)
        (live,) = eventually(lambda: recorded(deployment, "ada"))
        assert (live.facts.name, live.status) == ("thesis", Status.RUNNING)
        ada.stop("one")
        (ended,) = recorded(deployment, "ada")
        assert ended.end
        assert ended.end.ending is Ending.USER


@pytest.mark.alone
def test_a_session_whose_environment_group_and_node_are_withdrawn_is_tracked_and_stops(
    make: Callable[..., Deployment], tmp_path: Path
) -> None:
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(CATALOG.read_text())
    deployment = make(catalog=catalog)
    with deployment.login("ada") as ada:
        assert ada.start("one", SMALL, name="thesis").status_code == 201
        before = deployment.container("ada", "one").id
        deployment.stop()
        new = yaml.safe_load(catalog.read_text())
        new["nodes"] = {"host": {"cpu": 2, "memory": "2GiB"}}
        new["resource_groups"] = {"shared": {"title": "Shared", "nodes": ["host"]}}
        new["environments"] = {"numbers": new["environments"]["numpy"]}
        new["presets"] = {"small": new["presets"]["small"]}
        new["policies"] = [{"name": "all", "limits": {"sessions": 5}}]
        catalog.write_text(yaml.safe_dump(new))
        deployment.start()
        assert ada.ready("one", seconds=30)["display_name"] == "thesis"
        assert deployment.container("ada", "one").id == before
        full = ada.start("two", {"resources": {"cpu": 2}})
        assert full.status_code == 409, "the one core that it holds is still held"
        assert "free on one node of resource group 'shared' now" in full.json()["message"]
        ada.stop("one")
        assert not deployment.containers()
        assert ada.start("two", {"resources": {"cpu": 2}}).status_code == 201
        ada.stop_all()
    ended = recorded(deployment, "ada")[-1]
    assert (ended.facts.environment, ended.facts.group) == ("python", "general")
    assert ended.end
    assert ended.end.ending is Ending.USER


def stopped(process: int) -> None:
    """It is there, and answers nothing."""
    os.kill(process, signal.SIGSTOP)
    time.sleep(10)
    os.kill(process, signal.SIGCONT)


def killed(process: int) -> None:
    os.kill(process, signal.SIGKILL)


@pytest.mark.parametrize("lost", [stopped, killed])
def test_a_start_without_a_proxy_fails_cleanly_or_has_its_route(
    make: Callable[..., Deployment], lost: Callable[[int], None]
) -> None:
    deployment = make()
    with deployment.login("ada") as ada, concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(ada.start, "one", SMALL)
        assert eventually(deployment.containers, every=0.02)
        lost(int((deployment.state / "proxy.pid").read_text()))

        def settled() -> bool:
            try:
                server = ada.servers().get("one")
                if server is None:
                    return not deployment.containers()
                answer = ada.http.get("/user/ada/one/api")
            except OSError:
                return False
            except Exception:  # noqa: BLE001 - whatever a client without a proxy sees
                return False
            return bool(server["ready"]) and answer.is_success

        assert eventually(settled, seconds=60, every=0.5), (
            deployment.containers(),
            ada.servers(),
        )


def test_while_postgresql_is_away_sessions_run_and_end_and_all_is_recorded_afterwards(
    make: Callable[..., Deployment],
) -> None:
    with Postgres() as postgres:
        records = postgres.create_database("records")
        deployment = make(env={"BAI_RECORDS_URL": records})
        with deployment.login("member") as member:
            assert member.start("one", SMALL, name="first").status_code == 201
            assert member.start("two", SMALL, name="second").status_code == 201
            postgres.kill()
            refused = member.start("three", SMALL)
            assert refused.status_code == 503, refused.text
            assert "records: cannot" in refused.json()["message"]
            assert eventually(lambda: "three" not in member.servers(), seconds=8)
            member.stop("one")
            assert len(deployment.containers()) == 1, "an end does not wait for its record"
            assert member.servers()["two"]["ready"]
            away = time.time()
            postgres.start()
            ended = eventually(
                lambda: [r for r in recorded(deployment, "member", records) if r.end], seconds=20
            )
            (one,) = ended
            assert (one.facts.name, one.end.ending) == ("first", Ending.USER)
            assert one.ended.timestamp() < away, "the time is that of the end"
            assert member.start("three", SMALL).status_code == 201
            member.stop_all()
        assert {r.status for r in recorded(deployment, "member", records)} == {Status.TERMINATED}


def test_a_hub_works_with_both_its_databases_in_postgresql(
    make: Callable[..., Deployment],
) -> None:
    with Postgres() as postgres:
        urls = {
            "BAI_DB_URL": postgres.create_database("hub"),
            "BAI_RECORDS_URL": postgres.create_database("records"),
        }
        deployment = make(env=urls)
        with deployment.login("ada") as ada:
            assert ada.start("one", SMALL).status_code == 201
            deployment.stop(signal.SIGKILL)
            deployment.start()
            assert ada.ready("one", seconds=30)
            ada.stop("one")
        (ended,) = recorded(deployment, "ada", urls["BAI_RECORDS_URL"])
        assert ended.status is Status.TERMINATED
        assert not (deployment.state / "records.sqlite").exists()
        deployment.stop()


def test_nothing_is_left_of_a_hub_that_was_told_to_stop(make: Callable[..., Deployment]) -> None:
    """A thread or a connection that outlives the loop would keep the hub from ending."""
    deployment = make()
    process = deployment.process
    assert process
    with deployment.login("ada") as ada:
        assert ada.start("one", SMALL).status_code == 201
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(15) in (0, -signal.SIGTERM)
    assert "Traceback" not in deployment.log.read_text()
