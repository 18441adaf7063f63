"""A session as JSON: its record, and what the hub published of it while it runs. Pure.

What users wrote is carried as it is and never as markup. Nothing here is a variable's value:
no record has one. The keys:

    id, user, server, name     whose it is, and what it is called
    environment, group         their keys, and their titles as long as they are on offer
    node, policy               what it runs on, and by which rules it was granted
    status, tab                see `bai_spawner.reasons`
    warning                    what is wrong with one that goes on; empty when nothing is
    reason                     why it ended: a key, and words
    created, started, ended    ISO 8601, in UTC; ``elapsed`` is in seconds, until now or the end
    allocated                  cores, bytes, fGPU as text; ``gpu`` is what it gets of each device
    used                       cores, bytes, numbers; null while nothing was measured
    peak                       the most that it used, and the sums, so far
    folders, variables         what is mounted, and the names of the variables that were set
    time                       when it is to end; see `bai_spawner.limits`
    public                     how many of its apps are open to the public now
    apps, links, relaunch      where to go from here
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bai_spawner.apps import App
from bai_spawner.catalog import Catalog
from bai_spawner.catalog.environments import Environment
from bai_spawner.records import Facts, SessionRecord
from bai_spawner.service.amounts import fgpu, folders
from bai_spawner.service.links import DEFAULT_URL, Site, apps, links
from bai_spawner.service.relaunch import relaunch
from bai_spawner.units import MIB

ICON = "fa-solid fa-cube"
"""Of an environment that is offered no more."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the hub published of the sessions that live, by session.

    ``at`` is when it measured ``used``; ``None`` when it has not. ``time`` is as
    `bai_spawner.limits` gives it.
    """

    at: datetime | None = None
    used: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    time: Mapping[str, Any] = field(default_factory=dict)
    apps: Mapping[str, Sequence[App]] = field(default_factory=dict)

    def age(self, now: datetime) -> float | None:
        """Seconds since it was measured."""
        return round(max(0.0, (now - self.at).total_seconds()), 1) if self.at else None


@dataclass(frozen=True, slots=True)
class Scene:
    """What all sessions of one answer are told with: what is on offer, seen, where, and when.

    ``public`` is how many apps a session has that are open to the public, where it has some.
    """

    site: Site
    now: datetime
    catalog: Catalog | None = None
    seen: Seen = field(default_factory=Seen)
    public: Mapping[str, int] = field(default_factory=dict)


def session(record: SessionRecord, scene: Scene) -> dict[str, Any]:
    """One session."""
    facts, seen = record.facts, scene.seen
    environment = scene.catalog.environments.get(facts.environment) if scene.catalog else None
    default_url = environment.default_url if environment else DEFAULT_URL
    return {
        **{key: getattr(facts, key) for key in ("id", "user", "server", "name", "node", "policy")},
        "environment": _environment(facts, environment),
        "group": titled(facts.group, scene.catalog.resource_groups if scene.catalog else {}),
        **_course(record, scene.now),
        "allocated": _allocated(facts, scene.catalog),
        "used": used(seen.used.get(facts.id)) if record.status.is_live else None,
        "peak": _peak(record, seen.used.get(facts.id)),
        "folders": [{"name": name, "mode": mode} for name, mode in folders(facts)],
        "variables": list(facts.variables),
        "time": seen.time.get(facts.id) if record.status.is_live else None,
        "public": scene.public.get(facts.id, 0) if record.status.is_live else 0,
        "apps": apps(record, scene.site, seen.apps.get(facts.id, ())),
        "links": links(record, scene.site, default_url),
        "relaunch": relaunch(record, f"{scene.site.service}launch", scene.catalog),
    }


def detail(record: SessionRecord, scene: Scene) -> dict[str, Any]:
    """One session, with when it came to each status."""
    changes = [{"status": str(c.status), "at": instant(c.at)} for c in record.changes]
    return {**session(record, scene), "changes": changes}


def titled(key: str, offered: Mapping[str, Any]) -> dict[str, str]:
    """A key of the catalogue with its title; what is not offered any more is called by its key."""
    return {"key": key, "title": offered[key].title if key in offered else key}


def instant(at: datetime) -> str:
    """A time as it is told everywhere."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def used(use: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What a session uses, of what was measured; its memory of all GPUs together."""
    if use is None:
        return None
    told = {key: use[key] for key in ("cpu", "memory", "disk", "processes", "oom_kills")}
    return {**told, "gpu_memory": sum(use["gpu_memory"].values())}


def _environment(facts: Facts, offered: Environment | None) -> dict[str, str]:
    return {
        "key": facts.environment,
        "title": offered.title if offered else facts.environment,
        "icon": offered.icon if offered else ICON,
        "version": facts.version,
    }


def _course(record: SessionRecord, now: datetime) -> dict[str, Any]:
    """How it goes, or how it went."""
    end = record.end
    lasted = (record.ended or now) - record.started if record.started else None
    return {
        "status": str(record.status),
        "tab": str(record.status.tab),
        "warning": record.warning,
        "reason": {"key": end.ending.key, "words": end.words} if end else None,
        "created": instant(record.created),
        "started": instant(record.started) if record.started else None,
        "ended": instant(record.ended) if record.ended else None,
        "elapsed": round(max(0.0, lasted.total_seconds())) if lasted is not None else None,
    }


def _allocated(facts: Facts, catalog: Catalog | None) -> dict[str, Any]:
    cap = facts.gpu
    gpu = cap and {
        "isolation": cap.isolation,
        "memory": cap.memory * MIB or None,
        "enforcement": str(cap.enforcement),
        "devices": len(facts.devices),
    }
    sizes = {"cpu": facts.cpu, "memory": facts.memory, "shm": facts.shm}
    return {**sizes, "fgpu": fgpu(facts, catalog), "gpu": gpu}


def _peak(record: SessionRecord, use: Mapping[str, Any] | None) -> dict[str, Any]:
    """What was recorded, which happens now and then, and what was measured since."""
    peaks = record.peaks
    now = use if use and record.status.is_live else {}
    return {
        "cpu": round(max(peaks.cpu, now.get("cpu", 0.0)), 3),
        "memory": max(peaks.memory, now.get("memory", 0)),
        "disk": max(peaks.disk, now.get("disk") or 0),
        "cpu_seconds": round(peaks.cpu_seconds, 3),
        "oom_kills": max(peaks.oom_kills, now.get("oom_kills", 0)),
    }
