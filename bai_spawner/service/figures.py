"""``api/statistics`` and ``api/whole``: the numbers above the list of sessions.

    GET api/statistics?group=…   what the visitor has and can still get; see `bars`
    GET api/whole                what there is, for superadmins; see `whole`

A group that is not open to the visitor is answered like one that there never was. So is
``api/whole`` to everyone else, as an address that there is not.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tornado.web import HTTPError

from bai_spawner import bulletin, policy
from bai_spawner.errors import shown
from bai_spawner.policy import Subject
from bai_spawner.records import Published
from bai_spawner.service.asking import Asking
from bai_spawner.service.bars import Bars
from bai_spawner.service.board import Board
from bai_spawner.service.handlers import SERVER_ERROR
from bai_spawner.service.question import single
from bai_spawner.service.whole import Cluster


class Statistics(Asking):
    """The visitor's own, superadmins' too."""

    async def get(self) -> None:
        """Answer for one of the visitor's resource groups."""
        asked = {
            name: single(name, values, ("group",))
            for name, values in self.request.query_arguments.items()
        }
        subject = Subject(self.user, frozenset(self.current_user["groups"]))
        self.finish(await self.look(_statistics, self.board, subject, asked.get("group", "")))


def _statistics(board: Board, subject: Subject, asked: str) -> dict[str, Any]:
    catalog = board.catalogue()
    free = board.published(bulletin.AVAILABILITY)
    held = board.records.held_by_group(board.hub, subject.user, catalog.gpu.quanta_per_gpu)
    found = bulletin.read_availability(free.body)
    bars = Bars(catalog, policy.select(catalog, subject), held, found)
    return bars.told(_group(bars.groups, asked), age=_age(free))


def _group(offered: tuple[str, ...], asked: str) -> str:
    """The one that was asked for, or the first; empty when none is offered and none was asked."""
    if not asked:
        return next(iter(offered), "")
    if asked in offered:
        return asked
    if not offered:
        raise HTTPError(400, "group: nothing is offered to you; ask an administrator")
    told = f"group: {shown(asked)} is not offered to you; offered: {', '.join(offered)}"
    raise HTTPError(400, "%s", told)


class Whole(Asking):
    """Everybody's, for superadmins alone."""

    async def prepare(self) -> None:
        """Let in superadmins.

        Raises:
            HTTPError: 404, for everyone else; 503, it cannot be said who asks.
        """
        try:
            await super().prepare()
        except HTTPError as error:
            if error.status_code >= SERVER_ERROR:
                raise
            raise HTTPError(404) from None
        if not self.sees_all:
            raise HTTPError(404)

    async def get(self) -> None:
        """Answer with all of it."""
        self.no_query()
        self.finish(await self.look(_whole, self.board))


def _whole(board: Board) -> dict[str, Any]:
    there = board.published(bulletin.CAPACITY)
    free = board.published(bulletin.AVAILABILITY)
    cluster = Cluster(
        board.catalogue(),
        bulletin.read_capacity(there.body),
        bulletin.read_availability(free.body),
        tuple(record.facts for record in board.records.running(board.hub)),
    )
    return cluster.told(age=max(_age(there), _age(free)))


def _age(found: Published) -> float:
    """Seconds since the hub said so."""
    return max(0.0, (datetime.now(UTC) - found.at).total_seconds())
