"""The schema of container labels: the truth about who holds what.

Labels are written at create, which commits an allocation, and read when the
hub starts; nothing else is trusted about a container. ``decode(encode(x)) == x``
for every value, and ``decode`` raises `LabelError` for anything that `encode`
did not write. The value of a user's variable is never a label.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from typing import Any

from bai_spawner.enforcement import Enforcement
from bai_spawner.errors import LabelError

PREFIX = "bai."
HUB = f"{PREFIX}hub"
SCHEMA = f"{PREFIX}schema"
SCHEMA_VERSION = "1"
"""Another one only when a hub of the version before would count a session wrongly."""

Key = tuple[str, str]
"""A user and one of the user's servers: what a container is named after."""


@dataclass(frozen=True, slots=True)
class Share:
    """Quanta of one GPU device, of ``per_gpu`` that a whole one has."""

    device: str
    quanta: int
    per_gpu: int

    def of(self, per_gpu: int) -> Share:
        """The same share where a whole device has ``per_gpu`` quanta, rounded up.

        Units may be changed while sessions run: what one holds must never count for less.
        """
        return Share(self.device, -(-self.quanta * per_gpu // self.per_gpu), per_gpu)


@dataclass(frozen=True, slots=True)
class GpuCap:
    """What a session gets of each of its devices, and what keeps it to that.

    ``memory`` is in MiB, ``sm`` a percentage of the device's streaming multiprocessors.
    ``verified`` is on which hardware that was seen to hold: ``driver, date``, or ``never``.
    """

    isolation: str
    memory: int
    sm: int
    enforcement: Enforcement
    verified: str = "never"


def isolation(cap: GpuCap | None) -> str:
    """The strategy that a share is held under; empty where nothing says which."""
    return cap.isolation if cap else ""


@dataclass(frozen=True, slots=True)
class SessionLabels:
    """What a session's container says of itself.

    ``cpu`` is in cores, ``memory`` and ``shm`` in bytes; ``shares`` are its parts of devices,
    ``gpu`` says what each of them comes to. ``ssh_port`` is the host's port that leads to its
    SSH server; 0 for none.
    """

    hub: str
    allocation: str
    user: str
    server: str
    session: str
    environment: str
    version: str
    group: str
    node: str
    policy: str
    cpu: int
    memory: int
    shm: int
    shares: tuple[Share, ...] = ()
    folders: tuple[str, ...] = ()
    gpu: GpuCap | None = None
    ssh_port: int = 0

    @property
    def key(self) -> Key:
        """Whose it is."""
        return self.user, self.server


_INTEGERS = ("cpu", "memory", "shm")
_CAP = f"{PREFIX}gpu."
_SSH_PORT = f"{PREFIX}ssh_port"
_DIGITS = re.compile(r"[0-9]{1,20}", re.ASCII)


def encode(labels: SessionLabels) -> dict[str, str]:
    """The labels to put on a container."""
    encoded = {SCHEMA: SCHEMA_VERSION}
    for item in _plain(labels):
        value = getattr(labels, item.name)
        if item.name == "shares":
            value = json.dumps([[s.device, s.quanta, s.per_gpu] for s in value])
        elif item.name == "folders":
            value = json.dumps(value)
        encoded[PREFIX + item.name] = str(value)
    if labels.ssh_port:
        encoded[_SSH_PORT] = str(labels.ssh_port)
    if labels.gpu and labels.shares:
        encoded |= {
            _CAP + item.name: str(getattr(labels.gpu, item.name)) for item in fields(GpuCap)
        }
    return encoded


def decode(labels: Mapping[str, str]) -> SessionLabels:
    """Read a container's labels.

    Raises:
        LabelError: when a label is missing, of another schema, or not of its type.
    """
    version = labels.get(SCHEMA)
    if version != SCHEMA_VERSION:
        raise LabelError(f"{SCHEMA} is {version!r}; this version reads {SCHEMA_VERSION!r}")
    try:
        values: dict[str, object] = {
            item.name: labels[PREFIX + item.name] for item in _plain(SessionLabels)
        }
        values.update({name: _amount(labels[PREFIX + name]) for name in _INTEGERS})
        shares = _list(labels[f"{PREFIX}shares"], list)
        values["shares"] = tuple(_share(*share) for share in shares)
        values["folders"] = tuple(_list(labels[f"{PREFIX}folders"], str))
        # an image has labels of its own: without a share they say nothing
        if shares and f"{_CAP}isolation" in labels:
            values["gpu"] = _cap(labels)
        # sessions of the version before have none
        values["ssh_port"] = _amount(labels.get(_SSH_PORT, "0"))
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise LabelError(f"unreadable session labels: {error}") from error
    return SessionLabels(**values)  # type: ignore[arg-type]


def _plain(labels: SessionLabels | type[SessionLabels]) -> list[Field[Any]]:
    """The fields that have one label each."""
    return [item for item in fields(labels) if item.name not in {"gpu", "ssh_port"}]


def _cap(labels: Mapping[str, str]) -> GpuCap:
    return GpuCap(
        isolation=labels[f"{_CAP}isolation"],
        memory=_amount(labels[f"{_CAP}memory"]),
        sm=_amount(labels[f"{_CAP}sm"]),
        enforcement=Enforcement.parse(labels[f"{_CAP}enforcement"]),
        verified=labels.get(f"{_CAP}verified", "never"),
    )


def _amount(text: str) -> int:
    if not _DIGITS.fullmatch(text):
        raise ValueError(f"{text!r} is no amount")
    return int(text)


def _list(text: str, of: type) -> list[Any]:
    """A JSON list of one type; an object or a text would iterate too, and mean nothing."""
    found = json.loads(text)
    if not isinstance(found, list) or not all(type(item) is of for item in found):
        raise ValueError(f"{text[:80]!r} is no list of {of.__name__}")
    return found


def _share(device: object, quanta: object, per_gpu: object) -> Share:
    if type(device) is not str or type(quanta) is not int or type(per_gpu) is not int:
        raise ValueError(f"{device!r}, {quanta!r}, {per_gpu!r} is no share")
    if not quanta > 0 or not per_gpu > 0:
        raise ValueError(f"a share of {quanta} in {per_gpu}")
    return Share(device, quanta, per_gpu)
