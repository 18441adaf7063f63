"""What the session uses of its CPU, memory, disks, processes and GPUs, and what it may use."""

from pathlib import Path
from typing import Any

from bai_spawner.server_extension.part import Part


def part(serverapp: Any) -> Part:
    """The session's account, kept for as long as the server runs, and how it is asked."""
    from bai_spawner.server_extension.usage.account import Account  # noqa: PLC0415
    from bai_spawner.server_extension.usage.handlers import UsageHandler  # noqa: PLC0415
    from bai_spawner.statistics import OwnCgroup  # noqa: PLC0415

    account = Account(serverapp, OwnCgroup(), Path.home())
    rules = ((r"bai/api/usage", UsageHandler, {"account": account}),)
    return Part(handlers=rules, run=account.run)
