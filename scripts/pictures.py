"""Take the pictures of docs/ from the running product: `make pictures`.

A hub of its own is started with the shipped configuration and catalogue, and used as a newcomer
would use it, in Chromium. With ``--all FOLDER`` every picture is also taken in dark and on a
narrow screen, for people to look at; ``--only`` takes those of one part alone.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, sync_playwright

REPO = Path(__file__).parent.parent
sys.path.insert(0, str(REPO))

from tests.deployment import ADMIN_PASSWORD, USER_PASSWORD, Deployment, Visitor  # noqa: E402
from tests.session import Session  # noqa: E402
from tests.ui.without_netlink import command_for  # noqa: E402

USER = "ada"
DOCS = REPO / "docs" / "images"
SIMULATED = REPO / "docs" / "examples" / "simulated-gpus.yaml"
WIDE, NARROW, HEIGHT = 1000, 375, 760
LIST = 1400
"""A list of sessions has many columns."""
WORK = """
mkdir -p runs/first results && head -c 42000000 /dev/zero >results/matrix.npy
echo '{}' >analysis.ipynb
"""
"""What a user leaves outside the folders."""
HOLD = """
import time
held = bytearray(b"x") * 300_000_000
while True:
    sum(range(2_000_000)); time.sleep(0.05)
