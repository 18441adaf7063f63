"""Several hubs on one engine ask at the same moment: never too much runs, nothing is lost.

The engine is one of the test's own: on any other, whatever else runs takes up room.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import random
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import docker
import pytest

from tests.deployment import REPO
from tests.faults.engine import PrivateEngine, lacking
from tests.images import LIGHT

pytestmark = pytest.mark.skipif(bool(lacking()), reason=lacking())

ROUNDS = int(os.environ.get("BAI_ROUNDS", "8"))
"""Of each test. ``BAI_ROUNDS=100 BAI_SEED=1`` are more of them, and others."""
SEED = int(os.environ.get("BAI_SEED", "20"))
LATE = 0.15
"""Seconds by which one hub may come later than the other."""
NETWORK = "sessions"
MEMORY = 512 * 1024**2


class Scarce(StrEnum):
    """What there is too little of."""

    CPU = "cpu"
    FGPU = "fgpu"


def catalog(sessions: int, scarce: Scarce) -> str:
    """Room for so many sessions: of cores, or of one GPU that is simulated.

    The books of a simulated GPU are kept as any other's are.
    """
    cores, fgpu = (sessions, 0) if scarce is Scarce.CPU else (64, 1)
    return f"""
nodes: {{local: {{cpu: {cores}, memory: {64 * MEMORY}}}}}
resource_groups: {{default: {{title: Default, nodes: [local]}}}}
environments:
  light: {{title: Light, minimum: {{fgpu: {fgpu}}}, versions: {{"1": {{image: "{LIGHT}"}}}}}}
gpu: {{fgpu_per_gpu: {sessions}, simulated: [{{model: H100}}]}}
policies: [{{name: everyone, folders: []}}]
"""


class Hub:
    """A process that is a hub but for its web pages."""

    def __init__(self, state: Path, catalog: Path, hub_id: str, engine: str) -> None:
        state.mkdir()
        self.log = state / "log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.one_hub", state, catalog, hub_id, NETWORK],
                cwd=REPO,
                env={**os.environ, "PYTHONPATH": str(REPO), "DOCKER_HOST": engine},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout
        self._process.stdout.close()

    def order(self, do: str, server: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"do": do, "server": server}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, self.log.read_text()[-4000:]
        found: dict[str, Any] = json.loads(line)
        return found


@dataclass
class Watcher:
    """Looks at what runs as often as it can, with a connection of its own."""

    engine: str
    scarce: Scarce
    most: int = 0
    looks: int = 0
    _end: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        with contextlib.closing(docker.APIClient(self.engine)) as client:
            while not self._end.is_set():
                found = client.containers(filters={"label": "bai.hub"})  # those that run
                self.most = max(self.most, sum(self._holds(c["Labels"]) for c in found))
                self.looks += 1
                time.sleep(0.01)

    def _holds(self, labels: dict[str, str]) -> int:
        if self.scarce is Scarce.CPU:
            return int(labels["bai.cpu"])
        return sum(quanta for _, quanta, _ in json.loads(labels["bai.shares"]))


@dataclass
class Bench:
    """Several hubs on one engine."""

    client: docker.DockerClient
    hubs: list[Hub] = field(default_factory=list)

    def round(self, number: int, late: list[float]) -> list[dict[str, Any]]:
        """Each asks for one session, each at its moment; what they were answered."""
        barrier = threading.Barrier(len(self.hubs))

        def ask(hub: Hub, delay: float) -> dict[str, Any]:
            barrier.wait()
            time.sleep(delay)
            hub.order("start", f"s{number}")
            return hub.answer()

        with concurrent.futures.ThreadPoolExecutor(len(self.hubs)) as pool:
            return list(pool.map(ask, self.hubs, late))

    def end(self, number: int) -> list[int]:
        """Each ends what it has; what each still holds."""
        for hub in self.hubs:
            hub.order("end", f"s{number}")
        return [hub.answer()["held"] for hub in self.hubs]

    def containers(self) -> list[Any]:
        return list(self.client.api.containers(all=True, filters={"label": "bai.hub"}))


@pytest.fixture(scope="module")
def engine() -> Iterator[PrivateEngine]:
    with PrivateEngine() as made:
        with contextlib.closing(made.client()) as client:
            client.networks.create(NETWORK, driver="bridge")
        yield made


@contextlib.contextmanager
def bench(
    engine: PrivateEngine, folder: Path, hubs: int, room: int, scarce: Scarce
) -> Iterator[Bench]:
    """So many hubs whose catalogues all say that there is room for ``room`` sessions."""
    with contextlib.ExitStack() as stack:
        made = Bench(stack.enter_context(contextlib.closing(engine.client())))
        for container in made.containers():  # of a test that failed
            made.client.api.remove_container(container["Id"], force=True, v=True)
        offer = folder / "catalog.yaml"
        offer.write_text(catalog(room, scarce))
        for number in range(hubs):
            hub = Hub(folder / f"hub{number}", offer, secrets.token_hex(16), engine.host)
            made.hubs.append(stack.enter_context(hub))
        yield made


@pytest.mark.parametrize("scarce", list(Scarce))
@pytest.mark.parametrize(("hubs", "room"), [(2, 1), (3, 2)], ids=["two for one", "three for two"])
def test_hubs_that_ask_at_once_never_run_more_than_there_is_and_do_not_all_give_way(
    engine: PrivateEngine, tmp_path: Path, hubs: int, room: int, scarce: Scarce
) -> None:
    chance = random.Random(SEED)
    admitted: list[int] = []
    reasons: set[str] = set()
    began = time.monotonic()
    with (
        bench(engine, tmp_path, hubs, room, scarce) as made,
        Watcher(engine.host, scarce) as watcher,
    ):
        for number in range(ROUNDS):
            late = [chance.choice([0, 0, chance.uniform(0, LATE)]) for _ in range(hubs)]
            answers = made.round(number, late)
            started = sum(answer["started"] for answer in answers)
            reasons |= {answer["why"] for answer in answers if not answer["started"]}
            assert 1 <= started <= room, (number, late, answers)
            assert made.end(number) == [0] * hubs, (number, late, answers)
            assert made.containers() == [], (number, late, answers)
            admitted.append(started)
        seconds = (time.monotonic() - began) / ROUNDS
    assert watcher.most == room, f"{watcher.most} ran where there was room for {room}"
    assert reasons, "nobody ever had to give way: nothing was tried"
    assert all("free" in why for why in reasons), reasons
    print(  # noqa: T201 - `pytest -s` shows it
        f"\n{ROUNDS} rounds of {hubs} hubs on {scarce}, room for {room}: {sum(admitted)} admitted, "
        f"{admitted.count(room)} rounds full, {watcher.looks} looks, {seconds:.2f} s a round"
    )
