"""The engine goes and comes back under running sessions: books and containers agree."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from bai_spawner.reasons import Ending, Status
from bai_spawner.records import Records
from bai_spawner.records.facts import SessionRecord
from tests.deployment import REPO, Deployment, Visitor, eventually
from tests.faults.engine import PrivateEngine, lacking
from tests.images import LIGHT

pytestmark = pytest.mark.skipif(bool(lacking()), reason=lacking())

CATALOG = f"""
nodes: {{local: {{cpu: 2, memory: 2GiB}}}}
resource_groups: {{default: {{title: Default, nodes: [local]}}}}
environments: {{light: {{title: Light, versions: {{"1": {{image: "{LIGHT}"}}}}}}}}
presets: {{small: {{title: Small, cpu: 1, memory: 512MiB}}}}
policies: [{{name: everyone}}]
"""
"""Room for two sessions: a third starts only when one of their shares is free."""
CONFIG = f"""
from pathlib import Path
shipped = Path({str(REPO / "tests/hub/config.py")!r})
__file__ = str(shipped)
exec(compile(shipped.read_text(), __file__, "exec"))
# a hub that starts waits so long for a server that was there when it ended
c.Spawner.http_timeout = 5
"""
POLLS = 4
"""Seconds in which the hub looks at every session a few times."""
BACK = 30
"""Seconds in which the hub must have noticed that the engine is back."""


@pytest.fixture(scope="module")
def engine() -> Iterator[PrivateEngine]:
    with PrivateEngine() as made:
        yield made


@pytest.fixture
def deployment(engine: PrivateEngine, tmp_path: Path) -> Iterator[Deployment]:
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(CATALOG)
    config = tmp_path / "config.py"
    config.write_text(CONFIG)
    made = Deployment(tmp_path / "hub", catalog=catalog, config=config, engine=engine.host)
    with ExitStack() as stack:
        stack.callback(made.clean)
        stack.callback(engine.start)
        made.start()
        yield made


@pytest.fixture
def user(deployment: Deployment) -> Iterator[Visitor]:
    with deployment.login("ada") as visitor:
        yield visitor


@pytest.fixture
def admin(deployment: Deployment) -> Iterator[Visitor]:
    with deployment.login("admin") as visitor:
        yield visitor


@pytest.fixture
def sessions(deployment: Deployment, user: Visitor) -> dict[str, SessionRecord]:
    """Two that run: all that there is room for."""
    for server in ("one", "two"):
        answer = user.start(server, {})
        assert answer.status_code == 201, answer.text
    return recorded(deployment)


def recorded(deployment: Deployment) -> dict[str, SessionRecord]:
    """The newest record of each server."""
    with closing(Records(f"sqlite:///{deployment.state / 'records.sqlite'}")) as records:
        found = records.page(deployment.hub_id).sessions
    return {one.facts.server: one for one in reversed(found)}


def held(admin: Visitor) -> dict[str, int]:
    """What the hub's ledger says is held, by resource."""
    text = admin.http.get("/hub/metrics").text
    found = re.findall(r'bai_node_allocated\{node="local",resource="(\w+)"\} (\S+)', text)
    return {resource: int(float(amount)) for resource, amount in found}


def routed(user: Visitor, server: str) -> bool:
    """Whether the proxy leads to the session, and not to the hub."""
    answer = user.http.get(f"/user/{user.user}/{server}/api", follow_redirects=False)
    return answer.status_code == 200 and answer.text == "{}"


def running(deployment: Deployment) -> set[str]:
    return {c.labels["bai.server"] for c in deployment.containers() if c.status == "running"}


def statuses(deployment: Deployment) -> list[tuple[Status, Any]]:
    return [(one.status, one.end) for one in recorded(deployment).values()]


def nothing_is_concluded(deployment: Deployment, user: Visitor, admin: Visitor) -> None:
    """For a few polls: both are listed, hold their shares and are recorded as running."""
    before = held(admin)
    assert before["cpu"] == 2
    end = time.monotonic() + POLLS
    while time.monotonic() < end:
        assert {s: m["ready"] for s, m in user.servers().items()} == {"one": True, "two": True}
        assert held(admin) == before
        assert statuses(deployment) == [(Status.RUNNING, None)] * 2
        time.sleep(0.2)
    answer = user.start("three", {})
    assert answer.status_code == 409, answer.text
    assert "1 asked > 0 free" in answer.json()["message"]