"""
"""A program that uses some memory and some of a core."""
HUNGRY = "held = b'x' * (8 * 2**30)"
"""Needs more memory than there is for it."""
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


class Camera:
    """Takes pictures of one page, named for the documentation."""

    def __init__(self, page: Page, folder: Path) -> None:
        self._page = page
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def take(self, name: str) -> None:
        """The whole page; with a dialog, what a screen shows of it."""
        self._page.wait_for_timeout(300)  # what slides or fades has come to rest
        path = self.folder / f"{name}.png"
        asking = self._page.locator("dialog[open]").count()
        self._page.screenshot(path=path, full_page=not asking)
        print(path)


def press(where: Page | Locator, name: str) -> None:
    """Press the button of this name."""
    where.get_by_role("button", name=name, exact=True).click()


def go(page: Page, title: str) -> None:
    """Turn to a page of the form."""
    page.get_by_role("navigation", name="Pages of the form").get_by_role("link", name=title).click()


def login(page: Page, hub: Deployment, user: str = USER) -> None:
    """Log in, by default as a newcomer."""
    page.goto(f"{hub.url}/hub/login?next=/hub/home")
    page.get_by_label("Username").fill(user)
    page.get_by_label("Password").fill(ADMIN_PASSWORD if user == "admin" else USER_PASSWORD)
    press(page, "Sign in")
    page.wait_for_url("**/hub/home")


def start(page: Page) -> None:
    """Open the launch form."""
    page.get_by_role("link", name="START").click()
    page.locator("#spawn_form[data-bai-ready]").wait_for()


def ask_for_gpus(page: Page, camera: Camera) -> None:
    """The resources and the review of a deployment with GPUs, which are simulated."""
    start(page)
    page.get_by_label("Session name").fill("training")
    go(page, "Resources")
    page.get_by_role("radio", name="Whole GPUs").check()
    page.get_by_role("radio", name="A GPU", exact=True).check()
    page.locator(".bai-nodes summary").first.click()
    camera.take("wizard-gpus")
    go(page, "Review")
    camera.take("wizard-gpus-review")


def fill_the_form(page: Page, camera: Camera) -> None:
    """The four pages and their dialogs; ends on the review."""
    start(page)
    page.get_by_label("Session name").fill("thesis")
    camera.take("wizard-environment")
    page.get_by_role("button", name="CONFIG Environment variables").click()
    variables = page.get_by_role("dialog", name="Environment variables")
    for row, (name, value) in enumerate((("DATASET", "corpus-2026"), ("OMP_NUM_THREADS", "2"))):
        if row:
            press(variables, "Add a variable")
        variables.get_by_label("Name", exact=True).nth(row).fill(name)
        variables.get_by_label("Value", exact=True).nth(row).fill(value)
    camera.take("wizard-variables")
    press(variables, "Close")
    camera.take("wizard-variables-close")
    press(page.get_by_role("alertdialog"), "Keep editing")
    press(variables, "SAVE")
    go(page, "Data folders")
    camera.take("wizard-folders")
    page.locator('[name="mount:data"]').select_option("")
    press(page, "CONFIRM AND LAUNCH")
    camera.take("wizard-no-folder")
    press(page.get_by_role("alertdialog"), "Cancel")
    page.locator('[name="mount:data"]').select_option("rw")
    go(page, "Resources")
    camera.take("wizard-resources")
    page.get_by_role("radio", name="Custom allocation").check()
    page.locator("[name=cpu]").fill("1")
    page.locator("[name=memory]").fill("1.5")
    page.locator("[name=shm]").fill("0.25")
    page.locator("[name=sessions]").fill("2")
    page.locator("[name=sessions]").blur()
    camera.take("wizard-custom")
    go(page, "Review")
    camera.take("wizard-review")


def launch(page: Page, camera: Camera, hub: Deployment) -> None:
    """From LAUNCH to Lab."""
    slow = hub.state / "faults" / "create"
    slow.parent.mkdir(exist_ok=True)
    slow.write_text('{"delay": 3}')
    press(page, "LAUNCH")
    page.locator(".bai-steps li").first.wait_for()
    page.wait_for_timeout(1000)
    camera.take("starting")
    slow.unlink()
    page.wait_for_url("**/services/sessions/", timeout=90_000)
    page.goto(f"{hub.url}/hub/home")
    page.get_by_role("link", name="Open thesis1").wait_for()
    page.wait_for_timeout(2000)
    camera.take("home")
    page.get_by_role("button", name="Stop thesis2").click()
    press(page.get_by_role("alertdialog"), "STOP")
    page.get_by_role("link", name="Open thesis1").click()
    page.locator(".jp-LauncherCard").first.wait_for(timeout=60_000)


def work_in_lab(page: Page, camera: Camera, hub: Deployment) -> None:
    """JupyterLab's panels, dialogs and apps in a session that has been worked in."""
    with hub.login(USER) as visitor:
        visitor.stop_all()
        asked = {"environment": "numpy", "preset": "small", "mounts": [{"folder": "data"}]}
        visitor.start("lab", asked, name="thesis")
        visitor.ready("lab")
    session = hub.container(USER, "lab")
    session.exec_run(["sh", "-c", WORK])
    session.exec_run(["python3", "-c", HOLD], detach=True)
    url = f"{hub.url}/user/{USER}/lab"
    page.goto(f"{url}/lab?reset")
    page.locator(".jp-LauncherCard[data-category='Session']").first.wait_for(timeout=60_000)
    page.get_by_title("Usage of this session").first.click()
    page.wait_for_timeout(15_000)  # for the plots to have something to show
    camera.take("lab-usage")
    page.get_by_role("tab", name="This session", exact=True).click()
    camera.take("lab-session")
    press(page, "Terminate session…")
    page.get_by_role("listitem").first.wait_for()
    camera.take("lab-terminate")
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    open_card(page, "SSH")
    page.get_by_role("dialog").get_by_text("SHA256:").first.wait_for()
    camera.take("lab-ssh")
    page.keyboard.press("Escape")
    page.goto(f"{url}/lab?reset")
    open_card(page, "Session log")
    page.wait_for_timeout(2000)
    camera.take("lab-log")
    page.goto(f"{url}/lab?reset")
    page.locator(".jp-LauncherCard[data-category='Session']").first.wait_for()
    camera.take("lab")
    page.goto(f"{url}/terminal/")
    page.locator(".xterm-screen").wait_for()
    page.wait_for_timeout(2000)
    page.keyboard.type("ls -l && nproc")
    page.keyboard.press("Enter")
    page.wait_for_timeout(1000)
    camera.take("terminal")
    page.goto(f"{url}/bai/apps/tensorboard?directory=runs")
    page.get_by_role("button", name="Start").wait_for()
    camera.take("app-tensorboard")


def open_card(page: Page, title: str) -> None:
    """Click a card of the session's in the launcher."""
    page.locator(".jp-LauncherCard[data-category='Session']", has_text=title).click()


