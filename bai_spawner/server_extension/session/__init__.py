"""The session itself: what it is, what would be lost with it, saving that, and its end."""

import asyncio
import os
from pathlib import Path
from typing import Any

from bai_spawner.server_extension.mounts import folders
from bai_spawner.server_extension.part import Part
from bai_spawner.server_extension.session.handlers import (
    FactsHandler,
    LossesHandler,
    RescueHandler,
    TerminateHandler,
)
from bai_spawner.server_extension.session.losses import Work
from bai_spawner.server_extension.session.rescue import Rescue
from bai_spawner.server_extension.session.terminate import Ending

NAMELESS = "session"
"""What a copy is named after where the session has no name."""


def part(serverapp: Any) -> Part:
    """Facts, losses, rescue, terminate."""
    work = Work(Path.home(), folders, apart=[Path(serverapp.runtime_dir)])
    rescue = Rescue(work, os.environ.get("BAI_SESSION_NAME") or NAMELESS, serverapp.log)
    ending = Ending(serverapp.log)
    counted = {"work": work, "counting": asyncio.Lock()}
    started = serverapp.web_app.settings["started"]

    async def run() -> None:
        try:
            await rescue.serve()
        finally:
            await ending.close()

    return Part(
        handlers=(
            ("bai/api/session", FactsHandler, {"work": work, "started": started}),
            ("bai/api/losses", LossesHandler, counted),
            ("bai/api/rescue", RescueHandler, {**counted, "rescue": rescue}),
            ("bai/api/terminate", TerminateHandler, {"ending": ending, "rescue": rescue}),
        ),
        run=run,
    )
