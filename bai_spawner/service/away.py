"""What is answered while nothing can be told: 503, with what to do, and the rest in our log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from tornado.web import HTTPError

from bai_spawner.records import RecordsError
from bai_spawner.service.board import NotPublished
from bai_spawner.service.handlers import UNAVAILABLE

log = logging.getLogger("bai_spawner.service")


@contextmanager
def or_away() -> Iterator[None]:
    """Around what reads the records or what the hub published.

    Raises:
        HTTPError: 503, the records cannot be read, or the hub has published nothing yet.
    """
    try:
        yield
    except NotPublished as error:
        raise HTTPError(UNAVAILABLE, "%s", error) from error
    except RecordsError as error:
        log.error("%s", error)  # noqa: TRY400 - it says all, for the administrator
        raise HTTPError(UNAVAILABLE, "the records cannot be read now; try again") from error
