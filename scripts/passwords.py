"""The two passwords of a deployment that shares them: everyone's, and the administrators'."""

import json
import secrets
from dataclasses import dataclass

from deployment import PASSWORDS, write_private

# JupyterHub's shared-password authenticator asks for 8 and 32 letters at least.
_USER_BYTES, _ADMIN_BYTES = 12, 32


@dataclass(frozen=True)
class Passwords:
    """In clear text: never in a log."""

    user: str
    admin: str


def ensure_passwords() -> Passwords:
    """The passwords, drawn once and kept in a file for their owner alone."""
    if not PASSWORDS.exists():
        drawn = {
            "user": secrets.token_urlsafe(_USER_BYTES),
            "admin": secrets.token_urlsafe(_ADMIN_BYTES),
        }
        write_private(PASSWORDS, json.dumps(drawn, indent=2) + "\n")
    kept = json.loads(PASSWORDS.read_text())
    return Passwords(kept["user"], kept["admin"])
