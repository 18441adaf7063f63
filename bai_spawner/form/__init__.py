"""The launch form: one page that works without JavaScript, and the hub pages around it."""

import hashlib
from functools import cache
from pathlib import Path

from bai_spawner.form.render import FolderChoice, render_form

TEMPLATES = Path(__file__).parent / "templates"
"""What JupyterHub's ``template_paths`` must begin with for its pages to be ours."""
STATIC = Path(__file__).parent / "static"
"""ES modules of these pages. The service serves them; without it the pages are plain."""

__all__ = ["STATIC", "TEMPLATES", "FolderChoice", "render_form", "static_digest"]


@cache
def static_digest() -> str:
    """Changes whenever a module does: browsers may keep what is below it for ever."""
    found = hashlib.sha256()
    for path in sorted(STATIC.rglob("*.js")):
        found.update(path.relative_to(STATIC).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]
