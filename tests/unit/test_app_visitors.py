"""Who passes a private app's door, and for how long."""

from __future__ import annotations

import asyncio

import pytest

from bai_spawner.app_proxy import visitors as module
from bai_spawner.app_proxy.visitors import (
    AWAY_SECONDS,
    IDLE_SECONDS,
    KNOWN_SECONDS,
    TICKET_SECONDS,
    HubAway,
    NotAdmitted,
    Place,
    Visit,
    Visitor,
    Visitors,
    digest,
)
from tests.app_doors import ADA, STRANGER, FakeHub

PLACE = Place("opening", "ada", "one")
OTHER = Place("other", "ada", "one")


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hub() -> FakeHub:
    return FakeHub()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def visitors(hub: FakeHub, clock: Clock) -> Visitors:
    return Visitors(hub.ask, clock=clock)


async def come_in(visitors: Visitors, place: Place = PLACE, token: str = "token-of-ada") -> str:
    ticket = await visitors.ticket(place, token, digest("nonce"))
    return await visitors.enter(place.opening, ticket, ["nonce"])


async def visit_of(visitors: Visitors, cookie: str) -> Visit:
    found = await visitors.visit("opening", cookie)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("scopes", "may"),
    [
        ({"access:servers"}, True),
        ({"access:servers!user=ada"}, True),
        ({"access:servers!server=ada/one"}, True),
        ({"access:servers!server=ada/two"}, False),
        ({"access:servers!server=ada/"}, False),
        ({"access:servers!user=adam"}, False),
        ({"access:services", "read:servers", "servers!user=ada"}, False),
        ((), False),
    ],
)
def test_who_may_use_a_session_is_who_the_hub_lets_into_its_server(
    scopes: set[str], may: bool
) -> None:
    assert Visitor("x", scopes).may_enter("ada", "one") is may


async def test_whom_the_hub_lets_in_comes_in(visitors: Visitors) -> None:
    visit = await visit_of(visitors, await come_in(visitors))
    assert (visit.name, visit.place) == ("ada", PLACE)


async def test_nobody_else_gets_a_ticket(visitors: Visitors, hub: FakeHub) -> None:
    hub.users["token-of-eve"] = STRANGER
    for token in ("token-of-eve", "nobody's", ""):
        with pytest.raises(NotAdmitted):
            await visitors.ticket(PLACE, token, digest("nonce"))
    hub.away = True
    with pytest.raises(HubAway):
        await visitors.ticket(PLACE, "token-of-ada", digest("nonce"))


async def test_a_ticket_is_good_once(visitors: Visitors) -> None:
    ticket = await visitors.ticket(PLACE, "token-of-ada", digest("nonce"))
    await visitors.enter("opening", ticket, ["nonce"])
    with pytest.raises(NotAdmitted):
        await visitors.enter("opening", ticket, ["nonce"])


async def test_of_two_who_use_a_ticket_at_once_one_comes_in(visitors: Visitors) -> None:
    ticket = await visitors.ticket(PLACE, "token-of-ada", digest("nonce"))
    both = [visitors.enter("opening", ticket, ["nonce"]) for _ in range(2)]
    found = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(one).__name__ for one in found) == ["NotAdmitted", "str"]


async def test_a_ticket_expires(visitors: Visitors, clock: Clock) -> None:
    ticket = await visitors.ticket(PLACE, "token-of-ada", digest("nonce"))
    clock.now += TICKET_SECONDS
    with pytest.raises(NotAdmitted):
        await visitors.enter("opening", ticket, ["nonce"])


@pytest.mark.parametrize("nonces", [[], ["another", ""], [digest("nonce")], ["\udcff", "ä"]])
async def test_a_ticket_is_no_good_in_another_browser(
    visitors: Visitors, nonces: list[str]
) -> None:
    ticket = await visitors.ticket(PLACE, "token-of-ada", digest("nonce"))
    with pytest.raises(NotAdmitted):
        await visitors.enter("opening", ticket, nonces)
    with pytest.raises(NotAdmitted):  # and whoever tried used it up
        await visitors.enter("opening", ticket, ["nonce"])


async def test_a_ticket_is_no_good_at_another_door(visitors: Visitors) -> None:
    ticket = await visitors.ticket(PLACE, "token-of-ada", digest("nonce"))
    with pytest.raises(NotAdmitted):
        await visitors.enter("other", ticket, ["nonce"])


async def test_of_several_windows_any_may_have_begun(visitors: Visitors) -> None:
    ticket = await visitors.ticket(PLACE, "token-of-ada", digest("nonce"))
    assert await visitors.enter("opening", ticket, ["older", "nonce", "newer"])


@pytest.mark.parametrize("nonce", ["", "ä", "\udcff"])
async def test_a_nonce_that_is_no_digest_lets_nobody_in(visitors: Visitors, nonce: str) -> None:
    ticket = await visitors.ticket(PLACE, "token-of-ada", nonce)
    with pytest.raises(NotAdmitted):
        await visitors.enter("opening", ticket, ["nonce", nonce])


async def test_who_lost_the_right_meanwhile_does_not_come_in(
    visitors: Visitors, hub: FakeHub
) -> None:
    ticket = await visitors.ticket(PLACE, "token-of-ada", digest("nonce"))
    hub.users.clear()
    with pytest.raises(NotAdmitted):
        await visitors.enter("opening", ticket, ["nonce"])
    assert len(visitors) == 0


