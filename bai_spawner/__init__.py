"""Compute sessions for JupyterHub.

The hub and every session image install this package, so importing it costs
nothing: what a side needs is imported from its own module.
"""

__version__ = "0.1.0.dev0"
