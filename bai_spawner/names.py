"""Names of sessions, servers, containers and folders on disk.

- A *session name* is what a user types: ``[A-Za-z0-9]{4,64}``, the whole string, ASCII (R4).
- A *server name* is JupyterHub's: opaque, made when the form opens, never reused.
- A *container name* is stable for a (hub, user, server) triple, a valid DNS label, and
  different for different triples: a digest of the exact triple is its last part.
- A *folder slug* names a user or group on disk: never empty, never ``..``, never a
  path of two parts, and different for different names.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection
from functools import cache
from importlib.resources import files

SERVICE = "sessions"
"""The service that the hub runs beside it, and the last part of its address."""
SESSION_NAME_LONGEST = 64
SESSION_NAME = re.compile(rf"[A-Za-z0-9]{{4,{SESSION_NAME_LONGEST}}}", re.ASCII)
SESSION_NAME_RULE = "4 to 64 letters (A-Z, a-z) and digits, nothing else"

FOLDER_NAME = re.compile(r"[A-Za-z0-9._\-]{1,64}", re.ASCII)
FOLDER_NAME_RULE = (
    "1 to 64 letters, digits, '.', '_' or '-', not beginning with '.', and none that the session"
    " itself uses"
)
"""What a new folder may be called (R41); those that are mounted automatically may begin with
a dot."""

_PLAIN = re.compile(r"[a-z0-9][a-z0-9._@-]{0,62}", re.ASCII)
_DNS_SPACE = re.compile(r"[^a-z0-9]+", re.ASCII)
_READABLE = 20
_DIGEST = 20  # hexadecimal digits: 80 bits, a collision takes some 10^12 names


def is_session_name(name: str) -> bool:
    """Whether the whole of ``name`` is a session name."""
    return SESSION_NAME.fullmatch(name) is not None


@cache
def words() -> tuple[str, ...]:
    """The bundled words that an unnamed session is called after."""
    text = files("bai_spawner").joinpath("words.txt").read_text(encoding="ascii")
    return tuple(text.split())


def numbered(name: str, sessions: int) -> tuple[str, ...]:
    """The names of so many sessions that are launched together (R5)."""
    if sessions == 1:
        return (name,)
    return tuple(f"{name}{number}" for number in range(1, sessions + 1))


def free_words(taken: Collection[str], count: int) -> list[str]:
    """Up to ``count`` different random words that are not ``taken``, to choose a name from."""
    free = [word for word in words() if word not in taken]
    return secrets.SystemRandom().sample(free, min(count, len(free)))


def draw_word(taken: Collection[str], sessions: int = 1) -> str:
    """A random word for so many sessions, none of whose names is ``taken``.

    A number is put behind when every word is.
    """

    def is_free(name: str) -> bool:
        return not any(one in taken for one in numbered(name, sessions))

    free = [word for word in words() if is_free(word)]
    if free:
        return secrets.choice(free)
    while not is_free(name := f"{secrets.choice(words())}{secrets.randbelow(10**6)}"):
        pass
    return name


def new_server_name() -> str:
    """An opaque server name that JupyterHub 6 accepts (a slug of 1 to 30 characters)."""
    return f"s{secrets.token_hex(8)}"


def _digest(*parts: str) -> str:
    text = "\0".join(parts)  # JupyterHub's names hold no NUL, so this is unambiguous
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]


def container_name(hub: str, user: str, server: str) -> str:
    """The container's name for one server of one user of one hub: at most 63 characters."""
    readable = _DNS_SPACE.sub("-", user.lower()).strip("-")[:_READABLE].strip("-") or "user"
    slug = _DNS_SPACE.sub("-", server.lower()).strip("-")[:_READABLE].strip("-") or "default"
    return f"bai-{readable}-{slug}"[: 62 - _DIGEST].rstrip("-") + f"-{_digest(hub, user, server)}"


def folder_slug(name: str) -> str:
    """The directory that stands for a user or a group.

    A plain name is itself; any other gets a readable part and a digest, joined by ``=``,
    which no plain name contains.
    """
    if _PLAIN.fullmatch(name) and ".." not in name:
        return name
    readable = _DNS_SPACE.sub("-", name.lower()).strip("-")[:_READABLE]
    return f"={readable}={_digest(name)}"
