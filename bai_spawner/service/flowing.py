"""An answer that is sent part by part, no faster than it is read.

A part is made when the one before has left this process: whoever reads slowly holds one of
them here, and whoever stops reading is let go.
"""

from __future__ import annotations

import asyncio

from tornado.iostream import StreamClosedError

from bai_spawner.service.asking import Asking

STALLED_SECONDS = 30.0
"""In which a part must be taken."""


class Gone(Exception):
    """Nobody reads any more."""


class Flowing(Asking):
    """Sends parts."""

    async def send(self, part: str) -> None:
        """Send one, and wait until it was taken.

        Raises:
            Gone: it was not, and no more will be.
        """
        self.write(part)
        try:
            await asyncio.wait_for(self.flush(), STALLED_SECONDS)
        except StreamClosedError:
            raise Gone from None
        except TimeoutError:
            self.break_off()
            raise Gone from None

    def break_off(self) -> None:
        """End it so that nobody takes what came for all that there is."""
        self.detach().close()
