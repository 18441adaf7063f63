"""A newcomer's way: log in, launch, work, stop, and find the folder again."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.deployment import Deployment, eventually

CELL = """\
import os, pathlib
quota = pathlib.Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
cpu = (int(quota.read_text()) // 100000 if quota.exists()
       else int(pathlib.Path("/sys/fs/cgroup/cpu.max").read_text().split()[0]) // 100000)
memory = next(p for p in map(pathlib.Path, ("/sys/fs/cgroup/memory/memory.limit_in_bytes",
              "/sys/fs/cgroup/memory.max")) if p.exists()).read_text().strip()
print("cpu", cpu, "memory", memory, "greeting", os.environ["GREETING"])
print("file:", pathlib.Path("data/notes.txt").read_text())
pathlib.Path("data/kept.txt").write_text("kept")
pathlib.Path("lost.txt").write_text("lost")
"""


def launch(page: Page, name: str, variables: str = "GREETING=hello world") -> None:
    """Go through the form: variables, a folder and resources of one's own, up to the review."""
    page.get_by_role("link", name="START").click()
    page.wait_for_url("**/hub/spawn/*/s*")
    page.get_by_label("Session name").fill(name)
    page.locator("[name=env]").evaluate(
        "(box, text) => { box.value = text; box.dispatchEvent(new Event('input')); }", variables
    )
    page.get_by_role("button", name="Next").click()
    page.locator('[name="mount:data"]').select_option("rw")
    page.get_by_role("button", name="Next").click()
    page.get_by_text("Custom allocation", exact=True).first.click()
    page.locator("[name=cpu]").fill("2")
    page.locator("[name=memory]").fill("1.5")
    page.locator("[name=shm]").fill("0.25")
    page.get_by_role("button", name="Next").click()


def run_cell(page: Page) -> str:
    """Open a notebook in JupyterLab, run the cell, and read what it printed."""
    page.locator(".jp-LauncherCard[data-category=Notebook]").first.click()
    editor = page.locator(".jp-Notebook .jp-CodeCell .cm-content").first
    expect(page.get_by_role("button", name="| Idle")).to_be_visible(timeout=30_000)
    editor.fill(CELL)
    expect(editor).to_contain_text("kept.txt")
    page.keyboard.press("Shift+Enter")
    output = page.locator(".jp-OutputArea-output").first
    expect(output).to_contain_text("file:", timeout=30_000)
    return output.inner_text()


def test_launch_work_stop_and_find_the_folder_again(
    deployment: Deployment, login: Callable[..., Page], shots: Callable[[Page, str], None]
) -> None:
    page = login("alice")
    shots(page, "home-empty")
    notes = deployment.folder("alice", "data") / "notes.txt"

    launch(page, "experiment")
    shots(page, "review")
    page.get_by_role("button", name="LAUNCH").click()
    page.wait_for_url(re.compile("/hub/spawn-pending/|/user/alice/"), wait_until="commit")
    if "spawn-pending" in page.url:
        shots(page, "pending")
    page.wait_for_url(re.compile("/user/alice/.*/lab"), timeout=60_000, wait_until="commit")
    notes.write_text("written before")
    page.locator(".jp-Launcher").wait_for(timeout=60_000)
    printed = run_cell(page)
    shots(page, "lab")
    assert f"cpu 2 memory {1536 * 1024**2} greeting hello world" in printed
    assert "file: written before" in printed

    page.goto(f"{deployment.url}/hub/home")
    row = page.locator("tr", has_text="experiment")
    expect(row).to_contain_text("2 CPU")
    shots(page, "home-running")
    row.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="STOP", exact=True).click()
    assert eventually(lambda: not deployment.containers(), seconds=20)
    assert (deployment.folder("alice", "data") / "kept.txt").read_text() == "kept"

    page.goto(f"{deployment.url}/hub/home")
    launch(page, "again")
    page.get_by_role("button", name="LAUNCH").click()
    page.wait_for_url(re.compile("/user/alice/.*/lab"), timeout=60_000, wait_until="commit")
    (container,) = deployment.containers()
    listed = container.exec_run(["ls", "/home/work", "/home/work/data"]).output.decode()
    assert "kept.txt" in listed
    assert "lost.txt" not in listed
    deployment.login("alice").stop_all()


def test_the_form_launches_without_javascript(
    deployment: Deployment, login: Callable[..., Page]
) -> None:
    page = login("carol", java_script_enabled=False)
    page.get_by_role("link", name="START").click()
    page.get_by_role("button", name="LAUNCH").click()
    page.wait_for_url(re.compile("/hub/spawn-pending/|/user/carol/"), wait_until="commit")
    visitor = deployment.login("carol")
    (server,) = visitor.servers()
    assert visitor.ready(server)
    visitor.stop_all()


def test_a_refusal_is_shown_at_its_field_with_everything_kept(
    login: Callable[..., Page], shots: Callable[[Page, str], None]
) -> None:
    page = login("dave")
    launch(page, "refused1", "GREETING=hello world\nHOME=/tmp")
    page.get_by_role("button", name="LAUNCH").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("HOME is set by the platform")
    expect(page.get_by_role("button", name="CONFIG")).to_be_focused()
    expect(page.locator("[name=env]")).to_have_value("GREETING=hello world\nHOME=/tmp")
    expect(page.get_by_label("Session name")).to_have_value("refused1")
    expect(page.locator("[name=memory]")).to_have_value("1.5")
    shots(page, "form-refused")


def test_stop_on_the_pending_page_stops_that_session(
    deployment: Deployment, login: Callable[..., Page]
) -> None:
    page = login("erin")
    launch(page, "stopme")
    slow = deployment.state / "faults" / "start"
    slow.write_text('{"delay": 5}')
    page.get_by_role("button", name="LAUNCH").click()
    page.wait_for_url("**/hub/spawn-pending/**", wait_until="commit")
    page.get_by_role("button", name="Stop").click()
    page.wait_for_url("**/services/sessions/", timeout=30_000)
    slow.unlink()
    assert eventually(lambda: not deployment.containers(), seconds=20)


def test_the_pages_fit_a_phone_and_the_dark(
    login: Callable[..., Page], shots: Callable[[Page, str], None]
) -> None:
    page = login("frank", color_scheme="dark")
    page.get_by_role("link", name="START").click()
    shots(page, "form-dark")
    page.set_viewport_size({"width": 375, "height": 800})
    shots(page, "form-phone")
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 375


def test_a_cell_whose_kernel_is_killed_for_memory_says_so(
    deployment: Deployment, login: Callable[..., Page], shots: Callable[[Page, str], None]
) -> None:
    page = login("erin")
    visitor = deployment.login("erin")
    small = {"resources": {"cpu": 1, "memory": "600MiB", "shm": "64MiB"}}
    assert visitor.start("hungry", small).is_success
    assert visitor.ready("hungry")
    page.goto(f"{deployment.url}/user/erin/hungry/lab")
    page.locator(".jp-LauncherCard[data-category=Notebook]").first.click()
    editor = page.locator(".jp-Notebook .jp-CodeCell .cm-content").first
    expect(page.get_by_role("button", name="| Idle")).to_be_visible(timeout=30_000)
    editor.fill("held = [b'x' * 2**20 for _ in range(2000)]")
    page.keyboard.press("Shift+Enter")
    output = page.locator(".jp-OutputArea-output").first
    expect(output).to_contain_text("needed more memory than the 600 MiB", timeout=30_000)
    shots(page, "lab-kernel-killed")
    visitor.stop_all()
