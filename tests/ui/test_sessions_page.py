"""The Sessions page on a real hub: what runs, what became of it, and what is done about it.

The tests follow one user's afternoon; each goes on where the one before left off.
"""

from __future__ import annotations

import csv
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.deployment import USER_PASSWORD, Deployment, Visitor, eventually
from tests.session import Session

Login = Callable[..., Page]
Shots = Callable[[Page, str], None]

USER, OTHER = "pia", "quinn"
SERVICE = "/services/sessions/"
MIB = 2**20
HOG = "held = b'x' * (5 * 2**30)"
"""Needs more memory than any session here has."""
SLOW = 30_000
TRAIN = {
    "environment": "numpy",
    "resources": {"cpu": 1, "memory": "1GiB", "shm": "64MiB"},
    "mounts": [{"folder": "data", "mode": "rw"}],
}
EATER = {"environment": "python", "resources": {"cpu": 2, "memory": "640MiB", "shm": "64MiB"}}


@pytest.fixture(scope="module")
def pia(deployment: Deployment) -> Iterator[Visitor]:
    """The user, over REST."""
    with deployment.login(USER) as made:
        yield made
        made.stop_all()


@pytest.fixture
def desk(deployment: Deployment, login: Login) -> Page:
    """The Sessions page of the user."""
    page = login(USER)
    page.goto(f"{deployment.url}{SERVICE}")
    page.evaluate("window.kept = true")
    return page


def row(page: Page, name: str) -> Locator:
    return page.locator("#bai-list tbody tr", has=page.get_by_role("rowheader", name=name))


def tab(page: Page, name: str) -> None:
    kinds = page.get_by_role("navigation", name="Kinds of sessions")
    kinds.get_by_role("link", name=name).click()


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def new_window(page: Page, control: Locator) -> Page:
    """What a control opens."""
    with page.context.expect_page() as opened:
        control.click()
    opened.value.set_default_timeout(SLOW)
    return opened.value


def kill_for_memory(deployment: Deployment, visitor: Visitor, server: str) -> None:
    """Have memory end a whole session: of its processes the first is the one to be killed."""
    session = Session(deployment, visitor, server)
    first = session.processes("bin/bai-session")[-1]
    session.run("sh", "-c", f"echo 1000 > /proc/{first}/oom_score_adj")
    session.container.exec_run(["python3", "-c", HOG], detach=True)
    session.http.close()


def test_a_login_leads_here_and_a_launch_comes_on_top_and_becomes_openable(
    deployment: Deployment, browser: Browser, pia: Visitor, shots: Shots
) -> None:
    """R22: START, and the list follows without being loaded again."""
    context = browser.new_context(viewport={"width": 1300, "height": 800})
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.goto(deployment.url)
    page.get_by_label("Username").fill(USER)
    page.get_by_label("Password").fill(USER_PASSWORD)
    press(page, "Sign in")
    page.wait_for_url(f"**{SERVICE}")
    expect(page.get_by_text("No session is running.")).to_be_visible()
    page.evaluate("window.kept = true")
    shots(page, "real-none")

    form = context.new_page()
    form.set_default_timeout(30_000)
    form.goto(page.url)
    expect(form.get_by_text("No session is running.")).to_be_visible()
    form.get_by_role("link", name="START").first.click()
    form.locator("#spawn_form[data-bai-ready]").wait_for()
    form.get_by_label("Session name").fill("first")
    form.get_by_role("button", name="LAUNCH").first.click()
    skip = form.get_by_role("alertdialog").get_by_role("button", name=re.compile("LAUNCH|OKAY"))
    form.wait_for_url(re.compile("spawn-pending|/lab"), wait_until="commit") if not eventually(
        skip.is_visible, seconds=1
    ) else skip.click()
    expect(row(page, "first")).to_be_visible(timeout=SLOW)
    opening = row(page, "first").get_by_role("link", name="Open first in a new window")
    expect(opening).to_be_visible(timeout=SLOW)
    assert page.evaluate("window.kept") is True
    lab = new_window(page, opening)
    lab.locator("#jp-top-bar").wait_for(timeout=SLOW)
    context.close()
    assert next(iter(pia.servers().values()))["ready"]
    pia.stop_all()


