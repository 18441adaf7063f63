"""What the hub decides at every launch, as live sessions and devices grow in number.

Between the check and the reservation nothing else of the hub runs: this is how long it
stands still. Nobody in these books is at a limit, since a refusal is another path.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bai_spawner import labels, policy
from bai_spawner.errors import Problems
from bai_spawner.labels import SessionLabels
from bai_spawner.ledger import Capacity, Ledger
from bai_spawner.options import Resources, SessionOptions
from bai_spawner.policy import Subject
from bai_spawner.units import GIB
from tests.examples import a_grant, small_catalog
from tests.perf.growth import Case, grown

SESSIONS = (10, 1_000, 10_000)
DEVICES = (1, 10, 100)
PER_USER = 2
NODE = "local"
SOMEONE = Subject("user0")
OPTIONS = SessionOptions(environment="python", resources=Resources(cpu=1, memory=GIB))
ON_A_DEVICE = SessionOptions(environment="python", resources=Resources(memory=GIB, fgpu=1))
FGPU_PER_GPU, QUANTA_PER_GPU = 2, 4


def decisions() -> str:
    """The measurements, as tables."""
    over_sessions = [
        Case("check, reserve, release", partial(_decision, OPTIONS)),
        Case("usage of a user", _usage),
        Case("usage of one who holds all", _usage_of_all),
        Case("restore all from labels", _restore),
    ]
    over_devices = [Case("check, reserve, release", _on_devices)]
    return (
        f"\nCheck and reserve\n\n{grown('live sessions', SESSIONS, over_sessions)}"
        f"\n\n{grown('devices', DEVICES, over_devices)}"
    )


def _books(sessions: int, *, users: int, devices: int = 0) -> Ledger:
    """A ledger in which so many users share so many sessions; there is room for more."""
    each = {f"gpu{number}": QUANTA_PER_GPU for number in range(devices)}
    ledger = Ledger({NODE: Capacity(sessions + 10, (sessions + 10) * GIB, each)})
    for number in range(sessions):
        grant = a_grant(user=f"user{number % users}", session=f"session{number}", nodes=(NODE,))
        ledger.reserve(grant, f"server{number}")
    return ledger


def _deciding(ledger: Ledger, options: SessionOptions) -> Callable[[], object]:
    """What `BaiRuntime.admit` does without waiting, and the giving back."""
    catalog = small_catalog(policies=[{"name": "everyone"}])

    def decide() -> None:
        problems = Problems()
        usage = ledger.usage(SOMEONE.user)
        grants = policy.check(options, "", catalog, SOMEONE, usage, problems)
        problems.raise_any()
        (taken,) = ledger.reserve_all([(grant, "another") for grant in grants])
        ledger.release(taken.id)

    return decide


def _decision(options: SessionOptions, sessions: int) -> Callable[[], object]:
    return _deciding(_books(sessions, users=sessions // PER_USER), options)


def _on_devices(devices: int) -> Callable[[], object]:
    return _deciding(_books(10, users=5, devices=devices), ON_A_DEVICE)


def _usage(sessions: int) -> Callable[[], object]:
    return partial(_books(sessions, users=sessions // PER_USER).usage, SOMEONE.user)


def _usage_of_all(sessions: int) -> Callable[[], object]:
    return partial(_books(sessions, users=1).usage, SOMEONE.user)


def _restore(sessions: int) -> Callable[[], object]:
    """What a restart of the hub adds up, once the engine has listed the containers."""
    found = [
        SessionLabels(
            hub="hub",
            allocation=held.id,
            user=held.user,
            server=held.server,
            session=held.session,
            environment="python",
            version="3.13",
            group="default",
            node=held.node,
            policy="everyone",
            cpu=held.cpu,
            memory=held.memory,
            shm=0,
        )
        for held in _books(sessions, users=sessions // PER_USER)
    ]
    encoded = [labels.encode(one) for one in found]

    def restore() -> None:
        ledger = Ledger({NODE: Capacity(1, 1)})
        for one in encoded:
            ledger.restore(labels.decode(one))

    return restore
