"""The session's log as text, followed, and the page's files: whole, bounded, and told apart."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from bai_spawner.server_extension import log
from bai_spawner.server_extension.log.following import MOST_FOLLOWERS, PIECE
from bai_spawner.server_extension.log.page import STATIC
from bai_spawner.server_extension.log.reading import MOST
from bai_spawner.server_extension.output import BoundedFile
from tests.inside.conftest import Serve, Served

API, PAGE = "bai/api/log", "bai/log"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the log is, which is not there yet."""
    found = tmp_path / "run/log/session.log"
    found.parent.mkdir(parents=True)
    monkeypatch.setattr(log, "part", partial(log.part, path=found))
    monkeypatch.setattr("bai_spawner.server_extension.log.following.LOOK_SECONDS", 0.02)
    return found


@pytest.fixture
async def served(serve: Serve, path: Path) -> Served:
    made: Served = await serve("log")
    return made


@pytest.fixture
def kept(path: Path) -> BoundedFile:
    """What writes the log, in files of 1,000 bytes."""
    return BoundedFile(str(path), most=1000)


def put(path: Path, content: str | bytes, *, more: bool = False) -> None:
    """Writes the log in the tests' own way."""
    with path.open("ab" if more else "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)


class Follower:
    """A client that follows."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def event(self) -> dict[str, str]:
        """The next event; comments, which keep a client waiting for ever, are passed over."""
        async with asyncio.timeout(20):
            return await self._event()

    async def _event(self) -> dict[str, str]:
        found: dict[str, str] = {}
        async for line in self._lines:
            if not line and found:
                return {**found, "data": json.loads(found["data"])}
            name, _, value = line.partition(": ")
            if name:
                found[name] = value
        raise EOFError

    async def text(self, until: str) -> tuple[str, str]:
        """What comes until it ends with this, joined; and the mark after it."""
        found, mark = "", ""
        while not found.endswith(until):
            event = await self.event()
            assert "event" not in event, event
            found, mark = found + event["data"], event["id"]
        return found, mark


@asynccontextmanager
async def following(served: Served, lines: int = 1000, mark: str = "") -> AsyncIterator[Follower]:
    headers = {"Last-Event-ID": mark.encode()} if mark else {}
    options = {"follow": 1, "lines": lines}
    async with served.allowed.stream("GET", API, params=options, headers=headers) as response:
        yield Follower(response)


@pytest.mark.parametrize("options", [{}, {"lines": "5"}, {"follow": "1"}])
async def test_the_log_is_for_whom_the_server_lets_in(
    served: Served, path: Path, options: dict[str, str]
) -> None:
    put(path, "a secret\n")
    async with served.allowed.stream("GET", API, params=options) as answer:
        assert answer.status_code == 200
    for client in (served.stranger, served.allowed):
        answer = await client.get(API, params=options)
        assert answer.status_code == 403
        assert "secret" not in answer.text
        served.forbidden()


async def test_the_page_is_for_whom_the_server_lets_in(served: Served) -> None:
    assert (await served.allowed.get(PAGE)).status_code == 200
    stranger = await served.stranger.get(PAGE)
    assert stranger.status_code == 302
    assert "/login?next=" in stranger.headers["Location"]
    served.forbidden()
    assert (await served.allowed.get(PAGE)).status_code == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("url", [API, PAGE, f"{PAGE}/static/log.js"])
async def test_nothing_can_be_changed(served: Served, url: str, method: str) -> None:
    assert (await served.allowed.request(method, url)).status_code == 405
    assert (await served.stranger.request(method, url)).status_code in {403, 405}


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"lines": "0"}, "lines"),
        ({"lines": "10001"}, "lines"),
        ({"lines": "-1"}, "lines"),
        ({"lines": "1.5"}, "lines"),
        ({"lines": "1e3"}, "lines"),
        ({"lines": ""}, "lines"),
        ({"lines": " 5"}, "lines"),
        ({"lines": "٥"}, "lines"),
        ({"lines": "9" * 5000}, "lines"),
        ({"lines": ["1", "2"]}, "lines"),
        ({"follow": "2"}, "follow"),
        ({"follow": "true"}, "follow"),
        ({"follow": ""}, "follow"),
        ({"path": "/etc/passwd"}, "option"),
        ({"file": "session.log.1"}, "option"),
        ({"lines": "5", "name": "../x"}, "option"),
    ],
)
async def test_an_option_that_is_not_accepted_is_refused_by_name(
    served: Served, path: Path, options: dict[str, Any], field: str
) -> None:
    put(path, "one\n")
    answer = await served.allowed.get(API, params=options)
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert len(answer.content) < 400


async def test_the_last_lines_are_answered_as_plain_text(served: Served, path: Path) -> None:
    put(path, "one\n<script>alert(1)</script>\n\x1b[31mthree\x1b[0m")
    answer = await served.allowed.get(API, params={"lines": "2"})
    assert answer.text == "<script>alert(1)</script>\n\x1b[31mthree\x1b[0m"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("content", "lines", "expected"),
    [
        (b"", 1, ""),
        (b"\n", 1, "\n"),
        (b"a", 1, "a"),
        (b"a\n\n\n", 2, "\n\n"),
        (b"a\nb\nc\n", 3, "a\nb\nc\n"),
        (b"a\nb\nc\n", 10_000, "a\nb\nc\n"),
        (b"\xff\x00\xc3\xa9\xc3", 1, "\ufffd\0é\ufffd"),
    ],
)
async def test_lines_are_counted_from_the_end(
    served: Served, path: Path, content: bytes, lines: int, expected: str
) -> None:
    put(path, content)
    assert (await served.allowed.get(API, params={"lines": lines})).text == expected


async def test_a_thousand_lines_are_answered_unless_said(served: Served, path: Path) -> None:
    put(path, "".join(f"{n}\n" for n in range(3000)))
    answer = await served.allowed.get(API)
    assert answer.text.splitlines() == [str(n) for n in range(2000, 3000)]


async def test_both_files_are_one_log(served: Served, kept: BoundedFile) -> None:
    for n in range(200):
        kept.write(b"line %d\n" % n)
    shown = (await served.allowed.get(API)).text.splitlines()
    assert shown == [f"line {n}" for n in range(200 - len(shown), 200)]
    assert len("\n".join(shown)) > 1000


async def test_an_answer_is_bounded_whatever_lies_there(served: Served, path: Path) -> None:
    put(path, (b"x" * 999 + b"\n") * 5000)
    answer = await served.allowed.get(API, params={"lines": 10_000})
    assert MOST - 1000 < len(answer.content) <= MOST
    assert set(answer.text.splitlines()) == {"x" * 999}
    put(path, b"y" * (MOST + 5))
    assert len((await served.allowed.get(API)).content) == MOST


@pytest.mark.parametrize("kind", ["nothing", "a link", "a pipe", "a folder", "no folder"])
@pytest.mark.parametrize("follow", ["0", "1"])
async def test_a_log_that_is_none_is_never_an_empty_one(
    served: Served, path: Path, tmp_path: Path, kind: str, follow: str
) -> None:
    (tmp_path / "other").write_text("not the log")
    make: dict[str, Callable[[], None]] = {
        "nothing": lambda: None,
        "a link": lambda: path.symlink_to(tmp_path / "other"),
        "a pipe": lambda: os.mkfifo(path),
        "a folder": path.mkdir,
        "no folder": path.parent.rmdir,
    }
    make[kind]()
    answer = await served.allowed.get(API, params={"follow": follow})
    assert answer.status_code == 404
    assert answer.json()["message"].startswith("this session has no log to read: ")
    assert str(tmp_path) not in answer.text


async def test_a_follower_gets_the_last_lines_and_what_comes(served: Served, path: Path) -> None:
    put(path, "one\ntwo\nthree\n")
    async with following(served, lines=2) as follower:
        assert follower.response.headers["Content-Type"] == "text/event-stream"
        assert follower.response.headers["X-Content-Type-Options"] == "nosniff"
        assert follower.response.headers["Cache-Control"] == "no-store"
        assert (await follower.text("three\n"))[0] == "two\nthree\n"
        put(path, "</div>\r\nevent: gap\ndata: x\n\nfive\n", more=True)
        assert (await follower.text("five\n"))[0] == "</div>\r\nevent: gap\ndata: x\n\nfive\n"


async def test_a_character_is_never_cut_and_a_line_without_an_end_is_shown(
    served: Served, path: Path
) -> None:
    put(path, "a line\n☃".encode()[:-1])
    async with following(served) as follower:
        assert (await follower.text("line\n"))[0] == "a line\n"
        put(path, "☃".encode()[-1:] + b" and so on", more=True)
        assert (await follower.text("so on"))[0] == "☃ and so on"


async def test_a_follower_misses_nothing_when_the_files_turn(
    served: Served, kept: BoundedFile
) -> None:
    kept.write(b"begun\n")
    async with following(served) as follower:
        assert (await follower.text("begun\n"))[0] == "begun\n"
        for n in range(0, 500, 50):
            written = "".join(f"line {i}\n" for i in range(n, n + 50))
            kept.write(written.encode())
            assert (await follower.text(f"line {n + 49}\n"))[0] == written


async def test_who_comes_back_goes_on_where_it_was(served: Served, kept: BoundedFile) -> None:
    kept.write(b"one\ntwo\n")
    async with following(served) as follower:
        _, mark = await follower.text("two\n")
    kept.write(b"three\n" * 200)
    async with following(served, mark=mark) as follower:
        assert (await follower.text("three\n" * 200))[0] == "three\n" * 200


async def test_who_comes_back_too_late_is_told(served: Served, kept: BoundedFile) -> None:
    kept.write(b"one\n")
    async with following(served) as follower:
        _, mark = await follower.text("one\n")
    for n in range(1000):
        kept.write(b"line %d\n" % n)
    async with following(served, mark=mark) as follower:
        gap = await follower.event()
        assert gap["event"] == "gap"
        assert "missing" in gap["data"]
        assert "id" not in gap
        shown, mark = await follower.text("line 999\n")
    assert re.fullmatch(r"(line \d+\n){100,}", shown)
    async with following(served, mark=mark) as follower:
        kept.write(b"more\n")
        assert (await follower.text("more\n"))[0] == "more\n"


@pytest.mark.parametrize("mark", ["0badcafe-3", "x", "-", "٣", "{name}-", "{name}-٣", "{name}--1"])
async def test_a_mark_of_another_server_is_told_and_begins_anew(
    served: Served, path: Path, mark: str
) -> None:
    put(path, "one\ntwo\n")
    async with following(served) as follower:
        name = (await follower.text("two\n"))[1].partition("-")[0]
    mark = mark.replace("{name}", name)
    async with following(served, lines=1, mark=mark) as follower:
        gap = await follower.event()
        assert (gap["event"], "started again" in gap["data"]) == ("gap", True)
        assert (await follower.text("two\n"))[0] == "two\n"


async def test_a_mark_beyond_the_end_waits_for_what_comes(served: Served, path: Path) -> None:
    put(path, "one\n")
    async with following(served) as follower:
        name = (await follower.text("one\n"))[1].partition("-")[0]
    async with following(served, mark=f"{name}-{'9' * 19}") as follower:
        put(path, "two\n", more=True)
        assert (await follower.text("two\n"))[0].endswith("two\n")


async def test_a_log_that_was_emptied_is_followed_on(served: Served, path: Path) -> None:
    put(path, "one\n" * 100)
    async with following(served) as follower:
        await follower.text("one\n" * 100)
        put(path, "")
        reading = asyncio.create_task(follower.text("anew\n"))
        while not reading.done():
            put(path, "anew\n", more=True)
            await asyncio.sleep(0.02)
        assert set((await reading)[0].splitlines()) == {"anew"}


async def test_a_flood_comes_in_pieces_and_whole(served: Served, path: Path) -> None:
    content = "".join(f"{n:099d}\n" for n in range(10_000))
    put(path, content)
    async with following(served, lines=10_000) as follower:
        found = ""
        while len(found) < len(content):
            piece = (await follower.event())["data"]
            assert len(piece) <= PIECE
            assert piece.endswith("\n")
            found += piece
    assert found == content


async def as_many_as_may(served: Served, stack: AsyncExitStack) -> list[Follower]:
    """Followers, each as soon as there is room for it."""
    found: list[Follower] = []
    async with asyncio.timeout(20):
        while len(found) < MOST_FOLLOWERS:
            follower = await stack.enter_async_context(following(served))
            if follower.response.status_code == 200:
                found.append(follower)
    return found


async def test_only_so_many_follow_and_who_leaves_makes_room(served: Served, path: Path) -> None:
    put(path, "one\n")
    for _ in range(3):
        async with AsyncExitStack() as stack:
            for follower in await as_many_as_may(served, stack):
                assert (await follower.text("one\n"))[0] == "one\n"
            answer = await served.allowed.get(API, params={"follow": "1"})
            assert answer.status_code == 429
            assert answer.json()["message"].startswith(f"{MOST_FOLLOWERS} pages follow this log")
            assert (await served.allowed.get(API)).status_code == 200


async def test_followers_are_sent_away_when_the_server_ends(served: Served, path: Path) -> None:
    put(path, "one\n")
    async with following(served) as follower:
        await follower.text("one\n")
        await served.app._cleanup()
        with pytest.raises(EOFError):
            await follower.event()


async def test_reading_the_log_is_no_activity(served: Served, path: Path) -> None:
    put(path, "one\n")
    before = served.app.web_app.settings.get("api_last_activity")
    await served.allowed.get(API)
    await served.allowed.get(PAGE)
    async with following(served) as follower:
        await follower.text("one\n")
    assert served.app.web_app.settings.get("api_last_activity") == before


async def test_the_page_runs_nothing_but_its_own_files(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAI_SESSION_NAME", '"><script>alert(1)</script>')
    answer = await served.allowed.get(PAGE)
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self'; ")
    assert "unsafe" not in policy
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "<title>Log of &quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;</title>" in answer.text
    assert re.findall(r"<script[^>]*>", answer.text) == [
        '<script type="module" src="log/static/log.js">'
    ]
    assert not re.search(r"\son\w+=|\sstyle=|<style", answer.text)
    assert "_xsrf" in answer.cookies


@pytest.mark.parametrize(
    ("told", "href"),
    [
        ("http://172.30.0.1:8002/my%20base/services/sessions/", "/my%20base/services/sessions/"),
        ('http://x/"><b>/', "/&quot;&gt;&lt;b&gt;/"),
        ("", ""),
    ],
)
async def test_the_page_knows_where_the_logs_of_ended_sessions_are(
    served: Served, monkeypatch: pytest.MonkeyPatch, told: str, href: str
) -> None:
    monkeypatch.setenv("BAI_SERVICE_URL", told)
    assert f'<a id="sessions" href="{href}">' in (await served.allowed.get(PAGE)).text


@pytest.mark.parametrize("name", sorted(p.name for p in STATIC.iterdir() if p.suffix != ".html"))
async def test_a_file_of_the_page_is_public_and_checked_again(served: Served, name: str) -> None:
    for client in (served.allowed, served.stranger):
        answer = await client.get(f"{PAGE}/static/{name}")
        assert answer.content == (STATIC / name).read_bytes()
        kind = "text/css" if name.endswith(".css") else "text/javascript"
        assert answer.headers["Content-Type"] == f"{kind}; charset=utf-8"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        again = {"If-None-Match": answer.headers["Etag"]}
        assert (await client.get(f"{PAGE}/static/{name}", headers=again)).status_code == 304


@pytest.mark.parametrize(
    "name", ["none.js", "log.html", "../page.py", "..%2fpage.py", "%2e%2e/page.py", "log_js"]
)
async def test_no_other_file_is(served: Served, name: str) -> None:
    assert (await served.allowed.get(f"{PAGE}/static/{name}")).status_code == 404


def test_no_script_of_the_page_makes_markup() -> None:
    for script in STATIC.glob("*.js"):
        text = script.read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
