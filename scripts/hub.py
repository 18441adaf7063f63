"""The hub as a child process: started, announced when it answers, stopped by a signal."""

import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from types import FrameType

from deployment import HUB_PID, PASSWORDS, PROXY_PID, REPO, STATE, VENV
from passwords import ensure_passwords
from processes import running
from progress import SetupError

_PROBE_SECONDS = 0.2
_SIGNALLED = 128
# Ctrl-C, `kill`, and a terminal that is closed all mean the same.
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def serve(env: Mapping[str, str]) -> int:
    """Run the hub until it ends; its exit status.

    Raises:
        SetupError: its port is taken.
    """
    port = env["BAI_PORT"]
    _check_port(port)
    command = [str(VENV / "bin" / "jupyterhub"), "-f", str(REPO / "jupyterhub_config.py")]
    # In a session of its own: Ctrl-C in the terminal would reach the hub and its proxy
    # besides what is passed on here, and a hub that is told twice gives up on its clean-up.
    hub = subprocess.Popen(command, cwd=STATE, env=env, start_new_session=True)
    HUB_PID.write_text(f"{hub.pid}\n")

    def stop(_number: int, _frame: FrameType | None) -> None:
        for one in _STOPPING:
            signal.signal(one, signal.SIG_IGN)
        hub.terminate()

    for number in _STOPPING:
        signal.signal(number, stop)
    ended = threading.Event()
    announcer = threading.Thread(target=_announce, args=(port, ended), daemon=True)
    announcer.start()
    try:
        status = hub.wait()
    finally:
        ended.set()
        HUB_PID.unlink(missing_ok=True)
    # as a shell says it: 128 and the signal that ended the hub
    return status if status >= 0 else _SIGNALLED - status


def _check_port(port: str) -> None:
    """Refuse to start where something else answers."""
    if running(PROXY_PID, "configurable-http-proxy"):
        # left behind by a hub that was killed: the next one ends it by itself
        return
    try:
        with socket.create_connection(("127.0.0.1", int(port)), timeout=1):
            raise SetupError(f"port {port} is taken: choose another, BAI_PORT=8010 make up")
    except ValueError as error:
        raise SetupError(f"BAI_PORT={port}: expected a port number") from error
    except OSError:
        return


def _announce(port: str, ended: threading.Event) -> None:
    """Wait until the hub answers, then say where, and how to log in."""
    url = f"http://127.0.0.1:{port}"
    while not ended.wait(_PROBE_SECONDS):
        try:
            with urllib.request.urlopen(f"{url}/hub/api/", timeout=2):  # noqa: S310
                break
        except (urllib.error.URLError, OSError):
            continue
    if not ended.is_set():
        kept = ensure_passwords()
        print(
            f"ready: {url}\n"
            f"  users:         any name, password {kept.user}\n"
            f"  administrator: admin, password {kept.admin}\n"
            f"  both passwords are kept in {PASSWORDS}",
            flush=True,
        )
