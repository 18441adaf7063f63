"""How often an address may say a wrong password."""

from __future__ import annotations

import pytest

from bai_spawner.app_proxy.guesses import MOST, MOST_KNOWN, SECONDS, Guesses


class Clock:
    """Seconds, as a test has them pass."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def wrong(guesses: Guesses, peer: str, times: int) -> None:
    for _ in range(times):
        guesses.was_wrong(peer)


def test_after_some_an_address_waits_until_the_first_is_old() -> None:
    clock = Clock()
    guesses = Guesses(clock)
    wrong(guesses, "192.0.2.7", MOST - 1)
    assert guesses.wait("192.0.2.7") == 0
    clock.now += 10
    wrong(guesses, "192.0.2.7", 1)
    assert 0 < guesses.wait("192.0.2.7") <= SECONDS - 9
    assert guesses.wait("192.0.2.8") == 0
    clock.now += SECONDS
    assert guesses.wait("192.0.2.7") == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.7", "192.0.2.7", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("", "192.0.2.7", False),
    ],
)
def test_who_has_a_network_has_its_addresses(one: str, other: str, same: bool) -> None:
    guesses = Guesses()
    wrong(guesses, one, MOST)
    assert bool(guesses.wait(other)) is same


def test_no_crowd_of_addresses_fills_the_memory() -> None:
    guesses = Guesses()
    wrong(guesses, "192.0.2.7", MOST)
    for number in range(MOST_KNOWN):
        guesses.was_wrong(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(guesses._wrong) == MOST_KNOWN
    assert guesses.wait("192.0.2.7") == 0
