"""What was asked for: one total parse for the form, REST, the admin panel and restarts.

`parse` takes whatever arrived (JSON of any shape) and never raises: what is
wrong becomes a problem with its key's path, what is right becomes a field, and
a field that was left out or is wrong is ``None``. Whether the request is
allowed, or names things that exist, is not decided here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from bai_spawner import units
from bai_spawner.errors import Problem, Problems, kind, shown

KEYS = (
    "environment",
    "version",
    "resource_group",
    "preset",
    "resources",
    "mounts",
    "env",
    "profile",
)
RESOURCE_KEYS = ("cpu", "memory", "shm", "fgpu")
MOUNT_KEYS = ("folder", "mode", "create")

MAX_MOUNTS = 50
MAX_VARIABLES = 200
MAX_VARIABLE_NAME = 128
MAX_VARIABLE_VALUE = 16 * units.KIB
MAX_VARIABLES_TOTAL = 128 * units.KIB
MAX_CHOICE = 64
MAX_SHOWN_KEYS = 5
MAX_SESSIONS = 100
"""That one form may launch: whatever the policy says, it is one request."""

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
PLATFORM_PREFIXES = ("JUPYTERHUB_", "JPY_", "JUPYTER_", "NVIDIA_", "CUDA_MPS_", "BAI_")
PLATFORM_NAMES = frozenset(
    {
        "CUDA_VISIBLE_DEVICES",
        "HOME",
        "USER",
        "LOGNAME",
        "MEM_LIMIT",
        "MEM_GUARANTEE",
        "CPU_LIMIT",
        "CPU_GUARANTEE",
    }
)
"""Variables that the platform sets, compared without regard to case; nobody else may."""

_LINE = re.compile(r"\r\n|\n|\r")
_DIGITS = re.compile(r"[0-9]{1,9}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,30})?", re.ASCII)
_KEY = re.compile(r"[A-Za-z0-9_-]{1,40}", re.ASCII)
_SURROGATE = re.compile("[\ud800-\udfff]")

Mode = Literal["rw", "ro"]


@dataclass(frozen=True, slots=True)
class Resources:
    """What was asked of each resource; ``None`` means the environment's minimum."""

    cpu: int | None = None
    memory: int | None = None
    shm: int | None = None
    fgpu: Decimal | None = None

    @property
    def title(self) -> str:
        """What was asked for, in words; empty when it was nothing."""
        parts = [
            f"{self.cpu} CPU" if self.cpu else "",
            f"{units.format_size(self.memory)} RAM" if self.memory else "",
            f"{units.plain(self.fgpu)} fGPU" if self.fgpu else "",
        ]
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Mount:
    """A data folder to mount: ``data``, or ``group/corpus`` for a group's.

    ``create`` makes a folder of the user's own that is not there yet.
    """

    folder: str
    mode: Mode = "rw"
    create: bool = False


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """A request, parsed. Variables are in the order they were given, none empty."""

    environment: str | None = None
    version: str | None = None
    resource_group: str | None = None
    preset: str | None = None
    resources: Resources | None = None
    mounts: tuple[Mount, ...] = ()
    env: tuple[tuple[str, str], ...] = ()

    @property
    def title(self) -> str:
        """What was asked for, in a line that tells one launch from others."""
        environment = " ".join(part for part in (self.environment, self.version) if part)
        chosen = self.preset or (self.resources and self.resources.title) or "least resources"
        title = f"{environment or 'default environment'} · {chosen}"
        return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in title)

    def to_json(self, profile: str) -> dict[str, Any]:
        """The same request as a body that `parse` reads back, under a readable ``profile``."""
        body: dict[str, Any] = {"profile": profile}
        for key in ("environment", "version", "resource_group", "preset"):
            if (value := getattr(self, key)) is not None:
                body[key] = value
        if self.resources:
            asked = {key: getattr(self.resources, key) for key in RESOURCE_KEYS}
            if asked["fgpu"] is not None:
                asked["fgpu"] = units.plain(asked["fgpu"])
            body["resources"] = {key: value for key, value in asked.items() if value is not None}
        if self.mounts:
            body["mounts"] = [
                {"folder": m.folder, "mode": m.mode} | ({"create": True} if m.create else {})
                for m in self.mounts
            ]
        if self.env:
            body["env"] = dict(self.env)
        return body


def parse(body: object, problems: Problems) -> SessionOptions:
    """Read a request, adding to ``problems`` whatever is wrong with its shape."""
    if body is None:
        body = {}
    if not isinstance(body, dict):
        problems.add("user_options", f"must be an object, not {shown(body)}")
        return SessionOptions()
    _no_others(body, KEYS, "", problems)
    if body.get("preset") is not None and body.get("resources") is not None:
        problems.add("preset", "excludes resources: send one of them")
    if not isinstance(body.get("profile"), str | None):
        problems.add("profile", "must be text")
    return SessionOptions(
        environment=_choice(body, "environment", problems),
        version=_choice(body, "version", problems),
        resource_group=_choice(body, "resource_group", problems),
        preset=_choice(body, "preset", problems),
        resources=_resources(body.get("resources"), problems),
        mounts=_mounts(body.get("mounts"), problems),
        env=_variables(body.get("env"), problems),
    )


