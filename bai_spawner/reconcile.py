"""Which sessions nobody owns any more: pure comparison of containers, ledger and servers.

A session is a *stranger* when no server of the hub leads to it: its hub was killed
between letting go of the server and removing the container, the hub's database was
lost, or a create finished after everybody had given up on it. A stranger is got rid of
after a grace period, in which whoever put the database back finds it running.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from bai_spawner.engine import ContainerState
from bai_spawner.ledger import Ledger

Key = tuple[str, str]


def strangers(
    containers: Iterable[ContainerState], ledger: Ledger, owned: Collection[Key]
) -> set[Key]:
    """Users and servers that have a container or hold a share, and no owner.

    An allocation that is not confirmed yet belongs to a start that is under way.
    """
    running = {(s.user, s.server) for c in containers if (s := c.session())}
    holding = {(a.user, a.server) for a in ledger if ledger.is_confirmed(a.id)}
    return (running | holding) - set(owned)


class Watch:
    """Remembers since when each stranger is one.

    Args:
        grace: seconds that a stranger is left alone.
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._since: dict[Key, float] = {}

    def overdue(self, found: Collection[Key], now: float) -> set[Key]:
        """Those whose grace is over. Whoever is no stranger any more is forgotten."""
        self._since = {key: self._since.get(key, now) for key in found}
        return {key for key, since in self._since.items() if now - since >= self._grace}
