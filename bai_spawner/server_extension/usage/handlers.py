"""``GET bai/api/usage``: what the session uses, against what it was granted.

Every number of memory and disk is in bytes, every number of CPU in cores, every time in
seconds since the epoch:

``at``, ``interval``
    when this was read, and how long before it is worth asking again.
``cpu``
    ``used``: cores, on average over the last one to six seconds. ``limit``: cores.
``memory``
    ``used``: usage of the session's cgroup less its ``inactive_file``, as `docker stats`
    counts; shared memory is in it. ``limit``: where Linux begins to kill.
``shm``
    use and size of ``/dev/shm``.
``processes``
    ``used``: processes and threads. ``limit``: as many as there can be, or null.
``disk``
    ``work``: the work directory without the folders in it. ``folders``: one for each that is
    mounted; ``free`` and ``total`` are its file system's, null where that does not answer.
    ``used`` is a least where not ``complete``, and null of a folder of which nothing is known.
``gpu``
    null without a share; empty while nothing is known of its devices. ``of`` says whose use it
    is: this session's, or everybody's on that device. ``sm.used`` is the percentage of the time
    in which the device computed, ``sm.limit`` the percentage of its multiprocessors that this
    session may use; each null where it is not known.
``history``
    ten minutes, oldest first, as lists of one length.
``warning``
    null, or why memory is about to run out: ``message``, and the ``largest`` process (null
    where none can be read), whose ``memory`` is its resident set.
``killed``
    ``count`` of processes killed for memory since the session started, ``message`` about the
    last one.
"""

from jupyter_server.auth.decorator import authorized
from tornado import web

from bai_spawner.server_extension.api import SessionHandler
from bai_spawner.server_extension.usage.account import Account


class UsageHandler(SessionHandler):
    """Tells what is used."""

    def initialize(self, account: Account) -> None:
        """Take the session's account."""
        self._account = account

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer with the account of now."""
        self.options_of()
        self.set_header("Cache-Control", "no-store")
        self.finish(await self._account.told())
