"""Requests over REST: valid ones, and valid ones with exactly one key made wrong.

`valid_requests` draws bodies of ``POST …/servers/:server`` that must be accepted by a hub
with the offer's catalogue. `wrong_requests` gives, for each key of the contract, a strategy
of such bodies in which that key alone is wrong: whatever judges them must name that key, or
one inside it, and no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from bai_spawner import options, policy, units
from bai_spawner.catalog import Catalog, Environment, Policy
from bai_spawner.policy import Subject
from bai_spawner.units import GIB, MIB

Body = dict[str, Any]
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DIGITS = "0123456789"
_ENDLESS = {
    "cpu": units.MAX_CORES,
    "memory": units.MAX_BYTES,
    "shm": units.MAX_BYTES,
    "fgpu": Decimal(units.MAX_FGPU),
}


@dataclass(frozen=True, eq=False)
class Offer:
    """What one user may ask for.

    ``folders`` are those that exist, with the most that each permits; ``room`` bounds what
    is asked of a resource (cores, bytes, fGPU) where catalogue and policy do not.
    """

    catalog: Catalog
    subject: Subject
    folders: Mapping[str, str] = field(default_factory=lambda: {"data": "rw"})
    room: Mapping[str, Any] = field(
        default_factory=lambda: {"cpu": 8, "memory": 16 * GIB, "shm": 16 * GIB, "fgpu": 65_536}
    )

    @property
    def policy(self) -> Policy:
        return policy.select(self.catalog, self.subject)

    @property
    def environments(self) -> dict[str, Environment]:
        return policy.environments(self.catalog, self.policy)

    @property
    def groups(self) -> tuple[str, ...]:
        return policy.groups(self.catalog, self.policy)

    def environment(self, body: Body) -> Environment:
        """The environment that a body asks for, the first when it asks for none."""
        return self.environments[body.get("environment", next(iter(self.environments)))]

    def allowed(self, key: str, environment: Environment) -> Any:
        """The most of a resource that catalogue and policy allow; more is never granted."""
        bounds = (
            getattr(environment.maximum, key),
            getattr(self.policy.per_session, key),
            getattr(self.policy.limits, key, None),
        )
        return min((bound for bound in bounds if bound is not None), default=_ENDLESS[key])

    def most(self, key: str, environment: Environment) -> Any:
        """The most of a resource that can be granted with this room, on one device."""
        device = self.catalog.gpu.fgpu_per_gpu if key == "fgpu" else self.room[key]
        return min(self.room[key], self.allowed(key, environment), device)

    def presets(self, body: Body) -> list[str]:
        """The presets that a body could name."""
        group = body.get("resource_group", self.groups[0])
        environment = self.environment(body)
        return [
            name
            for name in policy.presets(self.catalog, self.policy, group)
            if all(
                getattr(environment.minimum, key)
                <= getattr(self.catalog.presets[name], key)
                <= self.most(key, environment)
                for key in options.RESOURCE_KEYS
            )
        ]


@dataclass(frozen=True)
class Case:
    """A request of which the value at ``key`` alone is wrong."""

    key: str
    request: Body

    def blames(self, path: str) -> bool:
        """Whether a problem at ``path`` is a problem of the key."""
        return path == self.key or path.startswith((f"{self.key}.", f"{self.key}["))


# What is right


@cache
def session_names() -> SearchStrategy[str]:
    """Names that R4 accepts."""
    return st.text(_LETTERS + _DIGITS, min_size=4, max_size=64)


@cache
def variable_names() -> SearchStrategy[str]:
    """Names of variables that a user may set."""
    return st.builds(
        str.__add__,
        st.sampled_from(_LETTERS + "_"),
        st.text(_LETTERS + _DIGITS + "_", max_size=20),
    ).filter(lambda name: not options.is_platform_variable(name))


@cache
def variable_values() -> SearchStrategy[str]:
    """Values of variables: any text of one line."""
    line = st.characters(exclude_categories=["Cs"], exclude_characters="\0\n\r")
    return st.text(line, max_size=30) | st.sampled_from(["{0}", "${HOME}", "`id`", "%s", "a=b"])


@cache
def sizes(low: int, high: int) -> SearchStrategy[int | str]:
    """Bytes between two bounds, in every notation of the contract."""
    return st.integers(-(-low // MIB), high // MIB).flatmap(_notations)


@cache
def _notations(mebibytes: int) -> SearchStrategy[int | str]:
    kibibytes = mebibytes * 1024
    said: list[int | str] = [
        mebibytes * MIB,
        str(mebibytes * MIB),
        f"{mebibytes}MiB",
        f"{mebibytes}.0M",
        f"{kibibytes}KiB",
        f"{kibibytes}K",
    ]
    if mebibytes % 128 == 0:
        said += [f"{units.gib(mebibytes * MIB)}GiB", f"{units.gib(mebibytes * MIB)}G"]
    return st.sampled_from(said)


@cache
def fgpu(low: Decimal, high: Decimal, quantum: Decimal) -> SearchStrategy[int | float | str]:
    """Multiples of the quantum between two bounds, in every notation of the contract."""
    counts = st.integers(int(low / quantum), int(high / quantum))
    return counts.map(lambda n: n * quantum).flatmap(_decimal_notations)


@cache
def _decimal_notations(number: Decimal) -> SearchStrategy[int | float | str]:
    text = units.plain(number)
    said: list[int | float | str] = [text, float(text)]
    if number == int(number):
        said += [int(number), f"{text}.0"]
    return st.sampled_from(said)


@cache
def _any_of(*values: Any) -> SearchStrategy[Any]:
    return st.sampled_from(values)


@cache
def _between(low: int, high: int) -> SearchStrategy[int]:
    return st.integers(low, high)


_YES_OR_NO = st.booleans()
_ANY_LINE = st.text(max_size=20)
_NAMES = session_names() | st.just("")
_VARIABLES = st.dictionaries(variable_names(), variable_values(), max_size=4)
_SOME_RESOURCES = st.sets(st.sampled_from(options.RESOURCE_KEYS))
_SOME_KEYS = st.sets(
    st.sampled_from(["environment", "version", "resource_group", "env", "profile"])
)


@st.composite
def _resources(draw: DrawFn, offer: Offer, environment: Environment) -> Body:
    least = environment.minimum
    keys = draw(_SOME_RESOURCES)
    asked: Body = {}
    memory = least.memory
    if "cpu" in keys:
        asked["cpu"] = draw(_between(least.cpu, offer.most("cpu", environment)))
    if "memory" in keys:
        asked["memory"] = draw(sizes(least.memory, offer.most("memory", environment)))
        memory = units.parse_size(asked["memory"])
    if "shm" in keys:  # equal to memory is allowed (R11)
        asked["shm"] = draw(sizes(least.shm, min(memory, offer.most("shm", environment))))
    if "fgpu" in keys:
        most = offer.most("fgpu", environment)
        asked["fgpu"] = draw(fgpu(least.fgpu, most, offer.catalog.gpu.quantum))
    return asked


@cache
@st.composite
def _mounts(draw: DrawFn, offer: Offer, least: int = 0) -> list[Body]:
    mounts = []
    names = st.lists(st.sampled_from(sorted(offer.folders)), unique=True, min_size=least)
    for name in draw(names):
        permitted = ("ro",) if offer.folders[name] == "ro" else ("rw", "ro", None)
        mode = draw(_any_of(*permitted))
        mounts.append({"folder": name} | ({"mode": mode} if mode else {}))
    return mounts


@cache
@st.composite
def valid_requests(
    draw: DrawFn,
    offer: Offer,
    *,
    by: str | None = None,
    with_mount: bool = False,
) -> Body:
    """Requests that must be accepted.

    ``by`` asks for resources by "preset", by "resources" or by "nothing".
    """
    body: Body = {}
    given = draw(_SOME_KEYS)
    if "environment" in given:
        body["environment"] = draw(_any_of(*offer.environments))
    if "version" in given:
        body["version"] = draw(_any_of(*offer.environment(body).versions))
    if "resource_group" in given:
        body["resource_group"] = draw(_any_of(*offer.groups))
    by = by or draw(_any_of("preset", "resources", "nothing"))
    if by == "preset" and (presets := offer.presets(body)):
        body["preset"] = draw(_any_of(*presets))
    if by == "resources":
        body["resources"] = draw(_resources(offer, offer.environment(body)))
    if with_mount or draw(_YES_OR_NO):
        body["mounts"] = draw(_mounts(offer, least=int(with_mount)))
    if "env" in given:
        body["env"] = draw(_VARIABLES)
    if "profile" in given:
        body["profile"] = draw(_ANY_LINE)
    request: Body = {"user_options": body}
    if draw(_YES_OR_NO):
        request["display_name"] = draw(_NAMES)
    return request


# What is wrong


def deep(levels: int) -> list[Any]:
    """A list in a list in a list."""
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


HUGE = "x" * 100_000
ANY_TEXT = st.text()
NOT_TEXT: SearchStrategy[Any] = st.one_of(
    st.integers(),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(st.text(max_size=5), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
    st.sampled_from([deep(50), [HUGE], {"a": {"b": {"c": HUGE}}}, list(range(5_000))]),
)
NOT_AN_OBJECT: SearchStrategy[Any] = st.one_of(
    st.integers(min_value=1),
    st.just(value=True),
    st.text(min_size=1, max_size=5),
    st.lists(st.integers(), min_size=1, max_size=3),
    st.sampled_from([deep(50), HUGE, list(range(5_000))]),
)
NOT_A_LIST: SearchStrategy[Any] = st.one_of(
    st.integers(),
    st.booleans(),
    st.text(max_size=5),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
    st.sampled_from([{"folder": "data"}, HUGE, {"0": deep(50)}]),
)
NOT_A_NUMBER = (
    "",
    " ",
    "1e3",
    "+1",
    "-1",
    "0x10",
    "1_0",
    "1,5",
    "1.",
    ".5",
    "NaN",
    "Infinity",
    "1 ",
    "1\n",
    "\N{ARABIC-INDIC DIGIT THREE}",
    "\N{FULLWIDTH DIGIT TWO}",
    "\N{SUPERSCRIPT TWO}",
    "{0}",
    HUGE,
    "9" * 400,
)
PRIVILEGED_KEYS = (
    "privileged",
    "image",
    "cap_add",
    "devices",
    "volumes",
    "binds",
    "user",
    "uid",
    "network_mode",
    "pid_mode",
    "ipc_mode",
    "security_opt",
    "extra_host_config",
    "extra_create_kwargs",
    "cmd",
    "entrypoint",
    "name",
    "labels",
    "debug",
)
UNKNOWN_KEYS = st.sampled_from(PRIVILEGED_KEYS) | st.text(
    _LETTERS + _DIGITS + "_-", min_size=1, max_size=40
)
PLATFORM_VARIABLES = (
    "JUPYTERHUB_API_TOKEN",
    "JPY_SESSION_NAME",
    "JUPYTER_IMAGE_SPEC",
    "NVIDIA_VISIBLE_DEVICES",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_MPS_PIPE_DIRECTORY",
    "BAI_SESSION",
    "HOME",
    "USER",
    "LOGNAME",
    "MEM_LIMIT",
    "MEM_GUARANTEE",
    "CPU_LIMIT",
    "CPU_GUARANTEE",
)

Make = Callable[[DrawFn, Offer, Body], Any]


def _set(key: str, wrong: SearchStrategy[Any] | Make) -> Callable[[DrawFn, Offer, Body], str]:
    """A change of one key of ``user_options`` (dotted) to a wrong value."""

    def change(draw: DrawFn, offer: Offer, request: Body) -> str:
        value = draw(wrong) if isinstance(wrong, SearchStrategy) else wrong(draw, offer, request)
        inside = request["user_options"]
        *parents, last = key.split(".")
        for parent in parents:
            inside = inside.setdefault(parent, {})
        inside[last] = value
        return key

    return change


def _not_offered(offered: Callable[[Offer, Body], Any]) -> Make:
    def make(draw: DrawFn, offer: Offer, request: Body) -> Any:
        known = list(offered(offer, request["user_options"]))
        near = [
            wrong
            for name in known
            for wrong in (f"{name}\n", f" {name}", f"{name}\0", f"{name}/../{name}", name.upper())
        ]
        wrong = (
            NOT_TEXT | ANY_TEXT | st.sampled_from([*near, "", HUGE, "\ud800", "<script>", "../x"])
        )
        return draw(wrong.filter(lambda value: value not in known))

    return make


def _over(key: str) -> Make:
    """More than may be granted, or less than the environment needs, or no amount at all."""

    def make(draw: DrawFn, offer: Offer, request: Body) -> Any:
        environment = offer.environment(request["user_options"])
        asked = request["user_options"].setdefault("resources", {})
        most, least = offer.allowed(key, environment), getattr(environment.minimum, key)
        if key == "memory":  # shared memory stays within it: one key alone is wrong
            asked.pop("shm", None)
            least = max(least - 1, environment.minimum.shm)
            below = [] if least == environment.minimum.memory else [least]
            return draw(_wrong_size([most + 1, *below]))
        if key == "shm":
            memory = units.parse_size(asked.get("memory", environment.minimum.memory))
            return draw(_wrong_size([memory + 1, memory + GIB, least - 1]))
        text = st.sampled_from(NOT_A_NUMBER)
        if key == "cpu":
            numbers = st.sampled_from([0, -1, least - 1, most + 1, 10**9, 10**30, 1.0, 1.5, "1"])
            return draw(numbers | text | st.booleans() | _nested())
        quantum = offer.catalog.gpu.quantum
        over = [most + quantum, quantum / 2, quantum * Decimal("1.5"), Decimal(-1), Decimal(10**9)]
        said = [notation for n in over for notation in (units.plain(n), float(n))]
        return draw(st.sampled_from(said) | text | st.booleans() | _nested())

    return make


def _wrong_size(amounts: list[int]) -> SearchStrategy[Any]:
    said = [*amounts, *map(str, amounts), -1, 2**63, 10**30, 1.0, 0.5, "1.5", "1TiB", "1 GiB"]
    said += ["1gib", "1GB", "GiB", "-1GiB", "1GiB\n", "9999999999999999999GiB"]
    return st.sampled_from(said) | st.sampled_from(NOT_A_NUMBER) | st.booleans() | _nested()


@cache
def _nested() -> SearchStrategy[Any]:
    return st.sampled_from([[], [1], {}, {"cpu": 1}, deep(50), list(range(5_000))])


_NO_NAMES: SearchStrategy[str] = st.one_of(
    st.builds(
        "{}{}{}".format,
        session_names(),
        st.characters(exclude_characters=_LETTERS + _DIGITS),
        session_names(),
    ),
    st.sampled_from(["a", "abc", "a" * 65, HUGE]),
    st.sampled_from(["name\n", "na-me", "na.me", "na me", "náme", "<b>x</b>", "{0}"]),
    st.sampled_from(["name\N{ARABIC-INDIC DIGIT THREE}", "n\N{CYRILLIC SMALL LETTER A}me"]),
)


def _display_name(draw: DrawFn, _: Offer, request: Body) -> str:
    request["display_name"] = draw(_NO_NAMES)
    return "display_name"


def _user_options(draw: DrawFn, _: Offer, request: Body) -> str:
    request["user_options"] = draw(NOT_AN_OBJECT)
    return "user_options"


def _both(_: DrawFn, __: Offer, request: Body) -> str:
    request["user_options"]["resources"] = {}
    return "preset"


def _unknown(parent: str, known: tuple[str, ...]) -> Callable[[DrawFn, Offer, Body], str]:
    def change(draw: DrawFn, offer: Offer, request: Body) -> str:
        key = draw(UNKNOWN_KEYS.filter(lambda name: name not in known))
        return _set(f"{parent}{key}", NOT_TEXT | st.none() | ANY_TEXT)(draw, offer, request)

    return change


def _mount(key: str, wrong: SearchStrategy[Any]) -> Callable[[DrawFn, Offer, Body], str]:
    def change(draw: DrawFn, _: Offer, request: Body) -> str:
        mounts = request["user_options"]["mounts"]
        index = draw(st.integers(0, len(mounts) - 1))
        if not key:
            mounts[index] = draw(wrong)
            return f"mounts[{index}]"
        mounts[index][key] = draw(wrong)
        return f"mounts[{index}].{key}"

    return change


def _unknown_in_mount(draw: DrawFn, offer: Offer, request: Body) -> str:
    key = draw(UNKNOWN_KEYS.filter(lambda name: name not in options.MOUNT_KEYS))
    return _mount(key, NOT_TEXT)(draw, offer, request)


def _variable(name: SearchStrategy[str], value: SearchStrategy[Any]) -> Any:
    def change(draw: DrawFn, _: Offer, request: Body) -> str:
        chosen = draw(name)
        request["user_options"].setdefault("env", {})[chosen] = draw(value)
        return f"env.{chosen}"

    return change


def _bad_variable_name(draw: DrawFn, _: Offer, request: Body) -> str:
    wrong = [
        "",
        "1A",
        "A-B",
        "A B",
        "A=B",
        "A\n",
        "Á",
        "A٣",
        "A" * 129,
        HUGE,
        "a.b",
        "\0",
        "\ud800",
    ]
    request["user_options"].setdefault("env", {})[draw(st.sampled_from(wrong))] = "value"
    return "env"


def _cased(names: tuple[str, ...]) -> SearchStrategy[str]:
    cases: list[Callable[[str], str]] = [str.upper, str.lower, str.title, str.swapcase]
    return st.builds(lambda name, case: case(name), st.sampled_from(names), st.sampled_from(cases))


_SIZE = st.integers(1, options.MAX_VARIABLE_VALUE).map(lambda n: "x" * n)
_MANY_VARIABLES = [
    {f"V{i}": "x" for i in range(options.MAX_VARIABLES + 1)},
    {f"V{i}": "x" for i in range(5_000)},
    {f"V{i}": "x" * options.MAX_VARIABLE_VALUE for i in range(9)},
]
_WRONG_VALUES = (
    NOT_TEXT
    | st.none()
    | st.sampled_from(
        ["a\0b", "a\nb", "a\r", "\ud800", "x" * (options.MAX_VARIABLE_VALUE + 1), HUGE]
    )
)
_CHANGES: dict[str, tuple[str | None, Callable[[DrawFn, Offer, Body], str]]] = {
    "display_name": (None, _display_name),
    "user_options": (None, _user_options),
    "(unknown)": (None, _unknown("", options.KEYS)),
    "environment": ("nothing", _set("environment", _not_offered(lambda o, _: o.environments))),
    "version": (None, _set("version", _not_offered(lambda o, b: o.environment(b).versions))),
    "resource_group": ("nothing", _set("resource_group", _not_offered(lambda o, _: o.groups))),
    "preset": ("nothing", _set("preset", _not_offered(lambda o, b: o.presets(b)))),
    "preset with resources": ("preset", _both),
    "profile": (None, _set("profile", NOT_TEXT)),
    "resources": ("nothing", _set("resources", NOT_AN_OBJECT)),
    "resources.(unknown)": ("resources", _unknown("resources.", options.RESOURCE_KEYS)),
    "resources.cpu": ("resources", _set("resources.cpu", _over("cpu"))),
    "resources.memory": ("resources", _set("resources.memory", _over("memory"))),
    "resources.shm": ("resources", _set("resources.shm", _over("shm"))),
    "resources.fgpu": ("resources", _set("resources.fgpu", _over("fgpu"))),
    "mounts": (
        None,
        _set(
            "mounts", NOT_A_LIST | st.sampled_from([[{"folder": "data"}] * n for n in (51, 5000)])
        ),
    ),
    "mounts[]": (None, _mount("", NOT_AN_OBJECT)),
    "mounts[].(unknown)": (None, _unknown_in_mount),
    "mounts[].folder": (None, _mount("folder", NOT_TEXT | st.none())),
    "mounts[].mode": (
        None,
        _mount("mode", NOT_TEXT | st.sampled_from(["", "RW", "w", "rw,z", "ro\n", HUGE])),
    ),
    "mounts[].create": (
        None,
        _mount("create", st.integers() | st.sampled_from(["", "true", [], {}, 1.0])),
    ),
    "env": (None, _set("env", NOT_AN_OBJECT | st.sampled_from(_MANY_VARIABLES))),
    "env (name)": (None, _bad_variable_name),
    "env (platform's)": (None, _variable(_cased(PLATFORM_VARIABLES), _SIZE)),
    "env (value)": (None, _variable(variable_names(), _WRONG_VALUES)),
}
KEYS = tuple(_CHANGES)
"""The keys of the contract, each with a strategy in `wrong_requests`."""


@cache
@st.composite
def wrong_requests(draw: DrawFn, offer: Offer, key: str) -> Case:
    """Valid requests of which ``key``, one of `KEYS`, alone was made wrong."""
    by, change = _CHANGES[key]
    with_mount = key.startswith("mounts[]")
    request = deepcopy(draw(valid_requests(offer, by=by, with_mount=with_mount)))
    if key == "preset with resources" and "preset" not in request["user_options"]:
        request["user_options"].pop("resource_group", None)
        request["user_options"].pop("environment", None)
        request["user_options"].pop("version", None)
        request["user_options"]["preset"] = draw(st.sampled_from(offer.presets({})))
    blamed = change(draw, offer, request)
    return Case(blamed, request)