async def test_a_cookie_is_good_at_its_own_door(visitors: Visitors) -> None:
    cookie = await come_in(visitors)
    assert await visitors.visit("other", cookie) is None
    for bad in ("", cookie[:-1], cookie + "=", digest(cookie), "\udcff"):
        assert await visitors.visit("opening", bad) is None


async def test_nothing_that_is_kept_lets_anybody_in(visitors: Visitors) -> None:
    cookie = await come_in(visitors)
    assert cookie not in str(visitors._visits.keys())
    visit = await visit_of(visitors, cookie)
    assert "token-of-ada" not in repr(visit)


async def test_the_hub_is_asked_again_now_and_then(
    visitors: Visitors, hub: FakeHub, clock: Clock
) -> None:
    cookie = await come_in(visitors)
    asked = len(hub.asked)
    for _ in range(10):
        await visit_of(visitors, cookie)
    assert len(hub.asked) == asked
    clock.now += KNOWN_SECONDS + 1
    await visit_of(visitors, cookie)
    assert len(hub.asked) == asked + 1
    hub.users.clear()
    await visit_of(visitors, cookie)
    clock.now += KNOWN_SECONDS + 1
    assert await visitors.visit("opening", cookie) is None
    assert len(visitors) == 0


async def test_who_is_in_goes_on_while_the_hub_is_away_and_not_for_ever(
    visitors: Visitors, hub: FakeHub, clock: Clock
) -> None:
    cookie = await come_in(visitors)
    hub.away = True
    clock.now += AWAY_SECONDS
    await visit_of(visitors, cookie)
    clock.now += 1
    with pytest.raises(HubAway):
        await visitors.visit("opening", cookie)
    hub.away = False
    await visit_of(visitors, cookie)


async def test_a_hub_that_is_away_too_long_cuts_what_is_under_way(
    visitors: Visitors, hub: FakeHub, clock: Clock
) -> None:
    cookie = await come_in(visitors)
    visit = await visit_of(visitors, cookie)
    cut: list[bool] = []
    visit.under_way.add(lambda: cut.append(True))
    hub.away = True
    clock.now += AWAY_SECONDS
    await visitors.look_at_connected()
    await visitors.look()
    assert cut == []
    clock.now += 1
    await visitors.look_at_connected()
    assert cut == [True]
    hub.away = False
    await visit_of(visitors, cookie)


async def test_a_look_ends_what_is_under_way_of_who_may_no_more(
    visitors: Visitors, hub: FakeHub
) -> None:
    hub.users["token-of-bob"] = ADA
    cut: list[str] = []
    cookies = {}
    for token in ("token-of-ada", "token-of-bob"):
        cookies[token] = await come_in(visitors, token=token)
        visit = await visit_of(visitors, cookies[token])
        visit.under_way.add(lambda token=token: cut.append(token))  # type: ignore[misc]
    hub.users["token-of-bob"] = STRANGER
    await visitors.look()
    assert cut == ["token-of-bob"]
    assert await visitors.visit("opening", cookies["token-of-bob"]) is None
    await visit_of(visitors, cookies["token-of-ada"])


async def test_the_hub_is_asked_once_for_each_token(visitors: Visitors, hub: FakeHub) -> None:
    for _ in range(5):
        await come_in(visitors)
    hub.asked.clear()
    await visitors.look()
    assert hub.asked == ["token-of-ada"]


async def test_only_those_who_are_connected_are_looked_at_and_when_it_is_time(
    visitors: Visitors, hub: FakeHub, clock: Clock
) -> None:
    await come_in(visitors)
    visit = await visit_of(visitors, await come_in(visitors))
    hub.asked.clear()
    clock.now += KNOWN_SECONDS + 1
    await visitors.look_at_connected()
    assert hub.asked == []
    visit.under_way.add(lambda: None)
    await visitors.look_at_connected()
    await visitors.look_at_connected()
    assert hub.asked == ["token-of-ada"]


async def test_a_visit_that_nobody_uses_ends(visitors: Visitors, clock: Clock) -> None:
    cookie, used = await come_in(visitors), await come_in(visitors)
    visit = await visit_of(visitors, used)
    visit.under_way.add(lambda: None)
    clock.now += IDLE_SECONDS + 1
    assert await visitors.visit("opening", cookie) is None
    await come_in(visitors)
    await visit_of(visitors, used)


async def test_there_are_not_too_many(
    visitors: Visitors, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_VISITS", 3)
    monkeypatch.setattr(module, "MOST_TICKETS", 3)
    cookies = []
    for _ in range(5):
        clock.now += 1
        cookies.append(await come_in(visitors))
    assert len(visitors) == 3
    assert await visitors.visit("opening", cookies[1]) is None
    await visit_of(visitors, cookies[2])
    for _ in range(3):
        await visitors.ticket(PLACE, "token-of-ada", digest("nonce"))
    with pytest.raises(NotAdmitted):
        await visitors.ticket(PLACE, "token-of-ada", digest("nonce"))
    clock.now += TICKET_SECONDS
    await visitors.ticket(PLACE, "token-of-ada", digest("nonce"))


async def test_a_door_that_closes_ends_its_visits_and_tickets_alone(visitors: Visitors) -> None:
    here, there = await come_in(visitors), await come_in(visitors, OTHER)
    ticket = await visitors.ticket(PLACE, "token-of-ada", digest("nonce"))
    cut: list[bool] = []
    (await visit_of(visitors, here)).under_way.add(lambda: cut.append(True))
    visitors.close("opening")
    assert cut == [True]
    assert await visitors.visit("opening", here) is None
    assert await visitors.visit("other", there)
    with pytest.raises(NotAdmitted):
        await visitors.enter("opening", ticket, ["nonce"])
