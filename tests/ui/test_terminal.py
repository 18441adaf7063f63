"""The web terminal as a user meets it: shells, history, copying, and what happens when it dies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.deployment import USER_PASSWORD, Deployment, eventually

USER, SERVER = "frank", "shell"
READ, WRITE = "clipboard-read", "clipboard-write"


class Shown:
    """The terminal in a page, and what tmux says of it."""

    def __init__(self, page: Page, container: Any) -> None:
        self.page, self.container = page, container

    def tmux(self, *command: str) -> str:
        return str(self.container.exec_run(["tmux", *command]).output.decode())

    def screen(self, *which: str) -> str:
        """What is shown now; in the history too, where it is looked at."""
        return self.tmux("capture-pane", "-p", *which)

    def asked(self, what: str) -> str:
        """A property of tmux's, such as ``window_index``."""
        return self.tmux("display-message", "-p", f"#{{{what}}}").strip()

    def keys(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def commands(self, command: str) -> None:
        """Type a command of tmux's, once it asks for one."""
        self.keys("Control+b", ":")
        last = "term.buffer.active.getLine(term.buffer.active.baseY + term.rows - 1)"
        asks = f"{last}.translateToString(true).startsWith(':')"
        assert eventually(lambda: self.page.evaluate(asks))
        self.page.keyboard.type(f"{command}\n")

    def says(self, command: str, text: str) -> None:
        """Type a command, and wait for its words on the screen."""
        self.page.keyboard.type(f"{command}\n")
        assert eventually(lambda: text in self.screen()), self.screen()

    def place(self, text: str) -> tuple[float, float]:
        """The middle of the first letter of a line, on the page."""
        lines = self.screen().splitlines()
        row = next(number for number, line in enumerate(lines) if line.startswith(text))
        box = self.page.locator(".xterm-screen").bounding_box()
        assert box
        columns, rows = self.page.evaluate("[term.cols, term.rows]")
        width, height = box["width"] / columns, box["height"] / rows
        return box["x"] + width / 2, box["y"] + (row + 0.5) * height

    def drag_over(self, text: str) -> None:
        """Over all letters of a line, from the first to the last."""
        x, y = self.place(text)
        width = self.page.evaluate("term.element.querySelector('.xterm-screen').clientWidth")
        columns = self.page.evaluate("term.cols")
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + width / columns, y)
        self.page.mouse.move(x + (len(text) - 0.5) * width / columns, y)
        self.page.mouse.up()

    def clipboard(self) -> str:
        return str(self.page.evaluate("navigator.clipboard.readText()"))

    def copied(self, text: str) -> bool:
        return bool(eventually(lambda: self.clipboard() == text))


