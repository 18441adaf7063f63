"""A hub that is killed at random moments under load: `make soak`, `make soak ARGS="--seed 8"`.

In each round people start and stop sessions all at once, the hub is killed, perhaps a
session with it, and started again, perhaps killed while it starts. When it has come to
rest everything must agree (tests/faults/invariants.py), and what each person was told
must be so: a session that was ready is, in the same container; one that was ended is not
there. The seed decides what is done and when; how far the hub is by then, the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import re
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

# the repository, when this is run as a script
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import docker
import httpx

from bai_spawner.engine import ContainerState
from bai_spawner.labels import Key
from tests.deployment import REPO, Deployment, eventually
from tests.faults.invariants import Witness
from tests.images import ensure_failing_images

PEOPLE = ("ada", "grace", "edsger")
SERVERS = ("one", "two")
AT_ONCE = 3
"""Sessions that are started and ended in one round."""
WITHIN = 3.0
"""Seconds of a round in which the hub is killed."""
PATIENT, SLOWEST, AFTER = 0.5, 20.0, 1.5
"""Of so many rounds the hub is killed only after somebody had an answer, for which so many
seconds are waited, within so many more: on a slow machine, too, some sessions become ready."""
SMALL = {"preset": "small"}
ENDED = "ended"
DYING = {"preset": "small", "environment": "dies"}


@contextlib.contextmanager
def deployed(state: Path) -> Iterator[Deployment]:
    """A hub to be killed, with everything of its own."""
    here = REPO / "tests/faults"
    made = Deployment(state, catalog=here / "catalog.yaml", config=here / "config.py")
    try:
        ensure_failing_images(made.docker)
        made.start()
        yield made
    finally:
        kill(made)
        made.clean()


def kill(deployment: Deployment, *, with_proxy: bool = True) -> None:
    """End the hub's process, and perhaps its proxy's, as the end of a machine would."""
    if deployment.process:
        deployment.process.kill()
        deployment.process.wait(30)
    if with_proxy:  # which has a session of its own
        deployment.end_proxy()


def log_end(deployment: Deployment, lines: int = 100) -> str:
    """The end of the hub's log, without what it answered well, and its proxy's complaints."""
    written = deployment.log.read_text(errors="replace").splitlines()
    return "\n".join([line for line in written if not _NOISE.search(line)][-lines:])


_NOISE = re.compile(r"\] 200 GET |ConfigProxy|^    at |^  (errno|code|syscall|address|port): |^\}")


class Violated(Exception):
    """Something that must hold does not, after this round."""

    def __init__(self, number: int, told: str) -> None:
        super().__init__(told)
        self.number = number


@dataclass
class Tally:
    """What was done, and what came of it."""

    rounds: int = 0
    asked: int = 0
    accepted: int = 0
    cut: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    stops: int = 0
    kills: int = 0
    kills_with_proxy: int = 0
    kills_while_starting: int = 0
    hits: int = 0
    kept: int = 0
    adopted: int = 0
    settled: list[float] = field(default_factory=list)
    rounds_took: list[float] = field(default_factory=list)

    def table(self, ended: Counter[str]) -> str:
        """What is printed in the end."""
        other = ", ".join(f"{n} × {status}" for status, n in sorted(self.refused.items()))
        rows = {
            "rounds": str(self.rounds),
            "starts asked": str(self.asked),
            "  accepted": str(self.accepted),
            "  cut off by a kill": str(self.cut),
            "  answered otherwise": other or "0",
            "stops asked": str(self.stops),
            "kills of the hub": str(self.kills),
            "  its proxy too": str(self.kills_with_proxy),
            "  while it started": str(self.kills_while_starting),
            "sessions killed or removed": str(self.hits),
            "ready sessions kept over a kill": str(self.kept),
            "cut-off starts adopted": str(self.adopted),
            "ended": ", ".join(f"{n} × {why}" for why, n in sorted(ended.items())),
            "seconds to settle, median and worst": (
                f"{_median(self.settled):.1f}, {max(self.settled, default=0):.1f}"
            ),
            "seconds of a round, median and worst": (
                f"{_median(self.rounds_took):.1f}, {max(self.rounds_took, default=0):.1f}"
            ),
        }
        width = max(map(len, rows))
        return "\n".join(f"{name:{width}}  {value}" for name, value in rows.items())


def _median(values: Collection[float]) -> float:
    return sorted(values)[len(values) // 2] if values else 0.0


@dataclass(frozen=True)
class Deed:
    """What one person does in a round: each step after so many seconds."""

    key: Key
    steps: tuple[tuple[str, float], ...]

    @property
    def verbs(self) -> list[str]:
        """What is done, without when."""
        return [verb for verb, _ in self.steps]

    def __str__(self) -> str:
        return f"{'+'.join(self.verbs)} {'/'.join(self.key)}"


class Campaign:
    """Rounds on one deployment.

    Args:
        deployment: which is killed.
        seed: of what is done.
        say: told one line for each round.
    """

    def __init__(self, deployment: Deployment, seed: int, say: Callable[[str], None]) -> None:
        self.deployment, self.seed, self.say = deployment, seed, say
        self.tally = Tally()
        self.ended: Counter[str] = Counter()
        self._stack = contextlib.ExitStack()
        login = deployment.login
        self._people = {name: self._stack.enter_context(login(name)) for name in PEOPLE}
        admin = self._stack.enter_context(login("admin"))
        self._witness = self._stack.enter_context(Witness(deployment, admin))
        self._launched: Counter[Key] = Counter()
        self._ready: dict[Key, str] = {}
        """Sessions that somebody was told are ready, and their containers."""
        self._told: dict[Key, str] = {}
        """What people were told in this round: a server's container, or that it ended."""
        self._cut: set[Key] = set()
        """Servers of this round whose start got no answer."""
        self._lock = threading.Lock()

    def run(self, rounds: int) -> None:
        """All rounds, and the end of all sessions.

        Raises:
            Violated: something did not hold.
        """
        with self._stack:
            for number in range(1, rounds + 1):
                try:
                    self._round(number)
                except (AssertionError, RuntimeError) as error:
                    raise Violated(number, str(error)) from error
            try:
                for person in self._people.values():
                    person.stop_all()
                self._witness.nothing_is_left(self._launched)
            except AssertionError as error:
                raise Violated(rounds, f"after everything had ended: {error}") from error
            for record in self._witness.records():
                self.ended[record.end.ending.key if record.end else "not"] += 1

    def _round(self, number: int) -> None:
        began = time.monotonic()
        rng = random.Random(f"{self.seed}/{number}")
        self._told, self._cut = {}, set()
        deeds = self._deeds(rng)
        for deed in deeds:
            self._ready.pop(deed.key, None)
        idle = sorted(self._ready)
        victim = rng.choice(idle) if idle and rng.random() < 0.4 else None
        how, while_down = rng.choice(["kill", "remove", "inside"]), rng.random() < 0.5
        patient = rng.random() < PATIENT
        delay = rng.uniform(0, AFTER if patient else WITHIN)
        with_proxy = rng.random() < 0.5
        again = rng.uniform(0.3, 2.5) if rng.random() < 0.25 else None
        with ThreadPoolExecutor(AT_ONCE + 1) as pool:
            doing = [pool.submit(self._do, deed) for deed in deeds]
            if victim and not while_down:
                doing.append(pool.submit(self._hit, victim, how, rng.uniform(0, delay)))
            if patient:
                wait(doing[: len(deeds)], timeout=SLOWEST, return_when=FIRST_COMPLETED)
            time.sleep(delay)
            self._kill(with_proxy=with_proxy)
            if victim and while_down:
                self._hit(victim, how, 0)
            self._restart(again)
            wait(doing, timeout=90)
            for one in doing:
                one.result(timeout=0)
        if victim:
            self._ready.pop(victim)
            self._told[victim] = ENDED
        took = self._witness.agree(self._launched, also=self._as_told)
        adopted = self._see_who_is_ready()
        self.tally.rounds += 1
        self.tally.settled.append(took)
        self.tally.rounds_took.append(time.monotonic() - began)
        told = [f"round {number}: {', '.join(map(str, deeds)) or 'nothing'}"]
        proxy, since = "and proxy " * with_proxy, "an answer" if patient else "that"
        told.append(f"hub {proxy}killed {delay:.2f} s after {since}")
        if again is not None:
            told.append(f"and {again:.2f} s into its start")
        if victim:
            told.append(f"{how} {'/'.join(victim)} {'meanwhile' if while_down else 'before'}")
        if adopted:
            told.append(f"{adopted} adopted")
        told.append(f"{len(self._ready)} ready after {took:.1f} s")
        self.say("; ".join(told))

    # ---- what is done ---------------------------------------------------------------

    def _deeds(self, rng: random.Random) -> list[Deed]:
        keys = [(person, server) for person in PEOPLE for server in SERVERS]
        deeds = []
        for key in rng.sample(keys, len(keys)):
            if key in self._ready:
                verbs = rng.choice([(), (), (), ("stop",), ("stop", "start")])
            else:
                verbs = rng.choice(
                    [("start",), ("start",), ("start",), ("start", "stop"), ("die",)]
                )
            # a start is given up while it is under way, what follows an end follows at once
            pauses = (rng.uniform(0, 0.5), rng.uniform(0.1, 1.5))
            if verbs:
                deeds.append(Deed(key, tuple(zip(verbs, pauses, strict=False))))
        return deeds[:AT_ONCE]

    def _do(self, deed: Deed) -> None:
        """Do it, one step after the other; a start that is given up is not waited for."""
        key = deed.key
        (first, pause), *rest = deed.steps
        with ThreadPoolExecutor(1) as pool:
            time.sleep(pause)
            if first == "stop":
                self._end(key)
            else:
                going = pool.submit(self._start, key, DYING if first == "die" else SMALL)
            for verb, pause in rest:
                time.sleep(pause)
                if verb == "stop":
                    self._end(key)
                else:
                    going = pool.submit(self._start, key, SMALL)
        if deed.verbs[-1] == "start" and going.result() == HTTPStatus.CREATED:
            self._told[key] = self.deployment.container(*key).id

    def _start(self, key: Key, options: dict[str, str]) -> int:
        person, server = key
        status = _asked(lambda: self._people[person].start(server, options))
        with self._lock:
            self._told.pop(key, None)
            self.tally.asked += 1
            if status in {HTTPStatus.CREATED, HTTPStatus.ACCEPTED}:
                self.tally.accepted += 1
                self._launched[key] += 1
            elif status in {0, HTTPStatus.SERVICE_UNAVAILABLE}:
                self.tally.cut += 1
                self._cut.add(key)
            else:
                self.tally.refused[status] += 1
        return status

    def _end(self, key: Key) -> None:
        person, server = key
        path = f"/users/{person}/servers/{server}"
        status = _asked(lambda: self._people[person].api("DELETE", path))
        with self._lock:
            self.tally.stops += 1
            if status == HTTPStatus.NO_CONTENT:
                self._told[key] = ENDED

    def _hit(self, key: Key, how: str, pause: float) -> None:
        """End a session behind the hub's back."""
        time.sleep(pause)
        with contextlib.suppress(docker.errors.APIError):
            container = self.deployment.container(*key)
            if how == "kill":
                container.kill()
            elif how == "remove":
                container.remove(force=True)
            else:  # everything but the first process, which ends with them
                container.exec_run(["sh", "-c", "kill -9 -1"])
        self.tally.hits += 1

    def _kill(self, *, with_proxy: bool) -> None:
        kill(self.deployment, with_proxy=with_proxy)
        self.tally.kills += 1
        self.tally.kills_with_proxy += with_proxy

    def _restart(self, again: float | None) -> None:
        """Start the hub; ``again`` is after how many seconds it is killed once more."""
        if again is not None:
            before = self.deployment.process
            with ThreadPoolExecutor(1) as pool:
                starting = pool.submit(self.deployment.start)
                assert eventually(lambda: self.deployment.process is not before)
                time.sleep(again)
                self._kill(with_proxy=True)
                starting.exception()  # that the hub ended, mostly
            self.tally.kills_while_starting += 1
        self.deployment.start()

    # ---- what must be so ------------------------------------------------------------

    def _as_told(self, witness: Witness) -> Iterator[str]:
        """What somebody was told and is not so."""
        there = {s.key: c.id for c in self._containers(witness) if (s := c.session())}
        for key, container in self._ready.items():
            if there.get(key) != container:
                yield f"{key} was ready in {container[:12]}, and has {there.get(key, 'none')[:12]}"
        for key, told in self._told.items():
            if told == ENDED and key in there:
                yield f"{key} was ended, and has {there[key][:12]}"
            elif told != ENDED and there.get(key) != told:
                yield f"{key} became ready in {told[:12]}, and has {there.get(key, 'none')[:12]}"

    def _see_who_is_ready(self) -> int:
        """Know for the next round what is there now; how many starts were adopted."""
        there = {s.key: c.id for c in self._containers(self._witness) if (s := c.session())}
        self.tally.kept += len(self._ready)
        adopted = len(self._cut & there.keys() - self._told.keys())
        self.tally.adopted += adopted
        self._ready = there
        return adopted

    def _containers(self, witness: Witness) -> list[ContainerState]:
        return witness.containers(self.deployment.hub_id)


