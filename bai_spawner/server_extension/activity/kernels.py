"""Whether a kernel runs something, and when one last did.

Upstream's own time of last activity moves with every output, also that of a thread which some
cell left behind, so it is not used. Its state moves with what was asked of the kernel alone,
and not with what an open tab asks by itself (`kernel_info`, `comm_info`).

Source: ``MappingKernelManager.start_watching_activity`` of jupyter_server.
"""

import time
from collections.abc import Callable
from typing import Any

BUSY = "busy"


class Kernels:
    """The kernels of a server.

    Args:
        manager: its ``MappingKernelManager``.
        flipped: is called when one begins or ends to be busy.

    ``last`` is when one was last started or busy, in seconds since the epoch, or 0. Of a kernel
    that nobody looked at since it started, its start is not known: the first look counts.
    """

    def __init__(self, manager: Any, flipped: Callable[[], object]) -> None:
        self._manager, self._flipped = manager, flipped
        self._known: set[str] = set()
        self.last = 0.0

    def look(self) -> bool:
        """Whether one is busy now; new ones are watched from now on."""
        ids = set(self._manager.list_kernel_ids())
        kernels = {number: self._manager.get_kernel(number) for number in ids}
        for new in ids - self._known:
            kernels[new].observe(self._changed, "execution_state")
        busy = any(kernel.execution_state == BUSY for kernel in kernels.values())
        if busy or ids - self._known:
            self.last = time.time()
        self._known = ids
        return busy

    def _changed(self, change: Any) -> None:
        if BUSY in {change["old"], change["new"]}:
            self.last = time.time()
            self._flipped()
