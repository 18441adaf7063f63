"""What the wizard must know to tell a mistake before the form is sent, as JSON in the page.

Nothing here is trusted when the form comes back: the server judges by the same sources.
"""

from __future__ import annotations

from typing import Any

from bai_spawner import names, options, policy, units
from bai_spawner.catalog import Preset
from bai_spawner.form import bounds as limits
from bai_spawner.form import gpus
from bai_spawner.form.bounds import Room
from bai_spawner.gpu.placement import MOST_DEVICES

WORDS = 24
"""How many free words the page has to draw a session's name from."""


def rules(room: Room) -> dict[str, Any]:
    """Names, variables, folders, presets, GPUs: what is accepted, in the shapes that JSON has."""
    catalog = room.catalog
    offered = {
        preset: catalog.presets[preset]
        for group in policy.groups(catalog, room.policy)
        for preset in policy.presets(catalog, room.policy, group)
    }
    return {
        "session_name": {
            "longest": names.SESSION_NAME_LONGEST,
            "most": options.MAX_SESSIONS,
            "words": names.free_words(room.usage.names, WORDS),
        },
        "variables": {
            "pattern": options.VARIABLE.pattern,
            "most": options.MAX_VARIABLES,
            "longest_name": options.MAX_VARIABLE_NAME,
            "platform_names": sorted(options.PLATFORM_NAMES),
            "platform_prefixes": sorted(options.PLATFORM_PREFIXES),
        },
        "folders": {"reserved": sorted(catalog.folders.taken())},
        "presets": {key: _preset(room, preset) for key, preset in offered.items()},
        "gpu": {
            "quantum": units.plain(catalog.gpu.quantum),
            "per_gpu": catalog.gpu.quanta_per_gpu,
            "most_devices": MOST_DEVICES,
            "means": gpus.MEANS,
            "mark": gpus.MARK,
        },
    }


def _preset(room: Room, preset: Preset) -> dict[str, Any]:
    """A preset's amounts (cores, bytes, fGPU), and where it cannot be used."""
    catalog = room.catalog
    return {
        "cpu": preset.cpu,
        "memory": preset.memory,
        "fgpu": units.plain(preset.fgpu),
        "groups": [g for g in policy.groups(catalog, room.policy) if preset.offered_in(g)],
        "unfit": [
            key
            for key, environment in policy.environments(catalog, room.policy).items()
            if not limits.suits(preset, environment)
        ],
    }
