"""What an engine says, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from bai_spawner import labels
from bai_spawner.engine import gpus
from bai_spawner.errors import LabelError
from bai_spawner.labels import SessionLabels

HOLDING = frozenset({"created", "running", "paused", "restarting", "removing"})
"""States in which a container holds what its labels say; an exited one holds nothing."""

EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What the engine's host has: cores, bytes, and the version of its control groups.

    ``cdi`` is whether the engine looks for devices in CDI files.
    """

    cpu: int
    memory: int
    version: str
    cgroup: str = "1"
    cdi: bool = False


@dataclass(frozen=True, slots=True)
class ContainerState:
    """A container as the engine sees it. ``address`` is its address on the deployment's network.

    ``disk`` is what it wrote outside its folders, in bytes, where that was asked for. ``pid``
    is its first process, ``devices`` are the GPUs that the engine was asked for, ``visible``
    what it tells the container of them; an inspect alone knows these.
    """

    id: str
    name: str
    status: str
    exit_code: int
    oom_killed: bool
    error: str
    address: str
    labels: Mapping[str, str]
    created: datetime = EPOCH
    disk: int = 0
    pid: int = 0
    devices: tuple[str, ...] = ()
    visible: str = ""

    @property
    def running(self) -> bool:
        """Whether its processes run (a paused one counts: it can go on)."""
        return self.status in {"running", "paused", "restarting"}

    @property
    def holds(self) -> bool:
        """Whether it holds what its labels say."""
        return self.status in HOLDING

    def session(self) -> SessionLabels | None:
        """Its labels, when they are a session's."""
        try:
            return labels.decode(self.labels)
        except LabelError:
            return None

    @classmethod
    def inspected(cls, found: Mapping[str, Any]) -> ContainerState:
        """From the answer to an inspect."""
        state, networks = found["State"], found["NetworkSettings"]["Networks"]
        return cls(
            id=found["Id"],
            name=found["Name"].lstrip("/"),
            status=state["Status"],
            exit_code=int(state["ExitCode"]),
            oom_killed=bool(state["OOMKilled"]),
            error=state["Error"],
            address=_address(networks),
            labels=found["Config"]["Labels"] or {},
            created=datetime.fromisoformat(found["Created"]),
            pid=int(state.get("Pid") or 0),
            devices=gpus.requested(found["HostConfig"]),
            visible=gpus.visible(found["Config"].get("Env") or ()),
        )

    @classmethod
    def listed(cls, found: Mapping[str, Any]) -> ContainerState:
        """From one entry of a list, which knows no exit code."""
        networks = found.get("NetworkSettings", {}).get("Networks") or {}
        return cls(
            id=found["Id"],
            name=found["Names"][0].lstrip("/") if found["Names"] else "",
            status=found["State"],
            exit_code=0,
            oom_killed=False,
            error="",
            address=_address(networks),
            labels=found["Labels"] or {},
            created=datetime.fromtimestamp(found["Created"], UTC),
            disk=int(found.get("SizeRw") or 0),
        )


def _address(networks: Mapping[str, Any]) -> str:
    """Where a container is on the network that it is on."""
    return next((n["IPAddress"] for n in networks.values() if n["IPAddress"]), "")


class Verb(StrEnum):
    """What may befall a container."""

    START = "start"
    KILL = "kill"
    OOM = "oom"
    DIE = "die"
    DESTROY = "destroy"


@dataclass(frozen=True, slots=True)
class ContainerEvent:
    """Something befell the container of a session.

    ``KILL`` is a signal that somebody asked the engine for; ``OOM`` is one of its
    processes killed for memory, which need not be its first. ``labels`` are the container's,
    among other things that the engine says of it.
    """

    verb: Verb
    container: str
    session: SessionLabels
    labels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> ContainerEvent | None:
        """From an event of the engine; ``None`` when it is none of ours."""
        try:
            told = raw["Actor"]["Attributes"]
            session = labels.decode(told)
            return cls(Verb(raw["Action"]), raw["Actor"]["ID"], session, told)
        except (KeyError, TypeError, ValueError, LabelError):
            return None
