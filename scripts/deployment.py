"""Where a deployment keeps its things.

One folder holds all that a deployment knows, one the tools that it runs, one its
Python packages. None of them is in git, and none is outside the repository unless
`BAI_STATE` says so.
"""

import os
import secrets
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
STATE = Path(os.environ.get("BAI_STATE") or REPO / ".state").resolve()
TOOLS = REPO / ".tools"
VENV = REPO / ".venv"

HUB_ID = STATE / "hub_id"
PASSWORDS = STATE / "passwords.json"
HUB_PID = STATE / "hub.pid"
# jupyterhub_config.py names it, and the hub writes it
PROXY_PID = STATE / "proxy.pid"
ENGINE_PID = STATE / "engine.pid"
ENGINE_LOG = STATE / "engine.log"

HUB_LABEL = "bai.hub"


def private_folder(path: Path) -> Path:
    """`path`, made for its owner alone if it is missing."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def write_private(path: Path, text: str) -> None:
    """Put `text` in a file that no other user can read at any moment, or leave the old one."""
    private_folder(path.parent)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


def hub_id() -> str:
    """What marks this deployment's containers and network: 32 hexadecimal digits, made once."""
    if not HUB_ID.exists():
        write_private(HUB_ID, secrets.token_hex(16) + "\n")
    return HUB_ID.read_text().strip()


def environment() -> dict[str, str]:
    """What a program of ours is started with: the tools on its PATH, and a HOME in any case."""
    env = dict(os.environ)
    folders = [TOOLS / "node_modules" / ".bin", VENV / "bin"]
    env["PATH"] = os.pathsep.join([*map(str, folders), env.get("PATH", os.defpath)])
    if not env.get("HOME"):
        env["HOME"] = str(private_folder(TOOLS / "home"))
    return env
