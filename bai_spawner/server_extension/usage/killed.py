"""How many processes Linux killed for memory, and which was the last.

The kernel counts them and names none. Of a notebook's kernel its manager knows that it was
killed, a moment later; of any other process nobody does, and that is what is said.
"""

from dataclasses import dataclass, field
from typing import Any

from bai_spawner.server_extension.usage.kernels import called, notebooks

OTHER = "A process of this session was killed for memory."


@dataclass(slots=True)
class Killed:
    """What is known of the kills, by their number; it is kept when a kernel is shut down."""

    known: dict[int, str] = field(default_factory=dict)

    async def learn(self, serverapp: Any) -> None:
        """Ask the managers of a server's kernels whether theirs were among the killed."""
        for kernel in serverapp.kernel_manager.list_kernel_ids():
            # of a `UserEnvKernelManager`
            killed = getattr(serverapp.kernel_manager.get_kernel(kernel), "killed", None)
            if killed and killed[0] not in self.known:
                name = called((await notebooks(serverapp)).get(kernel))
                number, why = killed
                self.known[number] = why.replace("The kernel", f"{name[:1].upper()}{name[1:]}", 1)

    def told(self, count: int) -> dict[str, Any]:
        """How many there were since the session started, and words about the last one."""
        return {"count": count, "message": self.known.get(count, OTHER) if count else ""}
