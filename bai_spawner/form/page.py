"""Builds the page's values, section by section, from what is offered, free and was sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from bai_spawner import names, units
from bai_spawner import policy as rules
from bai_spawner.catalog import Environment, Preset
from bai_spawner.errors import Problem, Reason
from bai_spawner.form import bounds as limits
from bai_spawner.form import gpus, view, words
from bai_spawner.form.answers import Answers, new_folder_field, told, variable
from bai_spawner.form.bounds import Bound, Room
from bai_spawner.form.live import free, held
from bai_spawner.form.view import FolderChoice
from bai_spawner.options import MAX_SESSIONS, MOUNT_FIELD, VERSION_FIELD, Mode

CUSTOM = ""
"""The preset that is none: the boxes count."""


def element_id(name: str) -> str:
    """The id of a field's element. Folders are numbered, since their names may hold anything."""
    return f"bai-{name.replace(':', '-')}"


@dataclass(frozen=True)  # without slots: what many sections ask for is found once and kept
class Page:
    """Turns what is known into the page's values, section by section."""

    room: Room
    folders: tuple[FolderChoice, ...]
    missing: frozenset[str]
    answers: Answers

    def build(self) -> view.View:
        """Everything that the template shows."""
        automatic = tuple(f for f in self.folders if f.automatic)
        rows = self._folder_rows()
        return view.View(
            refused=self.answers.refused,
            filled=self.answers.request is not None,
            summary=self._summary(rows),
            session_name=self._field("session_name"),
            name_rule=names.SESSION_NAME_RULE,
            name_pattern=names.SESSION_NAME.pattern,
            environment_problems=self.answers.at("environment"),
            categories=self._categories(),
            env=self._field("env"),
            folder_problems=self.answers.at("mounts"),
            automatic=tuple(_automatic_row(f) for f in automatic),
            folders=rows,
            new_folders=self._new_folders(),
            folder_rule=f"must be {names.FOLDER_NAME_RULE}",
            folder_pattern=rf"(?!\.){names.FOLDER_NAME.pattern}",
            alone=None if automatic else self._field("alone"),
            held=held(self.room),
            group_problems=self.answers.at("resource_group"),
            groups=tuple(self._group(key) for key in self._groups),
            preset_problems=self.answers.at("preset"),
            presets=tuple(self._preset(key) for key in self._presets),
            custom=self._custom(),
            boxes=tuple(self._box(key) for key in rules.LABELS),
            sessions=self._field("sessions", "1"),
            sessions_kind=words.box_kind(self.answers.text("sessions")),
            sessions_explanation=words.EXPLANATIONS["sessions"],
            sessions_most=self._sessions_most(),
            sessions_notice=self._sessions_notice(),
        )

    def _field(self, name: str, default: str = "") -> view.Field:
        value = self.answers.text(name, default)
        return view.Field(name, element_id(name), value, self.answers.at(name))

    # what is offered, and which of it is chosen

    @cached_property
    def _environments(self) -> Mapping[str, Environment]:
        return rules.environments(self.room.catalog, self.room.policy)

    @cached_property
    def _groups(self) -> tuple[str, ...]:
        return rules.groups(self.room.catalog, self.room.policy)

    @cached_property
    def _presets(self) -> tuple[str, ...]:
        """Those that are offered in a group that the user may use, in the catalogue's order."""
        catalog, policy = self.room.catalog, self.room.policy
        offered = {key for g in self._groups for key in rules.presets(catalog, policy, g)}
        return tuple(key for key in catalog.presets if key in offered)

    @cached_property
    def _environment(self) -> str:
        offered = tuple(self._environments)
        ready = (key for key in offered if self._installed(key))
        return self.answers.choice("environment", offered, next(chain(ready, offered), ""))

    @cached_property
    def _group_chosen(self) -> str:
        return self.answers.choice("resource_group", self._groups, next(iter(self._groups), ""))

    @cached_property
    def _preset_chosen(self) -> str:
        if self.answers.request:
            return self.answers.choice("preset", self._presets, CUSTOM)
        return next((key for key in self._presets if self._suits_now(key)), CUSTOM)

    def _suits_now(self, preset: str) -> bool:
        """Whether the preset can be launched with the environment and group that are chosen."""
        wanted = self.room.catalog.presets[preset]
        environment = self._environments.get(self._environment)
        return (
            wanted.offered_in(self._group_chosen)
            and (environment is None or limits.suits(wanted, environment))
            and not limits.misfits(self.room, wanted, (self._group_chosen,))
        )

    def _installed(self, environment: str) -> list[str]:
        """The versions whose image is there, newest first."""
        chosen = self._environments[environment]
        return [v for v in chosen.newest_first() if chosen.versions[v].image not in self.missing]

    # environment

    def _categories(self) -> tuple[view.Category, ...]:
        cards: dict[str, list[view.EnvironmentCard]] = {}
        for key, environment in self._environments.items():
            cards.setdefault(environment.category, []).append(self._card(key, environment))
        return tuple(view.Category(title, tuple(found)) for title, found in cards.items())

    def _card(self, key: str, environment: Environment) -> view.EnvironmentCard:
        installed = self._installed(key)
        name = f"{VERSION_FIELD}{key}"
        newest = next(iter([*installed, *environment.newest_first()]))
        chosen = self.answers.choice(name, environment.newest_first(), newest)
        return view.EnvironmentCard(
            field=view.Field("environment", element_id(f"environment-{key}"), key),
            title=environment.title,
            description=environment.description,
            icon=environment.icon,
            tags=environment.tags,
            needs=words.needs(environment),
            selected=key == self._environment,
            reason="" if installed else "None of its images is on this system.",
            version=self._field(name),
            versions=tuple(
                self._version(v, installed=v in installed, chosen=v == chosen, sent=name)
                for v in environment.newest_first()
            ),
        )

    def _version(self, version: str, *, installed: bool, chosen: bool, sent: str) -> view.Option:
        label = version if installed else f"{version} (its image is not on this system)"
        kept = chosen and self.answers.text(sent).strip() == version
        return view.Option(version, label, selected=chosen, disabled=not (installed or kept))

    # data folders

    def _folder_rows(self) -> tuple[view.FolderRow, ...]:
        """The folders to choose from, and those that were sent and are not offered any more."""
        known = [folder for folder in self.folders if not folder.automatic]
        names = {folder.name for folder in self.folders}
        asked = [n for n in self.answers.folders() if self.answers.text(f"{MOUNT_FIELD}{n}")]
        lost = [FolderChoice(n, "rw", automatic=False) for n in asked if n not in names]
        rows = [(folder, "") for folder in known]
        rows += [(folder, "This is not a folder that you may mount.") for folder in lost]
        return tuple(self._folder(index, *row) for index, row in enumerate(rows))

    def _folder(self, index: int, folder: FolderChoice, note: str) -> view.FolderRow:
        name = f"{MOUNT_FIELD}{folder.name}"
        modes: tuple[Mode, ...] = ("rw", "ro") if folder.permission == "rw" else ("ro",)
        # what the administrator makes for everybody is there to be used
        made_for_all = folder.name in self.room.catalog.folders.user.create
        fresh = self.answers.request is None
        chosen = self.answers.choice(name, modes, modes[0] if made_for_all and fresh else "")
        labels = [("", "Not mounted"), *((mode, words.MODES[mode]) for mode in modes)]
        return view.FolderRow(
            field=view.Field(name, element_id(f"mount-{index}"), chosen, self.answers.at(name)),
            name=folder.name,
            permission=folder.permission,
            note=note or ("" if folder.permission == "rw" else "You may only read it."),
            options=tuple(view.Option(v, label, selected=v == chosen) for v, label in labels),
        )

    def _new_folders(self) -> tuple[view.Field, ...]:
        """A field for each folder that was asked for; else one, where they may be mounted."""
        asked = [text for text in self.answers.texts("new_folder") if text.strip()]
        if not asked and "user" in self.room.policy.folders:
            asked = [""]
        return tuple(self._new_folder(index, text) for index, text in enumerate(asked))

    def _new_folder(self, index: int, text: str) -> view.Field:
        own = new_folder_field(index)
        return view.Field("new_folder", element_id(own), text, self.answers.at(own))

    # resources

    def _sessions_most(self) -> str:
        """How many sessions the policy leaves; one may be asked for, and is refused in words."""
        most = self.room.policy.limits.sessions
        left = MAX_SESSIONS if most is None else most - self.room.usage.sessions
        return str(min(max(left, 1), MAX_SESSIONS))

    def _sessions_notice(self) -> str:
        most = self.room.policy.limits.sessions
        if most is None or self.room.usage.sessions < most:
            return ""
        return f"{self.room.usage.sessions} of {most} sessions are in use: end one to launch one."

    def _group(self, key: str) -> view.GroupCard:
        group = self.room.catalog.resource_groups[key]
        return view.GroupCard(
            field=view.Field("resource_group", element_id(f"resource_group-{key}"), key),
            title=group.title,
            description=group.description,
            free=free(self.room, key),
            gpus=gpus.cards(self.room, key),
            selected=key == self._group_chosen,
        )

    def _preset(self, key: str) -> view.PresetCard:
        preset = self.room.catalog.presets[key]
        reasons = tuple(limits.misfits(self.room, preset, self._groups))
        selected = key == self._preset_chosen
        return view.PresetCard(
            field=view.Field("preset", element_id(f"preset-{key}"), key),
            title=preset.title,
            description=preset.description,
            amounts=words.amounts(preset),
            notes=tuple(self._preset_notes(preset)),
            reasons=reasons,
            selected=selected,
            # a chosen one that no longer fits stays enabled: a browser would drop it, and send
            # the form as a custom allocation that nobody asked for
            disabled=bool(reasons) and not selected,
        )

    def _preset_notes(self, preset: Preset) -> Iterable[str]:
        catalog = self.room.catalog
        where = [g for g in self._groups if preset.offered_in(g)]
        if len(where) < len(self._groups):
            yield f"Only in {words.listed(catalog.resource_groups[g].title for g in where)}."
        unfit = [e.title for e in self._environments.values() if not limits.suits(preset, e)]
        if unfit:
            yield f"Not for {words.listed(unfit)}."

    def _custom(self) -> view.PresetCard:
        return view.PresetCard(
            field=view.Field("preset", element_id("preset"), CUSTOM),
            title="Custom allocation",
            description="Set each resource below.",
            amounts=(),
            notes=(),
            reasons=(),
            selected=self._preset_chosen == CUSTOM,
            disabled=False,
        )

    def _box(self, key: str) -> view.Box:
        least = self._environments.get(self._environment)
        field = self._field(key, words.low_box(key, getattr(least.minimum, key)) if least else "")
        found = self._bounds(key)
        quantum = units.plain(self.room.catalog.gpu.quantum)
        return view.Box(
            field=field,
            kind=words.box_kind(field.value),
            label=rules.LABELS[key],
            unit=words.UNITS[key],
            low=words.low_box(key, min((b.low for b in found.values()), default=0)),
            high=words.high_box(key, max((b.high for b in found.values()), default=0)),
            step={"cpu": "1", "fgpu": quantum}.get(key, "any"),
            bounds=self._bound_lines(key, found),
            explanation=words.EXPLANATIONS.get(key) or self._fgpu_explained(),
            disabled=self._no_gpu() if key == "fgpu" and not self._asked_gpu else "",
        )

    def _fgpu_explained(self) -> str:
        return words.fgpu_explained(self.room.catalog.gpu, gpus.sizes(self.room, self._groups))

    @property
    def _asked_gpu(self) -> bool:
        """Whether the form that was sent had a GPU: a disabled box would drop it silently."""
        return self.answers.text("fgpu").strip() not in {"", "0"}

    def _no_gpu(self) -> str:
        """Why no GPU can be asked for; empty when one can."""
        if reason := self.room.no_gpu(*self._groups):
            return f"{reason[0].upper()}{reason[1:]}."
        if not self.room.free("fgpu", *self._groups):
            return "Every GPU is in use now."
        return ""

    def _bounds(self, key: str) -> dict[tuple[str, str], Bound]:
        """By group and environment, the bounds of one resource."""
        pairs = [(g, e) for g in self._groups for e in self._environments]
        return {(g, e): limits.bounds(self.room, e, g)[key] for g, e in pairs}

    def _bound_lines(
        self, key: str, found: Mapping[tuple[str, str], Bound]
    ) -> tuple[view.BoundLine, ...]:
        """The bounds in words, once where all are the same, else with what they are for."""
        sets: dict[str, list[tuple[str, str]]] = {}
        for pair, bound in found.items():
            sets.setdefault(words.bound_text(key, bound), []).append(pair)
        if len(sets) == 1:
            lines = [view.BoundLine("", next(iter(sets)))]
        else:
            lines = [view.BoundLine(self._where(pairs), text) for text, pairs in sets.items()]
        return (*lines, *(self._exact_amounts() if key == "fgpu" else ()))

    def _exact_amounts(self) -> Iterable[view.BoundLine]:
        """The amounts that can be given, for each group where not every one can."""
        for group in self._groups:
            found = gpus.amounts(self.room, group)
            told = None if found is None else gpus.listed(found, self.room.catalog.gpu)
            if told is not None:
                several = len(self._groups) > 1
                where = self.room.catalog.resource_groups[group].title if several else ""
                yield view.BoundLine(where, f"can be given now: {told}")

    def _where(self, pairs: Sequence[tuple[str, str]]) -> str:
        """The choices that these groups and environments are, as short as they can be said."""
        catalog, every = self.room.catalog, tuple(self._environments)
        by_group = {g: tuple(e for h, e in pairs if h == g) for g in self._groups}
        by_group = {g: found for g, found in by_group.items() if found}
        in_all = len(by_group) == len(self._groups) and len(set(by_group.values())) == 1
        parts = []
        for group, environments in by_group.items():
            title = catalog.resource_groups[group].title
            chosen = words.listed(catalog.environments[e].title for e in environments)
            if environments == every:
                parts.append(title)
            else:
                parts.append(chosen if in_all else f"{chosen} in {title}")
        return "; ".join(dict.fromkeys(parts))

    # problems

    def _summary(self, rows: Sequence[view.FolderRow]) -> tuple[view.SummaryLine, ...]:
        targets = {row.field.name: row.field.id for row in rows}
        return tuple(self._told(problem, targets) for problem in self.answers.problems)

    def _told(self, problem: Problem, folders: Mapping[str, str]) -> view.SummaryLine:
        name = self.answers.field_of(problem.path)
        if name is not None and name in folders:
            label, target = f"Folder {name.removeprefix(MOUNT_FIELD)}", folders[name]
        elif name and name.startswith(VERSION_FIELD):
            known = name.removeprefix(VERSION_FIELD) in self._environments
            label, target = "Version", element_id(name if known else "environment")
        elif name and (kind := name.partition(":")[0]) in words.LABELS:
            label, target = words.LABELS[kind], element_id(name)
        else:
            label, target = problem.path, ""
        return view.SummaryLine(
            label, target, told(problem), problem.reason is Reason.INVALID, variable(problem)
        )


def _automatic_row(folder: FolderChoice) -> view.FolderRow:
    field = view.Field(f"{MOUNT_FIELD}{folder.name}", "")
    return view.FolderRow(field, folder.name, folder.permission, words.MODES[folder.permission], ())
