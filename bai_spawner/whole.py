"""What there is in all, whoever uses it: what nodes may be asked for, and their devices."""

from __future__ import annotations

from collections.abc import Mapping

from bai_spawner.bulletin import DeviceWhole, Whole
from bai_spawner.gpu.device import DeviceUse
from bai_spawner.gpu.fleet import Offered, Survey
from bai_spawner.ledger import Ledger


def whole(ledger: Ledger, survey: Survey, uses: Mapping[str, DeviceUse]) -> dict[str, Whole]:
    """Each node as the books have it, its devices as they were last seen.

    Args:
        ledger: the books.
        survey: of the one node that there is.
        uses: what its devices do.
    """
    devices = {o.device.uuid: _device(o, uses.get(o.device.uuid)) for o in survey.offers}
    return {name: Whole(node.cpu, node.memory, devices) for name, node in ledger.capacity.items()}


def _device(offer: Offered, use: DeviceUse | None) -> DeviceWhole:
    return DeviceWhole(
        title=offer.terms.title,
        total=offer.total,
        groups=tuple(sorted(offer.groups)),
        isolation=offer.terms.isolation,
        note=offer.terms.note,
        memory=offer.device.memory,
        used_memory=use.memory if use else None,
        utilization=use.utilisation if use else None,
    )
