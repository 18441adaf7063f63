"""Who passes a door, and that an app gets nothing of the hub's and plants nothing."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import websockets
from websockets.asyncio.client import connect

from bai_spawner.app_proxy import door as door_module
from bai_spawner.app_proxy.guesses import MOST, SECONDS
from bai_spawner.app_proxy.guests import Guests, kept, networks
from bai_spawner.app_proxy.site import Site
from bai_spawner.app_proxy.visitors import digest
from tests.app_doors import (
    ADA,
    PATIENCE,
    SITE,
    STRANGER,
    Opened,
    bound,
    door_at,
    opened,
    public,
    until,
)


def ws(found: Opened, *, cookie: str = "", origin: str | None = "", **more: str) -> connect:
    """A WebSocket of the app's own page."""
    headers = ({"Cookie": cookie} if cookie else {}) | more
    return connect(
        f"ws://{found.host}/ws",
        host="127.0.0.1",
        origin=found.origin if origin == "" else origin,  # type: ignore[arg-type]
        additional_headers=headers,
        compression=None,
        proxy=None,
    )


async def refused(socket: connect) -> int:
    """The status with which a WebSocket is refused."""
    with pytest.raises(websockets.InvalidStatus) as found:
        await socket.__aenter__()
    return found.value.response.status_code


@pytest.fixture
async def private() -> AsyncIterator[Opened]:
    async with opened() as found:
        yield found


# ---- coming in


