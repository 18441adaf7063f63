"""A door lets through what its visitors and its app say, to the letter."""

from __future__ import annotations

import asyncio
import hashlib

import httpx
import pytest
import websockets
from websockets.asyncio.client import connect

from bai_spawner.app_proxy import passing
from tests.app_doors import (
    BIG,
    PATIENCE,
    Opened,
    RawApp,
    drained,
    opened,
    public,
    statuses,
    until,
)

pytestmark = pytest.mark.filterwarnings("error")


def ws(found: Opened, path: str = "/ws", **more: object) -> connect:
    """A WebSocket of the app's own page."""
    more = {"origin": found.origin, "compression": None, "proxy": None} | more
    return connect(f"ws://{found.host}{path}", host="127.0.0.1", **more)  # type: ignore[arg-type]


# ---- requests


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("body", [b"", b"some words"])
async def test_every_method_passes_with_and_without_a_body(method: str, body: bytes) -> None:
    async with public() as found, found.client() as browser:
        answer = await browser.request(method, "/x", content=body)
        assert answer.status_code == 200
        assert answer.content == b"the app's own words:" + body
        (seen,) = found.app.seen
        assert (seen.method, seen.body) == (method, body)
        assert len(seen.all("Content-Length")) + len(seen.all("Transfer-Encoding")) <= 1


async def test_head_is_answered_with_the_headers_of_a_get_and_no_body() -> None:
    async with public() as found, found.client() as browser:
        got = await browser.get("/x")
        head = await browser.head("/x")
        assert head.content == b""
        assert head.headers["Content-Length"] == got.headers["Content-Length"]
        for path in ("/chunked", "/big", "/big-chunked", "/204"):
            assert (await browser.head(path)).content == b""
        assert (await browser.get("/x")).text == "the app's own words:"


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body_end_where_they_should(status: int) -> None:
    async with public() as found, found.client() as browser:
        for _ in range(3):
            answer = await browser.get(f"/{status}")
            assert (answer.status_code, answer.content) == (status, b"")
            assert answer.headers["ETag"] == f'"{found.door.mark}-one"'
        assert (await browser.get("/after")).status_code == 200


async def test_chunked_bodies_pass_both_ways() -> None:
    async def pieces() -> object:
        for number in range(20):
            yield b"%d;" % number

    async with public() as found, found.client() as browser:
        answer = await browser.post("/x", content=pieces())
        expected = b"".join(b"%d;" % number for number in range(20))
        assert answer.content == b"the app's own words:" + expected
        assert found.app.seen[0].body == expected
        assert found.app.seen[0].all("Content-Length") == []
        answer = await browser.get("/chunked")
        assert answer.text == "piece 0;piece 1;piece 2;piece 3;piece 4;"


async def test_a_large_upload_arrives_whole() -> None:
    sent = bytes(range(251)) * 41_781
    async with public() as found, found.client() as browser:
        await browser.post("/x", content=sent)
        assert found.app.seen[0].body == sent
        assert found.app.seen[0].all("Content-Length") == [str(len(sent))]
        assert found.door.bytes_in == len(sent)


async def test_an_app_may_answer_before_it_has_read_everything() -> None:
    async with public() as found, found.client() as browser:
        answer = await browser.post("/early", content=bytes(4 * 1024**2))
        assert (answer.status_code, answer.text) == (413, "too much")
        assert (await browser.get("/after")).status_code == 200


