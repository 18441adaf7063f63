"""The hub's proxy, `configurable-http-proxy`, in `.tools`."""

import json
import shutil

from commands import run
from deployment import TOOLS
from progress import SetupError

PACKAGE, MAJOR = "configurable-http-proxy", "5"


def ensure_proxy() -> None:
    """See to it that the proxy is installed, in the major version that the hub works with.

    Raises:
        SetupError: Node or npm is missing, or the package cannot be had.
    """
    if _installed().startswith(f"{MAJOR}."):
        return
    if not shutil.which("node") or not shutil.which("npm"):
        raise SetupError(
            "Node.js (20.19 or newer, or 22.12 or newer) with npm is missing: install it, on "
            "Debian 13 with: apt-get install nodejs npm"
        )
    TOOLS.mkdir(exist_ok=True)
    run(
        f"npm install {PACKAGE}@{MAJOR}",
        ["npm", "install", "--prefix", TOOLS, "--no-audit", "--no-fund", f"{PACKAGE}@^{MAJOR}"],
        "npm needs a registry that has it (npm_config_registry), and its CA (NODE_EXTRA_CA_CERTS)",
        {"npm_config_cache": str(TOOLS / "npm-cache"), "npm_config_update_notifier": "false"},
    )


def _installed() -> str:
    """The version that is there; empty for none."""
    try:
        text = (TOOLS / "node_modules" / PACKAGE / "package.json").read_text()
    except OSError:
        return ""
    return str(json.loads(text)["version"])
