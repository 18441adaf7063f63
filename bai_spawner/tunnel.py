"""The tunnel to an app of a session: raw bytes, over the session's own port.

Whoever knows a session's key asks the session's server, below its base address:

    GET bai/tunnel/NAME HTTP/1.1
    Connection: Upgrade
    Upgrade: bai-tunnel/1
    Bai-Tunnel: KEY

Once the app has taken a connection it is answered

    HTTP/1.1 101 Switching Protocols
    Connection: Upgrade
    Upgrade: bai-tunnel/1

and from then on every byte goes to the app, and every byte of the app's comes back, until one
of the two ends; then the other is closed as well. There is no half of a tunnel: what ends its
own half has ended.

A side that takes nothing is waited for, and meanwhile nothing more is read for it.

Anything else is answered in JSON, ``{"message": …}`` of one line, and the connection is closed:

    403   the key is wrong, or is missing; nothing else was looked at
    404   the session has no such app
    409   the app is a page of the session's own server: it has a way of its own
    426   this was no request for this protocol
    503   the app does not take a connection. Where there is a ``state`` beside the message it is
          the app's: ``starting``, ``running`` (and does not answer), ``failed``, or ``stopped``.
          An app that was stopped and asks for nothing has been started by this. Without a
          ``state`` it is the session that has too many tunnels

The key alone opens a tunnel, whoever else asks and with whatever rights; it says nothing about
which user came, so whoever has keys has to ask that first. A session's key is made from the
deployment's secret and its allocation's id: no session can tell another's. The hub writes it
where the session's user alone may read it; to a session without that file there is no tunnel.

Shared by the hub and the sessions: it imports the standard library alone.
"""

import hmac
import os
import re
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

KEY_FILE = Path("/run/bai/tunnel.key")
"""What the hub writes before the container starts: the session's key, in hexadecimal."""
PROTOCOL = "bai-tunnel/1"
"""Value of ``Upgrade``."""
HEADER = "Bai-Tunnel"
"""The header of a request that carries the session's key."""
SECRET_BYTES = 32

_CONTEXT = b"bai-tunnel/1:"
"""What is made from the same secret for anything else begins otherwise."""
_KEY = re.compile(r"[0-9a-f]{64}")
_LONGEST = 256


def path(name: str) -> str:
    """Where an app's tunnel is, below the session's base address."""
    return f"bai/tunnel/{name}"


def key_of(secret: bytes, session: str) -> str:
    """The key of a session, by its allocation's id: HMAC-SHA256, in hexadecimal."""
    return hmac.digest(secret, _CONTEXT + session.encode(), "sha256").hex()


def read_key(path: Path = KEY_FILE) -> str:
    """The key that the hub handed over; empty when there is no such file.

    Raises:
        ValueError: the file cannot be read, or holds anything else.
    """
    try:
        with path.open(encoding="ascii") as file:
            found = file.read(_LONGEST).strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} must be a text that can be read: {error}") from None
    if not _KEY.fullmatch(found):  # and it is not shown: it may be most of a key
        raise ValueError(f"{path} must hold 64 hexadecimal digits, and holds something else")
    return found


def read_or_make_secret(path: Path) -> bytes:
    """The deployment's secret; made when there is none, for nobody else to read.

    Of those who make it at once one does, and all get the same: it is there whole, or not at all.

    Raises:
        OSError: it can be neither read nor made.
        ValueError: the file is shorter than a secret is; nothing was changed.
    """
    if not path.exists():
        _make(path)
    found = path.read_bytes()
    if len(found) < SECRET_BYTES:
        told = f"{path} has {len(found)} bytes, and must have at least {SECRET_BYTES}"
        raise ValueError(f"{told}; remove it, and another one is made")
    return found


def _make(path: Path) -> None:
    """Write a new secret beside its place, and put it there unless somebody was faster."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # of mode 0600
    try:
        with os.fdopen(made, "wb") as file:
            file.write(secrets.token_bytes(SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink()
