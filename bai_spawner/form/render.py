"""Draws the launch form: catalogue, policy and what is free in, HTML out (R1-R3, R8-R14, R18).

Pure but for the free words that it draws: no hub, no engine, no clock. What comes out has no
form element and no button, the hub's page has them, and needs no script: what the wizard needs
to know is there as data. Whatever was sent, or stands in the catalogue, is text here:
the template escapes it. The names of the fields are those that `options.from_form` reads.

The form only proposes: nothing that it disables or bounds is trusted when it comes back.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bai_spawner.catalog import Catalog, Policy
from bai_spawner.errors import Problem
from bai_spawner.form.answers import Answers
from bai_spawner.form.bounds import Room
from bai_spawner.form.live import live
from bai_spawner.form.page import Page
from bai_spawner.form.rules import rules
from bai_spawner.form.view import FolderChoice
from bai_spawner.options import FormRequest
from bai_spawner.policy import Availability, Usage

__all__ = ["FolderChoice", "render_form"]

_templates = Environment(
    loader=PackageLoader("bai_spawner.form"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render_form(
    *,
    catalog: Catalog,
    policy: Policy,
    usage: Usage,
    availability: Availability,
    folders: Sequence[FolderChoice],
    missing_images: frozenset[str] = frozenset(),
    request: FormRequest | None = None,
    problems: Sequence[Problem] = (),
) -> str:
    """The inside of the launch form, filled from ``request``, each problem at its field."""
    room = Room(catalog, policy, usage, availability)
    page = Page(
        room=room,
        folders=tuple(folders),
        missing=missing_images,
        answers=Answers(request, tuple(problems)),
    )
    return _templates.get_template("launch_form.html").render(
        view=page.build(), rules=embedded(rules(room)), live=embedded(live(room))
    )


def embedded(data: object) -> Markup:
    """JSON for the inside of a script element, which nothing in it can end."""
    return Markup(json.dumps(data).replace("<", "\\u003c"))  # noqa: S704 - no markup without a "<"
