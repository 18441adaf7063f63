"""The session's log: what the server and the apps wrote, as text and as a page."""

from pathlib import Path
from typing import Any

from bai_spawner.server_extension.output import session_log
from bai_spawner.server_extension.part import Part


def part(serverapp: Any, path: Path | None = None) -> Part:  # noqa: ARG001 - parts are asked alike
    """The log under the session's address; ``path`` is its file's, if it is elsewhere."""
    from bai_spawner.server_extension.log.following import Followers  # noqa: PLC0415
    from bai_spawner.server_extension.log.handlers import LogHandler  # noqa: PLC0415
    from bai_spawner.server_extension.log.page import PageHandler, StaticHandler  # noqa: PLC0415
    from bai_spawner.server_extension.log.reading import SessionLog  # noqa: PLC0415

    followers = Followers()
    log = SessionLog(path or Path(session_log()))
    return Part(
        handlers=(
            (r"bai/api/log", LogHandler, {"log": log, "followers": followers}),
            (r"bai/log", PageHandler, {}),
            (r"bai/log/static/([a-z]+\.(?:css|js))", StaticHandler, {}),
        ),
        run=followers.until_the_end,
    )