def _no_others(
    body: Mapping[Any, object], known: Sequence[str], inside: str, problems: Problems
) -> None:
    """Refuse unknown keys, the first few by name."""
    others = [key for key in body if key not in known]
    for key in others[:MAX_SHOWN_KEYS]:
        name = key if isinstance(key, str) and _KEY.fullmatch(key) else shown(key)
        problems.add(f"{inside}{name}", f"is not a known key; known: {', '.join(known)}")
    if len(others) > MAX_SHOWN_KEYS:
        rest = len(others) - MAX_SHOWN_KEYS
        problems.add(inside.rstrip(".") or "user_options", f"has {rest} more unknown keys")


def _choice(body: Mapping[str, object], key: str, problems: Problems) -> str | None:
    value = body.get(key)
    if value is None or (isinstance(value, str) and 0 < len(value) <= MAX_CHOICE):
        return value
    problems.add(key, f"must be text of 1 to {MAX_CHOICE} characters, not {shown(value)}")
    return None


def _resources(value: object, problems: Problems) -> Resources | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        problems.add("resources", f"must be an object, not {shown(value)}")
        return None
    _no_others(value, RESOURCE_KEYS, "resources.", problems)
    return Resources(
        cpu=_amount(value, "cpu", units.parse_cores, problems),
        memory=_amount(value, "memory", units.parse_size, problems),
        shm=_amount(value, "shm", units.parse_size, problems),
        fgpu=_amount(value, "fgpu", units.parse_fgpu, problems),
    )


def _amount(value: Mapping[str, object], key: str, parser: Any, problems: Problems) -> Any:
    if (asked := value.get(key)) is None:
        return None
    try:
        return parser(asked)
    except ValueError as error:
        problems.add(f"resources.{key}", f"{error}, not {shown(asked)}")
        return None


