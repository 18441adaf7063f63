"""The apps of an image: what each is called, and how it is reached.

An image declares its apps in the label ``bai-spawner.apps``: a JSON list of at most 32
objects. Every session has `BUILT_IN` besides, which no label has to repeat. Keys:

    name      [a-z][a-z0-9-]{0,31}: the app's address is NAME/ below the session's
    title     what people call it, up to 64 characters
    icon      absolute path of an .svg in the image; optional
    category  the heading that it is listed under, up to 32 characters; optional

and exactly one of

    path      a page of the session's server: "/lab"
    command   a list of texts; it runs at the first use
    port      1024 to 65535: something in the image listens there by itself

In the texts of a command these are replaced, and nothing else is:

    {port}         where to listen, on 127.0.0.1
    {unix_socket}  where to listen instead; a command has exactly one of the two
    {base_url}     the app's own address, "/user/alice/one/NAME", no slash at its end. An app
                   that is told it is sent whole addresses; from those of any other the
                   address is taken off, so that it may think that it is at "/"
    {directory}    absolute path of the directory that the user chose; needs ``asks``

With a command, and only with one, there may be

    asks      "directory": the user is asked for one before it starts, and it starts there
    timeout   seconds in which it must listen, 1 to 600; 30 unless said

The hub checks the label (`parse`) and hands its apps to the session as a file (`to_json`,
`read`). This module is all that both sides share: it imports the standard library alone.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LABEL = "bai-spawner.apps"
APPS_FILE = Path("/run/bai/apps.json")
"""What the hub writes before the container starts: the apps that the image declares."""

MOST_APPS = 32
LONGEST_LABEL = 64 * 1024
"""Characters."""
LONGEST_TITLE, LONGEST_CATEGORY, LONGEST_PATH = 64, 32, 256
MOST_ARGUMENTS, LONGEST_ARGUMENT = 64, 2048
FIRST_PORT, LAST_PORT = 1024, 65535
TIMEOUT, LONGEST_TIMEOUT = 30, 600
"""Seconds."""
CATEGORY = "Other"
DIRECTORY = "directory"
"""The one question that there is."""
PLACEHOLDERS = ("port", "unix_socket", "base_url", DIRECTORY)

RESERVED = frozenset(
    (
        *("api", "bai", "consoles", "custom", "doc", "edit", "files", "hub", "kernelspecs", "lab"),
        *("login", "logout", "lsp", "metrics", "nbconvert", "notebook", "notebooks", "proxy"),
        *("server-proxy", "services", "static", "terminal", "terminals", "tree", "user", "view"),
    )
)
"""First parts of the addresses that Jupyter and the platform answer themselves."""

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_PATH = re.compile(r"(/[A-Za-z0-9_~+-][A-Za-z0-9._~+-]*)+/?")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_SHOWN = 60


class AppsError(ValueError):
    """What an image says about its apps cannot be used.

    Args:
        path: which part of it, such as ``apps[1].name``.
        got: what it says.
        accepted: what it may say.
    """

    def __init__(self, path: str, got: object, accepted: str) -> None:
        super().__init__(f"{path}: {_shown(got)} is not accepted; {accepted}")
        self.path = path


@dataclass(frozen=True, slots=True)
class App:
    """One app: see this module's keys. Of path, command and port one is set."""

    name: str
    title: str
    icon: str = ""
    category: str = CATEGORY
    path: str = ""
    command: tuple[str, ...] = ()
    port: int = 0
    asks: str = ""
    timeout: int = TIMEOUT

    def uses(self, placeholder: str) -> bool:
        """Whether its command has this placeholder."""
        return any(placeholder in _PLACEHOLDER.findall(text) for text in self.command)

    def filled(self, values: Mapping[str, str]) -> list[str]:
        """Its command with the placeholders replaced, all at once: no value is looked into."""
        return [_PLACEHOLDER.sub(lambda m: values[m[1]], text) for text in self.command]


_ICONS = "/usr/local/share/bai"
BUILT_IN = (
    App("lab", "JupyterLab", f"{_ICONS}/lab.svg", "Notebook", path="/lab"),
    App("notebook", "Jupyter Notebook", f"{_ICONS}/notebook.svg", "Notebook", path="/tree"),
    App("terminal", "Terminal", f"{_ICONS}/terminal.svg", "Notebook", path="/terminal/"),
)
"""The apps of every session; they are in no label and in no file."""


def parse(label: str) -> tuple[App, ...]:
    """The apps that a label declares, in its order.

    Raises:
        AppsError: it says anything else than this module describes.
    """
    if len(label) > LONGEST_LABEL:
        accepted = f"at most {LONGEST_LABEL} characters"
        raise AppsError("apps", f"{len(label)} characters", accepted)
    try:
        content = json.loads(label)
    except (ValueError, RecursionError):
        raise AppsError("apps", label, "write a JSON list of objects") from None
    if not isinstance(content, list):
        raise AppsError("apps", content, "write a JSON list of objects")
    if len(content) > MOST_APPS:
        raise AppsError("apps", f"{len(content)} apps", f"at most {MOST_APPS}")
    apps = tuple(_app(f"apps[{i}]", found) for i, found in enumerate(content))
    for i, app in enumerate(apps):
        if app.name in {other.name for other in apps[:i]}:
            raise AppsError(f"apps[{i}].name", app.name, "each name once")
    return apps


def to_json(apps: Iterable[App]) -> str:
    """What `parse` reads the same apps from."""
    return json.dumps([_said(app) for app in apps], ensure_ascii=False, separators=(",", ":"))


