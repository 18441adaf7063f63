"""The log's page as a user reads it: following, paused, searched, kept, and without a server."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from bai_spawner.server_extension.output import BoundedFile, session_log
from tests.deployment import REPO, Deployment
from tests.session import Session as Jupyter

SERVER = """
import sys; sys.path.append({repo!r})
from functools import partial
from pathlib import Path
from jupyter_server.serverapp import ServerApp
from tornado.netutil import bind_sockets
from traitlets.config import Config
from bai_spawner.server_extension import app, log
app.PARTS = ("log",)
log.part = partial(log.part, path=Path(sys.argv[1]))
server = ServerApp.instance(port=0, config=Config(
    ServerApp={{"allow_unauthenticated_access": False, "base_url": "/user/alice/one/",
               "jpserver_extensions": {{"bai_spawner.server_extension": True}},
               "open_browser": False, "root_dir": sys.argv[3], "allow_root": True}},
    IdentityProvider={{"token": "t"}},
))
server.initialize(argv=[], new_httpserver=True, find_extensions=False)
sockets = bind_sockets(int(sys.argv[2]), "127.0.0.1")
server.http_server.add_sockets(sockets)
print(sockets[0].getsockname()[1], flush=True)
server.start()
"""

SERVICE_URL = "http://172.30.0.1:8002/services/sessions/"

Axe = Callable[[Page], list[str]]
Shots = Callable[[Page, str], None]


class Session:
    """A Jupyter server with the log's part, and who writes the log."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.port = folder, 0
        (folder / "work").mkdir()
        self.path = Path(session_log(str(folder / "run")))
        self._file = BoundedFile(str(self.path))
        self.start()

    def start(self) -> None:
        work = self._folder / "work"
        environ = {"HOME": str(work), "PATH": "/usr/bin:/bin", "JUPYTER_NO_CONFIG": "1"}
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-c", SERVER.format(repo=str(REPO))),
                    *(str(self.path), str(self.port), str(work)),
                ],
                env={**environ, "BAI_SESSION_NAME": "mine1", "BAI_SERVICE_URL": SERVICE_URL},
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout
        self.port = int(self._process.stdout.readline())

    def begin_anew(self) -> None:
        self._file.clear()
        self.write("begun\n")

    def stop(self) -> None:
        self._process.terminate()
        self._process.communicate()

    def write(self, text: str) -> None:
        self._file.write(text.encode())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/user/alice/one/bai/log"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    made = Session(tmp_path_factory.mktemp("session"))
    yield made
    made.stop()


@pytest.fixture
def session(server: Session) -> Session:
    """The server, its log begun anew."""
    server.begin_anew()
    return server


