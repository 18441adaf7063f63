"""What is sent to a door, and what an app answers, is understood in one way or refused."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import socket
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from bai_spawner.app_proxy import door as door_module
from bai_spawner.app_proxy import passing
from bai_spawner.app_proxy.guests import Guests
from bai_spawner.app_proxy.visitors import Visitors
from tests.app_doors import (
    PATIENCE,
    App,
    FakeHub,
    Opened,
    RawApp,
    Session,
    bound,
    door_at,
    drained,
    opened,
    public,
    statuses,
    until,
)

HOST = b"Host: {host}\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
OTHER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n"


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """As the program has it: what a stranger sends is no event."""
    caplog.set_level(logging.CRITICAL, "aiohttp.server")


def targets(found: Opened) -> list[str]:
    return [seen.target for seen in found.app.seen]


# ---- requests that two readers could understand differently

AMBIGUOUS = {
    "both lengths": b"POST /x HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "both lengths, the other way": b"POST /x HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n"
    b"Content-Length: 5\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "two lengths": b"POST /x HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 0\r\nContent-Length: 58\r\n\r\n"
    + SMUGGLED,
    "two equal lengths": b"POST /x HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n"
    b"Content-Length: 0\r\n\r\n",
    "a list of lengths": b"POST /x HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 0, 58\r\n\r\n"
    + SMUGGLED,
    "a length with a sign": b"POST /x HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: +0\r\n\r\n"
    + SMUGGLED,
    "a negative length": b"POST /x HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n" + SMUGGLED,
    "a length in other digits": b"POST /x HTTP/1.1\r\n" + HOST + b"Content-Length: 0x3\r\n\r\nabc",
    "a length that overflows": b"POST /x HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 18446744073709551616\r\n\r\n"
    + SMUGGLED,
    "an encoding before chunked": b"POST /x HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "an encoding alone": b"POST /x HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "an encoding that is no word": b"POST /x HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "chunked in a vertical tab": b"POST /x HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "chunked twice": b"POST /x HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n"
    b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunked by HTTP/1.0": b"POST /x HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n"
    b"Content-Length: 5\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a space before the colon": b"POST /x HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "a folded line": b"GET /x HTTP/1.1\r\n" + HOST + b"X-One: 1\r\n folded\r\n\r\n",
    "a folded length": b"POST /x HTTP/1.1\r\n"
    + HOST
    + b"Content-Length:\r\n 58\r\n\r\n"
    + SMUGGLED,
    "a first header that is folded": b"GET /x HTTP/1.1\r\n X: 1\r\n" + HOST + b"\r\n",
    "bare line feeds": b"GET /x HTTP/1.1\nHost: {host}\n\n",
    "a bare line feed in a header": b"GET /x HTTP/1.1\r\n" + HOST + b"X-One: 1\nX-Two: 2\r\n\r\n",
    "a bare carriage return": b"GET /x HTTP/1.1\r\n" + HOST + b"X-One: 1\rX-Two: 2\r\n\r\n",
    "a zero in a header": b"GET /x HTTP/1.1\r\n" + HOST + b"X-One: \x00\r\n\r\n",
    "a zero in a name": b"GET /x HTTP/1.1\r\n" + HOST + b"X\x00: 1\r\n\r\n",
    "a zero in a path": b"GET /\x00x HTTP/1.1\r\n" + HOST + b"\r\n",
    "a header without a colon": b"GET /x HTTP/1.1\r\n" + HOST + b"X-One\r\n\r\n",
    "a header without a name": b"GET /x HTTP/1.1\r\n" + HOST + b": x\r\n\r\n",
    "a name in brackets": b"GET /x HTTP/1.1\r\n" + HOST + b"(X): x\r\n\r\n",
    "a bad chunk's size": b"POST /x HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nwords\r\n0\r\n\r\n"
    + SMUGGLED,
    "a chunk's size that is negative": b"POST /x HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nwords\r\n0\r\n\r\n"
    + SMUGGLED,
    "a chunk's size that overflows": b"POST /x HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nwords\r\n0\r\n\r\n"
    + SMUGGLED,
    "a chunk that is longer than it says": b"POST /x HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\n3\r\nwords\r\n0\r\n\r\n"
    + SMUGGLED,
    "a chunk with line feeds": b"POST /x HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\n5\nwords\n0\n\n"
    + SMUGGLED,
    "a chunk's extension with a line feed": b"POST /x HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\n5;a\nwords\r\n0\r\n\r\n"
    + SMUGGLED,
    "HTTP/0.9": b"GET /x\r\n\r\n",
    "HTTP/1.2": b"GET /x HTTP/1.2\r\n" + HOST + b"\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/11": b"GET /x HTTP/11\r\n" + HOST + b"\r\n",
    "a space in the path": b"GET /x y HTTP/1.1\r\n" + HOST + b"\r\n",
    "a tab in the first line": b"GET\t/x\tHTTP/1.1\r\n" + HOST + b"\r\n",
    "a method in small letters": b"get /x HTTP/1.1\r\n" + HOST + b"\r\n",
    "a method of nobody's": b"GE\xc3\x84T /x HTTP/1.1\r\n" + HOST + b"\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100) + b"\r\n\r\n",
}


@pytest.mark.parametrize("name", AMBIGUOUS)
async def test_of_what_could_be_understood_twice_at_most_one_request_passes(name: str) -> None:
    async with public() as found:
        answer = await found.raw(AMBIGUOUS[name])
        assert "/smuggled" not in targets(found)
        assert len(found.app.seen) <= 1
        for seen in found.app.seen:  # it is what it seemed to be
            assert b"smuggled" not in seen.body
            assert len(seen.all("Content-Length")) + len(seen.all("Transfer-Encoding")) <= 1
        assert not answer or all(400 <= status < 600 for status in statuses(answer)), answer
        async with found.client() as browser:
            assert (await browser.get("/after")).status_code == 200


@pytest.mark.parametrize(
    "start",
    [
        b"GET http://localhost/x HTTP/1.1",
        b"GET http://{host}/x HTTP/1.1",
        b"GET http://evil.example/x HTTP/1.1",
        b"GET https://127.0.0.1:8000/hub/ HTTP/1.1",
        b"CONNECT evil.example:443 HTTP/1.1",
        b"CONNECT {host} HTTP/1.1",
        b"CONNECT / HTTP/1.1",
        b"GET evil.example:80 HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"GET x HTTP/1.1",
        b"GET ?x HTTP/1.1",
        b"GET \\x HTTP/1.1",
        b"GET /a\\..\\b HTTP/1.1",
        b"GET /x#y HTTP/1.1",
        b"GET /\xc3\xa4 HTTP/1.1",
        b"GET /\xff HTTP/1.1",
        b"TRACE /x HTTP/1.1",
        b"PROPFIND /x HTTP/1.1",
        b"PURGE /x HTTP/1.1",
        b"SOURCE /x HTTP/1.1",
    ],
)
@pytest.mark.parametrize("private", [False, True])
async def test_what_is_no_request_to_an_app_is_refused(start: bytes, private: bool) -> None:
    async with opened(None if private else Guests()) as found:
        answer = await found.raw(start + b"\r\n" + HOST + b"\r\n")
        assert statuses(answer)[0] in {400, 405}, answer
        assert len(statuses(answer)) == 1
        assert found.app.seen == []
        assert found.session.asked == []


@pytest.mark.parametrize(
    "hosts",
    [
        b"",
        b"Host:\r\n",
        b"Host: localhost\r\n",
        b"Host: evil.example\r\n",
        b"Host: 127.0.0.1:{port}\r\n",
        b"Host: user@{host}\r\n",
        b"Host: {host}.evil.example\r\n",
        b"Host: {host}, evil.example\r\n",
        b"Host: {host}@evil.example\r\n",
        b"Host: {host}/x\r\n",
        b"Host: localhost.:{port}\r\n",
        b"Host: {host}\r\nHost: {host}\r\n",
        b"Host: {host}\r\nHost: evil.example\r\n",
        b"Host: evil.example\r\nHost: {host}\r\n",
        b"Host: evil.example\r\nX-Forwarded-Host: {host}\r\n",
    ],
)
async def test_a_door_answers_to_its_own_name_alone(hosts: bytes) -> None:
    async with public() as found:
        hosts = hosts.replace(b"{port}", str(found.port).encode())
        for version in (b"1.1", b"1.0"):
            answer = await found.raw(
                b"GET /x HTTP/" + version + b"\r\n" + hosts + b"Connection: close\r\n\r\n"
            )
            assert statuses(answer)[0] in {400, 421}, answer
        assert found.app.seen == []


async def test_requests_one_behind_the_other_are_answered_one_by_one() -> None:
    async with public() as found:
        many = b"".join(b"GET /%d HTTP/1.1\r\n" % number + HOST + b"\r\n" for number in range(50))
        answer = await found.raw(many)
        assert statuses(answer) == [200] * 50
        assert targets(found) == [f"/{number}" for number in range(50)]


async def test_a_request_that_is_refused_does_not_let_the_next_one_slip_by() -> None:
    async with opened() as found:
        body = SMUGGLED.replace(b"{host}", found.host.encode())
        answer = await found.raw(
            b"POST /x HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(body) + body
        )
        assert statuses(answer) == [403]
        assert found.app.seen == []


@pytest.mark.parametrize(
    "more",
    [
        b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n",
        b"Upgrade: bai-tunnel/1\r\nConnection: Upgrade\r\nBai-Tunnel: x\r\n",
        b"Upgrade: websocket, h2c\r\nConnection: Upgrade\r\n",
        b"Upgrade: websocket\r\n",
        b"Connection: Upgrade\r\n",
        b"Upgrade: TLS/1.0\r\nConnection: Upgrade\r\n",
    ],
)
async def test_a_connection_becomes_nothing_but_a_websocket(more: bytes) -> None:
    async with public() as found:
        answer = await found.raw(b"GET /x HTTP/1.1\r\n" + HOST + more + b"\r\n")
        assert statuses(answer) == [200]
        (seen,) = found.app.seen
        assert not seen.names & {"upgrade", "connection", "http2-settings"}


WEBSOCKET = b"Upgrade: websocket\r\nConnection: Upgrade\r\nOrigin: http://{host}\r\n"
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
VERSION = b"Sec-WebSocket-Version: 13\r\n"


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"GET", WEBSOCKET),
        (b"GET", WEBSOCKET + VERSION),
        (b"GET", WEBSOCKET + KEY),
        (b"GET", WEBSOCKET + KEY + b"Sec-WebSocket-Version: 99\r\n"),
        (b"GET", WEBSOCKET + VERSION + b"Sec-WebSocket-Key: short\r\n"),
        (b"GET", WEBSOCKET + VERSION + KEY + b"Content-Length: 58\r\n"),
        (b"GET", WEBSOCKET + VERSION + KEY + b"Transfer-Encoding: chunked\r\n"),
        (b"POST", WEBSOCKET + VERSION + KEY),
    ],
)
async def test_a_websocket_begins_as_one_or_not_at_all(start: bytes, more: bytes) -> None:
    async with public() as found:
        answer = await found.raw(start + b" /ws HTTP/1.1\r\n" + HOST + more + b"\r\n" + SMUGGLED)
        assert statuses(answer)[0] == 400, answer
        # a POST is passed on as one, and what is behind it is another request
        assert targets(found) == (["/ws", "/smuggled"] if start == b"POST" else [])


async def test_a_websocket_that_an_app_refuses_leaves_no_way_to_it() -> None:
    async with public() as found:
        answer = await found.raw(
            b"GET /ws-refused HTTP/1.1\r\n" + HOST + WEBSOCKET + VERSION + KEY + b"\r\n",
            b"GET /after HTTP/1.1\r\n" + HOST + b"Cookie: jupyterhub-x=1; a=b\r\n\r\n",
        )
        # what comes behind it is a request like any other, and read as one
        assert statuses(answer) == [403, 200]
        assert targets(found) == ["/ws-refused", "/after"]
        assert found.app.seen[1].all("Cookie") == ["a=b"]


@pytest.mark.parametrize(
    "frame",
    [
        b"\xf1\x85\x00\x00\x00\x00words",  # bits of no extension
        b"\x83\x85\x00\x00\x00\x00words",  # a kind that there is not
        b"\x81\x82\x00\x00\x00\x00\xff\xfe",  # no text
        b"\x80\x85\x00\x00\x00\x00words",  # goes on, and nothing began
        b"\x89\xfe\x00\x80\x00\x00\x00\x00" + bytes(128),  # a ping that is too long
        b"\x88\x81\x00\x00\x00\x00\x00",  # a close with half a code
        b"\x88\x82\x00\x00\x00\x00\x03\xed",  # a close with a code that nobody may send
        b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",  # longer than there is room
    ],
)
async def test_a_frame_that_is_none_ends_a_websocket(frame: bytes) -> None:
    async with public() as found, found.connected() as (reader, writer):
        head = b"GET /ws HTTP/1.1\r\n" + HOST + WEBSOCKET + VERSION + KEY + b"\r\n"
        writer.write(head.replace(b"{host}", found.host.encode()))
        async with asyncio.timeout(PATIENCE):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        writer.write(frame)
        got = await drained(reader)
        assert b"words" not in got
        await until(found.app.left.is_set)
        await until(lambda: found.session.tunnels == 0)


@pytest.mark.parametrize("name", ["X-Forwarded-Host", "Host", "X-Forwarded-Proto", "Cookie"])
async def test_a_header_that_connection_names_is_ours_all_the_same(name: str) -> None:
    async with public() as found:
        answer = await found.raw(
            b"GET /x HTTP/1.1\r\n" + HOST + b"Cookie: jupyterhub-x=1; a=b\r\n"
            b"Connection: close, " + name.encode() + b"\r\n\r\n"
        )
        assert statuses(answer) == [200]
        (seen,) = found.app.seen
        assert seen.all("Host") == seen.all("X-Forwarded-Host") == [found.host]
        assert seen.all("X-Forwarded-Proto") == ["http"]
        assert seen.all("Cookie") == ["a=b"]


async def test_a_length_that_connection_names_does_not_end_a_body_early() -> None:
    async with public() as found:
        answer = await found.raw(
            b"POST /x HTTP/1.1\r\n" + HOST + b"Connection: close, Content-Length\r\n"
            b"Content-Length: 5\r\n\r\nwords"
        )
        assert statuses(answer) == [200]
        assert [seen.body for seen in found.app.seen] == [b"words"]


@pytest.mark.parametrize("coding", [b"chunked", b"Chunked", b" chunked ", b"CHUNKED"])
async def test_a_body_in_chunks_arrives_without_what_is_beside_it(coding: bytes) -> None:
    async with public() as found:
        answer = await found.raw(
            b"POST /x HTTP/1.1\r\n" + HOST + b"Transfer-Encoding:" + coding + b"\r\n"
            b"Trailer: Cookie\r\nConnection: close\r\n\r\n"
            b"5;a=b\r\nwords\r\n0\r\nCookie: jupyterhub-x=1\r\nX-Forwarded-Host: evil\r\n\r\n"
        )
        if statuses(answer) == [200]:
            (seen,) = found.app.seen
            assert seen.body == b"words"
            assert seen.all("X-Forwarded-Host") == [found.host]
            assert not seen.names & {"cookie", "trailer"}
        else:
            assert statuses(answer) == [400]


async def test_bytes_that_are_no_text_pass_in_headers() -> None:
    async with public() as found:
        answer = await found.raw(
            b"GET /x HTTP/1.1\r\n" + HOST + b"X-Name: caf\xe9\r\nConnection: close\r\n\r\n"
        )
        assert statuses(answer) == [200]
        assert found.app.seen[0].all("X-Name") == ["café"]


# ---- too much, and too slow


async def test_what_is_too_long_is_refused() -> None:
    long = b"x" * (door_module.LONGEST_HEADER + 100)
    many = b"".join(b"X-%d: 1\r\n" % number for number in range(door_module.MOST_HEADERS + 1))
    async with public() as found:
        for sent in (
            b"GET /" + long + b" HTTP/1.1\r\n" + HOST + b"\r\n",
            b"GET /x HTTP/1.1\r\n" + HOST + b"X-Long: " + long + b"\r\n\r\n",
            b"GET /x HTTP/1.1\r\n" + HOST + long + b": x\r\n\r\n",
            b"GET /x HTTP/1.1\r\n" + HOST + many + b"\r\n",
            b"GET /x HTTP/1.1\r\n" + HOST + b"X: 1\r\n" * 100_000 + b"\r\n",
            long * 10,
        ):
            answer = await found.raw(sent)
            assert not answer or statuses(answer) == [400], (sent[:50], answer[:200])
        assert found.app.seen == []


async def test_what_is_as_long_as_it_may_be_passes() -> None:
    long = b"x" * (door_module.LONGEST_LINE - 50)
    many = b"".join(b"X-%d: 1\r\n" % number for number in range(door_module.MOST_HEADERS - 5))
    async with public() as found:
        for sent in (
            b"GET /" + long + b" HTTP/1.1\r\n" + HOST,
            b"GET / HTTP/1.1\r\n" + HOST + many,
        ):
            answer = await found.raw(sent + b"Connection: close\r\n\r\n")
            assert statuses(answer) == [200]


@pytest.mark.parametrize("sent", [b"", b"G", b"GET /x HTTP/1.1\r\nHost: ", b"GET /x HTTP/1.1\r\n"])
async def test_who_says_too_little_is_not_waited_for(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door_module, "FIRST_SECONDS", 0.1)
    monkeypatch.setattr(door_module, "LOOK_SECONDS", 0.02)
    async with public() as found, found.connected() as (reader, writer):
        writer.write(sent)
        assert await drained(reader) == b""
        await until(lambda: found.door.connections == 0)


async def test_who_says_it_a_byte_at_a_time_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(door_module, "FIRST_SECONDS", 0.1)
    monkeypatch.setattr(door_module, "IDLE_SECONDS", 0.1)
    monkeypatch.setattr(door_module, "LOOK_SECONDS", 0.02)

    async def drip(writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            for _ in range(2000):
                writer.write(b"X-Drip: 1\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)

    async with public() as found:
        first = f"GET /x HTTP/1.1\r\nHost: {found.host}\r\n".encode()
        for sent in (first, first + b"\r\n" + first):  # also behind one that was answered
            async with found.connected() as (reader, writer):
                writer.write(sent)
                dripping = asyncio.create_task(drip(writer))
                assert len(statuses(await drained(reader))) == sent.count(b"GET") - 1
                dripping.cancel()
                await asyncio.gather(dripping, return_exceptions=True)


async def test_who_is_answered_for_long_is_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST_SECONDS", "IDLE_SECONDS"):
        monkeypatch.setattr(door_module, name, 0.05)
    monkeypatch.setattr(door_module, "LOOK_SECONDS", 0.01)
    async with public() as found, found.client() as browser:
        asking = asyncio.create_task(browser.get("/slow"))
        await asyncio.sleep(0.3)
        found.app.more.set()
        assert (await asking).text == "at last"


async def test_a_body_that_does_not_go_on_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(passing, "STALL_SECONDS", 0.1)
    async with public() as found:
        for framing in (b"Content-Length: 100", b"Transfer-Encoding: chunked"):
            async with found.connected() as (reader, writer):
                writer.write(
                    b"POST /x HTTP/1.1\r\nHost: "
                    + found.host.encode()
                    + b"\r\n"
                    + framing
                    + b"\r\n\r\n5\r\n"
                )
                assert statuses(await drained(reader)) == [408]
        assert found.app.seen == []
        await until(lambda: found.session.tunnels == 0)


async def test_there_are_not_too_many_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "MOST_CONNECTIONS", 5)
    async with public() as found:
        async with AsyncExitStack() as there:
            for _ in range(5):
                await there.enter_async_context(found.connected())
            await until(lambda: found.door.connections == 5)
            for _ in range(3):
                async with found.connected() as (reader, _writer):
                    assert statuses(await drained(reader)) == [503]
            assert found.door.connections == 5
        await until(lambda: found.door.connections == 0)
        async with found.client() as browser:
            assert (await browser.get("/x")).status_code == 200


# ---- what apps answer


@pytest.mark.parametrize(
    "head",
    [
        b"X-One: 1\nSet-Cookie: jupyterhub-x=1\r\n",
        b"X-One: 1\rSet-Cookie: jupyterhub-x=1\r\n",
        b"X-One: 1\r\n Set-Cookie: jupyterhub-x=1\r\n",
        b"X-One: 1\r\n\tSet-Cookie: jupyterhub-x=1\r\n",
        b"Set-Cookie : jupyterhub-x=1\r\n",
        b"Set-Cookie\x00: jupyterhub-x=1\r\n",
        b" Set-Cookie: jupyterhub-x=1\r\n",
        b"Set-Cookie: a=b\x00; Path=/, jupyterhub-x=1\r\n",
        b"Set-Cookie: a=b\nSet-Cookie: jupyterhub-x=1\r\n",
        b"Set_Cookie: jupyterhub-x=1\r\n",
        b"Set-Cookie:\r\n jupyterhub-x=1\r\n",
        b"Set-Cookie: \x0bjupyterhub-x=1\r\n",
        b"Set-Cookie: \xa0jupyterhub-x=1\r\n",
        b"Set-Cookie: jupyterhub-x\r\n",
        b'Connection: X\r\nClear-Site-Data: "*"\r\n',
        b'Clear-Site-Data : "*"\r\n',
    ],
)
async def test_no_header_slips_by_in_another(head: bytes) -> None:
    app = RawApp(OK + b"Content-Length: 2\r\n" + head + b"\r\nok")
    async with public(app=app) as found:
        answer = await found.raw(b"GET /x HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        assert statuses(answer)[0] in {200, 502}
        lines = re.split(rb"[\r\n\x00]+", answer.partition(b"\r\n\r\n")[0])
        for line in lines:
            name, _, value = line.partition(b":")
            assert name.strip().lower() != b"clear-site-data"
            if name.strip().lower() == b"set-cookie":
                assert not value.strip(b" \t\x0b\xa0\xc2").startswith(b"jupyterhub-")


@pytest.mark.parametrize(
    "sent",
    [
        OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nokk",
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        OK + b"Content-Length: -1\r\n\r\nok",
        OK + b"Content-Length: 2\r\n\r\nok" + OTHER,
        b"HTTP/1.1 204 No\r\nContent-Length: 50\r\n\r\n" + OTHER,
        b"HTTP/1.1 304 No\r\n\r\n" + OTHER,
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nSet-Cookie: jupyterhub-x=1\r\n\r\n",
        OK + b"Transfer-Encoding: gzip\r\n\r\nok",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nother",
        b"HTTP/1.1 99 Odd\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 1000 Odd\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 700 Odd\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\rX: 1\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 \xff\xfe\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"ICY 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 1000 + b"\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 103 Early\r\nSet-Cookie: jupyterhub-x=1\r\n\r\n" + OTHER,
        b"\x00" * 1000,
        b"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ],
)
async def test_whatever_an_app_says_one_answer_is_given(sent: bytes) -> None:
    async with public(app=RawApp(sent)) as found:
        answer = await found.raw(b"GET /x HTTP/1.1\r\n" + HOST + b"\r\n")
        found_statuses = statuses(answer)
        assert len(found_statuses) <= 1, answer
        assert b"jupyterhub-x" not in answer
        assert b"\x00" not in answer
        head = answer.partition(b"\r\n\r\n")[0].lower()
        assert not (b"content-length" in head and b"transfer-encoding" in head)
        assert found_statuses != [500], answer
        # nor does the next one hear what belongs to this one
        again = await found.raw(b"GET /x HTTP/1.1\r\n" + HOST + b"\r\n")
        assert again.partition(b"\r\n\r\n")[2] == answer.partition(b"\r\n\r\n")[2]
        assert b"other" not in again or b"other" in answer


async def test_what_an_app_says_too_much_is_nobodys_answer() -> None:
    """An app that keeps its connection, and sends more than it was asked for."""
    app = RawApp(
        OK + b"Content-Length: 2\r\n\r\nok" + OTHER,
        end=False,
    )
    async with public(app=app) as found, found.client() as browser:
        for _ in range(5):
            assert (await browser.get("/x")).text == "ok"


async def test_an_answer_that_is_not_utf_8_in_its_headers_arrives() -> None:
    app = RawApp(
        OK + b'Content-Length: 2\r\nContent-Disposition: attachment; filename="caf\xe9"\r\n\r\nok'
    )
    async with public(app=app) as found:
        answer = await found.raw(b"GET /x HTTP/1.1\r\n" + HOST + b"\r\n")
        assert statuses(answer) == [200]
        assert 'filename="café"'.encode() in answer


async def test_a_body_is_sent_once_or_its_visitor_is_told() -> None:
    """An app that takes the next request on a tunnel, and closes it without an answer."""
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            for number in range(2):
                head = await reader.readuntil(b"\r\n\r\n")
                got.append(head + await reader.readexactly(5))
                if not number:
                    writer.write(OK + b"Content-Length: 2\r\n\r\nok")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        async with public() as found, found.client() as browser:
            found.session.app.port = server.sockets[0].getsockname()[1]
            for method in ("PUT", "DELETE", "POST"):
                for status in (200, 502):
                    answer = await browser.request(method, "/x", content=b"words")
                    assert answer.status_code == status
        assert len(got) == 6
        assert all(one.endswith(b"words") for one in got)
    finally:
        server.close()


# ---- the end


async def test_a_thousand_doors_leave_nothing() -> None:
    app = App()
    await app.start()
    session = Session(app)
    await session.start()
    visitors = Visitors(FakeHub().ask)

    def there() -> tuple[int, int]:
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir())), len(asyncio.all_tasks())

    async def once() -> None:
        door = door_at(bound(), session, visitors, guests=Guests())
        port = door.port
        await door.open()
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        await door.close()
        with socket.socket() as again:  # without SO_REUSEADDR: nothing waits there
            again.bind(("127.0.0.1", port))
        writer.transport.abort()
        await asyncio.sleep(0)

    try:
        for _ in range(5):
            await once()
        before = there()
        for _ in range(1000):
            await once()
        assert there() == before
    finally:
        await session.stop()
        await app.stop()


async def test_a_door_that_closes_under_load_leaves_no_task() -> None:
    app = App()
    await app.start()
    session = Session(app)
    await session.start()
    before = len(asyncio.all_tasks())
    visitors = Visitors(FakeHub().ask)
    try:
        for _ in range(5):
            door = door_at(bound(), session, visitors, guests=Guests())
            await door.open()
            found = Opened(door, visitors, session, app, FakeHub())
            asking = []
            for path in (b"/slow", b"/big", b"/ws", b"/ws-hangs", b"/x"):
                head = b"GET " + path + b" HTTP/1.1\r\n" + HOST
                if b"ws" in path:
                    head += WEBSOCKET + VERSION + KEY
                asking.append(asyncio.create_task(found.raw(head + b"\r\n")))
            count = len(app.seen) + 5
            await until(lambda count=count: len(app.seen) >= count)  # type: ignore[misc]
            await door.close()
            assert door.connections == 0
            await asyncio.gather(*asking)
            await until(lambda: session.tunnels == 0)
        await until(lambda: len(asyncio.all_tasks()) == before)
    finally:
        await session.stop()
        await app.stop()


async def test_a_door_that_cannot_open_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with public() as found:

        async def fail(*_: object, **__: object) -> None:
            raise OSError("taken")

        made = bound()
        door = door_at(made, found.session, found.visitors)
        with monkeypatch.context() as patch:
            patch.setattr(asyncio.get_running_loop(), "create_server", fail)
            with pytest.raises(OSError, match="taken"):
                await door.open()
        assert made.fileno() == -1
        assert door._passage._client.closed
