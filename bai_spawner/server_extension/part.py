"""What the extension is made of: parts that serve addresses, or work beside the notebooks."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tornado.web import RequestHandler

Rule = tuple[str, type[RequestHandler], dict[str, Any]]
"""A pattern below the server's base address, its handler, and the handler's arguments."""


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that a session offers.

    Args:
        handlers: what it answers.
        run: what it does until it is cancelled, once the server answers.
    """

    handlers: tuple[Rule, ...] = ()
    run: Callable[[], Awaitable[None]] | None = field(default=None)
