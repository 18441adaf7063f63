"""Which port an app gets: the one that was asked for, or one of the pool (R37).

A port is had by listening on it: there is no book of ports, so none can leak, and what another
program took is found out at once.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Collection
from dataclasses import dataclass

from bai_spawner.errors import BaiError


class NoPort(BaiError):
    """No port can be had. The message says why."""


@dataclass(frozen=True, slots=True)
class Got:
    """A socket that is bound; ``told`` is why it is not the port that was asked for, or empty."""

    sock: socket.socket
    told: str = ""

    @property
    def port(self) -> int:
        """Where it is."""
        found: int = self.sock.getsockname()[1]
        return found


@dataclass(frozen=True, slots=True)
class Pool:
    """The ports that apps may have.

    Args:
        address: of the host, where they listen.
        ports: those.
    """

    address: str
    ports: range

    def draw(self, wanted: int | None, *, held: Collection[int] = ()) -> Got:
        """A port: ``wanted`` if it can be had, else any that is free.

        Args:
            wanted: the port that is tried first.
            held: what is open already, which need not be tried.

        Raises:
            NoPort: all are taken.
        """
        why = ""
        if wanted is not None:
            if wanted in self.ports:
                found = None if wanted in held else self._bound(wanted)
                if found:
                    return Got(found)
                why = f"Port {wanted} is taken"
            else:
                why = f"Port {wanted} is not one that apps have here ({self.name})"
        free = [port for port in self.ports if port not in held and port != wanted]
        while free:  # at random: who knew an app that is closed does not meet another one there
            port = free.pop(secrets.randbelow(len(free)))
            if found := self._bound(port):
                return Got(found, f"{why}, so it is at port {port}." if why else "")
        raise NoPort(f"all ports for apps are taken ({self.name}): close one that you do not need")

    def take(self, port: int) -> Got:
        """One port again, after this program was started anew.

        Raises:
            NoPort: another program has it, or it is of the pool no more.
        """
        if port not in self.ports:
            raise NoPort(f"port {port} is not one that apps have here any more ({self.name})")
        if found := self._bound(port):
            return Got(found)
        raise NoPort(f"another program took its port {port}")

    @property
    def name(self) -> str:
        """``30000-31000``."""
        return f"{self.ports.start}-{self.ports.stop - 1}"

    def _bound(self, port: int) -> socket.socket | None:
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM)
        try:
            # a connection of before that is still being closed is no reason to wait; one
            # that listens is: SO_REUSEADDR of Linux keeps that apart (socket(7))
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((self.address, port))
            made.listen(128)
        except OSError:
            made.close()
            return None
        made.setblocking(False)
        return made
