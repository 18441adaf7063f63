"""The schema of container labels: the truth about who holds what.

Labels are written at create, which commits an allocation, and read when the
hub starts; nothing else is trusted about a container. ``decode(encode(x)) == x``
for every value, and ``decode`` raises `LabelError` for anything that `encode`
did not write. The value of a user's variable is never a label.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields

from bai_spawner.errors import LabelError

PREFIX = "bai."
HUB = f"{PREFIX}hub"
ALLOCATION = f"{PREFIX}allocation"
SCHEMA = f"{PREFIX}schema"
SCHEMA_VERSION = "1"


@dataclass(frozen=True, slots=True)
class Share:
    """Quanta of one GPU device, of ``per_gpu`` that a whole one has."""

    device: str
    quanta: int
    per_gpu: int


@dataclass(frozen=True, slots=True)
class SessionLabels:
    """What a session's container says of itself.

    ``cpu`` is in cores, ``memory`` and ``shm`` in bytes; ``shares`` are its parts of devices.
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


_INTEGERS = ("cpu", "memory", "shm")


def encode(labels: SessionLabels) -> dict[str, str]:
    """The labels to put on a container."""
    encoded = {SCHEMA: SCHEMA_VERSION}
    for item in fields(labels):
        value = getattr(labels, item.name)
        if item.name == "shares":
            value = json.dumps([[s.device, s.quanta, s.per_gpu] for s in value])
        elif item.name == "folders":
            value = json.dumps(value)
        encoded[PREFIX + item.name] = str(value)
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
            item.name: labels[PREFIX + item.name] for item in fields(SessionLabels)
        }
        values.update({name: int(labels[PREFIX + name]) for name in _INTEGERS})
        values["shares"] = tuple(
            Share(str(device), int(quanta), int(per_gpu))
            for device, quanta, per_gpu in json.loads(labels[f"{PREFIX}shares"])
        )
        values["folders"] = tuple(str(f) for f in json.loads(labels[f"{PREFIX}folders"]))
    except (KeyError, ValueError, TypeError) as error:
        raise LabelError(f"unreadable session labels: {error}") from error
    return SessionLabels(**values)  # type: ignore[arg-type]
