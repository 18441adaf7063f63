"""Every session that ever was: who, what was granted, how it went, why it ended.

`Records` reads and writes; the hub's other rooms write through `bai_spawner.history`,
which keeps the order and never makes a session wait. The database is SQLite or
PostgreSQL, by its URL.
"""

from bai_spawner.records.database import NotTaken, RecordsError
from bai_spawner.records.facts import Change, Facts, Held, Measure, Page, Published, SessionRecord
from bai_spawner.records.records import LOG_BYTES, Records

__all__ = [
    "LOG_BYTES",
    "Change",
    "Facts",
    "Held",
    "Measure",
    "NotTaken",
    "Page",
    "Published",
    "Records",
    "RecordsError",
    "SessionRecord",
]
