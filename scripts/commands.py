"""Running other programs: quiet when they succeed, all of their output when they do not."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from deployment import REPO, environment
from progress import SetupError, phase


def run(
    title: str,
    command: Sequence[str | Path],
    hint: str,
    extra_env: Mapping[str, str] | None = None,
) -> None:
    """Run to the end under the heading `title`.

    Raises:
        SetupError: it failed; `hint` says what to do about it.
    """
    with phase(title):
        done = subprocess.run(
            list(map(str, command)),
            cwd=REPO,
            env={**environment(), **(extra_env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise SetupError(f"{title} failed: {hint}\n{done.stdout.strip()}")
