from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PrefixLoader
from jupyterhub._data import DATA_FILES_PATH

from bai_spawner import names, options, policy
from bai_spawner.catalog import Catalog
from bai_spawner.enforcement import Enforcement, Faults
from bai_spawner.errors import Problem, Problems, Reason
from bai_spawner.form import TEMPLATES
from bai_spawner.form.bounds import Bound, Room, bounds, misfits
from bai_spawner.form.render import FolderChoice, render_form
from bai_spawner.gpu.placement import DeviceFree
from bai_spawner.policy import NodeFree, Usage
from bai_spawner.units import GIB, MIB
from tests.drawn import a_gpu, a_simulated, closed

HOSTILE = "\"'><script>alert(1)</script>{{ 7*7 }}{% x %}&amp;"
DATA = FolderChoice("data", "rw", automatic=False)
CORPUS = FolderChoice("ml/corpus", "ro", automatic=False)
LOCAL = FolderChoice(".local", "rw", automatic=True)


@dataclass
class Control:
    """An input, an option's select or a textarea, as a browser would have it."""

    tag: str
    attrs: dict[str, str | None]
    value: str = ""
    options: list[dict[str, str | None]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.attrs.get("name") or ""


class Page(HTMLParser):
    """What a browser without JavaScript makes of the form."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.html = html
        self.tags: list[str] = []
        self.controls: list[Control] = []
        self.elements: list[dict[str, str | None]] = []
        self.text = ""
        self.texts: dict[str, str] = {}
        self._ids: list[tuple[str, str | None]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.elements.append(found)
        if tag in ("input", "select", "textarea"):
            self.controls.append(Control(tag, found, found.get("value") or ""))
        if tag == "option":
            self.controls[-1].options.append(found)
        if tag not in ("input", "br", "link", "meta"):
            self._ids.append((tag, found.get("id")))

    def handle_endtag(self, tag: str) -> None:
        while self._ids and self._ids.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.text += data
        for _, name in self._ids:
            if name:
                self.texts[name] = self.texts.get(name, "") + data
        if self._ids and self._ids[-1][0] == "textarea":
            self.controls[-1].value += data

    @property
    def runs_nothing(self) -> bool:
        """Whether the only scripts are the two that hold data."""
        scripts = [e for t, e in zip(self.tags, self.elements, strict=True) if t == "script"]
        data = [{"type": "application/json", "id": name} for name in ("bai-rules", "bai-live")]
        return scripts == data

    def data(self, name: str) -> Any:
        """What the page hands to its script."""
        return json.loads(self.texts[name])

    def named(self, name: str) -> list[Control]:
        return [c for c in self.controls if c.name == name]

    def one(self, name: str) -> Control:
        (control,) = self.named(name)
        return control

    def radio(self, name: str, value: str) -> Control:
        (control,) = [c for c in self.named(name) if c.value == value]
        return control

    def about(self, control: Control) -> str:
        """What a screen reader says about a control."""
        ids = (control.attrs.get("aria-describedby") or "").split()
        return " ".join(" ".join(self.texts[i].split()) for i in ids)

    def submitted(self) -> dict[str, list[str]]:
        """The fields that a browser sends."""
        fields: dict[str, list[str]] = {}
        for c in self.controls:
            if "disabled" in c.attrs or not c.name:
                continue
            if c.attrs.get("type") in ("radio", "checkbox") and "checked" not in c.attrs:
                continue
            value = c.value.removeprefix("\n") if c.tag == "textarea" else c.value
            if c.tag == "select":
                chosen = [o for o in c.options if "selected" in o] or c.options[:1]
                value = chosen[-1].get("value") or ""
            fields.setdefault(c.name, []).append(value)
        return fields


def catalog(**changes: Any) -> Catalog:
    data: dict[str, Any] = {
        "nodes": {"local": {}},
        "resource_groups": {
            "general": {"title": "General", "nodes": ["local"]},
            "batch": {"title": "Long jobs", "nodes": ["local"]},
        },
        "environments": {
            "python": {
                "title": "Python",
                "description": "Plain.",
                "category": "Languages",
                "tags": ["lab"],
                "versions": {v: {"image": f"python:{v}"} for v in ("3.9", "3.13", "3.12")},
                "minimum": {"cpu": 1, "memory": "1GiB", "shm": "64MiB"},
            },
            "torch": {
                "title": "PyTorch",
                "category": "Data science",
                "versions": {"2.8": {"image": "torch:2.8"}},
                "minimum": {"cpu": 2, "memory": "2GiB"},
                "maximum": {"cpu": 3},
            },
        },
        "presets": {
            "small": {"title": "Small", "cpu": 1, "memory": "1GiB"},
            "medium": {"title": "Medium", "cpu": 2, "memory": "2GiB", "shm": "512MiB"},
            "night": {"title": "Night", "cpu": 2, "memory": "2GiB", "groups": ["batch"]},
            "gpu": {"title": "GPU", "cpu": 2, "memory": "4GiB", "fgpu": 2},
        },
        "gpu": {"fgpu_per_gpu": 5, "quantum": 1},
        "policies": [{"name": "everyone"}],
    }
    data.update(changes)
    return Catalog.model_validate(data)


def limited(**policy_keys: Any) -> Catalog:
    return catalog(policies=[{"name": "everyone", **policy_keys}])


def node(
    cpu: int = 8, memory: int = 16 * GIB, gpus: tuple[int | DeviceFree, ...] = (5,)
) -> NodeFree:
    devices = tuple(
        DeviceFree(f"GPU-{n}", gpu, 5) if isinstance(gpu, int) else gpu
        for n, gpu in enumerate(gpus)
    )
    return NodeFree("local", cpu, memory, devices, 5)


def a_part(size: int) -> DeviceFree:
    """A device that is given as a whole or not at all."""
    return a_gpu(f"MIG-{size}", size, size, size=size, whole=size, together=1)


def everywhere(*nodes: NodeFree) -> policy.Availability:
    return {"general": nodes, "batch": nodes}


def room(
    offered: Catalog, *nodes: NodeFree, usage: Usage | None = None, **availability: Any
) -> Room:
    free = availability or everywhere(*(nodes or (node(),)))
    return Room(offered, offered.policies[0], usage or Usage(), free)


def page(offered: Catalog | None = None, **arguments: Any) -> Page:
    offered = offered or catalog()
    arguments = {
        "policy": offered.policies[0],
        "usage": Usage(),
        "availability": everywhere(node()),
        "folders": [LOCAL, DATA, CORPUS],
        **arguments,
    }
    return Page(render_form(catalog=offered, **arguments))


def sent(**fields: str) -> options.FormRequest:
    """A form as it came; ``version__python`` stands for ``version:python``."""
    return options.from_form({k.replace("__", ":"): [v] for k, v in fields.items()})


def refused(*problems: tuple[str, str], **fields: str) -> Page:
    return page(request=sent(**fields), problems=[Problem(*p) for p in problems])


# ---- defaults


def test_the_first_environment_group_and_fitting_preset_are_chosen_and_the_newest_version() -> None:
    fields = page().submitted()
    assert fields["environment"] == ["python"]
    assert fields["version:python"] == ["3.13"]
    assert fields["resource_group"] == ["general"]
    assert fields["preset"] == ["small"]


def test_versions_are_listed_newest_first() -> None:
    listed = [option["value"] for option in page().one("version:python").options]
    assert listed == ["3.13", "3.12", "3.9"]


def test_the_boxes_hold_the_minimum_of_the_environment() -> None:
    fields = page().submitted()
    held = [fields[key] for key in ("cpu", "memory", "shm", "fgpu")]
    assert held == [["1"], ["1"], ["0.0625"], ["0"]]


def test_a_minimum_that_is_no_short_number_of_gib_is_rounded_up_to_one() -> None:
    offered = catalog()
    low = offered.environments["python"].minimum.model_copy(update={"memory": 10**9})
    python = offered.environments["python"].model_copy(update={"minimum": low})
    offered = offered.model_copy(update={"environments": {"python": python}})
    assert page(offered).submitted()["memory"] == ["0.9314"]


def test_custom_is_chosen_when_no_preset_fits() -> None:
    assert page(availability=everywhere(node(cpu=0))).submitted()["preset"] == [""]


def test_the_default_preset_is_one_for_the_default_group_and_environment() -> None:
    presets = {
        "night": {"title": "Night", "cpu": 2, "memory": "2GiB", "groups": ["batch"]},
        "tiny": {"title": "Tiny", "cpu": 1, "memory": "512MiB"},
        "fine": {"title": "Fine", "cpu": 1, "memory": "1GiB"},
    }
    assert page(catalog(presets=presets)).submitted()["preset"] == ["fine"]


@pytest.mark.parametrize("folders", [[], [DATA, CORPUS], [LOCAL, DATA, CORPUS]])
@pytest.mark.parametrize("cpu", [0, 8])
@pytest.mark.parametrize("gpus", [(), (0,), (5,)])
def test_the_defaults_come_back_as_a_request_without_problems(
    folders: list[FolderChoice], cpu: int, gpus: tuple[int, ...]
) -> None:
    free = everywhere(node(cpu, gpus=gpus))
    request = options.from_form(page(folders=folders, availability=free).submitted())
    problems = Problems(list(request.problems))
    asked = options.parse(request.body, problems)
    assert not problems.found
    assert asked.environment == "python"
    offered = catalog()
    assert policy.check(
        asked, request.session_name, offered, policy.Subject("u"), Usage(), problems
    )


def test_every_choice_comes_back_as_what_it_says() -> None:
    filled = refused(
        environment="torch",
        version__torch="2.8",
        resource_group="batch",
        preset="",
        cpu="2",
        memory="2.5",
        shm="1",
        fgpu="3",
        mount__data="ro",
        new_folder="results",
        env="A=1\nB = x=y ",
        session_name="mine",
        alone="1",
    )
    request = options.from_form(filled.submitted())
    asked = options.parse(request.body, problems := Problems())
    assert not problems.found
    assert asked.environment == "torch"
    assert asked.resource_group == "batch"
    assert asked.resources == options.Resources(2, 2560 * MIB, GIB, Decimal(3))
    assert asked.mounts == (
        options.Mount("data", "ro"),
        options.Mount("results", "rw", create=True),
    )
    assert asked.env == (("A", "1"), ("B", " x=y "))
    assert request.session_name == "mine"


def test_no_field_has_a_name_that_the_server_does_not_know() -> None:
    fields = {control.name: ["1"] for control in page(folders=[DATA]).controls if control.name}
    known = {*options.KEYS}
    assert set(options.from_form(fields).body) <= known


# ---- what is offered


def test_no_javascript_is_needed_or_there() -> None:
    found = page()
    assert found.runs_nothing
    assert "button" not in found.tags
    assert not [name for element in found.elements for name in element if name.startswith("on")]


def test_the_four_pages_are_there_and_each_has_a_step() -> None:
    found = page()
    assert found.tags.count("fieldset") == found.tags.count("legend") == 4
    pages = [element["id"] for element in found.elements if "data-bai-page" in element]
    assert pages == ["bai-environment", "bai-mounts", "bai-resources", "bai-review"]
    steps = [e["href"] for e in found.elements if (e.get("href") or "").startswith("#")]
    assert steps[:4] == [f"#{name}" for name in pages]


def test_what_only_a_script_can_fill_is_hidden_without_one() -> None:
    hidden = [element.get("id") for element in page().elements if "hidden" in element]
    assert {"bai-pages", "bai-review"} <= set(hidden)
    assert not {"bai-environment", "bai-mounts", "bai-resources"} & set(hidden)


def test_every_block_of_the_review_leads_to_what_it_shows() -> None:
    found = page()
    blocks = [e["data-bai-review"] for e in found.elements if "data-bai-review" in e]
    assert blocks == ["environment", "name", "variables", "folders", "resources", "group"]
    edits = [e for e in found.elements if e.get("class") == "bai-edit"]
    focusable = {e["id"] for e in found.elements if "tabindex" in e and e.get("id")}
    controls = {control.attrs.get("id") for control in found.controls}
    assert {(e["href"] or "")[1:] for e in edits} <= focusable | controls
    assert len(edits) == len(blocks)


def test_every_control_has_a_label() -> None:
    found = page(folders=[DATA, CORPUS])
    labelled = {element.get("for") for element in found.elements}
    for control in found.controls:
        if control.attrs.get("type") != "hidden":
            assert control.attrs.get("id") in labelled or control.attrs.get("aria-label"), control


def test_every_reference_by_id_resolves_and_no_id_stands_twice() -> None:
    found = refused(
        ("env.A", "no"), ("mounts[0].folder", "no"), ("resources.cpu", "no"), mount__data="rw"
    )
    ids = [element["id"] for element in found.elements if element.get("id")]
    assert len(ids) == len(set(ids))
    for element in found.elements:
        for key in ("for", "aria-describedby", "aria-labelledby"):
            assert set((element.get(key) or "").split()) <= set(ids)
        if (element.get("href") or "").startswith("#"):
            assert (element["href"] or "")[1:] in ids


def test_one_group_is_shown_and_cannot_be_changed() -> None:
    found = page(limited(resource_groups=["batch"]))
    assert found.one("resource_group").attrs["type"] == "hidden"
    assert found.submitted()["resource_group"] == ["batch"]
    assert "Long jobs" in found.texts["bai-resource_group"]


def test_what_a_policy_does_not_allow_is_not_shown() -> None:
    found = page(limited(environments=["torch"], presets=["medium"], resource_groups=["general"]))
    assert [c.value for c in found.named("environment")] == ["torch"]
    assert [c.value for c in found.named("preset")] == ["medium", ""]
    assert "Night" not in found.text


def test_a_user_to_whom_nothing_is_offered_is_told_so() -> None:
    found = page(limited(environments=[], resource_groups=[]))
    assert "No environment is offered to you" in found.text
    assert "No resource group is offered to you" in found.text


def test_automatic_folders_are_shown_without_a_choice_and_need_no_box_to_tick() -> None:
    found = page(folders=[LOCAL])
    assert not found.named("mount:.local")
    assert not found.named("alone")
    assert "Mounted automatically: read and write" in found.text


def test_without_an_automatic_folder_there_is_a_box_to_tick_for_a_session_without_one() -> None:
    found = page(folders=[DATA])
    assert "checked" not in found.one("alone").attrs
    assert "deleted when the session ends" in found.text


def test_a_folder_that_may_only_be_read_is_not_offered_for_writing() -> None:
    found = page()
    assert [o["value"] for o in found.one("mount:ml/corpus").options] == ["", "ro"]
    assert [o["value"] for o in found.one("mount:data").options] == ["", "rw", "ro"]


def test_a_new_folder_is_not_offered_where_own_folders_may_not_be_mounted() -> None:
    assert page().named("new_folder")
    assert not page(limited(folders=["group"])).named("new_folder")


def test_every_new_folder_that_was_asked_for_has_a_box_of_its_own() -> None:
    request = options.from_form({"mount:data": ["rw"], "new_folder": ["one", " ", ".two"]})
    problem = Problem("mounts[2].folder", "is no name")
    found = page(request=request, problems=[problem], folders=[DATA])
    assert found.submitted()["new_folder"] == ["one", ".two"]
    first, second = found.named("new_folder")
    assert "aria-invalid" not in first.attrs
    assert "is no name" in found.about(second)
    assert f"#{second.attrs['id']}" in [element.get("href") for element in found.elements]
    assert [c.value for c in page().named("new_folder")] == [""]


def test_a_problem_of_a_variable_says_which_one_it_is_about() -> None:
    found = refused(("env.HOME", "is set by the platform"), ("env", "line 2 has no '='"))
    about = [e["data-bai-variable"] for e in found.elements if "data-bai-variable" in e]
    assert about == ["HOME"]


@pytest.mark.parametrize(("held", "most"), [(0, "3"), (2, "1"), (3, "1")])
def test_as_many_sessions_can_be_asked_for_as_the_policy_leaves(held: int, most: str) -> None:
    found = page(limited(limits={"sessions": 3}), usage=Usage(held))
    sessions = found.one("sessions")
    assert (sessions.value, sessions.attrs["min"], sessions.attrs["max"]) == ("1", "1", most)
    assert page().one("sessions").attrs["max"] == str(options.MAX_SESSIONS)


def test_a_number_of_sessions_that_was_refused_is_there_again() -> None:
    assert refused(sessions="7").submitted()["sessions"] == ["7"]
    assert refused(sessions="many").submitted()["sessions"] == ["many"]


def test_the_script_is_told_the_servers_own_rules() -> None:
    usage = Usage(1, 1, GIB, names=frozenset({names.words()[0]}))
    rules = page(usage=usage).data("bai-rules")
    drawn = rules["session_name"]["words"]
    assert len(set(drawn)) == len(drawn) > 1
    assert names.words()[0] not in drawn
    assert "HOME" in rules["variables"]["platform_names"]
    assert "JUPYTERHUB_" in rules["variables"]["platform_prefixes"]
    assert ".ssh" in rules["folders"]["reserved"]
    night = {"cpu": 2, "memory": 2 * GIB, "fgpu": "0", "groups": ["batch"], "unfit": []}
    assert rules["presets"]["night"] == night
    assert rules["presets"]["small"]["unfit"] == ["torch"]


def test_the_script_is_told_only_what_the_policy_offers() -> None:
    found = page(limited(environments=["torch"], presets=["medium"], resource_groups=["general"]))
    rules = found.data("bai-rules")
    assert rules["presets"].keys() == {"medium"}
    assert rules["presets"]["medium"]["groups"] == ["general"]


def test_variables_are_said_to_be_no_place_for_secrets() -> None:
    found = page()
    said = found.about(found.one("env"))
    assert "No place for secrets: administrators can read them" in said
    assert "empty value is dropped" in said


@pytest.mark.parametrize(
    ("per_gpu", "said"),
    [(5, "1 fGPU = 1/5 of a GPU"), (1, "1 fGPU = 1 GPU"), ("2.5", "2.5 fGPU = 1 GPU")],
)
def test_what_one_fgpu_is_comes_from_the_catalogue(per_gpu: object, said: str) -> None:
    offered = catalog(gpu={"fgpu_per_gpu": per_gpu, "quantum": "0.5"})
    found = page(offered)
    assert said in found.about(found.one("fgpu"))
    assert "in steps of 0.5" in found.about(found.one("fgpu"))
    assert found.one("fgpu").attrs["step"] == "0.5"


# ---- GPUs


def shown(found: Page) -> str:
    """What stands on the resource groups' cards, a line."""
    return " ".join(found.texts["bai-resource_group"].split())


def test_a_group_says_what_keeps_the_shares_of_its_gpus_without_a_script() -> None:
    gpus = (a_gpu("GPU-0", 2, 5, whole=5), a_gpu("GPU-1", 5, 5, whole=5))
    said = shown(page(availability={"general": (node(gpus=gpus),), "batch": (node(gpus=()),)}))
    assert (
        "2 × NVIDIA H100 80GB HBM3: 5 of 5, 2 of 5 fGPU free; 1 fGPU = 15.79 GiB of memory" in said
    )
    line = "GPU: memcap (memory: session, compute: none, faults: contexts)"
    assert said.count(f"{line}; verified on hardware: never") == 1
    assert "all processes of a session together get no more than the share" in said


def test_gpus_with_different_enforcement_are_told_apart_by_their_titles() -> None:
    none = Enforcement(faults=Faults.CONTEXTS)
    other = a_gpu("GPU-1", 5, 5, whole=5, title="A100", isolation="timeslice", enforcement=none)
    shut = closed(a_gpu("GPU-2"), "an administrator has closed it")
    gpus = (a_gpu("GPU-0", 5, 5, whole=5), other, shut)
    said = shown(page(availability={"general": (node(gpus=gpus),)}))
    assert "A100: 5 of 5 fGPU free; 1 fGPU counts as 15.79 GiB of its memory GPU: timeslice" in said
    assert "memory: none not limited; a session can fill the GPU" in said
    assert "NVIDIA H100 80GB HBM3 Not handed out: an administrator has closed it" in said


def test_a_simulated_gpu_is_marked_without_a_script() -> None:
    said = shown(page(availability={"general": (node(gpus=(a_simulated(free=5),)),)}))
    assert "SIMULATED NVIDIA A100: 5 of" in said
    assert "It is not there: a session that is given it gets no GPU." in said


def test_the_fgpu_box_says_what_a_request_gets_and_whose_the_cuda_context_is() -> None:
    parts = (a_part(1), replace(a_part(2), free=0), a_part(3))
    found = page(availability=everywhere(node(gpus=parts)))
    said = found.about(found.one("fgpu"))
    assert "You get exactly what you ask for, or nothing: up to one GPU a part of one" in said
    assert "over it whole GPUs or equal shares of GPUs of one kind" in said
    assert "gives exactly one of them: here 1, 2 or 3 fGPU" in said
    assert "The CUDA context of each process comes out of your share of the memory." in said
    assert "General: can be given now: 1, 3" in said
    whole = page()
    assert "MIG" not in whole.about(whole.one("fgpu"))
    assert "can be given now" not in whole.about(whole.one("fgpu"))


def test_more_than_one_gpu_can_be_asked_for_where_it_can_be_given() -> None:
    gpus = tuple(a_gpu(f"GPU-{n}", 5, 5, whole=5) for n in range(2))
    found = page(availability=everywhere(node(gpus=gpus)))
    assert found.one("fgpu").attrs["max"] == "10"
    assert "can be given now: 1 to 6, 8, 10" in found.about(found.one("fgpu"))


def test_no_text_of_a_gpu_becomes_markup() -> None:
    device = a_gpu("GPU-0", 5, 5, title=HOSTILE, isolation=HOSTILE, verified=HOSTILE, whole=5)
    gpus = (device, closed(device, HOSTILE))
    found = page(availability=everywhere(node(gpus=gpus)))
    assert found.runs_nothing
    assert found.text.count(HOSTILE) >= 4
    assert found.data("bai-live")["groups"]["general"]["nodes"][0]["devices"][0]["title"] == HOSTILE


# ---- what does not fit is disabled, with the reason


@pytest.mark.parametrize(
    ("offered", "usage", "free", "preset", "reason"),
    [
        (limited(per_session={"cpu": 1}), Usage(), node(), "gpu", "CPU: 2 > 1 allowed for one"),
        (
            limited(per_session={"shm": "128MiB"}),
            Usage(),
            node(),
            "medium",
            "Shared memory: 512 MiB > 128 MiB allowed for one session",
        ),
        (
            limited(limits={"memory": "4GiB"}),
            Usage(1, 1, 3 * GIB),
            node(),
            "medium",
            "RAM: 3 GiB in use + 2 GiB > 4 GiB allowed",
        ),
        (
            limited(limits={"fgpu": 3}),
            Usage(1, 1, GIB, 2),
            node(),
            "gpu",
            "fGPU: 2 in use + 2 > 3 allowed",
        ),
        (catalog(), Usage(), node(cpu=1), "medium", "CPU: 1 free on one node now"),
        (catalog(), Usage(), node(gpus=(1, 1)), "gpu", "fGPU: 1 free for one session now"),
        (
            catalog(),
            Usage(),
            node(gpus=(a_part(1), a_part(3))),
            "gpu",
            "fGPU: no part of exactly 2",
        ),
        (
            catalog(),
            Usage(),
            node(gpus=(closed(a_part(3), "drained"),)),
            "gpu",
            "no GPU is handed out: drained",
        ),
        (catalog(), Usage(), node(gpus=()), "gpu", "there is no GPU here"),
        (
            limited(environments=["torch"]),
            Usage(),
            node(),
            "small",
            "no environment runs with it",
        ),
    ],
)
def test_a_preset_that_does_not_fit_is_shown_disabled_with_the_reason(
    offered: Catalog, usage: Usage, free: NodeFree, preset: str, reason: str
) -> None:
    found = page(offered, usage=usage, availability=everywhere(free))
    card = found.radio("preset", preset)
    assert "disabled" in card.attrs
    assert "checked" not in card.attrs
    assert reason in found.about(card)


def test_a_preset_must_fit_on_one_node_not_on_the_sum_of_two() -> None:
    free = everywhere(node(cpu=8, memory=GIB), node(cpu=1))
    found = page(availability=free)
    assert "no single node has all of it free now" in found.about(found.radio("preset", "medium"))


def test_a_preset_is_judged_in_the_groups_that_it_is_offered_in() -> None:
    free = {"general": (node(cpu=0),), "batch": (node(),)}
    found = page(availability=free)
    assert "disabled" not in found.radio("preset", "night").attrs
    assert "Only in Long jobs." in found.about(found.radio("preset", "night"))


def test_a_version_without_its_image_is_disabled_and_the_next_one_chosen() -> None:
    found = page(missing_images=frozenset({"python:3.13"}))
    first = found.one("version:python").options[0]
    assert first["value"] == "3.13"
    assert "disabled" in first
    assert "3.13 (its image is not on this system)" in found.text
    assert found.submitted()["version:python"] == ["3.12"]


def test_an_environment_without_any_image_is_disabled_and_another_one_chosen() -> None:
    found = page(missing_images=frozenset({"python:3.13", "python:3.12", "python:3.9"}))
    card = found.radio("environment", "python")
    assert "disabled" in card.attrs
    assert "None of its images is on this system." in found.about(card)
    assert found.submitted()["environment"] == ["torch"]


@pytest.mark.parametrize(
    ("gpus", "reason"),
    [
        ((), "There is no GPU here."),
        ((0, 0), "Every GPU is in use now."),
        ((closed(a_gpu("GPU-0"), "drained"),), "No GPU is handed out: drained."),
    ],
)
def test_fgpu_is_disabled_with_the_reason_when_no_device_has_any(
    gpus: tuple[int | DeviceFree, ...], reason: str
) -> None:
    found = page(availability=everywhere(node(gpus=gpus)))
    assert "disabled" in found.one("fgpu").attrs
    assert reason in found.about(found.one("fgpu"))


def test_a_user_with_all_sessions_in_use_is_told_before_launching() -> None:
    offered = limited(limits={"sessions": 2})
    assert "2 of 2 sessions are in use: end one" in page(offered, usage=Usage(2)).text
    assert "are in use" not in page(offered, usage=Usage(1)).text


# ---- a refused form keeps everything


def test_every_value_that_was_typed_is_there_again() -> None:
    typed = {
        "session_name": "my session",
        "environment": "torch",
        "version:python": "3.12",
        "resource_group": "batch",
        "preset": "",
        "cpu": "99",
        "memory": "a lot",
        "shm": "",
        "fgpu": "0.5",
        "mount:data": "ro",
        "mount:ml/corpus": "ro",
        "new_folder": "../x",
        "env": "\n\nA=1\n  B=  2 ",
        "alone": "1",
    }
    request = options.from_form({name: [value] for name, value in typed.items()})
    fields = page(request=request, folders=[DATA, CORPUS]).submitted()
    assert {name: fields[name][0] for name in typed} == typed


def test_a_chosen_preset_that_no_longer_fits_stays_chosen_and_is_sent_again() -> None:
    found = page(request=sent(preset="gpu"), availability=everywhere(node(gpus=())))
    assert found.submitted()["preset"] == ["gpu"]
    assert "there is no GPU here" in found.about(found.radio("preset", "gpu"))


def test_a_chosen_version_whose_image_went_away_stays_chosen() -> None:
    request = sent(environment="python", version__python="3.13")
    found = page(request=request, missing_images=frozenset({"python:3.13"}))
    assert found.submitted()["version:python"] == ["3.13"]


def test_a_gpu_that_was_asked_for_is_not_dropped_silently() -> None:
    found = page(request=sent(preset="", fgpu="2"), availability=everywhere(node(gpus=())))
    assert found.submitted()["fgpu"] == ["2"]


def test_a_folder_that_is_not_offered_any_more_is_still_shown() -> None:
    found = refused(mount__gone="rw")
    assert found.submitted()["mount:gone"] == ["rw"]
    assert "not a folder that you may mount" in found.text


# ---- problems


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("resources.cpu", "cpu"),
        ("resources.memory", "memory"),
        ("resources.shm", "shm"),
        ("resources.fgpu", "fgpu"),
        ("display_name", "session_name"),
        ("sessions", "sessions"),
        ("env", "env"),
        ("env.PATH", "env"),
        ("version", "version:python"),
        ("mounts[0].folder", "mount:data"),
        ("mounts[1].mode", "new_folder"),
    ],
)
def test_a_problem_is_shown_at_its_field_and_linked_from_the_summary(path: str, name: str) -> None:
    found = refused((path, "is wrong"), environment="python", mount__data="rw", new_folder="new")
    control = found.one(name)
    assert control.attrs["aria-invalid"] == "true"
    assert "is-invalid" in (control.attrs["class"] or "")
    assert "is wrong" in found.about(control)
    assert f"#{control.attrs['id']}" in [element.get("href") for element in found.elements]
    assert "is wrong" in found.texts["bai-problems"]
    assert sum(element.get("aria-invalid") == "true" for element in found.elements) == 1


