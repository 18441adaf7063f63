"""What is entered in the records of a session: from what it was granted, or from its labels.

Pure; of a user's request only what was granted gets into the records.
"""

from __future__ import annotations

from collections.abc import Iterable

from bai_spawner.folders import FolderMount
from bai_spawner.labels import SessionLabels
from bai_spawner.ledger import Allocation
from bai_spawner.policy import Grant
from bai_spawner.records import Facts


def granted(hub: str, grant: Grant, allocation: Allocation, mounts: Iterable[FolderMount]) -> Facts:
    """What is recorded of a launch: of variables their names, and no value of one."""
    return Facts(
        id=allocation.id,
        hub=hub,
        user=allocation.user,
        server=allocation.server,
        name=allocation.session,
        environment=grant.environment,
        version=grant.version,
        group=grant.group,
        node=allocation.node,
        policy=grant.policy,
        cpu=allocation.cpu,
        memory=allocation.memory,
        shm=grant.amounts.shm,
        quanta=allocation.quanta,
        per_gpu=grant.per_gpu,
        gpu=allocation.gpu,
        devices=tuple(share.device for share in allocation.shares),
        folders=tuple(mount.label for mount in mounts),
        variables=tuple(name for name, _ in grant.env),
    )


def labelled(session: SessionLabels) -> Facts:
    """What a container says of its session: all that is left when the records are lost."""
    return Facts(
        id=session.allocation,
        hub=session.hub,
        user=session.user,
        server=session.server,
        name=session.session,
        environment=session.environment,
        version=session.version,
        group=session.group,
        node=session.node,
        policy=session.policy,
        cpu=session.cpu,
        memory=session.memory,
        shm=session.shm,
        quanta=sum(share.quanta for share in session.shares),
        per_gpu=session.shares[0].per_gpu if session.shares else 0,
        gpu=session.gpu,
        devices=tuple(share.device for share in session.shares),
        folders=session.folders,
    )
