"""What somebody asks for who opens an app, read from what they sent.

    {"public": false, "port": null, "expires": null, "allowed": [], "password": ""}

Every key may be left out; the last three go with public apps alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tornado.web import HTTPError

from bai_spawner.app_proxy import guests
from bai_spawner.errors import shown
from bai_spawner.ports import FIRST, LAST
from bai_spawner.service import body

KEYS = ("public", "port", "expires", "allowed", "password")
FARTHEST = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Wanted:
    """How an app is to be opened.

    Args:
        public: whether everybody gets in.
        port: which is tried first; ``None``: any.
        expires: when it is closed by itself, in UTC.
        allowed: networks that a public one is reached from; none: all.
        password: what a public one asks for, as it was typed; empty: nothing.
    """

    public: bool
    port: int | None
    expires: datetime | None
    allowed: tuple[str, ...]
    password: str


def read(sent: bytes) -> Wanted:
    """What is asked for.

    Raises:
        HTTPError: 400, with the key, what was got and what is accepted.
    """
    found = body.read(sent or b"{}", *KEYS)
    public = _flag("public", found.get("public", False))
    for key in ("expires", "allowed", "password"):
        if found.get(key) and not public:
            raise HTTPError(400, "%s", f"{key}: goes with public apps alone")
    return Wanted(
        public=public,
        port=_port(found.get("port")),
        expires=_expires(found.get("expires")),
        allowed=_allowed(found.get("allowed", [])),
        password=_password(found.get("password")),
    )


def _flag(key: str, sent: object) -> bool:
    if isinstance(sent, bool):
        return sent
    raise HTTPError(400, "%s", f"{key}: must be true or false, not {shown(sent)}")


def _port(sent: object) -> int | None:
    if sent is None or (type(sent) is int and FIRST <= sent <= LAST):
        return sent
    accepted = f"must be a whole number from {FIRST} to {LAST}, or null for any"
    raise HTTPError(400, "%s", f"port: {accepted}, not {shown(sent)}")


def _expires(sent: object) -> datetime | None:
    """When it is closed by itself, in UTC."""
    if sent is None:
        return None
    accepted = "expires: must be a time in ISO 8601 with its zone, within a year from now"
    found, now = body.moment(sent), datetime.now(UTC)
    if found is None or not now < found < now + FARTHEST:
        raise HTTPError(400, "%s", f"{accepted}; not {shown(sent)}")
    return found


def _allowed(sent: object) -> tuple[str, ...]:
    """Networks, as `bai_spawner.app_proxy.guests` reads them."""
    if not isinstance(sent, list) or not all(isinstance(one, str) for one in sent):
        raise HTTPError(400, "allowed: must be a list of addresses and networks, as texts")
    try:
        return tuple(str(network) for network in guests.networks(sent))
    except ValueError as error:
        raise HTTPError(400, "%s", f"allowed: {error}") from None


def _password(sent: object) -> str:
    if sent is None or sent == "":
        return ""
    shortest, longest = guests.SHORTEST_PASSWORD, guests.LONGEST_PASSWORD
    if isinstance(sent, str) and shortest <= len(sent) <= longest and sent.isprintable():
        return sent
    told = f"password: must be {shortest} to {longest} printable characters, or nothing for none"
    raise HTTPError(400, "%s", told)