@pytest.mark.parametrize(
    ("path", "section"),
    [
        ("environment", "bai-environment"),
        ("mounts", "bai-mounts"),
        ("mounts[7].folder", "bai-mounts"),
        ("resource_group", "bai-resource_group"),
        ("preset", "bai-resources"),
        ("resources", "bai-resources"),
    ],
)
def test_a_problem_of_a_choice_is_shown_in_its_section(path: str, section: str) -> None:
    found = refused((path, "is wrong"))
    assert "is wrong" in found.texts[section]


def test_a_problem_without_a_field_is_in_the_summary_alone() -> None:
    found = refused(("surprise", "is not a known key"))
    assert found.text.count("is not a known key") == 1
    assert "surprise" in found.texts["bai-problems"]
    assert not [e for e in found.elements if e.get("aria-invalid")]


def test_the_name_of_a_variable_stands_before_its_problem() -> None:
    found = refused(("env.HOME", "is set by the platform"))
    assert "HOME is set by the platform" in found.about(found.one("env"))


def test_the_summary_is_announced_focused_and_marks_a_refusal() -> None:
    found = refused(("resources.cpu", "is wrong"))
    (summary,) = [e for e in found.elements if e.get("id") == "bai-problems"]
    assert summary["role"] == "alert"
    assert "autofocus" in summary
    assert "data-bai-problems" in summary