def read(path: Path = APPS_FILE) -> tuple[App, ...]:
    """The apps that the hub handed over; none when there is no such file.

    Raises:
        AppsError: the file cannot be read, or holds anything else.
    """
    try:
        with path.open(encoding="utf-8") as file:
            return parse(file.read(LONGEST_LABEL + 1))
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise AppsError("apps", str(error), f"{path} must be a text that can be read") from None


def _said(app: App) -> dict[str, object]:
    """An app as a label says it, without what goes without saying."""
    plain = App(app.name, app.title)
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name in App.__dataclass_fields__
        if (value := getattr(app, name)) != getattr(plain, name) or name in {"name", "title"}
    }


def _app(at: str, found: object) -> App:
    """One object of the list."""
    if not isinstance(found, dict):
        raise AppsError(at, found, "write an object")
    for key in found:
        if key not in _CHECKS:
            raise AppsError(at, key, f"accepted keys: {', '.join(_CHECKS)}")
    for key in ("name", "title"):
        if key not in found:
            raise AppsError(f"{at}.{key}", None, "it must be given")
    ways = [key for key in ("path", "command", "port") if key in found]
    if len(ways) != 1:
        got = " and ".join(ways) or None
        raise AppsError(at, got, "exactly one of path, command and port")
    for key in ("asks", "timeout"):
        if key in found and "command" not in found:
            raise AppsError(f"{at}.{key}", found[key], "it goes with a command only")
    app = App(**{key: _CHECKS[key](f"{at}.{key}", value) for key, value in found.items()})
    if app.command:
        _agree(at, app)
    return app


def _agree(at: str, app: App) -> None:
    """A command says where it listens, and does not use what is not asked for."""
    if app.uses("port") == app.uses("unix_socket"):
        accepted = "exactly one of {port} and {unix_socket} says where it listens"
        raise AppsError(f"{at}.command", list(app.command), accepted)
    if app.uses(DIRECTORY) and app.asks != DIRECTORY:
        raise AppsError(f"{at}.asks", None, '"directory", because the command has {directory}')


def _name(at: str, got: object) -> str:
    if not isinstance(got, str) or not _NAME.fullmatch(got):
        raise AppsError(at, got, "a lower-case letter, then up to 31 of a-z, 0-9 and -")
    if got in RESERVED:
        raise AppsError(at, got, "a name that is no address of the session's own server")
    return got


def _words(longest: int) -> Callable[[str, object], str]:
    """One line that people read."""

    def check(at: str, got: object) -> str:
        if (
            isinstance(got, str)
            and got.isprintable()
            and got == got.strip()
            and 0 < len(got) <= longest
        ):
            return got
        raise AppsError(at, got, f"one line of 1 to {longest} printable characters")

    return check


def _path(at: str, got: object) -> str:
    """An address below the session's, or a file's: no part of it begins with a dot."""
    if isinstance(got, str) and len(got) <= LONGEST_PATH and _PATH.fullmatch(got):
        return got
    accepted = f'"/" and parts of A-Z, a-z, 0-9, ".", "_", "~", "+", "-"; {LONGEST_PATH} in all'
    raise AppsError(at, got, accepted)


def _icon(at: str, got: object) -> str:
    if got == "":
        return ""
    path = _path(at, got)
    if not path.endswith(".svg"):
        raise AppsError(at, got, "the absolute path of an .svg file")
    return path


def _command(at: str, got: object) -> tuple[str, ...]:
    if not isinstance(got, list) or not 0 < len(got) <= MOST_ARGUMENTS:
        raise AppsError(at, got, f"a list of 1 to {MOST_ARGUMENTS} texts")
    return tuple(_argument(f"{at}[{i}]", text, first=i == 0) for i, text in enumerate(got))


def _argument(at: str, got: object, *, first: bool) -> str:
    if not isinstance(got, str) or len(got) > LONGEST_ARGUMENT or not _can_be_passed(got):
        raise AppsError(at, got, f"a text of up to {LONGEST_ARGUMENT} characters")
    if first and (not got or _PLACEHOLDER.search(got)):
        raise AppsError(at, got, "a program, without placeholders")
    for placeholder in _PLACEHOLDER.findall(got):
        if placeholder not in PLACEHOLDERS:
            known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
            raise AppsError(at, f"{{{placeholder}}}", f"placeholders: {known}")
    return got


def _can_be_passed(text: str) -> bool:
    """Whether a process can be started with it: half a surrogate pair and NUL it cannot."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def _whole(first: int, last: int) -> Callable[[str, object], int]:
    """A whole number between two."""

    def check(at: str, got: object) -> int:
        if type(got) is int and first <= got <= last:
            return got
        raise AppsError(at, got, f"a whole number from {first} to {last}")

    return check


def _asks(at: str, got: object) -> str:
    if got != DIRECTORY:
        raise AppsError(at, got, f'"{DIRECTORY}"')
    return DIRECTORY


_CHECKS: dict[str, Callable[[str, object], Any]] = {
    "name": _name,
    "title": _words(LONGEST_TITLE),
    "icon": _icon,
    "category": _words(LONGEST_CATEGORY),
    "path": _path,
    "command": _command,
    "port": _whole(FIRST_PORT, LAST_PORT),
    "asks": _asks,
    "timeout": _whole(1, LONGEST_TIMEOUT),
}
"""Every key, and what makes its value."""


def _shown(value: object) -> str:
    """What was got, quoted and bounded: it may be anything, deep or huge."""
    if value is None:
        return "nothing"
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = ascii(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
