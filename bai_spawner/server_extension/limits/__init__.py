"""Limits in time, as seen from inside: the service hears of use, and says how much time is left.

A session is ended for want of use only by what it says itself, so it says so again and again. What
it hears for that is kept: Lab asks this server, and never the service.
"""

import os
from typing import Any

from bai_spawner.server_extension.activity import watch_of
from bai_spawner.server_extension.hub_service import from_environment
from bai_spawner.server_extension.limits.handlers import ExtendHandler, LimitsHandler
from bai_spawner.server_extension.limits.reporting import Reporter
from bai_spawner.server_extension.part import Part


def part(serverapp: Any) -> Part:
    """Who tells the service of use, and how Lab asks and asks for more time."""
    service = from_environment(os.environ)
    reporter = Reporter(watch_of(serverapp), service, serverapp.log)
    kept = {"reporter": reporter}
    return Part(
        handlers=(
            ("bai/api/limits", LimitsHandler, kept),
            ("bai/api/limits/extend", ExtendHandler, kept),
        ),
        run=reporter.run if service else None,
    )