def _asked(question: Callable[[], httpx.Response]) -> int:
    """The status of an answer; 0 when the connection ended before there was one."""
    with contextlib.suppress(httpx.TransportError):
        return question().status_code
    return 0


def main() -> int:
    """The exit status: 1 when something did not hold."""
    parser = argparse.ArgumentParser(description="Kill a hub under load, again and again.")
    parser.add_argument("--rounds", type=int, default=50, help="(%(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="of what is done (%(default)s)")
    asked = parser.parse_args()
    # also when it is ended from outside, what was started is removed
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with (
        tempfile.TemporaryDirectory(prefix="bai-soak-", ignore_cleanup_errors=True) as folder,
        deployed(Path(folder)) as deployment,
    ):
        campaign = Campaign(deployment, asked.seed, _say)
        try:
            campaign.run(asked.rounds)
        except Violated as error:
            _say(f"the end of the hub's log:\n{log_end(deployment)}")
            _say(f"round {error.number} of seed {asked.seed} is violated: {error}")
            return 1
        finally:
            _say(campaign.tally.table(campaign.ended))
    return 0


def _say(text: str) -> None:
    """Print at once, into a pipe too: a campaign takes minutes."""
    print(text, flush=True)  # noqa: T201 - it talks to a terminal


if __name__ == "__main__":
    sys.exit(main())