@pytest.mark.parametrize(
    ("reason", "lasting"),
    [(Reason.INVALID, True), (Reason.POLICY, False), (Reason.CAPACITY, False)],
)
def test_only_a_problem_that_stays_while_the_form_does_is_said_to_last(
    reason: Reason, lasting: bool
) -> None:
    found = page(request=sent(), problems=[Problem("resources.cpu", "is wrong", reason)])
    assert any("data-bai-lasting" in element for element in found.elements) is lasting


def test_a_form_that_comes_back_says_that_it_is_filled() -> None:
    assert any("data-bai-filled" in element for element in page(request=sent()).elements)
    assert not any("data-bai-filled" in element for element in page().elements)


def test_an_engine_that_is_away_is_told_and_is_no_refusal() -> None:
    found = page(problems=[Problem("engine", "does not answer", Reason.ENGINE)])
    assert "does not answer" in found.texts["bai-problems"]
    assert "data-bai-problems" not in found.html


def test_a_form_without_problems_has_no_summary_and_nothing_invalid() -> None:
    found = page()
    assert "bai-problems" not in found.texts
    assert "invalid" not in found.html


# ---- hostile values


def test_no_value_becomes_markup_wherever_it_is_shown() -> None:
    fields = ["session_name", "cpu", "memory", "shm", "fgpu", "new_folder", "env", "alone"]
    fields += ["environment", "resource_group", "preset", "sessions", "version:python"]
    fields += ["mount:data", f"mount:{HOSTILE}", HOSTILE]
    request = options.from_form({name: [HOSTILE] for name in fields})
    paths = ["resources.cpu", "env", f"env.{HOSTILE}", HOSTILE, "mounts[1].folder", "version"]
    found = page(request=request, problems=[Problem(path, HOSTILE) for path in paths])
    plain = page(folders=[LOCAL, DATA, CORPUS])
    assert not set(found.tags) - set(plain.tags) - {"ul", "a", "strong", "h2"}
    assert "49" not in found.html.partition("<script")[0]
    assert found.one("session_name").value == HOSTILE
    assert found.one("env").value.removeprefix("\n") == HOSTILE
    assert found.one(f"mount:{HOSTILE}")


