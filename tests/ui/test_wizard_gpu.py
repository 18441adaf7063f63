"""GPUs on the form's pages: what each has free, what keeps its shares, which amounts there are."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from bai_spawner.enforcement import Enforcement, Faults
from bai_spawner.gpu.placement import DeviceFree, place
from bai_spawner.policy import Usage
from bai_spawner.units import GIB
from tests.drawn import Drawn, a_gpu, a_mig, a_node, a_simulated, closed, form_catalog
from tests.ui.test_wizard_resources import box, resources, slider, turn

Open = Callable[..., Page]

UNLIMITED = [{"name": "everyone", "limits": {"sessions": 20}}]
SLICED = a_gpu(
    "GPU-99990000",
    title="NVIDIA A100-SXM4-40GB",
    kind="A100, timeslice",
    isolation="timeslice",
    enforcement=Enforcement(faults=Faults.CONTEXTS),
    usable=39 * 1024,
)
CLOSED = closed(a_gpu("GPU-dead0000"), "an administrator has closed it; what runs on it goes on")
MIGS = (a_mig("MIG-11110000", 1), a_mig("MIG-22220000", 2, free=False), a_mig("MIG-33330000", 3))
MEMCAP = "memcap (memory: session, compute: none, faults: contexts); verified on hardware: never"
MIG = (
    "mig (memory: session, compute: session, faults: isolated);"
    " verified on hardware: 615.71.05, 2026-09-30"
)


@pytest.fixture
def drawn(drawn: Drawn) -> Drawn:
    """Real and closed GPUs in one group; MIG devices and one that is not there in the other."""
    drawn.catalog = form_catalog(policies=UNLIMITED)
    drawn.usage = Usage()
    real = (a_gpu("GPU-5f3b0000", 3), SLICED, CLOSED)
    drawn.availability = {
        "general": (a_node(gpus=real),),
        "batch": (a_node(gpus=(*MIGS, a_simulated())),),
    }
    return drawn


def listed(page: Page, at: int = 0) -> Locator:
    """What a resource group's card lists."""
    return page.get_by_role("list", name="Free now").nth(at)


def on_terms(page: Page, line: str) -> Locator:
    """The devices that are shared on the same terms."""
    return page.locator(".bai-gpus").filter(has_text=line)


def review(page: Page) -> Locator:
    page.get_by_role("link", name="Review").click()
    return page.locator("[data-bai-review=resources]")


def only(drawn: Drawn, *devices: DeviceFree, cpu: int = 8, memory: int = 16 * GIB) -> None:
    """One group has these devices, and the other nothing."""
    drawn.availability = {"general": (a_node(cpu, memory, devices),), "batch": ()}


# ---- what is shown of each device


def test_devices_with_different_enforcement_each_say_what_is_in_force(opened: Open) -> None:
    page = resources(opened())
    h100, a100 = on_terms(page, "GPU: memcap"), on_terms(page, "GPU: timeslice")
    expect(h100).to_contain_text("NVIDIA H100 80GB HBM3 (GPU-5f3b0000)")
    expect(h100).to_contain_text("1.5 of 5 fGPU")
    expect(h100).to_contain_text("1 fGPU = 15.79 GiB of memory")
    expect(h100.locator("summary")).to_have_text(f"GPU: {MEMCAP}")
    expect(a100).to_contain_text("NVIDIA A100-SXM4-40GB (GPU-99990000)")
    expect(a100).to_contain_text("1 fGPU counts as 7.79 GiB of its memory")
    expect(a100.locator("summary")).to_contain_text("memory: none, compute: none, faults: contexts")
    meter = page.get_by_role("meter", name="Free of NVIDIA H100 80GB HBM3 (GPU-5f3b0000)")
    expect(meter).to_have_attribute("value", "1.5")


def test_what_the_words_mean_unfolds_by_key_and_chooses_no_group(opened: Open) -> None:
    page = resources(opened())
    page.get_by_role("radio", name="Long jobs").check()
    explained = on_terms(page, "GPU: memcap").get_by_text("all processes of a session together")
    expect(explained).to_be_hidden()
    on_terms(page, "GPU: memcap").locator("summary").press("Enter")
    expect(explained).to_be_visible()
    on_terms(page, "GPU: timeslice").locator("summary").click()
    expect(page.get_by_text("not limited; a session can fill the GPU")).to_be_visible()
    expect(page.get_by_role("radio", name="Long jobs")).to_be_checked()


