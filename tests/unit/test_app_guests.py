"""Whom a public app is open to."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bai_spawner.app_proxy.guests import MOST_NETWORKS, Guests, kept, networks

KEPT = kept("correct horse")


def basic(text: str, encoding: str = "utf-8") -> str:
    return "Basic " + base64.b64encode(text.encode(encoding)).decode()


@pytest.mark.parametrize(
    ("peer", "let_in"),
    [
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("198.51.100.200", True),
        ("198.51.101.1", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("::ffff:192.0.2.7", True),
        ("::ffff:192.0.2.8", False),
        ("2001:db8::1%eth0", True),
        ("", False),
        ("unix", False),
        ("192.0.2.7, 203.0.113.1", False),
    ],
)
def test_addresses_are_let_in_or_not(peer: str, let_in: bool) -> None:
    guests = Guests(networks(["192.0.2.7", "198.51.100.0/24", "2001:db8::/32"]))
    assert guests.come_from(peer) is let_in


@given(st.text())
def test_without_a_list_everybody_comes(peer: str) -> None:
    assert Guests().come_from(peer)


@pytest.mark.parametrize(
    "bad", ["", "x", "192.0.2.7/33", "192.0.2.7/24", "300.0.0.1", "ada.example", "1", " 192.0.2.7"]
)
def test_what_is_no_network_is_named(bad: str) -> None:
    with pytest.raises(ValueError, match="an address or a network") as refused:
        networks(["192.0.2.7", bad])
    assert ascii(bad) in str(refused.value)


def test_there_are_not_too_many_networks() -> None:
    assert len(networks(["192.0.2.7"] * MOST_NETWORKS)) == MOST_NETWORKS
    with pytest.raises(ValueError, match="at most"):
        networks(["192.0.2.7"] * (MOST_NETWORKS + 1))


@pytest.mark.parametrize(
    ("said", "known"),
    [
        (basic("ada:correct horse"), True),
        (basic(":correct horse"), True),
        ("bAsIc  " + basic("x:correct horse")[6:], True),
        (basic("ada:wrong"), False),
        (basic("correct horse"), False),
        (basic("ada:correct horse "), False),
        (basic("ada:"), False),
        (basic("ada:" + "x" * 100_000), False),
        (basic("ä:correct horse", "latin-1"), False),
        ("Bearer correct horse", False),
        ("Basic", False),
        ("Basic !!!", False),
        ("Basic \udcff", False),
        ("Basic ä", False),
        ("", False),
    ],
)
def test_a_password_is_asked_for_by_basic(said: str, known: bool) -> None:
    assert Guests(password=KEPT).says_password(said) is known


@pytest.mark.parametrize("password", ["grüße 你好", "a:b:c", "x" * 128, "  spaces  "])
def test_any_password_may_be_one(password: str) -> None:
    guests = Guests(password=kept(password))
    for _ in range(2):  # known the costly way, then the quick one
        assert guests.says_password(basic(f"ada:{password}"))
    assert not guests.says_password(basic(f"ada:{password}x"))


@given(st.text(max_size=50))
def test_whatever_is_said_is_no_password(said: str) -> None:
    assert not Guests(password=KEPT).says_password(said)


def test_who_said_it_once_is_known_at_a_glance() -> None:
    guests = Guests(password=KEPT)
    right, wrong = basic("ada:correct horse"), basic("ada:wrong")
    assert guests.glance(right) is None
    assert guests.says_password(right)
    assert not guests.says_password(wrong)
    assert [guests.glance(said) for said in (right, wrong, "")] == [True, None, False]
    assert Guests().glance("") is True


def test_what_is_kept_does_not_tell_the_password() -> None:
    assert kept("correct horse") != KEPT
    assert "correct" not in KEPT
    assert KEPT not in repr(Guests(password=KEPT))


def test_without_a_password_none_is_asked_for() -> None:
    assert Guests().says_password("")
