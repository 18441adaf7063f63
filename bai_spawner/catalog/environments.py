"""What users choose: a kind of software in its versions, and sets of resources for it.

What must hold between keys, such as a minimum and its maximum, is checked where the
catalogue is one (`catalog`).
"""

from __future__ import annotations

import re
from decimal import Decimal

from pydantic import Field

from bai_spawner import units
from bai_spawner.catalog.fields import Cores, Fgpu, Key, Section, Size, Text

_NATURAL = re.compile(r"(\d+)", re.ASCII)


class Minimum(Section):
    """What a session of an environment needs at least."""

    cpu: Cores = Field(1, description="cores")
    memory: Size = Field(512 * units.MIB, description="memory")
    shm: Size = Field(64 * units.MIB, description="shared memory, which is part of memory")
    fgpu: Fgpu = Field(Decimal(0), description="GPU")


class Maximum(Section):
    """What a session of an environment may have at most; unset: no bound of its own."""

    cpu: Cores | None = Field(None, description="cores")
    memory: Size | None = Field(None, description="memory")
    shm: Size | None = Field(None, description="shared memory")
    fgpu: Fgpu | None = Field(None, description="GPU")


class Version(Section):
    """One image of an environment."""

    image: str = Field(min_length=1, max_length=255, description="the image's reference")


class Environment(Section):
    """What a user chooses first: a kind of software, in one or more versions."""

    title: Text = Field(description="its name in the form")
    description: Text = Field("", description="a sentence below the name")
    category: Text = Field("General", description="the heading it stands under")
    icon: str = Field(
        "fa-solid fa-cube",
        pattern=r"^[a-z0-9 -]+$",
        description="classes of a Font Awesome icon, which JupyterHub ships",
    )
    tags: tuple[Text, ...] = Field((), description="words beside the name", strict=False)
    default_url: str = Field("/lab", pattern=r"^/[^\s]*$", description="the page it opens with")
    port_proxy: bool = Field(
        False,
        description="whether whatever listens on a port in a session is at `/proxy/PORT/`",
    )
    versions: dict[Key, Version] = Field(
        min_length=1, description="by version, such as '3.13'; quote the number"
    )
    minimum: Minimum = Field(Minimum(), description="the least it can be given")
    maximum: Maximum = Field(Maximum(), description="the most it can be given")

    def newest_first(self) -> list[str]:
        """The versions, newest first: runs of digits compare as numbers (3.13 > 3.9)."""
        return sorted(self.versions, key=_natural, reverse=True)


class Preset(Section):
    """A set of resources under a name."""

    title: Text = Field(description="its name in the form")
    description: Text = Field("", description="a sentence below the name")
    cpu: Cores = Field(description="cores")
    memory: Size = Field(description="memory")
    shm: Size = Field(64 * units.MIB, description="shared memory, which is part of memory")
    fgpu: Fgpu = Field(Decimal(0), description="GPU")
    groups: tuple[Key, ...] | None = Field(
        None, description="the resource groups it is offered in; all if unset", strict=False
    )

    def offered_in(self, group: str) -> bool:
        """Whether it is offered in a resource group."""
        return self.groups is None or group in self.groups


def _natural(text: str) -> list[tuple[int, int, str]]:
    """A sort key in which runs of digits compare as numbers."""
    parts = _NATURAL.split(text)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts if part]
