"""A session ended from JupyterLab: what will be lost is said, and copied first where wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.deployment import Deployment, Visitor, eventually

USER, SERVER, NAME = "thea", "ending", "summary"
OPTIONS = {"environment": "python", "preset": "small", "mounts": [{"folder": "data"}]}
MAKE = """
mkdir -p results && head -c 3000000 /dev/zero >results/large && echo 1 >results/small
echo '{}' >'a notebook; $(id).ipynb'
"""


@pytest.fixture
def visitor(deployment: Deployment) -> Iterator[Visitor]:
    """Its user, with a session that holds files in a folder and outside."""
    with deployment.login(USER) as made:
        assert made.start(SERVER, OPTIONS, name=NAME).is_success
        assert made.ready(SERVER)
        container = deployment.container(USER, SERVER)
        assert container.exec_run(["sh", "-c", MAKE]).exit_code == 0
        yield made
        made.stop_all()


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
    copy(ask(lab))
    problem = lab.locator(".jp-Dialog-content", has_text="The session goes on")
    expect(problem).to_contain_text("not everything was copied")
    shots(lab, "lab-terminate-failed")
    problem.get_by_role("button", name="Close").click()
    assert visitor.servers()[SERVER]["ready"]
    folder.chmod(0o700)

    copy(ask(lab))
    lab.wait_for_url("**/hub/home")
    assert eventually(lambda: SERVER not in visitor.servers(), seconds=30)
    (copied,) = kept(folder)
    assert sorted(path.name for path in copied.iterdir()) == ["a notebook; $(id).ipynb", "results"]
    assert (copied / "results" / "large").stat().st_size == 3_000_000


def copy(dialog: Locator) -> None:
    """Tick what is seen in the file browser, and go on."""
    dialog.get_by_label("results/").check()
    dialog.get_by_label("a notebook").check()
    dialog.get_by_label("Folder that the copies go to").select_option("data")
    dialog.get_by_role("button", name="Copy and terminate").click()


def kept(folder: Path) -> list[Path]:
    """The copies of this session."""
    return [path for path in folder.iterdir() if path.name.startswith(f"{NAME}-")]
