"""Who may pass a public app's door: everybody, or whom its user named (R36).

A list of networks is about the connection's own end: what a request says of itself counts for
nothing, so behind a further proxy the list is of that proxy. A password is asked for by HTTP
Basic (RFC 7617), with any name.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

MOST_NETWORKS = 32
LONGEST_PASSWORD, SHORTEST_PASSWORD = 128, 8
_N, _R, _P, _SALT = 2**14, 8, 1, 16
"""scrypt's costs, as OWASP's Password Storage Cheat Sheet has them for little memory."""
MOST_KNOWN = 256

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Guests:
    """Whom a public app is open to.

    Args:
        networks: whence; empty: from anywhere.
        password: as `kept` made it; empty: none is asked for.
    """

    networks: tuple[Network, ...] = ()
    password: str = field(default="", repr=False)
    _known: set[str] = field(default_factory=set, repr=False, compare=False)

    def come_from(self, peer: str) -> bool:
        """Whether an address is one of theirs."""
        if not self.networks:
            return True
        try:
            found = ip_address(peer.partition("%")[0])
        except ValueError:
            return False
        if isinstance(found, IPv6Address) and found.ipv4_mapped:
            found = found.ipv4_mapped
        return any(found in network for network in self.networks)

    def glance(self, authorization: str) -> bool | None:
        """What can be said of a request's ``Authorization`` at once; ``None``: nothing.

        A page has many parts: the costly way is gone once.
        """
        if not self.password:
            return True
        said = _basic(authorization)
        if said is None:
            return False
        return True if _quick(said) in self._known else None

    def says_password(self, authorization: str) -> bool:
        """Whether a request's ``Authorization`` has the password; slow on purpose."""
        found = self.glance(authorization)
        said = _basic(authorization)
        if found is not None or said is None:
            return bool(found)
        if not _is(self.password, said):
            return False
        if len(self._known) < MOST_KNOWN:
            self._known.add(_quick(said))
        return True


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Addresses and networks as a user writes them: ``192.0.2.7``, ``2001:db8::/32``.

    Raises:
        ValueError: one is neither, or there are too many; the message names it.
    """
    if len(texts) > MOST_NETWORKS:
        raise ValueError(f"at most {MOST_NETWORKS}, not {len(texts)}")
    found = []
    for text in texts:
        try:
            found.append(ip_network(text))
        except ValueError:
            accepted = "an address or a network, such as 192.0.2.7 or 192.0.2.0/24"
            raise ValueError(f"{ascii(text)[:80]} is not {accepted}") from None
    return tuple(found)


def kept(password: str) -> str:
    """What is kept of a password."""
    salt = secrets.token_bytes(_SALT)
    return f"{salt.hex()}${_scrypt(password, salt).hex()}"


def _quick(said: str) -> str:
    return hashlib.sha256(said.encode()).hexdigest()


def _is(kept_password: str, said: str) -> bool:
    salt, _, found = kept_password.partition("$")
    return hmac.compare_digest(_scrypt(said, bytes.fromhex(salt)), bytes.fromhex(found))


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=_N, r=_R, p=_P)


def _basic(authorization: str) -> str | None:
    """The password of an ``Authorization`` by Basic."""
    scheme, _, sent = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(sent.strip(), validate=True).decode()
    except ValueError:  # binascii.Error and UnicodeDecodeError are such
        return None
    name, colon, password = text.partition(":")
    del name
    return password if colon and len(password) <= LONGEST_PASSWORD else None
