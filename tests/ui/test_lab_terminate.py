"""A session ended from JupyterLab: what will be lost is said, and copied first where wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, Route, expect

from tests.deployment import Deployment, Visitor, eventually

USER, SERVER, NAME = "thea", "ending", "summary"
OPTIONS = {"environment": "python", "preset": "small", "mounts": [{"folder": "data"}]}
MAKE = """
mkdir -p results && head -c 3000000 /dev/zero >results/large && echo 1 >results/small
echo '{}' >'a notebook; $(id).ipynb'
mkfifo results/pipe
for number in $(seq 250); do echo >.hidden-$number; done
"""
SEEN = {"a notebook; $(id).ipynb", "results"}
HIDDEN = {f".hidden-{number}" for number in range(1, 251)}
"""More than the dialog lists."""
EVERYTHING = "Copy everything first"


@pytest.fixture(scope="module")
def visitor(deployment: Deployment) -> Iterator[Visitor]:
    """Its user, with a session that holds files in a folder and outside."""
    with deployment.login(USER) as made:
        assert made.start(SERVER, OPTIONS, name=NAME).is_success
        assert made.ready(SERVER)
        container = deployment.container(USER, SERVER)
        assert container.exec_run(["sh", "-c", MAKE]).exit_code == 0
        yield made
        made.stop_all()


class Progress:
    """How far the copy is: still being made at first, and then nobody answers for a while."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = True

    def answer(self, route: Route) -> None:
        """Answer a page that asks."""
        self.asked += 1
        if self.asked == 1:
            told = route.fetch()
            route.fulfill(response=told, json={**told.json(), "state": "running"})
        elif self.away:
            route.abort()
        else:
            route.continue_()


@pytest.fixture
def lab(deployment: Deployment, visitor: Visitor, login: Callable[..., Page]) -> Page:
    """JupyterLab in that session."""
    page = login(USER)
    page.goto(f"{deployment.url}/user/{USER}/{SERVER}/lab")
    expect(page.locator(".jp-LauncherCard").first).to_be_visible(timeout=20_000)
    return page


def ask(page: Page) -> Locator:
    """The dialog, opened from the menu."""
    page.locator(".lm-MenuBar-itemLabel", has_text="File").click()
    page.get_by_role("menuitem", name="Terminate Session…").click()
    return page.locator(".jp-Dialog-content", has_text="Terminate the session")


def test_what_is_lost_is_said_and_copied_and_nothing_ends_by_accident(
    deployment: Deployment, visitor: Visitor, lab: Page, shots: Callable[[Page, str], None]
) -> None:
    dialog = ask(lab)
    expect(dialog).to_contain_text(f"Terminate the session {NAME}?")
    listed = dialog.get_by_role("list", name="What will be lost, the largest first")
    rows = listed.get_by_role("listitem")
    expect(rows.nth(0)).to_contain_text("results/2 files, 2.9 MiB")
    expect(rows.nth(1)).to_contain_text("a notebook; $(id).ipynb3 B")
    expect(listed).not_to_contain_text("id_container")
    found = Axe().run(lab, context=".bai-losses").response["violations"]
    assert not found
    shots(lab, "lab-terminate")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    lab.keyboard.press("Enter")
    expect(dialog).not_to_be_visible()
    assert visitor.servers()[SERVER]["ready"]

    # a folder that cannot be written keeps the session
    folder = deployment.folder(USER, "data")
    folder.chmod(0o500)
    copy(ask(lab), "results/", "a notebook")
    problem = lab.locator(".jp-Dialog-content", has_text="The session goes on")
    expect(problem).to_contain_text("not everything was copied")
    shots(lab, "lab-terminate-failed")
    problem.get_by_role("button", name="Close").click()
    assert visitor.servers()[SERVER]["ready"]
    folder.chmod(0o700)


def test_everything_is_copied_and_what_is_left_out_is_said_before_the_end(
    deployment: Deployment, visitor: Visitor, lab: Page, shots: Callable[[Page, str], None]
) -> None:
    folder = deployment.folder(USER, "data")
    before = kept(folder)
    away = {"status": 503, "json": {"message": "The hub does not answer."}}
    lab.route("**/bai/api/terminate?check=1", lambda route: route.fulfill(**away))
    copy(ask(lab), EVERYTHING)
    problem = lab.locator(".jp-Dialog-content", has_text="The session goes on")
    expect(problem).to_contain_text("The hub does not answer.")
    problem.get_by_role("button", name="Close").click()
    assert kept(folder) == before
    lab.unroute("**/bai/api/terminate?check=1")

    dialog = ask(lab)
    expect(dialog).to_contain_text(f"copied to a new folder, {NAME}-DATE, in")
    copy(dialog, EVERYTHING)
    left_out = lab.locator(".jp-Dialog-content", has_text="Copied, but not all of it")
    expect(left_out).to_contain_text("no file of this session: results/pipe.")
    shots(lab, "lab-terminate-left-out")
    left_out.get_by_role("button", name="Keep the session").click()
    (copied,) = kept(folder) - before
    assert {path.name for path in copied.iterdir()} >= SEEN | HIDDEN
    assert visitor.servers()[SERVER]["ready"]


def test_a_copy_in_progress_is_watched_after_a_reload_and_while_the_network_is_away(
    deployment: Deployment, visitor: Visitor, lab: Page, shots: Callable[[Page, str], None]
) -> None:
    before = kept(deployment.folder(USER, "data"))
    copy(ask(lab), "results/")
    lab.locator(".jp-Dialog-content", has_text="not all of it").get_by_text("Keep").click()
    (copied,) = kept(deployment.folder(USER, "data")) - before
    lab.reload()
    expect(lab.locator(".jp-LauncherCard").first).to_be_visible(timeout=20_000)
    progress = Progress()
    lab.route("**/bai/api/rescue", progress.answer)
    lab.locator(".jp-LauncherCard", has_text="Text File").click()
    lab.locator(".cm-content").click()
    lab.keyboard.type("not saved")
    asked: list[str] = []
    lab.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    dialog = ask(lab)
    expect(lab.locator(".bai-waiting")).to_contain_text("It copies on; asking again")
    progress.away = False
    expect(dialog).to_contain_text(f"Copied 2 files to data/{copied.name}")
    expect(dialog).to_contain_text("Open files have changes that are not saved")
    dialog.get_by_role("button", name="Terminate").click()
    expect(lab.locator(".jp-Dialog-content")).to_contain_text("Ending the session…The hub stops it")
    shots(lab, "lab-terminate-ending")
    lab.wait_for_url("**/hub/home")
    assert eventually(lambda: SERVER not in visitor.servers(), seconds=30)
    assert asked == []
    assert (copied / "results" / "large").stat().st_size == 3_000_000


def copy(dialog: Locator, *ticked: str) -> None:
    """Tick that, and go on."""
    for name in ticked:
        dialog.get_by_label(name).check()
    dialog.get_by_label("Folder that the copies go to").select_option("data")
    dialog.get_by_role("button", name="Copy and terminate").click()


def kept(folder: Path) -> set[Path]:
    """The copies of this session."""
    return {path for path in folder.iterdir() if path.name.startswith(f"{NAME}-")}
