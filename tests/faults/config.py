"""The shipped configuration, an engine with faults, and two more points to die at.

Strangers have their ten minutes: what must be gone soon after a restart is gone without
that, because the hub knows that its server is stopped.
"""

import os
from pathlib import Path
from typing import Any

from jupyterhub.user import User

from bai_spawner.spawner import BaiSpawner
from tests.faulty import FaultyEngine, die

shipped = Path(__file__).parent.parent.parent / "jupyterhub_config.py"
exec(compile(shipped.read_text(), str(shipped), "exec"))

runtime = BaiSpawner._runtime
faults = Path(os.environ["BAI_STATE"]) / "faults"
runtime.engine = FaultyEngine(faults)
runtime.stranger_grace = 600
runtime.reconcile_interval = 5

c = get_config()  # noqa: F821
c.Spawner.start_timeout = 40
c.BaiSpawner.stop_timeout = 3

start, wait_up = BaiSpawner.start, User._wait_up


async def start_and_die(spawner: Any) -> str:
    """The file ``save``: the session answers, and the hub has not saved that yet."""
    url = await start(spawner)
    if (faults / "save").exists():
        die()
    return url


async def die_and_wait(user: Any, spawner: Any) -> Any:
    """The file ``route``: the hub has saved it, and nobody can reach it yet."""
    if (faults / "route").exists():
        die()
    return await wait_up(user, spawner)


BaiSpawner.start = start_and_die
User._wait_up = die_and_wait
