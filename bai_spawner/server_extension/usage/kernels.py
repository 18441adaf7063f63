"""What the kernels of this server are called: by their notebooks."""

from collections.abc import Mapping
from typing import Any

from tornado.web import HTTPError

from bai_spawner.server_extension.usage.printable import printable


async def processes(serverapp: Any) -> dict[int, str]:
    """What each kernel that runs here is, in words, by its process's number."""
    known = await notebooks(serverapp)
    found: dict[int, str] = {}
    for kernel in serverapp.kernel_manager.list_kernel_ids():
        # a kernel that runs elsewhere, or is about to start, has none
        provisioner = serverapp.kernel_manager.get_kernel(kernel).provisioner
        if pid := getattr(provisioner, "pid", None):
            found[pid] = called(known.get(kernel))
    return found


async def notebooks(serverapp: Any) -> dict[str, Mapping[str, Any]]:
    """What the server knows of who opened a kernel, by the kernel's id."""
    try:
        sessions = await serverapp.session_manager.list_sessions()
    except HTTPError:  # one was shut down while this asked: its words can wait
        return {}
    return {session["kernel"]["id"]: session for session in sessions}


def called(session: Mapping[str, Any] | None) -> str:
    """What the kernel of one of the server's sessions is, in words."""
    if session is None:
        return "a kernel without a notebook"
    name = session["path" if session["type"] == "notebook" else "name"]
    return f"the kernel of {printable(name or 'a console')}"
