"""Which headers pass, and how they are changed on the way: pure functions.

Towards an app goes nothing that opens the hub, a session or another app. Towards a browser goes
nothing that reaches beyond the app: cookies know no ports, so what one app sets in a browser
another one would be sent, and so would the hub, were the host's parent named as their domain.
Nor does anything last that the next app at this port would be taken for: whatever a browser
keeps it asks for again, by an entity tag that is this app's own (RFC 9110, 8.8.3).

Hop-by-hop headers are those of RFC 9110, 7.6.1, and those that ``Connection`` names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from multidict import CIMultiDict, CIMultiDictProxy

OURS = "bai-"
"""How the proxy's own cookies begin, after a prefix that browsers know."""
PREFIXES = ("__Host-Http-", "__Http-", "__Host-", "__Secure-")
"""Of a cookie's name; browsers hold what they promise, whatever their case (RFC 6265bis)."""

_HOP = frozenset(
    (
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization"),
        *("proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
    )
)
_WEBSOCKET = frozenset(
    (
        *("sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"),
        *("sec-websocket-accept", "sec-websocket-protocol"),
    )
)
_CREDENTIALS = frozenset({"authorization", "cookie"})
_TOLD_BY_PROXIES = frozenset(
    (
        *("forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "x-scheme"),
        *("remote-user", "x-remote-user", "x-xsrftoken"),
    )
)
_TOLD_BY_PROXIES_SO = ("x-forwarded-", "x-original-", "x-rewrite-")
"""What a visitor may not say in a proxy's name, and the hub's own token against forgeries."""
_BEYOND = frozenset(
    (
        *("alt-svc", "clear-site-data", "public-key-pins", "strict-transport-security"),
        *("set-cookie", "set-cookie2"),
    )
)
"""Of an app's answer: these hold for the whole host, and so for what is not the app's."""
_KEPT = frozenset(("cache-control", "expires", "pragma", "age", "last-modified", "etag"))
"""Of an app's answer: what says for how long, and as what, a browser may keep it."""
_TAGS = frozenset(("if-match", "if-none-match", "if-range"))
_TAG = re.compile(r'"([^"]*)"')
_THEIRS = ("jupyterhub-", "_xsrf", "username-")
"""How cookies of the hub's and of sessions begin."""

Headers = CIMultiDict[str]
ReadHeaders = CIMultiDict[str] | CIMultiDictProxy[str]


def to_app(found: ReadHeaders, *, mark: str, host: str, scheme: str) -> Headers:
    """What an app is sent of a request's headers.

    Args:
        found: the request's.
        mark: of the app; it tells its cookies and tags from those of others.
        host: what the visitor calls the app, with its port.
        scheme: how they reached it: ``http`` or ``https``.
    """
    left = _HOP | _WEBSOCKET | _CREDENTIALS | _TOLD_BY_PROXIES | _named(found) | {"host", "expect"}
    kept: Headers = CIMultiDict()
    for name, value in found.items():
        plain = _plain(name)
        if plain not in left and not plain.startswith(_TOLD_BY_PROXIES_SO):
            own = value.replace(f'"{mark}-', '"') if plain in _TAGS else value
            kept.add(name, _readable(own))
    kept["Host"] = kept["X-Forwarded-Host"] = host
    kept["X-Forwarded-Proto"] = scheme
    if own := cookies_to_app(found.getall("Cookie", ()), mark):
        kept["Cookie"] = _readable(own)
    return kept


def to_visitor(found: ReadHeaders, *, mark: str) -> Headers:
    """What a visitor is sent of an answer's headers; ``mark`` is the app's."""
    left = _HOP | _WEBSOCKET | _BEYOND | _KEPT | _named(found)
    kept: Headers = CIMultiDict(
        (name, _readable(value)) for name, value in found.items() if name.lower() not in left
    )
    for cookie in found.getall("Set-Cookie", ()):
        if changed := cookie_to_visitor(cookie, mark):
            kept.add("Set-Cookie", _readable(changed))
    never = any("no-store" in value.lower() for value in found.getall("Cache-Control", ()))
    kept["Cache-Control"] = "no-store" if never else "private, no-cache"
    if tag := found.get("ETag"):
        kept["ETag"] = _readable(_TAG.sub(rf'"{mark}-\1"', tag, count=1))
    return kept


def cookies_to_app(sent: Iterable[str], mark: str) -> str:
    """The cookies that an app is sent: its own, and those that scripts of any app made.

    One that is hidden from scripts was given the app's mark in its name by `cookie_to_visitor`;
    it is taken off again, and those of other apps stay here.
    """
    kept = []
    for name, value in cookies(sent):
        prefix, bare = _split(name)
        if bare.startswith(f"{OURS}{mark}-"):
            kept.append(f"{prefix}{bare.removeprefix(f'{OURS}{mark}-')}={value}")
        elif not bare.lower().startswith((OURS, *_THEIRS)):
            kept.append(f"{name}={value}")
    return "; ".join(kept)


def cookie_to_visitor(cookie: str, mark: str) -> str:
    """An app's ``Set-Cookie``, for this host alone; empty for one that takes our name, or has none.

    What scripts cannot see is made the app's own by its mark. What they can see keeps its name,
    since they look for it.
    """
    pair, *attributes = (part.strip() for part in cookie.split(";"))
    name, equals, value = pair.partition("=")
    prefix, bare = _split(name.strip())
    # what some readers of names take for a space and others do not hides no other name
    plain = bare.isascii() and bare.isprintable()
    if not equals or not bare or not plain or bare.lower().startswith((OURS, *_THEIRS)):
        return ""
    names = [part.partition("=")[0].strip().lower() for part in attributes]
    kept = [part for part, what in zip(attributes, names, strict=True) if what != "domain"]
    own = f"{OURS}{mark}-" if "httponly" in names else ""
    return "; ".join((f"{prefix}{own}{bare}={value.strip()}", *kept))


def own_cookies(sent: Iterable[str], name: str) -> list[str]:
    """All values of a cookie: a browser sends several when somebody planted one beside ours."""
    return [value for found, value in cookies(sent) if found == name]


def cookies(sent: Iterable[str]) -> Iterable[tuple[str, str]]:
    """Names and values of what ``Cookie`` headers say."""
    for header in sent:
        for part in header.split(";"):
            name, equals, value = part.strip().partition("=")
            if equals and name.strip():
                yield name.strip(), value.strip()


def _split(name: str) -> tuple[str, str]:
    """A cookie's name, after the prefix that browsers give a meaning."""
    for prefix in PREFIXES:
        if name.lower().startswith(prefix.lower()):
            return name[: len(prefix)], name[len(prefix) :]
    return "", name


def _plain(name: str) -> str:
    """A header's name as those apps read it that are told it as a variable: ``_`` is ``-``."""
    return name.lower().replace("_", "-")


def _readable(value: str) -> str:
    """A header's value; what is no UTF-8 is taken for Latin-1, which all bytes are."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogateescape").decode("latin-1")
    return value


def _named(found: ReadHeaders) -> frozenset[str]:
    """What ``Connection`` says is for the next hop alone."""
    named = ",".join(found.getall("Connection", ())).lower()
    return frozenset(_plain(name.strip()) for name in named.split(","))