def run_some(hub: Deployment, visitor: Visitor, other: Visitor) -> None:
    """Sessions of two users, in every status that a page can show."""
    share = {"cpu": 1, "memory": "1GiB", "shm": "64MiB"}
    plain = {"environment": "python", "resources": share}
    data = {**plain, "mounts": [{"folder": "data", "mode": "rw"}]}
    begin(visitor, "first", "warmup", data)
    visitor.stop("first")
    begin(visitor, "second", "bigjoin", plain)
    exhaust(hub, visitor, "second")
    begin(visitor, "third", "thesis", {**data, "resources": {**share, "fgpu": "2"}})
    hub.container(USER, "third").exec_run(["python3", "-c", HOLD], detach=True)
    begin(other, "fourth", "tuning", {**data, "resources": {**share, "fgpu": "1"}})
    begin(visitor, "fifth", "notes", plain)


def begin(visitor: Visitor, server: str, name: str, options: dict[str, Any]) -> None:
    """Start a session."""
    answer = visitor.start(server, options, name=name)
    if not answer.is_success:
        sys.exit(answer.text)


def exhaust(hub: Deployment, visitor: Visitor, server: str) -> None:
    """Have memory end a session."""
    session = Session(hub, visitor, server)
    first = session.processes("bin/bai-session")[-1]
    session.run("sh", "-c", f"echo 1000 > /proc/{first}/oom_score_adj")
    session.container.exec_run(["python3", "-c", HUNGRY])
    session.http.close()


def look_at_sessions(page: Page, camera: Camera, hub: Deployment) -> None:
    """The Sessions page and the Data page, as a user sees them."""
    page.goto(f"{hub.url}/services/sessions/")
    page.locator("#bai-list tbody tr").first.wait_for()
    page.get_by_text("updated").wait_for()
    page.locator(".bai-resource").first.wait_for()
    page.wait_for_timeout(3000)
    camera.take("sessions")
    press(page, "Apps of thesis")
    page.wait_for_timeout(2000)
    camera.take("sessions-apps")
    page.keyboard.press("Escape")
    press(page, "Terminate thesis")
    camera.take("sessions-terminate")
    press(page.get_by_role("alertdialog"), "Cancel")
    press(page, "All about thesis")
    page.get_by_text("Used at most").wait_for()
    camera.take("sessions-details")
    press(page, "Close")
    page.goto(f"{hub.url}/services/sessions/?tab=others")
    page.get_by_role("link", name="Relaunch with 2 GiB").wait_for()
    camera.take("sessions-others")
    page.get_by_role("link", name="Log of bigjoin").click()
    page.locator("#log").get_by_text("Jupyter Server").first.wait_for()
    camera.take("sessions-log")
    with hub.login(USER) as visitor:
        visitor.stop("fifth")
    for name, size in (("results", 180_000_000), ("corpus-2026", 52_000_000)):
        folder = hub.folder(USER, name)
        folder.mkdir(exist_ok=True)
        (folder / "all.bin").write_bytes(bytes(size))
    page.goto(f"{hub.url}/services/sessions/data")
    page.get_by_text("corpus-2026").first.wait_for()
    page.wait_for_timeout(4000)
    camera.take("data")
    page.get_by_role("button", name="Delete results").click()
    camera.take("data-delete")


def look_at_everything(page: Page, camera: Camera, hub: Deployment) -> None:
    """The Sessions page as a superadmin sees it."""
    page.goto(f"{hub.url}/services/sessions/")
    page.locator("#bai-list tbody tr").first.wait_for()
    page.get_by_text("The whole", exact=True).click()
    page.get_by_text("Largest free share").first.wait_for()
    page.wait_for_timeout(2000)
    camera.take("sessions-superadmin")


def open_apps(page: Page, camera: Camera, hub: Deployment) -> None:
    """An app on a port of its own: from the list, from Lab, and all that is open."""
    page.goto(f"{hub.url}/services/sessions/")
    press(page, "Apps of thesis")
    dialog = page.get_by_role("dialog", name="Apps of thesis")
    dialog.get_by_label("Open app to public").check()
    with page.expect_popup() as popup:
        dialog.get_by_role("link", name="TensorBoard").click()
    dialog.locator(".bai-openings li").wait_for()
    popup.value.close()
    dialog.locator(".bai-openings").scroll_into_view_if_needed()
    camera.take("apps-on-ports")
    page.goto(f"{hub.url}/user/{USER}/lab/lab?reset")
    page.get_by_role("button", name="Public: 1 app").wait_for(timeout=60_000)
    open_card(page, "Apps on Ports")
    page.get_by_role("dialog").get_by_role("listitem").first.wait_for()
    camera.take("lab-apps-on-ports")
    page.goto(f"{hub.url}/services/sessions/apps")
    page.get_by_role("list", name="Open apps").get_by_role("listitem").first.wait_for()
    camera.take("apps")


