"""What passes of headers and cookies, for any that a visitor or an app may think of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from bai_spawner.app_proxy import headers

MARK = "30001"
NAMES = st.text("abcdefghijklmnopqrstuvwxyzABCDEFXYZ0123456789!#$%&'*+-.^_`|~", min_size=1)
VALUES = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=';,"\\'), max_size=20
)
THEIRS = st.sampled_from(
    [
        *("jupyterhub-session-id", "jupyterhub-user-ada", "_xsrf", "username-localhost-8888"),
        *("bai-app-30001", "bai-app-30002", "bai-begin-30001-abcdef01", "bai-30002-session"),
        *("JupyterHub-x", "_XSRF", "BAI-app-30001", "Username-x"),
    ]
)
PREFIXED = st.sampled_from(["", "__Host-", "__Secure-", "__Http-", "__Host-Http-", "__hOST-"])


def to_app(*found: tuple[str, str]) -> CIMultiDict[str]:
    """What an app is sent of these."""
    return headers.to_app(CIMultiDict(found), mark=MARK, host="localhost:30001", scheme="http")


def to_visitor(*found: tuple[str, str]) -> CIMultiDict[str]:
    """What a visitor is sent of these."""
    return headers.to_visitor(CIMultiDict(found), mark=MARK)


@pytest.mark.parametrize(
    "name",
    [
        *("Authorization", "Cookie", "Connection", "Keep-Alive", "Proxy-Authorization", "TE"),
        *("Proxy-Connection", "Proxy-Authenticate", "Trailer", "Transfer-Encoding", "Upgrade"),
        *("Sec-WebSocket-Key", "Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol", "Expect"),
        *("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-User"),
        *("X-Real-IP", "X-Forwarded-Prefix", "X-Original-URL", "X-Rewrite-URL", "X-XSRFToken"),
        *("Remote-User", "X_Forwarded_For", "x_real-ip", "X_XSRFToken", "Remote_User"),
    ],
)
def test_what_is_not_the_apps_does_not_reach_it(name: str) -> None:
    passed = to_app((name, "jupyterhub-session-id=secret"), (name.upper(), "_xsrf=secret"))
    assert name not in passed
    assert not any("secret" in value for value in passed.values())


def test_an_app_is_told_what_it_is_called_whatever_a_visitor_says() -> None:
    for name in ("Host", "X-Forwarded-Host", "X-Forwarded-Proto", "X_Forwarded_Host"):
        passed = to_app(
            (name, "evil"), ("Connection", f"{name}, Host"), ("Connection", "X-Forwarded-Proto")
        )
        assert passed.getall("Host") == ["localhost:30001"]
        assert passed.getall("X-Forwarded-Host") == ["localhost:30001"]
        assert passed.getall("X-Forwarded-Proto") == ["http"]
        assert "evil" not in passed.values()


def test_what_connection_names_stays_behind_both_ways() -> None:
    found = (("Connection", "close, X-One"), ("Connection", " x-TWO "), ("X-One", "1"))
    more = (("X-Two", "2"), ("X_Two", "2"), ("X-Three", "3"), ("X-Three", "4"))
    passed = to_app(*found, *more)
    assert "X-One" not in passed
    assert "X-Two" not in passed
    assert "X_Two" not in passed
    assert passed.getall("X-Three") == ["3", "4"]
    assert set(to_visitor(*found, *more)) == {"X_Two", "X-Three", "Cache-Control"}


@pytest.mark.parametrize(
    "name",
    [
        *("Alt-Svc", "Clear-Site-Data", "Strict-Transport-Security", "Public-Key-Pins"),
        *("Set-Cookie2", "Connection", "Transfer-Encoding", "Upgrade", "Keep-Alive", "Trailer"),
        *("Sec-WebSocket-Accept", "Proxy-Authenticate"),
    ],
)
def test_what_reaches_beyond_the_app_does_not_reach_a_visitor(name: str) -> None:
    assert set(to_visitor((name, "x"), (name.lower(), "y"))) == {"Cache-Control"}


def test_what_is_no_utf_8_arrives_as_latin_1() -> None:
    sent = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert to_app(("X-Name", sent))["X-Name"] == "café"
    assert to_app(("Cookie", f"a={sent}"))["Cookie"] == "a=café"
    assert to_visitor(("X-Name", sent))["X-Name"] == "café"
    assert to_visitor(("Set-Cookie", f"a={sent}"))["Set-Cookie"] == "a=café"
    assert to_visitor(("X-Name", "ä"))["X-Name"] == "ä"


# ---- cookies


def test_a_cookie_that_scripts_cannot_see_is_one_apps_alone() -> None:
    made = headers.cookie_to_visitor("session=abc; Path=/; HttpOnly; SameSite=Lax", MARK)
    assert made == "bai-30001-session=abc; Path=/; HttpOnly; SameSite=Lax"
    assert headers.cookies_to_app(["bai-30001-session=abc; theme=dark"], MARK) == (
        "session=abc; theme=dark"
    )
    assert headers.cookies_to_app(["bai-30001-session=abc; theme=dark"], "30002") == "theme=dark"


def test_a_cookie_that_scripts_look_for_keeps_its_name() -> None:
    assert headers.cookie_to_visitor("theme=dark; Max-Age=9", MARK) == "theme=dark; Max-Age=9"


def test_a_prefix_stays_in_front() -> None:
    made = headers.cookie_to_visitor("__Host-session=abc; Secure; Path=/; HttpOnly", MARK)
    assert made == "__Host-bai-30001-session=abc; Secure; Path=/; HttpOnly"
    assert headers.cookies_to_app(["__Host-bai-30001-session=abc"], MARK) == "__Host-session=abc"


@pytest.mark.parametrize("domain", ["Domain=example.org", "domain=.org", " DOMAIN = x ", "Domain"])
def test_no_cookie_is_for_another_host(domain: str) -> None:
    made = headers.cookie_to_visitor(f"a=b; {domain}; Path=/", MARK)
    assert made == "a=b; Path=/"


@given(PREFIXED, THEIRS, VALUES, st.sampled_from(["", "; HttpOnly", "; Path=/; Secure"]))
def test_no_app_makes_a_cookie_that_others_read(
    prefix: str, name: str, value: str, attributes: str
) -> None:
    for space in ("", " ", "\t"):
        cookie = f"{space}{prefix}{name}{space}={value}{attributes}"
        assert headers.cookie_to_visitor(cookie, MARK) == ""


@pytest.mark.parametrize("cookie", ["", ";", "a", "=a", " = ", "__Host-=x", "__Host-", "; a=b"])
def test_a_cookie_without_a_name_is_none(cookie: str) -> None:
    assert headers.cookie_to_visitor(cookie, MARK) == ""


@given(PREFIXED, THEIRS, VALUES)
def test_no_cookie_of_others_reaches_an_app(prefix: str, name: str, value: str) -> None:
    sent = [f'a=b; {prefix}{name}={value};c=d; e="x; {prefix}{name}={value}; y"']
    assert headers.cookies_to_app(sent, MARK) == 'a=b; c=d; e="x'


@given(PREFIXED, NAMES, VALUES, st.booleans())
def test_an_apps_own_cookies_come_back_as_they_were(
    prefix: str, name: str, value: str, hidden: bool
) -> None:
    cookie = f"{prefix}{name}={value}"
    made = headers.cookie_to_visitor(cookie + ("; HttpOnly" if hidden else ""), MARK)
    if made:
        pair = made.partition(";")[0]
        assert headers.cookies_to_app(["x=y", pair], MARK) == f"x=y; {cookie}"


@given(st.text(max_size=60))
def test_whatever_a_cookie_is_what_is_made_of_it_is_harmless(cookie: str) -> None:
    made = headers.cookie_to_visitor(cookie, MARK)
    name = made.partition("=")[0]
    assert not name.lower().startswith(("jupyterhub-", "_xsrf"))
    assert "domain=" not in made.partition(";")[2].replace(" ", "").lower()


@given(st.lists(st.text(max_size=40), max_size=4))
def test_whatever_cookies_are_sent_none_of_the_hubs_pass(sent: list[str]) -> None:
    passed = headers.cookies_to_app([*sent, "jupyterhub-session-id=1", "bai-app-30001=2"], MARK)
    for name, _ in headers.cookies([passed]):
        assert not name.lower().startswith(("jupyterhub-", "bai-"))


def test_all_values_of_a_cookie_are_found() -> None:
    sent = ["bai-app-1=a; x=y;bai-app-1 = b", "bai-app-1=; bai-app-2=c; BAI-app-1=d; =e; bai-app-1"]
    assert headers.own_cookies(sent, "bai-app-1") == ["a", "b", ""]


# ---- what browsers keep


@pytest.mark.parametrize("said", ["", "public, max-age=31536000, immutable", "private"])
def test_what_a_browser_keeps_it_asks_for_again(said: str) -> None:
    kept = to_visitor(
        ("Cache-Control", said), ("Expires", "x"), ("Last-Modified", "y"), ("Age", "1")
    )
    assert list(kept.items()) == [("Cache-Control", "private, no-cache")]


def test_what_is_not_to_be_kept_is_not() -> None:
    assert to_visitor(("Cache-Control", "No-Store"))["Cache-Control"] == "no-store"
    several = (("Cache-Control", "private"), ("cache-control", "max-age=0, no-store"))
    assert to_visitor(*several).getall("Cache-Control") == ["no-store"]


@pytest.mark.parametrize("tag", ['"abc"', 'W/"abc"', '""', 'W/"30001-abc"'])
def test_an_entity_tag_is_the_apps_own(tag: str) -> None:
    told = to_visitor(("ETag", tag))["ETag"]
    assert told == tag.replace('"', '"30001-', 1)
    for name in ("If-None-Match", "If-Match", "If-Range"):
        assert to_app((name, told))[name] == tag


def test_another_apps_tag_is_not_taken_for_ones_own() -> None:
    sent = '"30002-abc", "30001-abc", W/"30001-def", "abc", *'
    assert to_app(("If-None-Match", sent))["If-None-Match"] == (
        '"30002-abc", "abc", W/"def", "abc", *'
    )
