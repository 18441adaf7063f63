"""The service in a process of its own, for `live`: its hub knows so many users, or superadmins.

    python -m tests.perf.live_service RECORDS_URL VIEWERS user|superadmin PARENT

It prints its address and its users' tokens as one line of JSON, and ends with its parent.
``/cost`` answers what it took so far: seconds of a processor, and questions to the database.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from sqlalchemy import Engine, event
from tornado.web import RequestHandler

from bai_spawner.parent import end_with
from bai_spawner.service.app import make_app
from bai_spawner.service.board import Board
from tests.service import BASE, PREFIX, FakeHub, serving


class Cost(RequestHandler):
    """What all of it took."""

    asked = 0
    """Questions to the database; they are counted off the loop, one look at a time or few."""

    def get(self) -> None:
        """Answer."""
        self.finish({"cpu": time.process_time(), "reads": Cost.asked})

    @classmethod
    def count(cls, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        """Count one question."""
        cls.asked += statement.startswith("SELECT")


async def main(url: str, viewers: int, *, see_all: bool) -> None:
    """Answer until killed."""
    event.listen(Engine, "before_cursor_execute", Cost.count)
    hub = FakeHub.instance()
    tokens = [hub.add(f"user{number}", admin=see_all) for number in range(viewers)]
    app = make_app(PREFIX, BASE, Board(url, "hub"))
    app.add_handlers(".*", [("/cost", Cost)])
    async with serving(app) as address:
        sys.stdout.write(json.dumps({"address": address, "tokens": tokens}) + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    end_with(int(sys.argv[4]))
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), see_all=sys.argv[3] == "superadmin"))
