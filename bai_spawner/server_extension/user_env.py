"""The variables that a user chose for a session, and how a program gets them.

Contract: before the container starts, the hub writes `/run/bai/env.json`, one JSON
object of names to values, mode 0400, owner 1000:1000. The file is absent when the
user set none. The variables are in no environment until a program of the user's is
started, so whatever they say (`PATH`, `LD_PRELOAD`, `PYTHONPATH`), the container's
first process and the Jupyter server run as the platform meant.

Values are taken literally: nothing is expanded, no shell sees them.

This module is also the program `bai-user-env CMD [ARG …]`. It imports the standard
library alone, so that a terminal opens without waiting for it.
"""

import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

ENV_FILE = Path("/run/bai/env.json")

# What a shell answers for a command that is not there, and for one that cannot run.
_NOT_FOUND, _NOT_EXECUTABLE, _USAGE = 127, 126, 2


class UserEnvError(ValueError):
    """The file is there, and does not hold a JSON object of strings."""


def read_user_env(path: Path = ENV_FILE) -> dict[str, str]:
    """The user's variables by name; empty when there is no such file.

    Raises:
        UserEnvError: the file cannot be read, or is not what the hub writes.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserEnvError(f"{path}: not readable as JSON: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(v, str) for v in content.values()):
        raise UserEnvError(f"{path}: expected one JSON object of names to strings")
    return content


def merged(base: Mapping[str, str], user: Mapping[str, str]) -> dict[str, str]:
    """A new environment: `base`, in which the user's variables have the last word."""
    return {**base, **user}


def user_env_or_none(path: Path = ENV_FILE) -> tuple[dict[str, str], str | None]:
    """The variables, and the sentence to show when they could not be read.

    A damaged file must not cost the user their terminal and their kernels, which are
    what they would repair it with.
    """
    try:
        return read_user_env(path), None
    except UserEnvError as error:
        return {}, f"your environment variables are not set: {error}"


def main(argv: Sequence[str] | None = None, path: Path = ENV_FILE) -> NoReturn:
    """Replace this process by `CMD [ARG …]`, the user's variables in its environment."""
    command = list(sys.argv[1:] if argv is None else argv)
    if not command:
        print("usage: bai-user-env CMD [ARG ...]", file=sys.stderr)  # noqa: T201
        sys.exit(_USAGE)
    variables, problem = user_env_or_none(path)
    if problem:
        print(f"bai-user-env: {problem}", file=sys.stderr)  # noqa: T201
    # Python ignores these, and the program that it becomes would, too
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        # the program is looked up on the PATH that it will have; no shell is involved
        os.execvpe(command[0], command, merged(os.environ, variables))  # noqa: S606
    except OSError as error:
        print(f"bai-user-env: {command[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201
        sys.exit(_NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE)
