"""Links that fill the launch form with what a session was granted (R15).

They are written as `form/static/fields.js` reads them. What was granted is asked for as a
custom allocation: a preset may be another by now. The name is left blank, since it may be
taken; of variables there are the names alone, for their values were never recorded.
"""

from __future__ import annotations

from urllib.parse import urlencode

from bai_spawner import units
from bai_spawner.catalog import Catalog
from bai_spawner.options import MOUNT_FIELD, VERSION_FIELD
from bai_spawner.reasons import Ending
from bai_spawner.records import Facts, SessionRecord
from bai_spawner.service.amounts import fgpu, folders

MORE = 2
"""How many times the memory is offered to a session that memory ended (R26)."""


def relaunch(record: SessionRecord, launch: str, catalog: Catalog | None) -> dict[str, str | None]:
    """A link to launch the same, and one with more memory where that was what it lacked.

    Args:
        record: the session.
        launch: the address of a new launch form.
        catalog: what is on offer; ``None`` when that is not known.
    """
    facts = record.facts
    lacked = record.end is not None and record.end.ending is Ending.MEMORY
    return {
        "same": _link(launch, facts, facts.memory, catalog),
        "more_memory": _link(launch, facts, MORE * facts.memory, catalog) if lacked else None,
    }


def _link(launch: str, facts: Facts, memory: int, catalog: Catalog | None) -> str:
    fields = {
        "environment": facts.environment,
        f"{VERSION_FIELD}{facts.environment}": facts.version,
        "resource_group": facts.group,
        "preset": "",  # a custom allocation
        "cpu": str(facts.cpu),
        "memory": units.gib(memory),
        "shm": units.gib(facts.shm),
    }
    if amount := fgpu(facts, catalog):
        fields["fgpu"] = amount
    for folder, mode in folders(facts):
        if not _is_automatic(folder, catalog):  # it is mounted without being asked for
            fields[f"{MOUNT_FIELD}{folder}"] = mode
    if facts.variables:
        fields["env"] = "\n".join(f"{name}=" for name in facts.variables)
    return f"{launch}#{urlencode(fields)}"


def _is_automatic(folder: str, catalog: Catalog | None) -> bool:
    if catalog is None:
        return False
    group, _, name = folder.rpartition("/")
    if not group:
        return name in catalog.folders.user.automatic
    declared = catalog.folders.group.get(group, {}).get(name)
    return declared is not None and declared.automatic
