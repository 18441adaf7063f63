"""Where sessions run: hosts, and the choices of hosts and devices that users see."""

from __future__ import annotations

from pydantic import Field

from bai_spawner.catalog.fields import (
    Cores,
    DevicePattern,
    Factor,
    Key,
    Section,
    Size,
    Text,
    matches,
)


class Overcommit(Section):
    """How often one unit of a node may be granted. CPU is a share, not exclusive cores."""

    cpu: Factor = Field(1.0, ge=0.1, le=100, description="granted cores per real core")
    memory: Factor = Field(1.0, ge=0.1, le=10, description="granted bytes per real byte")


class Node(Section):
    """A host. This release has one: the engine that the hub talks to."""

    cpu: Cores | None = Field(None, description="cores to offer; what the engine reports if unset")
    memory: Size | None = Field(
        None, description="memory to offer; what the engine reports if unset"
    )
    overcommit: Overcommit = Field(Overcommit(), description="factors on both")


class ResourceGroup(Section):
    """A choice of nodes that users see as one."""

    title: Text = Field(description="its name in the form")
    description: Text = Field("", description="a sentence below the name")
    nodes: tuple[Key, ...] = Field(min_length=1, description="its nodes", strict=False)
    devices: tuple[DevicePattern, ...] | None = Field(
        None,
        description="its GPUs: uuids, or product names such as 'NVIDIA A100*'; all if unset",
        strict=False,
    )

    def owns(self, *names: str) -> bool:
        """Whether a device of these names, its uuid among them, is one of the group's."""
        return self.devices is None or matches(self.devices, names)