@contextmanager
def a_hub(catalog: Path = REPO / "catalog.yaml") -> Iterator[Deployment]:
    """A hub of its own, with an engine that can be slowed down for a picture."""
    with tempfile.TemporaryDirectory() as folder:
        config = REPO / "tests/hub/config.py"
        made = Deployment(Path(folder) / "hub", catalog=catalog, config=config)
        try:
            made.start()
            yield made
        finally:
            made.clean()


def visit_lab(browser: Browser, folder: Path, *, scheme: str, width: int) -> None:
    """The form, a launch and Lab."""
    with a_hub() as hub, a_page(browser, scheme, width) as page:
        camera = Camera(page, folder)
        login(page, hub)
        fill_the_form(page, camera)
        launch(page, camera, hub)
        work_in_lab(page, camera, hub)


def visit_gpus(browser: Browser, folder: Path, *, scheme: str, width: int) -> None:
    """The form where there are GPUs."""
    with a_hub(SIMULATED) as hub, a_page(browser, scheme, width) as page:
        login(page, hub)
        ask_for_gpus(page, Camera(page, folder))


def visit_sessions(browser: Browser, folder: Path, *, scheme: str, width: int) -> None:
    """What runs and what ran, as a user and as a superadmin see it."""
    width = LIST if width == WIDE else width
    with a_hub(SIMULATED) as hub, hub.login(USER) as visitor, hub.login("grace") as other:
        run_some(hub, visitor, other)
        with a_page(browser, scheme, width) as page:
            login(page, hub)
            look_at_sessions(page, Camera(page, folder), hub)
        with a_page(browser, scheme, width) as page:
            login(page, hub, "admin")
            look_at_everything(page, Camera(page, folder), hub)


def visit_apps(browser: Browser, folder: Path, *, scheme: str, width: int) -> None:
    """Apps on ports of the host."""
    with a_hub() as hub, hub.login(USER) as visitor, a_page(browser, scheme, width) as page:
        visitor.start("lab", {"environment": "numpy", "preset": "small"}, name="thesis")
        visitor.ready("lab")
        hub.container(USER, "lab").exec_run(["mkdir", "-p", "runs/first"])
        session = Session(hub, visitor, "lab")
        session.http.post("/bai/api/apps/tensorboard", json={"directory": "runs"})
        session.http.close()
        login(page, hub)
        open_apps(page, Camera(page, folder), hub)


PARTS = {"lab": visit_lab, "gpus": visit_gpus, "sessions": visit_sessions, "apps": visit_apps}


@contextmanager
def a_page(browser: Browser, scheme: str, width: int) -> Iterator[Page]:
    """A page of a browser that nobody used before."""
    context = browser.new_context(
        viewport={"width": width, "height": HEIGHT},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = context.new_page()
    page.set_default_timeout(15_000)
    yield page
    context.close()


def main() -> None:
    """Take them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", metavar="FOLDER", type=Path, help="also dark and narrow, there")
    parser.add_argument("--only", choices=PARTS, help="the pictures of one part alone")
    asked = parser.parse_args()
    parts = [visit for name, visit in PARTS.items() if asked.only in (None, name)]
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as made:
        chromium = command_for(os.environ.get("BAI_CHROMIUM", "/usr/bin/chromium"), Path(made))
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for visit in parts:
            visit(browser, DOCS, scheme="light", width=WIDE)
        looks = (("dark", WIDE), ("light", NARROW), ("dark", NARROW)) if asked.all else ()
        for scheme, width in looks:
            for visit in parts:
                visit(browser, asked.all / f"{scheme}-{width}", scheme=scheme, width=width)
        browser.close()


if __name__ == "__main__":
    main()