def test_no_text_of_the_catalogue_or_name_of_a_folder_becomes_markup() -> None:
    base = catalog()
    python = base.environments["python"].model_copy(
        update={"title": HOSTILE, "description": HOSTILE, "category": HOSTILE, "tags": (HOSTILE,)}
    )
    preset = base.presets["small"].model_copy(update={"title": HOSTILE, "description": HOSTILE})
    group = base.resource_groups["general"].model_copy(update={"title": HOSTILE})
    offered = base.model_copy(
        update={
            "environments": {**base.environments, "python": python},
            "presets": {"small": preset},
            "resource_groups": {**base.resource_groups, "general": group},
        }
    )
    folders = [replace(DATA, name=HOSTILE), replace(LOCAL, name=HOSTILE)]
    found = page(offered, folders=folders)
    assert found.runs_nothing
    assert HOSTILE in found.text


def test_the_text_of_the_variables_cannot_end_its_box() -> None:
    typed = "A=</textarea><script>alert(1)</script>"
    found = refused(env=typed)
    assert found.submitted()["env"] == [typed]
    assert found.runs_nothing


# ---- bounds


def test_the_upper_bound_is_the_tightest_limit_and_says_which() -> None:
    offered = limited(per_session={"cpu": 6}, limits={"cpu": 8, "memory": "4GiB", "fgpu": 4})
    found = bounds(room(offered, usage=Usage(1, 3, 3 * GIB, 1)), "python", "general")
    assert found["cpu"] == Bound(1, 5, "left of the 8 that you may hold")
    assert found["memory"] == Bound(GIB, GIB, "left of the 4 GiB that you may hold")
    assert found["shm"] == Bound(64 * MIB, GIB, "the most RAM, of which it is part")
    assert found["fgpu"] == Bound(Decimal(0), Decimal(3), "left of the 4 that you may hold")


