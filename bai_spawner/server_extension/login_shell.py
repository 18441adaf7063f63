"""The shell of whoever logs in by SSH: bash, with the environment that a terminal has.

sshd starts programs with an environment of its own making, in which nothing says where the
GPU's libraries are, what was granted, or what the user chose. What the server has, its tokens
excepted, is written beside the keys; the user's variables have the last word.

This module is also the program `bai-shell`, the login shell of the session's user. It imports
the standard library alone, so that a login does not wait for it.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from bai_spawner.server_extension import user_env

ENVIRONMENT = Path("/run/bai-session/ssh/environment.json")
BASH = "/bin/bash"
SECRET = ("JUPYTERHUB_", "JPY_")
"""How names begin that are between the hub and the server alone."""


def keep(environ: Mapping[str, str], path: Path) -> None:
    """Write what logins are to have, for the session's user alone."""
    kept = {name: value for name, value in environ.items() if not name.startswith(SECRET)}
    path.touch(mode=0o600)
    path.write_text(json.dumps(kept), encoding="utf-8")


def kept(path: Path = ENVIRONMENT) -> dict[str, str]:
    """What was written; empty when it cannot be read: a login must not fail for that."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def command(argv: Sequence[str]) -> list[str]:
    """Bash as sshd asks for it: a login shell, or ``-c`` and one command."""
    return [BASH, *argv] if argv else [BASH, "-l"]


def main() -> NoReturn:
    """Become the shell."""
    platform = kept()
    # what sshd knows of this login counts, but for what it makes up about paths and shells
    mine = {**platform, **os.environ, "SHELL": BASH}
    if "PATH" in platform:
        mine["PATH"] = platform["PATH"]
    os.environ.update(mine)
    user_env.main(command(sys.argv[1:]))