def test_a_closed_device_says_why_in_place_of_what_is_free(opened: Open) -> None:
    line = on_terms(resources(opened()), "GPU-dead0000")
    expect(line).to_contain_text("Not handed out: an administrator has closed it")
    expect(line.get_by_role("meter")).to_have_count(0)
    expect(line).not_to_contain_text("fGPU")


def test_mig_devices_say_their_sizes_and_where_they_were_verified(opened: Open) -> None:
    migs = on_terms(resources(opened()), "GPU: mig")
    expect(migs.locator("summary")).to_have_text(f"GPU: {MIG}")
    expect(migs.get_by_role("meter")).to_have_count(3)
    expect(migs).to_contain_text("0 of 2 fGPU")
    expect(migs).to_contain_text("MIG 3g.30gb: parts of 3 fGPU, 30 GiB each")


def test_a_simulated_device_wears_a_badge_and_says_what_it_is(opened: Open) -> None:
    line = on_terms(resources(opened()), "SIMULATED")
    expect(line.get_by_text("SIMULATED", exact=True)).to_be_visible()
    expect(line).to_contain_text("NVIDIA A100 (SIMULATED-0)")
    line.locator("summary").click()
    expect(
        line.get_by_text("It is not there: a session that is given it gets no GPU.")
    ).to_be_visible()


def test_words_of_the_administrator_and_the_driver_stay_words(opened: Open, drawn: Drawn) -> None:
    bad = "<img src=x onerror=document.title='ran'>"
    device = a_gpu("GPU-0", title=bad, isolation=bad, verified=bad)
    only(drawn, device, closed(device, bad))
    page = resources(opened(), custom=True)
    box(page, "fgpu").fill("1")
    expect(listed(page)).to_contain_text(f"Not handed out: {bad}")
    expect(review(page)).to_contain_text(f"verified on hardware: {bad}")
    assert page.locator("#spawn_form img").count() == 0
    assert page.title() != "ran"


def test_all_devices_closed_is_a_reason_at_presets_and_at_the_box(
    opened: Open, drawn: Drawn
) -> None:
    only(drawn, CLOSED)
    page = resources(opened(), custom=True)
    told = re.compile("no GPU is handed out: an administrator has closed it")
    expect(page.get_by_role("radio", name="GPU")).to_have_accessible_description(told)
    expect(box(page, "fgpu")).to_be_disabled()
    expect(page.locator("[data-bai-box=fgpu] .bai-bound")).to_have_text(told)


@pytest.fixture
def watched(opened: Open) -> Page:
    """The resources page, with a clock that the test turns."""
    page = opened()
    page.clock.install()
    page.reload()
    page.locator("#spawn_form[data-bai-ready]").wait_for()
    return resources(page)


def test_fresh_numbers_fold_nothing_and_take_no_focus(watched: Page, drawn: Drawn) -> None:
    summary = on_terms(watched, "GPU: memcap").locator("summary")
    summary.press("Enter")
    drawn.availability = {
        **drawn.availability,
        "general": (a_node(cpu=2, gpus=(a_gpu("GPU-5f3b0000", 9), SLICED, CLOSED)),),
    }
    turn(watched, 11)
    expect(listed(watched)).to_contain_text("local: 2 CPU")
    expect(on_terms(watched, "GPU: memcap")).to_contain_text("4.5 of 5 fGPU")
    expect(summary).to_be_focused()
    expect(watched.get_by_text("all processes of a session together").first).to_be_visible()


def test_a_device_that_is_closed_meanwhile_is_told_and_what_was_open_stays_open(
    watched: Page, drawn: Drawn
) -> None:
    summary = on_terms(watched, "GPU: memcap").locator("summary")
    summary.press("Enter")
    gpus = (a_gpu("GPU-5f3b0000", 3), closed(SLICED, "drained"), CLOSED)
    drawn.availability = {**drawn.availability, "general": (a_node(gpus=gpus),)}
    turn(watched, 11)
    expect(on_terms(watched, "GPU-99990000")).to_contain_text("Not handed out: drained")
    expect(summary).to_be_focused()
    expect(watched.get_by_text("all processes of a session together").first).to_be_visible()


