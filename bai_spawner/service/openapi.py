"""``GET api/openapi.json``: what this API is, as OpenAPI 3.1, for programs that ask it.

It is the same for everyone and tells nothing of anyone, so nobody logs in for it. The file
beside this module has all of it but where the service is. Tests hold it to the routes of the
application, and to real answers.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from bai_spawner.service.handlers import Answer

FILE = Path(__file__).with_suffix(".yaml")


@cache
def document() -> dict[str, Any]:
    """The document, read once."""
    found: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return found


class OpenApi(Answer):
    """The document."""

    def initialize(self, prefix: str) -> None:
        """Take where the service is."""
        self._server = prefix.rstrip("/")

    def get(self) -> None:
        """Answer with it."""
        self.finish({**document(), "servers": [{"url": self._server}]})