def they_ended_with_the_engine(deployment: Deployment, user: Visitor, admin: Visitor) -> None:
    assert eventually(lambda: not {"one", "two"} & user.servers().keys(), seconds=BACK)
    assert eventually(lambda: not deployment.containers())
    assert eventually(lambda: held(admin)["cpu"] == 0)
    for record in (recorded(deployment)[server] for server in ("one", "two")):
        assert (record.status, record.end and record.end.ending) == (Status.ERROR, Ending.ENGINE)
    assert not routed(user, "one")
    assert not routed(user, "two")
    for server in ("three", "four"):
        assert user.start(server, {}).status_code == 201
        assert routed(user, server)
    assert held(admin)["cpu"] == 2
    assert running(deployment) == {"three", "four"}


@pytest.mark.parametrize("way", ["stopped", "killed"])
def test_sessions_that_the_engine_took_along_hold_on_until_it_is_back_and_end_with_that_reason(
    engine: PrivateEngine,
    deployment: Deployment,
    user: Visitor,
    admin: Visitor,
    sessions: dict[str, SessionRecord],
    way: str,
) -> None:
    assert routed(user, "one")
    engine.stop() if way == "stopped" else engine.kill()
    nothing_is_concluded(deployment, user, admin)
    engine.start()
    survivors = running(deployment)
    if survivors:  # an engine with live-restore leaves them alone
        assert way == "killed"
        assert survivors == {"one", "two"}
        assert eventually(lambda: all(routed(user, server) for server in survivors), seconds=BACK)
        nothing_ended = {server: one.end for server, one in recorded(deployment).items()}
        assert nothing_ended == {"one": None, "two": None}
        assert held(admin)["cpu"] == 2
    else:
        they_ended_with_the_engine(deployment, user, admin)


def test_an_engine_that_was_away_for_a_moment_is_the_reason_too(
    engine: PrivateEngine,
    deployment: Deployment,
    user: Visitor,
    admin: Visitor,
    sessions: dict[str, SessionRecord],
) -> None:
    engine.stop()
    engine.start()
    they_ended_with_the_engine(deployment, user, admin)


def test_a_hub_that_starts_while_the_engine_is_away_finds_the_sessions_when_it_is_back(
    engine: PrivateEngine,
    deployment: Deployment,
    user: Visitor,
    admin: Visitor,
    sessions: dict[str, SessionRecord],
) -> None:
    deployment.stop()
    engine.hide()
    deployment.start()
    end = time.monotonic() + POLLS
    while time.monotonic() < end:
        assert user.servers().keys() == {"one", "two"}
        assert not any(model["stopped"] for model in user.servers().values())
        assert [one.status for one in recorded(deployment).values()] == [Status.RUNNING] * 2
        time.sleep(0.2)
    engine.show()
    for server in ("one", "two"):
        assert user.ready(server, seconds=BACK)
        assert eventually(lambda server=server: routed(user, server))
    assert eventually(lambda: held(admin).get("cpu") == 2)
    after = recorded(deployment)
    assert {s: one.facts.id for s, one in after.items()} == {
        s: one.facts.id for s, one in sessions.items()
    }
    assert statuses(deployment) == [(Status.RUNNING, None)] * 2


def test_sessions_that_died_with_the_engine_while_no_hub_was_there_are_ended_when_it_is_back(
    engine: PrivateEngine,
    deployment: Deployment,
    user: Visitor,
    admin: Visitor,
    sessions: dict[str, SessionRecord],
) -> None:
    deployment.stop()
    engine.stop()
    deployment.start()
    time.sleep(POLLS)
    assert user.servers().keys() == {"one", "two"}
    assert statuses(deployment) == [(Status.RUNNING, None)] * 2
    engine.start()
    assert eventually(lambda: not {"one", "two"} & user.servers().keys(), seconds=BACK)
    assert eventually(lambda: not deployment.containers())
    assert eventually(lambda: held(admin).get("cpu") == 0)
    assert [one.end and one.end.ending for one in recorded(deployment).values()] == [
        Ending.HUB_DOWN
    ] * 2