@pytest.mark.parametrize("path", ["/big", "/big-chunked"])
async def test_a_large_download_arrives_whole(path: str) -> None:
    piece = bytes(range(256)) * 256
    expected = hashlib.sha256(piece * (BIG // len(piece))).hexdigest()
    got, length = hashlib.sha256(), 0
    async with (
        public() as found,
        found.client() as browser,
        browser.stream("GET", path) as answer,
    ):
        async for chunk in answer.aiter_bytes():
            got.update(chunk)
            length += len(chunk)
    assert (got.hexdigest(), length) == (expected, BIG)
    assert found.door.bytes_out == BIG


async def test_of_an_app_no_more_is_read_than_its_visitor_takes() -> None:
    async with public() as found, found.connected() as (_, writer):
        writer.transport.pause_reading()
        writer.write(f"GET /big HTTP/1.1\r\nHost: {found.host}\r\n\r\n".encode())
        await until(lambda: found.app.sent)
        before = -1
        while before != found.app.sent:
            before = found.app.sent
            await asyncio.sleep(0.2)
        assert found.app.sent < BIG / 2


async def test_a_visitor_who_reads_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passing, "STALL_SECONDS", 0.2)
    async with public() as found, found.connected() as (reader, writer):
        writer.transport.pause_reading()
        writer.write(f"GET /big HTTP/1.1\r\nHost: {found.host}\r\n\r\n".encode())
        await until(lambda: found.app.sent)
        await until(lambda: found.door.connections == 0)
        await until(lambda: found.session.tunnels == 0)
        writer.transport.resume_reading()
        assert len(await drained(reader)) < BIG


async def test_events_arrive_one_by_one() -> None:
    async with (
        public() as found,
        found.client() as browser,
        browser.stream("GET", "/sse") as answer,
    ):
        assert answer.headers["Content-Type"] == "text/event-stream"
        pieces = answer.aiter_bytes()
        for number in range(3):
            assert await anext(pieces) == f"data: {number}\n\n".encode()
            found.app.more.set()
        with pytest.raises(StopAsyncIteration):
            await anext(pieces)


async def test_an_app_learns_that_its_visitor_went_away() -> None:
    async with public() as found:
        async with found.connected() as (_, writer):
            writer.write(f"GET /slow HTTP/1.1\r\nHost: {found.host}\r\n\r\n".encode())
            await until(lambda: found.app.seen)
        async with asyncio.timeout(PATIENCE):
            await found.app.left.wait()


@pytest.mark.parametrize(
    "target",
    [
        "/a%2Fb",
        "/%2e%2e/%2E%2E/x",
        "/../x",
        "/a/../b/./c",
        "//x",
        "//evil.example/x",
        "/a//b",
        "/...",
        "/%00",
        "/%",
        "/%zz",
        "/%C3%A4?%C3%A4=%20+&&=&a=b=c?d",
        "/x?",
        "/?",
        "/x?a=/../b",
        "/:80",
        "/@x",
        "/a;b=c,d!$'()*",
        "/[x]{y}|z^`",
        "/x?[y]{z}|'\"<>",
        "/%5C",
    ],
)
async def test_addresses_arrive_to_the_letter(target: str) -> None:
    async with public() as found:
        answer = await found.raw(f"GET {target} HTTP/1.1\r\nHost: {{host}}\r\n\r\n".encode())
        assert statuses(answer) == [200], answer
        assert [seen.target for seen in found.app.seen] == [target]


async def test_many_requests_share_a_few_tunnels() -> None:
    async with public() as found, found.client() as browser:
        for number in range(100):
            assert (await browser.get(f"/{number}")).status_code == 200
        assert len(found.app.seen) == 100
        assert found.session.opened <= 3
        assert found.door.connections == 1


async def test_many_visitors_at_once_get_their_own_answers() -> None:
    async def ask(found: Opened, number: int) -> None:
        async with found.client() as browser:
            for turn in range(3):
                words = f"{number}/{turn}".encode()
                answer = await browser.post(f"/{number}", content=words)
                assert answer.content == b"the app's own words:" + words

    async with public() as found:
        await asyncio.gather(*(ask(found, number) for number in range(40)))


async def test_an_answers_own_headers_arrive_and_no_others() -> None:
    head = b"HTTP/1.1 200 Fine\r\nX-One: 1\r\nX-One: 2\r\nContent-Length: 2\r\n\r\nok"
    async with public(app=RawApp(head)) as found:
        answer = await found.raw(b"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
        lines = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")
        assert lines[0] == "HTTP/1.1 200 Fine"
        kept = {line for line in lines[1:] if not line.startswith(("Date:", "Connection:"))}
        again = "Cache-Control: private, no-cache"
        assert kept == {"X-One: 1", "X-One: 2", "Content-Length: 2", again}


async def test_bodies_that_are_compressed_stay_so() -> None:
    body = b"\x1f\x8bnot even gzip"
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with public(app=RawApp(head + body)) as found:
        answer = await found.raw(b"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
        assert answer.endswith(b"\r\n\r\n" + body)
        assert b"Content-Encoding: gzip" in answer


async def test_an_answer_that_ends_with_its_connection_arrives_whole() -> None:
    head = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + b"words" * 50_000
    async with public(app=RawApp(head)) as found, found.client() as browser:
        assert (await browser.get("/")).content == b"words" * 50_000


async def test_a_visitor_of_http_1_0_is_answered_and_closed() -> None:
    async with public() as found:
        for path in (b"/x", b"/chunked"):
            answer = await found.raw(b"GET " + path + b" HTTP/1.0\r\nHost: {host}\r\n\r\n")
            assert statuses(answer) == [200]
            assert b"chunked" not in answer.lower()
        assert answer.endswith(b"piece 4;")


async def test_a_body_that_waits_to_be_asked_for_is_asked_for() -> None:
    async with public() as found, found.connected() as (reader, writer):
        writer.write(
            f"POST /x HTTP/1.1\r\nHost: {found.host}\r\nExpect: 100-continue\r\n"
            "Content-Length: 5\r\n\r\n".encode()
        )
        async with asyncio.timeout(PATIENCE):
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"words")
            answer = await reader.readuntil(b"the app's own words:words")
        assert statuses(answer) == [200]
        (seen,) = found.app.seen
        assert seen.body == b"words"
        assert "expect" not in seen.names


async def test_what_else_is_expected_cannot_be_done() -> None:
    async with public() as found:
        answer = await found.raw(
            b"POST /x HTTP/1.1\r\nHost: {host}\r\nExpect: the impossible\r\n"
            b"Content-Length: 5\r\n\r\nwords"
        )
        assert statuses(answer) == [417]
        assert found.app.seen == []


async def test_the_app_is_told_what_its_visitors_call_it() -> None:
    async with public() as found, found.client() as browser:
        await browser.get("/x")
        (seen,) = found.app.seen
        assert seen.all("Host") == [found.host]
        assert seen.all("X-Forwarded-Host") == [found.host]
        assert seen.all("X-Forwarded-Proto") == ["http"]


async def test_an_app_that_has_a_base_address_is_found_from_the_root() -> None:
    async with public(base="/user/a%20b/one/board/") as found, found.client() as browser:
        answer = await browser.get("/?file=one%20two")
        assert answer.status_code == 303
        assert answer.headers["Location"] == "/user/a%20b/one/board/?file=one%20two"
        assert (await browser.get("/user/a%20b/one/board/")).status_code == 200
        assert found.app.seen[0].target == "/user/a%20b/one/board/"


# ---- WebSockets


async def test_messages_pass_as_they_are() -> None:
    async with public() as found, ws(found, max_size=None) as socket:
        for message in ("words", "ä" * 1000, "", b"", bytes(range(256)), bytes(3 * 1024**2)):
            await socket.send(message)
            assert await socket.recv() == message
        assert socket.subprotocol is None


async def test_the_app_chooses_among_the_subprotocols_that_were_offered() -> None:
    async with (
        public() as found,
        ws(found, subprotocols=["other", "chat.1", "chat.2"]) as socket,
    ):
        assert socket.subprotocol == "chat.1"
        (seen,) = found.app.seen
        offered = ",".join(seen.all("Sec-WebSocket-Protocol")).replace(" ", "")
        assert offered == "other,chat.1,chat.2"
        await socket.send("words")
        assert await socket.recv() == "words"


async def test_pings_pass_both_ways() -> None:
    async with public() as found, ws(found) as socket:
        async with asyncio.timeout(PATIENCE):
            await (await socket.ping(b"hello"))
        await socket.send("ping")
        assert await socket.recv() == "pong are you there"


async def test_an_apps_close_arrives_with_its_code_and_words() -> None:
    async with public() as found, ws(found) as socket:
        await socket.send("close 4321 good bye")
        with pytest.raises(websockets.ConnectionClosed):
            await socket.recv()
        assert (socket.close_code, socket.close_reason) == (4321, "good bye")
        await until(lambda: found.app.closed_with)
        assert found.app.closed_with == [4321]
        await until(lambda: found.session.tunnels == 0)


@pytest.mark.parametrize(("code", "heard"), [(4321, 4321), (1000, 1000), (1001, 1001)])
async def test_a_visitors_close_arrives_with_its_code(code: int, heard: int) -> None:
    async with public() as found:
        async with ws(found) as socket:
            await socket.close(code, "good bye")
            assert socket.close_code == code
        await until(lambda: found.app.closed_with)
        assert found.app.closed_with == [heard]
        await until(lambda: found.session.tunnels == 0)


async def test_a_visitor_who_is_gone_ends_the_apps_side() -> None:
    async with public() as found:
        async with ws(found) as socket:
            await socket.send("words")
            await socket.recv()
            socket.transport.abort()
        await until(lambda: found.app.left.is_set() and found.session.tunnels == 0)


async def test_an_app_that_dies_ends_the_visitors_side() -> None:
    async with public() as found, ws(found) as socket:
        await socket.send("die")
        with pytest.raises(websockets.ConnectionClosed):
            await asyncio.wait_for(socket.recv(), PATIENCE)
        assert socket.close_code != 1000
        await until(lambda: found.door.connections == 0)


async def test_an_app_that_refuses_a_websocket_is_heard() -> None:
    async with public() as found, found.client() as browser:
        for path, status in (("/ws-refused", 403), ("/x", 502)):
            with pytest.raises(websockets.InvalidStatus) as refused:
                await ws(found, path).__aenter__()
            assert refused.value.response.status_code == status
        assert (await browser.get("/after")).status_code == 200


async def test_a_message_that_is_too_long_ends_a_websocket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(passing, "LONGEST_MESSAGE", 1024)
    async with public() as found, ws(found) as socket:
        await socket.send(bytes(1025))
        with pytest.raises(websockets.ConnectionClosed):
            await asyncio.wait_for(socket.recv(), PATIENCE)
        assert socket.close_code == 1009
        await until(found.app.left.is_set)


async def test_a_visitor_who_offers_compression_gets_none() -> None:
    async with public() as found, ws(found, compression="deflate") as socket:
        await socket.send("words")
        assert await socket.recv() == "words"
        assert "sec-websocket-extensions" not in found.app.seen[0].names


# ---- an app that is not there


async def test_an_app_that_starts_is_asked_for_again() -> None:
    async with public() as found, found.client() as browser:
        found.session.says = (503, {"state": "starting"})
        answer = await browser.get("/x")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
        assert 'http-equiv="refresh"' in answer.text
        assert "The &lt;board&gt; starts" in answer.text
        found.session.says = None
        assert (await browser.get("/x")).status_code == 200


@pytest.mark.parametrize(
    "said", [(503, {"state": "failed"}), (404, {}), (403, {}), (409, {}), (503, {})]
)
async def test_why_there_is_no_way_to_the_app_is_said(said: tuple[int, dict[str, str]]) -> None:
    async with public() as found, found.client() as browser:
        found.session.says = said
        answer = await browser.get("/x")
        assert answer.status_code == 503
        assert f"It says {said[0]}." in answer.text
        assert "<a " not in answer.text
        with pytest.raises(websockets.InvalidStatus) as refused:
            await ws(found).__aenter__()
        assert refused.value.response.status_code == 503


async def test_who_may_start_an_app_is_led_to_where_it_starts() -> None:
    async with opened() as found, found.client(Cookie=await found.cookie()) as browser:
        found.session.says = (503, {"state": "failed", "message": "<script>x</script>"})
        answer = await browser.get("/x")
        assert answer.status_code == 503
        assert 'href="http://127.0.0.1:8000/user/ada/one/bai/apps/board"' in answer.text
        assert "<script" not in answer.text


async def test_a_session_that_is_gone_is_no_riddle() -> None:
    async with public() as found, found.client() as browser:
        await found.session.stop()
        answer = await browser.get("/x")
        assert answer.status_code == 502
        assert "The session does not answer" in answer.text


async def test_a_session_that_says_nothing_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bai_spawner.app_proxy.tunnels.OPEN_SECONDS", 0.1)
    async with public() as found, found.client() as browser:
        found.session.hangs = True
        answer = await browser.get("/x")
        assert answer.status_code == 502
        assert "The session does not answer" in answer.text


@pytest.mark.parametrize(
    "half",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nwords",
        b"what is this",
    ],
)
async def test_an_app_that_dies_before_it_answers_is_said_to_have(half: bytes) -> None:
    async with public(app=RawApp(half)) as found, found.client() as browser:
        answer = await browser.get("/x")
        assert answer.status_code == 502
        assert "The app broke off before it answered." in answer.text


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
@pytest.mark.parametrize("framing", [b"Content-Length: 900000", b"Transfer-Encoding: chunked"])
async def test_an_answer_that_breaks_off_does_not_look_whole(
    version: bytes, framing: bytes
) -> None:
    piece = b"x" * 200_000
    body = b"30d40\r\n" + piece + b"\r\n" if b"chunked" in framing else piece
    app = RawApp(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + body)
    async with public(app=app) as found, found.connected() as (reader, writer):
        writer.write(b"GET / HTTP/" + version + b"\r\nHost: " + found.host.encode() + b"\r\n\r\n")
        got, reset = bytearray(), False
        try:
            async with asyncio.timeout(PATIENCE):
                while chunk := await reader.read(65536):
                    got += chunk
        except ConnectionResetError:
            reset = True
        # what ends with its connection has no other way to be broken
        assert reset or (version == b"1.1" and not got.endswith(b"0\r\n\r\n"))
        assert statuses(bytes(got)) in ([200], [])


# ---- the end


async def test_a_door_that_closes_breaks_off_what_is_under_way() -> None:
    async with public() as found:
        async with ws(found) as talking, ws(found, "/ws-hangs") as hanging, found.client() as b:
            await talking.send("words")
            await talking.recv()
            asking = asyncio.create_task(b.get("/slow"))
            await until(lambda: any(seen.target == "/slow" for seen in found.app.seen))
            async with asyncio.timeout(PATIENCE):
                await found.door.close()
            for socket in (talking, hanging):
                with pytest.raises(websockets.ConnectionClosed):
                    await asyncio.wait_for(socket.recv(), PATIENCE)
            with pytest.raises(httpx.HTTPError):
                await asking
        assert found.door.connections == 0
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", found.port)
        await until(lambda: found.session.tunnels == 0)


async def test_closing_twice_does_nothing_more() -> None:
    async with public() as found:
        await found.door.close()


async def test_a_door_counts_what_passed() -> None:
    async with public() as found, found.client() as browser:
        assert found.door.last_used is None
        await browser.post("/x", content=b"12345")
        assert (found.door.bytes_in, found.door.bytes_out) == (5, len("the app's own words:12345"))
        assert found.door.last_used is not None
