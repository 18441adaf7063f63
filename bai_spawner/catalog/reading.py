"""A catalogue's file: YAML in, a `Catalog` out, or every mistake in an administrator's words.

Whatever the file holds, the one error is `CatalogError`, which names the file. Of a file
that is YAML, it has one line for each key that is wrong, with the key's path as it would
be written by hand.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from bai_spawner.catalog.catalog import Catalog, Inconsistent
from bai_spawner.errors import CatalogError


def load_catalog(path: Path) -> Catalog:
    """Read and check a catalogue.

    Raises:
        CatalogError: naming the file and, line by line, the path of each bad key.
    """
    try:
        return Catalog.model_validate(_read(path))
    except Inconsistent as error:
        lines = error.lines
    except ValidationError as error:
        lines = [_worded(item) for item in error.errors()]
    raise CatalogError("\n".join(f"{path}: {line}" for line in lines))


def _read(path: Path) -> object:
    """What the file says, or `CatalogError`."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise CatalogError(f"{path}: cannot be read: {error.strerror}") from None
    except RecursionError:
        raise CatalogError(f"{path}: is nested too deeply") from None
    # PyYAML lets its constructors' own errors through: an impossible date, {{ a template }}
    except (yaml.YAMLError, ValueError, TypeError, AttributeError) as error:
        raise CatalogError(f"{path}: is not YAML: {error}") from None


_WORDS = {
    "extra_forbidden": "is not a key of the catalogue here; check its spelling and indentation",
    "missing": "is missing",
    "string_type": "must be text; quote a number: '3.13'",
    "tuple_type": "must be a list",
    "dict_type": "must be keys with values",
    "model_type": "must be keys with values",
}


def _worded(error: Any) -> str:
    """One line of pydantic's: the key's path as an administrator would write it."""
    path = ""
    for part in error["loc"]:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part != "[key]":
            path += f".{part}" if path else str(part)
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{path or 'the file'}: {_WORDS.get(error['type'], message)}"


class _Loader(yaml.SafeLoader):
    """YAML in which a key written twice is an error: the second would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} stands here twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)
