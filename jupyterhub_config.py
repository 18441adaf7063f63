"""A hub with compute sessions, runnable as it stands: ``make up`` starts it.

Everything that differs between machines comes from the environment; docs/administration.md
explains each setting, catalog.yaml says what is on offer.
"""

import json
import os
from pathlib import Path

from bai_spawner.hub import install

c = get_config()  # noqa: F821

here = Path(__file__).parent
state = Path(os.environ.get("BAI_STATE", here / ".state")).absolute()
port = int(os.environ.get("BAI_PORT", "8000"))
proxy_api_port = int(os.environ.get("BAI_PROXY_API_PORT", port + 1))
service_port = int(os.environ.get("BAI_SERVICE_PORT", port + 2))

# ---- addresses: users reach the proxy; sessions reach the hub on their own network -----------
c.JupyterHub.bind_url = f"http://127.0.0.1:{port}"
c.JupyterHub.hub_ip = os.environ.get("BAI_HUB_IP", "127.0.0.1")
c.JupyterHub.hub_port = int(os.environ.get("BAI_HUB_PORT", "8081"))
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{proxy_api_port}"
c.ConfigurableHTTPProxy.pid_file = str(state / "proxy.pid")

# ---- state: SQLite by default; PostgreSQL is one setting away --------------------------------
c.JupyterHub.db_url = os.environ.get("BAI_DB_URL", f"sqlite:///{state}/jupyterhub.sqlite")
c.JupyterHub.cookie_secret_file = str(state / "cookie_secret")

# ---- who may log in: a shared password for a demonstration, your own authenticator later ------
passwords = json.loads((state / "passwords.json").read_text())
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = passwords["user"]
c.SharedPasswordAuthenticator.admin_password = passwords["admin"]
c.Authenticator.admin_users = {"admin"}
c.Authenticator.allow_all = True
c.JupyterHub.load_groups = {"ml-team": {"users": []}, "staff": {"users": []}}

# ---- sessions --------------------------------------------------------------------------------
c.BaiRuntime.catalog_file = os.environ.get("BAI_CATALOG", str(here / "catalog.yaml"))
c.BaiRuntime.state_dir = str(state)
# sessions tell the service when they were last used: it listens where they reach the hub
c.BaiRuntime.service_url = f"http://{c.JupyterHub.hub_ip}:{service_port}"
c.BaiRuntime.ssh_address = "127.0.0.1"
c.BaiRuntime.ssh_ports = os.environ.get("BAI_SSH_PORTS", "31001-32000")
# apps that were opened have a host name of their own; in production a name of another domain
c.BaiRuntime.apps_url = os.environ.get("BAI_APPS_URL", "http://localhost")
c.BaiRuntime.apps_ports = os.environ.get("BAI_APPS_PORTS", "30000-31000")
if "BAI_RECORDS_URL" in os.environ:
    c.BaiRuntime.records_url = os.environ["BAI_RECORDS_URL"]
if "BAI_NETWORK" in os.environ:
    c.BaiSpawner.network_name = os.environ["BAI_NETWORK"]
c.Spawner.poll_interval = 10

install(c)
