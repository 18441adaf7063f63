"""The web terminal as a user meets it: from Lab's launcher, closed, and opened again."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.deployment import Deployment, eventually


def screen(deployment: Deployment) -> str:
    """What tmux shows now."""
    (container,) = deployment.containers()
    return str(container.exec_run(["tmux", "capture-pane", "-p"]).output.decode())


def attached(deployment: Deployment) -> int:
    """How many browsers tmux is shown in: only then it takes keys."""
    (container,) = deployment.containers()
    return len(container.exec_run(["tmux", "list-clients"]).output.splitlines())


def test_the_terminal_opens_from_lab_and_is_the_same_when_it_is_opened_again(
    deployment: Deployment, login: Callable[..., Page], shots: Callable[[Page, str], None]
) -> None:
    page = login("frank")
    visitor = deployment.login("frank")
    assert visitor.start("shell", {}).is_success
    assert visitor.ready("shell")
    page.goto(f"{deployment.url}/user/frank/shell/lab")
    card = page.locator(".jp-LauncherCard", has_text="Terminal (tmux)")
    expect(card.locator("img")).to_be_visible()
    shots(page, "lab-launcher")
    with page.context.expect_page() as opened:
        card.click()
    terminal = opened.value
    terminal.locator(".xterm-screen").wait_for()
    assert eventually(lambda: "$" in screen(deployment))
    terminal.keyboard.type("echo kept-$((6*7)) | tee here.txt")
    terminal.keyboard.press("Enter")
    assert eventually(lambda: "kept-42" in screen(deployment))
    terminal.keyboard.press("Control+b")
    terminal.keyboard.type("c")
    assert eventually(lambda: "kept-42" not in screen(deployment)), "a second window"
    shots(terminal, "terminal")
    url = terminal.url
    terminal.close()
    assert eventually(lambda: not attached(deployment))
    again = page.context.new_page()
    again.goto(url)
    again.locator(".xterm-screen").wait_for()
    assert eventually(lambda: attached(deployment))

    def turned_back() -> bool:
        """The page may not have the keyboard's focus yet: whoever types tries again, too."""
        again.keyboard.press("Control+b")
        again.keyboard.type("0")
        return "kept-42" in screen(deployment)

    assert eventually(turned_back, every=0.5), "nothing was lost"
    page.bring_to_front()
    listed = page.locator(".jp-DirListing-item", has_text="here.txt")
    expect(listed).to_be_visible(timeout=30_000)
    visitor.stop_all()
