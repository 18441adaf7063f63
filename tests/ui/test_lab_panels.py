"""JupyterLab in a session: its cards, panels and dialogs, as a user meets them."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from bai_spawner.units import GIB, MIB
from tests.deployment import REPO, Deployment, eventually

USER, SERVER, NAME = "lena+1", "panels", "thesis"
PATH = f"/user/{quote(USER)}/{SERVER}/"
"""Of a user whose name is escaped in every address."""
OPTIONS = {
    "environment": "numpy",
    "preset": "small",
    "mounts": [{"folder": "data"}],
}
HOLD = "import sys; held = bytearray(b'x') * int(sys.argv[1]); sys.stdin.read()"
"""Has so many bytes of memory, and waits."""
FULL = """{
    const { setItem } = Storage.prototype;
    Storage.prototype.setItem = function (key, value) {
        if (key.startsWith("bai-spawner:")) throw new DOMException("", "QuotaExceededError");
        setItem.call(this, key, value);
    };
}"""
"""A browser's storage that has no room for what is ours. Without any, Lab has faults of its own."""
GREETING = REPO / "images/base/rootfs/etc/profile.d/bai-greeting.sh"
LATE = 20_000
"""Milliseconds that what comes by itself, every few seconds, may take on a busy machine."""


class Lab:
    """JupyterLab in a page, and the container that it runs in."""

    def __init__(self, page: Page, url: str, container: Any) -> None:
        self.page, self.url, self.container = page, url, container

    def open(self) -> None:
        """Load it, as it comes up for the first time."""
        self.page.goto(f"{self.url}lab?reset")
        expect(self.card("Notebook", "Notebook for Backend.AI")).to_be_visible(timeout=LATE)

    def card(self, category: str, title: str) -> Locator:
        """A card in the launcher."""
        return self.page.locator(f".jp-LauncherCard[data-category='{category}']", has_text=title)

    def command(self, label: str) -> None:
        """Run a command of the palette's."""
        self.page.locator("#jp-top-bar .jp-Toolbar-spacer").click()
        self.page.keyboard.press("Control+Shift+C")
        self.page.locator(".lm-CommandPalette-input:visible").fill(label)
        self.page.locator(".lm-CommandPalette-item.lm-mod-active", has_text=label).click()

    @property
    def dialog(self) -> Locator:
        return self.page.locator(".jp-Dialog-content")

    def line(self, name: str) -> str:
        """A line to be copied, of a dialog."""
        return self.dialog.get_by_label(name, exact=True).inner_text().strip()

    def meter(self, name: str) -> str:
        """What a bar of the usage panel says."""
        shown = self.page.get_by_role("meter", name=name, exact=True)
        return shown.get_attribute("aria-valuetext") or ""

    def memory(self) -> int:
        """Bytes of the cgroup that cannot be taken back at once, by the kernel's own files."""
        found = self.container.stats(stream=False)["memory_stats"]
        inactive = found["stats"].get("total_inactive_file", found["stats"].get("inactive_file", 0))
        return int(found["usage"] - inactive)

    def run(self, *command: str, detach: bool = False) -> str:
        output = self.container.exec_run(list(command), detach=detach).output
        return output.decode() if output else ""

    def hold(self, size: int) -> None:
        """Start a process that holds so much memory."""
        # its standard input never ends, as long as the other one sleeps
        script = f"sleep 1000 | python3 -c {shlex.quote(HOLD)} {size}"
        self.run("sh", "-c", script, detach=True)

    def write(self, text: str) -> None:
        """Add to the session's log."""
        log = "/run/bai-session/log/session.log"
        self.run("sh", "-c", f"printf %s {shlex.quote(text)} >>{log}")

    def release(self) -> None:
        self.run("pkill", "sleep")