def test_a_session_limit_an_environment_and_free_capacity_each_bound() -> None:
    offered = limited(per_session={"memory": "2GiB", "shm": "1GiB"})
    found = bounds(room(offered, node(gpus=(2, 4))), "torch", "general")
    assert found["cpu"] == Bound(2, 3, "the most that PyTorch takes")
    assert found["memory"].limit == found["shm"].limit == "allowed for one session"
    assert found["shm"].high == GIB
    assert found["fgpu"] == Bound(Decimal(0), Decimal(4), "free for one session now")


def test_free_capacity_is_that_of_one_node_of_the_group() -> None:
    free = {"general": (node(cpu=3), node(cpu=5)), "batch": (node(cpu=9),)}
    found = bounds(room(catalog(), **free), "python", "general")
    assert found["cpu"] == Bound(1, 5, "free on one node now")


def test_a_user_over_the_limit_has_nothing_left_and_never_less() -> None:
    offered = limited(limits={"cpu": 2})
    found = bounds(room(offered, usage=Usage(1, 4, GIB)), "python", "general")
    assert found["cpu"].high == 0
    assert not found["cpu"].possible


def test_a_group_of_which_nothing_is_known_has_nothing() -> None:
    found = bounds(room(catalog(), elsewhere=(node(),)), "python", "general")
    assert [bound.high for bound in found.values()] == [0, 0, 0, 0]
    assert found["fgpu"].limit == "there is no GPU here"