# ---- the review


def test_the_review_says_what_may_keep_the_share_that_is_asked_for(opened: Open) -> None:
    page = resources(opened(), custom=True)
    expect(review(page)).not_to_contain_text("verified on hardware")
    resources(page)
    box(page, "fgpu").fill("1")
    said = review(page)
    expect(said).to_contain_text(f"GPU {MEMCAP}")
    expect(said).to_contain_text("GPU timeslice (memory: none")
    resources(page)
    page.get_by_role("radio", name="Long jobs").check()
    said = review(page)
    expect(said).to_contain_text(f"GPU {MIG}")
    expect(said).to_contain_text("SIMULATED simulated (memory: none")
    expect(said).to_contain_text("It is not there: the session gets no GPU.")
    resources(page)
    box(page, "fgpu").fill("1.5")
    said = review(page)
    expect(said).to_contain_text("SIMULATED")
    expect(said).not_to_contain_text("mig (")


def test_the_review_of_a_preset_with_a_gpu_says_it_too(opened: Open, drawn: Drawn) -> None:
    only(drawn, a_gpu("GPU-0"))
    page = resources(opened())
    page.get_by_role("radio", name="GPU").check()
    expect(review(page)).to_contain_text(f"GPU {MEMCAP}")
    resources(page)
    page.get_by_role("radio", name="Small").check()
    expect(review(page)).not_to_contain_text("memcap")


# ---- which amounts


def test_an_amount_that_cannot_be_given_is_told_at_once_and_left_to_the_server(
    opened: Open, drawn: Drawn
) -> None:
    only(drawn, *MIGS)
    page = resources(opened(), custom=True)
    bounds = page.locator("[data-bai-box=fgpu] .bai-bound")
    expect(bounds.first).to_have_text("0 to 3 fGPU (free for one session now)")
    expect(bounds.last).to_have_text("can be given now: 1, 3")
    box(page, "fgpu").fill("2")
    described = re.compile("can be given now: 1, 3.*can be given now: 1, 3")
    expect(box(page, "fgpu")).to_have_accessible_description(described)
    expect(box(page, "fgpu")).to_have_attribute("aria-invalid", "true")
    expect(review(page)).to_contain_text("fGPU: can be given now: 1, 3")
    page.get_by_role("button", name="LAUNCH", exact=True).click()
    expect(page.get_by_role("alertdialog")).to_be_visible()  # not stopped: asked about folders
    page.keyboard.press("Escape")
    resources(page)
    box(page, "fgpu").fill("3")
    expect(box(page, "fgpu")).not_to_have_attribute("aria-invalid", "true")


def test_the_slider_goes_on_in_steps_where_only_some_amounts_can_be_given(
    opened: Open, drawn: Drawn
) -> None:
    only(drawn, *MIGS)
    page = resources(opened(), custom=True)
    hand = slider(page, "fGPU")
    hand.press("Home")
    for wanted in ("0.5", "1", "1.5"):
        hand.press("ArrowRight")
        expect(box(page, "fgpu")).to_have_value(wanted)
    hand.press("End")
    expect(box(page, "fgpu")).to_have_value("3")


def test_among_too_many_amounts_to_list_the_nearest_are_told(opened: Open, drawn: Drawn) -> None:
    only(drawn, *(a_gpu(f"GPU-{n}") for n in range(8)))
    page = resources(opened(), custom=True)
    expect(page.locator("[data-bai-box=fgpu] .bai-bound")).to_have_count(1)
    box(page, "fgpu").fill("16.5")
    expect(box(page, "fgpu")).to_have_accessible_description(
        re.compile("cannot be given exactly now; nearest: 16 or 17.5")
    )
    box(page, "fgpu").fill("20")
    expect(box(page, "fgpu")).not_to_have_attribute("aria-invalid", "true")


