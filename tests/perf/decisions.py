"""What the hub decides at every launch, as live sessions and devices grow in number.

Between the check and the reservation nothing else of the hub runs: this is how long it
stands still. Nobody in these books is at a limit. On half full devices a refusal, which is
another path, is measured as well.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial

from bai_spawner import labels, policy
from bai_spawner.errors import Problems, Refused
from bai_spawner.gpu.placement import MOST_DEVICES, Terms
from bai_spawner.labels import SessionLabels, Share
from bai_spawner.ledger import Capacity, Ledger, Slot
from bai_spawner.options import Resources, SessionOptions
from bai_spawner.policy import Subject
from bai_spawner.units import GIB
from tests.examples import a_grant, small_catalog
from tests.perf.growth import Case, grown

SESSIONS = (10, 1_000, 10_000)
DEVICES = (8, 64, 1_024)
PER_USER = 2
NODE = "local"
SOMEONE = Subject("user0")
OPTIONS = SessionOptions(environment="python", resources=Resources(cpu=1, memory=GIB))
QUANTA_PER_GPU = 4
HALF, WHOLE, FIVE_PARTS = Decimal(1), Decimal(2), Decimal("2.5")
"""In fGPU of the small catalogue: half a GPU, a GPU, and what takes five equal shares."""


def decisions() -> str:
    """The measurements, as tables."""
    over_sessions = [
        Case("check, reserve, release", partial(_decision, OPTIONS)),
        Case("usage of a user", _usage),
        Case("usage of one who holds all", _usage_of_all),
        Case("restore all from labels", _restore),
    ]
    return f"\nCheck and reserve\n\n{grown('live sessions', SESSIONS, over_sessions)}"


def decisions_on_devices() -> str:
    """The measurements with devices that are half full each, as a table."""
    cases = [
        Case("without a GPU", partial(_on_devices, OPTIONS)),
        Case("a share of one", partial(_on_devices, _asking(HALF))),
        Case("equal shares of five", partial(_on_devices, _asking(FIVE_PARTS))),
        Case("a whole one: refused", _refused),
    ]
    return (
        f"\nCheck, reserve and release on half full devices\n\n{grown('devices', DEVICES, cases)}"
    )


def _asking(fgpu: Decimal) -> SessionOptions:
    return SessionOptions(environment="python", resources=Resources(1, GIB, fgpu=fgpu))


def _books(sessions: int, *, users: int) -> Ledger:
    """A ledger in which so many users share so many sessions; there is room for more."""
    ledger = Ledger({NODE: Capacity(sessions + 10, (sessions + 10) * GIB)}, QUANTA_PER_GPU)
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


def _on_devices(options: SessionOptions, devices: int) -> Callable[[], object]:
    return _deciding(_half_full(devices), options)


def _refused(devices: int) -> Callable[[], object]:
    """Nothing is free in one piece: the words of the refusal are made, too."""
    decide = _on_devices(_asking(WHOLE), devices)

    def refuse() -> None:
        try:
            decide()
        except Refused:
            return
        raise AssertionError("a whole GPU was given of half full ones")

    return refuse


def _half_full(devices: int) -> Ledger:
    """A ledger of devices on each of which a session holds half."""
    terms = Terms(kind="one model", whole=QUANTA_PER_GPU, together=MOST_DEVICES)
    slots = {f"gpu{number}": Slot(QUANTA_PER_GPU, terms) for number in range(devices)}
    capacity = Capacity(devices + 10, (devices + 10) * GIB, slots)
    ledger = Ledger({NODE: capacity}, QUANTA_PER_GPU)
    for number, device in enumerate(slots):
        user = f"user{number // PER_USER}"
        share = Share(device, QUANTA_PER_GPU // 2, QUANTA_PER_GPU)
        ledger.restore(_labels(user, number, (share,)))
    return ledger


def _usage(sessions: int) -> Callable[[], object]:
    return partial(_books(sessions, users=sessions // PER_USER).usage, SOMEONE.user)


def _usage_of_all(sessions: int) -> Callable[[], object]:
    return partial(_books(sessions, users=1).usage, SOMEONE.user)


def _restore(sessions: int) -> Callable[[], object]:
    """What a restart of the hub adds up, once the engine has listed the containers."""
    found = [_labels(f"user{number // PER_USER}", number) for number in range(sessions)]
    encoded = [labels.encode(one) for one in found]

    def restore() -> None:
        ledger = Ledger({NODE: Capacity(1, 1)})
        for one in encoded:
            ledger.restore(labels.decode(one))

    return restore


def _labels(user: str, number: int, shares: tuple[Share, ...] = ()) -> SessionLabels:
    """What the container of a session says."""
    return SessionLabels(
        hub="hub",
        allocation=f"{number:016x}",
        user=user,
        server=f"server{number}",
        session=f"session{number}",
        environment="python",
        version="3.13",
        group="default",
        node=NODE,
        policy="everyone",
        cpu=1,
        memory=GIB,
        shm=0,
        shares=shares,
    )
