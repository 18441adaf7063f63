"""The pages for administrators and operators name every setting, ending and metric truly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from bai_spawner.catalog import Catalog, load_catalog
from bai_spawner.enforcement import Faults, Level, word
from bai_spawner.reasons import Ending
from bai_spawner.units import format_size, plain_duration

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "administration.md").read_text(encoding="utf-8")
OPERATIONS = (DOCS / "operations.md").read_text(encoding="utf-8")
ROW = re.compile(
    r"^\| `(?P<path>[^`]+)` \| (?P<meaning>[^|]+) \| (?P<default>[^|]+) \|$", re.MULTILINE
)
DOCUMENTED = {row["path"]: row for row in ROW.finditer(PAGE.partition("## Traits")[0])}
SIZES = ("memory", "reserve", "shm")
DURATIONS = ("warning",)


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every key of the file as a dotted path; ``*`` for a name, ``[]`` for a place in a list."""
    for name, field in model.model_fields.items():
        for suffix, inner in _models(field.annotation):
            yield from keys(inner, f"{prefix}{name}{suffix}.")
        if not any(suffix == "" for suffix, _ in _models(field.annotation)):
            yield f"{prefix}{name}", field


def _models(annotation: Any, suffix: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield suffix, annotation
    more = {dict: ".*", tuple: "[]"}.get(get_origin(annotation), "")
    for part in get_args(annotation):
        yield from _models(part, suffix + more)


def default(path: str, field: FieldInfo) -> str:
    """A default as the page writes it."""
    value = field.get_default(call_default_factory=True)
    if field.is_required():
        return "required"
    if value is None:
        return "unset"
    if value in ((), {}, ""):
        return "empty"
    if isinstance(value, Level | Faults):
        return f"`{word(value)}`"
    if path.rpartition(".")[2] in SIZES and isinstance(value, int):
        return f"`{format_size(value).replace(' ', '')}`"
    if path.rpartition(".")[2] in DURATIONS:
        return f"`{plain_duration(value)}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(value)}]`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float | Decimal) else f"`{value}`"


KEYS = dict(keys(Catalog))


@pytest.mark.parametrize("path", KEYS)
def test_a_key_of_the_catalogue_is_documented_with_its_default(path: str) -> None:
    assert path in DOCUMENTED, f"docs/administration.md has no row for `{path}`"
    assert DOCUMENTED[path]["default"] == default(path, KEYS[path])


@pytest.mark.parametrize("path", DOCUMENTED)
def test_a_documented_key_exists(path: str) -> None:
    assert path in KEYS


def test_the_examples_together_are_a_catalogue(tmp_path: Path) -> None:
    examples = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    file = tmp_path / "catalog.yaml"
    file.write_text("".join(examples))
    load_catalog(file)


def test_the_examples_use_every_key() -> None:
    examples = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    used = set(_used(yaml.safe_load("".join(examples)), Catalog))
    assert set(KEYS) - used == set()


def _used(data: Any, model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, value in data.items():
        yield f"{prefix}{name}"
        for suffix, inner in _models(model.model_fields[name].annotation):
            for item in _items(value, suffix):
                yield from _used(item or {}, inner, f"{prefix}{name}{suffix}.")


def _items(value: Any, suffix: str) -> list[Any]:
    items = [value]
    for _ in range(suffix.count(".*")):
        items = [inner for item in items for inner in item.values()]
    return [inner for item in items for inner in item] if suffix.endswith("[]") else items


@pytest.mark.parametrize(
    ("module", "name"),
    [("bai_spawner.spawner", "BaiSpawner"), ("bai_spawner.runtime", "BaiRuntime")],
)
def test_every_trait_is_documented(module: str, name: str) -> None:
    owner = getattr(pytest.importorskip(module), name)
    missing = [
        trait for trait in owner.class_own_traits(config=True) if f"`{name}.{trait}`" not in PAGE
    ]
    assert missing == []


@pytest.mark.parametrize("ending", Ending)
def test_every_ending_is_documented_under_its_tab(ending: Ending) -> None:
    assert f"\n| `{ending.key}` | {ending.status.tab} | " in OPERATIONS


def test_every_metric_is_documented_and_no_other() -> None:
    metrics = pytest.importorskip("bai_spawner.metrics")
    source = Path(metrics.__file__).read_text(encoding="utf-8")
    shown = set(re.findall(r'"(bai_\w+)"', source))
    told = set(re.findall(r"^\| `(bai_\w+)` \|", OPERATIONS, re.MULTILINE))
    assert {name.removesuffix("_total") for name in told} == shown


def test_the_operators_page_names_only_settings_that_exist() -> None:
    named = set(re.findall(r"\b(BaiRuntime|BaiSpawner)\.(\w+)", OPERATIONS))
    assert {f"{owner}.{trait}" for owner, trait in named} <= set(re.findall(r"`(\w+\.\w+)`", PAGE))
