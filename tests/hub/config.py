"""The shipped configuration, with an engine whose faults the tests steer through files."""

import os
from pathlib import Path

from bai_spawner.spawner import BaiSpawner
from tests.faulty import FaultyEngine

shipped = Path(__file__).parent.parent.parent / "jupyterhub_config.py"
exec(compile(shipped.read_text(), str(shipped), "exec"))

runtime = BaiSpawner._runtime
runtime.engine = FaultyEngine(Path(os.environ["BAI_STATE"]) / "faults")
runtime.reconcile_interval = 1
runtime.statistics_interval = 1
runtime.gpu_interval = 1
runtime.limits_interval = 1
runtime.stranger_grace = float(os.environ.get("BAI_GRACE", "2"))

c = get_config()  # noqa: F821
c.Spawner.poll_interval = 1
c.Spawner.start_timeout = 40
c.Spawner.group_overrides = {
    "impatient": {"groups": ["impatient"], "spawner_override": {"start_timeout": 4}}
}
c.JupyterHub.named_server_limit_per_user = lambda handler: (
    1 if handler.current_user.name.startswith("single") else 0
)
c.BaiSpawner.failure_ttl = 4
c.BaiSpawner.stop_timeout = 3
c.JupyterHub.load_groups = {
    "staff": {"users": ["member"]},
    "ml-team": {"users": ["member", "curator", "reader"]},
    "impatient": {"users": ["hurried"]},
}
