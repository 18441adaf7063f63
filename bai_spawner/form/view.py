"""What the launch form shows, as values: the contract between `render` and its template.

Every text is plain: the template escapes it. ``problems`` are the messages at a field; a
field that has some is marked as invalid.
"""

from __future__ import annotations

from dataclasses import dataclass

from bai_spawner.options import Mode


@dataclass(frozen=True, slots=True)
class FolderChoice:
    """A data folder that a user may mount: ``data``, or ``group/corpus``.

    ``automatic`` ones are mounted at every launch without being asked for.
    """

    name: str
    permission: Mode
    automatic: bool


@dataclass(frozen=True, slots=True)
class Field:
    """One control: its name, which `options.from_form` knows, and what it holds."""

    name: str
    id: str
    value: str = ""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Option:
    """One line of a select."""

    value: str
    label: str
    selected: bool = False
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class EnvironmentCard:
    """An environment with its versions; ``reason`` says why it cannot be chosen."""

    field: Field
    title: str
    description: str
    icon: str
    tags: tuple[str, ...]
    needs: str
    selected: bool
    reason: str
    version: Field
    versions: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Category:
    """Environments under one heading."""

    title: str
    cards: tuple[EnvironmentCard, ...]


@dataclass(frozen=True, slots=True)
class FolderRow:
    """A data folder; ``options`` are empty for one that is mounted automatically."""

    field: Field
    name: str
    permission: Mode
    note: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class GpuCard:
    """GPUs that are shared on the same terms; ``note`` says why nothing of them is handed out.

    ``titles`` are their names with what is free of each. ``line`` is what keeps their shares,
    ``means`` each part of it with what that means. ``simulated``: they are not there.
    """

    simulated: bool
    titles: tuple[str, ...]
    note: str
    line: str
    verified: str
    means: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class GroupCard:
    """A resource group, what is free in it, and its GPUs."""

    field: Field
    title: str
    description: str
    free: str
    gpus: tuple[GpuCard, ...]
    selected: bool


@dataclass(frozen=True, slots=True)
class PresetCard:
    """A preset; ``reasons`` say why it does not fit now."""

    field: Field
    title: str
    description: str
    amounts: tuple[str, ...]
    notes: tuple[str, ...]
    reasons: tuple[str, ...]
    selected: bool
    disabled: bool


@dataclass(frozen=True, slots=True)
class BoundLine:
    """The bounds of a resource; ``where`` names the choices that they are for, if they differ."""

    where: str
    text: str


@dataclass(frozen=True, slots=True)
class Box:
    """A number box of the custom allocation.

    ``kind`` is ``text`` where a number box would drop what was typed. ``disabled`` says why
    nothing can be asked for.
    """

    field: Field
    kind: str
    label: str
    unit: str
    low: str
    high: str
    step: str
    bounds: tuple[BoundLine, ...]
    explanation: str
    disabled: str


@dataclass(frozen=True, slots=True)
class SummaryLine:
    """A problem on top of the page, with a link to its field if the page has one.

    ``lasting``: the same form is refused again, whatever others do meanwhile. ``variable`` is
    the environment variable that it is about, if it is about one.
    """

    label: str
    target: str
    message: str
    lasting: bool
    variable: str


@dataclass(frozen=True, slots=True)
class View:
    """The whole page. ``refused``: it comes back because a launch was refused.

    ``filled``: it holds what was sent before, so that no page has only its defaults.
    """

    refused: bool
    filled: bool
    summary: tuple[SummaryLine, ...]
    session_name: Field
    name_rule: str
    name_pattern: str
    environment_problems: tuple[str, ...]
    categories: tuple[Category, ...]
    env: Field
    folder_problems: tuple[str, ...]
    automatic: tuple[FolderRow, ...]
    folders: tuple[FolderRow, ...]
    new_folders: tuple[Field, ...]
    folder_rule: str
    folder_pattern: str
    alone: Field | None
    held: str
    group_problems: tuple[str, ...]
    groups: tuple[GroupCard, ...]
    preset_problems: tuple[str, ...]
    presets: tuple[PresetCard, ...]
    custom: PresetCard
    boxes: tuple[Box, ...]
    sessions: Field
    sessions_kind: str
    sessions_most: str
    sessions_explanation: str
    sessions_notice: str