def test_a_preset_that_fits_has_nothing_against_it() -> None:
    offered = catalog()
    assert misfits(room(offered), offered.presets["gpu"], ("general",)) == []


def test_bounds_are_shown_at_each_box_in_its_unit() -> None:
    found = page(limited(environments=["python"], per_session={"cpu": 2}))
    cpu, memory = found.one("cpu"), found.one("memory")
    assert (cpu.attrs["min"], cpu.attrs["max"], cpu.attrs["step"]) == ("1", "2", "1")
    assert "1 to 2 cores (allowed for one session)" in found.about(cpu)
    assert "1 to 16 GiB (free on one node now)" in found.about(memory)


def test_bounds_that_differ_say_for_which_choice_they_are() -> None:
    free = {"general": (node(cpu=4),), "batch": (node(cpu=6),)}
    said = (found := page(availability=free)).about(found.one("cpu"))
    assert "Python in General: 1 to 4 cores" in said
    assert "Python in Long jobs: 1 to 6 cores" in said
    assert "PyTorch: 2 to 3 cores (the most that PyTorch takes)" in said


def test_a_bound_that_leaves_nothing_says_what_is_needed() -> None:
    found = page(limited(environments=["python"]), availability=everywhere(node(cpu=0)))
    said = found.about(found.one("cpu"))
    assert "at least 1 needed, at most 0 cores possible (free on one node now)" in said