@pytest.mark.parametrize(
    ("devices", "fgpu", "room"),
    [
        ([a_gpu(f"GPU-{n}") for n in range(4)], "10", 2),
        ([a_gpu(f"GPU-{n}") for n in range(5)], "7.5", 2),
        ([a_gpu("GPU-0"), a_gpu("GPU-1", kind="other")], "10", 0),
        ([a_mig("MIG-0", 1), a_mig("MIG-1", 1), a_mig("MIG-2", 3)], "1", 2),
        ([a_gpu("GPU-0", 7), a_gpu("GPU-1", 4), CLOSED], "1.5", 3),
    ],
)
def test_there_is_room_for_as_many_sessions_as_the_devices_can_be_cut_into(
    opened: Open, drawn: Drawn, devices: list[DeviceFree], fgpu: str, room: int
) -> None:
    only(drawn, *devices, cpu=64)
    page = resources(opened(), custom=True)
    box(page, "fgpu").fill(fgpu)
    box(page, "sessions").fill("9")
    expect(box(page, "sessions")).to_have_accessible_description(
        re.compile(f"room for {room} of this size now, not for 9")
    )
    if room > 1:
        box(page, "sessions").fill(str(room))
        expect(box(page, "sessions")).not_to_have_attribute("aria-invalid", "true")


def some_devices(seed: int) -> list[DeviceFree]:
    """Devices of any kind, as full as may be: the same in every run."""
    drawn = random.Random(seed)
    found = []
    for name in range(drawn.randint(1, 9)):
        kind = drawn.choice("ab")
        if drawn.random() < 0.3:
            found.append(a_mig(f"MIG-{name}", drawn.randint(1, 3), free=drawn.random() < 0.7))
        else:
            found.append(a_gpu(f"GPU-{name}", drawn.choice((10, drawn.randint(0, 10))), kind=kind))
    return found


def told(device: DeviceFree) -> dict[str, Any]:
    """A device as the page knows it."""
    terms = device.terms
    return {
        "device": device.device,
        "free": f"{device.free / 2:g}",
        "size": f"{terms.size / 2:g}" if terms.size else None,
        "kind": terms.kind,
        "together": terms.together,
    }


def test_the_page_places_every_request_where_the_ledger_would(opened: Open) -> None:
    """The rule is written twice: here and there it must be the same."""
    page = opened()
    cases = [(some_devices(seed), asked) for seed in range(60) for asked in range(1, 41)]
    script = """async ([url, cases]) => {
        const { place } = await import(url);
        return cases.map(([devices, asked]) => place(devices, asked).map((d) => d.device));
    }"""
    url = page.evaluate("document.querySelector('script[type=module][src*=wizard]').src")
    rule = url.replace("wizard.js", "gpus.js")
    found = page.evaluate(script, [rule, [[list(map(told, d)), q] for d, q in cases]])
    expected = [[device.device for device in place(d, q, 10)] for d, q in cases]
    assert found == expected
    assert sum(len(chosen) > 1 for chosen in expected) > 100
    assert sum(not chosen for chosen in expected) > 100


# ---- for everybody


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("light", {}),
        ("dark", {"color_scheme": "dark"}),
        ("phone", {"viewport": {"width": 375, "height": 800}}),
        ("plain", {"java_script_enabled": False}),
    ],
)
def test_gpus_are_fit_for_everybody(
    opened: Open,
    drawn: Drawn,
    axe: Callable[[Page], list[str]],
    shots: Callable[[Page, str], None],
    name: str,
    options: dict[str, Any],
) -> None:
    page = opened(**options)
    if name == "plain":
        expect(page.get_by_text("SIMULATED", exact=True)).to_be_visible()
        page.locator("summary").first.click()
        shots(page, "gpu-plain")
        return
    resources(page, custom=True)
    for summary in page.locator("summary").all():
        summary.click()
    box(page, "fgpu").fill("2.5")
    page.get_by_role("radio", name="Long jobs").check()
    page.get_by_role("button", name="About fGPU").click()
    assert axe(page) == []
    wide = "document.documentElement.scrollWidth <= window.innerWidth"
    assert page.evaluate(wide)
    shots(page, f"gpu-{name}")
    review(page)
    assert axe(page) == []
    assert page.evaluate(wide)
    shots(page, f"gpu-{name}-review")
