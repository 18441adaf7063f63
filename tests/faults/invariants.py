"""What must hold whenever a hub has come to rest, whatever befell it before.

The engine, the ledger, the records and the hub's servers are read from outside, and must
tell one story.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Self

import httpx
from prometheus_client.parser import text_string_to_metric_families

from bai_spawner import labels
from bai_spawner.engine import ContainerState
from bai_spawner.labels import Key
from bai_spawner.records import Records, SessionRecord
from tests.deployment import Deployment, Visitor

SECONDS = 60.0
"""The longest that a hub may take to come to rest."""
RECORDS = 100_000
"""More than any test has."""

Words = Iterator[str]


class Witness:
    """Compares what everybody says about one deployment.

    Args:
        deployment: which.
        admin: its administrator, logged in.
    """

    def __init__(self, deployment: Deployment, admin: Visitor) -> None:
        self.deployment = deployment
        self._records = Records(f"sqlite:///{deployment.state / 'records.sqlite'}")
        answer = admin.api("POST", "/users/admin/tokens", json={"note": "witness"})
        headers = {"Authorization": f"token {answer.json()['token']}"}
        self._http = httpx.Client(base_url=deployment.url, headers=headers, timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()
        self._records.close()

    # ---- what each says -----------------------------------------------------------

    def containers(self, hub: str = "") -> list[ContainerState]:
        """Sessions' containers of one hub or, without one, of everybody on the engine."""
        label = f"{labels.HUB}={hub}" if hub else labels.HUB
        found = self.deployment.docker.api.containers(all=True, filters={"label": label})
        return [ContainerState.listed(one) for one in found]

    def servers(self) -> dict[Key, dict[str, Any]]:
        """The hub's named servers, stopped ones too."""
        answer = self._http.get("/hub/api/users", params={"include_stopped_servers": 1})
        return {
            (user["name"], name): server
            for user in answer.raise_for_status().json()
            for name, server in user["servers"].items()
            if name
        }

    def records(self) -> tuple[SessionRecord, ...]:
        """Every record, with its changes."""
        page = self._records.page(self.deployment.hub_id, limit=RECORDS)
        found = (self._records.get(record.facts.id) for record in page.sessions)
        return tuple(record for record in found if record)

    def ledger(self) -> tuple[Mapping[str, float], float]:
        """What all nodes' sessions hold, by resource; and the number of this hub's sessions."""
        text = self._http.get("/hub/metrics").raise_for_status().text
        held: defaultdict[str, float] = defaultdict(float)
        sessions = 0.0
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == "bai_node_allocated":
                    held[sample.labels["resource"]] += sample.value
                elif sample.name == "bai_sessions":
                    sessions += sample.value
        return held, sessions

    # ---- that they agree ----------------------------------------------------------

    def agree(
        self,
        launched: Mapping[Key, int] | None = None,
        *,
        also: Callable[[Self], Iterable[str]] = lambda _: (),
        seconds: float = SECONDS,
    ) -> float:
        """Wait until all agree; how many seconds that took.

        Args:
            launched: how many starts of each server a client saw accepted.
            also: what else must hold, as sentences that say what does not.
            seconds: how long it may take.

        Raises:
            AssertionError: they do not, with each sentence that is untrue.
        """
        began = time.monotonic()
        while True:
            wrong = [*self.disagreements(launched or {}), *also(self)]
            took = time.monotonic() - began
            if not wrong:
                return took
            assert took < seconds, f"after {took:.0f} s:\n" + "\n".join(wrong)
            time.sleep(0.5)

    def nothing_is_left(self, launched: Mapping[Key, int] | None = None) -> float:
        """Wait until no session is left anywhere, and all agree; how many seconds that took."""
        return self.agree(launched, also=Witness._remains)

    def disagreements(self, launched: Mapping[Key, int]) -> list[str]:
        """What does not hold, in sentences."""
        containers = self.containers(self.deployment.hub_id)
        servers = self.servers()
        return [
            *self._between_containers_and_servers(containers, servers),
            *self._about_the_ledger(containers),
            *self._about_records(containers, launched),
        ]

    def _between_containers_and_servers(
        self, containers: Collection[ContainerState], servers: Mapping[Key, dict[str, Any]]
    ) -> Words:
        there: dict[Key, ContainerState] = {}
        for container in containers:
            session = container.session()
            if session is None:
                yield f"container {container.name} has labels that cannot be read"
                continue
            if session.key in there:
                yield f"{session.key} has two containers"
            there[session.key] = container
            if not container.running:
                yield f"the container of {session.key} is {container.status}"
            if not servers.get(session.key, {}).get("ready"):
                yield f"no server that is ready leads to the container of {session.key}"
        for key, server in servers.items():
            if wrong := self._amiss(key, server, there.keys()):
                yield f"server {'/'.join(key)} {wrong}"

    def _amiss(self, key: Key, server: Mapping[str, Any], there: Collection[Key]) -> str:
        """What is wrong with a server; a stopped one is to be forgotten."""
        if server["pending"]:
            return f"is still pending: {server['pending']}"
        if not server["ready"]:
            return f"is neither ready nor forgotten: {server}"
        if key not in there:
            return "is ready without a container"
        # through the proxy; the notebook asks the hub who we are
        answer = self._http.get(f"/user/{'/'.join(key)}/api/status")
        if answer.is_success and "kernels" in answer.json():
            return ""
        return f"answers {answer.status_code}: {answer.text[:200]}"

    def _about_the_ledger(self, containers: Collection[ContainerState]) -> Words:
        held, sessions = self.ledger()
        live = [c for c in containers if c.holds]
        if sessions != len(live):
            yield f"the ledger has {sessions:.0f} sessions, {len(live)} containers hold something"
        for resource, amount in _labelled(live).items():
            if held[resource] != amount:
                yield f"{resource}: the ledger has {held[resource]}, labels say {amount}"

    def _about_records(
        self, containers: Collection[ContainerState], launched: Mapping[Key, int]
    ) -> Words:
        records = {record.facts.id: record for record in self.records()}
        live = self._records.live(self.deployment.hub_id, before=datetime.now(UTC))
        there = {s.allocation for c in containers if (s := c.session())}
        for lost in there - live:
            known = records[lost].status if lost in records else "not there"
            yield f"the record of the running session {lost} is {known}"
        for dead in live - there:
            facts, status = records[dead].facts, records[dead].status
            yield f"the record of {facts.user}/{facts.server} is {status} without a container"
        for record in records.values():
            yield from _about(record)
        written = Counter((r.facts.user, r.facts.server) for r in records.values())
        for key, count in launched.items():
            if written[key] < count:
                yield f"{count} starts of {key} were accepted, {written[key]} are recorded"

    def _remains(self) -> Words:
        yield from (f"container {c.name} is {c.status}" for c in self.containers(self._hub))
        yield from (f"server {key} is there" for key in self.servers())
        yield from (f"record {r.facts.id} is {r.status}" for r in self.records() if not r.ended)

    @property
    def _hub(self) -> str:
        return self.deployment.hub_id


def _labelled(containers: Iterable[ContainerState]) -> dict[str, int]:
    """What containers hold by their labels, by resource."""
    sessions = [session for c in containers if (session := c.session())]
    return {
        "cpu": sum(session.cpu for session in sessions),
        "memory": sum(session.memory for session in sessions),
        "fgpu": sum(share.quanta for session in sessions for share in session.shares),
    }


def _about(record: SessionRecord) -> Words:
    """What one record must say, whatever the others say."""
    who = f"the record of {record.facts.user}/{record.facts.server}"
    if (record.end is None) != record.status.is_live or (record.ended is None) != (
        record.end is None
    ):
        yield f"{who} is {record.status}, with end {record.end} at {record.ended}"
    times = [change.at for change in record.changes]
    if times != sorted(times):
        told = ", ".join(f"{change.status} {change.at:%T.%f}" for change in record.changes)
        yield f"{who} goes back in time: {told}"
    if not record.changes or record.changes[-1].status is not record.status:
        yield f"{who} is {record.status}, which is not its last change"
    if record.started and not record.created <= record.started <= (record.ended or record.started):
        yield f"{who} ran from {record.started} to {record.ended}, made {record.created}"