# ---- the hub's pages


async def hub_page(name: str, **given: Any) -> Page:
    """A page as JupyterHub renders it: its loader, its autoescape, its variables."""
    theirs = str(Path(DATA_FILES_PATH) / "templates")
    loader = ChoiceLoader(
        [
            PrefixLoader({"templates": FileSystemLoader([theirs])}),
            FileSystemLoader([str(TEMPLATES), theirs]),
        ]
    )
    hub = Environment(loader=loader, autoescape=True, enable_async=True)
    variables = {
        "base_url": "/hub/",
        "static_url": lambda path, **_: f"/hub/static/{path}",
        "parsed_scopes": {},
        "user": user("alice"),
        "xsrf_token": "t=1",
        "bai_service": "/services/sessions/",
        "bai_static": "/services/sessions/static/d1/",
        "new_server_name": lambda: "sfresh",
        **given,
    }
    return Page(await hub.get_template(name).render_async(**variables))


def server(
    name: str,
    *,
    active: bool = True,
    pending: str | None = None,
    together: Sequence[dict[str, str]] = (),
) -> SimpleNamespace:
    return SimpleNamespace(
        together=together,
        name=name,
        display_name=HOSTILE if name else "",
        user=user("bob/x"),
        active=active,
        pending=pending,
        ready=active and not pending,
        user_options={
            "profile": f"environment of {name} · general · 2 CPU, 4 GiB RAM",
            "mounts": [{"folder": HOSTILE, "mode": "ro"}],
        },
        orm_spawner=SimpleNamespace(started=None),
    )


def user(name: str, *servers: SimpleNamespace) -> SimpleNamespace:
    return SimpleNamespace(
        name=name,
        escaped_name=name,
        json_escaped_name=name,
        spawner=SimpleNamespace(options_form="", automatic_folders=(".local", ".cache")),
        all_spawners=lambda: servers,
        server_url=lambda server: f"/user/{name}/{server}",
    )


@pytest.mark.parametrize(
    ("form", "shown"),
    [("<p data-bai-problems>At the field</p>", False), ("<p>A form</p>", True), (None, True)],
)
async def test_the_launch_page_shows_a_failure_unless_the_form_does(
    form: str | None, shown: bool
) -> None:
    found = await hub_page(
        "spawn.html",
        url="/hub/spawn/alice/s1?next=%2Fx&_xsrf=a&_xsrf=a",
        spawner_options_form=form,
        error_message="as text",
        html_error_message="<em>as lines</em>",
    )
    assert ("as lines" in found.text) is shown
    assert "as text" not in found.text
    assert "LAUNCH" in found.text
    (form_tag,) = [e for e in found.elements if e.get("id") == "spawn_form"]
    assert form_tag["action"] == "/hub/spawn/alice/s1?next=%2Fx&_xsrf=t%3D1"


