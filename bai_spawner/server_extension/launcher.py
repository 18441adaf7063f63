"""`bai-session`: JupyterHub's single-user server, started fast.

The server is upstream's, its authentication untouched; only the way to it is
shorter. When the short way does not import, upstream's own program runs instead.

It is the child of a process that keeps its output, and that imports nothing of it: see
`output`.

Run it with `python -I`: no module, `sitecustomize` or `PYTHON*` variable of the user's
can then keep the server from starting. Everything else is read from `JUPYTERHUB_*`,
as upstream does.
"""

import gc
import os
import sys
from collections.abc import Callable

from bai_spawner.server_extension.output import RUN, keep_session

# Some 35 parsers are compiled on its import, 0.8 s, for a JSON schema format that
# nothing here checks. jsonschema imports it under `suppress(ImportError)`.
SLOW_AND_UNUSED = "rfc3987_syntax"


def load() -> Callable[[], None]:
    """Upstream's `main`, imported without what a session does not need.

    Raises:
        ImportError: the short way does not work with what is installed.
    """
    sys.modules[SLOW_AND_UNUSED] = None  # type: ignore[assignment]
    # Thousands of objects are made on import and none of them dies:
    # looking for garbage among them is wasted time, now and later.
    gc.disable()
    try:
        from jupyterhub.singleuser.extension import main  # noqa: PLC0415
    finally:
        gc.enable()
    gc.freeze()
    serve: Callable[[], None] = main
    return serve


def stock() -> None:
    """Become upstream's program, arguments kept."""
    command = [sys.executable, "-I", "-m", "jupyterhub.singleuser", *sys.argv[1:]]
    os.execv(sys.executable, command)  # noqa: S606


def serve() -> None:
    """Serve until told to stop."""
    try:
        upstream = load()
    except ImportError as error:
        print(f"bai-session: starting the stock server: {error}", file=sys.stderr)  # noqa: T201
        stock()
    else:
        upstream()


def main(folder: str = RUN) -> None:
    """Have a child serve, keep its output below a folder, and end as it does."""
    sys.exit(keep_session(serve, folder))
