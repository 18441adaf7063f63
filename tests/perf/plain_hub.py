"""The hub that ours is compared with: DockerSpawner as its own documentation sets it up.

Ports, network and passwords come from the environment that `tests.deployment` makes; the
image from `BENCH_IMAGE`. What is set beyond them is needed by the measurement, and costs a
start nothing.
"""

import json
import os
from pathlib import Path

c = get_config()  # noqa: F821

state = Path(os.environ["BAI_STATE"])
passwords = json.loads((state / "passwords.json").read_text())

c.JupyterHub.bind_url = f"http://127.0.0.1:{os.environ['BAI_PORT']}"
c.JupyterHub.hub_ip = os.environ["BAI_HUB_IP"]
c.JupyterHub.hub_port = int(os.environ["BAI_HUB_PORT"])
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{os.environ['BAI_PROXY_API_PORT']}"
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = passwords["user"]
c.SharedPasswordAuthenticator.admin_password = passwords["admin"]
c.Authenticator.allow_all = True
c.JupyterHub.allow_named_servers = True
# else the login itself would start a server
c.JupyterHub.default_url = "/hub/home"

c.JupyterHub.spawner_class = "docker"
c.DockerSpawner.image = os.environ["BENCH_IMAGE"]
c.DockerSpawner.network_name = os.environ["BAI_NETWORK"]
c.DockerSpawner.use_internal_ip = True
c.DockerSpawner.remove = True
c.DockerSpawner.prefix = os.environ["BAI_NETWORK"]
# how the deployment knows its containers, to remove what a broken run leaves
hub_id = (state / "hub_id").read_text().strip()
c.DockerSpawner.extra_create_kwargs = {"labels": {"bai.hub": hub_id}}