async def test_a_stranger_is_led_to_the_hub_to_log_in(private: Opened) -> None:
    async with private.client() as browser:
        answer = await browser.get("/a/b?c=d%20e&f")
    assert answer.status_code == 303
    url = urlsplit(answer.headers["Location"])
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{SITE.service}enter"
    asked = parse_qs(url.query)
    assert asked["next"] == ["/a/b?c=d%20e&f"]
    assert asked["opening"] == ["opening"]
    pair, *attributes = answer.headers["Set-Cookie"].split("; ")
    name, _, nonce = pair.partition("=")
    assert asked["nonce"] == [digest(nonce)]
    assert nonce not in answer.headers["Location"]
    assert name == f"bai-begin-{private.port}-{digest(nonce)[:8]}"
    assert attributes == ["Path=/", "HttpOnly", "SameSite=Lax", "Max-Age=600"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert private.app.seen == []


async def test_what_cannot_come_back_from_there_is_refused(private: Opened) -> None:
    async with private.client() as browser:
        for mode in ("cors", "no-cors", "same-origin", "websocket"):
            answer = await browser.get("/x", headers={"Sec-Fetch-Mode": mode})
            assert answer.status_code == 403
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            assert (await browser.request(method, "/x")).status_code == 403
        assert (await browser.get("/" + "x" * 5000)).status_code == 403
    assert await refused(ws(private)) == 403
    assert private.app.seen == []


async def test_with_a_ticket_a_browser_comes_in(private: Opened) -> None:
    nonce, begun = await private.begin("/page?x=1")
    ticket = await private.visitors.ticket(private.door.place, "token-of-ada", nonce)
    async with private.client(Cookie=f"theme=dark; {begun}") as browser:
        answer = await browser.get("/.bai/enter", params={"ticket": ticket, "next": "/page?x=1"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/page?x=1")
    made, at, gone = answer.headers.get_list("Set-Cookie")
    pair, *attributes = made.split("; ")
    assert pair.startswith(f"bai-app-{private.port}=")
    assert attributes == ["Path=/", "HttpOnly", "SameSite=Lax"]
    assert gone.startswith(f"{begun.partition('=')[0]}=; ")
    assert gone.endswith("Max-Age=0")
    assert at.startswith(f"bai-at-{private.port}={private.door.mark}; ")
    assert answer.headers["Clear-Site-Data"] == '"cache", "storage"'
    async with private.client(Cookie=f"theme=dark; {pair}") as browser:
        assert (await browser.get("/page?x=1")).status_code == 200
    (seen,) = private.app.seen
    assert seen.target == "/page?x=1"
    assert seen.all("Cookie") == ["theme=dark"]


async def test_what_a_browser_has_of_the_same_app_it_keeps(private: Opened) -> None:
    for at, cleared in ((private.door.mark, False), ("another-app", True)):
        nonce, begun = await private.begin()
        ticket = await private.visitors.ticket(private.door.place, "token-of-ada", nonce)
        async with private.client(Cookie=f"bai-at-{private.port}={at}; {begun}") as browser:
            answer = await browser.get("/.bai/enter", params={"ticket": ticket})
        assert answer.status_code == 303
        assert ("Clear-Site-Data" in answer.headers) is cleared


async def test_who_comes_to_a_public_app_has_what_another_left_at_its_port_deleted() -> None:
    async with public() as found, found.client() as browser:
        page = {"Sec-Fetch-Mode": "navigate"}
        answer = await browser.get("/x", headers=page)
        assert answer.headers["Clear-Site-Data"] == '"cache", "storage"'
        at = f"bai-at-{found.port}={found.door.mark}"
        assert at in answer.headers["Set-Cookie"]
        for again in (page | {"Cookie": at}, {"Sec-Fetch-Mode": "cors"}, {}):
            assert "Clear-Site-Data" not in (await browser.get("/x", headers=again)).headers
        assert all("bai-at" not in cookie for it in found.app.seen for cookie in it.all("Cookie"))


async def test_an_app_leaves_no_worker_behind(private: Opened) -> None:
    async with private.client(Cookie=await private.cookie()) as browser:
        answer = await browser.get("/worker.js", headers={"Service-Worker": "script"})
    assert answer.status_code == 403
    async with public() as found, found.client() as browser:
        answer = await browser.get("/worker.js", headers={"Service-Worker": "script"})
        assert answer.status_code == 403
        assert found.app.seen == []


@pytest.mark.parametrize(
    "target",
    [
        *("//evil.example", "https://evil.example/", "/\\evil", "\\\\evil", "javascript:x"),
        *("evil", "/\tevil", "/\r\nSet-Cookie: a=b", "/ä", "/a\\b", ""),
    ],
)
async def test_a_way_in_leads_nowhere_else(private: Opened, target: str) -> None:
    nonce, begun = await private.begin()
    ticket = await private.visitors.ticket(private.door.place, "token-of-ada", nonce)
    async with private.client(Cookie=begun) as browser:
        answer = await browser.get("/.bai/enter", params={"ticket": ticket, "next": target})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")


async def test_a_link_that_somebody_else_made_enters_nobody(private: Opened) -> None:
    nonce, _ = await private.begin()
    _, other = await private.begin()
    for cookies in ("", other, f"bai-begin-{private.port}-x={nonce}"):
        ticket = await private.visitors.ticket(private.door.place, "token-of-ada", nonce)
        async with private.client(Cookie=cookies) as browser:
            answer = await browser.get("/.bai/enter", params={"ticket": ticket})
        assert answer.status_code == 403
        assert "Set-Cookie" not in answer.headers
    assert len(private.visitors) == 0


async def test_a_ticket_that_was_used_enters_nobody_else(private: Opened) -> None:
    nonce, begun = await private.begin()
    ticket = await private.visitors.ticket(private.door.place, "token-of-ada", nonce)
    async with private.client(Cookie=begun) as browser:
        first = await browser.get("/.bai/enter", params={"ticket": ticket})
        again = await browser.get("/.bai/enter", params={"ticket": ticket})
        assert (first.status_code, again.status_code) == (303, 403)
        assert f'href="{private.origin}/"' in again.text


async def test_who_began_in_two_windows_comes_in_with_both(private: Opened) -> None:
    one, first = await private.begin()
    two, second = await private.begin()
    assert first.partition("=")[0] != second.partition("=")[0]
    tickets = [
        await private.visitors.ticket(private.door.place, "token-of-ada", nonce)
        for nonce in (one, two)
    ]
    async with private.client(Cookie=f"{first}; {second}") as browser:
        answer = await browser.get("/.bai/enter", params={"ticket": tickets[0]})
    cookie = answer.headers.get_list("Set-Cookie")[0].partition(";")[0]
    async with private.client(Cookie=cookie) as browser:  # the nonces are gone
        answer = await browser.get("/.bai/enter", params={"ticket": tickets[1], "next": "/x"})
        assert (answer.status_code, answer.headers["Location"]) == (303, "/x")


async def test_of_many_windows_the_last_comes_in(private: Opened) -> None:
    begun = [await private.begin() for _ in range(door_module.MOST_NONCES + 5)]
    ticket = await private.visitors.ticket(private.door.place, "token-of-ada", begun[-1][0])
    async with private.client(Cookie="; ".join(cookie for _, cookie in begun)) as browser:
        answer = await browser.get("/.bai/enter", params={"ticket": ticket})
    assert answer.status_code == 303


async def test_other_addresses_of_the_doors_own_are_nowhere(private: Opened) -> None:
    async with private.client(Cookie=await private.cookie()) as browser:
        assert (await browser.get("/.bai/x")).status_code == 404
        assert (await browser.get("/.bai/enter")).status_code == 303  # it is in already
    for target in (b"/%2ebai/x", b"/.bai%2Fx", b"/.b%61i/enter"):
        answer = await private.raw(
            b"GET " + target + b" HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )
        assert answer[:12] in {b"HTTP/1.1 404", b"HTTP/1.1 403"}
    assert private.app.seen == []


# ---- being in


@pytest.mark.parametrize("cookie", ["", "bai-app-{port}=", "bai-app-{port}=x", "bai-app-1={own}"])
async def test_no_other_cookie_lets_in(private: Opened, cookie: str) -> None:
    own = (await private.cookie()).partition("=")[2]
    async with private.client(Cookie=cookie.format(port=private.port, own=own)) as browser:
        assert (await browser.get("/x")).status_code == 303
        assert (await browser.post("/x")).status_code == 403
    assert private.app.seen == []


async def test_bytes_that_are_no_text_let_nobody_in(private: Opened) -> None:
    for target in (b"/x", b"/.bai/enter?ticket=%ff", b"/.bai/enter?ticket=x"):
        answer = await private.raw(
            b"GET " + target + b" HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
            b"Cookie: bai-app-%d=\xff\xfe; bai-begin-%d-x=\xff\r\n\r\n"
            % (private.port, private.port)
        )
        assert answer[:12] in {b"HTTP/1.1 303", b"HTTP/1.1 403"}


async def test_a_cookie_of_another_door_is_refused(private: Opened) -> None:
    other = door_at(bound(), private.session, private.visitors, opening="other")
    await other.open()
    try:
        value = (await private.cookie()).partition("=")[2]
        url, host = f"http://127.0.0.1:{other.port}/x", f"localhost:{other.port}"
        async with private.client() as browser:
            answer = await browser.get(
                url, headers={"Host": host, "Cookie": f"bai-app-{other.port}={value}"}
            )
            assert answer.status_code == 303
    finally:
        await other.close()
    assert private.app.seen == []


async def test_a_cookie_that_stands_for_nobody_shuts_nobody_out(private: Opened) -> None:
    cookie = await private.cookie()
    name = cookie.partition("=")[0]
    for sent in (f"{cookie}; {name}=planted", f"{name}=planted; {cookie}", f"{cookie};{cookie}"):
        async with private.client(Cookie=sent) as browser:
            assert (await browser.get("/x")).status_code == 200


async def test_two_cookies_that_stand_for_somebody_are_refused(private: Opened) -> None:
    sent = f"{await private.cookie()}; {await private.cookie()}"
    async with private.client(Cookie=sent) as browser:
        answer = await browser.get("/x")
        assert answer.status_code == 400
        assert "Delete the cookies" in answer.text
    assert private.app.seen == []


async def test_what_is_too_long_is_not_repeated_and_more_cookies_than_can_be_read_go(
    private: Opened,
) -> None:
    cookie = await private.cookie()
    long = b"Cookie: %s; bomb=%s\r\n" % (cookie.encode(), b"x" * 40_000)
    answer = await private.raw(b"GET /x HTTP/1.1\r\nHost: {host}\r\n" + long + b"\r\n")
    assert b" 400 " in answer.partition(b"\r\n")[0]
    assert b'\r\nClear-Site-Data: "cookies"\r\n' in answer
    assert b"There are too many cookies" in answer
    assert cookie.partition("=")[2].encode() not in answer
    assert b"xxx" not in answer
    for wrong in (b"GET /" + b"y" * 20_000 + b" HTTP/1.1\r\n\r\n", b"GET /yyy HTTP/x\r\n\r\n"):
        answer = await private.raw(wrong)
        assert b" 400 " in answer.partition(b"\r\n")[0]
        assert b"Clear-Site-Data" not in answer
        assert b"yyy" not in answer


async def test_who_may_no_more_is_cut_off(private: Opened) -> None:
    cookie = await private.cookie()
    async with ws(private, cookie=cookie) as socket, private.client(Cookie=cookie) as browser:
        await socket.send("words")
        assert await socket.recv() == "words"
        asking = asyncio.create_task(browser.get("/slow"))
        await until(lambda: any(seen.target == "/slow" for seen in private.app.seen))
        private.hub.users["token-of-ada"] = STRANGER
        await private.visitors.look()
        with pytest.raises(websockets.ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 5)
        with pytest.raises(httpx.HTTPError):
            await asyncio.wait_for(asking, 5)
        await until(lambda: private.session.tunnels == 0)
        assert (await browser.get("/x")).status_code == 303
    assert await refused(ws(private, cookie=cookie)) == 403


async def test_who_is_shared_with_meanwhile_comes_in(private: Opened) -> None:
    private.hub.users["token-of-bob"] = STRANGER
    with pytest.raises(Exception, match="not yours"):
        await private.cookie("token-of-bob")
    private.hub.users["token-of-bob"] = ADA
    async with private.client(Cookie=await private.cookie("token-of-bob")) as browser:
        assert (await browser.get("/x")).status_code == 200


async def test_a_hub_that_is_away_for_long_is_said_to_be(
    private: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    cookie = await private.cookie()
    private.hub.away = True
    monkeypatch.setattr("bai_spawner.app_proxy.visitors.KNOWN_SECONDS", -1.0)
    async with private.client(Cookie=cookie) as browser:
        assert (await browser.get("/x")).status_code == 200
        monkeypatch.setattr("bai_spawner.app_proxy.visitors.AWAY_SECONDS", -1.0)
        answer = await browser.get("/x")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        private.hub.away = False
        monkeypatch.undo()
        assert (await browser.get("/x")).status_code == 200


# ---- other sites


@pytest.mark.parametrize("site", ["same-site", "cross-site"])
async def test_what_another_sites_page_sends_is_refused(private: Opened, site: str) -> None:
    cookie = await private.cookie()

    def told(mode: str, dest: str) -> dict[str, str]:
        return {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}

    async with private.client(Cookie=cookie) as browser:
        refused_: list[tuple[str, str, str]] = [
            ("POST", "navigate", "document"),
            ("POST", "cors", "empty"),
            ("GET", "navigate", "iframe"),
            ("GET", "navigate", "object"),
            ("GET", "cors", "empty"),
            ("GET", "no-cors", "image"),
            ("GET", "no-cors", "script"),
            ("OPTIONS", "cors", "empty"),
        ]
        for method, mode, dest in refused_:
            answer = await browser.request(method, "/x", headers=told(mode, dest))
            assert answer.status_code == 403, (method, mode, dest)
        assert private.app.seen == []
        answer = await browser.get("/x", headers=told("navigate", "document"))
        assert answer.status_code == 200


@pytest.mark.parametrize("origin", ["http://localhost", "http://localhost:1", "null", "http://e"])
async def test_an_origin_that_is_not_the_apps_is_refused(private: Opened, origin: str) -> None:
    cookie = await private.cookie()
    async with private.client(Cookie=cookie, Origin=origin) as browser:
        for method in ("GET", "POST", "OPTIONS", "DELETE"):
            assert (await browser.request(method, "/x")).status_code == 403
    assert await refused(ws(private, cookie=cookie, origin=origin)) == 403
    assert private.app.seen == []


async def test_the_apps_own_pages_may_do_anything(private: Opened) -> None:
    cookie = await private.cookie()
    own = {"Origin": private.origin, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
    async with private.client(Cookie=cookie, **own) as browser:
        for method in ("GET", "POST", "PUT", "DELETE"):
            assert (await browser.request(method, "/x")).status_code == 200
    async with ws(private, cookie=cookie, **{"Sec-Fetch-Site": "same-origin"}) as socket:
        await socket.send("words")
        assert await socket.recv() == "words"


# ---- open to the public


async def test_a_public_app_needs_no_login() -> None:
    async with public() as found, found.client() as browser:
        assert (await browser.get("/x")).status_code == 200
        assert (await browser.post("/x")).status_code == 200
        assert found.hub.asked == []


async def test_a_public_app_is_open_to_the_networks_that_its_user_named() -> None:
    for allowed, status in (("127.0.0.0/8", 200), ("192.0.2.0/24", 403)):
        async with opened(Guests(networks([allowed]))) as found:
            async with found.client(**{"X-Forwarded-For": "192.0.2.1"}) as browser:
                assert (await browser.get("/x")).status_code == status
                assert len(found.app.seen) == (status == 200)
            if status == 403:
                assert await refused(ws(found)) == 403


@pytest.mark.parametrize("password", ["correct horse", "grüße 你好"])
async def test_a_password_is_asked_for(password: str) -> None:
    def said(text: str) -> str:
        return "Basic " + base64.b64encode(f"ada:{text}".encode()).decode()

    async with opened(Guests(password=kept(password))) as found, found.client() as browser:
        for sent in ({}, {"Authorization": said("wrong")}, {"Authorization": "Basic ?"}):
            answer = await browser.get("/x", headers=sent)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == 'Basic realm="app", charset="UTF-8"'
            assert await refused(ws(found, **sent)) == 401
        assert found.app.seen == []
        for _ in range(3):
            answer = await browser.get("/x", headers={"Authorization": said(password)})
            assert answer.status_code == 200
        assert "authorization" not in found.app.seen[0].names
        async with ws(found, Authorization=said(password)) as socket:
            await socket.send("words")
            assert await socket.recv() == "words"


async def test_who_is_known_does_not_wait_for_those_who_guess() -> None:
    right = {"Authorization": "Basic " + base64.b64encode(b"ada:correct horse").decode()}
    wrong = {"Authorization": "Basic " + base64.b64encode(b"ada:wrong").decode()}
    async with opened(Guests(password=kept("correct horse"))) as found, found.client() as browser:
        assert (await browser.get("/x", headers=right)).status_code == 200
        async with found.door._checking:  # somebody's guess is looked at
            guessing = asyncio.create_task(browser.get("/x", headers=wrong))
            assert (await browser.get("/x", headers=right)).status_code == 200
            assert (await browser.get("/x")).status_code == 401
            assert not guessing.done()
        assert (await guessing).status_code == 401


async def test_who_guesses_has_to_wait_and_who_is_known_does_not() -> None:
    right = {"Authorization": "Basic " + base64.b64encode(b"ada:correct horse").decode()}
    wrong = {"Authorization": "Basic " + base64.b64encode(b"ada:wrong").decode()}
    guests = Guests(password=kept("correct horse"))
    async with opened(guests) as found, found.client() as browser:
        assert (await browser.get("/x", headers=right)).status_code == 200
        guessed = [(await browser.get("/x", headers=wrong)).status_code for _ in range(MOST + 1)]
        assert guessed == [401] * MOST + [429]
        answer = await browser.get("/x", headers=wrong)
        assert 0 < int(answer.headers["Retry-After"]) <= SECONDS
        assert (await browser.get("/x", headers=right)).status_code == 200
        assert (await browser.get("/x")).status_code == 401
        guests._known.clear()  # the right one is a guess again
        assert (await browser.get("/x", headers=right)).status_code == 429


async def test_what_another_sites_page_has_a_browser_do_needs_more_than_its_password() -> None:
    right = {"Authorization": "Basic " + base64.b64encode(b"ada:correct horse").decode()}
    async with opened(Guests(password=kept("correct horse"))) as found, found.client() as browser:
        for told in (
            {"Origin": "https://evil.example"},
            {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ):
            answer = await browser.post("/x", headers=right | told)
            assert answer.status_code == 403
            assert (await browser.get("/x", headers=right | told)).status_code == 200
        for origin in (found.origin, "null"):  # the latter of a page that tells no referrer
            own = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
            assert (await browser.post("/x", headers=right | own)).status_code == 200
        assert (await browser.post("/x", headers=right)).status_code == 200  # no browser


async def test_a_public_apps_websocket_is_for_its_own_pages() -> None:
    async with public() as found:
        for origin in ("http://localhost", "null", "https://evil.example"):
            assert await refused(ws(found, origin=origin)) == 403
        async with ws(found, origin=None) as socket:  # who is no browser tells none
            await socket.send("words")
            assert await socket.recv() == "words"


# ---- hostile apps


async def test_nothing_that_opens_the_hub_reaches_an_app(private: Opened) -> None:
    cookie = await private.cookie()
    _, begun = await private.begin()
    planted = (
        "jupyterhub-session-id=h1; _xsrf=h2; jupyterhub-hub-login=h3; JUPYTERHUB-x=h4; "
        "bai-app-1=h5; bai-2-session=h6; username-localhost=h7; __Host-jupyterhub-x=h8"
    )
    sent = {
        "Cookie": f"own=1; {planted}; {cookie}; {begun}; bai-{private.door.mark}-session=mine",
        "Authorization": "Bearer h9",
        "Proxy-Authorization": "Basic h10",
        "X-XSRFToken": "h11",
        "X-Forwarded-For": "h12",
        "X-Forwarded-Host": "h13",
        "X-Forwarded-Proto": "https",
        "Forwarded": "for=h14",
        "TE": "trailers",
        "Keep-Alive": "h15",
    }
    async with private.client(**sent) as browser:
        assert (await browser.get("/x")).status_code == 200
    async with ws(private, cookie=sent.pop("Cookie"), **sent):
        pass
    assert len(private.app.seen) == 2
    for seen in private.app.seen:
        assert seen.all("Cookie") == ["own=1; session=mine"]
        said = " ".join(f"{name}: {value}" for name, value in seen.headers)
        assert not any(f"h{number}" in said.split(": ") for number in range(1, 16))
        assert cookie.partition("=")[2] not in said
        assert seen.all("X-Forwarded-Proto") == ["http"]
        assert seen.all("X-Forwarded-Host") == [private.host]
        assert not seen.names & {
            *("authorization", "proxy-authorization", "forwarded", "x-forwarded-for", "te"),
            *("keep-alive", "x-xsrftoken", "x-forwarded-port"),
        }
    assert b"token-of-ada" not in b"".join(private.session.asked)


async def test_an_app_plants_nothing_in_a_browser(private: Opened) -> None:
    names = [
        *("jupyterhub-session-id", "JupyterHub-x", "_xsrf", "_XSRF", "__Host-jupyterhub-x"),
        *("__hOST-_xsrf", "__Secure-bai-app-1", f"bai-app-{private.port}", "BAI-app-1"),
        *(f"__Host-Http-bai-app-{private.port}", f"bai-{private.port}-x", "username-x"),
    ]
    private.app.headers = [("Set-Cookie", f"{name}=evil; Path=/") for name in names]
    private.app.headers += [
        ("Set-Cookie", "one=1; Domain=example.org; Path=/"),
        ("Set-Cookie", "two=2; HttpOnly; domain=.localhost"),
        ("Clear-Site-Data", '"cookies"'),
        ("Strict-Transport-Security", "max-age=1; includeSubDomains"),
        ("Alt-Svc", 'h3=":1"'),
        ("X-Fine", "1"),
    ]
    cookie = await private.cookie()
    for path in ("/x", "/y"):
        async with private.client(Cookie=cookie) as browser:
            answer = await browser.get(path)
        assert answer.headers.get_list("Set-Cookie") == [
            "one=1; Path=/",
            f"bai-{private.door.mark}-two=2; HttpOnly",
        ]
        assert answer.headers["X-Fine"] == "1"
        for name in ("Clear-Site-Data", "Strict-Transport-Security", "Alt-Svc"):
            assert name not in answer.headers


async def test_behind_https_cookies_are_such_that_scripts_cannot_make_them() -> None:
    site = Site("https://apps.example", SITE.hub, SITE.service)
    async with opened(site=site) as found, found.client() as browser:
        host = {"Host": f"apps.example:{found.port}"}
        answer = await browser.get("/x", headers=host)
        assert answer.status_code == 303
        pair, *attributes = answer.headers["Set-Cookie"].split("; ")
        assert pair.startswith(f"__Host-Http-bai-begin-{found.port}-")
        assert "Secure" in attributes
        nonce = parse_qs(urlsplit(answer.headers["Location"]).query)["nonce"][0]
        ticket = await found.visitors.ticket(found.door.place, "token-of-ada", nonce)
        answer = await browser.get(
            "/.bai/enter", params={"ticket": ticket}, headers=host | {"Cookie": pair}
        )
        pair = answer.headers.get_list("Set-Cookie")[0].partition(";")[0]
        assert pair.startswith(f"__Host-Http-bai-app-{found.port}=")
        answer = await browser.get("/x", headers=host | {"Cookie": pair})
        assert answer.status_code == 200
        assert found.app.seen[0].all("X-Forwarded-Proto") == ["https"]
        bare = pair.removeprefix("__Host-Http-")
        assert (await browser.get("/x", headers=host | {"Cookie": bare})).status_code == 303


async def test_a_page_of_a_doors_own_runs_nothing() -> None:
    async with public() as found, found.client() as browser:
        answer = await browser.get("/.bai/x")
        assert answer.status_code == 404
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        async with asyncio.timeout(PATIENCE):
            assert (await browser.get("/x")).status_code == 200