@pytest.fixture
def opened(browser: Browser, session: Session) -> Iterator[Callable[..., Page]]:
    """Opens the page in a browser of its own, logged in; waits until it follows."""
    contexts: list[BrowserContext] = []

    def open_one(*, ready: bool = True, **options: object) -> Page:
        size = {"viewport": {"width": 1100, "height": 700}}
        context = browser.new_context(**{**size, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: pytest.fail(str(error)))
        page.goto(f"{session.url}?token=t")
        if ready:
            expect(page.locator("#state")).to_have_text("Following")
        return page

    yield open_one
    for context in contexts:
        context.close()


def shown(page: Page) -> list[str]:
    return page.locator("#log > div").all_inner_texts()


def at_the_end(page: Page) -> bool:
    look = "(box) => box.scrollHeight - box.scrollTop - box.clientHeight < 2"
    return bool(page.locator("#log").evaluate(look))


def follow(page: Page) -> None:
    page.get_by_role("button", name="Follow").click()


def search(page: Page, text: str) -> None:
    page.get_by_label("Search").fill(text)


def highlighted(page: Page, name: str = "hit") -> list[str]:
    """What is marked, as text."""
    return list(
        page.evaluate(
            """(name) => [...(CSS.highlights.get(name) ?? [])].map((one) => {
                const range = document.createRange();
                range.setStart(one.startContainer, one.startOffset);
                range.setEnd(one.endContainer, one.endOffset);
                return range.toString();
            })""",
            name,
        )
    )


def test_what_is_written_is_shown_at_once_and_at_the_end(
    session: Session, opened: Callable[..., Page]
) -> None:
    page = opened()
    expect(page).to_have_title("Log of mine1")
    expect(page.locator("#log")).to_have_text("begun")
    for n in range(5):
        session.write("".join(f"line {n}-{i}\n" for i in range(100)))
        expect(page.get_by_text(f"line {n}-99", exact=True)).to_be_in_viewport()
    assert shown(page) == ["begun", *(f"line {n}-{i}" for n in range(5) for i in range(100))]
    assert at_the_end(page)


def test_a_paused_log_stands_still_and_nothing_is_lost(
    session: Session, opened: Callable[..., Page]
) -> None:
    session.write("".join(f"old {n}\n" for n in range(200)))
    page = opened()
    expect(page.get_by_text("old 199")).to_be_in_viewport()
    follow(page)
    expect(page.locator("#state")).to_have_text("Paused")
    expect(page.get_by_role("button", name="Follow")).to_have_attribute("aria-pressed", "false")
    session.write("new 1\nnew 2\n")
    expect(page.locator("#waiting")).to_have_text("2 new lines")
    expect(page.get_by_text("new 2")).to_have_count(0)
    follow(page)
    expect(page.get_by_text("new 2")).to_be_in_viewport()
    expect(page.locator("#waiting")).to_be_empty()
    expect(page.locator("#state")).to_have_text("Following")


def test_who_scrolls_back_reads_undisturbed(session: Session, opened: Callable[..., Page]) -> None:
    session.write("".join(f"old {n}\n" for n in range(400)))
    page = opened()
    expect(page.get_by_text("old 399")).to_be_in_viewport()
    page.locator("#log").focus()
    page.keyboard.press("Home")
    expect(page.locator("#state")).to_have_text("Paused")
    expect(page.get_by_text("begun")).to_be_in_viewport()
    session.write("new\n")
    expect(page.locator("#waiting")).to_have_text("1 new line")
    expect(page.get_by_text("begun")).to_be_in_viewport()


def test_hits_are_counted_marked_and_gone_through(
    session: Session, opened: Callable[..., Page], shots: Shots
) -> None:
    session.write("".join(f"line {n}\n" for n in range(300)))
    session.write("Needle\n" + "between\n" * 100 + "a \x1b[31mnee\x1b[1mdle\x1b[0m and a NEEDLE\n")
    page = opened()
    hits = page.locator("#hits")
    search(page, "needle")
    expect(hits).to_have_text("3 hits")
    assert highlighted(page) == ["Needle", "needle", "NEEDLE"]
    page.keyboard.press("Enter")
    expect(hits).to_have_text("3 of 3")
    page.get_by_role("button", name="Next").click()
    expect(hits).to_have_text("1 of 3")
    expect(page.get_by_text("Needle", exact=True)).to_be_in_viewport()
    expect(page.locator("#state")).to_have_text("Paused")
    assert highlighted(page, "current-hit") == ["Needle"]
    shots(page, "log-search")
    page.get_by_role("button", name="Previous").click()
    page.get_by_role("button", name="Previous").click()
    expect(hits).to_have_text("2 of 3")
    assert highlighted(page, "current-hit") == ["needle"]
    follow(page)
    session.write("one more needle\n")
    expect(hits).to_have_text("2 of 4")
    search(page, ".*")
    expect(hits).to_have_text("No hits")
    expect(page.get_by_role("button", name="Next")).to_be_disabled()
    search(page, "")
    expect(hits).to_be_empty()
    assert highlighted(page) == []


def style(page: Page, text: str, name: str) -> str:
    found = page.locator("#log span", has_text=re.compile(f"^{text}$"))
    return str(found.evaluate(f"(element) => getComputedStyle(element)['{name}']"))


def test_colours_are_shown_and_other_sequences_are_not(
    session: Session, opened: Callable[..., Page]
) -> None:
    session.write(
        "\x1b[31mred\x1b[0m \x1b[1mbold\x1b[22m \x1b[38;5;208mindexed\x1b[m "
        "\x1b[38;2;1;2;3mdirect\x1b[m \x1b[38:2::4:5:6mcolons\x1b[m \x1b[7minverse\x1b[m\n"
        "\x1b]0;a title\x07a \x1b]8;;http://example.org\x1b\\link\x1b]8;;\x1b\\ "
        "\x1b[?25l\x1b[2J\x1b(B\x07\x00end\n"
        " 10%\r 50%\r100%\nlonger\rshort\nerased\r\x1b[Knew\n"
        "\x1b[32mgreen goes\non\x1b[0m and ends\n"
    )
    session.write("half a sequence \x1b[3")
    page = opened()
    session.write("3myellow\x1b[0m\n")
    expect(page.get_by_text("yellow")).to_be_visible()
    assert shown(page)[1:] == [
        "red bold indexed direct colons inverse",
        "a link end",
        "100%",
        "shortr",
        "new",
        "green goes",
        "on and ends",
        "half a sequence yellow",
    ]
    assert style(page, "red", "color") == "rgb(179, 38, 30)"
    assert style(page, "bold", "fontWeight") == "700"
    assert style(page, "indexed", "color") == "rgb(255, 135, 0)"
    assert style(page, "direct", "color") == "rgb(1, 2, 3)"
    assert style(page, "colons", "color") == "rgb(4, 5, 6)"
    assert style(page, "inverse", "backgroundColor") == style(page, "red", "color").replace(
        "179, 38, 30", "31, 31, 35"
    )
    assert style(page, "green goes", "color") == style(page, "on", "color")


def test_a_line_that_is_not_ended_is_shown_and_then_completed(
    session: Session, opened: Callable[..., Page]
) -> None:
    page = opened()
    session.write("waiting for")
    expect(page.locator("#log > div").last).to_have_text("waiting for")
    session.write(" it: done\n")
    expect(page.locator("#log > div").last).to_have_text("waiting for it: done")
    assert shown(page) == ["begun", "waiting for it: done"]


def test_markup_is_text(session: Session, opened: Callable[..., Page]) -> None:
    markup = "<img src=x onerror=document.title='run'> <script>document.title='run'</script> &lt;b>"
    session.write(f"{markup}\n\x1b[31m{markup}\x1b[0m\n\x1b]8;;javascript:1\x07x\x1b]8;;\x07\n")
    page = opened()
    expect(page.get_by_text("&lt;b>")).to_have_count(2)
    search(page, "<script>")
    expect(page.locator("#hits")).to_have_text("2 hits")
    assert shown(page)[1:] == [markup, markup, "x"]
    assert page.locator("#log :is(img, script, a, b)").count() == 0
    expect(page).to_have_title("Log of mine1")


def test_the_page_is_bounded_and_says_so(session: Session, opened: Callable[..., Page]) -> None:
    session.write("x" * 30_000 + "\n")
    page = opened()
    expect(page.locator("#log > div").last).to_contain_text("… (20,000 more characters)")
    for n in range(8):
        session.write("".join(f"{n}-{i}\n" for i in range(1000)))
    expect(page.get_by_text("7-999")).to_be_in_viewport()
    assert shown(page) == [f"{n}-{i}" for n in range(3, 8) for i in range(1000)]
    expect(
        page.get_by_text("Older lines are not shown: the page has room for 5,000")
    ).to_be_visible()


def test_a_flood_while_paused_is_bounded(session: Session, opened: Callable[..., Page]) -> None:
    page = opened()
    follow(page)
    for n in range(12):
        session.write("".join(f"{n}-{i}\n" for i in range(1000)))
    expect(page.locator("#waiting")).to_have_text("12,000 new lines")
    follow(page)
    expect(page.get_by_text("11-999")).to_be_in_viewport()
    assert shown(page)[-1000:] == [f"11-{i}" for i in range(1000)]
    assert len(shown(page)) <= 5000


def test_the_log_can_be_kept(session: Session, opened: Callable[..., Page]) -> None:
    session.write("\x1b[31mred\x1b[0m\n☃\n")
    page = opened()
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download").click()
    assert waiting.value.suggested_filename == "mine1.log"
    content = Path(waiting.value.path()).read_text()
    assert content == "begun\n\x1b[31mred\x1b[0m\n☃\n"


def test_it_says_that_the_session_is_away_and_goes_on_where_it_was(
    session: Session, opened: Callable[..., Page], shots: Shots
) -> None:
    page = opened()
    context = page.context
    context.set_offline(True)
    session.stop()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("The log cannot be read: the session does not answer")
    expect(alert).to_contain_text("Trying again in")
    expect(page.locator("#state")).to_have_text("Not connected")
    assert shown(page) == ["begun"]
    shots(page, "log-away")
    session.write("meanwhile\n")
    session.start()
    context.set_offline(False)
    expect(page.locator("#state")).to_have_text("Following", timeout=40_000)
    expect(page.get_by_text("meanwhile")).to_be_visible()
    expect(page.get_by_text("The session's server was started again")).to_be_visible()
    expect(alert).to_be_empty()


def test_a_network_drop_neither_repeats_nor_loses_a_line(
    session: Session, opened: Callable[..., Page]
) -> None:
    page = opened()
    asked: list[str | None] = []
    page.on("request", lambda request: asked.append(request.headers.get("last-event-id")))
    session.write("one\n")
    expect(page.get_by_text("one")).to_be_visible()
    page.context.set_offline(True)
    # a stream that is open already goes on where a browser is offline: it is closed for it
    page.evaluate("window.stop()")
    expect(page.locator("#state")).to_have_text("Not connected")
    session.write("two\n")
    page.context.set_offline(False)
    expect(page.get_by_text("two")).to_be_visible()
    session.write("three\n")
    expect(page.get_by_text("three")).to_be_visible()
    assert shown(page) == ["begun", "one", "two", "three"]
    assert asked[-1]


def hide(page: Page, *, hidden: bool) -> None:
    """What a browser does when another tab is chosen, or this one again."""
    page.evaluate(
        """(hidden) => {
            Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def test_a_page_that_nobody_sees_has_no_connection_and_misses_nothing(
    session: Session, opened: Callable[..., Page]
) -> None:
    page = opened()
    expect(page.locator("#log")).to_have_text("begun")
    with page.expect_event("requestfailed") as ended:
        hide(page, hidden=True)
    assert "bai/api/log" in ended.value.url
    expect(page.locator("#state")).to_have_text("Not connected")
    session.write("meanwhile\n")
    hide(page, hidden=False)
    expect(page.get_by_text("meanwhile")).to_be_visible()
    expect(page.locator("#state")).to_have_text("Following")
    expect(page.get_by_role("alert")).to_be_empty()
    assert shown(page) == ["begun", "meanwhile"]


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (403, '{"message": "Forbidden"}', "Forbidden (HTTP 403). If you were logged out"),
        (404, '{"message": "no <b>log</b>"}', "no <b>log</b> (HTTP 404)"),
        (503, "<html>a proxy's page</html>", "HTTP 503. Trying again in 1 second"),
        (429, '{"message": "too many"}', "too many (HTTP 429). Trying again in"),
        (200, "<html>a login page</html>", "it answers with something else. Trying again in"),
    ],
)
def test_a_failed_fetch_never_looks_like_an_empty_log(
    browser: Browser, session: Session, status: int, body: str, words: str
) -> None:
    with browser.new_context() as context:
        page = context.new_page()

        def refuse(route: Route) -> None:
            route.fulfill(status=status, body=body, content_type="text/html")

        page.route("**/bai/api/log?**", refuse)
        page.goto(f"{session.url}?token=t")
        expect(page.get_by_role("alert")).to_contain_text(f"The log cannot be read: {words}")
        expect(page.locator("#state")).to_have_text("Not connected")
        expect(page.get_by_text("Nothing has been written")).to_have_count(0)
        page.unroute("**/bai/api/log?**")
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_text("begun")).to_be_visible()
        expect(page.get_by_role("alert")).to_be_empty()


def test_a_session_that_ended_says_so_and_leads_to_where_its_log_is_kept(
    session: Session, opened: Callable[..., Page], axe: Axe
) -> None:
    page = opened()
    expect(page.get_by_text("begun")).to_be_visible()
    # what JupyterHub answers for a server that is not there
    gone = {"status": 424, "body": '{"message": "JupyterHub server no longer running"}'}
    page.route("**/bai/api/log?**", lambda route: route.fulfill(**gone))
    page.evaluate("window.stop()")
    alert = page.get_by_role("alert")
    expect(alert).to_have_text("The session is not running any more: nothing is added to this log.")
    expect(page.locator("#state")).to_have_text("Not connected")
    expect(page.get_by_role("link", name="Sessions")).to_have_attribute(
        "href", "/services/sessions/"
    )
    assert shown(page) == ["begun"]
    assert axe(page) == []
    page.unroute("**/bai/api/log?**")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#state")).to_have_text("Following")
    expect(page.get_by_role("link", name="Sessions")).to_be_hidden()


def test_a_log_that_is_none_is_said_to_be(session: Session, opened: Callable[..., Page]) -> None:
    session.path.unlink()
    session.path.mkdir()
    try:
        page = opened(ready=False)
        words = "this session has no log to read: session.log is no file (HTTP 404)"
        expect(page.get_by_role("alert")).to_contain_text(words)
    finally:
        session.path.rmdir()


def test_an_empty_log_is_said_to_be(session: Session, opened: Callable[..., Page]) -> None:
    session.path.write_text("")
    page = opened()
    expect(page.get_by_text("Nothing has been written yet.")).to_be_visible()
    session.write("now\n")
    expect(page.get_by_text("now")).to_be_visible()
    expect(page.get_by_text("Nothing has been written yet.")).to_have_count(0)


def test_it_is_read_through_the_hub_by_its_own_login(
    deployment: Deployment, login: Callable[..., Page], shots: Shots
) -> None:
    page = login("gina")
    visitor = deployment.login("gina")
    assert visitor.start("logged", {}).is_success
    assert visitor.ready("logged")
    page.goto(f"{deployment.url}/user/gina/logged/bai/log")
    expect(page.locator("#state")).to_have_text("Following")
    expect(page.get_by_text("jupyter_server_proxy").first).to_be_visible()
    running = Jupyter(deployment, visitor, "logged")
    # an app writes where the server does, which started it
    there = f"/proc/{running.processes('bin/bai-session')[-1]}/fd/1"
    running.run("sh", "-c", f"bai-app tensorboard sh -c 'echo from an app >&2' >{there}")
    expect(page.get_by_text("tensorboard: from an app")).to_be_in_viewport()
    assert "tensorboard: from an app\n" in running.container.logs().decode()
    running.http.close()
    shots(page, "log-hub")
    visitor.stop_all()
    expect(page.get_by_role("alert")).to_contain_text(
        "The session is not running any more", timeout=30_000
    )
    page.get_by_role("link", name="Sessions").click()
    page.wait_for_url("**/services/sessions/")


def test_without_javascript_there_is_the_plain_text(
    session: Session, opened: Callable[..., Page]
) -> None:
    page = opened(ready=False, java_script_enabled=False)
    page.get_by_role("link", name="Here is the log as plain text.").click()
    expect(page.get_by_text("begun")).to_be_visible()


def test_it_works_by_keyboard(session: Session, opened: Callable[..., Page]) -> None:
    session.write("needle\n")
    page = opened()
    expect(page.get_by_text("needle")).to_be_visible()
    names: list[str] = []
    for _ in range(6):
        page.keyboard.press("Tab")
        names.append(str(page.evaluate("document.activeElement.id")))
        ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert ring == "solid", names[-1]
        if names[-1] == "search":
            page.keyboard.type("needle")
            expect(page.locator("#hits")).to_have_text("1 hit")
    assert names == ["follow", "", "search", "previous", "next", "log"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1100, 360])
def test_axe_finds_nothing_and_the_page_fits_the_screen(
    session: Session,
    opened: Callable[..., Page],
    shots: Shots,
    axe: Axe,
    scheme: str,
    width: int,
) -> None:
    for n in range(16):
        number = 30 + n if n < 8 else 82 + n
        ground = 40 + n if n < 8 else 92 + n
        session.write(f"\x1b[{number}mcolour {n}\x1b[0m \x1b[{ground}mground {n}\x1b[0m ")
    session.write("\n[I 2026-11-26 01:02:03.456 ServerApp] \x1b[1m\x1b[33mbold\x1b[0m " + "x" * 300)
    session.write(
        "\n\x1b[2mdim\x1b[0m \x1b[3mitalic\x1b[0m \x1b[4munderlined\x1b[0m \x1b[7minverse\x1b[0m\n"
    )
    page = opened(viewport={"width": width, "height": 700}, color_scheme=scheme)
    expect(page.get_by_text("underlined")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#log").evaluate("(box) => box.scrollWidth <= box.clientWidth")
    assert axe(page) == []
    search(page, "colour")
    page.keyboard.press("Enter")
    expect(page.locator("#hits")).to_have_text("16 of 16")
    shots(page, f"log-{scheme}-{width}")
    assert axe(page) == []
    page.route("**/bai/api/log?**", lambda route: route.fulfill(status=503))
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("HTTP 503")
    shots(page, f"log-failed-{scheme}-{width}")
    assert axe(page) == []
