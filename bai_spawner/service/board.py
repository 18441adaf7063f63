"""What the hub published, as the service reads it: off the loop, and no oftener than it changes."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from bai_spawner import bulletin, policy
from bai_spawner.catalog import Catalog
from bai_spawner.errors import BaiError
from bai_spawner.form.bounds import Room
from bai_spawner.form.live import live
from bai_spawner.policy import Subject, Usage
from bai_spawner.records import Published, Records
from bai_spawner.service.aside import aside


class NotPublished(BaiError):
    """The hub has not said yet what there is. The message says what to do."""


class Board:
    """One hub's publications.

    Args:
        records_url: the records' database; opened at first need.
        hub: the deployment's identity.
    """

    def __init__(self, records_url: str, hub: str) -> None:
        self._url, self.hub = records_url, hub
        self._catalogue: tuple[datetime, Catalog] | None = None

    @cached_property
    def records(self) -> Records:
        """The records. Synchronous: use it off the loop.

        Raises:
            RecordsError: they cannot be opened now; the next use tries again.
        """
        return Records(self._url)

    async def live(self, subject: Subject) -> dict[str, Any]:
        """What one user can still get; the shape is that of `bai_spawner.form.live`.

        Raises:
            NotPublished: the hub has only just begun.
            RecordsError: the records cannot be read.
        """
        return await aside(self._live, subject)

    def _live(self, subject: Subject) -> dict[str, Any]:
        catalog = self.catalogue()
        found = self.published(bulletin.AVAILABILITY)
        held = self.records.held(self.hub, subject.user, catalog.gpu.quanta_per_gpu)
        room = Room(
            catalog,
            policy.select(catalog, subject),
            Usage(held.sessions, held.cpu, held.memory, held.quanta, held.names),
            bulletin.read_availability(found.body),
        )
        return live(room, age=max(0.0, (datetime.now(UTC) - found.at).total_seconds()))

    def catalogue(self) -> Catalog:
        """The catalogue, read anew only when the hub published another. Use it off the loop.

        Raises:
            NotPublished: the hub has only just begun, or is of another version.
            RecordsError: the records cannot be read.
        """
        found = self.published(bulletin.CATALOGUE)
        if self._catalogue is None or self._catalogue[0] != found.at:
            try:
                self._catalogue = found.at, bulletin.read_catalogue(found.body)
            except ValueError:
                told = "the hub is of another version than this service: restart the hub"
                raise NotPublished(told) from None
        return self._catalogue[1]

    def published(self, kind: str) -> Published:
        """What the hub published last of a kind. Use it off the loop.

        Raises:
            NotPublished: nothing yet.
            RecordsError: the records cannot be read.
        """
        found = self.records.published(self.hub, kind)
        if found is None:
            raise NotPublished("the hub has only just begun; ask again in some seconds")
        return found