async def test_the_launch_page_loads_the_wizard_for_a_form_and_knows_whose_it_is() -> None:
    given = {"url": "/x?_xsrf=a", "for_user": user("bob")}
    found = await hub_page("spawn.html", spawner_options_form="<p data-bai-page>", **given)
    wizard = {"type": "module", "src": "/services/sessions/static/d1/wizard.js"}
    assert wizard in found.elements
    (form_tag,) = [e for e in found.elements if e.get("id") == "spawn_form"]
    assert form_tag["data-bai-owner"] == "bob"
    none = await hub_page("spawn.html", spawner_options_form=None, **given)
    assert wizard not in none.elements


async def test_the_buttons_that_turn_pages_are_hidden_without_a_script() -> None:
    found = await hub_page("spawn.html", url="/x?_xsrf=a", spawner_options_form="<p>A form</p>")
    ours = [e for e in found.elements if (e.get("id") or "").startswith("bai-")]
    buttons = {e["id"]: e for e in ours if e.get("type") in ("button", "submit")}
    assert {"bai-back", "bai-next"} == {name for name, e in buttons.items() if "hidden" in e}
    assert [n for n, e in buttons.items() if e["type"] == "submit"] == ["bai-launch-button"]


async def test_a_failure_without_html_is_shown_as_text() -> None:
    found = await hub_page("spawn.html", url="/hub/spawn?_xsrf=a", error_message=HOSTILE)
    assert HOSTILE in found.text


async def test_the_launch_page_names_another_owner() -> None:
    found = await hub_page("spawn.html", url="/x?_xsrf=a", for_user=user(HOSTILE))
    assert f"belong to {HOSTILE}" in found.text


async def test_the_pending_page_stops_the_server_that_it_shows() -> None:
    found = await hub_page(
        "spawn_pending.html", spawner=server("s1", pending="spawn"), progress_url="/p"
    )
    (data,) = [e for e in found.elements if e.get("id") == "bai-pending"]
    assert data["data-user"] == "bob/x"
    (panel,) = [e for e in found.elements if e.get("class") == "bai-start"]
    assert (panel["data-server"], panel["data-progress-url"]) == ("s1", "/p")
    assert f"Starting {HOSTILE}" in found.texts["bai-heading"]
    links = {e["href"] for e in found.elements if e.get("href")}
    assert {"/services/sessions/", "/hub/spawn/bob%2Fx/s1"} <= links


async def test_the_pending_page_of_several_sessions_has_a_panel_for_each() -> None:
    together = [
        {"server": name, "session": HOSTILE + name, "progress_url": f"/{name}/progress"}
        for name in ("s1", "s2")
    ]
    found = await hub_page(
        "spawn_pending.html",
        spawner=server("s1", pending="spawn", together=together),
        progress_url="/p",
    )
    panels = [e for e in found.elements if e.get("class") == "bai-start"]
    assert [p["data-server"] for p in panels] == ["s1", "s2"]
    assert [p["data-progress-url"] for p in panels] == [
        "/s1/progress?_xsrf=t%3D1",
        "/s2/progress?_xsrf=t%3D1",
    ]
    stops = [e["aria-label"] for e in found.elements if "bai-stop" in (e.get("class") or "")]
    assert stops == [f"Stop {HOSTILE}s1", f"Stop {HOSTILE}s2"]
    assert "Starting 2 sessions" in found.texts["bai-heading"]


async def test_home_lists_active_sessions_alone_with_what_can_be_done() -> None:
    servers = (
        server(""),
        server("srun"),
        server("sstart", pending="spawn"),
        server("sstop", pending="stop"),
        server("sgone", active=False),
    )
    found = await hub_page("home.html", user=user("alice", *servers))
    rows = [e for e in found.elements if e.get("data-title")]
    assert [(e["data-server-name"], e["data-state"]) for e in rows] == [
        ("", "running"),
        ("srun", "running"),
        ("sstart", "starting"),
        ("sstop", "stopping"),
    ]
    links = [e["href"] for e in found.elements if e.get("href")]
    assert {"/user/alice/srun", "/hub/spawn-pending/alice/sstart"} <= set(links)
    assert "/user/alice/sstart" not in links
    assert "/hub/spawn/alice/sfresh" in links
    assert "environment of srun" in found.text
    assert "2 CPU, 4 GiB RAM" in found.text


async def test_home_knows_of_each_session_which_folders_stay() -> None:
    found = await hub_page("home.html", user=user("alice", server("srun")))
    (row,) = [e for e in found.elements if e.get("data-title")]
    assert json.loads(row["data-folders"] or "") == [{"folder": HOSTILE, "mode": "ro"}]
    (again,) = [e for e in found.elements if e.get("id") == "bai-again"]
    assert again["data-automatic"] == ".local .cache"
    assert again["data-spawn"] == "/hub/spawn/alice"


async def test_home_without_sessions_says_so() -> None:
    found = await hub_page("home.html")
    assert "No session is running." in found.text


async def test_home_works_with_a_name_as_well_as_with_a_source_of_names() -> None:
    found = await hub_page("home.html", new_server_name="sgiven")
    assert "/hub/spawn/alice/sgiven" in [e.get("href") for e in found.elements]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"failed_html_message": "<ul><li>one</li></ul>", "failed_message": "no"}, "one"),
        ({"failed_message": HOSTILE}, HOSTILE),
        ({}, "No reason was given"),
    ],
)
async def test_a_failed_start_says_why_and_leads_back_to_its_form(
    given: dict[str, str], said: str
) -> None:
    found = await hub_page(
        "not_running.html", failed=True, server_name="s1", spawn_url="/hub/spawn/alice/s1", **given
    )
    assert "The session did not start" in found.text
    assert said in found.text
    assert "/hub/spawn/alice/s1" in [e.get("href") for e in found.elements]


@pytest.mark.parametrize("name", ["spawn.html", "spawn_pending.html", "home.html"])
async def test_no_page_has_event_handlers_in_its_markup(name: str) -> None:
    found = await hub_page(name, url="/x", spawner=server("s1"), progress_url="/p")
    assert not [key for element in found.elements for key in element if key.startswith("on")]
