"""How one value of the catalogue is written, and what is no such value.

Each type takes what YAML gives and holds an integer, a number, a level or a text that is
known to be well-formed; anything else is refused by pydantic, where the rule is ours in an
administrator's words. `Section` is what every group of keys is. Nothing here looks at
another key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Annotated, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
)

from bai_spawner import units
from bai_spawner.enforcement import Faults, Level, word
from bai_spawner.names import FOLDER_NAME

_KEY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?", re.ASCII)
_PATTERN = re.compile(r"[A-Za-z0-9*][A-Za-z0-9 ._*/:+-]{0,94}", re.ASCII)
MIG_PROFILE = re.compile(r"([1-7])g\.([0-9]{1,4})gb(?:[+-][a-z.]{1,12})?", re.ASCII)
"""A profile of MIG: its compute slices and its memory in GB, as NVML writes it."""

_Ordered = TypeVar("_Ordered", Level, Faults)


def _key(text: str) -> str:
    if not _KEY.fullmatch(text):
        raise ValueError("a key has 1 to 64 letters, digits, '.', '_' or '-', no sign at its ends")
    return text


def _folder(text: str) -> str:
    if not FOLDER_NAME.fullmatch(text) or text in {".", ".."}:
        raise ValueError("a folder's name has 1 to 64 letters, digits, '.', '_' or '-'")
    return text


def _pattern(text: str) -> str:
    if not _PATTERN.fullmatch(text):
        raise ValueError("a device is a uuid, or a product name; '*' stands for anything")
    return text


def _profile(text: str) -> str:
    if not MIG_PROFILE.fullmatch(text):
        raise ValueError("a MIG profile is like '1g.10gb' or '1g.10gb+me'")
    return text


def matches(patterns: Iterable[str], names: Iterable[str]) -> bool:
    """Whether any name is any of the patterns, in which ``*`` stands for anything."""
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def _level(value: object) -> Level:
    return _one_of(Level, value)


def _faults(value: object) -> Faults:
    return _one_of(Faults, value)


def _one_of(kind: type[_Ordered], value: object) -> _Ordered:
    for member in kind:
        if value == word(member):
            return member
    if isinstance(value, kind):
        return value
    raise ValueError(f"must be one of {', '.join(name.lower() for name in kind.__members__)}")


def _decimal(value: object) -> Decimal:
    return units.parse_fgpu(value)


def _factor(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number, such as 1.5")
    return float(value)


def _positive(value: Decimal) -> Decimal:
    if value <= 0:
        raise ValueError("must be more than 0")
    return value


Key = Annotated[str, AfterValidator(_key)]
DevicePattern = Annotated[str, AfterValidator(_pattern)]
FolderName = Annotated[str, AfterValidator(_folder)]
Size = Annotated[int, BeforeValidator(units.parse_size)]
Cores = Annotated[int, BeforeValidator(units.parse_cores)]
_Plain = PlainSerializer(units.plain, when_used="json")
"""Without an exponent, which is no fGPU when it is read back."""
Fgpu = Annotated[Decimal, BeforeValidator(_decimal), _Plain]
Duration = Annotated[
    int,
    BeforeValidator(units.parse_duration),
    PlainSerializer(units.plain_duration, when_used="json"),
]
"""In seconds; written with its unit, also where it is read back."""
MigProfile = Annotated[str, AfterValidator(_profile)]
PositiveFgpu = Annotated[Decimal, BeforeValidator(_decimal), AfterValidator(_positive), _Plain]
Factor = Annotated[float, BeforeValidator(_factor)]
Text = Annotated[str, Field(max_length=500)]
HowFirm = Annotated[Level, BeforeValidator(_level), PlainSerializer(word)]
HowApart = Annotated[Faults, BeforeValidator(_faults), PlainSerializer(word)]


class Section(BaseModel):
    """Frozen, without coercion, and with no key that nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
