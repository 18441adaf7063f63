"""Every session that ever was: who, what was granted, how it went, why it ended.

`Records` reads and writes, `Records.launches` what users keep to launch again, and
`Records.openings` which apps were opened on a port of the host. The hub's other rooms write
through `bai_spawner.history`, which keeps the order and never makes a session wait. The
database is SQLite or PostgreSQL, by its URL.
"""

from bai_spawner.records.database import NotTaken, RecordsError
from bai_spawner.records.facts import Change, Facts, Held, Measure, Page, Published, SessionRecord
from bai_spawner.records.launches import (
    FIELDS_BYTES,
    LAST,
    MOST_TEMPLATES,
    Fields,
    KeptLaunch,
    Launches,
    Outcome,
    kept_size,
)
from bai_spawner.records.openings import Begun, Opening, Openings, Use
from bai_spawner.records.query import Choices, Query, Sort
from bai_spawner.records.records import LOG_BYTES, Records
from bai_spawner.records.watches import Watch

__all__ = [
    "FIELDS_BYTES",
    "LAST",
    "LOG_BYTES",
    "MOST_TEMPLATES",
    "Begun",
    "Change",
    "Choices",
    "Facts",
    "Fields",
    "Held",
    "KeptLaunch",
    "Launches",
    "Measure",
    "NotTaken",
    "Opening",
    "Openings",
    "Outcome",
    "Page",
    "Published",
    "Query",
    "Records",
    "RecordsError",
    "SessionRecord",
    "Sort",
    "Use",
    "Watch",
    "kept_size",
]