def test_each_icon_leads_to_what_it_shows(
    deployment: Deployment, desk: Page, pia: Visitor, shots: Shots
) -> None:
    assert pia.start("one", TRAIN, name="train").is_success
    train = row(desk, "train")
    expect(train).to_contain_text("Running", timeout=SLOW)
    expect(train).to_contain_text("of 1 GiB", timeout=SLOW)
    press(desk, "Apps of train")
    apps = desk.get_by_role("dialog", name="Apps of train")
    names = ["JupyterLab", "Jupyter Notebook", "Terminal", "TensorBoard"]
    expect(apps.get_by_role("link")).to_contain_text(names)
    expect(apps.locator("[data-app=tensorboard] img")).to_be_visible()
    shots(desk, "real-apps")
    notebook = new_window(desk, apps.get_by_role("link", name="Jupyter Notebook"))
    expect(notebook.get_by_text("data", exact=True).first).to_be_visible(timeout=SLOW)
    notebook.close()
    desk.keyboard.press("Escape")
    terminal = new_window(desk, train.get_by_role("link", name="Terminal of train"))
    expect(terminal.locator(".xterm-screen")).to_be_visible(timeout=SLOW)
    terminal.close()
    log = new_window(desk, train.get_by_role("link", name="Log of train"))
    expect(log.locator("#log")).to_contain_text("Jupyter Server", timeout=SLOW)
    log.close()
    assert desk.evaluate("window.kept") is True


def test_a_cell_that_eats_memory_is_told_in_lab_and_in_the_list(
    deployment: Deployment, desk: Page, pia: Visitor, shots: Shots
) -> None:
    """R26: memory kills the kernel, and the session goes on."""
    lab = new_window(desk, row(desk, "train").get_by_role("link", name="Open train"))
    lab.locator(".jp-LauncherCard[data-category=Notebook]").first.click(timeout=SLOW)
    expect(lab.get_by_role("button", name="| Idle")).to_be_visible(timeout=SLOW)
    lab.locator(".jp-Notebook .jp-CodeCell .cm-content").first.fill(HOG)
    lab.keyboard.press("Shift+Enter")
    output = lab.locator(".jp-OutputArea-output").first
    expect(output).to_contain_text("needed more memory than the 1 GiB", timeout=SLOW)
    shots(lab, "real-killed-cell")
    expect(row(desk, "train")).to_contain_text("a process was killed for memory", timeout=20_000)
    expect(row(desk, "train")).to_contain_text("Running")
    shots(desk, "real-killed-row")
    lab.close()


def test_what_memory_ended_is_in_others_and_is_launched_again_with_twice_as_much(
    deployment: Deployment, desk: Page, pia: Visitor, shots: Shots
) -> None:
    """R26."""
    assert pia.start("two", EATER, name="eater").is_success
    expect(row(desk, "eater")).to_contain_text("Running", timeout=SLOW)
    kill_for_memory(deployment, pia, "two")
    expect(row(desk, "eater")).to_have_count(0, timeout=SLOW)
    expect(desk.locator(".bai-notice")).to_contain_text("needed more memory")
    tab(desk, "OTHERS")
    ended = row(desk, "eater")
    expect(ended).to_contain_text("Error")
    expect(ended).to_contain_text("640 MiB")
    shots(desk, "real-others")
    ended.get_by_role("link", name="Log of eater").click()
    expect(desk.locator("#log")).to_contain_text("Jupyter Server", timeout=SLOW)
    desk.go_back()
    more = ended.get_by_role("link", name="Relaunch with 1.25 GiB: eater")
    fields = parse_qs((more.get_attribute("href") or "").partition("#")[2])
    assert fields["memory"] == ["1.25"]
    more.click()
    desk.locator("#spawn_form[data-bai-ready]").wait_for()
    expect(desk.locator("[name=memory]")).to_have_value("1.25")
    desk.get_by_label("Session name").fill("again")
    desk.get_by_role("link", name=re.compile("Review")).click()
    press(desk, "LAUNCH")
    desk.wait_for_url(re.compile("/user/pia/.*/lab"), timeout=SLOW, wait_until="commit")
    (made,) = (c for c in deployment.containers() if c.labels["bai.server"] != "one")
    assert made.attrs["HostConfig"]["Memory"] == 2 * 640 * MIB


def test_statistics_are_the_sums_of_what_the_containers_have(
    deployment: Deployment, desk: Page, pia: Visitor, shots: Shots
) -> None:
    """R23."""
    granted = [c.attrs["HostConfig"] for c in deployment.containers()]
    assert len(granted) == 2
    cores = sum(
        c["CpuQuota"] // c["CpuPeriod"] if c["CpuQuota"] else c["NanoCpus"] // 10**9
        for c in granted
    )
    memory = sum(c["Memory"] for c in granted)
    for label, total in (("CPU", cores), ("RAM", memory)):
        for where in ("General", "all groups"):
            meter = desk.get_by_role("meter", name=f"{label} in {where}", exact=True)
            expect(meter).to_have_attribute("aria-valuenow", str(total))
    sessions = desk.get_by_role("meter", name="Sessions in all groups")
    expect(sessions).to_have_attribute("aria-valuenow", "2")
    shots(desk, "real-statistics")


