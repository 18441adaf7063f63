"""The launch form: one page that works without JavaScript, and the hub pages around it."""

from pathlib import Path

from bai_spawner.form.render import FolderChoice, render_form

TEMPLATES = Path(__file__).parent / "templates"
"""What JupyterHub's ``template_paths`` must begin with for its pages to be ours."""
STATIC = Path(__file__).parent / "static"
"""ES modules of these pages. The service serves them; without it the pages are plain."""

__all__ = ["STATIC", "TEMPLATES", "FolderChoice", "render_form"]
