"""``api/templates``: what the visitor launched last, and the launches that they named.

    GET    api/templates          {"last": {…} | null, "templates": [{…}, …]}
    PUT    api/templates/<name>   {"fields": {…}, "replace": false}
    PATCH  api/templates/<name>   {"name": "…"}
    DELETE api/templates/<name>

A launch is the form's fields, as the form posts them. Everyone reaches their own and no
other, administrators too: there is no way to say whose. Whatever is sent is kept as it is
or refused with what is accepted; it is judged when it is launched, like any other form.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from tornado.web import HTTPError

from bai_spawner.errors import Problems, kind, shown
from bai_spawner.options import from_form, is_field, parse
from bai_spawner.records import (
    FIELDS_BYTES,
    LAST,
    MOST_TEMPLATES,
    Fields,
    KeptLaunch,
    Launches,
    Outcome,
    RecordsError,
    kept_size,
)
from bai_spawner.service import body
from bai_spawner.service.aside import aside
from bai_spawner.service.asking import Asking
from bai_spawner.units import format_size

LONGEST_NAME = 64
NAME_RULE = f"a name is 1 to {LONGEST_NAME} printable characters, and not '.' or '..'"

Answer = TypeVar("Answer")
log = logging.getLogger("bai_spawner.service")


class Kept(Asking):
    """What both addresses have: the visitor's kept launches."""

    async def ask(self, question: Callable[..., Answer], *args: Any, **kwargs: Any) -> Answer:
        """Have a method of `Launches` answer for the visitor, off the loop."""

        def answer() -> Answer:
            launches = self.board.records.launches
            return question(launches, self.board.hub, self.user, *args, **kwargs)

        try:
            return await aside(answer)
        except RecordsError as error:
            log.warning("Templates: %s", error)
            told = "Templates cannot be read or kept now; try again later"
            raise HTTPError(503, told) from error


class Templates(Kept):
    """All that the visitor keeps."""

    async def get(self) -> None:
        """The last launch and the templates, these by name."""
        models = {kept.name: _model(kept) for kept in await self.ask(Launches.of)}
        last = models.pop(LAST, None)
        named = [{"name": name, **model} for name, model in models.items()]
        self.finish({"last": last, "templates": named})


class Template(Kept):
    """One template of the visitor's, by its name."""

    async def put(self, name: str) -> None:
        """Keep a launch under a name; the template as it is kept."""
        sent = body.read(self.request.body, "fields", "replace")
        replace = sent.get("replace", False)
        if not isinstance(replace, bool):
            raise HTTPError(400, "%s", f"replace: must be true or false, not {shown(replace)}")
        fields = _fields(sent.get("fields"))
        title = parse(from_form(fields).body, Problems()).title
        launch = KeptLaunch(_name(name), title, fields, datetime.now(UTC))
        outcome = await self.ask(Launches.put, launch, replace=replace)
        _refuse(outcome, launch.name)
        self.set_status(201 if outcome is Outcome.ADDED else 200)
        self.finish({"name": launch.name, **_model(launch)})

    async def patch(self, name: str) -> None:
        """Give it another name."""
        asked = body.read(self.request.body, "name").get("name")
        if not isinstance(asked, str):
            raise HTTPError(400, "%s", f"name: must be text, not {shown(asked)}")
        new = _name(asked)
        _refuse(await self.ask(Launches.rename, _name(name), new), new)
        self.finish({"name": new})

    async def delete(self, name: str) -> None:
        """Forget it."""
        if not await self.ask(Launches.delete, _name(name)):
            _refuse(Outcome.UNKNOWN, name)
        self.set_status(204)


def _name(sent: str) -> str:
    """A template's name; what looks alike is one name."""
    name = unicodedata.normalize("NFC", sent.strip())
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable() or name in {".", ".."}:
        raise HTTPError(400, "%s", f"name: {shown(sent)} is none; {NAME_RULE}")
    return name


def _fields(sent: object) -> Fields:
    """The form's fields. What was sent in them is never repeated: it may be a variable (S18)."""
    if not isinstance(sent, dict):
        told = "must be an object of the form's fields, each a list of texts"
        raise HTTPError(400, "%s", f"fields: {told}; not {kind(sent)}")
    for name, values in sent.items():
        if not is_field(name):
            raise HTTPError(400, "%s", f"fields: {shown(name)} is not a field of the form")
        if not isinstance(values, list) or not all(isinstance(text, str) for text in values):
            raise HTTPError(400, "%s", f"fields: {shown(name)} must be a list of texts")
    if kept_size(sent) > FIELDS_BYTES:
        told = f"take {format_size(kept_size(sent))}; at most {format_size(FIELDS_BYTES)} is kept"
        raise HTTPError(413, "%s", f"fields: {told}")
    return sent


def _refuse(outcome: Outcome, name: str) -> None:
    """Word what was not done; whatever was done passes."""
    if outcome is Outcome.TAKEN:
        raise HTTPError(409, "%s", f"name: {shown(name)} is the name of another template")
    if outcome is Outcome.FULL:
        told = f"{MOST_TEMPLATES} are kept, and no more are; delete one first"
        raise HTTPError(400, "%s", f"templates: {told}")
    if outcome is Outcome.UNKNOWN:
        raise HTTPError(404, "name: there is no such template")


def _model(kept: KeptLaunch) -> Mapping[str, Any]:
    at = kept.at.isoformat(timespec="seconds").replace("+00:00", "Z")
    return {"fields": kept.fields, "at": at, "title": kept.title}