@pytest.fixture(scope="module")
def page(deployment: Deployment, browser: Browser) -> Iterator[Page]:
    """A browser of a logged-in user's, with a clipboard that can be read."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 800},
        permissions=["clipboard-read", "clipboard-write"],
    )
    with deployment.login(USER) as visitor:
        assert visitor.start(SERVER, OPTIONS, name=NAME).is_success
        assert visitor.ready(SERVER)
        cookies = [
            {"name": one.name, "value": one.value or "", "domain": one.domain, "path": one.path}
            for one in visitor.http.cookies.jar
        ]
        context.add_cookies(cookies)  # type: ignore[arg-type]
        made = context.new_page()
        made.set_default_timeout(30_000)
        yield made
        context.close()
        visitor.stop_all()


@pytest.fixture
def lab(deployment: Deployment, page: Page) -> Lab:
    """Lab as it comes up."""
    url = f"{deployment.url}{PATH}"
    made = Lab(page, url, deployment.container(USER, SERVER))
    made.open()
    return made


@pytest.fixture
def wrong(page: Page) -> Callable[[str], list[str]]:
    """What axe-core finds wrong with what a selector chooses."""

    def check(selector: str) -> list[str]:
        found = Axe().run(page, context=selector).response["violations"]
        return [f"{v['id']}: {[n['target'] for n in v['nodes']]}" for v in found]

    return check


def test_the_session_panel_says_what_the_session_is_and_opens_its_folder(
    lab: Lab, wrong: Callable[[str], list[str]], shots: Callable[[Page, str], None]
) -> None:
    lab.run("touch", "/home/work/data/kept.txt")
    lab.command("Show this session")
    panel = lab.page.locator("#bai-session")
    expect(panel).to_contain_text(NAME)
    expect(panel).to_contain_text("numpy 2.4")
    expect(panel).to_contain_text("general")
    for given in ("1 CPU", "1 GiB memory", "64 MiB shared memory"):
        expect(panel.get_by_text(given, exact=True)).to_be_visible()
    expect(panel.get_by_text("ago")).to_be_visible()
    assert not wrong("#bai-session")
    shots(lab.page, "lab-session")
    panel.get_by_role("button", name="data", exact=True).click()
    expect(lab.page.locator(".jp-DirListing-item", has_text="kept.txt")).to_be_visible()

    panel.get_by_role("button", name="SSH…").dblclick()
    lab.dialog.get_by_role("button", name="Close").click()
    expect(lab.dialog).to_have_count(0)

    lab.page.set_viewport_size({"width": 420, "height": 800})
    panel.get_by_role("button", name="Log", exact=True).click()
    expect(lab.page.get_by_role("log")).to_be_visible()
    expect(panel).not_to_be_visible()
    lab.page.set_viewport_size({"width": 1280, "height": 800})


def test_usage_is_the_containers_own_and_a_shortage_is_said_once(
    lab: Lab, wrong: Callable[[str], list[str]], shots: Callable[[Page, str], None]
) -> None:
    status = lab.page.locator(".bai-status button")
    expect(status).to_have_text(re.compile(r"CPU [\d.]+/1 · Mem 0\.\d+/1 GiB"), timeout=LATE)
    status.click()
    expect(lab.page.get_by_role("heading", name="Usage of this session")).to_be_visible()
    lab.page.get_by_role("heading", name="Processes", exact=True).dblclick()
    lab.hold(850 * MIB)
    told = lab.page.locator(".Toastify__toast")
    expect(told).to_contain_text("the largest process is python3", timeout=LATE)
    expect(status).to_have_class("bai-mod-warning")
    expect(status).to_contain_text("⚠")
    expect(lab.page.get_by_text("This stands still while some of it is selected")).to_be_visible()
    assert lab.page.evaluate("getSelection().toString()").strip() == "Processes"
    lab.page.evaluate("getSelection().empty()")

    def agree() -> bool:
        shown = float(lab.meter("Memory").split()[0]) * GIB
        return shown > 850 * MIB and abs(shown / lab.memory() - 1) < 0.05

    assert eventually(agree, seconds=30, every=0.5), (lab.meter("Memory"), lab.memory())
    assert lab.meter("Memory").endswith("of 1 GiB")
    assert lab.meter("Shared memory") == "0 of 64 MiB"
    assert lab.meter("CPU").endswith("of 1 core")
    history = re.compile(r"^Memory, the last .* to 9\d\d MiB, now 9\d\d MiB$")
    expect(lab.page.get_by_role("img", name=history)).to_be_visible(timeout=LATE)
    expect(told).to_have_count(1)
    assert not wrong("#bai-usage")
    shots(lab.page, "lab-usage")
    lab.release()
    expect(status).not_to_have_class("bai-mod-warning", timeout=LATE)
    expect(told).to_have_count(0)

    killed = lab.run("python3", "-c", HOLD, str(2 * GIB))
    assert not killed
    expect(told.filter(has_text="killed for memory")).to_have_count(1, timeout=LATE)
    expect(lab.page.locator("#bai-usage")).to_contain_text("killed for memory")


def test_another_tab_tells_no_kill_again_and_works_where_nothing_can_be_kept(
    deployment: Deployment, page: Page
) -> None:
    tab = page.context.new_page()
    tab.add_init_script(FULL)
    lab = Lab(tab, f"{deployment.url}{PATH}", deployment.container(USER, SERVER))
    lab.open()
    expect(tab.locator(".bai-status button")).to_be_visible(timeout=LATE)
    lab.card("Session", "Terminal").click()
    hint = tab.get_by_role("note", name="How to copy")
    hint.get_by_role("button", name="Got it").click()
    expect(hint).not_to_be_visible()
    assert tab.locator(".Toastify__toast").count() == 0
    tab.close()


def test_the_lines_for_ssh_and_the_key_work_as_they_are(
    lab: Lab, tmp_path: Path, wrong: Callable[[str], list[str]], shots: Callable[[Page, str], None]
) -> None:
    lab.card("Session", "SSH").click()
    with lab.page.expect_download() as downloaded:
        lab.dialog.get_by_role("link", name="Download id_container").click()
    key = tmp_path / "id_container"
    downloaded.value.save_as(key)
    assert downloaded.value.suggested_filename == key.name
    assert key.read_text() == lab.run("cat", "/home/work/id_container")
    assert not wrong(".bai-ssh")
    shots(lab.page, "lab-ssh")
    lab.page.emulate_media(color_scheme="dark")
    body = lab.page.locator("body")
    expect(body).to_have_attribute("data-jp-theme-light", "false", timeout=LATE)
    assert not wrong(".bai-ssh")
    lab.page.emulate_media(color_scheme="light")

    lab.dialog.get_by_role("button", name="Copy: Log in").click()
    ssh = lab.page.evaluate("navigator.clipboard.readText()")
    assert ssh == lab.line("Log in")
    assert lab.line("Exchange files").startswith(
        f"sftp -i id_container -o IdentitiesOnly=yes -o HostKeyAlias={NAME}-"
    )
    assert lab.line("VS Code with the extension Remote-SSH") == (
        f"code --remote ssh-remote+{NAME} /home/work"
    )
    known, config = tmp_path / "known_hosts", tmp_path / "config"
    known.write_text(lab.line("Or, so that it does not ask, in ~/.ssh/known_hosts") + "\n")
    config.write_text(lab.line("~/.ssh/config").replace("~/.ssh", str(tmp_path)) + "\n")
    fingerprint = ["ssh-keygen", "-l", "-f", str(known)]
    said = subprocess.run(fingerprint, capture_output=True, text=True, check=True).stdout
    assert lab.line("Fingerprint") == said.split()[1]
    subprocess.run(shlex.split(lab.line("Then, where it was saved")), cwd=tmp_path, check=True)
    expect(lab.dialog).to_contain_text(f"Move the key to ~/.ssh/{NAME} ")
    shutil.copy(key, tmp_path / NAME)
    safe = ["-oStrictHostKeyChecking=yes", f"-oUserKnownHostsFile={known}", "-oBatchMode=yes"]
    program, *rest = shlex.split(ssh)
    for command in ([program, "-Fnone", *safe, *rest], [program, f"-F{config}", *safe, NAME]):
        found = subprocess.run(
            [*command, "pwd"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert found.stdout == "/home/work\n", found.stderr


def test_the_log_is_followed_searched_and_says_when_it_is_not_connected(
    lab: Lab, wrong: Callable[[str], list[str]], shots: Callable[[Page, str], None]
) -> None:
    lab.card("Session", "Session log").click()
    lines = lab.page.get_by_role("log")
    expect(lines.get_by_text("extension was successfully loaded").first).to_be_visible()
    # a letter that becomes two in lower case, and a bar that is drawn again and again
    lab.write("one%\rtwo%\r\n\N{LATIN CAPITAL LETTER I WITH DOT ABOVE} \x1b[31mred-line\x1b[0m\n")
    expect(lines.locator(".ansi-red-fg", has_text="red-line")).to_be_visible()
    expect(lines).to_contain_text("two%")
    expect(lines).not_to_contain_text("one%")
    lab.write("x" * 20_000 + "\n")
    expect(lines).to_contain_text(re.compile(r"[^x]x{10000}… \(this line goes on"))
    assert not wrong(".bai-log")

    search, count = lab.page.get_by_label("Search in the log"), lab.page.locator(".bai-log-count")
    search.fill("red-LINE")
    expect(count).to_have_text("1 match")
    follow = lab.page.get_by_label("Follow")
    expect(follow).to_be_checked()
    search.press("Enter")
    expect(count).to_have_text("1 of 1")
    expect(follow).not_to_be_checked()
    shots(lab.page, "lab-log")
    lab.write("while-paused\n")
    follow.check()
    expect(lines.get_by_text("while-paused")).to_be_in_viewport()
    # as by the bar beside it
    lines.evaluate("(node) => { node.scrollTop = 0; }")
    expect(follow).not_to_be_checked()
    with lab.page.expect_download() as downloaded:
        lab.page.get_by_role("link", name="Download").click()
    assert "while-paused" in Path(downloaded.value.path()).read_text()

    state, usage = lab.page.locator(".bai-log-state"), lab.page.locator(".bai-status button")
    expect(usage).to_be_visible(timeout=LATE)
    lab.page.context.set_offline(True)
    follow.check()
    expect(state).to_contain_text("lost", timeout=LATE)
    expect(usage).to_have_class("bai-mod-old", timeout=LATE)
    lab.page.context.set_offline(False)
    expect(usage).not_to_have_class("bai-mod-old")
    # also when there is nothing new to read
    expect(state).to_have_text("", timeout=LATE / 2)
    lab.write("there-again\n")
    expect(lines.get_by_text("there-again")).to_be_visible()


def test_the_terminal_is_a_tab_whose_hint_is_dismissed_for_good(
    lab: Lab, shots: Callable[[Page, str], None]
) -> None:
    hint = lab.page.get_by_role("note", name="How to copy")

    def show() -> None:
        lab.card("Session", "Terminal (tmux)").click()
        terminal = lab.page.frame_locator("iframe[title='Terminal']")
        expect(terminal.locator(".xterm-screen")).to_be_visible(timeout=LATE)

    show()
    greeting = " ".join(re.sub(r"['\\]", "", GREETING.read_text()).split())
    assert hint.locator("span").inner_text() in greeting
    shots(lab.page, "lab-terminal")

    def typed(name: str) -> bool:
        """It takes keys at once, without a click into it, as soon as tmux shows it."""
        lab.page.keyboard.type(f"touch {name}\n")
        return name in lab.run("ls", "/home/work")

    assert eventually(lambda: typed("typed-at-once"), every=0.5)
    hint.get_by_role("button", name="Got it").click()
    expect(hint).not_to_be_visible()
    lab.open()
    show()
    expect(hint).not_to_be_visible()
    # until it is connected, it may still take the keyboard from whatever has it
    assert eventually(lambda: typed("typed-again"), every=0.5)
    with lab.page.context.expect_page() as opened:
        lab.command("Open terminal in a new window")
    expect(opened.value.locator(".xterm-screen")).to_be_visible()
    assert opened.value.url == f"{lab.url}terminal/"
    opened.value.close()


def test_apps_are_cards_and_tensorboard_opens_on_a_directory(
    lab: Lab, shots: Callable[[Page, str], None]
) -> None:
    lab.run("mkdir", "-p", "/home/work/runs/first")
    with lab.page.context.expect_page() as opened:
        lab.card("Notebook", "Jupyter Notebook").click()
    expect(opened.value).to_have_url(f"{lab.url}tree")
    opened.value.close()
    expect(lab.card("Notebook", "JupyterLab")).to_have_count(0)
    card = lab.card("Other", "TensorBoard")
    expect(card).to_be_visible(timeout=LATE)
    expect(card.locator("svg image")).to_have_attribute(
        "href", f"{lab.url}bai/apps/tensorboard/icon.svg"
    )
    shots(lab.page, "lab-launcher")
    lab.page.get_by_role("button", name="Refresh the file browser").click()

    def choose() -> None:
        lab.page.locator(".jp-DirListing-item", has_text="runs").click(button="right")
        lab.page.get_by_role("menuitem", name="Open in TensorBoard").click()

    for _ in ("it is started", "it runs there already"):
        with lab.page.context.expect_page() as opened:
            choose()
        opened.value.wait_for_url(f"{lab.url}tensorboard/**")
        opened.value.close()
        found = lab.page.request.get(f"{lab.url}bai/api/apps/tensorboard").json()
        assert (found["state"], found["directory"]) == ("running", "runs")
    lab.page.evaluate("window.open = () => null")
    choose()
    expect(lab.dialog).to_contain_text("Allow pop-ups for this page")


def test_notebook_7_has_the_panels_too(lab: Lab, shots: Callable[[Page, str], None]) -> None:
    said: list[str] = []
    lab.page.on("console", lambda message: said.append(message.text))
    lab.page.goto(f"{lab.url}tree")
    lab.page.locator(".lm-MenuBar-itemLabel", has_text="File").click()
    expect(lab.page.get_by_role("menuitem", name="Terminate Session…")).to_be_visible()
    lab.page.keyboard.press("Escape")
    lab.page.keyboard.press("Control+Shift+C")
    lab.page.locator(".lm-CommandPalette-input:visible").fill("Show this session")
    lab.page.keyboard.press("Enter")
    expect(lab.page.locator("#bai-session")).to_contain_text(NAME)
    shots(lab.page, "notebook-session")
    assert not [text for text in said if "bai-spawner" in text]