def test_a_start_is_cancelled_in_the_middle(
    deployment: Deployment, desk: Page, pia: Visitor
) -> None:
    fault = deployment.state / "faults" / "start"
    fault.write_text('{"delay": 7}')
    begun = threading.Thread(
        target=pia.start, args=("three", {"resources": {"cpu": 1}}), kwargs={"name": "slow"}
    )
    begun.start()
    try:
        press(desk, "Cancel the start of slow")
        expect(desk.get_by_role("alertdialog")).to_contain_text("nothing in it is lost")
        press(desk, "OKAY")
        expect(row(desk, "slow")).to_have_count(0, timeout=SLOW)
    finally:
        fault.unlink()
        begun.join(60)
    tab(desk, "FINISHED")
    expect(row(desk, "slow")).to_contain_text("Cancelled", timeout=SLOW)
    assert len(deployment.containers()) == 2


def test_two_users_never_see_each_other_and_a_superadmin_sees_both(
    deployment: Deployment, desk: Page, login: Login, shots: Shots
) -> None:
    """S17, in the browser; the API's answers are compared in tests/hub."""
    known = row(desk, "train").get_attribute("data-id")
    other = login(OTHER)
    for tab_name in ("running", "finished", "others"):
        other.goto(f"{deployment.url}{SERVICE}?tab={tab_name}&user={USER}&text=train")
        expect(other.locator("#bai-nothing-first")).to_contain_text("No session")
        expect(other.locator("#bai-list tbody tr")).to_have_count(0)
    texts = []
    for session in (known, "0" * 12):
        other.goto(f"{deployment.url}{SERVICE}log/{session}")
        texts.append(other.locator("main").inner_text())
    assert texts[0] == texts[1]
    root = login("admin")
    root.goto(f"{deployment.url}{SERVICE}?user={USER}")
    expect(row(root, "train")).to_contain_text(f"of {USER}")
    root.get_by_text("The whole", exact=True).click()
    expect(root.locator("#bai-whole")).to_contain_text("Node local")
    shots(root, "real-superadmin")


def test_the_page_outlives_a_drop_of_the_network_and_a_restart_of_the_hub(
    deployment: Deployment, desk: Page, pia: Visitor
) -> None:
    away = desk.get_by_role("alert")
    expect(row(desk, "train")).to_contain_text("Running")
    desk.context.set_offline(True)
    expect(away).to_contain_text("Not connected to the sessions service", timeout=SLOW)
    desk.context.set_offline(False)
    expect(away).to_be_hidden(timeout=SLOW)
    deployment.stop()
    expect(away).to_contain_text("Shown is what was known at", timeout=SLOW)
    expect(row(desk, "train")).to_contain_text("Running")
    deployment.start()
    expect(away).to_be_hidden(timeout=SLOW)
    expect(row(desk, "train")).to_contain_text("Running")
    expect(desk.get_by_text(re.compile(r"updated \d s ago"))).to_be_visible(timeout=SLOW)
    assert desk.evaluate("window.kept") is True


def test_several_are_terminated_together_and_the_table_has_them(
    deployment: Deployment, desk: Page, pia: Visitor, shots: Shots
) -> None:
    desk.get_by_label("Select all").check()
    press(desk, "TERMINATE 2")
    asked = desk.get_by_role("alertdialog")
    expect(asked).to_contain_text("Terminate 2 sessions?")
    expect(asked).to_contain_text("Kept: what is in the mounted folder data.")
    shots(desk, "real-terminate")
    press(desk, "Cancel")
    assert len(deployment.containers()) == 2
    press(desk, "TERMINATE 2")
    press(desk, "OKAY")
    expect(desk.get_by_text("No session is running.")).to_be_visible(timeout=SLOW)
    assert eventually(lambda: not deployment.containers(), seconds=30)
    tab(desk, "FINISHED")
    expect(row(desk, "train")).to_contain_text("Terminated")
    expect(row(desk, "train")).to_contain_text("ended on request")
    shots(desk, "real-finished")
    with desk.expect_download() as waiting:
        desk.locator("#bai-csv").click()
    with Path(waiting.value.path()).open(newline="") as file:
        lines = {line["name"]: line for line in csv.DictReader(file)}
    assert {"first", "train", "again", "slow"} == set(lines)
    assert lines["again"]["memory_bytes"] == str(2 * 640 * MIB)
    assert (lines["train"]["reason"], lines["train"]["oom_kills"]) == ("user", "1")
    assert (lines["slow"]["status"], lines["slow"]["started"]) == ("cancelled", "")
