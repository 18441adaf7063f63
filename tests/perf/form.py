"""Rendering the launch form, as a catalogue and a user's live sessions grow."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bai_spawner import policy
from bai_spawner.catalog import Catalog
from bai_spawner.form.render import FolderChoice, render_form
from bai_spawner.policy import NodeFree, Subject, Usage
from bai_spawner.units import GIB
from tests.examples import small_catalog
from tests.perf.growth import Case, grown

VERSIONS = (10, 100, 1_000)
SESSIONS = (10, 1_000)
VERSIONS_EACH = 5
FOLDERS = tuple(FolderChoice(f"folder{number}", "rw", automatic=False) for number in range(10))


def forms() -> str:
    """The measurements, as a table."""
    cases = [
        Case(f"render, {sessions:,} live sessions of the user", partial(_rendering, sessions))
        for sessions in SESSIONS
    ]
    return f"\nLaunch form\n\n{grown('versions on offer', VERSIONS, cases)}"


def _rendering(sessions: int, versions: int) -> Callable[[], object]:
    """The form of a user who may have everything."""
    catalog = versions_on_offer(versions)
    chosen = policy.select(catalog, Subject("ada"))
    free = (NodeFree("local", 64, 256 * GIB),)
    names = frozenset(f"name{number}" for number in range(sessions))

    def render() -> str:
        return render_form(
            catalog=catalog,
            policy=chosen,
            usage=Usage(sessions, sessions, sessions * GIB, names=names),
            availability=dict.fromkeys(catalog.resource_groups, free),
            folders=FOLDERS,
        )

    return render


def versions_on_offer(versions: int) -> Catalog:
    """A catalogue with so many versions, five to an environment, that everybody may have."""
    return small_catalog(
        environments={
            f"environment{number}": {
                "title": f"Environment {number}",
                "description": "What it is for, in a sentence.",
                "category": f"Category {number % 5}",
                "tags": ["lab", "python"],
                "versions": {
                    f"3.{minor}": {"image": f"environment{number}:3.{minor}"}
                    for minor in range(VERSIONS_EACH)
                },
            }
            for number in range(versions // VERSIONS_EACH)
        },
        policies=[{"name": "everyone"}],
    )
