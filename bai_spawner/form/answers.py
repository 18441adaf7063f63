"""What the user sent before, and where each problem with it belongs on the page.

A value comes back exactly as it was typed, whatever it is; the template escapes it. A
problem whose field the page does not have is still told, in the summary alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bai_spawner.errors import Problem, Reason
from bai_spawner.options import MOUNT_FIELD, RESOURCE_KEYS, VERSION_FIELD, FormRequest

_MOUNT = re.compile(r"mounts\[([0-9]{1,4})\]", re.ASCII)
_FIELDS = {
    "alone": "alone",
    "display_name": "session_name",
    "environment": "environment",
    "mounts": "mounts",
    "preset": "preset",
    "resource_group": "resource_group",
    "resources": "preset",
    "sessions": "sessions",
    **{f"resources.{key}": key for key in RESOURCE_KEYS},
}
"""By a problem's path, the field that shows it."""


@dataclass(frozen=True, slots=True)
class Answers:
    """The request that is shown again, if there is one, and its problems."""

    request: FormRequest | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether the problems say why this request was refused, not only that the engine is away.

        The hub's page then need not repeat them.
        """
        return self.request is not None and any(
            p.reason is not Reason.ENGINE for p in self.problems
        )

    def text(self, name: str, default: str = "") -> str:
        """What was typed into a field; the default when the field was not sent."""
        values: Sequence[str] = self.request.fields.get(name, ()) if self.request else ()
        return values[-1] if values else default

    def texts(self, name: str) -> list[str]:
        """Everything that was typed into a field which may be sent several times."""
        return list(self.request.fields.get(name, ())) if self.request else []

    def choice(self, name: str, offered: Sequence[str], default: str) -> str:
        """What was chosen of what is offered, else the default."""
        asked = self.text(name).strip()
        return asked if asked in offered else default

    def folders(self) -> list[str]:
        """The folders that the sent form had, mounted or not."""
        names = self.request.fields if self.request else ()
        return [n.removeprefix(MOUNT_FIELD) for n in names if n.startswith(MOUNT_FIELD)]

    def at(self, name: str) -> tuple[str, ...]:
        """The messages that belong to a field."""
        return tuple(told(p) for p in self.problems if self.field_of(p.path) == name)

    def field_of(self, path: str) -> str | None:
        """The name of the field that a problem's path belongs to, if the page has one."""
        if path == "version" and self.request:
            return f"{VERSION_FIELD}{self.text('environment').strip()}"
        if path == "env" or path.startswith("env."):
            return "env"
        if match := _MOUNT.match(path):
            return self._mount_field(int(match[1]))
        return _FIELDS.get(path)

    def _mount_field(self, index: int) -> str:
        """The field of an entry of ``mounts``: `from_form` puts the new folders last."""
        mounts = self.request.body.get("mounts", []) if self.request else []
        if index >= len(mounts):
            return "mounts"
        if not mounts[index].get("create"):
            return f"{MOUNT_FIELD}{mounts[index]['folder']}"
        return new_folder_field(sum(mount.get("create", False) for mount in mounts[:index]))


def new_folder_field(index: int) -> str:
    """What tells the fields for new folders apart, which are all sent under one name."""
    return f"new_folder:{index}" if index else "new_folder"


def variable(problem: Problem) -> str:
    """The name of the environment variable that a problem is about, if it is about one."""
    name = problem.path.removeprefix("env.")
    return "" if name == problem.path else name


def told(problem: Problem) -> str:
    """A problem's message at its field; which variable it is about is not clear from there."""
    name = variable(problem)
    return f"{name} {problem.message}" if name else problem.message