def _mounts(value: object, problems: Problems) -> tuple[Mount, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        problems.add("mounts", f"must be a list, not {shown(value)}")
        return ()
    if len(value) > MAX_MOUNTS:
        problems.add("mounts", f"has {len(value)} entries; at most {MAX_MOUNTS} are accepted")
        return ()
    found = [_mount(item, f"mounts[{index}]", problems) for index, item in enumerate(value)]
    return tuple(mount for mount in found if mount)


def _mount(item: object, path: str, problems: Problems) -> Mount | None:
    if not isinstance(item, dict):
        problems.add(path, 'must be an object such as {"folder": "data", "mode": "rw"}')
        return None
    _no_others(item, MOUNT_KEYS, f"{path}.", problems)
    folder = item.get("folder")
    mode = "rw" if item.get("mode") is None else item["mode"]
    create = False if item.get("create") is None else item["create"]
    if not isinstance(folder, str):
        problems.add(f"{path}.folder", "must be a folder's name, such as 'data' or 'group/data'")
    if mode not in ("rw", "ro"):
        problems.add(f"{path}.mode", f"must be 'rw' or 'ro', not {shown(mode)}")
    if not isinstance(create, bool):
        problems.add(f"{path}.create", f"must be true or false, not {shown(create)}")
    return None if problems.at(path) else Mount(folder, mode, create)  # type: ignore[arg-type]


def _variables(value: object, problems: Problems) -> tuple[tuple[str, str], ...]:
    if value is None:
        return ()
    if not isinstance(value, dict):
        problems.add("env", f"must be an object of names and values, not {kind(value)}")
        return ()
    value = {name: text for name, text in value.items() if text != ""}
    if len(value) > MAX_VARIABLES:
        problems.add("env", f"has {len(value)} variables; at most {MAX_VARIABLES} are accepted")
        return ()
    for name, text in value.items():
        if message := _variable_problem(name, text):
            plain = isinstance(name, str) and _KEY.fullmatch(name)
            problems.add(f"env.{name}" if plain else "env", message)
    if problems.at("env"):
        return ()
    total = sum(len(name) + len(text.encode()) for name, text in value.items())
    if total > MAX_VARIABLES_TOTAL:
        most = units.format_size(MAX_VARIABLES_TOTAL)
        problems.add("env", f"is {units.format_size(total)} together; at most {most} is accepted")
        return ()
    return tuple(value.items())


def _variable_problem(name: object, text: object) -> str | None:
    """What is wrong with one variable. The value itself is never repeated (S18)."""
    if not isinstance(name, str) or not VARIABLE.fullmatch(name):
        return f"{shown(name)} is no variable's name: letters, digits and '_', no digit first"
    if len(name) > MAX_VARIABLE_NAME:
        return f"{shown(name)} is longer than {MAX_VARIABLE_NAME} characters"
    if is_platform_variable(name):
        return "is set by the platform and cannot be changed"
    if not isinstance(text, str):
        return "must have a text as its value; write a number as '1'"
    if "\0" in text or "\n" in text or "\r" in text or _SURROGATE.search(text):
        return "has a value with a NUL, a line break or half a character; none is accepted"
    if len(text.encode()) > MAX_VARIABLE_VALUE:
        most = units.format_size(MAX_VARIABLE_VALUE)
        return f"has a value of {len(text):,} characters; at most {most} is accepted"
    return None


def is_platform_variable(name: str) -> bool:
    """Whether the platform sets this variable, whatever the case it is written in (S1)."""
    upper = name.upper()
    return upper in PLATFORM_NAMES or upper.startswith(PLATFORM_PREFIXES)


@dataclass(frozen=True, slots=True)
class FormRequest:
    """A submitted form: the body it stands for, and what has no place in a body.

    ``fields`` are as they came, to fill the form again; ``problems`` belong to
    the form's own notation; ``alone`` says that the user accepted a session without a folder.
    ``sessions`` is how many are asked for, all alike (R5).
    """

    body: dict[str, Any]
    session_name: str
    sessions: int
    alone: bool
    fields: Mapping[str, Sequence[str]]
    problems: tuple[Problem, ...]


MOUNT_FIELD = "mount:"
VERSION_FIELD = "version:"
XSRF_FIELD = "_xsrf"
"""JupyterHub's own, which comes with the form and says nothing about the session."""
_PLAIN_FIELDS = frozenset(
    {
        "session_name",
        "sessions",
        "environment",
        "resource_group",
        "preset",
        "env",
        "new_folder",
        "alone",
        *RESOURCE_KEYS,
    }
)


def from_form(fields: Mapping[str, Sequence[Any]]) -> FormRequest:
    """Translate the form's fields into the body that REST would have sent.

    A number alone in a memory box is in GiB. An empty preset means custom
    resources. Each ``new_folder`` that is sent is made, after the folders that are there.
    A field that the form does not have becomes an unknown key, which `parse` refuses.
    """
    problems = Problems()
    body: dict[str, Any] = {}
    for key in ("environment", "resource_group", "preset"):
        if value := _last(fields, key):
            body[key] = value
    if version := _last(fields, f"{VERSION_FIELD}{_last(fields, 'environment')}"):
        body["version"] = version
    if "preset" not in body:
        boxes = {key: _box(key, _last(fields, key)) for key in RESOURCE_KEYS}
        if filled := {key: value for key, value in boxes.items() if value != ""}:
            body["resources"] = filled
    if mounts := _chosen_folders(fields):
        body["mounts"] = mounts
    text = (fields.get("env") or [""])[-1]
    if variables := _lines(text if isinstance(text, str) else "", problems):
        body["env"] = variables
    body.update({name: _last(fields, name) for name in _foreign(fields)})
    return FormRequest(
        body=body,
        session_name=_last(fields, "session_name"),
        sessions=_count(_last(fields, "sessions"), problems),
        alone=_last(fields, "alone") != "",
        fields={name: [v for v in vs if isinstance(v, str)] for name, vs in fields.items()},
        problems=tuple(problems),
    )


def _last(fields: Mapping[str, Sequence[Any]], name: str) -> str:
    """A field's text without the blanks around it; empty when it was not sent."""
    value = (fields.get(name) or [""])[-1]
    return value.strip() if isinstance(value, str) else ""


def _count(text: str, problems: Problems) -> int:
    """How many sessions; an empty box is one."""
    count = int(text) if _DIGITS.fullmatch(text) else 0 if text else 1
    if 1 <= count <= MAX_SESSIONS:
        return count
    problems.add("sessions", f"must be a whole number from 1 to {MAX_SESSIONS}, not {shown(text)}")
    return 1


def _chosen_folders(fields: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    mounts: list[dict[str, Any]] = [
        {"folder": name.removeprefix(MOUNT_FIELD), "mode": _last(fields, name)}
        for name in fields
        if name.startswith(MOUNT_FIELD) and _last(fields, name)
    ]
    made = (value.strip() for value in fields.get("new_folder", ()) if isinstance(value, str))
    mounts += [{"folder": name, "mode": "rw", "create": True} for name in made if name]
    return mounts


def is_field(name: str) -> bool:
    """Whether the form has such a field."""
    return name in _PLAIN_FIELDS or name.startswith((MOUNT_FIELD, VERSION_FIELD))


def _foreign(fields: Iterable[str]) -> list[str]:
    return [name for name in fields if name != XSRF_FIELD and not is_field(name)]


def _box(key: str, text: str) -> int | str:
    """A number box as the JSON that means the same; other text as it is, for `parse` to refuse."""
    if key == "cpu" and _DIGITS.fullmatch(text):
        return int(text)
    if key in ("memory", "shm") and _NUMBER.fullmatch(text):
        return f"{text}GiB"
    return text


def _lines(text: str, problems: Problems) -> dict[str, str]:
    """``NAME=value`` lines; a blank line, or one without a name, is passed over (R6)."""
    variables: dict[str, str] = {}
    for number, line in enumerate(_LINE.split(text), start=1):
        name, equals, value = line.partition("=")
        name = name.strip()
        if not line.strip() or (equals and not name):
            continue
        if not equals:
            problems.add("env", f"line {number} has no '='; write NAME=value")
        elif name in variables:
            problems.add("env", f"line {number} sets {shown(name)} a second time")
        else:
            variables[name] = value
    return variables