@pytest.fixture(scope="module")
def context(deployment: Deployment, browser: Browser) -> Iterator[BrowserContext]:
    """A browser of a user with a session, which all tests of this file share."""
    visitor = deployment.login(USER)
    options = {"preset": "small", "mounts": [{"folder": "data"}]}
    assert visitor.start(SERVER, options, name="tables7").is_success
    assert visitor.ready(SERVER)
    made = browser.new_context(viewport={"width": 1100, "height": 700})
    made.set_default_timeout(30_000)
    made.grant_permissions([READ, WRITE], origin=deployment.url)
    page = made.new_page()
    page.goto(f"{deployment.url}/hub/login?next=/hub/home")
    page.get_by_label("Username").fill(USER)
    page.get_by_label("Password").fill(USER_PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/hub/home")
    page.close()
    yield made
    made.close()
    visitor.stop_all()
    visitor.http.close()


@pytest.fixture
def container(deployment: Deployment) -> Any:
    """The session's container, in which no terminal runs yet."""
    found = deployment.container(USER, SERVER)
    found.exec_run(["tmux", "kill-server"])
    found.exec_run(["rm", "-rf", "/home/work/.tmux.conf", "/home/work/.config/bai"])
    return found


@pytest.fixture
def visit(
    deployment: Deployment, context: BrowserContext, container: Any
) -> Iterator[Callable[[], Shown]]:
    """Opens the terminal by its address, in a window of its own."""
    pages: list[Page] = []

    def open_one() -> Shown:
        page = context.new_page()
        pages.append(page)
        page.goto(f"{deployment.url}/user/{USER}/{SERVER}/terminal")
        page.locator(".xterm-screen").wait_for()
        shown = Shown(page, container)
        assert eventually(lambda: "$" in shown.screen())
        # tmux takes keys only once the page is attached, and xterm only with the focus
        assert eventually(lambda: len(shown.tmux("list-clients").splitlines()) == len(pages))
        page.locator(".xterm-helper-textarea").focus()
        return shown

    yield open_one
    for page in pages:
        page.close()


@pytest.fixture
def terminal(visit: Callable[[], Shown]) -> Shown:
    return visit()


def test_it_says_what_stays_and_how_to_copy_until_that_is_dismissed(
    terminal: Shown, visit: Callable[[], Shown], shots: Callable[[Page, str], None]
) -> None:
    first = terminal.screen()
    assert "Session tables7: 1 CPU core and 1 GiB of memory." in first
    assert "Kept when it ends: data. Everything else is deleted." in first.replace("\n", " ")
    assert "To copy, drag over the text" in first
    shots(terminal.page, "terminal")
    terminal.says("bai-hint off", "not shown again")
    terminal.tmux("kill-server")
    # the page says that the terminal ended, and Enter opens it again
    assert eventually(lambda: "Press Enter" in text_of(terminal.page))
    terminal.keys("Enter")
    assert eventually(lambda: "Session tables7" in terminal.screen())
    assert "To copy" not in terminal.screen()


def text_of(page: Page) -> str:
    """What the page shows, as xterm has it: tmux may be gone."""
    return str(
        page.evaluate(
            "Array.from({length: term.rows}, (_, row) => term.buffer.active"
            ".getLine(term.buffer.active.viewportY + row)?.translateToString(true)).join('\\n')"
        )
    )


def test_it_opens_as_a_tab_of_lab_and_its_files_are_labs(
    deployment: Deployment,
    context: BrowserContext,
    container: Any,
    visit: Callable[[], Shown],
    shots: Callable[[Page, str], None],
) -> None:
    lab = context.new_page()
    lab.goto(f"{deployment.url}/user/{USER}/{SERVER}/lab")
    section = lab.locator(".jp-Launcher-section", has_text="Session")
    section.locator(".jp-LauncherCard", has_text="Terminal").click()
    lab.frame_locator("#bai-terminal iframe").locator(".xterm-screen").wait_for()
    shown = Shown(lab, container)
    assert eventually(lambda: "$" in shown.screen())
    lab.frame_locator("#bai-terminal iframe").locator(".xterm-helper-textarea").focus()
    shown.says("echo kept-$((6*7)) | tee here.txt", "kept-42")
    listed = lab.locator(".jp-DirListing-item", has_text="here.txt")
    expect(listed).to_be_visible(timeout=30_000)
    shots(lab, "terminal-in-lab")
    lab.close()
    assert eventually(lambda: not shown.tmux("list-clients"))
    assert "kept-42" in visit().screen(), "by its address it is the same one"


def test_it_is_the_same_when_it_is_opened_again(
    terminal: Shown, visit: Callable[[], Shown]
) -> None:
    terminal.says("cd data; export KEPT=42; sleep 1000 & echo left-$!", "left-")
    terminal.page.close()
    assert eventually(lambda: not terminal.tmux("list-clients"))
    again = Shown(terminal.page.context.new_page(), terminal.container)
    again.page.goto(terminal.page.url)
    assert eventually(lambda: again.tmux("list-clients"))
    again.page.locator(".xterm-helper-textarea").focus()
    again.says("echo $KEPT in $PWD with $(jobs -r)", "42 in /home/work/data with [1]")
    again.page.close()


def test_shells_are_opened_listed_chosen_and_ended(
    terminal: Shown, shots: Callable[[Page, str], None]
) -> None:
    terminal.says("echo the-fir''st", "the-first")
    terminal.keys("Control+b", "c")
    assert eventually(lambda: terminal.asked("window_index") == "1")
    assert "the-first" not in terminal.screen()
    assert eventually(lambda: terminal.asked("window_name") == "bash")
    terminal.keys("Control+b", "w")
    assert eventually(lambda: terminal.asked("pane_mode") == "tree-mode")
    assert eventually(lambda: "0: bash" in text_of(terminal.page))
    assert "1: bash" in text_of(terminal.page)
    shots(terminal.page, "terminal-shells")
    terminal.keys("ArrowUp", "Enter")
    assert eventually(lambda: terminal.asked("window_index") == "0")
    assert "the-first" in terminal.screen()

    terminal.keys("Control+b", "c")
    assert eventually(lambda: terminal.asked("window_index") == "2")
    terminal.page.keyboard.type("exit\n")
    assert eventually(lambda: terminal.asked("session_windows") == "2")
    terminal.keys("Control+b", "x")
    assert eventually(lambda: "(y/n)" in text_of(terminal.page))
    terminal.keys("y")
    assert eventually(lambda: terminal.asked("session_windows") == "1")


def test_the_history_is_read_by_keyboard(terminal: Shown) -> None:
    terminal.says("seq 1 500", "\n500")
    terminal.keys("Control+b", "PageUp")
    assert eventually(lambda: terminal.asked("pane_in_mode") == "1")
    first = int(terminal.asked("scroll_position"))
    assert first > 10
    assert "[" in text_of(terminal.page).splitlines()[0], "where one is, is shown"
    terminal.keys("PageUp")
    assert eventually(lambda: int(terminal.asked("scroll_position")) > first)
    terminal.keys("PageDown")
    assert eventually(lambda: int(terminal.asked("scroll_position")) == first)
    terminal.keys("Control+b", "PageUp")
    assert eventually(lambda: int(terminal.asked("scroll_position")) > first)
    terminal.keys("Control+b", "PageDown")
    assert eventually(lambda: int(terminal.asked("scroll_position")) == first)
    terminal.keys("q")
    assert eventually(lambda: terminal.asked("pane_in_mode") == "0")
    terminal.says("echo typed-''on", "typed-on")


def test_with_the_mouse_on_the_wheel_scrolls(terminal: Shown) -> None:
    terminal.says("seq 1 500", "\n500")
    terminal.page.mouse.move(400, 300)
    for _ in range(5):
        terminal.page.mouse.wheel(0, -300)
    assert eventually(lambda: int(terminal.asked("scroll_position") or 0) > 0)
    for _ in range(10):
        terminal.page.mouse.wheel(0, 300)
    assert eventually(lambda: terminal.asked("pane_in_mode") == "0"), "at the end it is left"


@pytest.mark.parametrize("offered", [True, False])
def test_with_the_mouse_on_a_drag_reaches_the_clipboard_offered_by_the_browser_or_not(
    deployment: Deployment, context: BrowserContext, terminal: Shown, offered: bool
) -> None:
    terminal.says("seq 1 500; echo the whole ☃ line", "\nthe whole ☃ line")
    if not offered:
        context.clear_permissions()
        context.grant_permissions([READ], origin=deployment.url)
    terminal.drag_over("the whole ☃ line")
    assert terminal.copied("the whole ☃ line")
    context.grant_permissions([READ, WRITE], origin=deployment.url)
    terminal.says("echo typed-''on", "typed-on")


def test_with_the_mouse_off_a_drag_selects_and_ctrl_c_copies(
    terminal: Shown, shots: Callable[[Page, str], None]
) -> None:
    terminal.commands("set -g mouse off")
    assert eventually(lambda: "off" in terminal.tmux("show", "-g", "mouse"))
    terminal.says("echo of this line; echo; cat", "\nof this line")
    terminal.drag_over("of this line")
    assert terminal.page.evaluate("term.getSelection()") == "of this line"
    shots(terminal.page, "terminal-copied")
    terminal.page.evaluate("navigator.clipboard.writeText('before')")
    terminal.keys("Control+c")
    assert terminal.copied("of this line")
    assert terminal.asked("pane_current_command") == "cat", "and nothing was interrupted"
    terminal.keys("Control+c")
    assert eventually(lambda: terminal.asked("pane_current_command") == "bash")
    terminal.commands("set -g mouse on")
    assert eventually(lambda: "on" in terminal.tmux("show", "-g", "mouse"))


def test_with_shift_held_a_drag_selects_whether_the_mouse_is_on_or_off(terminal: Shown) -> None:
    terminal.says("echo shifted line", "\nshifted line")
    terminal.page.keyboard.down("Shift")
    terminal.drag_over("shifted line")
    terminal.page.keyboard.up("Shift")
    assert terminal.page.evaluate("term.getSelection()") == "shifted line"
    assert terminal.copied("shifted line")


def test_what_a_program_prints_neither_sets_nor_reads_the_clipboard(terminal: Shown) -> None:
    terminal.page.evaluate("navigator.clipboard.writeText('mine')")
    terminal.says(r"printf '\e]52;c;%s\a' $(printf stolen | base64); echo pri''nted", "printed")
    terminal.says(
        r"printf '\e]52;c;?\a'; echo ask''ed; read -t 1 -n 9 got; echo got=$got.", "got=."
    )
    assert terminal.clipboard() == "mine"


def test_a_tmux_conf_of_ones_own_has_the_last_word(
    container: Any, visit: Callable[[], Shown]
) -> None:
    wish = "set -g prefix C-a\nset -g base-index 5\nset -g mouse off\n"
    container.exec_run(["sh", "-c", f"printf '%s' '{wish}' >/home/work/.tmux.conf"])
    terminal = visit()
    assert terminal.asked("window_index") == "5"
    assert "off" in terminal.tmux("show", "-g", "mouse")
    terminal.keys("Control+a", "c")
    assert eventually(lambda: terminal.asked("window_index") == "6")
    terminal.keys("Control+b", "c", "Control+u")
    terminal.says("echo still-''here", "still-here")
    assert terminal.asked("session_windows") == "2"


def test_several_browsers_show_one_terminal_in_every_size_and_colour(
    terminal: Shown, visit: Callable[[], Shown]
) -> None:
    other = visit()
    terminal.says("echo naïve ☃ 雪 $COLORTERM $TERM", "\nnaïve ☃ 雪 truecolor tmux-256color")
    assert eventually(lambda: "naïve ☃ 雪 truecolor" in text_of(other.page))
    terminal.says(r"printf '\e[38;2;18;52;86mcoloured\e[0m\n'", "\ncoloured")
    colour = """
        (() => {
          const buffer = term.buffer.active;
          for (let row = 0; row < term.rows; row++) {
            const line = buffer.getLine(buffer.viewportY + row);
            if (line.translateToString(true) === "coloured") {
              const cell = line.getCell(0);
              return cell.isFgRGB() ? cell.getFgColor() : -1;
            }
          }
        })()
    """
    assert eventually(lambda: other.page.evaluate(colour) == 0x123456)
    before = int(other.asked("window_width"))
    other.page.set_viewport_size({"width": 700, "height": 500})
    other.keys("Enter")
    assert eventually(lambda: int(other.asked("window_width")) < before)


def test_a_page_whose_ttyd_dies_comes_back_by_itself(terminal: Shown) -> None:
    terminal.says("KEPT=42; echo re''ady", "ready")
    terminal.container.exec_run(["pkill", "-KILL", "-x", "ttyd"])
    assert eventually(lambda: not terminal.tmux("list-clients"))
    assert eventually(lambda: terminal.tmux("list-clients"))
    terminal.says("echo again-$KEPT", "again-42")
